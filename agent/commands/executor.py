"""Runs commands one at a time, in the cloud's order. Decides nothing: `decisions` does, and handlers act.

Must never let a handler act on a command that is not saved as `executing`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from agent.commands.decisions import Begin, Reject, Wait, decide, execution_order, has_exhausted_attempts
from agent.commands.handlers import CommandHandler, CommandOutcome
from agent.commands.journal import CommandJournal
from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState, CommandType, NextActor, next_actor
from agent.commands.payloads import limit_message, limit_result
from agent.errors import ClimahubError, Defect, Transient
from agent.foundation.clock import Now
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.foundation.supervisor import contain_failure

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause after the disk refused to save a transition."""


class CommandExecutor:
    """The loop that runs commands."""

    def __init__(
        self,
        handlers: Mapping[CommandType, CommandHandler],
        *,
        now: Callable[[], Now],
        needs_confirmation: Callable[[CommandType], bool],
    ) -> None:
        """Prepare.

        Args:
            handlers: One for each type.
            now: Reads the clocks.
            needs_confirmation: Tells which types a person at the hub has to confirm.
        """
        self._handlers = handlers
        self._now = now
        self._needs_confirmation = needs_confirmation
        self._changed = Signal()
        self._waiting = ProblemLog(_log, "a command waits", level=logging.WARNING)

    def wake(self) -> None:
        """Look at the journal again: it has changed."""
        self._changed.set()

    async def reconcile(self, journal: CommandJournal) -> None:
        """Finish or resume the commands that were executing when the agent stopped.

        Must end before any other loop works on the journal.

        Raises:
            Corrupt: The journal is not readable any more.
        """
        for record in execution_order(journal.open_commands()):
            if record.state is not CommandState.EXECUTING:
                return
            outcome = await self._find_outcome(record)
            if outcome is None and has_exhausted_attempts(record):
                outcome = CommandOutcome(
                    CommandEvent.FAIL, error_message=f"the agent died {record.attempts} times while running it"
                )
            await self._finish(journal, record, outcome or CommandOutcome(CommandEvent.RESUME))

    async def _find_outcome(self, record: CommandRecord) -> CommandOutcome | None:
        """Return the outcome of a command that was executing, tried until the handler can tell."""
        while True:
            try:
                return await self._call_handler(record, lambda handler: handler.reconcile(record))
            except Transient as error:
                _log.warning("the outcome of command %s is not known yet: %s", record.command_id, error)
                await asyncio.sleep(RETRY_S)

    async def run(self, journal: CommandJournal) -> None:
        """Run commands until cancelled.

        Raises:
            Corrupt: The journal is not readable any more.
        """
        while True:
            try:
                wait_s = await self._run_next(journal)
            except Transient as error:
                self._waiting.report(str(error))
                await asyncio.sleep(RETRY_S)
                continue
            self._waiting.clear()
            await self._changed.wait(wait_s)

    async def _run_next(self, journal: CommandJournal) -> float | None:
        """Take the next step; return how many seconds to wait for another, `None` to wait for a change."""
        delays_ms = []
        for record in execution_order(journal.open_commands()):
            if record.state is CommandState.EXECUTING:
                if next_actor(record) is NextActor.ACKNOWLEDGER:
                    return None  # no other command begins before this one is finished
                await self._execute(journal, record)
                return 0.0
            decision = self._decide(record, journal)
            if not isinstance(decision, Wait):
                await self._begin_or_reject(journal, record, decision)
                return 0.0
            delays_ms.append(decision.wait_ms)
        return min(delays_ms) / 1000 if delays_ms else None

    def _decide(self, record: CommandRecord, journal: CommandJournal) -> Begin | Wait | Reject:
        known = record.known_type
        return decide(
            record,
            self._now(),
            problem=limit_message(self._problem(record) or _needs_disk(record, journal)),
            needs_confirmation=known is not None and self._needs_confirmation(known),
            acks_due=sum(next_actor(other) is NextActor.ACKNOWLEDGER for other in journal.open_commands()),
        )

    def _problem(self, record: CommandRecord) -> str:
        if record.problem:
            return record.problem
        known = record.known_type
        if known is None:
            return f"unsupported command type {record.type!r}; there are {', '.join(CommandType)}"
        try:
            with contain_failure(_describe(record)):
                self._handlers[known].check(record.payload or {})
        except ClimahubError as error:
            return f"{known}: {error}"
        return ""

    async def _begin_or_reject(self, journal: CommandJournal, record: CommandRecord, decision: Begin | Reject) -> None:
        if isinstance(decision, Reject):
            _log.warning("command %s (%s) is not run: %s", record.command_id, record.type, decision.reason)
            await journal.advance(record.command_id, decision.event, self._now(), error_message=decision.reason)
            return
        if reason := await self._rejection_reason(record):
            await self._begin_or_reject(journal, record, Reject(CommandEvent.REFUSE, limit_message(reason)))
            return
        await journal.advance(record.command_id, CommandEvent.BEGIN, self._now())
        _log.info("command %s (%s) begins", record.command_id, record.type)

    async def _rejection_reason(self, record: CommandRecord) -> str:
        """Return why a command cannot take effect on this hub now; empty if it can."""
        kind = CommandType(record.type)
        try:
            with contain_failure(_describe(record)):
                await self._handlers[kind].prepare()
        except ClimahubError as error:
            return f"{kind}: {error}"
        return ""

    async def _execute(self, journal: CommandJournal, record: CommandRecord) -> None:
        outcome = await self._call_handler(record, lambda handler: handler.execute(record))
        await self._finish(journal, record, outcome or _failed(record, "it ended without an outcome"))

    async def _call_handler(
        self, record: CommandRecord, work: Callable[[CommandHandler], Awaitable[CommandOutcome | None]]
    ) -> CommandOutcome | None:
        """Return the outcome of a handler; whatever it raises fails this command only.

        Raises:
            Transient: Try again.
        """
        known = record.known_type
        if known is None:
            return _failed(record, f"this release of the hub does not know commands of type {record.type!r}")
        try:
            with contain_failure(_describe(record)):
                return await work(self._handlers[known])
        except Transient:
            raise
        except ClimahubError as error:
            return _failed(record, f"{known}: {error}")

    async def _finish(self, journal: CommandJournal, record: CommandRecord, outcome: CommandOutcome) -> None:
        """Save the outcome, tried until the disk takes it: the effect has happened."""
        _log.info("%s: %s %s", _describe(record), outcome.event, outcome.error_message)
        unsaved = ProblemLog(_log, f"the outcome of {_describe(record)} is not saved yet", level=logging.WARNING)
        while True:
            try:
                with contain_failure(_describe(record)):
                    await journal.advance(
                        record.command_id,
                        outcome.event,
                        self._now(),
                        error_message=limit_message(outcome.error_message),
                        result=None if outcome.result is None else limit_result(outcome.result),
                    )
            except Transient as error:
                unsaved.report(str(error))
                await asyncio.sleep(RETRY_S)
            except Defect as error:
                failed = _failed(record, f"its outcome cannot be saved: {error}")
                if outcome.event is failed.event:
                    raise
                outcome = failed
            else:
                return


def _needs_disk(record: CommandRecord, journal: CommandJournal) -> str:
    """Return why a command cannot be run without a disk; empty if it can."""
    changes_settings = record.known_type is CommandType.CONFIG_UPDATE and record.payload
    if not journal.is_volatile or not (record.is_destructive or changes_settings):
        return ""
    reason = "the hub's disk takes nothing, so after a restart the command might be run again"
    return f"{record.type}: {reason}; check the disk, then send it again"


def _failed(record: CommandRecord, reason: str) -> CommandOutcome:
    """Return the outcome of a failed command, whether or not the cloud has its ack already."""
    return CommandOutcome(CommandEvent.GIVEN_UP if record.acked_boot_id else CommandEvent.FAIL, error_message=reason)


def _describe(record: CommandRecord) -> str:
    return f"command {record.command_id} ({record.type})"
