"""The room of readings: keeps an outbox open and runs what works on it. Decides nothing about a reading.

Owns the life of `outbox.db`: opens it, puts an unreadable one aside, anchors it to the time, tidies and closes it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.problem_log import ProblemLog
from agent.foundation.worker import Worker
from agent.telemetry.failover import FailoverOutbox
from agent.telemetry.identities import Identities
from agent.telemetry.intake import Intake
from agent.telemetry.outbox.protocol import Outbox, OutboxLimits
from agent.telemetry.outbox.store import FILE_NAME, open_outbox
from agent.telemetry.uplink import Uplink

_log = logging.getLogger(__name__)

MAINTENANCE_INTERVAL_S = 300.0
"""How often the outbox is tidied and the clock's anchor checked, besides what each commit does."""

ANCHOR_POLL_S = 1.0
"""How often an unanchored boot asks whether the clock is right."""

OUTBOX_RETRY_S = 10.0
"""Pause before the outbox is opened again after the disk refused it."""

OPEN_TRIES_MAX = 6
"""How often an outbox that the disk does not read is tried before it is put aside: an error of the medium may pass."""


class TelemetryService:
    """Everything between a reading that was taken in and the cloud that accepts it.

    Attributes:
        is_anchored: The outbox knows the time of this boot, and so of all its readings; boots before do not count.
    """

    def __init__(
        self,
        directory: Path,
        *,
        limits: OutboxLimits,
        intake: Intake,
        uplink: Uplink,
        failover: FailoverOutbox,
        identities: Identities,
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
            failover: What the uplink empties, whether there is an outbox on the disk or not.
            identities: The cloud identities of relayed sensors.
            clock: The boot's clocks.
            disk: Where durable operations are announced.
            worker: Where the outbox works.
            add_fault: Told of what went wrong and was survived.
        """
        self._directory = directory
        self._limits = limits
        self._intake = intake
        self._uplink = uplink
        self._failover = failover
        self._identities = identities
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._add_fault = add_fault
        self._unopened = ProblemLog(_log, "the outbox cannot be opened")
        self._unstamped = ProblemLog(_log, "readings wait for their time stamps", level=logging.WARNING)
        self._is_unreadable = False
        self._not_marked_yet: set[str] = set()
        self.is_anchored = False

    @property
    def outbox(self) -> Outbox | None:
        """Where readings are kept; `None` while it cannot be opened."""
        return self._failover.disk_outbox

    @property
    def problem(self) -> str:
        """Why it cannot be opened, or not be read; empty where it can."""
        return self._failover.problem or self._failover.read_problem

    async def run(self) -> None:
        """Run what works on the outbox, until cancelled; one that turns out unreadable is put aside and made anew."""
        is_broken = False
        while True:
            outbox = self.outbox or await self._open(is_broken=is_broken) or await self._open_later(is_broken=is_broken)
            try:
                # The power may have gone between a device's registration and the release of its readings.
                for device in self._identities.registered_devices:
                    await self._mark_registered_now(outbox, device)
                async with asyncio.TaskGroup() as group:
                    for work in (self._intake.run(self._failover), self._uplink.run(self._failover)):
                        group.create_task(work)
                    group.create_task(self._upkeep(outbox))
            except* Corrupt as errors:
                self._add_fault(str(errors.exceptions[0]))
                is_broken = True
            self._failover.disk_outbox = None
            self._uplink.discard_stored()
            with contextlib.suppress(StorageFull, Corrupt):
                await outbox.close()

    async def _open_later(self, *, is_broken: bool) -> Outbox:
        """Open the outbox once the disk allows it; until then, readings go out from memory."""
        async with asyncio.TaskGroup() as group:
            aside = [
                group.create_task(work) for work in (self._intake.run(self._failover), self._uplink.run(self._failover))
            ]
            tries = 1
            while True:
                await asyncio.sleep(OUTBOX_RETRY_S)
                tries += self._is_unreadable
                outbox = await self._open(is_broken=is_broken or tries > OPEN_TRIES_MAX)
                if outbox is not None:
                    break
            for task in aside:
                task.cancel()
        return outbox

    async def _mark_registered_now(self, outbox: Outbox, device: str) -> None:
        try:
            await outbox.mark_registered(device)
        except StorageFull as error:
            if device not in self._not_marked_yet:
                _log.warning("the readings of %s are held yet: %s", device, error)
            self._not_marked_yet.add(device)
        else:
            self._not_marked_yet.discard(device)

    def committed(self) -> None:
        """Take note that readings are safe on the disk: there is something to send."""
        if self.outbox is not None:
            self._uplink.readings_committed(self._failover)

    def refused(self) -> None:
        """Take note that the disk refused readings: after a while they go out from memory."""
        self._uplink.wake()

    async def mark_registered(self, device: str) -> None:
        """Let the readings of a device go that got its identity; where there is no outbox now, opening it does that."""
        unregistered = ProblemLog(_log, f"the readings of {device} are held yet", level=logging.WARNING)
        while self.outbox is not None:
            try:
                await self.outbox.mark_registered(device)
            except StorageFull as error:
                unregistered.report(str(error))
                await asyncio.sleep(OUTBOX_RETRY_S)
            else:
                self._uplink.backlog_available()
                return

    async def drop_unregistered(self, device: str) -> None:
        """Give up what is held for a device that nobody can name any more, what is still in memory included.

        Raises:
            StorageFull: It is held yet.
        """
        if (outbox := self.outbox) is not None:
            # A broken outbox is put aside, with all that is held, by the loop that owns it.
            with contextlib.suppress(Corrupt):
                await self._intake.flush(outbox)
                await outbox.drop_unregistered(device)

    async def flush(self) -> None:
        """Put everything on the disk that a restart of the machine would take away.

        Raises:
            StorageFull: It is not there yet.
        """
        outbox = self.outbox
        if outbox is None:
            return
        # A broken outbox is put aside by the loop that owns it; it must not hold up a restart.
        with contextlib.suppress(Corrupt):
            if self._clock.utc_ms() is not None:
                # Without it, readings of this boot would never learn their time.
                await self._anchor(outbox)
            await self._intake.flush(outbox)

    async def close(self) -> None:
        """Last of all: what was taken in since the last commit goes to the disk."""
        self._failover.return_unaccepted()
        outbox = self.outbox
        if outbox is not None:
            try:
                await self._intake.flush(outbox)
            except (StorageFull, Corrupt) as error:
                _log.error("%d readings could not be kept: %s", self._intake.uncommitted, error)
            with contextlib.suppress(StorageFull, Corrupt):
                await outbox.close()
        elif self._intake.uncommitted:
            _log.error("%d readings could not be kept: %s", self._intake.uncommitted, self.problem)

    async def _open(self, *, is_broken: bool) -> Outbox | None:
        try:
            outbox, aside = await open_outbox(
                self._directory,
                boot_id=self._clock.boot_id,
                limits=self._limits,
                worker=self._worker,
                disk=self._disk,
                is_broken=is_broken,
            )
        except (StorageFull, Corrupt) as error:
            self._failover.problem = str(error)
            self._is_unreadable = isinstance(error, ReadFailed)
            self._unopened.report(str(error))
            return None
        self._unopened.clear()
        self._failover.problem, self.is_anchored = "", False
        if aside is not None:
            text = f"{FILE_NAME} could not be read; it is kept as {aside}, and a new one was made"
            self._add_fault(text)
            _log.error("%s", text)
        if outbox.lost_count:
            text = (
                f"about {outbox.lost_count:,} promised readings are gone: {FILE_NAME} was lost, cut short or replaced"
            )
            self._add_fault(text)
            _log.error("%s", text)
        self._failover.disk_outbox = outbox
        return outbox

    async def _upkeep(self, outbox: Outbox) -> None:
        """Anchor the boot as soon as its time is known; keep the outbox tidy."""
        while True:
            if self._clock.utc_ms() is not None:
                await self._anchor(outbox)
            with contextlib.suppress(StorageFull):
                await outbox.maintain()
            for device in tuple(self._not_marked_yet):
                await self._mark_registered_now(outbox, device)
            if self._failover.read_problem:
                self._uplink.backlog_available()
            await asyncio.sleep(MAINTENANCE_INTERVAL_S if self.is_anchored else self._anchor_poll_s())

    def _anchor_poll_s(self) -> float:
        return OUTBOX_RETRY_S if self._unstamped.text else ANCHOR_POLL_S

    async def _anchor(self, outbox: Outbox) -> None:
        now_ms, utc_ms = self._clock.monotonic_ms(), self._clock.utc_ms()
        if utc_ms is None:
            return
        used = self._failover.anchor
        if used is not None and outbox.utc_ms(now_ms) is None:
            # As readings have been stamped that went out from memory: none must be known under two timestamps.
            now_ms, utc_ms = used.from_ms, used.from_ms + used.utc_at_zero_ms
        try:
            anchor = await outbox.anchor(now_ms=now_ms, utc_ms=utc_ms)
        except StorageFull as error:
            self._unstamped.report(str(error))
            return
        self._unstamped.clear()
        self.is_anchored = True
        if anchor is not None:
            self._uplink.backlog_available()
