"""Asks the cloud for commands, on a steady rhythm, and hands them to the journal. Judges nothing.

Polling is all there is: the contract has no push channel (section 5.1). Must never run a command it was given, nor ask
more often than the quota admits.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.commands.journal import CommandJournal
from agent.commands.payloads import decode_commands
from agent.errors import CloudUnavailable, Defect, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.clock import Now
from agent.foundation.problem_log import ProblemLog
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import plural

_log = logging.getLogger(__name__)

METERED_FACTOR = 20
"""On a metered link polls are this many times rarer: 15 s become 5 min, 3 MB a day become 150 kB."""


class CommandPoller:
    """The loop that asks."""

    def __init__(
        self,
        client: CloudClient,
        *,
        now: Callable[[], Now],
        rng: random.Random,
        interval_s: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            client: The way to the cloud.
            now: Returns the present moment.
            rng: For the phase: a fleet that starts together does not ask together.
            interval_s: Asked before each pause: the link may change.
        """
        self._client = client
        self._now = now
        self._rng = rng
        self._interval_s = interval_s
        self._refused = ProblemLog(_log, "commands are not taken in", level=logging.WARNING)
        self.problem = ""

    async def run(self, journal: CommandJournal) -> None:
        """Ask, until cancelled.

        Raises:
            Corrupt: The journal cannot be used any more.
        """
        due_ms = self._now().now_ms + int(self._phase_s() * 1000)
        while True:
            await asyncio.sleep(max(0, due_ms - self._now().now_ms) / 1000)
            await self._client.ready(Endpoint.COMMANDS_PENDING)
            await self._ask(journal)
            # From the time it was due, so that travel time does not stretch the rhythm; never to catch up.
            due_ms = max(due_ms + int(self._interval_s() * 1000), self._now().now_ms)

    def _phase_s(self) -> float:
        return self._rng.uniform(0.0, self._interval_s())

    async def _ask(self, journal: CommandJournal) -> None:
        try:
            with contain_failure("the poll for commands"):
                commands = await self._client.get_pending_commands()
                arrivals, unreadable = decode_commands(commands)
                added = await journal.add(arrivals, self._now())
        except (CloudUnavailable, Throttled, Unauthorized, Refused, Defect) as error:
            _log.info("no commands fetched: %s", error)
            self.problem = str(error)
            return
        except StorageFull as error:
            # The cloud keeps them and lists them again.
            self._refused.report(str(error))
            self.problem = str(error)
            return
        self._refused.clear()
        self.problem = f"{plural(unreadable, 'command')} without a usable id cannot be answered" if unreadable else ""
        if added:
            _log.info("%d commands taken in", added)
