"""What the radio keeps over a power cut, and how it stands in its files. Pure: contents go in and out as bytes."""

import json
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec

from hal.errors import HalError
from hal.interface import SensorKind
from hal.zigbee.availability import ReportingRhythm
from hal.zigbee.battery import Battery
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings
from hal.zigbee.options import FILE_BYTES_MAX

BACKUPS_MAX = 8
"""A week of daily backups and one; the oldest makes room."""

WRITTEN_BYTES_MAX = FILE_BYTES_MAX - 1024
"""What is read again, less what the store adds."""

SENSORS_MAX = 500
"""More than any stick can serve."""

REMOVED_MAX = 100


class FileUnreadable(HalError):
    """A file of the radio holds something else than the radio writes."""


class NetworkSnapshot(msgspec.Struct, frozen=True):
    """Content of the network's file: a secret.

    Attributes:
        phase: How far it is on the stick.
        settings: Which network it is.
        backups: Open Coordinator Backups (JSON objects), oldest first; empty while it is planned only.
    """

    phase: NetworkPhase
    settings: NetworkSettings
    backups: tuple[msgspec.Raw, ...] = ()


class DeviceRecord(msgspec.Struct, frozen=True):
    """What is known of a device of the network.

    Attributes:
        ieee: EUI-64 as `0x` and 16 lower-case hex digits.
        nwk: Its short address, which may change.
        kinds: What it measures; empty for routers, and before its interview.
        is_sleepy: Whether it sleeps between reports.
        is_interviewed: Whether it has told what it is.
        is_configured: Whether it has taken its bindings and reporting rules.
        is_offline: Whether it was judged so; being heard lifts it.
        heard_ms: When it was heard last, on the clock of the boot that the file names.
        lqi: Of the last hop, when it was heard last.
        promises: The longest interval of the rule of each kind, in seconds; 0 where it took none.
        ranks: Which source each kind is taken from, where the device has several (`Source.rank`).
        reported: The kinds that it has reported by itself at some time: what it answers when asked is then believed.
        battery: What it runs on, where its level is estimated from a voltage.
        left_out: For people: what it measures besides and is not taken.
        note: For people: what is known of its model.
    """

    ieee: str
    nwk: int
    manufacturer: str = ""
    model: str = ""
    kinds: tuple[SensorKind, ...] = ()
    is_sleepy: bool = True
    is_interviewed: bool = False
    is_configured: bool = False
    is_offline: bool = False
    heard_ms: int | None = None
    lqi: int | None = None
    rhythm: ReportingRhythm = ReportingRhythm()
    promises: dict[SensorKind, float] = {}
    ranks: dict[SensorKind, int] = {}
    reported: tuple[SensorKind, ...] = ()
    battery: Battery | None = None
    left_out: tuple[str, ...] = ()
    note: str = ""


class DeviceTable(msgspec.Struct, frozen=True):
    """Content of the sensors' file.

    Attributes:
        boot_id: The boot on whose clock `DeviceRecord.heard_ms` counts.
        sensors: The devices of the network.
        removed: Addresses of devices that were told to leave, newest last; one that did not hear it is told again.
    """

    boot_id: str
    sensors: tuple[DeviceRecord, ...] = ()
    removed: tuple[str, ...] = ()


class StickSnapshot(msgspec.Struct, frozen=True):
    """Content of the stick's file: the fingerprint of the network that the stick was told to have."""

    fingerprint: str = ""


