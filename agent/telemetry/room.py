"""The room of readings: keeps an outbox open and runs what works on it. Decides nothing about a reading.

Owns the life of `outbox.db`: opens it, puts an unreadable one aside, anchors it to the time, tidies and closes it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.errors import Corrupt, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.telemetry.intake import Intake
from agent.telemetry.outbox import Outbox
from agent.telemetry.outbox_sqlite import FILE_NAME, OutboxLimits, open_outbox
from agent.telemetry.uplink import Uplink

_log = logging.getLogger(__name__)

TIDY_S = 300.0
"""How often the outbox is tidied and the clock's anchor checked, besides what each commit does."""

ANCHOR_POLL_S = 1.0
"""How often an unanchored boot asks whether the clock is right."""

OUTBOX_RETRY_S = 10.0
"""Pause before the outbox is opened again after the disk refused it."""


class Telemetry:
    """Everything between a reading that was taken in and the cloud that accepts it.

    Attributes:
        outbox: Where readings are kept; `None` while it cannot be opened.
        problem: Why it cannot be opened; empty when it can.
        is_anchored: The outbox knows the time of this boot, and so of all its readings; boots before do not count.
    """

    def __init__(
        self,
        directory: Path,
        *,
        limits: OutboxLimits,
        intake: Intake,
        uplink: Uplink,
        registered: Callable[[], Sequence[str]],
        clock: Clock,
        disk: Disk,
        worker: Worker,
        add_fault: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            directory: Where `outbox.db` lies.
            limits: How large it may grow.
            intake: Brings readings.
            uplink: Takes them to the cloud.
            registered: Returns the devices that have their identity with the cloud.
            clock: The boot's clocks.
            disk: Where durable operations are announced.
            worker: Where the outbox works.
            add_fault: Told of what went wrong and was survived.
        """
        self._directory = directory
        self._limits = limits
        self._intake = intake
        self._uplink = uplink
        self._registered = registered
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._add_fault = add_fault
        self.outbox: Outbox | None = None
        self.problem = ""
        self.is_anchored = False

    async def run(self) -> None:
        """Run what works on the outbox, until cancelled; one that turns out unreadable is put aside and made anew."""
        is_broken = False
        while True:
            outbox = self.outbox or await self._open(is_broken=is_broken)
            try:
                # The power may have gone between a device's registration and the release of its readings.
                for device in self._registered():
                    await outbox.release(device)
                async with asyncio.TaskGroup() as group:
                    for work in (self._intake.run, self._uplink.run, self._upkeep):
                        group.create_task(work(outbox))
            except* Corrupt as errors:
                self._add_fault(str(errors.exceptions[0]))
                is_broken = True
            self.outbox = None
            with contextlib.suppress(StorageFull, Corrupt):
                await outbox.close()

    def committed(self) -> None:
        """Take note that readings are safe on the disk: there is something to send."""
        if self.outbox is not None:
            self._uplink.committed(self.outbox)

    async def release(self, device: str) -> None:
        """Let the readings of a device go that got its identity; where there is no outbox now, opening it does that."""
        while self.outbox is not None:
            try:
                await self.outbox.release(device)
            except StorageFull as error:
                _log.warning("the readings of %s are held yet: %s", device, error)
                await asyncio.sleep(OUTBOX_RETRY_S)
            else:
                self._uplink.backlog_changed()
                return

    async def abandon(self, device: str) -> None:
        """Give up what is held for a device that nobody can name any more, what is still in memory included.

        Raises:
            StorageFull: It is held yet.
        """
        if (outbox := self.outbox) is not None:
            # A broken outbox is put aside, with all that is held, by the loop that owns it.
            with contextlib.suppress(Corrupt):
                await self._intake.flush(outbox)
                await outbox.abandon(device)

    async def flush(self) -> None:
        """Put everything on the disk that a restart of the machine would take away.

        Raises:
            StorageFull: It is not there yet.
        """
        clock, outbox = self._clock, self.outbox
        if outbox is None:
            return
        # A broken outbox is put aside by the loop that owns it; it must not hold up a restart.
        with contextlib.suppress(Corrupt):
            if (utc_ms := clock.utc_ms()) is not None:
                # Without it, readings of this boot would never learn their time.
                await outbox.anchor(now_ms=clock.monotonic_ms(), utc_ms=utc_ms)
                self.is_anchored = True
            await self._intake.flush(outbox)

    async def close(self) -> None:
        """Last of all: what was taken in since the last commit goes to the disk."""
        if self.outbox is not None:
            try:
                await self._intake.flush(self.outbox)
            except (StorageFull, Corrupt) as error:
                _log.error("%d readings could not be kept: %s", self._intake.waiting, error)
            with contextlib.suppress(StorageFull, Corrupt):
                await self.outbox.close()
        elif self._intake.waiting:
            _log.error("%d readings could not be kept: %s", self._intake.waiting, self.problem)

    async def _open(self, *, is_broken: bool) -> Outbox:
        while True:
            try:
                self.outbox, aside = await open_outbox(
                    self._directory,
                    boot_id=self._clock.boot_id,
                    limits=self._limits,
                    worker=self._worker,
                    disk=self._disk,
                    is_broken=is_broken,
                )
            except (StorageFull, Corrupt) as error:
                self.problem = str(error)
                self._add_fault(str(error))
                await asyncio.sleep(OUTBOX_RETRY_S)
                continue
            self.problem, self.is_anchored = "", False
            if aside is not None:
                text = f"{FILE_NAME} could not be read; it is kept as {aside}, and a new one was made"
                self._add_fault(text)
                _log.error("%s", text)
            return self.outbox

    async def _upkeep(self, outbox: Outbox) -> None:
        """Anchor the boot as soon as its time is known; keep the outbox tidy."""
        while True:
            utc_ms = self._clock.utc_ms()
            if utc_ms is not None:
                try:
                    anchor = await outbox.anchor(now_ms=self._clock.monotonic_ms(), utc_ms=utc_ms)
                except StorageFull as error:
                    _log.warning("readings wait for their time stamps: %s", error)
                else:
                    self.is_anchored = True
                    if anchor is not None:
                        self._uplink.backlog_changed()
            with contextlib.suppress(StorageFull):
                await outbox.tidy()
            await asyncio.sleep(TIDY_S if self.is_anchored else ANCHOR_POLL_S)
