"""The configuration of the hub: its typed form, and the ways to load, check and show it.

Owns the structs and the rules that tie several keys together; the keys stand in `agent.config.keys`. Never holds a
secret: `agent.config.secrets` reads those. The daemon imports this module, so it imports little.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from agent.config.keys import KEYS
from agent.config.reading import ConfigProblems, Problem, Values, read_text, read_values
from agent.config.relays import PartLine, RelayLines
from agent.config.zones import ZoneConfig
from hal.interface import SensorKind

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""The environment variable in which systemd passes the directory of a unit's credentials (systemd.exec(5))."""

SOCKET_PATH_BYTES_MAX = 107
"""`sun_path` holds 108 bytes with the closing zero (unix(7))."""


class CloudConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[cloud]`. `api_key_file` is where the key is, be it a file or a credential; `None` if nowhere."""

    base_url: str
    api_key_file: Path | None
    api_key_credential: str
    ca_file: Path | None
    proxy: str
    request_timeout_s: float
    gzip: Literal["auto", "off"]
    settings_poll_interval_s: float
    commands_poll_interval_s: float
    metered: Literal["auto", "yes", "no"]
    batch_linger_s: float
    batch_readings_max: int


class SimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board.sim]`."""

    seed: int
    sensors_count: int
    report_interval_s: float
    tenant_thermostat: bool


class ReplayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board.replay]`; both paths are set when that board is chosen."""

    recording: Path | None
    map: Path | None


class LinuxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board.linux]`."""

    sysfs_root: Path
    gpio_chip: Path
    relays: tuple[RelayLines, ...]
    heat_source_lines: tuple[PartLine, ...]
    relays_active_low: bool


class BoardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board]`."""

    name: Literal["sim", "linux", "replay"]
    sim: SimConfig
    replay: ReplayConfig
    linux: LinuxConfig


class SensorsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[sensors]`; `primary` has only the kinds that the file names."""

    primary: Mapping[SensorKind, str]
    disabled: tuple[str, ...]


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[storage]`."""

    state_dir: Path
    run_dir: Path
    outbox_bytes_max: int
    disk_free_bytes_min: int
    commit_interval_s: float
    memory_readings_max: int
    dead_letters_max: int
    gaps_max: int


class CommandsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[commands]`."""

    pending_max: int
    factory_reset_needs_person: bool
    reboot: Literal["auto", "logind", "simulated"]


class OtaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[ota]`."""

    keys_dir: Path
    allow_unsigned: bool
    model: str
    check_interval_s: float
    spread_s: float
    maintenance_window: str
    metered: Literal["never", "window", "always"]
    size_bytes_max: int
    rate_bytes_s_min: int
    download_deadline_s: float
    trial_s: float
    trial_deadline_s: float
    trial_starts_max: int


class ClimateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[climate]`; no zones, no control."""

    zones: tuple[ZoneConfig, ...]
    emitter: Literal["radiator", "floor", "air"]
    heat_source: Literal["none", "boiler", "heat_pump"]
    heat_source_min_on_s: float
    heat_source_min_off_s: float
    heat_source_starts_per_hour_max: int
    heat_source_stages: int
    auxiliary_heat: bool
    reversing_valve: Literal["cooling", "heating"]
    pump_overrun_s: float
    relay_min_on_s: float
    relay_min_off_s: float
    relay_starts_per_hour_max: int
    frost_c: float
    over_c: float
    under_c: float
    sensor_stale_s: float
    fallback_duty_max: float
    fallback_s_max: float
    failure_s: float
    optimum_start: bool


class ClockConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[clock]`."""

    trust: Literal["kernel", "cloud", "system"]


class RelayedSensorsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[relayed_sensors]`. `sensor_keys_file` is the file or credential with the keys; `None` without one."""

    sensor_keys_file: Path | None
    sensor_keys_credential: str


class ZigbeeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[zigbee]`; `port` is "none" where there is no radio, `channel` 0 where the quietest is to be chosen."""

    port: str
    adapter: Literal["auto", "ezsp", "znp", "deconz"]
    baudrate: int
    flow_control: Literal["none", "hardware", "software"]
    channel: int
    take_over: bool
    quirks: bool
    report_interval_s_min: int


class LocalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[local]`; `socket` is a full path."""

    socket: Path


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[log]`."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["text", "json", "journal"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration: checked, defaults filled in, relative paths made absolute."""

    cloud: CloudConfig
    board: BoardConfig
    sensors: SensorsConfig
    storage: StorageConfig
    commands: CommandsConfig
    ota: OtaConfig
    climate: ClimateConfig
    clock: ClockConfig
    relayed_sensors: RelayedSensorsConfig
    zigbee: ZigbeeConfig
    local: LocalConfig
    log: LogConfig


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration and where each of its values came from.

    Attributes:
        values: By dotted key, as the configuration holds them.
        origins: By dotted key: `FILE:LINE`, `default`, or `credential NAME`.
    """

    config: Config
    values: Mapping[str, object]
    origins: Mapping[str, str]


def load(path: Path, *, environ: Mapping[str, str]) -> Config:
    """Read a configuration file.

    Args:
        path: The file; relative paths in it start at its directory.
        environ: The process's environment: systemd names the directory of the unit's credentials there.

    Raises:
        ConfigInvalid: The file cannot be used. The message lists every mistake on a line of its own, with file, line
            and key, what was found and what is allowed.
    """
    return resolve(path, environ=environ).config


def load_board(path: Path) -> BoardConfig:
    """Read the tables of the board alone, whatever is wrong with the others: outputs must go off all the same.

    Raises:
        ConfigInvalid: The file cannot be read, or these tables cannot be used.
    """
    read = read_values(read_text(path), file=str(path), directory=path.parent.absolute())
    problems = [problem for problem in read.problems if problem.key.partition(".")[0] in {"", "board"}]
    if problems:
        raise ConfigProblems(*problems)
    return _board(read.values)


def resolve(path: Path, *, environ: Mapping[str, str]) -> Resolved:
    """Read a configuration file and remember where each value came from.

    Raises:
        ConfigInvalid: As `load`.
    """
    return resolve_text(read_text(path), file=str(path), directory=path.parent.absolute(), environ=environ)


def resolve_text(text: str, *, file: str, directory: Path, environ: Mapping[str, str]) -> Resolved:
    """Check a configuration that is at hand as text; `demo` and `simulate` make theirs.

    Args:
        text: TOML with plain newlines.
        file: What messages call it.
        directory: Where relative paths start.
        environ: As for `load`.

    Raises:
        ConfigInvalid: As `load`.
    """
    read = read_values(text, file=file, directory=directory)
    values = dict(read.values)
    origins = {key.path: f"{file}:{read.lines[key.path]}" if key.path in read.lines else "default" for key in KEYS}
    _find_secret(values, origins, environ, file_key="cloud.api_key_file", name_key="cloud.api_key_credential")
    _find_secret(
        values,
        origins,
        environ,
        file_key="relayed_sensors.sensor_keys_file",
        name_key="relayed_sensors.sensor_keys_credential",
    )
    values["local.socket"] = Path(str(values["storage.run_dir"])) / str(values["local.socket"])
    if problems := sorted((*read.problems, *_rules(values, read, file)), key=lambda problem: problem.line):
        raise ConfigProblems(*problems)
    return Resolved(config=_build(values), values=MappingProxyType(values), origins=MappingProxyType(origins))


def _find_secret(
    values: dict[str, object], origins: dict[str, str], environ: Mapping[str, str], *, file_key: str, name_key: str
) -> None:
    """Where the file names no secret file, take the credential if systemd passed one."""
    directory = environ.get(CREDENTIALS_DIRECTORY)
    if values[file_key] is not None or not directory:
        return
    path = Path(directory) / str(values[name_key])
    if os.access(path, os.F_OK):
        values[file_key] = path
        origins[file_key] = f"credential {values[name_key]}"


def _rules(values: Mapping[str, object], read: Values, file: str) -> list[Problem]:
    """Return the mistakes that no single key shows."""
    problems = []
    if values["board.name"] == "replay":
        # A key that is there and wrong has been reported already.
        problems = [
            Problem(file, read.lines.get("board.name", 0), key, 'found nothing; board.name = "replay" needs this path')
            for key in ("board.replay.recording", "board.replay.map")
            if key not in read.lines
        ]
    socket = str(values["local.socket"])
    if len(socket.encode()) > SOCKET_PATH_BYTES_MAX:
        line = read.lines.get("local.socket", read.lines.get("storage.run_dir", 0))
        text = f"found a path of {len(socket.encode())} bytes; a Unix socket's allows {SOCKET_PATH_BYTES_MAX}: {socket}"
        problems.append(Problem(file, line, "local.socket", text))
    return problems


def _build(values: Mapping[str, object]) -> Config:
    primary = {kind: str(source) for kind in SensorKind if (source := values[f"sensors.primary.{kind}"]) is not None}
    return Config(
        cloud=CloudConfig(**_section(values, "cloud")),
        board=_board(values),
        sensors=SensorsConfig(**_section(values, "sensors"), primary=MappingProxyType(primary)),
        storage=StorageConfig(**_section(values, "storage")),
        commands=CommandsConfig(**_section(values, "commands")),
        ota=OtaConfig(**_section(values, "ota")),
        climate=ClimateConfig(**_section(values, "climate")),
        clock=ClockConfig(**_section(values, "clock")),
        relayed_sensors=RelayedSensorsConfig(**_section(values, "relayed_sensors")),
        zigbee=ZigbeeConfig(**_section(values, "zigbee")),
        local=LocalConfig(**_section(values, "local")),
        log=LogConfig(**_section(values, "log")),
    )


def _board(values: Mapping[str, object]) -> BoardConfig:
    return BoardConfig(
        **_section(values, "board"),
        sim=SimConfig(**_section(values, "board.sim")),
        replay=ReplayConfig(**_section(values, "board.replay")),
        linux=LinuxConfig(**_section(values, "board.linux")),
    )


def _section(values: Mapping[str, object], section: str) -> dict[str, Any]:
    return {key.name: values[key.path] for key in KEYS if key.section == section}
