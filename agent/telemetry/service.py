"""Telemetry as a whole: builds its parts, and keeps an outbox open for them. Decides nothing about a reading.

Owns the life of `outbox.db`: opens it, quarantines an unreadable one, anchors it to the time, maintains and closes it.
"""

import asyncio
import contextlib
import functools
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from agent.cloud.client import TelemetryClient
from agent.config import CloudConfig, Config, StorageConfig
from agent.errors import Corrupt, StorageFull
from agent.foundation.beat import next_beat
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.log import ProblemLog
from agent.foundation.store_loop import StoreOpener, run_on_store
from agent.foundation.worker import Worker
from agent.telemetry.failover import FailoverOutbox
from agent.telemetry.intake import Identities, Intake
from agent.telemetry.outbox.held import IsElsewhere
from agent.telemetry.outbox.protocol import Outbox, OutboxLimits
from agent.telemetry.outbox.store import FILE_NAME, SqliteOutbox, open_outbox
from agent.telemetry.own_sensors import OwnSensors
from agent.telemetry.relayed_sensors import RelayedSensorReceiver
from agent.telemetry.sampling import Sampler, SamplingSchedule
from agent.telemetry.uplink import Uplink
from hal.interface import Board, Reading, Sensor, SensorNetwork
from hal.plausibility import PlausibilityCheck

_log = logging.getLogger(__name__)

MAINTENANCE_INTERVAL_S = 300.0
"""How often the outbox is maintained and the anchor checked, beside what each commit does."""

ANCHOR_POLL_S = 1.0
"""How often the clock is checked while the boot is not anchored."""

OUTBOX_RETRY_S = 10.0
"""Pause before the outbox is opened again after the disk refused it."""


