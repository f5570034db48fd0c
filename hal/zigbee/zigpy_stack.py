"""zigpy, told what the hub wants of it: imports, configuration, the network of the stick, backups.

Imported only when a radio is configured, and on the radio's thread: zigpy and bellows cost 22 MiB and half a second.
"""

import importlib
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import bellows.ash
import zigpy.backups
import zigpy.config
import zigpy.exceptions
import zigpy.types as t
from zigpy.zcl import AttributeReportedEvent, AttributeUpdatedEvent

from hal.errors import NetworkLost, SoftwareMissing
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

_LOUD = ("zigpy", "bellows", "serialx", "aiosqlite", "zigpy_znp", "zigpy_deconz")

COUNTER_STEP = 5_000_000
"""A sensor takes frames with a lower counter than it has heard for replays. A backup is a day old at most, and a full
network sends some 50 frames a second at its busiest: this is more. The counter has 32 bits and lasts for 800 restores.
"""

FAILURES = (
    zigpy.exceptions.ZigbeeException,
    zigpy.exceptions.RadioException,
    TimeoutError,
    bellows.ash.NcpFailure,
    AssertionError,
    RuntimeError,
)
"""What zigpy and bellows raise where a stick does not do as told: bellows asserts on answers, and a request on a closed
connection is a `RuntimeError`."""

COMMIT_S = 30
"""How far zigpy's database may lag behind: what it knows of a join the hub keeps in a file of its own."""


def quieten() -> None:
    """Keep the libraries from logging frames and backups: below "warning" they hold the network key."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)


def controller(adapter: str) -> Any:  # noqa: ANN401 - zigpy is untyped here
    """Import what speaks with one kind of stick and return its class.

    Raises:
        SoftwareMissing: It is not installed.
    """
    module, extra = _CONTROLLERS[adapter]
    try:
        return importlib.import_module(module).ControllerApplication
    except ModuleNotFoundError as error:
        raise SoftwareMissing(
            f"a stick of the kind {adapter!r} needs more packages ({error.name} is missing): pip install '{extra}'"
        ) from error


def quirks_resolver() -> Callable[[Any], Any] | None:
    """Return the resolver of the Zigbee community's device table; `None` where it cannot be used.

    It has had its resolver since its version 2, which needs Python 3.12.
    """
    try:
        return zha_quirks.table().resolve
    except (ImportError, AttributeError) as error:
        _log.warning(
            "zigbee.quirks: the device table cannot be used (%s): pip install 'climahub[zigbee-quirks]'", error
        )
        return None


def configuration(options: RadioOptions, found: StickPort, database: Path) -> dict[str, Any]:
    """Return zigpy's configuration."""
    return {
        "database_path": str(database),
        "database_commit_interval": COMMIT_S,
        "device": {
            "path": found.path,
            "baudrate": options.baudrate,
            "flow_control": None if options.flow_control == "none" else options.flow_control,
        },
        # The radio has its own thread already.
        "use_thread": False,
        # The hub compares and backs up by itself: zigpy would take over a foreign stick, and keeps every backup.
        "validate_network_settings": False,
        "backup_enabled": False,
        "topology_scan_enabled": False,
        "watchdog_enabled": True,
        "ota": {"enabled": False},
        "network": {},
    }


def make_private(path: Path) -> None:
    """Create a file that only this user can read, unless it exists; SQLite gives its companions the same rights."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def spare_the_card(app: Any) -> None:  # noqa: ANN401
    """Keep zigpy from writing each reported value and each time of hearing a device into its database.

    The hub has its own places for both. Of 100 sensors that would be 0.5 GB a day, and two thread switches a report.
    """
    database = app._dblistener  # noqa: SLF001 - zigpy has no setting for it
    if database is None:
        return
    write = database.enqueue

    def enqueue(what: str, *arguments: object) -> None:
        is_value = what == "_save_attribute" and isinstance(arguments[0], _REPORTED)
        if what != "_save_device_last_seen" and not is_value:
            write(what, *arguments)

    database.enqueue = enqueue


async def settings_on(app: Any) -> NetworkSettings | None:  # noqa: ANN401
    """Return the network that the stick holds; `None` for a blank one."""
    try:
        await app.load_network_info(load_devices=False)
    except zigpy.exceptions.NetworkNotFormed:
        return None
    return settings_of(app)


def settings_of(app: Any) -> NetworkSettings:  # noqa: ANN401
    """Return the network that zigpy has read from the stick last."""
    network, node = app.state.network_info, app.state.node_info
    return NetworkSettings(
        ieee=str(node.ieee).replace(":", "").lower(),
        extended_pan_id=str(network.extended_pan_id).replace(":", "").lower(),
        key=network.network_key.key.serialize().hex(),
        pan_id=int(network.pan_id),
        channel=int(network.channel),
    )


def kept_by(app: Any) -> NetworkSnapshot | None:  # noqa: ANN401
    """Return the network whose backup stands in zigpy's own database, for a hub whose own file was lost."""
    backup = app.backups.most_recent_backup()
    if backup is None or not backup.is_complete():
        return None
    content = backup.as_open_coordinator_json()
    settings = radio_state.settings_of(content)
    return radio_state.with_backup(NetworkSnapshot(NetworkPhase.FORMED, settings), settings, content)


def new_settings() -> NetworkSettings:
    """Choose a network at random."""
    return NetworkSettings(
        ieee="",
        extended_pan_id=secrets.token_hex(8),
        key=secrets.token_hex(16),
        # 0x0000 and 0xFFFF are no PAN's; 0xFFFE is reserved.
        pan_id=1 + secrets.randbelow(0xFFFD),
    )


async def form(app: Any, planned: NetworkSettings, channel: int) -> Mapping[str, object]:  # noqa: ANN401
    """Form a network on the stick and return its first backup.

    Args:
        app: Connected.
        planned: Its identity.
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
    """Return the backup that zigpy has made of what it has just written."""
    backup: Mapping[str, object] = app.backups.most_recent_backup().as_open_coordinator_json()
    return backup


async def back_up(app: Any) -> Mapping[str, object]:  # noqa: ANN401
    """Read everything from the stick and return it as Open Coordinator Backup."""
    backup: Mapping[str, object] = (await app.backups.create_backup(load_devices=True)).as_open_coordinator_json()
    return backup


async def restore(app: Any, backup: Mapping[str, object]) -> Mapping[str, object]:  # noqa: ANN401
    """Write a backup to the stick and return a new one.

    Raises:
        NetworkLost: The stick cannot take it; the message says what to do.
    """
    parsed = zigpy.backups.NetworkBackup.from_dict(dict(backup))
    try:
        await app.backups.restore_backup(parsed, counter_increment=COUNTER_STEP)
    except (
        zigpy.exceptions.CannotWriteNetworkSettings,
        zigpy.exceptions.DestructiveWriteNetworkSettings,
    ) as error:
        raise NetworkLost(
            "the stick's firmware cannot take the address of the stick it replaces; update its firmware, or use one"
            " that can (EmberZNet 7.4 or newer)"
        ) from error
    return _last_backup(app)


def _colons(digits: str) -> str:
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))