def encode(content: NetworkSnapshot | DeviceTable | StickSnapshot) -> bytes:
    """Return the content of a file."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def decode_network(data: bytes | None) -> NetworkSnapshot | None:
    """Read the network's file.

    Raises:
        FileUnreadable: It is something else.
    """
    return None if data is None else _decode(data, NetworkSnapshot)


def decode_stick(data: bytes | None) -> StickSnapshot:
    """Read the stick's file.

    Raises:
        FileUnreadable: It is something else.
    """
    return StickSnapshot() if data is None else _decode(data, StickSnapshot)


def decode_sensors(data: bytes | None, boot_id: str) -> DeviceTable:
    """Read the sensors' file; what an earlier boot has heard has no place on this boot's clock.

    Raises:
        FileUnreadable: It is something else.
    """
    if data is None:
        return DeviceTable(boot_id)
    kept = _decode(data, DeviceTable)
    kept = msgspec.structs.replace(kept, sensors=tuple(map(_up_to_date, kept.sensors)))
    if kept.boot_id == boot_id:
        return kept
    sensors = tuple(msgspec.structs.replace(sensor, heard_ms=None) for sensor in kept.sensors)
    return DeviceTable(boot_id, sensors, kept.removed)


def _up_to_date(sensor: DeviceRecord) -> DeviceRecord:
    """Return a sensor to be set up again that was set up by a version which did not ask what it measures."""
    is_old = sensor.is_configured and sensor.kinds and not sensor.ranks
    return msgspec.structs.replace(sensor, is_configured=False) if is_old else sensor


def with_backup(kept: NetworkSnapshot, settings: NetworkSettings, backup: Mapping[str, object]) -> NetworkSnapshot:
    """Return a network that is formed, with one more backup; older ones make room in the file.

    Raises:
        ValueError: It is too large to be kept.
    """
    raw = msgspec.Raw(json.dumps(backup, sort_keys=True).encode())
    backups = (*kept.backups, raw)[-BACKUPS_MAX:]
    while len(encode(NetworkSnapshot(NetworkPhase.FORMED, settings, backups))) > WRITTEN_BYTES_MAX:
        backups = backups[1:]
    if not backups:
        raise ValueError(f"this backup of {len(raw):,} bytes is too large to be kept")
    return NetworkSnapshot(NetworkPhase.FORMED, settings, backups)


def restoring(kept: NetworkSnapshot | None, backup: Mapping[str, object]) -> NetworkSnapshot:
    """Return a network that is to be written to the stick, from ``backup``.

    Raises:
        ValueError: See `settings_of`.
    """
    before = kept or NetworkSnapshot(NetworkPhase.PLANNED, settings_of(backup))
    return msgspec.structs.replace(with_backup(before, settings_of(backup), backup), phase=NetworkPhase.RESTORING)


def settings_of(backup: Mapping[str, object]) -> NetworkSettings:
    """Return which network an Open Coordinator Backup is of.

    Raises:
        ValueError: It is no such backup; the message names what is missing, never a value.
    """
    try:
        shape = msgspec.convert(backup, _Backup)
    except msgspec.ValidationError as error:
        # msgspec names the place and the expected type, not the value.
        raise ValueError(f"this is no Open Coordinator Backup: {error}") from None
    return NetworkSettings(
        ieee=shape.coordinator_ieee.lower(),
        extended_pan_id=shape.extended_pan_id.lower(),
        key=shape.network_key.key.lower(),
        pan_id=int(shape.pan_id, 16),
        channel=shape.channel,
    )


def parse_backup(data: bytes) -> Mapping[str, object]:
    """Read an Open Coordinator Backup.

    Raises:
        ValueError: It is none; the message never holds a value of it.
    """
    try:
        backup = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.MsgspecError:
        raise ValueError("this is no Open Coordinator Backup: it is no JSON object") from None
    settings_of(backup)
    return backup


_Content = TypeVar("_Content")


def _decode(data: bytes, kind: type[_Content]) -> _Content:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FileUnreadable(f"the file holds no {kind.__name__}: {type(error).__name__}") from None


_Hex4 = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{4}$")]
_Hex16 = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{16}$")]
_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{32}$")]
_Channel = Annotated[int, msgspec.Meta(ge=11, le=26)]


class _Key(msgspec.Struct):
    key: _Hex32
    sequence_number: int
    frame_counter: int


class _Metadata(msgspec.Struct):
    format: str
    version: int
    source: str


class _Backup(msgspec.Struct):
    """The parts of an Open Coordinator Backup that every writer of one fills (its JSON schema, "required")."""

    metadata: _Metadata
    coordinator_ieee: _Hex16
    pan_id: _Hex4
    extended_pan_id: _Hex16
    nwk_update_id: int
    security_level: int
    channel: _Channel
    channel_mask: list[int]
    network_key: _Key
    devices: list[dict[str, object]]
