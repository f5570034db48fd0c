"""Runs the demo: the hub on real sockets and a real disk, in a house whose time runs faster; and audits every reading.

Runs the same `Hub` as `climahub run`. Must never help it along; a display only receives snapshots. The audit compares
the readings that the hub has taken with the cloud's store and the outbox file. It must not trust the hub: it keeps its
own count.
"""

import asyncio
import contextlib
import functools
import logging
import math
import random
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from agent import __version__, app, environment
from agent.climate.model import ALL_ZONES
from agent.climate.requests import PutScheduleRequest
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.config import Resolved
from agent.errors import StorageFull
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.host import Unmanaged
from agent.foundation.log_ring import LogRing
from agent.foundation.worker import ThreadWorker
from agent.local.climate import ClimateReport, build_climate
from agent.local.routes import Role
from agent.local.status import HubStatus
from agent.port.config_editor import RunningConfig
from agent.port.config_store import ConfigStore
from agent.telemetry.outbox.protocol import Lane, OutboxLimits, OutboxStats, PendingReading
from agent.telemetry.outbox.store import open_outbox
from hal.interface import Reading
from hal.sim import SimBoard
from lab.cli.options import on_signals
from lab.demo.boxed_sensor import BoxedSensor
from lab.demo.environment import WEEK, Cloud, CloudCondition, OutagePhase, Scenario, make_config, phases, zones_of
from lab.demo.paced_loop import PacedClock, PacedLoop, people_context
from lab.refcloud.records import AcceptedReading

Key: TypeAlias = tuple[str, str, int]
"""Device as the hub calls it, kind, UTC in milliseconds."""


class AuditResult(msgspec.Struct, frozen=True):
    """The outcomes of all readings at the end.

    Attributes:
        taken: Readings that were committed to the outbox.
        accepted: Stored by the cloud with the measured value.
        pending: Waiting in the outbox on the disk.
        given_up: Downsampled, dropped or refused for good, on record.
        altered: Stored by the cloud with another value, or never measured.
        lost: Neither in the cloud nor in the outbox.
    """

    taken: int
    accepted: int
    pending: int
    given_up: int
    altered: int
    lost: int

    @property
    def is_clean(self) -> bool:
        """Whether no reading was lost or altered."""
        return not self.lost and not self.altered


class Audit:
    """Records every reading when it is durable."""

    def __init__(self, zero_utc_ms: int) -> None:
        """Begin.

        Args:
            zero_utc_ms: UTC of boot time 0.
        """
        self._zero_utc_ms = zero_utc_ms
        self._taken: dict[Key, float] = {}

    @property
    def taken(self) -> int:
        """The number of readings."""
        return len(self._taken)

    def committed(self, readings: Sequence[Reading]) -> None:
        """Record readings."""
        for reading in readings:
            self._taken[reading.device, reading.kind.value, reading.at_ms + self._zero_utc_ms] = reading.value

    def close(
        self,
        stored: Iterable[AcceptedReading],
        device_of: Mapping[str, str],
        waiting: Iterable[PendingReading],
        stats: OutboxStats,
    ) -> AuditResult:
        """Return the result.

        Args:
            stored: All readings that the cloud has.
            device_of: The hub's name of a device, by the cloud's id.
            waiting: All readings that the outbox on the disk would send.
            stats: The outbox's counts of readings that it holds back or gave up.
        """
        missing = dict(self._taken)
        accepted = altered = 0
        for reading in stored:
            value = missing.pop((device_of.get(reading.device_id, "?"), reading.sensor_type, reading.at_ms), None)
            if value == reading.value:
                accepted += 1
            else:
                altered += 1
        listed = pending = 0
        for item in waiting:
            listed += 1
            # The response to the last request may have been lost: then both the cloud and the outbox have a reading.
            pending += missing.pop((item.device, item.kind.value, item.utc_ms), None) is not None
        held_back = min(len(missing), max(0, stats.pending - listed))
        given_up = min(len(missing) - held_back, stats.downsampled + stats.dropped + stats.dead_letters)
        return AuditResult(
            taken=len(self._taken),
            accepted=accepted,
            pending=pending + held_back,
            given_up=given_up,
            altered=altered,
            lost=len(missing) - held_back - given_up,
        )


CLAIM_READINGS = 100
_AGENT_LOG = logging.getLogger("agent")

PAGE_POLL_S = 1.0
"""Of the house: how often to look whether the page is served."""
PAUSE_S_MIN = 0.02
"""Time stands still while the loop works, so a pause ends a little late; this bounds the number of the last ones."""


