"""The device list of an Aqara endpoint: every spelling in the field, and entries that make no sense."""

import contextlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.aqara.device_list import (
    DEVICE_BYTES_MAX,
    DEVICES_MAX,
    TRAITS_MAX,
    KnownDevice,
    KnownTrait,
    read_devices,
)
from hal.aqara.endpoint import LIST_BYTES_MAX
from hal.aqara.sensors import KINDS

MEMORY_BYTES_MAX = 16 * 1024 * 1024
"""What reading one list may take for a moment."""

SENSOR: dict[str, Any] = {
    "deviceId": "lumi.weather.01",
    "name": "Bedroom climate",
    "deviceTypesList": ["TemperatureSensor", "HumiditySensor"],
    "state": True,
    "space": {"spaceId": "space-room-001", "name": "Bedroom", "spatialMarking": "bedroom"},
    "endpoints": [
        {"endpointId": 0, "endpointName": "Root"},
        {
            "endpointId": 2,
            "functions": [
                {
                    "functionCode": "Temperature",
                    "traits": [
                        {
                            "traitCode": "CurrentTemperature",
                            "value": 21.37,
                            "time": 1761295151845,
                            "parameter": {"type": "Float", "readable": True, "writable": False, "unit": "℃"},
                        }
                    ],
                }
            ],
        },
    ],
}


def read(document: object) -> tuple[tuple[KnownDevice, ...], int]:
    return read_devices(json.dumps(document).encode())


def test_published_sample_is_read() -> None:
    ((device,), left_out) = read([SENSOR])
    assert left_out == 0
    assert (device.device_id, device.name, device.is_online) == ("lumi.weather.01", "Bedroom climate", True)
    assert (device.room, device.space_id) == ("Bedroom", "space-room-001")
    assert device.traits == (
        KnownTrait(2, "Temperature", "CurrentTemperature", 21.37, 1761295151845, "Float", "℃", is_writable=False),
    )


def test_spellings_of_other_readers_are_read() -> None:
    trait = {
        "code": "HeaterCoolerMode",
        "value": "1",
        "parameter": {"type": "Enum", "writable": True, "supportedValue": [{"key": "Heat", "value": "1"}]},
    }
    entry = {
        "deviceId": "d",
        "deviceName": "Valve",
        "online": "true",
        "endpoints": [{"endpointId": 2, "functionList": [{"code": "HeaterCooler", "properties": [trait]}]}],
    }
    ((device,), _) = read([entry])
    assert (device.name, device.is_online, device.room) == ("Valve", True, "")
    assert device.traits[0].choices == {"1": "Heat"}


@pytest.mark.parametrize(
    ("entry", "is_online"),
    [
        ({"state": False}, False),
        ({"available": 1}, True),
        ({"reachable": "FALSE"}, False),
        ({"online": None}, None),
        ({}, None),
    ],
)
def test_state_is_read_in_every_form(entry: dict[str, Any], is_online: bool | None) -> None:
    ((device,), _) = read([{"deviceId": "d", **entry}])
    assert device.is_online is is_online


def test_list_without_parameter_falls_back_to_the_table() -> None:
    traits = [{"traitCode": "HeatingTemperature", "value": 20}, {"traitCode": "CurrentHumidity", "value": 50}]
    entry = {"deviceId": "d", "endpoints": [{"endpointId": 2, "functions": [{"functionCode": "F", "traits": traits}]}]}
    ((device,), _) = read([entry])
    assert [(each.type, each.is_writable) for each in device.traits] == [("Float", True), ("", None)]


def test_bad_entries_cost_no_other() -> None:
    devices, left_out = read([SENSOR, None, {}, {"deviceId": 7}, {"deviceId": "x" * 129}, {"deviceId": "a\n"}])
    assert [device.device_id for device in devices] == ["lumi.weather.01"]
    assert left_out == 5


def test_traits_without_an_address_are_left_out() -> None:
    functions = [{"functionCode": "F", "traits": [{"traitCode": "T", "value": 1}, {"value": 2}, {"traitCode": 7}]}]
    endpoints = [
        {"endpointId": 2, "functions": [*functions, {"traits": [{"traitCode": "T"}]}]},
        {"endpointId": "3", "functions": functions},
        {"endpointId": True, "functions": functions},
        {"endpointId": 4, "functions": "none"},
        "no endpoint",
    ]
    ((device,), _) = read([{"deviceId": "d", "endpoints": endpoints}])
    assert [(each.endpoint_id, each.trait_code) for each in device.traits] == [(2, "T")]


@pytest.mark.parametrize("document", [None, {}, {"data": []}, "[]", 7])
def test_list_must_be_an_array(document: object) -> None:
    with pytest.raises(ValueError, match="no array"):
        read(document)


