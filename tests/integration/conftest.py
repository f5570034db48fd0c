"""A hub on real loopback sockets, real threads and real files, against the reference cloud, with little jitter."""

import asyncio
import itertools
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from agent import app, environment
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import RequestOptions, new_session, tcp_connector
from agent.config import resolve_text
from agent.foundation.clock import SystemClock, Timekeeper
from agent.foundation.disk import Disk
from agent.foundation.worker import ThreadWorker
from agent.local.status import HubStatus
from hal.errors import NetworkLost
from hal.interface import HUB, HvacOutputs, Reading, RelayedSensor, Sensor, SensorKind
from hal.plausibility import PlausibilityCheck
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import QUOTAS, Endpoint, EndpointQuota
from lab.refcloud.faults import FaultRule
from lab.refcloud.middleware import RequestOutcome
from lab.refcloud.records import AcceptedReading, DeviceKind

KEY = "cs_dev_" + "A1b2" * 8
WAIT_S = 120.0
"""How long a test waits for what should happen in well under a second: the machine may have eight times the work it can
do. Whoever waits for something in an integration test waits so long."""


BUS_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - the world has no event for it
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never came true: {condition}") from None


class TestSensor:
    """A sensor that does as it is told."""

    __test__ = False

    def __init__(self, name: str, kind: SensorKind, act: Callable[[], float]) -> None:
        self.name = name
        self.kind = kind
        self.act = act
        self.hang: asyncio.Event | None = None
        self.reads = 0

    async def read(self) -> float:
        self.reads += 1
        if self.hang is not None:
            await self.hang.wait()
        return self.act()


class TestNetwork:
    """Relayed sensors whose reports the test makes."""

    __test__ = False

    def __init__(self, *devices: str) -> None:
        self.sensors = [RelayedSensor(device, device, (SensorKind.TEMPERATURE,)) for device in devices]
        self.reports: asyncio.Queue[Sequence[Reading] | NetworkLost] = asyncio.Queue()
        self.confirmed = 0

    async def receive(self) -> Sequence[Reading]:
        report = await self.reports.get()
        if isinstance(report, NetworkLost):
            raise report
        return report

    def drain(self) -> Sequence[Reading]:
        taken: list[Reading] = []
        while not self.reports.empty():
            report = self.reports.get_nowait()
            taken += [] if isinstance(report, NetworkLost) else report
        return taken

    def confirm(self) -> None:
        self.confirmed += 1


class TestBoard:
    """A board of such sensors."""

    __test__ = False
    name = "test"
    outputs: HvacOutputs | None = None

    def __init__(self, sensors: Sequence[Sensor], network: TestNetwork | None) -> None:
        self.sensors = sensors
        self.network = network
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True


UPTIME_MS = 3_700_000
"""An hour after the boot: what a new boot must hold back of its quotas is over."""


class HubClock:
    """The machine's monotonic clock, and a wall clock in the test's hand."""

    def __init__(self) -> None:
        self._system = SystemClock(trust_wall_clock=True)
        self._begin_ms = self._system.monotonic_ms()
        # Asked once: a machine that corrects its wall clock meanwhile must not fail a test.
        self._begin_utc_ms = self._system.utc_ms() or 0
        self.boot_id = self._system.boot_id
        self.off_ms = 0
        self.is_synchronised = True
        self._stopped_at_ms: int | None = None

    @property
    def zero_utc_ms(self) -> int:
        """The wall clock's time at the zero of the monotonic one."""
        return self._begin_utc_ms + self.off_ms - UPTIME_MS

    def stand_still(self) -> None:
        """Let time pass by `skip` only: no window ends while a busy machine gets round to what a test does in it."""
        self._stopped_at_ms = self._system.monotonic_ms()

    def set_hour(self, hour: int) -> None:
        """Have it be that hour of the day in UTC: a test is not at midnight, nor at the next block of a schedule."""
        day_ms = 86_400_000
        self.off_ms += hour * 3_600_000 - (self._begin_utc_ms + self._passed_ms() + self.off_ms) % day_ms

    def skip(self, seconds: float) -> None:
        """Let so much time have passed at once."""
        self._begin_ms -= int(seconds * 1000)

    def monotonic_ms(self) -> int:
        return UPTIME_MS + self._passed_ms()

    def utc_ms(self) -> int | None:
        if not self.is_synchronised:
            return None
        return self._begin_utc_ms + self._passed_ms() + self.off_ms

    def _passed_ms(self) -> int:
        now_ms = self._system.monotonic_ms() if self._stopped_at_ms is None else self._stopped_at_ms
        return now_ms - self._begin_ms


