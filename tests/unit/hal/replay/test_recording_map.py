"""Maps: what they may say, and how their mistakes are told."""

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest

from hal.errors import RecordingInvalid
from hal.interface import RelayedSensor, SensorKind
from hal.replay.recording_map import MAP_BYTES_MAX, RecordingMap, load_map

GOOD = """\
[time]
column = "time"
format = "%Y"
zone = "UTC"
[[relayed]]
device = "A"
name = "Attic"
ieee = "0x00158d0001a2b3c4"
columns = { temperature = "a_c", iaq = "a_iaq" }
[[relayed]]
device = "B"
columns = { humidity = "b_rh" }
[hub]
columns = { pressure = "p" }
[[ignore]]
columns = ["x", "y"]
reason = "for people"
"""


def read(tmp_path: Path, text: str | bytes) -> RecordingMap:
    path = tmp_path / "house.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_map(path)


def test_a_map_names_time_sensors_channels_and_what_is_ignored(tmp_path: Path) -> None:
    house = read(tmp_path, GOOD)
    assert (house.time.column, house.time.format, house.time.zone) == ("time", "%Y", UTC)
    assert house.sensors == (
        RelayedSensor("A", "Attic", (SensorKind.TEMPERATURE, SensorKind.IAQ), "0x00158d0001a2b3c4"),
        RelayedSensor("B", "B", (SensorKind.HUMIDITY,), ""),
    )
    assert [(channel.device, channel.column) for channel in house.channels] == [
        ("A", "a_c"),
        ("A", "a_iaq"),
        ("B", "b_rh"),
        ("", "p"),
    ]
    assert house.ignored == {"x", "y"}


def test_utc_and_iso_are_the_defaults(tmp_path: Path) -> None:
    house = read(tmp_path, 'time.column = "t"\nhub.columns = { pressure = "p" }')
    assert (house.time.format, house.time.zone) == ("iso8601", UTC)


@pytest.mark.skipif("Europe/Brussels" not in available_timezones(), reason="this machine has no data of time zones")
def test_a_zone_of_the_iana_data_is_taken(tmp_path: Path) -> None:
    house = read(tmp_path, GOOD.replace("UTC", "Europe/Brussels"))
    assert house.time.zone == ZoneInfo("Europe/Brussels")


def test_an_array_of_other_things_than_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingInvalid, match=r"\[\[relayed\]\]: allowed is an array of tables"):
        read(tmp_path, "relayed = [1]\n" + GOOD[: GOOD.index("[[relayed]]")])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('column = "time"', "", "[time] column: found nothing; needed is a text"),
        ('column = "time"', "column = 3", "[time] column: found something else; needed is a text"),
        (
            'zone = "UTC"',
            'zone = "Europe/Brusels"',
            '[time] zone: found "Europe/Brusels"; allowed are "UTC" and',
        ),
        ('zone = "UTC"', 'zone = "../x"', '[time] zone: found "../x"; allowed are "UTC" and'),
        ('format = "%Y"', 'format = "iso"', '[time] format: found "iso"; allowed are "iso8601", "unix_s"'),
        (
            'format = "%Y"',
            "formaat = 1",
            '[time]: unknown key "formaat"; allowed are column, format, zone; did you mean "format"?',
        ),
        ('name = "Attic"', "nme = 1", '[[relayed]] 1: unknown key "nme"'),
        (
            "0x00158d0001a2b3c4",
            "00158D0001A2B3C4",
            '[[relayed]] 1 ieee: found "00158D0001A2B3C4"; allowed is "0x" and 16',
        ),
        ("humidity =", "humdity =", '[[relayed]] 2 columns: found "humdity"; allowed are temperature, humidity,'),
        ('device = "B"', "", "[[relayed]] 2 device: found nothing; needed is a text"),
        ('device = "B"', 'device = ""', "[[relayed]] 2 device: found something else; needed is a text"),
        ('device = "B"', 'device = "A"', 'device: "A" stands 2 times in the map; allowed is once'),
        ('"b_rh"', '"a_c"', 'column: "a_c" stands 2 times in the map'),
        ('"b_rh"', '"time"', 'column: "time" stands 2 times in the map'),
        ('["x", "y"]', '["x", "a_c"]', 'column: "a_c" stands 2 times'),
        ('device = "B"', 'device = "B"\nieee = "0x00158d0001a2b3c4"', 'ieee: "0x00158d0001a2b3c4" stands 2 times'),
        ('["x", "y"]', "3", "[[ignore]] 1 columns: allowed is an array of column names"),
        ("[[ignore]]", "[ignore]", "[[ignore]]: allowed is an array of tables"),
        ('{ pressure = "p" }', "{}", "[hub] columns: found none"),
        ('{ pressure = "p" }', "3", "[hub] columns: allowed is a table"),
        ("[hub]", "[hubb]", 'map: unknown key "hubb"; allowed are time, relayed, hub, ignore; did you mean "hub"?'),
        ("[time]", "time = ", "syntax: not valid TOML: "),
    ],
)
def test_each_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(RecordingInvalid) as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert f"house.toml: {expected}" in str(caught.value)


def test_a_map_without_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingInvalid, match="no column is mapped to a sensor"):
        read(tmp_path, 'time.column = "t"')


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#" * (MAP_BYTES_MAX + 1), "size: found more than"),
        (b"# \xff", "encoding: found the byte 0xff"),
        (b"a = " + b"[" * 5000, "syntax: not valid TOML"),
    ],
)
def test_a_file_that_is_no_map_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(RecordingInvalid, match=expected):
        read(tmp_path, content)


def test_a_missing_map_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingInvalid, match=r"house\.toml: file: cannot be read: No such file"):
        load_map(tmp_path / "house.toml")
