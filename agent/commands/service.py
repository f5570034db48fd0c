"""The commands of one hub: the journal and the three loops that work on it.

Owns when the journal is opened, replaced by one in memory and opened again. After an unreadable journal was replaced,
the commands that the cloud lists next are refused: they may have been run before.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from agent.cloud.client import CommandsClient
from agent.commands import factory_reset
from agent.commands.acknowledger import CommandAcknowledger
from agent.commands.executor import CommandExecutor
from agent.commands.factory_reset import FactoryResetHandler
from agent.commands.handlers import (
    CommandHandler,
    ConfigUpdateHandler,
    DiagnosticsHandler,
    DiagnosticsSection,
    SettingsControl,
)
from agent.commands.journal import FILE_NAME, CommandJournal, open_journal, open_volatile_journal
from agent.commands.lifecycle import CommandRecord, CommandState, CommandType
from agent.commands.poller import CommandPoller
from agent.commands.reboot import RebootHandler
from agent.config.tables import CommandsConfig
from agent.errors import Corrupt, StorageFull
from agent.foundation.beat import next_beat
from agent.foundation.clock import Clock, Now, read_now
from agent.foundation.disk import Disk
from agent.foundation.host import Host
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.foundation.store_loop import StoreOpener, run_on_store
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause before the journal is opened again after the disk refused it."""

VOLATILE_AFTER_S = 60.0
"""Time for which the disk may refuse before commands are kept in memory: a busy card recovers within seconds."""


class _JournalReplaced(Exception):
    """The loops have to start again on another journal."""