class TelemetryService:
    """Everything from a sensor to the acceptance of its readings by the cloud.

    Attributes:
        intake: Takes readings in.
        uplink: Sends them.
        failover: What the uplink sends: the outbox, or memory while the disk refuses readings.
        own_sensors: Which of the board's sensors are read and reported.
        sampler: Reads them.
        receiver: Receives relayed sensors; `None` where the board has no network.
        is_anchored: The outbox has the time of this boot, so each of its readings has a timestamp.
    """

    def __init__(
        self,
        config: Config,
        *,
        board: Board,
        check_for: Callable[[Sensor], PlausibilityCheck],
        client: TelemetryClient,
        identities: Identities,
        schedule: Callable[[], SamplingSchedule],
        phase: float,
        clock: Clock,
        rng: random.Random,
        disk: Disk,
        worker: Worker,
        add_fault: Callable[[str], None],
        on_committed: Callable[[Sequence[Reading]], None],
        on_memory_send: Callable[[Sequence[Reading]], None],
        correct: Callable[[Reading], Reading],
        derived: Callable[[], Sequence[Sensor]] = lambda: (),
        label: Callable[[], str] = lambda: "",
        is_elsewhere: IsElsewhere = lambda _: False,
    ) -> None:
        """Build all parts; nothing runs yet.

        Args:
            config: Of the hub.
            board: Its sensors and their network.
            check_for: Returns the plausibility check of one of the hub's own sensors.
            client: Sends to the cloud.
            identities: The cloud identities of relayed sensors.
            schedule: Returns when to sample.
            phase: Of this hub, see `next_tick_ms`.
            clock: The boot's clocks.
            rng: For the random pause after an outage.
            disk: Where durable operations are announced.
            worker: Where the outbox works.
            add_fault: Receives what went wrong and was survived.
            on_committed: Receives the readings of each durable commit.
            on_memory_send: Receives readings that are about to be sent from memory.
            correct: Returns a reading with the right value, and suspect where its sensor is doubted.
            derived: Returns sensors that are computed from the board's channels.
            label: Returns what is recorded with the readings of the machine that they are taken on; empty for nothing.
            is_elsewhere: Tells whether readings were recorded on another machine: they are held back.
        """
        storage, network = config.storage, board.network
        self._directory: Path = storage.state_dir
        self._limits = _outbox_limits(storage)
        self._identities = identities
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._add_fault = add_fault
        self._label = label
        self._is_elsewhere = is_elsewhere
        self.intake = Intake(
            commit_interval_s=storage.commit_interval_s,
            readings_max=storage.memory_readings_max,
            identities=identities,
            on_committed=on_committed,
            on_all_durable=network.confirm if network else lambda: None,
            now_ms=clock.monotonic_ms,
            correct=correct,
        )
        self.failover = FailoverOutbox(self.intake, clock=clock, identities=identities, on_memory_send=on_memory_send)
        self.uplink = self._build_uplink(config.cloud, client, rng)
        self.receiver = self._build_receiver(network, schedule)
        self.own_sensors = OwnSensors(config, board, check_for, clock=clock, disk=disk, worker=worker, derived=derived)
        self.sampler = Sampler(
            self.own_sensors.checked,
            primary=self.own_sensors.primary.sensors,
            intake=self.intake,
            clock=clock,
            schedule=schedule,
            phase=phase,
        )
        self._opener = StoreOpener(
            self._open_file,
            problem_log=ProblemLog(_log, "the outbox cannot be opened"),
            on_quarantined=self._report_quarantined,
            retry_s=OUTBOX_RETRY_S,
        )
        self._unanchored = ProblemLog(_log, "readings wait for their timestamps", level=logging.WARNING)
        self._not_marked_yet: set[str] = set()
        self.is_anchored = False

    def _build_uplink(self, cloud: CloudConfig, client: TelemetryClient, rng: random.Random) -> Uplink:
        uplink = Uplink(
            client,
            self.failover,
            clock=self._clock,
            rng=rng,
            identities=self._identities,
            linger_s=cloud.batch_linger_s,
            readings_max=cloud.batch_readings_max,
        )
        self.intake.add_listener(uplink)
        return uplink

    def _build_receiver(
        self, network: SensorNetwork | None, schedule: Callable[[], SamplingSchedule]
    ) -> RelayedSensorReceiver | None:
        if network is None:
            return None
        return RelayedSensorReceiver(
            network, intake=self.intake, kinds=lambda: schedule().kinds, identities=self._identities
        )

    @property
    def outbox(self) -> Outbox | None:
        """The outbox on the disk; `None` while it cannot be opened."""
        return self.failover.disk_outbox

    @property
    def problem(self) -> str:
        """Why readings cannot be stored or read; empty where they can."""
        return self.failover.problem or self.failover.read_problem or self.intake.storage_problem

    @property
    def sensor_problems(self) -> Sequence[str]:
        """What is wrong in `[sensors]` of the configuration."""
        return self.own_sensors.problems

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, by the component that a fault names."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {"telemetry": self.run, "sampling": self.sampler.run}
        if self.receiver is not None:
            loops["relayed sensors"] = self.receiver.run
        if (finder := self.own_sensors.finder) is not None:
            loops["own sensors"] = functools.partial(self.own_sensors.follow, finder, self.sampler)
        return loops

    async def run(self) -> None:
        """Run what works on the outbox, until cancelled; a corrupt outbox is quarantined and replaced."""
        await run_on_store(self._open, self._work, close=self._close_corrupt, on_corrupt=self._report_corrupt)

    async def _open(self) -> Outbox:
        """Return the outbox once the disk allows it; until then, readings are sent from memory."""
        outbox = self.outbox or await self._attempt_open()
        if outbox is not None:
            return outbox
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.intake.run(self.failover)), group.create_task(self.uplink.run())]
            while outbox is None:
                await asyncio.sleep(OUTBOX_RETRY_S)
                outbox = await self._attempt_open()
            for task in tasks:
                task.cancel()
        return outbox

    async def _attempt_open(self) -> SqliteOutbox | None:
        outbox = await self._opener.attempt()
        self.failover.problem = self._opener.problem
        if outbox is None:
            return None
        self.is_anchored = False
        if outbox.lost_count:
            text = (
                f"about {outbox.lost_count:,} stored readings are lost: {FILE_NAME} was deleted, cut short or replaced"
            )
            self._report(text)
        self.failover.disk_outbox = outbox
        return outbox

    async def _open_file(self, is_broken: bool) -> tuple[SqliteOutbox, Path | None]:
        return await open_outbox(
            self._directory,
            boot_id=self._clock.boot_id,
            limits=self._limits,
            worker=self._worker,
            disk=self._disk,
            is_broken=is_broken,
            label=self._label,
            is_elsewhere=self._is_elsewhere,
        )

    def _report_quarantined(self, aside: Path) -> None:
        self._report(f"{FILE_NAME} could not be read; it is kept as {aside}, and a new one was made")

    def _report(self, text: str) -> None:
        self._add_fault(text)
        _log.error("%s", text)

    def _report_corrupt(self, problem: str) -> None:
        self._add_fault(problem)
        self._opener.mark_corrupt()

    async def _close_corrupt(self, outbox: Outbox) -> None:
        self.failover.disk_outbox = None
        self.uplink.discard_stored()
        with contextlib.suppress(StorageFull, Corrupt):
            await outbox.close()

    async def _work(self, outbox: Outbox) -> None:
        # The power may have failed between a device's registration and that of its readings.
        for device in self._identities.registered_devices:
            await self._mark_registered_once(outbox, device)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.intake.run(self.failover))
            group.create_task(self.uplink.run())
            group.create_task(self._maintain(outbox))

    async def _mark_registered_once(self, outbox: Outbox, device: str) -> None:
        try:
            await outbox.mark_registered(device)
        except StorageFull as error:
            if device not in self._not_marked_yet:
                _log.warning("the readings of %s still wait for its registration: %s", device, error)
            self._not_marked_yet.add(device)
        else:
            self._not_marked_yet.discard(device)

    async def mark_registered(self, device: str) -> None:
        """Have the readings of a device sent that was registered; returns once that is durable.

        Returns at once while no outbox is open: opening it does the same for every registered device.
        """
        waiting = ProblemLog(_log, f"the readings of {device} still wait for its registration", level=logging.WARNING)
        while self.outbox is not None:
            try:
                await self.outbox.mark_registered(device)
            except StorageFull as error:
                waiting.report(str(error))
                await asyncio.sleep(OUTBOX_RETRY_S)
            else:
                self.uplink.backlog_available()
                return

    async def drop_unregistered(self, device: str) -> None:
        """Give up the readings of a device that can no longer be registered, those in memory included.

        Raises:
            StorageFull: They are still kept.
        """
        if (outbox := self.outbox) is not None:
            # `run` quarantines a corrupt outbox with all its readings.
            with contextlib.suppress(Corrupt):
                await self.intake.flush(outbox)
                await outbox.drop_unregistered(device)

    async def release_held(self) -> None:
        """Send the readings that were recorded on another machine.

        Raises:
            StorageFull: They are still held back.
            Corrupt: The outbox cannot be read; it is put aside soon.
        """
        if (outbox := self.outbox) is None:
            raise StorageFull(self.problem or "the outbox is not open yet; try again in a minute")
        await outbox.release_held()
        for device in self._identities.registered_devices:
            await self._mark_registered_once(outbox, device)
        self.uplink.backlog_available()

    async def discard_held(self) -> int:
        """Give up the readings that were recorded on another machine; return how many.

        Raises:
            StorageFull: They are still held back.
            Corrupt: The outbox cannot be read; it is put aside soon.
        """
        if self.outbox is None:
            raise StorageFull(self.problem or "the outbox is not open yet; try again in a minute")
        return await self.outbox.discard_held()

    async def flush(self) -> None:
        """Make durable what a restart of the machine would lose.

        Raises:
            StorageFull: It is not durable yet.
        """
        outbox = self.outbox
        if outbox is None:
            return
        # `run` quarantines a corrupt outbox; it must not delay a restart.
        with contextlib.suppress(Corrupt):
            if self._clock.utc_ms() is not None:
                # Without the anchor, readings of this boot would never get a timestamp.
                await self._anchor(outbox)
            await self.intake.flush(outbox)

    async def close(self) -> None:
        """Make the last readings durable and close the outbox, after every loop has ended."""
        try:
            if self.receiver is not None:
                self.receiver.finish()
        finally:
            await self._close()

    async def _close(self) -> None:
        self.failover.return_unaccepted()
        outbox = self.outbox
        if outbox is not None:
            try:
                await self.intake.flush(outbox)
            except (StorageFull, Corrupt) as error:
                _log.error("%d readings are lost with this process: %s", self.intake.uncommitted, error)
            with contextlib.suppress(StorageFull, Corrupt):
                await outbox.close()
        elif self.intake.uncommitted:
            _log.error("%d readings are lost with this process: %s", self.intake.uncommitted, self.problem)

    async def _maintain(self, outbox: Outbox) -> None:
        """Anchor the boot as soon as its time is known; maintain the outbox."""
        while True:
            if self._clock.utc_ms() is not None:
                await self._anchor(outbox)
            with contextlib.suppress(StorageFull):
                await outbox.maintain()
            for device in tuple(self._not_marked_yet):
                await self._mark_registered_once(outbox, device)
            if self.failover.read_problem:
                self.uplink.backlog_available()
            await next_beat(MAINTENANCE_INTERVAL_S if self.is_anchored else self._anchor_poll_s())

    def _anchor_poll_s(self) -> float:
        return OUTBOX_RETRY_S if self._unanchored.text else ANCHOR_POLL_S

    async def _anchor(self, outbox: Outbox) -> None:
        now_ms, utc_ms = self._clock.monotonic_ms(), self._clock.utc_ms()
        if utc_ms is None:
            return
        used = self.failover.anchor
        if used is not None and outbox.utc_ms(now_ms) is None:
            # The anchor that readings from memory were sent with: no reading may have two timestamps.
            now_ms, utc_ms = used.from_ms, used.from_ms + used.utc_at_zero_ms
        try:
            anchor = await outbox.anchor(now_ms=now_ms, utc_ms=utc_ms)
        except StorageFull as error:
            self._unanchored.report(str(error))
            return
        self._unanchored.clear()
        self.is_anchored = True
        if anchor is not None:
            self.uplink.backlog_available()


def _outbox_limits(storage: StorageConfig) -> OutboxLimits:
    return OutboxLimits(
        used_bytes_max=storage.outbox_bytes_max,
        disk_free_bytes_min=storage.disk_free_bytes_min,
        dead_letters_max=storage.dead_letters_max,
        gaps_max=storage.gaps_max,
    )