class Hasty(random.Random):
    """Jitter without the waiting: the fiftieth part."""

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.random() / 50


class Host:
    """A service manager that listens."""

    watchdog_s: float | None = None

    def __init__(self) -> None:
        self.said: list[str] = []

    def ready(self) -> None:
        self.said.append("ready")

    def alive(self, status: str) -> None:
        self.said.append(status)

    def stopping(self) -> None:
        self.said.append("stopping")

    async def ensure_can_reboot(self) -> None:
        """Nothing hinders it."""

    async def reboot(self, reason: str) -> None:
        self.said.append("reboot")

    async def ensure_can_power_off(self) -> None:
        """Nothing hinders it."""

    async def power_off(self, reason: str) -> None:
        self.said.append("power off")


class Cloud:
    """A reference cloud on a port of its own, which can go away and come back."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - whatever the reference cloud takes
        clock = SystemClock(trust_wall_clock=True)
        ids = itertools.count(1)
        self.batches: list[Sequence[AcceptedReading]] = []
        self.requests: list[tuple[str, Endpoint, RequestOutcome]] = []
        self.reference = ReferenceCloud(
            utc_ms=lambda: clock.utc_ms() or 0,
            monotonic_s=lambda: clock.monotonic_ms() / 1000,
            rng=random.Random(1),
            new_id=lambda: f"00000000-0000-4000-8000-{next(ids):012}",
            on_readings=lambda _, readings: self.batches.append(readings),
            on_request=lambda name, endpoint, _, outcome: self.requests.append((name, endpoint, outcome)),
            quotas=dict.fromkeys(QUOTAS, EndpointQuota(limit=10_000, window_s=60)),
            **options,
        )
        self.hub_id = self.reference.admin.provision(NewDevice(name="hub", api_key=KEY)).device.device_id
        self._runner: web.AppRunner | None = None
        self._port = 0
        self.ssl_context: Any = None

    @property
    def url(self) -> str:
        return f"{'https' if self.ssl_context else 'http'}://127.0.0.1:{self._port}"

    def sensor_key(self, device: str) -> str:
        return self.reference.admin.provision(NewDevice(name=device, kind=DeviceKind.SENSOR)).api_key

    async def up(self) -> None:
        self._runner = web.AppRunner(
            self.reference.application(), access_log=None, handle_signals=False, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(
            self._runner, "127.0.0.1", self._port, reuse_address=True, ssl_context=self.ssl_context
        ).start()
        self._port = self._runner.addresses[0][1]

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def faults(self, *rules: FaultRule) -> None:
        self.reference.set_faults(rules)

    @property
    def accepted(self) -> list[AcceptedReading]:
        return [reading for batch in self.batches for reading in batch]

    @property
    def stored(self) -> list[AcceptedReading]:
        return self.reference.admin.readings().readings

    def answered(self, endpoint: Endpoint = Endpoint.TELEMETRY) -> list[int]:
        return [outcome.answered for _, asked, outcome in self.requests if asked is endpoint]


class RunningHub:
    """A hub, its board and everything that can be done to it."""

    def __init__(self, hub: app.Hub, board: TestBoard, clock: HubClock, host: Host) -> None:
        self.hub = hub
        self.board = board
        self.clock = clock
        self.host = host
        self.committed: list[Reading] = []
        self._last_at_ms = 0
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.hub.run(self.stop))

    async def end(self) -> None:
        self.stop.set()
        if self.task is not None:
            async with asyncio.timeout(WAIT_S):
                await self.task

    def status(self) -> HubStatus:
        return self.hub.status()

    def sample(self) -> None:
        """Have the next tick come now."""
        self.hub.telemetry.sampler.schedule_changed()

    def report(self, *values: float, device: str = HUB, kind: SensorKind = SensorKind.TEMPERATURE) -> None:
        """Take readings in, a millisecond apart, beside what is sampled."""
        at_ms = max(self.clock.monotonic_ms() - len(values), self._last_at_ms)
        for number, value in enumerate(values, 1):
            self.hub.telemetry.intake.offer(Reading(device, "test", kind, value, at_ms + number))
        self._last_at_ms = at_ms + len(values)


MakeHub = Callable[..., "RunningHub"]


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """A D-Bus of its own; its address."""
    config = tmp_path / "bus.conf"
    config.write_text(BUS_CONFIG.format(path=tmp_path / "bus"))
    with subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
        daemon.terminate()


@pytest.fixture
async def closed_bus(tmp_path: Path) -> AsyncIterator[str]:
    """A D-Bus that hangs up on who wants in, as one does that is stopping; its address."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_unix_server(hang_up, tmp_path / "closed"):
        yield f"unix:path={tmp_path}/closed"


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    made = Cloud()
    await made.up()
    yield made
    await made.down()