class CommandService:
    """Everything about commands.

    Attributes:
        journal: `None` while the disk does not give it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        client: CommandsClient,
        clock: Clock,
        rng: random.Random,
        disk: Disk,
        worker: Worker,
        handlers: Mapping[CommandType, CommandHandler],
        interval_s: Callable[[], float],
        config: CommandsConfig,
        add_fault: Callable[[str], None],
        machine: str = "",
        is_elsewhere: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Prepare.

        Args:
            directory: Where `commands.db` is.
            client: The connection to the cloud.
            clock: The boot's clocks.
            rng: For the phase of the polls.
            disk: For files.
            worker: Runs what blocks.
            handlers: One for each type of command.
            interval_s: Returns the interval between two polls.
            config: How many commands may be open, and whether a person has to confirm a factory reset.
            add_fault: Reports a fault that the hub survived.
            machine: This one, recorded with each command.
            is_elsewhere: Tells whether another machine has received a command: it is held back.
        """
        self._directory = directory
        self._handlers = handlers
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._pending_max = config.pending_max
        self._confirms_reset = config.factory_reset_needs_confirmation
        self._add_fault = add_fault
        self._machine = machine
        self._is_elsewhere = is_elsewhere
        self._decided = Signal()
        self._executor = CommandExecutor(handlers, now=self._now, needs_confirmation=self._needs_confirmation)
        self._acknowledger = CommandAcknowledger(client, now=self._now)
        self._poller = CommandPoller(client, now=self._now, rng=rng, interval_s=interval_s)
        self._opener = StoreOpener(
            self._open_journal,
            problem_log=ProblemLog(_log, "the journal of commands cannot be opened"),
            on_quarantined=self._report_quarantined,
            retry_s=RETRY_S,
        )
        self._volatile_problem = ProblemLog(_log, "commands are kept in memory only")
        self.journal: CommandJournal | None = None

    @property
    def problem(self) -> str:
        """Why no commands come in, or why they are kept in memory only; empty for no problem."""
        if self._poller.problem:
            return f"no commands come in: {self._poller.problem}"
        if self.is_volatile:
            return f"commands are kept in memory only: {self._volatile_problem.text}"
        return self._opener.problem

    @property
    def arrived_s_ago(self) -> float | None:
        """The time since a new command came; `None` for never in this process."""
        at_ms = self._poller.arrived_ms
        return None if at_ms is None else (self._now().now_ms - at_ms) / 1000

    def look_at_interval(self) -> None:
        """Have the poller take up a shorter interval at once: a person has come."""
        self._poller.look_at_interval()

    @property
    def is_volatile(self) -> bool:
        """Whether commands are kept in memory only, because the disk takes nothing."""
        return self.journal is not None and self.journal.is_volatile

    def _now(self) -> Now:
        return read_now(self._clock)

    def _needs_confirmation(self, kind: CommandType) -> bool:
        return kind is CommandType.FACTORY_RESET and self._confirms_reset

    async def run(self) -> None:
        """Work until cancelled."""
        await run_on_store(self._open_or_fall_back, self._work_on, close=self._discard, on_corrupt=self._report_corrupt)

    async def close(self) -> None:
        """Close the journal, after `run` has ended."""
        if self.journal is not None:
            await self._discard(self.journal)

    async def reset(self) -> None:
        """Reset this hub as the command `factory_reset` does, for a person at the hub.

        Raises:
            StorageFull: Nothing has happened.
        """
        handler = self._handlers[CommandType.FACTORY_RESET]
        if isinstance(handler, FactoryResetHandler):
            await handler.reset()

    @property
    def holds_back(self) -> bool:
        """Whether another machine has received commands that wait for a person."""
        return self.journal is not None and bool(self.journal.held)

    async def release_held(self) -> None:
        """Run and acknowledge the commands that another machine has received: the journal is read again.

        Raises:
            StorageFull: They are still held back.
            Corrupt: The journal cannot be read; it is put aside soon.
        """
        await self._stored_journal().release_held(self._now())
        self._decided.set()

    async def discard_held(self) -> int:
        """Forget the commands that another machine has received; return how many.

        Raises:
            StorageFull: They are still held back.
            Corrupt: The journal cannot be read; it is put aside soon.
        """
        return await self._stored_journal().drop_held()

    def _stored_journal(self) -> CommandJournal:
        if self.journal is None:
            raise StorageFull("the journal of commands is not open; free some space on the disk")
        if self.journal.is_volatile:
            raise StorageFull("free some space on the disk, and try again: commands are kept in memory meanwhile")
        return self.journal

    async def confirm(self, command_id: str) -> CommandRecord:
        """Save that a person at the hub confirms a command.

        Raises:
            KeyError: No such command waits.
            StorageFull: It cannot be saved now.
        """
        if self.journal is None:
            raise StorageFull("the journal of commands is not open; free some space on the disk")
        return await self.journal.confirm(command_id, self._now())

    async def recent(self) -> list[CommandRecord]:
        """Return the newest commands, newest first."""
        return [] if self.journal is None else await self.journal.recent()

    async def _work_on(self, journal: CommandJournal) -> None:
        """Run the loops on a journal; return once another one has replaced it."""
        try:
            await self._executor.reconcile(journal)
            async with asyncio.TaskGroup() as group:
                for work in (
                    self._executor.run,
                    self._acknowledger.run,
                    self._poller.run,
                    self._watch_storage,
                    self._watch_decision,
                ):
                    group.create_task(work(journal))
        except* _JournalReplaced:
            await self._discard(journal)

    async def _watch_decision(self, journal: CommandJournal) -> None:
        """Have the journal opened again once commands of another machine may be run.

        Raises:
            _JournalReplaced: It has to be.
        """
        while True:
            self._decided.clear()
            if journal.has_released:
                raise _JournalReplaced
            await self._decided.wait()

    async def _watch_storage(self, journal: CommandJournal) -> None:
        """Replace the journal by one in memory once the disk has refused for a minute, and back when it works again.

        Raises:
            _JournalReplaced: `journal` is no longer the one to work on.
        """
        while not journal.is_volatile:
            # A disk that has refused nothing yet cannot have refused for long enough before that.
            await next_beat(VOLATILE_AFTER_S if journal.refused_since_ms is None else RETRY_S)
            since_ms, count = journal.refused_since_ms, journal.change_count
            if since_ms is not None and self._now().now_ms - since_ms >= VOLATILE_AFTER_S * 1000:
                records = await _all_records(journal)
                # The disk may have taken a change meanwhile: then it works again.
                if await journal.retire(count):
                    await self._fall_back_to_memory(records)
                    raise _JournalReplaced
        while True:
            # Opening succeeds once the disk can be read; the merge shows whether it can be written.
            stored = await self._opener.open()
            if stored is None:
                continue
            with contextlib.suppress(StorageFull, Corrupt):
                await self._move(journal, stored)
                self.journal = stored
                self._volatile_problem.clear()
                raise _JournalReplaced
            await self._close(stored)
            await asyncio.sleep(RETRY_S)

    async def _move(self, journal: CommandJournal, stored: CommandJournal) -> None:
        """Move the commands to another journal. What changes while the disk writes is moved as well."""
        while True:
            count = journal.change_count
            await stored.merge(await _all_records(journal), self._now())
            if await journal.retire(count):
                return

    async def _open_or_fall_back(self) -> CommandJournal:
        """Return the journal: from the disk, or in memory if the disk has not given it for a minute."""
        if self.journal is not None:
            return self.journal
        attempts = 1 + round(VOLATILE_AFTER_S / RETRY_S)
        self.journal = await self._opener.open(attempts) or await self._fall_back_to_memory([])
        return self.journal

    async def _fall_back_to_memory(self, records: Sequence[CommandRecord]) -> CommandJournal:
        now = self._now()
        self.journal = journal = await open_volatile_journal(
            records, now, pending_commands_max=self._pending_max, machine=self._machine
        )
        self._listen(journal)
        self._volatile_problem.report("the disk takes nothing; commands that need it are refused, all others work")
        return journal

    async def _open_journal(self, is_corrupt: bool) -> tuple[CommandJournal, Path | None]:
        journal, aside = await open_journal(
            self._directory,
            pending_commands_max=self._pending_max,
            worker=self._worker,
            disk=self._disk,
            is_broken=is_corrupt,
            machine=self._machine,
            is_elsewhere=self._is_elsewhere,
        )
        if aside is None and journal.replaces_missing:
            self._report(f"{FILE_NAME} is missing: commands listed now are refused, they may have been run before")
        self._listen(journal)
        return journal, aside

    def _report_quarantined(self, aside: Path) -> None:
        self._report(f"{FILE_NAME} could not be read; it is kept as {aside}, and a new one was made")

    def _report(self, text: str) -> None:
        self._add_fault(text)
        _log.error("%s", text)

    def _report_corrupt(self, text: str) -> None:
        self._add_fault(text)
        self._opener.mark_corrupt()

    def _listen(self, journal: CommandJournal) -> None:
        journal.on_change(self._executor.wake)
        journal.on_change(self._acknowledger.wake)

    async def _discard(self, journal: CommandJournal) -> None:
        if self.journal is journal:
            self.journal = None
        await self._close(journal)

    async def _close(self, journal: CommandJournal) -> None:
        with contextlib.suppress(StorageFull, Corrupt):
            await journal.close()