class Options(msgspec.Struct, frozen=True):
    """The options of a demo.

    Attributes:
        scenario: The house.
        for_s: Real seconds after which it ends; `None`: at Ctrl-C only.
        speed: Seconds of the house in a real one.
        seed: Everything random follows from it.
        sensors: Series of the simulated house.
        has_outages: Whether the cloud fails from time to time.
        refresh_s: Real seconds between two snapshots.
    """

    scenario: Scenario
    for_s: float | None
    speed: float
    seed: int
    sensors: int
    has_outages: bool
    refresh_s: float


class DemoSnapshot(msgspec.Struct, frozen=True):
    """The state of the demo at one moment.

    Attributes:
        status: The hub's status.
        phase: The condition of the cloud.
        house_s: How long the house has been running.
        real_s: How long the demo has been running.
        taken: Readings that are durable, counted by the audit.
        stored: Different readings in the cloud.
        socket: The local API, for `climahub status`.
        climate: The zones.
        page: The address of the hub's page; empty until it is served.
        code: Signs in there as the owner.
    """

    status: HubStatus
    phase: OutagePhase
    house_s: float
    real_s: float
    taken: int
    stored: int
    socket: Path
    climate: ClimateReport
    page: str = ""
    code: str = ""


class DemoDisplay(Protocol):
    """Shows snapshots."""

    def show(self, scene: DemoSnapshot) -> None:
        """Show a snapshot."""
        ...


def run_demo(options: Options, audience: DemoDisplay, real_s: Callable[[], float]) -> AuditResult:
    """Run the demo and return the outcome of every reading.

    Args:
        options: The options.
        audience: Receives a snapshot every `refresh_s`.
        real_s: A real clock.
    """
    with tempfile.TemporaryDirectory(prefix="climahub-demo-") as directory:
        loop = PacedLoop(options.speed, real_s)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(_play(loop, options, audience, real_s, Path(directory)))


async def _play(
    loop: PacedLoop, options: Options, audience: DemoDisplay, real_s: Callable[[], float], directory: Path
) -> AuditResult:
    return await _Demo(loop, options, audience, real_s, directory).run()


