"""Polls the cloud for commands, often while somebody works with the hub, and adds them to the journal.

The contract has no push channel (section 5.1). Must never run a command, nor poll more often than the quota allows.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from agent.cloud.client import CommandsClient
from agent.cloud.contract import Endpoint
from agent.commands.journal import CommandJournal
from agent.commands.payloads import decode_commands
from agent.commands.poll_schedule import is_held_up, next_due_ms
from agent.errors import CloudUnavailable, Defect, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.clock import Now
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import plural

_log = logging.getLogger(__name__)

LOOK_S = 60.0
"""How often the interval is looked at while the poller waits: for what shortens it and does not say so, such as a link
that is no longer metered."""


class CommandPoller:
    """The loop that polls.

    Attributes:
        problem: Why no commands come in; empty while they do.
        arrived_ms: When a new command came, in boot time; `None` for never.
    """

    def __init__(
        self,
        client: CommandsClient,
        *,
        now: Callable[[], Now],
        rng: random.Random,
        interval_s: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            client: The connection to the cloud.
            now: Reads the clocks.
            rng: For the phase: hubs that start together, or were held up together, do not poll together.
            interval_s: Returns the interval; called again during each pause, since it depends on who is here.
        """
        self._client = client
        self._now = now
        self._rng = rng
        self._interval_s = interval_s
        self._interval_changed = Signal()
        self._refused = ProblemLog(_log, "commands are not taken in", level=logging.WARNING)
        self.problem = ""
        self.arrived_ms: int | None = None

    async def run(self, journal: CommandJournal) -> None:
        """Poll until cancelled.

        Raises:
            Corrupt: The journal is not readable any more.
        """
        due_ms = self._with_new_phase_ms()
        while True:
            await asyncio.sleep(max(0, due_ms - self._now().now_ms) / 1000)
            await self._client.ready(Endpoint.COMMANDS_PENDING)
            if is_held_up(due_ms, self._now().now_ms):
                due_ms = self._with_new_phase_ms()
                continue
            await self._poll(journal)
            due_ms = await self._next_due_ms(due_ms)

    def look_at_interval(self) -> None:
        """Take up a shorter interval at once: a person has come."""
        self._interval_changed.set()

    async def _next_due_ms(self, polled_ms: int) -> int:
        """Return when the next poll is due, once it is: until then a shorter interval may come into force."""
        while True:
            now_ms = self._now().now_ms
            due_ms = next_due_ms(polled_ms, now_ms, int(self._interval_s() * 1000))
            left_s = (due_ms - now_ms) / 1000
            has_changed = await self._interval_changed.wait(min(left_s, LOOK_S))
            if left_s <= LOOK_S and not has_changed:
                return due_ms

    def _with_new_phase_ms(self) -> int:
        return self._now().now_ms + int(self._rng.uniform(0.0, self._interval_s()) * 1000)

    async def _poll(self, journal: CommandJournal) -> None:
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
            # The cloud lists them again.
            self._refused.report(str(error))
            self.problem = str(error)
            return
        self._refused.clear()
        self.problem = f"{plural(unreadable, 'command')} without a usable id cannot be answered" if unreadable else ""
        if added:
            self.arrived_ms = self._now().now_ms
            _log.info("%d commands taken in", added)
