"""Runs commands one at a time, in the cloud's order. Decides nothing: `lifecycle` does, handlers act.

Must never let a handler act on a command that is not on the disk as `executing`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from agent.commands.bounds import limit_message, limit_result
from agent.commands.handlers import CommandHandler, CommandOutcome
from agent.commands.journal import CommandJournal
from agent.commands.lifecycle import (
    TRAITS,
    Begin,
    CommandEvent,
    CommandRecord,
    CommandType,
    NextActor,
    Reject,
    State,
    Wait,
    decide,
    execution_order,
    has_exhausted_attempts,
    next_actor,
)
from agent.errors import ClimahubError, Defect, Transient
from agent.foundation.clock import Now
from agent.foundation.problem_log import ProblemLog
from agent.foundation.supervisor import contain_failure

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause after the disk refused to take the next state."""


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
            handlers: What each type does.
            now: Returns the present moment.
            needs_confirmation: Tells which types somebody at the hub has to confirm.
        """
        self._handlers = handlers
        self._now = now
        self._needs_confirmation = needs_confirmation
        self._changed = asyncio.Event()
        self._waiting = ProblemLog(_log, "a command waits", level=logging.WARNING)

    def changed(self) -> None:
        """Take note that the journal changed."""
        self._changed.set()

    async def reconcile(self, journal: CommandJournal) -> None:
        """Ask, at the beginning of a life, what became of the commands that an earlier one left executing.

        Must be over before anything else works on the journal.

        Raises:
            Corrupt: The journal cannot be used any more.
        """
        for record in execution_order(journal.open_commands()):
            if record.state is not State.EXECUTING:
                return
            outcome = await self._reconciled(record)
            if outcome is None and has_exhausted_attempts(record):
                outcome = CommandOutcome(
                    CommandEvent.FAIL, error_message=f"the agent died {record.attempts} times while running it"
                )
            await self._finish(journal, record, outcome or CommandOutcome(CommandEvent.RESUME))

    async def _reconciled(self, record: CommandRecord) -> CommandOutcome | None:
        """Return what became of a command, asked until it can be said."""
        while True:
            try:
                return await self._contained(record, lambda handler: handler.reconcile(record))
            except Transient as error:
                _log.warning("what became of command %s cannot be said yet: %s", record.command_id, error)
                await asyncio.sleep(RETRY_S)

    async def run(self, journal: CommandJournal) -> None:
        """Run what is there and what comes, until cancelled.

        Raises:
            Corrupt: The journal cannot be used any more.
        """
        while True:
            self._changed.clear()
            try:
                wait_s = await self._turn(journal)
            except Transient as error:
                self._waiting.report(str(error))
                await asyncio.sleep(RETRY_S)
                continue
            self._waiting.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _turn(self, journal: CommandJournal) -> float | None:
        """Do the next thing there is to do; return how long to wait for another, `None` until something changes."""
        waits_ms = []
        for record in execution_order(journal.open_commands()):
            if record.state is State.EXECUTING:
                if next_actor(record) is NextActor.ACKNOWLEDGER:
                    return None  # nothing else begins before this one is done
                await self._execute(journal, record)
                return 0.0
            decision = self._decide(record, journal)
            if not isinstance(decision, Wait):
                await self._act(journal, record, decision)
                return 0.0
            waits_ms.append(decision.wait_ms)
        return min(waits_ms) / 1000 if waits_ms else None

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
            with contain_failure(_named(record)):
                self._handlers[known].check(record.payload or {})
        except ClimahubError as error:
            return f"{known}: {error}"
        return ""

    async def _act(self, journal: CommandJournal, record: CommandRecord, decision: Begin | Reject) -> None:
        if isinstance(decision, Reject):
            _log.warning("command %s (%s) is not run: %s", record.command_id, record.type, decision.reason)
            await journal.advance(record.command_id, decision.event, self._now(), error_message=decision.reason)
            return
        if reason := await self._rejection_reason(record):
            await self._act(journal, record, Reject(CommandEvent.REFUSE, limit_message(reason)))
            return
        await journal.advance(record.command_id, CommandEvent.BEGIN, self._now())
        _log.info("command %s (%s) begins", record.command_id, record.type)

    async def _rejection_reason(self, record: CommandRecord) -> str:
        """Return why a command that may begin cannot take effect on this hub now; empty where it can."""
        kind = CommandType(record.type)
        try:
            with contain_failure(_named(record)):
                await self._handlers[kind].prepare()
        except ClimahubError as error:
            return f"{kind}: {error}"
        return ""

    async def _execute(self, journal: CommandJournal, record: CommandRecord) -> None:
        outcome = await self._contained(record, lambda handler: handler.execute(record))
        await self._finish(journal, record, outcome or _failed(record, "it ended without an outcome"))

    async def _contained(
        self, record: CommandRecord, work: Callable[[CommandHandler], Awaitable[CommandOutcome | None]]
    ) -> CommandOutcome | None:
        """Return what a handler says; whatever it raises fails this command only.

        Raises:
            Transient: Try again.
        """
        known = record.known_type
        if known is None:
            return _failed(record, f"this release of the hub does not know commands of type {record.type!r}")
        try:
            with contain_failure(_named(record)):
                return await work(self._handlers[known])
        except Transient:
            raise
        except ClimahubError as error:
            return _failed(record, f"{known}: {error}")

    async def _finish(self, journal: CommandJournal, record: CommandRecord, outcome: CommandOutcome) -> None:
        """Save how it went; the disk is asked until it takes that, since the effect has been had."""
        _log.info("%s: %s %s", _named(record), outcome.event, outcome.error_message)
        unsaved = ProblemLog(_log, f"the outcome of {_named(record)} is not saved yet", level=logging.WARNING)
        while True:
            try:
                with contain_failure(_named(record)):
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
                failed = _failed(record, f"how it went cannot be saved: {error}")
                if outcome.event is failed.event:
                    raise
                outcome = failed
            else:
                return


def _needs_disk(record: CommandRecord, journal: CommandJournal) -> str:
    """Return why a command cannot be run without a disk; empty where it can."""
    known = record.known_type
    changes_settings = known is CommandType.CONFIG_UPDATE and record.payload
    if not journal.is_volatile or known is None or not (TRAITS[known].is_destructive or changes_settings):
        return ""
    why = "the hub's disk takes nothing, so it could not remember having run it, and might run it again"
    return f"{known}: {why}; see to the disk, then send it again"


def _failed(record: CommandRecord, why: str) -> CommandOutcome:
    """Return the outcome of a command that failed; the cloud may have its ack already."""
    return CommandOutcome(CommandEvent.GIVEN_UP if record.acked_boot_id else CommandEvent.FAIL, error_message=why)


def _named(record: CommandRecord) -> str:
    return f"command {record.command_id} ({record.type})"
