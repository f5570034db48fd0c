"""What a sensor says, turned into values: clusters, frames on the air, makers."""

import math
import struct

import pytest

from hal.interface import SensorKind
from hal.zigbee import vendor_quirks, zcl
from lab.ncp import dialects, models

KINDS = SensorKind


LISTED = {2: [zcl.TEMPERATURE, zcl.PRESSURE], 1: [zcl.POWER, zcl.TEMPERATURE]}


def test_channels_prefer_the_lowest_endpoint_and_a_percentage_to_a_voltage() -> None:
    found = zcl.find_candidates(LISTED)
    assert [(each.channel.name, each.channel.rank) for each in found] == [
        ("1/temperature", 1),
        ("1/battery_level", 1),
        ("1/battery_level/voltage", 2),
        ("2/temperature", 2),
        ("2/pressure", 1),
    ]
    assert zcl.find_candidates({1: [0x0400, 0x0406, 0x0006]}) == []
    valve = zcl.find_candidates({1: [zcl.THERMOSTAT, zcl.TEMPERATURE]})
    assert [(each.place, each.channel.rank) for each in valve] == [
        ("cluster 0x0402 of endpoint 1", 1),
        ("cluster 0x0201 of endpoint 1", 2),
    ]


def test_each_kind_is_read_from_one_answering_cluster() -> None:
    first, percent, volt, second, pressure = found = zcl.find_candidates(LISTED)

    def taken(answers: dict[zcl.AttributeCandidate, float | None]) -> list[zcl.AttributeCandidate]:
        return list(zcl.choose_candidates(found, answers))

    assert taken({first: 2100, second: 2200, percent: 180, volt: 30, pressure: 1000}) == [first, percent, pressure]
    # One without a value makes room for one that has it; where none has, the first that knows the attribute is taken.
    assert taken({first: None, second: 2200, percent: None, volt: 24}) == [volt, second]
    assert taken({first: None, second: None}) == [first]
    assert taken({}) == []


def test_vendor_specific_kinds_are_not_read_from_clusters() -> None:
    real, dummies = zcl.separate_dummies(zcl.find_candidates(LISTED), {KINDS.TEMPERATURE, KINDS.BATTERY_LEVEL})
    assert [each.channel.name for each in real] == ["2/pressure"]
    assert [each.place for each in dummies] == [
        "cluster 0x0402 of endpoint 1",
        "cluster 0x0001 of endpoint 1",
        "the battery's voltage of endpoint 1",
        "cluster 0x0402 of endpoint 2",
    ]


@pytest.mark.parametrize(
    ("cluster", "attribute", "raw", "value"),
    [
        (zcl.TEMPERATURE, 0, 2134, 21.34),
        (zcl.TEMPERATURE, 0, -5, -0.05),
        (zcl.TEMPERATURE, 0, -32768, None),
        (zcl.HUMIDITY, 0, 4567, 45.67),
        (zcl.HUMIDITY, 0, 0xFFFF, None),
        (zcl.PRESSURE, 0, 1013, 1013),
        (zcl.PRESSURE, 0, -32768, None),
        (zcl.POWER, 0x21, 155, 77.5),
        (zcl.POWER, 0x21, 0xFF, None),
        (zcl.POWER, 0x20, 24, 2.4),
        (zcl.POWER, 0x20, 0xFF, None),
        (zcl.IKEA_VOC, 0, 103.0, 103),
        (zcl.IKEA_VOC, 0, math.nan, None),
        (zcl.IKEA_VOC, 0, math.inf, None),
        (zcl.TEMPERATURE, 0, "21", None),
        (zcl.TEMPERATURE, 0, True, None),
    ],
)
def test_raw_value_is_converted_or_invalid(cluster: int, attribute: int, raw: object, value: float | None) -> None:
    assert zcl.convert(zcl.MEASURED_ATTRIBUTES[cluster, attribute], raw) == value


def report(*records: bytes, control: int = 0x18, command: int = 0x0A) -> bytes:
    return bytes((control, 7, command)) + b"".join(records)


TEMPERATURE = struct.pack("<HBh", 0, 0x29, -512)
TOLERANCE = struct.pack("<HBH", 3, 0x21, 50)


