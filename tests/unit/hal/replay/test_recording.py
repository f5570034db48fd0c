"""Loading a recording: exact values, exact instants, and every way in which a file can be wrong."""

import csv
import math
import runpy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.errors import RecordingInvalid
from hal.interface import HUB, SensorKind
from hal.replay import Recording, load, recording
from hal.replay.recording import instant_parser, number
from hal.replay.recording_map import TimeColumn

DATA = Path(__file__).parents[3] / "data"

Record = Callable[..., Recording]

HEADER = "time,a_c,a_rh,p_hpa\n"
ROW = "2024-01-01T00:00:00,1.5,50,1000\n"


def mistakes(record: Record, rows: str | bytes, **kwargs: str) -> list[str]:
    with pytest.raises(RecordingInvalid) as caught:
        record(rows, **kwargs)
    return [line.split(": ", 1)[1] for line in str(caught.value).splitlines()]


def test_rows_become_columns(record: Record) -> None:
    house = record(HEADER + ROW + "2024-01-01T00:00:01.5,,51.25,\n\n")
    assert [(channel.device, channel.kind, channel.column) for channel in house.channels] == [
        ("A", SensorKind.TEMPERATURE, "a_c"),
        ("A", SensorKind.HUMIDITY, "a_rh"),
        (HUB, SensorKind.PRESSURE, "p_hpa"),
    ]
    start_ms = 1_704_067_200_000
    assert list(house.instants_ms) == [start_ms, start_ms + 1500]
    assert [list(map(str, values)) for values in house.values] == [["1.5", "nan"], ["50.0", "51.25"], ["1000.0", "nan"]]
    assert house.readings_count == 4
    assert house.warnings == ()


def test_byte_order_mark_dos_line_ends_quotes_and_blanks_are_read(record: Record) -> None:
    house = record(b'\xef\xbb\xbf"time",a_c,a_rh,p_hpa\r\n"2024-01-01T00:00:00", 1.5 ,,\r\n')
    assert house.values[0][0] == 1.5
    assert house.readings_count == 1


def test_columns_that_the_map_does_not_name_are_warned_of(record: Record) -> None:
    house = record("time,x,a_c,a_rh,p_hpa,y\n2024-01-01,?,1,,,?\n")
    [warning] = house.warnings
    assert "does not name the columns x, y;" in warning


def test_bundled_recording_equals_the_output_of_its_script() -> None:
    script = runpy.run_path(str(DATA / "make_three_rooms.py"))
    assert (DATA / "three-rooms-1day.csv").read_text() == script["recording_text"]()


def test_bundled_recording_has_no_warnings(three_rooms: Recording) -> None:
    assert three_rooms.warnings == ()
    assert three_rooms.readings_count == 670
    assert [sensor.device for sensor in three_rooms.sensors] == ["kitchen", "bedroom", "bathroom"]


