"""The environment of a hub: the board that the configuration names, clocks, disk, network, host.

The only module of the agent that names a concrete board.
"""

import hashlib
import logging
import random
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from yarl import URL

from agent.climate.flow_temperature import flow_c_max
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import RequestOptions
from agent.config import BoardConfig, BoilerConfig, ClimateConfig, Config, LinuxConfig
from agent.config.secrets import read_aqara_token
from agent.errors import ConfigInvalid
from agent.foundation.boot_trail import FILE_NAME as BOOTS_FILE
from agent.foundation.clock import Clock, Timekeeper
from agent.foundation.disk import Disk
from agent.foundation.host import Host
from agent.foundation.log_ring import LogRing
from agent.foundation.start_history import FILE_NAME as STARTS_FILE
from agent.foundation.start_history import StartHistory
from agent.foundation.state_files import StateFiles
from agent.foundation.system_info import Power, is_metered
from agent.foundation.worker import Worker
from agent.machine.moved_card import MovedCard
from agent.machine.storage_writes import ReadCounter, no_counter
from agent.ota.context import RunningRelease
from agent.ota.keyring import FILE_NAME as KEYRING_FILE
from agent.ota.launcher import STATE_FILE as LAUNCHER_FILE
from agent.ota.store import FILE_NAME as UPDATE_FILE
from agent.outputs import radio_uses_of, radio_wiring_of, wirings_of
from agent.port.config_editor import RunningConfig
from hal.channels import ChannelReader, ChannelSource, FindsChannels, MachineScan, ScansBuses
from hal.errors import NetworkLost
from hal.images import SystemUpdater
from hal.interface import Board, HasButton, HasLed, HasUnsupportedSensors, HvacOutputs, Reading, Sensor, SensorKind
from hal.plausibility import CHIP_TEMPERATURE, PlausibilityCheck

if TYPE_CHECKING:
    from hal.aqara.network import AqaraNetwork
    from hal.boilers.outputs import BoilerOutputs
    from hal.combined import CombinedNetwork
    from hal.sim import SimOptions
    from hal.zigbee import ZigbeeNetwork
    from hal.zigbee.outputs import ZigbeeOutputs

_log = logging.getLogger(__name__)

OUTLIVES_RESET = frozenset({"zigbee-stick.json", LAUNCHER_FILE, UPDATE_FILE, KEYRING_FILE, STARTS_FILE, BOOTS_FILE})
"""Files that a factory reset keeps; they hold no secret.

* `hal.zigbee.options.STICK_FILE`: a hash by which the hub recognises its own old network, which it may overwrite.
* The launcher's state: the confirmed release and the version floor. Without them a reset would allow a release with
  known holes.
* The update record: a system on trial still has to pass its trial.
* The keyring: a revoked key stays revoked.
"""

SIM_START_UTC_MS = 1_767_225_600_000
"""2026-01-01: the start of a simulated home on a hub without the time."""


