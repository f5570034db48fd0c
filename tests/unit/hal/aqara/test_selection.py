"""Devices and traits are found in the list by the published rules, and nothing is guessed."""

import pytest

from hal.aqara.device_list import KnownDevice, KnownTrait
from hal.aqara.selection import (
    Ambiguous,
    DeviceFilter,
    NotInList,
    ValueUnusable,
    find_device,
    find_trait,
    is_same_value,
    read_value,
    select,
)

MODE = KnownTrait(2, "HeaterCooler", "HeaterCoolerMode", "1", None, "Enum", "", True, {"0": "Cool", "1": "Heat"})
HEATING = KnownTrait(2, "HeaterCooler", "HeatingTemperature", 20, None, "Float", "℃", True)
POWER = KnownTrait(2, "Output", "OnOff", True, None, "Bool", "", True)
SECOND = KnownTrait(3, "Output", "OnOff", True, None, "Bool", "", True)
MEASURED = KnownTrait(2, "HeaterCooler", "CurrentTemperature", 20, None, "Float", "℃", False)


def device(device_id: str, name: str, room: str = "Bedroom", *, is_online: bool = True) -> KnownDevice:
    return KnownDevice(device_id, name, ("Thermostat",), is_online, "s", room, (MODE, HEATING, POWER, MEASURED))


DEVICES = [device("a", "Bedroom heating"), device("b", "Bath heating", "Bath", is_online=False)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (DeviceFilter(), "ab"),
        (DeviceFilter(room="bedROOM"), "a"),
        (DeviceFilter(room="Bed"), ""),
        (DeviceFilter(type="thermostat"), "ab"),
        (DeviceFilter(type="Thermo"), ""),
        (DeviceFilter(trait="heatingtemperature"), "ab"),
        (DeviceFilter(trait="Heating"), ""),
        (DeviceFilter(name="BATH"), "b"),
        (DeviceFilter(name="heating", room="Bath"), "b"),
        (DeviceFilter(is_online=False), "b"),
    ],
)
def test_filters_are_exact_but_for_the_name(wanted: DeviceFilter, found: str) -> None:
    assert "".join(each.device_id for each in select(DEVICES, wanted)) == found


def test_device_is_found_by_id_or_whole_name() -> None:
    assert find_device(DEVICES, "b") is DEVICES[1]
    assert find_device(DEVICES, "bedroom HEATING") is DEVICES[0]
    with pytest.raises(NotInList, match="Bed"):
        find_device(DEVICES, "Bed")


def test_two_devices_of_one_name_are_ambiguous() -> None:
    with pytest.raises(Ambiguous, match="a, b"):
        find_device([device("a", "Lamp"), device("b", "lamp")], "Lamp")


def test_trait_on_two_endpoints_needs_the_endpoint() -> None:
    found = KnownDevice("d", "Plug", (), True, "", "", (POWER, SECOND))
    with pytest.raises(Ambiguous, match=r"2 \(Output\), 3 \(Output\)"):
        find_trait(found, "OnOff")
    assert find_trait(found, "onoff", 3) is SECOND
    with pytest.raises(NotInList):
        find_trait(found, "OnOff", 4)


@pytest.mark.parametrize(
    ("trait", "text", "value"),
    [
        (POWER, "on", True),
        (POWER, "FALSE", False),
        (POWER, "1", True),
        (MODE, "1", "1"),
        (MODE, "heat", "1"),
        (HEATING, "21", 21),
        (HEATING, "20.5", 20.5),
    ],
)
def test_value_is_sent_in_the_documented_form(trait: KnownTrait, text: str, value: object) -> None:
    found = read_value(trait, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("trait", "text"),
    [(POWER, "perhaps"), (MODE, "7"), (HEATING, "warm"), (HEATING, "nan"), (HEATING, "inf"), (MEASURED, "21")],
)
def test_unusable_value_is_refused(trait: KnownTrait, text: str) -> None:
    with pytest.raises(ValueUnusable):
        read_value(trait, text)


@pytest.mark.parametrize(
    ("shown", "wanted", "is_same"),
    [(21.0, 21, True), (21.1, 21, False), ("1", "1", True), (1, "1", True), ("true", True, True), (None, 21, False)],
)
def test_value_read_back_is_compared_in_any_form(shown: object, wanted: object, is_same: bool) -> None:
    assert is_same_value(KnownTrait(2, "F", "T", shown), wanted) is is_same