def test_nine_room_recording_has_93708_exact_readings(nine_rooms: Recording, nine_rooms_csv: Path) -> None:
    assert nine_rooms.readings_count == 93_708
    assert nine_rooms.warnings == ()
    assert len(nine_rooms.sensors) == 9
    assert {channel.column for channel in nine_rooms.channels if channel.device == HUB} == {"pressure_hpa"}
    with nine_rooms_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for channel, values in zip(nine_rooms.channels, nine_rooms.values, strict=True):
        assert [value.hex() for value in values] == [float(row[channel.column]).hex() for row in rows]
    instants = [datetime.fromisoformat(row["time"]).replace(tzinfo=UTC) for row in rows]
    assert list(nine_rooms.instants_ms) == [int(instant.timestamp()) * 1000 for instant in instants]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("", 'line 1, column "time": the map names this column, the file has none'),
        (
            "time,a_C,a_rh,p_hpa\n",
            'line 1, column "a_c": the map names this column, the file has none; did you mean "a_C"?',
        ),
        ("time;a_c;a_rh;p_hpa\n", "separated by semicolons: needed are commas"),
        ("time,a_c,a_c,a_rh,p_hpa\n" + ROW, 'line 1, column "a_c": stands more than once'),
        (HEADER, "line 1: the file ends without a single reading"),
        (HEADER + "2024-01-01,,,\n", "line 2: the file ends without a single reading"),
        (HEADER + "2024-01-01,1,2\n", "line 2: found 3 cells; needed are 4, as in line 1"),
        (HEADER + "2024-01-01,1,2,3,4\n", "line 2: found 5 cells"),
        (HEADER + "2024-01-01,warm,,\n", 'line 2, column "a_c": found "warm"; allowed is a number such as 19.89'),
        (HEADER + '2024-01-01,"19,89",,\n', 'line 2, column "a_c": found "19,89"'),
        (HEADER + "2024-01-01,,1_0,\n", 'line 2, column "a_rh": found "1_0"'),
        (HEADER + "2024-01-01,,,nan\n", 'line 2, column "p_hpa": found "nan"'),
        (HEADER + "2024-01-01,,,1e999\n", 'line 2, column "p_hpa": found "1e999"'),
        (HEADER + "2024-01-01,٣,,\n", 'line 2, column "a_c": found "٣"'),
        (HEADER + "2024-01-01," + "x" * 50 + ",,\n", f'found "{"x" * 40}..."'),
        (
            HEADER + "yesterday,1,,\n",
            'line 2, column "time": found "yesterday"; allowed is a time in the format "iso8601"',
        ),
        (HEADER + ",1,,\n", 'line 2, column "time": found ""; allowed is a time'),
        (HEADER + "2024-01-01T00:00:00.0001,1,,\n", "finer than a millisecond"),
        (HEADER + ROW + ROW, 'line 3, column "time": found "2024-01-01T00:00:00"; the same time as line 2'),
        (HEADER + ROW + "2023-12-31,1,,\n", 'line 3, column "time": found "2023-12-31"; earlier than line 2'),
        (HEADER + '2024-01-01,"1,,\n', "line 2: not valid CSV: "),
        (HEADER + ROW + '2024-01-02,"1"2,,\n', "line 3: not valid CSV: "),
        (HEADER + "2024-01-01,1" + "0" * 140_000 + ",,\n", "line 2: not valid CSV: field larger"),
        (HEADER.encode() + b"2024-01-01,1,2,3\n2024-01-02,\xff,,\n", "line 3: found bytes that are not UTF-8"),
        (HEADER.encode("utf-16"), "line 1: found bytes that are not UTF-8"),
    ],
)
def test_each_mistake_is_named_with_line_and_column(record: Record, rows: str | bytes, expected: str) -> None:
    found = mistakes(record, rows)
    assert any(expected in mistake for mistake in found), found


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("1970-01-01,1,,\n2024-01-01,2,,\n", 'line 3, column "time": found "2024-01-01"; 19,723 days after line 2'),
        ("2024-01-01,1,,\n2024-05-01,2,,\n", "121 days after line 2: allowed are gaps below 92 days"),
        ("1969-12-31,1,,\n", 'found "1969-12-31"; allowed are times from 1970 to 2199'),
        ("2200-01-01,1,,\n", 'found "2200-01-01"; allowed are times from 1970 to 2199'),
    ],
)
def test_clock_change_in_a_recording_is_refused(record: Record, rows: str, expected: str) -> None:
    """A simulation would go through every second of 54 years."""
    found = mistakes(record, HEADER + rows)
    assert len(found) == 1, found
    assert expected in found[0]


def test_a_season_without_readings_is_a_pause(record: Record) -> None:
    assert len(record(HEADER + "2024-01-01,1,,\n2024-04-01,2,,\n").instants_ms) == 2


def test_the_whole_recording_is_bounded(record: Record) -> None:
    rows = "".join(f"{year}-{month:02}-01,1,,\n" for year in range(2020, 2026) for month in range(1, 13))
    assert (
        "1,858 days after the first row: allowed are 1,830; split the recording" in mistakes(record, HEADER + rows)[0]
    )


def test_warning_names_some_columns_and_counts_the_rest(record: Record) -> None:
    extra = ",".join(f"x{number}" for number in range(30))
    house = record(f"time,a_c,a_rh,p_hpa,{extra}\n2024-01-01,1,,{',' * 30}\n")
    assert "x18, x19 and 10 more;" in house.warnings[0]


def test_one_wrong_time_is_one_mistake(record: Record) -> None:
    rows = "".join(f"2024-01-01T00:0{minute}:00,1,,\n" for minute in (0, 1, 9, 3, 4))
    assert len(mistakes(record, HEADER + rows)) == 1


