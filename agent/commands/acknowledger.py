"""Reports the outcomes of commands to the cloud until it accepts them: 2xx, or 404 and 409, which mean settled.

Must never report an outcome that is not saved, nor let a refused ack hold up the others.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from agent.cloud.client import CommandsClient
from agent.cloud.contract import Endpoint
from agent.commands.journal import CommandJournal
from agent.commands.lifecycle import ACKED, CommandEvent, CommandRecord, CommandState, NextActor, next_actor
from agent.errors import CloudUnavailable, Defect, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.clock import Now
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.foundation.supervisor import contain_failure

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause after the disk refused to save that a command is acknowledged."""

REFUSED_RETRY_MS = 60_000
REFUSED_RETRY_MS_MAX = 3_600_000
"""A refused ack is sent again without its result, then without its text, then at growing intervals."""

_SETTLED_STATUSES = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}


class _Refusals(msgspec.Struct):
    count: int = 0
    not_before_ms: int = 0


class CommandAcknowledger:
    """The loop that sends acks."""

    def __init__(self, client: CommandsClient, *, now: Callable[[], Now]) -> None:
        """Prepare.

        Args:
            client: The connection to the cloud.
            now: Reads the clocks.
        """
        self._client = client
        self._now = now
        self._refusals: dict[str, _Refusals] = {}
        self._changed = Signal()

    def wake(self) -> None:
        """Look at the journal again: it has changed."""
        self._changed.set()

    async def run(self, journal: CommandJournal) -> None:
        """Send the acks that are due, oldest first, until cancelled.

        Raises:
            Corrupt: The journal is not readable any more.
        """
        while True:
            record, wait_s = self._next(journal)
            if record is not None:
                await self._client.ready(Endpoint.COMMANDS_ACK)
                current = journal.get(record.command_id)
                if current is not None and next_actor(current) is NextActor.ACKNOWLEDGER:
                    await self._send(journal, current)
                continue
            await self._changed.wait(wait_s)

    def _next(self, journal: CommandJournal) -> tuple[CommandRecord | None, float | None]:
        """Return the oldest command whose ack may be sent now, or the seconds until there is one."""
        now_ms = self._now().now_ms
        due = [record for record in journal.open_commands() if next_actor(record) is NextActor.ACKNOWLEDGER]
        for settled in self._refusals.keys() - {record.command_id for record in due}:
            del self._refusals[settled]
        delays_ms = []
        for record in due:
            wait_ms = self._refused(record).not_before_ms - now_ms
            if wait_ms <= 0:
                return record, None
            delays_ms.append(wait_ms)
        return None, min(delays_ms) / 1000 if delays_ms else None

    def _refused(self, record: CommandRecord) -> _Refusals:
        return self._refusals.get(record.command_id, _Refusals())

    async def _send(self, journal: CommandJournal, record: CommandRecord) -> None:
        refusals = self._refused(record).count
        is_early = record.state is CommandState.EXECUTING
        try:
            with contain_failure(f"the ack of command {record.command_id}"):
                await self._client.ack_command(
                    record.command_id,
                    ACKED if is_early else record.outcome,
                    error_message=record.error_message if refusals <= 1 else "",
                    result=record.result if refusals == 0 else None,
                )
        except Refused as error:
            if error.status not in _SETTLED_STATUSES:
                self._postpone(record, error)
                return
            event = CommandEvent.REVOKED if is_early and error.status == HTTPStatus.NOT_FOUND else None
            await self._settle(journal, record, event, reason=str(error))
        except Defect as error:
            self._postpone(record, error)
        except (CloudUnavailable, Throttled, Unauthorized) as error:
            _log.info("the ack of command %s waits: %s", record.command_id, error)
        else:
            await self._settle(journal, record, None)

    def _postpone(self, record: CommandRecord, error: Refused | Defect) -> None:
        count = self._refused(record).count + 1
        wait_ms = 0 if count <= 2 else min(REFUSED_RETRY_MS << min(count - 3, 8), REFUSED_RETRY_MS_MAX)  # noqa: PLR2004 - without result, then without text
        self._refusals[record.command_id] = _Refusals(count, self._now().now_ms + wait_ms)
        _log.warning("the ack of command %s was not accepted: %s", record.command_id, error)

    async def _settle(
        self, journal: CommandJournal, record: CommandRecord, event: CommandEvent | None, *, reason: str = ""
    ) -> None:
        """Save that the cloud has the ack, tried until the disk takes it."""
        event = event or (CommandEvent.ACKNOWLEDGED if record.state is CommandState.EXECUTING else CommandEvent.SETTLED)
        message = f"not run: the cloud no longer knows it ({reason})" if event is CommandEvent.REVOKED else ""
        unsaved = ProblemLog(_log, f"the ack of command {record.command_id} is not saved yet", level=logging.WARNING)
        while True:
            try:
                await journal.advance(record.command_id, event, self._now(), error_message=message)
            except StorageFull as error:
                unsaved.report(str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return
