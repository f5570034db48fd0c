"""Adapter to zigpy: configuration, the stick's network, backups, the database, and errors in plain words.

Imported only if a radio is configured, and on the radio's thread: zigpy and bellows cost 22 MiB and half a second.

zigpy's database is used in its place, or as a copy in memory while the disk refuses writes. An error of the disk is
never treated as corruption: only a file that SQLite calls malformed is quarantined.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bellows.ash
import zigpy.backups
import zigpy.config
import zigpy.exceptions
import zigpy.types as t
from zigpy.zcl import AttributeReportedEvent, AttributeUpdatedEvent

from hal.errors import HalError, NetworkLost, SoftwareMissing
from hal.zigbee import radio_state, zha_quirks
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings
from hal.zigbee.options import RadioOptions
from hal.zigbee.radio_state import NetworkSnapshot
from hal.zigbee.serial_ports import StickPort

_CONTROLLERS: Mapping[str, tuple[str, str]] = {
    "ezsp": ("bellows.zigbee.application", "climahub[zigbee]"),
    "znp": ("zigpy_znp.zigbee.application", "climahub[zigbee-znp]"),
    "deconz": ("zigpy_deconz.zigbee.application", "climahub[zigbee-deconz]"),
}

_log = logging.getLogger(__name__)

_REPORTED = (AttributeReportedEvent, AttributeUpdatedEvent)

_LIBRARY_LOGGERS = ("zigpy", "bellows", "serialx", "aiosqlite", "zigpy_znp", "zigpy_deconz")

COUNTER_STEP = 5_000_000
"""Added to the frame counter of a backup: a sensor rejects lower counters than it has received, as replays. A backup is
at most a day old, and a full network sends at most some 50 frames a second, which is less than this in a day. The
counter has 32 bits and lasts for 800 restores."""

STICK_ERRORS = (
    zigpy.exceptions.ZigbeeException,
    zigpy.exceptions.RadioException,
    TimeoutError,
    bellows.ash.NcpFailure,
    AssertionError,
    RuntimeError,
)
"""Raised by zigpy and bellows for a failing stick: bellows asserts on responses, and a request on a closed connection
raises a `RuntimeError`."""

COMMIT_S = 30
"""Commit interval of zigpy's database. The hub saves the progress of joining devices in its own file."""


def silence_libraries() -> None:
    """Suppress log messages below "warning": they contain frames, and backups with the network key."""
    for name in _LIBRARY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def controller_class(adapter: str) -> Any:  # noqa: ANN401 - zigpy is untyped here
    """Import the library for one kind of stick and return its controller class.

    Raises:
        SoftwareMissing: The library is not installed.
    """
    module, extra = _CONTROLLERS[adapter]
    try:
        return importlib.import_module(module).ControllerApplication
    except ModuleNotFoundError as error:
        raise SoftwareMissing(
            f"pip install '{extra}': the adapter {adapter!r} needs more packages ({error.name} is missing)"
        ) from error


def community_resolver() -> Callable[[Any], Any] | None:
    """Return the resolver of the Zigbee community's device table; `None` if the table is unusable.

    The table has a resolver since version 2, which needs Python 3.12.
    """
    try:
        return zha_quirks.load_quirk_table().resolve
    except (ImportError, AttributeError) as error:
        _log.warning("zigbee.quirks: pip install 'climahub[zigbee-quirks]': the device table is unusable (%s)", error)
        return None


def zigpy_config(options: RadioOptions, port: StickPort, database: Path) -> dict[str, Any]:
    """Return zigpy's configuration."""
    return {
        "database_path": str(database),
        "database_commit_interval": COMMIT_S,
        "device": {
            "path": port.path,
            "baudrate": options.baudrate,
            # zigpy takes no "none" here: see `apply_flow_control`.
            "flow_control": options.flow_control if options.flow_control in ("hardware", "software") else None,
        },
        # The radio has its own thread already.
        "use_thread": False,
        # The hub does both itself: zigpy would use a foreign stick, and keeps every backup.
        "validate_network_settings": False,
        "backup_enabled": False,
        "topology_scan_enabled": False,
        "watchdog_enabled": True,
        "ota": {"enabled": False},
        "network": {},
    }


