"""What a hub is given of the world: the board that the configuration names, clocks, disk, network, host.

The only module beside the tests and the simulation that names a concrete board.
"""

import hashlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from yarl import URL

from agent.cloud.quota import QuotaLedger
from agent.cloud.session import RequestOptions
from agent.config import BoardConfig, Config
from agent.errors import ConfigInvalid
from agent.foundation.clock import Clock, Timekeeper
from agent.foundation.disk import Disk
from agent.foundation.host import Host
from agent.foundation.start_history import FILE_NAME as STARTS_FILE
from agent.foundation.start_history import StartHistory
from agent.foundation.state_files import StateFiles
from agent.foundation.system_info import is_metered
from agent.foundation.worker import Worker
from agent.ota.context import RunningRelease
from agent.ota.keyring import FILE_NAME as KEYRING_FILE
from agent.ota.launcher import STATE_FILE as LAUNCHER_FILE
from agent.ota.store import FILE_NAME as UPDATE_FILE
from agent.outputs import wiring_of
from hal.images import SystemUpdater
from hal.interface import Board, HasUnsupportedSensors, Reading, Sensor, SensorKind
from hal.plausibility import CHIP_TEMPERATURE, PlausibilityCheck

if TYPE_CHECKING:
    from hal.zigbee import ZigbeeNetwork

_log = logging.getLogger(__name__)

OUTLIVES_RESET = frozenset({"zigbee-stick.json", LAUNCHER_FILE, UPDATE_FILE, KEYRING_FILE, STARTS_FILE})
"""Files that a factory reset leaves; they hold no secret. `hal.zigbee.options.STICK_FILE`: a hash by which the hub
knows that the network on its stick was its own and may be overwritten. The launcher's: which release is good, and below
which none may go, so that a reset opens no way back to a release with known holes. That of updates: a system that is on
trial still has to prove itself. The keyring: a key that was revoked stays revoked."""

SIM_START_UTC_MS = 1_767_225_600_000
"""2026-01-01: where a simulated house begins on a hub that does not know the time."""


class Environment(msgspec.Struct, frozen=True):
    """What a hub is given of the world.

    Attributes:
        board: Sensors, network and outputs.
        clock: The boot's clocks.
        rng: For jitter; seeded in simulations.
        disk: For files.
        worker: For blocking work.
        session: Made by `agent.cloud.session.new_session`.
        ledger: The account of quotas.
        read_key: Returns the hub's key; `None` after a factory reset, until there is a new one.
        sensor_keys: Keys of relayed sensors, by device.
        host: The service manager and the machine.
        judge: The judge of a sensor's values.
        serve: Whether to open the local API (there are no Unix sockets in virtual time).
        on_committed: Told of readings that are safe on the disk, for whoever judges that they stay safe.
        on_memory_send: Told of readings that are about to be sent from memory, because the disk takes none.
        is_metered: Tells whether the way to the cloud is paid by volume, where the configuration does not say.
        running: Which release this is; `None` where nothing can ever be updated (a demo).
        installer: Of images of the whole system; `None` where there can be none.
        timekeeper: How the machine knows the time, and who tells it; `None` where the clock is always right (a demo).
        options: How a request to an address goes (`agent.cloud.session.ConnectionOptions`).
        begin_anew: Ends this life of the hub and begins another: finishes a factory reset first (`reset.finish`).
        problems: What was wrong with its directories at the start, in words.
        starts: When this and earlier processes began and how they ended; `None` where there is one only (a demo).
    """

    board: Board
    clock: Clock
    rng: random.Random
    disk: Disk
    worker: Worker
    session: aiohttp.ClientSession
    ledger: QuotaLedger
    read_key: Callable[[], str | None]
    sensor_keys: Mapping[str, str]
    host: Host
    judge: Callable[[Sensor], PlausibilityCheck]
    serve: bool = True
    on_committed: Callable[[Sequence[Reading]], None] = lambda _: None
    on_memory_send: Callable[[Sequence[Reading]], None] = lambda _: None
    is_metered: Callable[[], bool] = is_metered
    begin_anew: Callable[[], None] = lambda: None
    running: RunningRelease | None = None
    installer: SystemUpdater | None = None
    timekeeper: Timekeeper | None = None
    options: Callable[[URL], RequestOptions] = lambda _: RequestOptions()
    problems: Sequence[str] = ()
    starts: StartHistory | None = None


