"""The commands of one hub: the journal and the three loops that work on it, kept going.

Owns their lifetimes. An unreadable journal is put aside and made anew; what the cloud lists then is refused, since it
may have been run before.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.cloud.client import CloudClient
from agent.commands.acknowledger import CommandAcknowledger
from agent.commands.executor import CommandExecutor
from agent.commands.handlers import CommandHandler
from agent.commands.journal import FILE_NAME, CommandJournal, open_journal, open_volatile_journal
from agent.commands.lifecycle import CommandRecord, CommandType, State
from agent.commands.poller import CommandPoller
from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.clock import Clock, Now
from agent.foundation.disk import Disk
from agent.foundation.problem_log import ProblemLog
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause before the journal is opened again after the disk refused it."""

READS_MAX = 6
"""How often a journal that the disk does not read is tried before it is put aside: an error of the medium may pass."""


VOLATILE_AFTER_S = 60.0
"""How long the disk may refuse before commands are kept in memory: a busy card needs seconds."""


class _JournalReplaced(Exception):
    """The room works with another journal from now on."""


class CommandService:
    """Everything about commands. `journal` is `None` while the disk does not give it."""

    def __init__(
        self,
        directory: Path,
        *,
        client: CloudClient,
        clock: Clock,
        rng: random.Random,
        disk: Disk,
        worker: Worker,
        handlers: Mapping[CommandType, CommandHandler],
        interval_s: Callable[[], float],
        pending_max: int,
        needs_confirmation: Callable[[CommandType], bool],
        add_fault: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            directory: Where `commands.db` lies.
            client: The way to the cloud.
            clock: The boot's clocks.
            rng: For the phase of the polls.
            disk: For files.
            worker: Where the journal works.
            handlers: What each type of command does.
            interval_s: Between two polls; asked each time.
            pending_max: How many commands may be open.
            needs_confirmation: Tells which types somebody at the hub has to confirm.
            add_fault: Told of what went wrong and was survived.
        """
        self._directory = directory
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._pending_max = pending_max
        self._add_fault = add_fault
        self._executor = CommandExecutor(handlers, now=self._now, needs_confirmation=needs_confirmation)
        self._acks = CommandAcknowledger(client, now=self._now)
        self._poll = CommandPoller(client, now=self._now, rng=rng, interval_s=interval_s)
        self._open_problem = ProblemLog(_log, "the journal of commands cannot be opened")
        self._volatile_problem = ProblemLog(_log, "commands are kept in memory only")
        self.journal: CommandJournal | None = None

    @property
    def problem(self) -> str:
        """Why no commands come in, or why they are not kept; empty where nothing is wrong."""
        if self._poll.problem:
            return f"no commands come in: {self._poll.problem}"
        if self.is_volatile:
            return f"commands are kept in memory only: {self._volatile_problem.text}"
        return self._open_problem.text

    def _now(self) -> Now:
        return Now(self._clock.boot_id, self._clock.monotonic_ms(), self._clock.utc_ms())

    @property
    def is_volatile(self) -> bool:
        """Whether commands are kept in memory only, as the disk takes nothing."""
        return self.journal is not None and self.journal.is_volatile

    async def run(self) -> None:
        """Work, until cancelled."""
        is_broken = False
        while True:
            is_other = False
            journal = self.journal or await self._open_or_fall_back(is_broken=is_broken)
            try:
                await self._executor.reconcile(journal)
                async with asyncio.TaskGroup() as group:
                    for work in (self._executor.run, self._acks.run, self._poll.run, self._watch_storage):
                        group.create_task(work(journal))
            except* _JournalReplaced:
                is_other = True
            except* Corrupt as errors:
                self._add_fault(str(errors.exceptions[0]))
                is_broken = True
            if is_other:
                continue
            self.journal = None
            await self._close(journal)

    async def _open_or_fall_back(self, *, is_broken: bool) -> CommandJournal:
        """Return the journal on the disk, or one in memory where the disk has not given it for a minute."""
        tries = 1 + round(VOLATILE_AFTER_S / RETRY_S)
        return await self._open(is_broken=is_broken, tries_max=tries) or await self._fall_back_to_memory([])

    async def _fall_back_to_memory(self, records: Sequence[CommandRecord]) -> CommandJournal:
        now = self._now()
        self.journal = journal = await open_volatile_journal(records, now, pending_commands_max=self._pending_max)
        self._listen(journal)
        self._volatile_problem.report("the disk takes nothing; what needs it is refused, all else works")
        return journal

    async def _watch_storage(self, journal: CommandJournal) -> None:
        """Change to a journal in memory once the disk has refused for a minute, and back once it takes something.

        Raises:
            _OtherJournal: `journal` is another one now.
        """
        while not journal.is_volatile:
            await asyncio.sleep(RETRY_S)
            since_ms = journal.refused_since_ms
            if since_ms is not None and self._now().now_ms - since_ms >= VOLATILE_AFTER_S * 1000:
                await self._fall_back_to_memory(await _all_records(journal))
                await self._close(journal)
                raise _JournalReplaced
        while True:
            # `_open` returns once the disk has given the journal; whether it takes anything, the next line finds out.
            stored = await self._open(is_broken=False)
            if stored is None:
                continue
            with contextlib.suppress(StorageFull, Corrupt):
                await stored.merge(await _all_records(journal), self._now())
                await self._close(journal)
                self._volatile_problem.clear()
                raise _JournalReplaced
            self.journal = journal
            await self._close(stored)
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Close the journal; last of all."""
        if self.journal is not None:
            await self._close(self.journal)
            self.journal = None

    async def confirm(self, command_id: str) -> CommandRecord:
        """Note that a person at the hub confirms a command.

        Raises:
            KeyError: No such command waits.
            StorageFull: It cannot be noted now.
        """
        if self.journal is None:
            raise StorageFull("the journal of commands is not open; free some space on the disk")
        return await self.journal.confirm(command_id, self._now())

    async def recent(self) -> list[CommandRecord]:
        """Return the newest commands, newest first."""
        return [] if self.journal is None else await self.journal.recent()

    async def _open(self, *, is_broken: bool, tries_max: int | None = None) -> CommandJournal | None:
        """Open the journal on the disk, tried until it succeeds, or so many times; `None` where it does not."""
        tries = 0
        reads = 0
        while True:
            try:
                journal, aside = await open_journal(
                    self._directory,
                    pending_commands_max=self._pending_max,
                    worker=self._worker,
                    disk=self._disk,
                    is_broken=is_broken or reads >= READS_MAX,
                )
            except (StorageFull, Corrupt) as error:
                reads += isinstance(error, ReadFailed)
                self._open_problem.report(str(error))
                tries += 1
                if tries == tries_max:
                    return None
                await asyncio.sleep(RETRY_S)
                continue
            if aside is not None:
                text = f"{FILE_NAME} could not be read; it is kept as {aside}, and a new one was made"
                self._add_fault(text)
                _log.error("%s", text)
            elif journal.replaces_missing:
                text = f"{FILE_NAME} is missing: what the cloud lists now is refused, for it may have been run before"
                self._add_fault(text)
                _log.error("%s", text)
            self._open_problem.clear()
            self._listen(journal)
            self.journal = journal
            return journal

    def _listen(self, journal: CommandJournal) -> None:
        journal.on_change(self._executor.changed)
        journal.on_change(self._acks.changed)

    async def _close(self, journal: CommandJournal) -> None:
        with contextlib.suppress(StorageFull, Corrupt):
            await journal.close()


async def _all_records(journal: CommandJournal) -> list[CommandRecord]:
    """Return what a journal knows, oldest first: what is open, and of the settled ones as many as are listed."""
    records = {record.command_id: record for record in journal.open_commands()}
    with contextlib.suppress(StorageFull, Corrupt):
        settled = [record for record in reversed(await journal.recent()) if record.command_id not in records]
        return [*(record for record in settled if record.state is State.ACKED), *records.values()]
    return list(records.values())