def test_standard_report_is_decoded() -> None:
    assert zcl.parse_report(report(TEMPERATURE, TOLERANCE)) == [(0, -512), (3, 50)]
    assert zcl.parse_report(report(struct.pack("<HBf", 0, 0x39, 1.5))) == [(0, 1.5)]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x18",
        report(),
        report(TEMPERATURE[:-1]),
        report(TEMPERATURE, b"\x00"),
        report(struct.pack("<HB", 5, 0x42) + b"\x04lumi"),
        report(TEMPERATURE, control=0x08),
        report(TEMPERATURE, control=0x1C),
        report(TEMPERATURE, control=0x19),
        report(TEMPERATURE, command=0x01),
    ],
)
def test_every_other_frame_is_left_to_zigpy(frame: bytes) -> None:
    assert not zcl.parse_report(frame)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (report(TEMPERATURE), True),
        (report(TEMPERATURE, control=0x08), True),
        (bytes((0x1C, 0x5F, 0x11, 7, 0x0A)) + TEMPERATURE, True),
        (report(TEMPERATURE, control=0x09, command=0x02), True),
        (report(TEMPERATURE, control=0x01), False),
        (report(TEMPERATURE, command=0x01), False),
        (b"", False),
        (b"\x18\x07", False),
    ],
)
def test_report_frames_are_recognised(frame: bytes, expected: bool) -> None:
    assert zcl.is_report(frame) is expected


def test_vendors_are_recognised_by_the_manufacturer_name() -> None:
    assert vendor_quirks.find_quirk("LUMI", "lumi.weather").has_aqara_struct
    assert vendor_quirks.find_quirk("_TZE200_bjawzodf", "TS0601").points
    assert vendor_quirks.find_quirk("IKEA of Sweden", "VINDSTYRKA").has_voc_index
    assert vendor_quirks.find_quirk("SONOFF", "SNZB-02D").name == "Sonoff"
    assert vendor_quirks.find_quirk("somebody", "something") is vendor_quirks.STANDARD


def test_aqara_struct_contains_the_battery_voltage() -> None:
    record = dialects.aqara_record(battery_mv=2750, temperature=2150, humidity=4500, pressure_hpa=1001)
    # Attribute, type and length stand before the text.
    assert vendor_quirks.aqara_values(record[4:]) == [(KINDS.BATTERY_LEVEL, 50)]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"", []),
        (b"\x01", []),
        (b"\x01\x21\xb8", []),
        (b"\x05\x24\x01\x02\x03\x04\x05" + b"\x01\x21\xb8\x0b", [(KINDS.BATTERY_LEVEL, 100)]),
        (b"\x01\x21\xb8\x0b" + b"\x02\x99\x00", [(KINDS.BATTERY_LEVEL, 100)]),
    ],
)
def test_malformed_aqara_struct_is_ignored(record: bytes, expected: list[vendor_quirks.Value]) -> None:
    assert vendor_quirks.aqara_values(record) == expected


def test_tuya_data_points_are_decoded() -> None:
    maker = vendor_quirks.find_quirk("_TZE200_bjawzodf", "TS0601")
    points = dialects.TuyaDataPoints()
    payload = points.report(points.set_values({"temperature_c": -3.4, "humidity_percent": 61, "battery_percent": 80}))
    assert vendor_quirks.tuya_values(maker, payload) == [
        (KINDS.TEMPERATURE, -3.4),
        (KINDS.HUMIDITY, 61),
        (KINDS.BATTERY_LEVEL, 80),
    ]
    frosty = b"\x00\x01" + bytes((1, 2)) + struct.pack(">Hi", 4, 0xFFDE)
    assert vendor_quirks.tuya_values(maker, frosty) == [(KINDS.TEMPERATURE, -3.4)]
    unknown = b"\x00\x01" + bytes((99, 2)) + struct.pack(">Hi", 4, 5) + bytes((1, 2)) + struct.pack(">Hi", 4, 215)
    assert vendor_quirks.tuya_values(maker, unknown) == [(KINDS.TEMPERATURE, 21.5)]
    text = b"\x00\x01" + bytes((1, 3)) + struct.pack(">H", 2) + b"hi" + b"\x01"
    assert vendor_quirks.tuya_values(maker, text) == []


def test_the_emulators_models_are_known_here() -> None:
    for model in models.MODELS.values():
        maker = vendor_quirks.find_quirk(model.manufacturer, model.name)
        assert bool(maker.points) == (model.dialect is models.VendorDialect.TUYA)
        assert maker.has_aqara_struct == (model.dialect is models.VendorDialect.AQARA)