def test_all_mistakes_are_listed(record: Record) -> None:
    found = mistakes(record, HEADER + "2024-01-01,a,b,c\nx,1,2,3\n")
    assert [mistake.split(":")[0] for mistake in found] == [
        'line 2, column "a_c"',
        'line 2, column "a_rh"',
        'line 2, column "p_hpa"',
        'line 3, column "time"',
    ]


def test_at_most_twenty_mistakes_are_listed(record: Record) -> None:
    found = mistakes(record, HEADER + "x,a,b,\n" * 1000)
    assert len(found) == 21
    assert found[-1] == "further errors are not listed"


def test_sizes_are_bounded(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "found 1001 columns" in mistakes(record, ",".join(f"c{number}" for number in range(1001)) + "\n")[0]
    monkeypatch.setattr(recording, "ROWS_MAX", 1)
    assert "line 3: found more than 1 rows" in mistakes(record, HEADER + ROW + "2024-01-02,1,,\n" * 2)[0]
    monkeypatch.setattr(recording, "RECORDING_BYTES_MAX", 10)
    assert mistakes(record, HEADER + ROW) == ["size: found more than 10 bytes; split the recording"]


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingInvalid, match=r"house\.csv: file: cannot be read: No such file"):
        load(tmp_path / "house.csv", DATA / "three-rooms-1day.toml")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_bit_equal_to_float(value: float) -> None:
    for text in (repr(value), f"{value:.3f}", f"{value:.17e}"):
        assert math.copysign(1, number(text)) == math.copysign(1, float(text))
        assert number(text) == float(text)


@pytest.mark.parametrize("text", ["", " ", "inf", "-inf", "nan", "1_0", "0x10", "1,5", "٣", "1e", ".", "+", "1 2"])
def test_invalid_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="allowed is a number"):
        number(text)


def parse(text: str, *, form: str = "iso8601", zone: str = "UTC") -> int:
    if zone != "UTC" and zone not in available_timezones():
        pytest.skip("this machine has no data of time zones")
    return instant_parser(TimeColumn("time", form, UTC if zone == "UTC" else ZoneInfo(zone)))(text)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - UTC by the map
def test_instants_are_exact_to_the_millisecond(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, fold=0)
    expected_ms = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse(moment.isoformat()) == expected_ms
    assert parse(str(expected_ms), form="unix_ms") == expected_ms
    assert parse(str(Decimal(expected_ms) / 1000), form="unix_s") == expected_ms


@pytest.mark.parametrize(
    ("text", "form", "zone", "expected_ms"),
    [
        ("1970-01-01T00:00:01Z", "iso8601", "UTC", 1000),
        ("1970-01-01T01:00:01+01:00", "iso8601", "America/New_York", 1000),
        ("1970-01-01 01:00:01", "iso8601", "Europe/Brussels", 1000),
        ("01.01.1970 00:00", "%d.%m.%Y %H:%M", "UTC", 0),
        ("1.5", "unix_s", "UTC", 1500),
        ("-1", "unix_s", "UTC", -1000),
        ("1.5e3", "unix_ms", "UTC", 1500),
    ],
)
def test_times_are_read_in_their_format_and_zone(text: str, form: str, zone: str, expected_ms: int) -> None:
    assert parse(text, form=form, zone=zone) == expected_ms


@pytest.mark.parametrize(
    ("text", "form", "zone", "expected"),
    [
        (
            "2024-10-27 02:30",
            "iso8601",
            "Europe/Brussels",
            "use UTC: in Europe/Brussels this time is ambiguous",
        ),
        ("2024-03-31 02:30", "iso8601", "Europe/Brussels", "ambiguous or missing"),
        ("01.01.70", "%d.%m.%Y", "UTC", 'the format "%d.%m.%Y"'),
        ("1.0005", "unix_s", "UTC", "finer than a millisecond"),
        ("1.5", "unix_ms", "UTC", "finer than a millisecond"),
        ("1e99", "unix_s", "UTC", "allowed are seconds since 1970"),
        ("now", "unix_ms", "UTC", "allowed are milliseconds since 1970"),
    ],
)
def test_times_that_are_not_exact_are_refused(text: str, form: str, zone: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse(text, form=form, zone=zone)
