"""The environment of the demo's hub: a house or a recording, and a reference cloud with outages.

Owns the listening socket, and the schedule of outages, which is pure. Must never speak to the hub other than as a real
cloud does.
"""

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
from aiohttp import web

from agent import environment
from agent.climate.model import Block, Schedule
from agent.config import BoardConfig, Resolved, resolve_text
from agent.config.loading import NO_CHANGES
from hal import replay, sim
from hal.interface import HUB, SERIES_MAX, Board, SensorKind
from lab.demo.paced_loop import UPTIME_S, PacedClock
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.faults import ErrorStatus, FaultRule
from lab.refcloud.records import AcceptedReading, DeviceKind


class CloudCondition(StrEnum):
    """The condition of the cloud."""

    FAIR = "fair"
    UNREACHABLE = "unreachable"
    FAILING = "failing"


class OutagePhase(msgspec.Struct, frozen=True):
    """A period with one condition of the cloud, in seconds of the house.

    Attributes:
        ends_s: When it ends; infinite for one that never ends.
    """

    weather: CloudCondition
    begins_s: float
    ends_s: float


PLAN_S = (
    (CloudCondition.FAIR, 5.0),
    (CloudCondition.UNREACHABLE, 7.0),
    (CloudCondition.FAIR, 9.0),
    (CloudCondition.FAILING, 4.0),
    (CloudCondition.FAIR, 6.0),
)
"""One round, in real seconds: long enough to see the outbox fill and empty."""

SPREAD = 0.2
"""The largest random change of a phase's length, as a part of it."""


def phases(seed: int, *, speed: float, are_wanted: bool = True) -> Iterator[OutagePhase]:
    """Yield the phases, one after the other without end; a single good one without outages."""
    if not are_wanted:
        yield OutagePhase(CloudCondition.FAIR, 0.0, float("inf"))
        return
    rng = random.Random(seed)  # noqa: S311 - a plan, not a secret
    begins_s = 0.0
    while True:
        for weather, watched_s in PLAN_S:
            ends_s = begins_s + watched_s * speed * rng.uniform(1 - SPREAD, 1 + SPREAD)
            yield OutagePhase(weather, begins_s, ends_s)
            begins_s = ends_s


HOST = "127.0.0.1"
SIM_START_UTC_MS = 1_768_456_800_000
"""2026-01-15, 06:00: a winter morning, when the heating works most."""

RECORDING_LEAD_S = 60.0
"""How long before a recording's first row the house begins, to register the sensors."""

HUB_ROOM = "living"
HUB_SENSOR = "sim/temperature"
"""The room of the simulated hub, and what it measures there."""

WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 18.0, 27.0)))
"""The schedule of the demo."""

UNWELL = (FaultRule(ErrorStatus(503, is_json=False)),)
SHUTDOWN_S = 0.5


def with_boxed_sensor(config: BoardConfig, start_utc_ms: int) -> sim.SimOptions:
    """Return the options of the house that is configured, with one sensor more that is still in its box.

    A house without relayed sensors, or with as many series as there may be, gets none.
    """
    plain = environment.sim_options(config, start_utc_ms)
    for count in range(plain.sensors_count + 1, SERIES_MAX + 1):
        larger = msgspec.structs.replace(plain, sensors_count=count, unpaired_count=1)
        if plain.relayed and len(larger.relayed) > len(plain.relayed):
            return larger
    return plain


class Scenario(msgspec.Struct, frozen=True):
    """The house of the demo: a recording or, without one, the simulated house."""

    recording: replay.Recording | None = None

    @property
    def start_utc_ms(self) -> int:
        """UTC of the beginning."""
        if self.recording is None:
            return SIM_START_UTC_MS
        return self.recording.instants_ms[0] - int(RECORDING_LEAD_S * 1000)

    def board(self, config: BoardConfig, clock: PacedClock, *, speed: float) -> Board:
        """Return the board. A recording's first row keeps its instant; a simulated house has one sensor in its box.

        Args:
            config: The board.
            clock: Of the house.
            speed: Seconds of the house in one of the people.
        """
        if self.recording is None:
            house = sim.SimEnvironment(with_boxed_sensor(config, clock.utc_ms()))
            return sim.SimBoard(house, monotonic_ms=clock.monotonic_ms, window_pace=speed)
        start_ms = int((UPTIME_S + RECORDING_LEAD_S) * 1000)
        return replay.ReplayBoard(self.recording, monotonic_ms=clock.monotonic_ms, start_ms=start_ms)