class Environment(msgspec.Struct, frozen=True):
    """The environment of a hub.

    Attributes:
        board: Sensors, network and outputs.
        clock: The boot's clocks.
        rng: The source of jitter; seeded in simulations.
        disk: Access to files.
        worker: Runs blocking work.
        session: Made by `agent.cloud.session.new_session`.
        ledger: The record of quota use.
        read_key: Returns the hub's key; `None` after a factory reset, until there is a new one.
        sensor_keys: Keys of relayed sensors, by device.
        host: The service manager and the machine.
        check_for: Returns the plausibility check of a sensor.
        serve: Whether to open the local API (there are no Unix sockets in virtual time).
        on_committed: Called with readings that are safe on the disk, for an oracle.
        on_memory_send: Called with readings that are about to be sent from memory because the disk fails.
        is_metered: Tells whether the link to the cloud is paid by volume, where the configuration is `auto`.
        running: The running release; `None` where nothing can ever be updated (a demo).
        installer: Installs images of the whole system; `None` where that is impossible.
        timekeeper: The sources of the machine's time; `None` where the clock is always right (a demo).
        options: Returns proxy and TLS options of a URL (`agent.cloud.session.ConnectionOptions`).
        restart: Ends this hub and starts a new one, after finishing a factory reset.
        problems: The problems of its directories at the start, in words.
        read_power: Returns what the machine reports of its supply; blocks.
        read_writes: Returns what was written to the storage; blocks.
        card: Notices that the card is in another machine; `None` where there is no card (a demo).
        starts: The record of this and earlier processes; `None` where there is one process only (a demo).
        config_file: Where the configuration was read; `None` where there is no file (a demo).
        environ: Of the process.
        log_ring: The last log records; `None` where the process keeps none.
        running_config: The configuration and how it is changed at the hub; `None` where it cannot be shown.
        port_clock: The clock of the people at the port: for events, sessions, leases and join windows; `None` where it
            is `clock`. In a demo the house's time runs faster than theirs.
        port_context: The context in which the port serves people: a demo's event loop reads in it whose time a timer
            counts; `None` for the caller's.
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
    check_for: Callable[[Sensor], PlausibilityCheck]
    serve: bool = True
    on_committed: Callable[[Sequence[Reading]], None] = lambda _: None
    on_memory_send: Callable[[Sequence[Reading]], None] = lambda _: None
    is_metered: Callable[[], bool] = is_metered
    restart: Callable[[], None] = lambda: None
    running: RunningRelease | None = None
    installer: SystemUpdater | None = None
    timekeeper: Timekeeper | None = None
    options: Callable[[URL], RequestOptions] = lambda _: RequestOptions()
    problems: Sequence[str] = ()
    read_power: Callable[[], Power] = Power
    read_writes: ReadCounter = no_counter
    card: MovedCard | None = None
    starts: StartHistory | None = None
    config_file: Path | None = None
    environ: Mapping[str, str] = {}
    log_ring: LogRing | None = None
    running_config: RunningConfig | None = None
    port_clock: Clock | None = None
    port_context: Context | None = None


def sensor_names(config: Config) -> frozenset[str]:
    """Return all names of sensors in a configuration."""
    zones = (name for zone in config.climate.zones for name in zone.sensors)
    sensors = config.sensors
    return frozenset((*sensors.disabled, *sensors.in_case, *sensors.primary.values(), *zones))


def make_board(
    config: BoardConfig, clock: Clock, named: Collection[str] = (), climate: ClimateConfig | None = None
) -> Board:
    """Return the board that the configuration names. Its module is imported only then.

    Args:
        config: Of the board.
        clock: Of this boot.
        named: See `sensor_names`.
        climate: Has the minimum off times of what relays drive.

    Raises:
        RecordingInvalid: The recording or its map cannot be used.
    """
    match config.name:
        case "linux":
            return _make_linux_board(config.linux, clock, named, climate)
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

            world = sim.SimEnvironment(sim_options(config, clock.utc_ms() or SIM_START_UTC_MS))
            return sim.SimBoard(world, monotonic_ms=clock.monotonic_ms)


def _make_linux_board(
    config: LinuxConfig, clock: Clock, named: Collection[str], climate: ClimateConfig | None
) -> Board:
    from hal.linux.board import LinuxBoard  # noqa: PLC0415
    from hal.linux.bus_scan import MachineBuses  # noqa: PLC0415
    from hal.linux.device_address import gpio_chip_bus  # noqa: PLC0415
    from hal.linux.i2c.chip_source import find_i2c_chips  # noqa: PLC0415

    chips = find_i2c_chips(sysfs_root=config.sysfs_root, now_ms=clock.monotonic_ms)
    sources: list[ChannelSource] = [chips]
    button, chip = None, str(config.gpio_chip)
    bus = gpio_chip_bus(chip, config.sysfs_root)
    if config.button_line is not None:
        from hal.linux.gpio_inputs import GpioButton  # noqa: PLC0415

        button = GpioButton(chip, config.button_line, is_active_low=config.button_active_low, bus=bus)
    if config.mains_line is not None:
        from hal.linux.gpio_inputs import MainsLine  # noqa: PLC0415

        sources.append(MainsLine(chip, config.mains_line, is_active_low=config.mains_active_low, bus=bus))
    return LinuxBoard(
        sysfs_root=config.sysfs_root,
        wirings=wirings_of(config, climate),
        button=button,
        led=None if config.led == "none" else config.led,
        sources=sources,
        buses=MachineBuses(chips, sysfs_root=config.sysfs_root),
        named=named,
        monotonic_ms=clock.monotonic_ms,
    )


def sim_options(config: BoardConfig, start_utc_ms: int) -> "SimOptions":
    """Return the options of the simulated house that is configured."""
    from hal import sim  # noqa: PLC0415

    return sim.SimOptions(
        seed=config.sim.seed,
        start_utc_ms=start_utc_ms,
        sensors_count=config.sim.sensors_count,
        report_interval_s=config.sim.report_interval_s,
        has_occupant_thermostat=config.sim.tenant_thermostat,
    )


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


class _ExtendedBoard:
    """A board with what the configuration adds: a radio or endpoint as its network, a boiler, plugs and valves."""

    def __init__(
        self,
        board: Board,
        network: "ZigbeeNetwork | AqaraNetwork | CombinedNetwork | None",
        boiler: "BoilerOutputs | None",
        radio: "ZigbeeOutputs | None",
    ) -> None:
        self._board = board
        self._added = [part for part in (radio, boiler, network) if part is not None]
        self.network = network or board.network
        self.name = board.name
        self.outputs = _combined({"relays": board.outputs, "boiler": boiler, "radio": radio})
        self.led = board.led if isinstance(board, HasLed) else None
        self.button = board.button if isinstance(board, HasButton) else None
        self.unsupported_sensors = board.unsupported_sensors if isinstance(board, HasUnsupportedSensors) else ()

    @property
    def sensors(self) -> Sequence[Sensor]:
        """See `Board`."""
        return self._board.sensors

    async def close(self) -> None:
        """Switch the relays off first: a stick may take its time."""
        async with AsyncExitStack() as stack:
            for part in reversed(self._added):
                stack.push_async_callback(part.close)
            await self._board.close()


class _FindingExtendedBoard(_ExtendedBoard):
    """The same on a board whose sensors come and go."""

    def __init__(
        self,
        board: FindsChannels,
        network: "ZigbeeNetwork | AqaraNetwork | CombinedNetwork | None",
        boiler: "BoilerOutputs | None",
        radio: "ZigbeeOutputs | None",
    ) -> None:
        super().__init__(board, network, boiler, radio)
        self._finder = board

    @property
    def channels(self) -> Sequence[ChannelReader]:
        """See `FindsChannels`."""
        return self._finder.channels

    @property
    def gone(self) -> Collection[str]:
        """See `FindsChannels`."""
        return self._finder.gone

    async def search(self) -> None:
        """See `FindsChannels`."""
        await self._finder.search()

    async def channels_changed(self) -> None:
        """See `FindsChannels`."""
        await self._finder.channels_changed()

    async def scan_buses(self) -> MachineScan:
        """See `hal.channels.ScansBuses`."""
        return await self._finder.scan_buses() if isinstance(self._finder, ScansBuses) else MachineScan()


def with_parts(board: Board, config: Config, clock: Clock, disk: Disk) -> Board:
    """Return the board with the radio, endpoint and boiler that the configuration names; itself if it names none."""
    stick, aqara = _radio(config, clock, disk), _aqara_network(config, clock, disk)
    network, boiler = _network(stick, aqara), _boiler(config.boiler, config.climate, clock)
    if network is None and boiler is None:
        return board
    radio = None if stick is None else _radio_outputs(stick, config.board)
    if isinstance(board, FindsChannels):
        return _FindingExtendedBoard(board, network, boiler, radio)
    return _ExtendedBoard(board, network, boiler, radio)


def _combined(parts: Mapping[str, HvacOutputs | None]) -> HvacOutputs | None:
    """Return several outputs as one."""
    present = {name: part for name, part in parts.items() if part is not None}
    if len(present) <= 1:
        return next(iter(present.values()), None)
    from hal.combined_outputs import CombinedOutputs  # noqa: PLC0415

    return CombinedOutputs(present)


def _boiler(config: BoilerConfig, climate: ClimateConfig, clock: Clock) -> "BoilerOutputs | None":
    """Return the boiler behind a gateway that the configuration names, if any."""
    if config.driver == "none":
        return None
    from hal.boilers.ebusd import EbusdLink  # noqa: PLC0415
    from hal.boilers.otgw import OtgwLink  # noqa: PLC0415
    from hal.boilers.outputs import BoilerOutputs  # noqa: PLC0415

    is_otgw = config.driver == "otgw"
    link = OtgwLink(config.address) if is_otgw else EbusdLink(config.address, config.ebusd_message)
    rest_s = climate.heat_source_min_off_s
    return BoilerOutputs(link, flow_c_max=flow_c_max(config, climate), monotonic_ms=clock.monotonic_ms, rest_s=rest_s)


def _network(
    radio: "ZigbeeNetwork | None", aqara: "AqaraNetwork | None"
) -> "ZigbeeNetwork | AqaraNetwork | CombinedNetwork | None":
    """Return the radio, the endpoint or both as one network, if there is any."""
    if radio is None or aqara is None:
        return radio or aqara
    from hal.combined import CombinedNetwork  # noqa: PLC0415

    return CombinedNetwork(radio, aqara)


def _radio(config: Config, clock: Clock, disk: Disk) -> "ZigbeeNetwork | None":
    """Return the radio that the configuration names, if any, with the outputs on its devices.

    zigpy is imported by the radio itself, on its own thread, once it starts.
    """
    zigbee = config.zigbee
    if zigbee.port == "none":
        return None
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
    context = RadioContext(files, clock.monotonic_ms, clock.boot_id, config.storage.run_dir)
    return ZigbeeNetwork(options, context, radio_uses_of(config.board, config.climate))


def _radio_outputs(radio: "ZigbeeNetwork", config: BoardConfig) -> "ZigbeeOutputs | None":
    """Return the outputs on paired devices that the configuration names, if any."""
    if not radio.outputs.uses:
        return None
    from hal.zigbee.outputs import ZigbeeOutputs  # noqa: PLC0415

    return ZigbeeOutputs(radio, *radio_wiring_of(config.linux))


def _aqara_network(config: Config, clock: Clock, disk: Disk) -> "AqaraNetwork | None":
    """Return the sensors of the Aqara endpoint that the configuration names, if any."""
    aqara = config.aqara
    if aqara.url == "none" or aqara.token_file is None:
        return None
    from hal.aqara.endpoint import AqaraEndpoint  # noqa: PLC0415
    from hal.aqara.network import FILE_BYTES_MAX, AqaraNetwork  # noqa: PLC0415

    token_file, ca_file = aqara.token_file, str(aqara.ca_file) if aqara.ca_file else None

    def connect() -> AqaraEndpoint:
        try:
            token = read_aqara_token(token_file)
        except ConfigInvalid as error:
            raise NetworkLost(str(error)) from error
        return AqaraEndpoint(
            aqara.url,
            token,
            new_id=lambda: secrets.token_hex(8),
            monotonic_ms=clock.monotonic_ms,
            ca_file=ca_file,
        )

    files = StateFiles(config.storage.state_dir, disk, bytes_max=FILE_BYTES_MAX)
    return AqaraNetwork(
        connect,
        files,
        monotonic_ms=clock.monotonic_ms,
        utc_ms=clock.utc_ms,
        poll_interval_s=aqara.poll_interval_s,
    )


def installer_for(config: BoardConfig) -> SystemUpdater | None:
    """Return what installs images of the whole system: a simulated board is not the machine it runs on."""
    if config.name != "linux":
        return None
    from hal.linux.rauc import Rauc  # noqa: PLC0415

    return Rauc()


def check_for(sensor: Sensor) -> PlausibilityCheck:
    """Return the plausibility check of a sensor: a chip may be hotter than a room, and so may a probe on a pipe."""
    if sensor.kind is SensorKind.TEMPERATURE and sensor.name.startswith(("hwmon/", "w1-")):
        return PlausibilityCheck(sensor.kind, CHIP_TEMPERATURE)
    return PlausibilityCheck(sensor.kind)


def phase_of(key: str) -> float:
    """Return the phase of a hub, from 0 up to 1: the same after each start, different from that of other hubs."""
    return int.from_bytes(hashlib.sha256(f"phase {key}".encode()).digest()[:4], "big") / 2**32
