"""The radio's durable state: its network, devices and stick, as structs and as files.

Encoding and decoding are pure; `RadioFiles` reads and writes the files off the event loop, one write at a time. The
names in the files are those of the first release and must not change.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec

from hal.availability import ReportingRhythm
from hal.errors import HalError
from hal.interface import SensorKind
from hal.zigbee.battery import Battery
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings
from hal.zigbee.options import FILE_BYTES_MAX, NETWORK_FILE, SENSORS_FILE, STICK_FILE, FileStore

BACKUPS_MAX = 8
"""A week of daily backups and one; the oldest is dropped."""

WRITTEN_BYTES_MAX = FILE_BYTES_MAX - 1024
"""Size limit of reading, less what the store adds when writing."""

SENSORS_MAX = 500
"""More devices than any stick can serve."""

REMOVED_MAX = 100


class FileUnreadable(HalError):
    """A file of the radio does not have the content that the radio writes."""


class NetworkSnapshot(msgspec.Struct, frozen=True):
    """Content of the network's file: a secret.

    Attributes:
        phase: Progress of writing it to the stick.
        settings: Identity of the network.
        backups: Open Coordinator Backups (JSON objects), oldest first; empty while the network is only planned.
    """

    phase: NetworkPhase
    settings: NetworkSettings
    backups: tuple[msgspec.Raw, ...] = ()


class DeviceRecord(msgspec.Struct, frozen=True):
    """A device of the network.

    Attributes:
        ieee: EUI-64 as `0x` and 16 lower-case hex digits.
        nwk: Its short address, which may change.
        kinds: What it measures; empty for routers, and before its interview.
        is_sleepy: Whether it sleeps between reports.
        is_interviewed: Whether its interview is complete.
        is_configured: Whether its bindings and reporting configuration are written.
        is_offline: Whether it was found to be offline; a received frame ends that.
        last_seen_ms: When its last frame was received, on the clock of the boot that the file names.
        lqi: Link quality of the last hop of its last frame.
        rhythm: Its usual silence.
        max_intervals_s: Maximum reporting interval of each kind in seconds; 0 without a configuration.
        ranks: Rank of the channel that each kind is taken from (`SensorChannel.rank`).
        reported: Kinds that it has reported by itself at least once; values of these read at set-up are trusted.
        battery: Its battery, if the level is estimated from a voltage.
        unused: For people: channels that are not used, and why.
        model_note: For people: what is special about its model.
        outputs: The names of its lines, such as "zigbee-00124b0012345678/switch/1".
        binary: What it tells as a contact or motion sensor, by `BinaryKind`; a newer release may know more kinds.
            `None` of a motion sensor, whose motion is of the moment.
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
    last_seen_ms: int | None = msgspec.field(default=None, name="heard_ms")
    lqi: int | None = None
    rhythm: ReportingRhythm = ReportingRhythm()
    max_intervals_s: dict[SensorKind, float] = msgspec.field(default_factory=dict, name="promises")
    ranks: dict[SensorKind, int] = {}
    reported: tuple[SensorKind, ...] = ()
    battery: Battery | None = None
    unused: tuple[str, ...] = msgspec.field(default=(), name="left_out")
    model_note: str = msgspec.field(default="", name="note")
    binary: dict[str, bool | None] = {}
    outputs: tuple[str, ...] = ()


class DeviceTable(msgspec.Struct, frozen=True):
    """Content of the devices' file.

    Attributes:
        boot_id: The boot whose clock `DeviceRecord.last_seen_ms` refers to.
        sensors: The devices of the network.
        removed: Addresses of removed devices, newest last; the leave request is repeated to those that missed it.
    """

    boot_id: str
    sensors: tuple[DeviceRecord, ...] = ()
    removed: tuple[str, ...] = ()


class StickSnapshot(msgspec.Struct, frozen=True):
    """Content of the stick's file: the fingerprint of the network last written to the stick."""

    fingerprint: str = ""