def apply_flow_control(app: Any, options: RadioOptions) -> None:  # noqa: ANN401
    """Switch flow control off where the configuration says so, before the port is opened.

    zigpy's schema has no word for that: `None` is XON/XOFF to bellows (`bellows.uart`, 1.2) and nothing to the other
    libraries. All of them compare with "hardware" and "software" only, so any other word switches both off.
    """
    if options.flow_control == "none":
        app.config["device"]["flow_control"] = "none"


def make_private(path: Path) -> None:
    """Create a file with access for this user only, unless it exists; SQLite's companion files get the same mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def reduce_database_writes(app: Any) -> None:  # noqa: ANN401
    """Keep zigpy from storing each reported value and each device's last-seen time.

    The hub stores both itself. With 100 sensors, zigpy would write 0.5 GB a day to the SD card and switch threads twice
    a report.
    """
    database = app._dblistener  # noqa: SLF001 - zigpy has no setting for it
    if database is None:
        return
    write = database.enqueue

    def enqueue(operation: str, *arguments: object) -> None:
        is_value = operation == "_save_attribute" and isinstance(arguments[0], _REPORTED)
        if operation != "_save_device_last_seen" and not is_value:
            write(operation, *arguments)

    database.enqueue = enqueue


async def load_settings(app: Any) -> NetworkSettings | None:  # noqa: ANN401
    """Read the network from the stick; `None` for a blank stick."""
    try:
        await app.load_network_info(load_devices=False)
    except zigpy.exceptions.NetworkNotFormed:
        return None
    return current_settings(app)


def current_settings(app: Any) -> NetworkSettings:  # noqa: ANN401
    """Return the network that zigpy last read from the stick."""
    network, node = app.state.network_info, app.state.node_info
    return NetworkSettings(
        ieee=str(node.ieee).replace(":", "").lower(),
        extended_pan_id=str(network.extended_pan_id).replace(":", "").lower(),
        key=network.network_key.key.serialize().hex(),
        pan_id=int(network.pan_id),
        channel=int(network.channel),
    )


def firmware_version(app: Any) -> str:  # noqa: ANN401
    """Return the version of the stick's firmware, as zigpy last read it; empty where it is not known."""
    return str(app.state.node_info.version or "")


def network_in_database(app: Any) -> NetworkSnapshot | None:  # noqa: ANN401
    """Return the network of the last backup in zigpy's database, for a hub that has lost its own file."""
    backup = app.backups.most_recent_backup()
    if backup is None or not backup.is_complete():
        return None
    content = backup.as_open_coordinator_json()
    settings = radio_state.parse_settings(content)
    return radio_state.with_backup(NetworkSnapshot(NetworkPhase.FORMED, settings), settings, content)


def random_settings() -> NetworkSettings:
    """Return the settings of a new network with random identifiers and key."""
    return NetworkSettings(
        ieee="",
        extended_pan_id=secrets.token_hex(8),
        key=secrets.token_hex(16),
        # 0x0000 and 0xFFFF are no PAN IDs; 0xFFFE is reserved.
        pan_id=1 + secrets.randbelow(0xFFFD),
    )


async def form(app: Any, planned: NetworkSettings, channel: int) -> Mapping[str, object]:  # noqa: ANN401
    """Form a network on the stick and return its first backup.

    Args:
        app: Connected application.
        planned: Identity of the network.
        channel: From 11 to 26; 0 for the quietest.
    """
    app.config[zigpy.config.CONF_NWK].update(
        {
            zigpy.config.CONF_NWK_EXTENDED_PAN_ID: t.ExtendedPanId.convert(_colons(planned.extended_pan_id)),
            zigpy.config.CONF_NWK_KEY: t.KeyData(bytes.fromhex(planned.key)),
            zigpy.config.CONF_NWK_PAN_ID: planned.pan_id,
            zigpy.config.CONF_NWK_CHANNEL: channel or None,
        }
    )
    await app.form_network()
    return _last_backup(app)


def _last_backup(app: Any) -> Mapping[str, object]:  # noqa: ANN401
    """Return the backup that zigpy made after its last write."""
    backup: Mapping[str, object] = app.backups.most_recent_backup().as_open_coordinator_json()
    return backup


async def back_up(app: Any) -> Mapping[str, object]:  # noqa: ANN401
    """Read the whole network from the stick and return it as Open Coordinator Backup."""
    backup: Mapping[str, object] = (await app.backups.create_backup(load_devices=True)).as_open_coordinator_json()
    return backup


