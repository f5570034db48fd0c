"""What devices are told that ask for the time: the house's, summer time included, and nothing that nobody knows."""

import struct
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.zigbee.time_server import TIME, TUYA, WallClock, is_time_request, time_response

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
WINTER = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ALL = (0, 1, 2, 3, 4, 5, 6, 7)
READ = bytes((0x00, 77, 0x00)) + struct.pack("<8H", *ALL)
TUYA_ASKS = bytes((0x09, 5, 0x24, 0x12, 0x34))
FORMS = {0xE2: "<I", 0x18: "<B", 0x2B: "<i", 0x23: "<I", 0x21: "<H"}


def since_2000(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    then = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return int((then - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds())


def read(now: datetime | None, question: bytes = READ) -> dict[int, Any]:
    frame = time_response(TIME, question, now)
    assert frame is not None
    assert frame[:3] == bytes((0x18, question[1], 0x01))
    found: dict[int, Any] = {}
    rest = frame[3:]
    while rest:
        attribute, status = struct.unpack_from("<HB", rest)
        if status:
            found[attribute], rest = f"0x{status:02x}", rest[3:]
            continue
        form = FORMS[rest[3]]
        (found[attribute],) = struct.unpack_from(form, rest, 4)
        rest = rest[4 + struct.calcsize(form) :]
    return found


def test_time_cluster_attributes_in_summer() -> None:
    assert read(SUMMER.astimezone(BERLIN)) == {
        0: since_2000(2026, 7, 1, 12),
        1: 0b101,
        2: 3600,
        3: since_2000(2026, 3, 29, 1),
        4: since_2000(2026, 10, 25, 0, 59, 59),
        5: 3600,
        6: since_2000(2026, 7, 1, 13),
        7: since_2000(2026, 7, 1, 14),
    }


def test_time_cluster_in_winter_has_the_next_summer_time() -> None:
    told = read(WINTER.astimezone(BERLIN))
    assert (told[2], told[5], told[6], told[7]) == (3600, 3600, since_2000(2026, 1, 1, 13), since_2000(2026, 1, 1, 13))
    assert (told[3], told[4]) == (since_2000(2026, 3, 29, 1), since_2000(2026, 10, 25, 0, 59, 59))


@pytest.mark.parametrize("name", ["UTC", "Asia/Kolkata", "Africa/Nairobi"])
def test_time_zone_without_summer_time(name: str) -> None:
    told = read(SUMMER.astimezone(ZoneInfo(name)))
    assert (told[3], told[4], told[5]) == (0xFFFF_FFFF, 0xFFFF_FFFF, 0)
    assert told[7] == told[6] == told[0] + told[2]


def test_west_of_greenwich_and_south_of_the_equator() -> None:
    assert read(SUMMER.astimezone(ZoneInfo("America/St_Johns")))[7] == since_2000(2026, 7, 1, 9, 30)
    sydney = read(WINTER.astimezone(ZoneInfo("Australia/Sydney")))
    assert (sydney[2], sydney[5], sydney[7]) == (36_000, 3600, since_2000(2026, 1, 1, 23))
    assert sydney[3] < sydney[0] < sydney[4]


def test_other_attributes_are_unsupported() -> None:
    question = bytes((0x10, 1, 0x00)) + struct.pack("<4H", 0x0008, 0xFFFD, 0x0000, 0x1234) + b"\x00"
    assert read(SUMMER, question) == {8: "0x86", 0xFFFD: 2, 0: since_2000(2026, 7, 1, 12), 0x1234: "0x86"}


def test_times_outside_the_clusters_range_are_invalid() -> None:
    told = read(datetime(1990, 7, 1, tzinfo=UTC))
    assert told == {1: 0b101, **dict.fromkeys((0, 2, 3, 4, 5, 6, 7), "0x01")}


def test_unknown_time_gives_no_values() -> None:
    assert read(None) == {0: "0x01", 1: 0, **dict.fromkeys((2, 3, 4, 5, 6, 7), "0x01")}
    assert time_response(TUYA, TUYA_ASKS, None) is None


def test_tuya_time_response_echoes_the_sequence_with_utc_and_local_time() -> None:
    frame = time_response(TUYA, TUYA_ASKS, SUMMER.astimezone(BERLIN))
    utc_s = int(SUMMER.timestamp())
    assert frame == bytes((0x11, 5, 0x24, 0x12, 0x34)) + struct.pack(">II", utc_s, utc_s + 7200)
    bare = time_response(TUYA, TUYA_ASKS[:3], WINTER.astimezone(BERLIN))
    utc_s = int(WINTER.timestamp())
    assert bare == bytes((0x11, 5, 0x24, 0, 8)) + struct.pack(">II", utc_s, utc_s + 3600)
    assert time_response(TUYA, TUYA_ASKS, datetime(2150, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("cluster", "frame", "expected"),
    [
        (TIME, READ, True),
        (TIME, bytes((0x10, 1, 0x00)), True),
        (TUYA, TUYA_ASKS, True),
        (TUYA, bytes((0x19, 1, 0x24)), True),
        (TIME, b"", False),
        (TIME, bytes((0x08, 1, 0x00)), False),
        (TIME, bytes((0x00, 1, 0x0B)), False),
        (TIME, bytes((0x04, 1, 0x00)), False),
        (TUYA, bytes((0x09, 1, 0x02)), False),
        (TUYA, bytes((0x01, 1, 0x24)), False),
        (0x0402, READ, False),
    ],
)
def test_time_requests_are_recognised(cluster: int, frame: bytes, expected: bool) -> None:
    assert is_time_request(cluster, frame) is expected


@given(st.binary(max_size=40), st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1)), st.sampled_from((TIME, TUYA)))  # noqa: DTZ001
def test_any_request_at_any_time_is_handled(frame: bytes, now: datetime, cluster: int) -> None:
    if is_time_request(cluster, frame):
        time_response(cluster, frame, now.replace(tzinfo=UTC).astimezone(BERLIN))


def test_clock_continues_over_a_change_of_the_hour() -> None:
    now_ms = 5000
    clock = WallClock(lambda: now_ms)
    assert clock.now() is None
    clock.set(datetime(2026, 3, 29, 0, 59, 50, tzinfo=UTC).astimezone(BERLIN))
    now_ms += 20_000
    now = clock.now()
    assert now is not None
    assert (now.hour, now.minute, now.second) == (3, 0, 10)
    assert now == datetime(2026, 3, 29, 1, 0, 10, tzinfo=UTC)
    clock.set(None)
    assert clock.now() is None