def encode(content: NetworkSnapshot | DeviceTable | StickSnapshot) -> bytes:
    """Return the content of a file."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def decode_network(data: bytes | None) -> NetworkSnapshot | None:
    """Decode the network's file.

    Raises:
        FileUnreadable: The content is something else.
    """
    return None if data is None else _decode(data, NetworkSnapshot)


def decode_stick(data: bytes | None) -> StickSnapshot:
    """Decode the stick's file.

    Raises:
        FileUnreadable: The content is something else.
    """
    return StickSnapshot() if data is None else _decode(data, StickSnapshot)


def decode_devices(data: bytes | None, boot_id: str) -> DeviceTable:
    """Decode the devices' file. Times of an earlier boot have no meaning on this boot's clock and are dropped.

    Raises:
        FileUnreadable: The content is something else.
    """
    if data is None:
        return DeviceTable(boot_id)
    table = _decode(data, DeviceTable)
    table = msgspec.structs.replace(table, sensors=tuple(map(_with_setup_repeated, table.sensors)))
    if table.boot_id == boot_id:
        return table
    sensors = tuple(msgspec.structs.replace(sensor, last_seen_ms=None) for sensor in table.sensors)
    return DeviceTable(boot_id, sensors, table.removed)


def _with_setup_repeated(sensor: DeviceRecord) -> DeviceRecord:
    """Mark a sensor for set-up if an early version configured it without reading what it measures."""
    is_old = sensor.is_configured and sensor.kinds and not sensor.ranks
    return msgspec.structs.replace(sensor, is_configured=False) if is_old else sensor


def with_backup(network: NetworkSnapshot, settings: NetworkSettings, backup: Mapping[str, object]) -> NetworkSnapshot:
    """Return the network as formed, with one more backup; the oldest ones are dropped to fit the file.

    Raises:
        ValueError: The backup alone is too large.
    """
    raw = msgspec.Raw(json.dumps(backup, sort_keys=True).encode())
    backups = (*network.backups, raw)[-BACKUPS_MAX:]
    while len(encode(NetworkSnapshot(NetworkPhase.FORMED, settings, backups))) > WRITTEN_BYTES_MAX:
        backups = backups[1:]
    if not backups:
        raise ValueError(f"this backup of {len(raw):,} bytes is too large to be kept")
    return NetworkSnapshot(NetworkPhase.FORMED, settings, backups)


def with_restore_pending(network: NetworkSnapshot | None, backup: Mapping[str, object]) -> NetworkSnapshot:
    """Return the network of a backup, to be written to the stick at its next start.

    Raises:
        ValueError: See `parse_settings`.
    """
    before = network or NetworkSnapshot(NetworkPhase.PLANNED, parse_settings(backup))
    return msgspec.structs.replace(with_backup(before, parse_settings(backup), backup), phase=NetworkPhase.RESTORING)


def parse_settings(backup: Mapping[str, object]) -> NetworkSettings:
    """Return the identity of the network in an Open Coordinator Backup.

    Raises:
        ValueError: It is no such backup; the message names the wrong field, never a value.
    """
    try:
        shape = msgspec.convert(backup, _Backup)
    except msgspec.ValidationError as error:
        # msgspec names the field and the expected type, not the value.
        raise ValueError(f"this is no Open Coordinator Backup: {error}") from None
    return NetworkSettings(
        ieee=shape.coordinator_ieee.lower(),
        extended_pan_id=shape.extended_pan_id.lower(),
        key=shape.network_key.key.lower(),
        pan_id=int(shape.pan_id, 16),
        channel=shape.channel,
    )


def parse_backup(data: bytes) -> Mapping[str, object]:
    """Decode an Open Coordinator Backup.

    Raises:
        ValueError: It is no such backup; the message never holds a value of it.
    """
    try:
        backup = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.MsgspecError:
        raise ValueError("this is no Open Coordinator Backup: it is no JSON object") from None
    parse_settings(backup)
    return backup


_Content = TypeVar("_Content")


def _decode(data: bytes, kind: type[_Content]) -> _Content:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FileUnreadable(f"the content is no {kind.__name__}: {type(error).__name__}") from None


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


_log = logging.getLogger(__name__)


class RadioFiles:
    """Reads and writes the radio's files in a store."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self._lock = asyncio.Lock()

    async def network(self) -> NetworkSnapshot | None:
        """Return the hub's network; `None` if there is none. An unreadable file is quarantined."""
        data = await asyncio.to_thread(self.store.read, NETWORK_FILE)
        try:
            return decode_network(data)
        except FileUnreadable as error:
            await self.quarantine(NETWORK_FILE, str(error))
            return None

    async def stick(self) -> StickSnapshot:
        """Return the stick's file, which outlives a factory reset."""
        data = await asyncio.to_thread(self.store.read, STICK_FILE)
        try:
            return decode_stick(data)
        except FileUnreadable as error:
            await self.quarantine(STICK_FILE, str(error))
            return StickSnapshot()

    async def save(self, content: NetworkSnapshot | DeviceTable | StickSnapshot) -> None:
        """Write a file.

        Raises:
            OSError: The disk refuses; the old content stays.
        """
        names = {NetworkSnapshot: NETWORK_FILE, DeviceTable: SENSORS_FILE, StickSnapshot: STICK_FILE}
        data = encode(content)
        async with self._lock:
            await asyncio.to_thread(
                self.store.write, names[type(content)], data, is_secret=isinstance(content, NetworkSnapshot)
            )

    async def quarantine(self, name: str, reason: str) -> None:
        """Move an unreadable file away.

        Raises:
            OSError: The disk refuses.
        """
        _log.error("%s is unreadable (%s) and was moved aside", name, reason)
        async with self._lock:
            await asyncio.to_thread(self.store.put_aside, name)


def load_devices(store: FileStore, boot_id: str) -> DeviceTable:
    """Return the stored devices; none if the disk fails or the file is unreadable. Blocks."""
    try:
        return decode_devices(store.read(SENSORS_FILE), boot_id)
    except OSError as error:
        _log.error("%s cannot be read (%s); all sensors are interviewed again", SENSORS_FILE, error)
        return DeviceTable(boot_id)
    except FileUnreadable as error:
        _log.error("%s is unreadable (%s) and was moved aside; all sensors are interviewed again", SENSORS_FILE, error)
        with contextlib.suppress(OSError):
            store.put_aside(SENSORS_FILE)
        return DeviceTable(boot_id)