class _Demo:
    """One run; created inside the loop."""

    def __init__(
        self, loop: PacedLoop, options: Options, audience: DemoDisplay, real_s: Callable[[], float], directory: Path
    ) -> None:
        self._options = options
        self._audience = audience
        self._real_s = real_s
        self._directory = directory
        self._began_s = real_s()
        self._loop = loop
        self._clock = PacedClock(loop.house_s, options.scenario.start_utc_ms)
        self._books = Audit(self._clock.zero_utc_ms)
        self._cloud = Cloud(self._clock, random.Random(options.seed))  # noqa: S311 - a demo needs no secrets
        self._phase = OutagePhase(CloudCondition.FAIR, 0.0, 0.0)
        self._stop = asyncio.Event()
        self._log_ring = LogRing(self._clock.monotonic_ms)
        self._page = self._code = ""

    async def run(self) -> AuditResult:
        """Run until the time is over or a person stops it, then audit the readings."""
        on_signals(self._stop.set)
        base_url = await self._cloud.open()
        seed, sensors = self._options.seed, self._options.sensors
        plain = make_config(base_url, self._directory, seed=seed, sensors=sensors).config
        board = self._options.scenario.board(plain.board, self._clock, speed=self._options.speed)
        resolve = functools.partial(
            make_config, base_url, self._directory, seed=seed, sensors=sensors, climate=zones_of(board)
        )
        config = resolve().config
        for directory in (config.storage.state_dir, config.storage.run_dir):
            directory.mkdir(mode=0o750)
        boxed = BoxedSensor(board, self._clock) if isinstance(board, SimBoard) else None
        paired = [sensor.device for sensor in board.network.sensors] if board.network else []
        key, sensor_keys = self._cloud.provision([*paired, *(boxed.devices if boxed else ())])
        # The key of a sensor in its box is on the box: the hub has it when somebody unpacks the sensor.
        boxed_keys = {device: sensor_keys.pop(device) for device in (boxed.devices if boxed else ())}
        worker = ThreadWorker("storage")
        async with new_session(tcp_connector(None), user_agent=f"climahub/{__version__}") as session:
            hub = app.Hub(
                config,
                environment.Environment(
                    board=board,
                    clock=self._clock,
                    rng=random.Random(self._options.seed),  # noqa: S311 - jitter, not secrets
                    disk=Disk(),
                    worker=worker,
                    session=session,
                    ledger=QuotaLedger(None, self._clock.boot_id),
                    read_key=lambda: key,
                    sensor_keys=sensor_keys,
                    host=Unmanaged(),
                    check_for=environment.check_for,
                    on_committed=self._books.committed,
                    port_clock=SystemClock(trust_wall_clock=True),
                    port_context=people_context(),
                    log_ring=self._log_ring,
                    running_config=_running_config(resolve, config.storage.state_dir, worker),
                ),
            )
            if hub.climate is not None:
                hub.home.home.thermostats.apply(ALL_ZONES, PutScheduleRequest(WEEK), by="demo")

            def unpack(device: str) -> None:
                sensor_keys[device] = boxed_keys[device]
                hub.pairing.keys_changed()

            with self._recorded_log():
                await self._watch(hub, functools.partial(boxed.run, unpack) if boxed else None)
        account = await self._audit(config.storage.state_dir, worker)
        worker.close()
        await self._cloud.close()
        return account

    @contextlib.contextmanager
    def _recorded_log(self) -> Iterator[None]:
        """Keep the agent's last log records for the page; where they go otherwise is the caller's."""
        _AGENT_LOG.addHandler(self._log_ring)
        try:
            yield
        finally:
            _AGENT_LOG.removeHandler(self._log_ring)

    async def _watch(self, hub: app.Hub, unbox: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(self._make_weather()), group.create_task(self._perform(hub))]
            others.append(group.create_task(self._open_page(hub)))
            if unbox:
                others.append(group.create_task(unbox(), context=people_context()))
            await hub.run(self._stop)
            for task in others:
                task.cancel()

    async def _open_page(self, hub: app.Hub) -> None:
        """Make a code for the hub's page, once it is served."""
        while not (addresses := hub.port.listeners.addresses):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(PAGE_POLL_S)
        # Noted now: the demo may end, and its hub be closed, before there is a code.
        page = addresses[0]
        while not self._code:
            # The house's seconds are short: the file may not have been read yet.
            with contextlib.suppress(StorageFull):
                self._code, _ = await hub.port.credentials.make_code(Role.OWNER)
            await asyncio.sleep(PAGE_POLL_S)
        self._page = page

    async def _make_weather(self) -> None:
        for phase in phases(self._options.seed, speed=self._options.speed, are_wanted=self._options.has_outages):
            self._phase = phase
            await self._cloud.set_weather(phase.weather)
            if phase.ends_s == math.inf:
                return
            await asyncio.sleep(phase.ends_s - self._loop.house_s())

    async def _perform(self, hub: app.Hub) -> None:
        """Show a snapshot at each refresh; end when the time is over."""
        options = self._options
        while True:
            shown_s = self._real_s() - self._began_s
            scene = self._scene(hub, shown_s)
            self._audience.show(scene)
            if self._is_told(scene):
                break
            pause_s = options.refresh_s
            if options.for_s is not None:
                if shown_s >= options.for_s:
                    break
                pause_s = max(min(pause_s, options.for_s - shown_s), PAUSE_S_MIN)
            await asyncio.sleep(pause_s * options.speed)
        self._stop.set()

    def _is_told(self, scene: DemoSnapshot) -> bool:
        """Tell whether a recording is over and all its readings have arrived."""
        recording = self._options.scenario.recording
        return recording is not None and scene.stored == recording.readings_count

    def _scene(self, hub: app.Hub, shown_s: float) -> DemoSnapshot:
        return DemoSnapshot(
            status=hub.status(),
            phase=self._phase,
            house_s=self._loop.house_s(),
            real_s=shown_s,
            taken=self._books.taken,
            stored=self._cloud.accepted,
            socket=hub.config.local_api.socket,
            climate=build_climate(hub.climate),
            page=self._page,
            code=self._code,
        )

    async def _audit(self, state_dir: Path, worker: ThreadWorker) -> AuditResult:
        """Open the hub's files from outside, and compare them with the cloud's store."""
        limits = OutboxLimits(2**40, 0, 2**30)
        outbox, _ = await open_outbox(state_dir, boot_id="audit", limits=limits, worker=worker, disk=Disk())
        waiting: list[PendingReading] = []
        for lane in Lane:
            while items := await outbox.claim(lane, CLAIM_READINGS):
                waiting += items
        stats = outbox.stats()
        await outbox.close()
        return self._books.close(self._cloud.stored(), self._cloud.device_of, waiting, stats)


def _running_config(resolve: Callable[..., Resolved], state_dir: Path, worker: ThreadWorker) -> RunningConfig:
    """Return the configuration that the page shows; what a person changes there is in force where it can be at once."""
    return RunningConfig(
        file="demo",
        resolved=resolve(),
        problem="",
        store=ConfigStore(state_dir, disk=Disk(), worker=worker),
        resolve=lambda changes: resolve(changes=changes),
        use=lambda used, _: _AGENT_LOG.setLevel(used.config.log.level.upper()),
        restart=None,
    )