def test_list_and_traits_have_limits() -> None:
    assert len(read([SENSOR] * DEVICES_MAX)[0]) == DEVICES_MAX
    with pytest.raises(ValueError, match="2048"):
        read([SENSOR] * (DEVICES_MAX + 1))
    traits = [{"traitCode": f"T{number}", "value": 1} for number in range(TRAITS_MAX + 1)]
    entry = {"deviceId": "d", "endpoints": [{"endpointId": 1, "functions": [{"functionCode": "F", "traits": traits}]}]}
    assert len(read([entry])[0][0].traits) == TRAITS_MAX


def test_level_of_what_is_off_is_shown_as_0() -> None:
    level = {"traitCode": "FanSpeed", "value": 60, "parameter": {"type": "Integer", "writable": True, "unit": "%"}}
    humidity = {"traitCode": "CurrentHumidity", "value": 40, "parameter": {"writable": False, "unit": "%"}}
    for power, shown in ((False, [0, 40]), (True, [60, 40])):
        functions = [
            {"functionCode": "Output", "traits": [{"traitCode": "OnOff", "value": power}]},
            {"functionCode": "FanControl", "traits": [level, humidity]},
        ]
        ((device,), _) = read([{"deviceId": "d", "endpoints": [{"endpointId": 2, "functions": functions}]}])
        assert [device.shown(trait) for trait in device.traits[1:]] == shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["deviceId", "endpoints", "endpointId", "functions", "functionCode", "traits", "traitCode", "parameter"]
            ),
            inner,
        )
    ),
)


@given(st.lists(JSON))
def test_any_list_is_read(document: list[object]) -> None:
    devices, left_out = read(document)
    assert len(devices) + left_out == len(document)


@pytest.mark.parametrize("document", [b"", b"[", b"[1", b"[[]", b'["', b"[1]]", b"[] 1", b"]"])
def test_list_that_is_cut_off_or_followed_by_something_is_none(document: bytes) -> None:
    with pytest.raises(ValueError, match="device list"):
        read_devices(document)


@pytest.mark.parametrize(
    "entry",
    [b"", b"[}", b'{"deviceId":"d', b'{"deviceId":"\xff"}', b'{"deviceId":"\\ud800"}', b"[" * 5000 + b"]" * 5000],
)
def test_entry_that_is_no_json_costs_no_other(entry: bytes) -> None:
    if entry.count(b'"') % 2:
        with pytest.raises(ValueError, match="cut off"):
            read_devices(b"[" + entry + b"]")
        return
    devices, left_out = read_devices(b' [ {"deviceId": "a,]}\\""} ,' + entry + b',{"deviceId": "b"} ] ')
    assert [each.device_id for each in devices] == ['a,]}"', "b"]
    assert left_out == 1


def test_entry_has_a_limit() -> None:
    longest = {"deviceId": "d", "x": ""}
    longest["x"] = "x" * (DEVICE_BYTES_MAX - len(json.dumps(longest)))
    assert len(read([longest])[0]) == 1
    longest["x"] += "x"
    assert read([longest, SENSOR])[1] == 1


def test_value_that_is_no_plain_value_is_not_kept() -> None:
    traits = [{"traitCode": "T", "value": value} for value in (1, "x", True, None, {"a": 1}, [1])]
    ((device,), _) = read([{"deviceId": "d", "endpoints": [endpoint(traits)]}])
    assert [trait.value for trait in device.traits] == [1, "x", True, None, None, None]


def test_traits_that_nobody_wants_are_not_kept() -> None:
    traits = [{"traitCode": code} for code in "ABA"]
    document = json.dumps([{"deviceId": "d", "endpoints": [endpoint(traits)]}]).encode()
    ((device,), _) = read_devices(document, trait_codes={"A"})
    assert [trait.trait_code for trait in device.traits] == ["A", "A"]


def endpoint(traits: list[dict[str, Any]]) -> dict[str, Any]:
    return {"endpointId": 1, "functions": [{"functionCode": "F", "traits": traits}]}


@pytest.mark.parametrize(
    "filling",
    [
        b'{"a":{}},',
        b"{},",
        b"0,",
        b"[],",
        pytest.param(b'{"a":[' + b"{}," * 20_000 + b"0]},", marks=pytest.mark.no_cover),
        b'"' + rb"\n" * (1 << 19) + b'",',
        b'{"deviceId":"d","endpoints":[{"endpointId":1,"functions":[{"functionCode":"F","traits":['
        + b'{"code":"CurrentTemperature"},' * 1000
        + b"{}]}]}]},",
    ],
    ids=["objects", "empty objects", "numbers", "arrays", "long entries", "escapes", "traits"],
)
def test_longest_list_takes_little_memory(filling: bytes) -> None:
    document = b"[" + filling * (LIST_BYTES_MAX // len(filling)) + b"0]"
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            read_devices(document, trait_codes=KINDS)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()