def make_board(config: BoardConfig, clock: Clock) -> Board:
    """Return the board that the configuration names. Its module is imported only then.

    Raises:
        RecordingInvalid: The recording or its map cannot be used.
    """
    match config.name:
        case "linux":
            from hal.linux.board import LinuxBoard  # noqa: PLC0415

            return LinuxBoard(sysfs_root=config.linux.sysfs_root, wiring=wiring_of(config.linux))
        case "replay":
            from hal import replay  # noqa: PLC0415

            if config.replay.recording is None or config.replay.map is None:
                raise ConfigInvalid("board.replay needs recording and map")
            recording = replay.load(config.replay.recording, config.replay.map)
            for warning in recording.warnings:
                _log.warning("%s", warning)
            return replay.ReplayBoard(recording, monotonic_ms=clock.monotonic_ms, start_ms=clock.monotonic_ms())
        case "sim":
            from hal import sim  # noqa: PLC0415

            world = sim.SimEnvironment(
                sim.SimOptions(
                    seed=config.sim.seed,
                    start_utc_ms=clock.utc_ms() or SIM_START_UTC_MS,
                    sensors_count=config.sim.sensors_count,
                    report_interval_s=config.sim.report_interval_s,
                    has_occupant_thermostat=config.sim.tenant_thermostat,
                )
            )
            return sim.SimBoard(world, monotonic_ms=clock.monotonic_ms)


def output_names(config: BoardConfig) -> list[str]:
    """Return what a board will drive, from its configuration alone: it may be that of another machine."""
    match config.name:
        case "linux":
            return [relay.name for relay in config.linux.relays]
        case "replay":
            return []
        case "sim":
            from hal.sim.building import FLAT  # noqa: PLC0415

            return [zone.name for zone in FLAT.zones]


class _RadioBoard:
    """A board whose network is a Zigbee stick instead of its own."""

    def __init__(self, board: Board, network: "ZigbeeNetwork") -> None:
        self._board = board
        self.network = network
        self.name = board.name
        self.sensors = board.sensors
        self.outputs = board.outputs
        self.unsupported_sensors = board.unsupported_sensors if isinstance(board, HasUnsupportedSensors) else ()

    async def close(self) -> None:
        """Switch the outputs off first: a stick may take its time."""
        try:
            await self._board.close()
        finally:
            await self.network.close()


def with_radio(board: Board, config: Config, clock: Clock, disk: Disk) -> Board:
    """Return the board with the radio that the configuration names; the board as it is where it names none.

    zigpy is imported by the radio itself, on its own thread, once it starts.
    """
    zigbee = config.zigbee
    if zigbee.port == "none":
        return board
    from hal.zigbee import RadioContext, RadioOptions, ZigbeeNetwork  # noqa: PLC0415
    from hal.zigbee.options import FILE_BYTES_MAX  # noqa: PLC0415

    options = RadioOptions(
        port=zigbee.port,
        adapter=zigbee.adapter,
        baudrate=zigbee.baudrate,
        flow_control=zigbee.flow_control,
        channel=zigbee.channel,
        takes_over=zigbee.take_over,
        quirks=zigbee.quirks,
        report_interval_s_min=zigbee.report_interval_s_min,
    )
    files = StateFiles(config.storage.state_dir, disk, bytes_max=FILE_BYTES_MAX)
    return _RadioBoard(
        board, ZigbeeNetwork(options, RadioContext(files, clock.monotonic_ms, clock.boot_id, config.storage.run_dir))
    )


def installer_for(config: BoardConfig) -> SystemUpdater | None:
    """Return what installs images of the whole system: a simulated board is not the machine it runs on."""
    if config.name != "linux":
        return None
    from hal.linux.rauc import Rauc  # noqa: PLC0415

    return Rauc()


def judge_for(sensor: Sensor) -> PlausibilityCheck:
    """Return the judge of a sensor: a chip may be hotter than a room."""
    if sensor.kind is SensorKind.TEMPERATURE and sensor.name.startswith("hwmon/"):
        return PlausibilityCheck(sensor.kind, CHIP_TEMPERATURE)
    return PlausibilityCheck(sensor.kind)


def phase_of(key: str) -> float:
    """Return a hub's own phase, from 0 up to 1: the same after each start, different from its neighbour's."""
    return int.from_bytes(hashlib.sha256(f"phase {key}".encode()).digest()[:4], "big") / 2**32