async def _all_records(journal: CommandJournal) -> list[CommandRecord]:
    """Return the records of a journal, oldest first: all open ones, and the newest settled ones."""
    records = {record.command_id: record for record in journal.open_commands()}
    with contextlib.suppress(StorageFull, Corrupt):
        settled = [record for record in reversed(await journal.recent()) if record.command_id not in records]
        return [*(record for record in settled if record.state is CommandState.ACKED), *records.values()]
    return list(records.values())


def build_handlers(
    directory: Path,
    *,
    settings: SettingsControl,
    sections: Mapping[str, DiagnosticsSection],
    flush: Callable[[], Awaitable[None]],
    host: Host,
    read_key: Callable[[], str | None],
    restart: Callable[[], None],
    is_volatile: Callable[[], bool],
    clock: Clock,
    disk: Disk,
    worker: Worker,
) -> Mapping[CommandType, CommandHandler]:
    """Return the handler of each type of command. Blocks: it reads the earlier reboots.

    Args:
        directory: The state directory.
        settings: The device settings, for `config_update`.
        sections: Of the report of `diagnostics`.
        flush: Writes everything in memory to the disk, before a reboot.
        host: Restarts the machine.
        read_key: Returns the hub's key, which a factory reset bars; `None` where there is none.
        restart: Ends this hub and starts a new one, after a factory reset.
        is_volatile: Tells whether commands are kept in memory only (`CommandService.is_volatile`).
        clock: The boot's clocks.
        disk: For files.
        worker: Runs what blocks.
    """

    async def bar_key() -> None:
        key = read_key()
        if key is not None:
            await worker.run(lambda: factory_reset.bar_key(directory, disk, key))

    return {
        CommandType.REBOOT: RebootHandler(
            now=lambda: read_now(clock),
            flush=flush,
            ensure_can_reboot=host.ensure_can_reboot,
            reboot=host.reboot,
            directory=directory,
            disk=disk,
            worker=worker,
        ),
        CommandType.CONFIG_UPDATE: ConfigUpdateHandler(settings, is_volatile=is_volatile),
        CommandType.FACTORY_RESET: FactoryResetHandler(bar_key=bar_key, restart=restart),
        CommandType.DIAGNOSTICS: DiagnosticsHandler(sections),
    }
