"""The commands of one hub: the journal and the three loops that work on it, kept going.

Owns their lifetimes. An unreadable journal is put aside and made anew; what the cloud lists then is refused, since it
may have been run before.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.cloud.client import CloudClient
from agent.commands.acks import Acks
from agent.commands.executor import Executor
from agent.commands.handlers import Handler
from agent.commands.journal import FILE_NAME, Journal, open_journal
from agent.commands.lifecycle import CommandType, Moment, Record
from agent.commands.poll import Poll
from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause before the journal is opened again after the disk refused it."""

READS_MAX = 6
"""How often a journal that the disk does not read is tried before it is put aside: an error of the medium may pass."""


class Commands:
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
        handlers: Mapping[CommandType, Handler],
        interval_s: Callable[[], float],
        pending_max: int,
        needs_person: Callable[[CommandType], bool],
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
            needs_person: Tells which types somebody at the hub has to confirm.
            add_fault: Told of what went wrong and was survived.
        """
        self._directory = directory
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._pending_max = pending_max
        self._add_fault = add_fault
        self._executor = Executor(handlers, moment=self._moment, needs_person=needs_person)
        self._acks = Acks(client, moment=self._moment)
        self._poll = Poll(client, moment=self._moment, rng=rng, interval_s=interval_s)
        self.journal: Journal | None = None

    @property
    def problem(self) -> str:
        """Why no commands come in; empty where they do."""
        return self._poll.problem

    def _moment(self) -> Moment:
        return Moment(self._clock.boot_id, self._clock.monotonic_ms(), self._clock.utc_ms())

    async def run(self) -> None:
        """Work, until cancelled."""
        is_broken = False
        while True:
            journal = self.journal or await self._open(is_broken=is_broken)
            try:
                await self._executor.reconcile(journal)
                async with asyncio.TaskGroup() as group:
                    for work in (self._executor.run, self._acks.run, self._poll.run):
                        group.create_task(work(journal))
            except* Corrupt as errors:
                self._add_fault(str(errors.exceptions[0]))
                is_broken = True
            self.journal = None
            await self._close(journal)

    async def close(self) -> None:
        """Close the journal; last of all."""
        if self.journal is not None:
            await self._close(self.journal)
            self.journal = None

    async def confirm(self, command_id: str) -> Record:
        """Note that a person at the hub confirms a command.

        Raises:
            KeyError: No such command waits.
            StorageFull: It cannot be noted now.
        """
        if self.journal is None:
            raise StorageFull("the journal of commands is not open; free some space on the disk")
        return await self.journal.confirm(command_id, self._moment())

    async def listed(self) -> list[Record]:
        """Return the newest commands, newest first."""
        return [] if self.journal is None else await self.journal.listed()

    async def _open(self, *, is_broken: bool) -> Journal:
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
                self._add_fault(str(error))
                await asyncio.sleep(RETRY_S)
                continue
            if aside is not None:
                text = f"{FILE_NAME} could not be read; it is kept as {aside}, and a new one was made"
                self._add_fault(text)
                _log.error("%s", text)
            elif journal.is_lost:
                text = f"{FILE_NAME} is missing: what the cloud lists now is refused, for it may have been run before"
                self._add_fault(text)
                _log.error("%s", text)
            journal.on_change(self._executor.changed)
            journal.on_change(self._acks.changed)
            self.journal = journal
            return journal

    async def _close(self, journal: Journal) -> None:
        with contextlib.suppress(StorageFull, Corrupt):
            await journal.close()
