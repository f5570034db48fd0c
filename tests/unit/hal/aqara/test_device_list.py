"""The device list of an Aqara endpoint: every spelling in the field, and entries that make no sense."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.aqara.device_list import DEVICES_MAX, TRAITS_MAX, KnownTrait, read_devices

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


def test_published_sample_is_read() -> None:
    ((device,), left_out) = read_devices([SENSOR])
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
    ((device,), _) = read_devices([entry])
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
    ((device,), _) = read_devices([{"deviceId": "d", **entry}])
    assert device.is_online is is_online


def test_list_without_parameter_falls_back_to_the_table() -> None:
    traits = [{"traitCode": "HeatingTemperature", "value": 20}, {"traitCode": "CurrentHumidity", "value": 50}]
    entry = {"deviceId": "d", "endpoints": [{"endpointId": 2, "functions": [{"functionCode": "F", "traits": traits}]}]}
    ((device,), _) = read_devices([entry])
    assert [(each.type, each.is_writable) for each in device.traits] == [("Float", True), ("", None)]


def test_bad_entries_cost_no_other() -> None:
    devices, left_out = read_devices([SENSOR, None, {}, {"deviceId": 7}, {"deviceId": "x" * 129}, {"deviceId": "a\n"}])
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
    ((device,), _) = read_devices([{"deviceId": "d", "endpoints": endpoints}])
    assert [(each.endpoint_id, each.trait_code) for each in device.traits] == [(2, "T")]


@pytest.mark.parametrize("document", [None, {}, {"data": []}, "[]", 7])
def test_list_must_be_an_array(document: object) -> None:
    with pytest.raises(ValueError, match="no array"):
        read_devices(document)


def test_list_and_traits_have_limits() -> None:
    assert len(read_devices([SENSOR] * DEVICES_MAX)[0]) == DEVICES_MAX
    with pytest.raises(ValueError, match="2048"):
        read_devices([SENSOR] * (DEVICES_MAX + 1))
    traits = [{"traitCode": f"T{number}", "value": 1} for number in range(TRAITS_MAX + 1)]
    entry = {"deviceId": "d", "endpoints": [{"endpointId": 1, "functions": [{"functionCode": "F", "traits": traits}]}]}
    assert len(read_devices([entry])[0][0].traits) == TRAITS_MAX


def test_level_of_what_is_off_is_shown_as_0() -> None:
    level = {"traitCode": "FanSpeed", "value": 60, "parameter": {"type": "Integer", "writable": True, "unit": "%"}}
    humidity = {"traitCode": "CurrentHumidity", "value": 40, "parameter": {"writable": False, "unit": "%"}}
    for power, shown in ((False, [0, 40]), (True, [60, 40])):
        functions = [
            {"functionCode": "Output", "traits": [{"traitCode": "OnOff", "value": power}]},
            {"functionCode": "FanControl", "traits": [level, humidity]},
        ]
        ((device,), _) = read_devices([{"deviceId": "d", "endpoints": [{"endpointId": 2, "functions": functions}]}])
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
    devices, left_out = read_devices(document)
    assert len(devices) + left_out == len(document)
