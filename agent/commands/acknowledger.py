"""Tells the cloud how commands ended, until it has taken it: 2xx, or 404 and 409, which say that it is over already.

Must never report an outcome that is not on the disk, nor let one command's refusal hold up another's ack.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.commands.journal import CommandJournal
from agent.commands.lifecycle import ACKED, CommandEvent, CommandRecord, NextActor, State, next_actor
from agent.errors import CloudUnavailable, Defect, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.clock import Now
from agent.foundation.problem_log import ProblemLog
from agent.foundation.supervisor import contain_failure

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause after the disk refused to take note of an ack."""

REFUSED_RETRY_MS = 60_000
REFUSED_RETRY_MS_MAX = 3_600_000
"""An ack that the cloud refuses as it stands is sent again with less in it, then as it is, ever more rarely."""

_OVER = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}


class _Refusals(msgspec.Struct):
    count: int = 0
    not_before_ms: int = 0


class CommandAcknowledger:
    """The loop that acknowledges."""

    def __init__(self, client: CloudClient, *, now: Callable[[], Now]) -> None:
        """Prepare.

        Args:
            client: The way to the cloud.
            now: Returns the present moment.
        """
        self._client = client
        self._now = now
        self._refusals: dict[str, _Refusals] = {}
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Take note that the journal changed."""
        self._changed.set()

    async def run(self, journal: CommandJournal) -> None:
        """Acknowledge what is due, oldest first, until cancelled.

        Raises:
            Corrupt: The journal cannot be used any more.
        """
        while True:
            self._changed.clear()
            record, wait_s = self._next(journal)
            if record is not None:
                await self._client.ready(Endpoint.COMMANDS_ACK)
                current = journal.get(record.command_id)
                if current is not None and next_actor(current) is NextActor.ACKNOWLEDGER:
                    await self._send(journal, current)
                continue
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _next(self, journal: CommandJournal) -> tuple[CommandRecord | None, float | None]:
        """Return the oldest command whose ack may go out now, or how long until there is one."""
        now_ms = self._now().now_ms
        due = [record for record in journal.open_commands() if next_actor(record) is NextActor.ACKNOWLEDGER]
        for gone in self._refusals.keys() - {record.command_id for record in due}:
            del self._refusals[gone]
        waits_ms = []
        for record in due:
            wait_ms = self._refused(record).not_before_ms - now_ms
            if wait_ms <= 0:
                return record, None
            waits_ms.append(wait_ms)
        return None, min(waits_ms) / 1000 if waits_ms else None

    def _refused(self, record: CommandRecord) -> _Refusals:
        return self._refusals.get(record.command_id, _Refusals())

    async def _send(self, journal: CommandJournal, record: CommandRecord) -> None:
        refusals = self._refused(record).count
        is_early = record.state is State.EXECUTING
        try:
            with contain_failure(f"the ack of command {record.command_id}"):
                await self._client.ack_command(
                    record.command_id,
                    ACKED if is_early else record.outcome,
                    error_message=record.error_message if refusals <= 1 else "",
                    result=record.result if refusals == 0 else None,
                )
        except Refused as error:
            if error.status not in _OVER:
                self._put_off(record, error)
                return
            event = CommandEvent.REVOKED if is_early and error.status == HTTPStatus.NOT_FOUND else None
            await self._settle(journal, record, event, why=str(error))
        except Defect as error:
            self._put_off(record, error)
        except (CloudUnavailable, Throttled, Unauthorized) as error:
            _log.info("the ack of command %s waits: %s", record.command_id, error)
        else:
            await self._settle(journal, record, None)

    def _put_off(self, record: CommandRecord, error: Refused | Defect) -> None:
        count = self._refused(record).count + 1
        wait_ms = 0 if count <= 2 else min(REFUSED_RETRY_MS << min(count - 3, 8), REFUSED_RETRY_MS_MAX)  # noqa: PLR2004 - without result, then without text
        self._refusals[record.command_id] = _Refusals(count, self._now().now_ms + wait_ms)
        _log.warning("the ack of command %s was not taken: %s", record.command_id, error)

    async def _settle(
        self, journal: CommandJournal, record: CommandRecord, event: CommandEvent | None, *, why: str = ""
    ) -> None:
        """Save that the cloud has it; the disk is asked until it takes that."""
        event = event or (CommandEvent.ACKNOWLEDGED if record.state is State.EXECUTING else CommandEvent.SETTLED)
        message = f"not run: the cloud no longer knows it ({why})" if event is CommandEvent.REVOKED else ""
        unnoted = ProblemLog(_log, f"the ack of command {record.command_id} is not noted yet", level=logging.WARNING)
        while True:
            try:
                await journal.advance(record.command_id, event, self._now(), error_message=message)
            except StorageFull as error:
                unnoted.report(str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return