class Cloud:
    """The reference cloud on a loopback port."""

    def __init__(self, clock: PacedClock, rng: random.Random) -> None:
        """Build the cloud; it does not listen yet.

        Args:
            clock: The hub's clock: both have the same time.
            rng: For ids and keys.
        """
        self._refcloud = ReferenceCloud(
            utc_ms=clock.utc_ms,
            monotonic_s=lambda: clock.monotonic_ms() / 1000,
            rng=rng,
            new_id=lambda: f"{rng.getrandbits(32):08x}-0000-4000-8000-{rng.getrandbits(48):012x}",
        )
        self._runner = web.AppRunner(
            self._refcloud.application(), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S
        )
        self._site: web.TCPSite | None = None
        self._port = 0
        self.device_of: dict[str, str] = {}

    def provision(self, devices: Sequence[str]) -> tuple[str, dict[str, str]]:
        """Provision the hub and its relayed sensors; return the hub's key, and the sensors' keys by device."""
        hub = self._refcloud.admin.provision(NewDevice(name="hub"))
        self.device_of[hub.device.device_id] = HUB
        keys = {}
        for device in devices:
            made = self._refcloud.admin.provision(NewDevice(name=device, kind=DeviceKind.SENSOR))
            self.device_of[made.device.device_id] = device
            keys[device] = made.api_key
        return hub.api_key, keys

    async def open(self) -> str:
        """Listen on any free port and return the base URL."""
        await self._runner.setup()
        await self._listen()
        return f"http://{HOST}:{self._port}"

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, HOST, self._port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def set_weather(self, weather: CloudCondition) -> None:
        """Work, refuse connections, or respond with 503."""
        self._refcloud.set_faults(UNWELL if weather is CloudCondition.FAILING else ())
        self._refcloud.listening = weather is not CloudCondition.UNREACHABLE
        if weather is CloudCondition.UNREACHABLE and self._site is not None:
            await self._site.stop()
            self._site = None
        elif weather is not CloudCondition.UNREACHABLE and self._site is None:
            await self._listen()

    @property
    def accepted(self) -> int:
        """The number of different readings in the cloud."""
        return sum(tally.stored for tally in self._refcloud.admin.tallies().values())

    def stored(self) -> Iterator[AcceptedReading]:
        """Yield all readings of the cloud."""
        after = None
        while True:
            page = self._refcloud.admin.readings(after=after)
            yield from page.readings
            after = page.after
            if after is None:
                return

    async def close(self) -> None:
        """Stop serving; stored readings can still be read."""
        with contextlib.suppress(OSError):
            await self._runner.cleanup()


def zones_of(board: Board) -> str:
    """Return the configuration of a zone for each room with a sensor; empty where the board has no outputs."""
    rooms: dict[str, list[str]] = {zone.name: [] for zone in board.outputs.zones} if board.outputs else {}
    if HUB_ROOM in rooms:
        rooms[HUB_ROOM].append(HUB_SENSOR)
    for sensor in board.network.sensors if board.network else ():
        room = sensor.name.split()[0]
        if room in rooms and SensorKind.TEMPERATURE in sensor.kinds:
            rooms[room].append(sensor.name)
    zones = [f'{{ id = "{room}", sensors = {names} }}'.replace("'", '"') for room, names in rooms.items() if names]
    return f'[climate]\nheat_source = "heat_pump"\nzones = [{", ".join(zones)}]\n' if zones else ""


def make_config(
    base_url: str,
    directory: Path,
    *,
    seed: int,
    sensors: int,
    climate: str = "",
    changes: Mapping[str, object] = NO_CHANGES,
) -> Resolved:
    """Return the hub's configuration: the defaults, except for what the demo needs.

    Args:
        base_url: Of the cloud.
        directory: For its files.
        seed: Of the simulated house.
        sensors: Series of the simulated house.
        climate: Its section `[climate]`.
        changes: What was changed at the hub.
    """
    text = (
        f'[cloud]\nbase_url = "{base_url}"\n'
        f"[board.sim]\nseed = {seed}\nsensors_count = {sensors}\n"
        "[port]\nport = 0\n"
        f'[storage]\nstate_dir = "state"\nrun_dir = "run"\ndisk_free_bytes_min = 0\n'
        f"{climate}"
    )
    return resolve_text(text, file="demo", directory=directory, environ={}, changes=changes)