@pytest.fixture
async def make_hub(tmp_path: Path) -> AsyncIterator[MakeHub]:
    """Make a hub with a cloud, sensors, relayed devices and keys, and further text for its configuration."""
    hubs: list[RunningHub] = []
    sessions: list[aiohttp.ClientSession] = []
    workers: list[ThreadWorker] = []

    def make(
        url: str,
        *,
        sensors: Sequence[Sensor] = (),
        network: TestNetwork | None = None,
        sensor_keys: Mapping[str, str] | None = None,
        config_text: str = "",
        ca_file: str | None = None,
        clock: HubClock | None = None,
        read_key: Callable[[], str] = lambda: KEY,
        disk: Disk | None = None,
        serve: bool = False,
        timekeeper: Timekeeper | None = None,
        options: Callable[[URL], RequestOptions] = lambda _: RequestOptions(),
    ) -> RunningHub:
        text = f'[cloud]\nbase_url = "{url}"\nbatch_linger_s = 0\n{config_text}\n[storage]\ncommit_interval_s = 0.1\n'
        text += f'state_dir = "{tmp_path}/state"\nrun_dir = "{tmp_path}/run"\n'
        if "[port]" not in text:
            text += "[port]\nlisten = []\n"
        config = resolve_text(text, file="test", directory=tmp_path, environ={}).config
        for directory in (config.storage.state_dir, config.storage.run_dir):
            directory.mkdir(exist_ok=True)
        clock = clock or HubClock()
        board, host, worker = TestBoard(sensors, network), Host(), ThreadWorker("storage")
        session = new_session(tcp_connector(ca_file), user_agent="climahub/test")
        sessions.append(session)
        workers.append(worker)
        committed: list[Reading] = []
        given = environment.Environment(
            board=environment.with_parts(board, config, clock, Disk()),
            clock=clock,
            rng=Hasty(len(hubs)),
            disk=disk or Disk(),
            worker=worker,
            session=session,
            ledger=QuotaLedger(None, clock.boot_id),
            read_key=read_key,
            sensor_keys=sensor_keys or {},
            host=host,
            check_for=lambda sensor: PlausibilityCheck(sensor.kind),
            serve=serve,
            on_committed=committed.extend,
            timekeeper=timekeeper,
            options=options,
        )
        running = RunningHub(app.Hub(config, given), board, clock, host)
        running.committed = committed
        hubs.append(running)
        return running

    yield make
    for running in hubs:
        await running.end()
    for session in sessions:
        await session.close()
    for worker in workers:
        worker.close()