SCAN_DURATION_EXPONENT = 4
"""Each channel is listened to for (2^4 + 1) * 15.36 ms, a quarter of a second."""


async def energy_scan(app: Any) -> Mapping[int, int]:  # noqa: ANN401
    """Measure the energy on all channels, 0 to 255. The stick keeps its network meanwhile."""
    found = await app.energy_scan(channels=t.Channels.ALL_CHANNELS, duration_exp=SCAN_DURATION_EXPONENT, count=1)
    return {int(channel): min(255, max(0, round(energy))) for channel, energy in found.items()}


async def restore(app: Any, backup: Mapping[str, object]) -> Mapping[str, object]:  # noqa: ANN401
    """Write a backup to the stick and return a new backup.

    Raises:
        NetworkLost: The stick does not support it; the message names the remedy.
    """
    parsed = zigpy.backups.NetworkBackup.from_dict(dict(backup))
    try:
        await app.backups.restore_backup(parsed, counter_increment=COUNTER_STEP)
    except (
        zigpy.exceptions.CannotWriteNetworkSettings,
        zigpy.exceptions.DestructiveWriteNetworkSettings,
    ) as error:
        raise NetworkLost(
            "update the stick's firmware, or use a stick with EmberZNet 7.4 or newer: this firmware cannot take over"
            " the address of the stick it replaces"
        ) from error
    return _last_backup(app)


def _colons(digits: str) -> str:
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))


_DISK_ERRORS = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
                     sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})  # fmt: skip
_COMPANIONS = ("", "-wal")


def is_disk_error(error: BaseException) -> bool:
    """Return whether an error is caused by the disk, not by the content of the file."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code != sqlite3.SQLITE_IOERR_SHORT_READ and code & 0xFF in _DISK_ERRORS
    return isinstance(error, OSError)


def write_problem(path: Path) -> str:
    """Return why the disk refuses writes to the database; empty if it does not. Blocks."""
    try:
        make_private(path)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except (sqlite3.Error, OSError) as error:
        return str(error) if is_disk_error(error) else ""
    return ""


def copy_database(path: Path, directory: Path) -> Path:
    """Copy the readable files of the database into a directory in memory and return its new path. Blocks.

    Raises:
        OSError: The directory in memory is full as well.
    """
    for companion in _COMPANIONS:
        source, target = path.with_name(path.name + companion), directory / (path.name + companion)
        target.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if source.is_file():
                shutil.copyfile(source, target)
    copy = directory / path.name
    make_private(copy)
    return copy


UNKNOWN_FAILURE = "the radio failed; see the hub's log"
MESSAGE_CHARACTERS_MAX = 300
SHUTDOWN_S = 10.0


async def shut_down(app: Any) -> None:  # noqa: ANN401
    """Release the stick and the database; without this the interpreter never ends."""
    try:
        async with asyncio.timeout(SHUTDOWN_S):
            await app.shutdown(db=True)
    except (*STICK_ERRORS, OSError) as error:
        _log.warning("the radio did not shut down cleanly: %s", describe_error(error))


@contextlib.contextmanager
def stick_errors_translated() -> Iterator[None]:
    """Raise the errors of zigpy and bellows as `NetworkLost`."""
    try:
        yield
    except STICK_ERRORS as error:
        raise NetworkLost(f"the stick did not execute the command: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:  # noqa: PLR0911 - a table
    """Return a description of an error for a technician; it never contains a key."""
    match error:
        case BaseExceptionGroup():
            return describe_error(error.exceptions[0])
        case HalError():
            return str(error)
        case PermissionError():
            return (
                f"{error.filename or 'the port'} cannot be opened: another program uses it, or the agent's user is not"
                " in the group dialout"
            )
        case OSError() if not isinstance(error, TimeoutError):
            return f"{error.filename or 'the port'}: {error.strerror or error}"
        case TimeoutError():
            return "check zigbee.adapter and zigbee.baudrate: the stick does not answer"
        case zigpy.exceptions.ZigbeeException() | zigpy.exceptions.RadioException() | bellows.ash.NcpFailure():
            return f"the stick reports {type(error).__name__}: {error}"[:MESSAGE_CHARACTERS_MAX]
        case _:
            return UNKNOWN_FAILURE
