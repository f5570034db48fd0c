"""Answers time requests of devices, which show the time on their displays. Pure, except for the injected clock.

Facts: Zigbee Cluster Library, sections 12.2 (time cluster; seconds since 2000-01-01 UTC) and 2.5.1 (read attributes);
Tuya's "Zigbee generic interfaces" (command 0x24: a sequence number of 2 bytes, which is echoed, then seconds since
1970-01-01, in UTC and in local time, big-endian). While the hub's time is unknown, a read of the cluster fails and a
Tuya request stays unanswered; the device repeats it.
"""

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo

TIME = 0x000A
TUYA = 0xEF00
TUYA_TIME = 0x24

EPOCH_2000_S = 946_684_800
_U32_MAX = 0xFFFF_FFFF

_HEADER_BYTES = 3
_GLOBAL_TO_SERVER = 0x00
_TO_CLIENT_OF_CLUSTER = 0x09
_DIRECTION_AND_TYPE = 0x0F
"""Of the frame control: frame type, manufacturer-specific, direction."""
_NO_DEFAULT_RESPONSE = 0x10

_READ, _READ_RESPONSE = 0x00, 0x01
_SUCCESS, _FAILURE, _UNSUPPORTED = 0x00, 0x01, 0x86

_UTC, _BITS, _I32, _U32, _U16 = 0xE2, 0x18, 0x2B, 0x23, 0x21
_STATUS = 0x0001
_MASTER_AND_MASTER_ZONE = 0b101
_ATTRIBUTES = (0x0000, 0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0007)
_REVISION, _REVISION_NOW = 0xFFFD, 2
_NEVER = _U32_MAX

_YEAR_DAYS = 400


class WallClock:
    """The local time of the house, set by the agent and read on the radio's thread."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._monotonic_ms = monotonic_ms
        self._set: tuple[datetime, int] | None = None

    def set(self, now: datetime | None) -> None:
        """Set the local time; `None` while it is unknown."""
        self._set = None if now is None else (now, self._monotonic_ms())

    def now(self) -> datetime | None:
        """Return the local time; `None` while it is unknown."""
        last = self._set
        if last is None:
            return None
        then, at_ms = last
        passed = timedelta(milliseconds=self._monotonic_ms() - at_ms)
        return (then.astimezone(UTC) + passed).astimezone(then.tzinfo)


def is_time_request(cluster: int, data: bytes) -> bool:
    """Return whether a frame is a time request."""
    if len(data) < _HEADER_BYTES:
        return False
    form = data[0] & _DIRECTION_AND_TYPE
    if cluster == TIME:
        return form == _GLOBAL_TO_SERVER and data[2] == _READ
    return cluster == TUYA and form == _TO_CLIENT_OF_CLUSTER and data[2] == TUYA_TIME


def time_response(cluster: int, request: bytes, now: datetime | None) -> bytes | None:
    """Return the response to a time request; `None` if it must stay unanswered.

    Args:
        cluster: `TIME` or `TUYA`.
        request: A frame for which `is_time_request` is true.
        now: Local time; `None` while it is unknown.
    """
    sequence, payload = request[1], request[_HEADER_BYTES:]
    if cluster == TIME:
        asked = [attribute for (attribute,) in struct.iter_unpack("<H", payload[: len(payload) // 2 * 2])]
        known = {} if now is None else _attributes(now)
        records = b"".join(_record(attribute, known, is_known=now is not None) for attribute in asked)
        return bytes((_GLOBAL_TO_SERVER | 0x08 | _NO_DEFAULT_RESPONSE, sequence, _READ_RESPONSE)) + records
    clocks = None if now is None else _tuya_clocks(now)
    return (
        None
        if clocks is None
        else bytes((0x01 | _NO_DEFAULT_RESPONSE, sequence, TUYA_TIME))
        + ((payload[:2] if len(payload) > 1 else b"\x00\x08") + clocks)
    )


def _tuya_clocks(now: datetime) -> bytes | None:
    utc_s = int(now.timestamp())
    local_s = utc_s + _seconds(now.utcoffset())
    if not (0 <= utc_s <= _U32_MAX and 0 <= local_s <= _U32_MAX):
        return None
    return struct.pack(">II", utc_s, local_s)


def _record(attribute: int, known: Mapping[int, tuple[int, bytes]], *, is_known: bool) -> bytes:
    if attribute == _STATUS:
        kind, value = _BITS, bytes((_MASTER_AND_MASTER_ZONE if is_known else 0,))
    elif attribute == _REVISION:
        kind, value = _U16, struct.pack("<H", _REVISION_NOW)
    elif attribute in known:
        kind, value = known[attribute]
    else:
        return struct.pack("<HB", attribute, _FAILURE if attribute in _ATTRIBUTES else _UNSUPPORTED)
    return struct.pack("<HBB", attribute, _SUCCESS, kind) + value


def _attributes(now: datetime) -> Mapping[int, tuple[int, bytes]]:
    """Return type and value of each time attribute."""
    utc_s = int(now.timestamp()) - EPOCH_2000_S
    offset_s, shift_s = _seconds(now.utcoffset()), _seconds(now.dst())
    start_s, end_s, dst_shift_s = _daylight_saving(now)
    numbers = {
        0x0000: (_UTC, "<I", utc_s),
        0x0002: (_I32, "<i", offset_s - shift_s),
        0x0003: (_U32, "<I", start_s),
        0x0004: (_U32, "<I", end_s),
        0x0005: (_I32, "<i", dst_shift_s),
        0x0006: (_U32, "<I", utc_s + offset_s - shift_s),
        0x0007: (_U32, "<I", utc_s + offset_s),
    }
    try:
        return {attribute: (kind, struct.pack(form, value)) for attribute, (kind, form, value) in numbers.items()}
    except struct.error:
        # The cluster cannot express times before 2000 and after 2136.
        return {}


def _daylight_saving(now: datetime) -> tuple[int, int, int]:
    """Return start, last second and shift of the present or the next daylight saving time."""
    zone = now.tzinfo
    utc_s = int(now.timestamp())
    begin_s = _find_change(utc_s, zone, -1) if now.dst() else _find_change(utc_s, zone, 1)
    if begin_s is None:
        return _NEVER, _NEVER, 0
    shift_s = _shift_s(begin_s, zone)
    end_s = _find_change(max(utc_s, begin_s), zone, 1)
    return begin_s - EPOCH_2000_S, _NEVER if end_s is None else end_s - 1 - EPOCH_2000_S, shift_s


def _find_change(from_s: int, zone: tzinfo | None, direction: int) -> int | None:
    """Return the Unix time of the next change of the offset (direction 1), or of the last one (direction -1)."""
    here = _shift_s(from_s, zone)
    day_s = 86_400 * direction
    for day in range(1, _YEAR_DAYS):
        if _shift_s(from_s + day * day_s, zone) != here:
            low, high = sorted((from_s + day * day_s, from_s + (day - 1) * day_s))
            before = _shift_s(low, zone)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _shift_s(middle, zone) == before else (low, middle)
            return high
    return None


def _shift_s(utc_s: int, zone: tzinfo | None) -> int:
    return _seconds(datetime.fromtimestamp(utc_s, zone).dst())


def _seconds(duration: timedelta | None) -> int:
    return int(duration.total_seconds()) if duration else 0
