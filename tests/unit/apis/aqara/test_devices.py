"""Devices of the home as endpoints, functions and traits."""

from pathlib import Path

import msgspec
import pytest

from agent.apis.aqara import devices
from agent.apis.aqara.wire import Endpoint, Trait
from agent.climate.model import Mode
from agent.climate.requests import SetRequest
from agent.home.devices import DeviceKind, HomeDevice, Measurement
from agent.home.spaces import Space, SpaceTree
from hal.interface import UNITS, SensorKind
from tests.unit.home.home_bench import NOON_MS, HomeBench

SENSOR = HomeDevice(device_id="0x1", kind=DeviceKind.SENSOR, name="attic", is_online=True)


def measured(kind: SensorKind, value: float | None, age_s: float | None = 30.0, *, is_good: bool = True) -> Measurement:
    return Measurement(kind, "t", value, UNITS[kind], age_s, is_good)


def traits_of(endpoints: tuple[Endpoint, ...]) -> dict[str, Trait]:
    found = [
        (f"{endpoint.endpoint_id}.{function.function_code}.{trait.trait_code}", trait)
        for endpoint in endpoints
        for function in endpoint.functions
        for trait in function.traits
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


def zone_traits(bench: HomeBench, zone_id: str) -> dict[str, Trait]:
    device, thermostat = bench.home.devices.get(zone_id), bench.home.thermostats.get(zone_id)
    return traits_of(devices.zone_endpoints(device, thermostat, 6.0, NOON_MS))


def test_zone_has_what_its_equipment_can_do(bench: HomeBench) -> None:
    living, bath = zone_traits(bench, "living"), zone_traits(bench, "bath")
    assert living["2.HeaterCooler.CoolingTemperature"].value == 26.0
    assert living["2.HeaterCooler.MinHeatCoolDeadBand"].value == 1.0
    assert living["2.HeaterCooler.CurrentTemperature"].value == 19.4
    assert {name.rpartition(".")[2] for name in living.keys() - bath.keys()} == {
        "CoolingTemperature",
        "MinHeatCoolDeadBand",
    }
    (mode,) = (trait for name, trait in bath.items() if name.endswith("HeaterCoolerMode"))
    assert [each.value for each in mode.parameter.supported_values] == ["1", "2", "12"]
    assert bath["2.HeaterCooler.AntiFreezeTemperature"].value == 6.0


def test_zone_that_only_cools_has_no_heating(bench: HomeBench) -> None:
    device = bench.home.devices.get("living")
    thermostat = msgspec.structs.replace(
        bench.home.thermostats.get("living"), can_heat=False, modes=(Mode.COOL, Mode.OFF), humidity_percent=48.26
    )
    found = traits_of(devices.zone_endpoints(device, thermostat, 6.0, NOON_MS))
    assert found["2.HeaterCooler.CurrentHumidity"].value == 48.26
    assert not {"2.HeaterCooler.HeatingTemperature", "2.HeaterCooler.AntiFreezeTemperature"} & found.keys()


def test_zone_that_is_off_is_off_in_every_trait(bench: HomeBench) -> None:
    bench.home.thermostats.apply("living", SetRequest(mode=Mode.OFF), by="test")
    found = zone_traits(bench, "living")
    assert found["2.Output.OnOff"].value is False
    assert found["2.HeaterCooler.HeaterCoolerMode"].value == "12"


def test_sensor_has_an_endpoint_for_each_quantity() -> None:
    device = msgspec.structs.replace(
        SENSOR,
        battery_percent=87.0,
        measurements=(
            measured(SensorKind.TEMPERATURE, 21.374),
            measured(SensorKind.PRESSURE, 1013.25),
            measured(SensorKind.IAQ, 120.0),
            measured(SensorKind.SIGNAL_STRENGTH, -60.0),
        ),
    )
    found = traits_of(devices.measuring_endpoints(device, NOON_MS))
    assert {name: trait.value for name, trait in found.items()} == {
        "0.BasicInformation.Reachable": True,
        "1.PowerSource.BatPercentRemaining": 87.0,
        "2.Temperature.CurrentTemperature": 21.37,
        "4.Pressure.CurrentPressure": 101.325,
        "5.AirQuality.AirQuality": "3",
    }
    assert found["2.Temperature.CurrentTemperature"].time == NOON_MS - 30_000
    wire = devices.wire_device(device, devices.measuring_endpoints(device, NOON_MS), "attic", None)
    assert wire.device_types_list == ("TemperatureSensor", "AtmosphericPressureSensor", "AirQualitySensor")


@pytest.mark.parametrize(("index", "level"), [(0, "1"), (50, "1"), (51, "2"), (150, "3"), (200, "4"), (201, "5")])
def test_air_quality_is_a_level(index: float, level: str) -> None:
    device = msgspec.structs.replace(SENSOR, measurements=(measured(SensorKind.IAQ, index),))
    assert traits_of(devices.measuring_endpoints(device, None))["5.AirQuality.AirQuality"].value == level


def test_value_that_is_no_good_keeps_its_place() -> None:
    device = msgspec.structs.replace(SENSOR, measurements=(measured(SensorKind.HUMIDITY, 170.0, is_good=False),))
    trait = traits_of(devices.measuring_endpoints(device, NOON_MS))["3.RelativeHumidity.CurrentHumidity"]
    assert (trait.value, trait.time) == (None, None)


def test_time_is_left_out_while_it_is_unknown() -> None:
    device = msgspec.structs.replace(SENSOR, measurements=(measured(SensorKind.HUMIDITY, 50.0),))
    assert traits_of(devices.measuring_endpoints(device, None))["3.RelativeHumidity.CurrentHumidity"].time is None


def test_what_was_never_measured_has_no_endpoint() -> None:
    device = msgspec.structs.replace(SENSOR, measurements=(measured(SensorKind.HUMIDITY, None, None, is_good=False),))
    assert [each.endpoint_id for each in devices.measuring_endpoints(device, NOON_MS)] == [0]


def test_names_of_devices_are_distinct_in_any_case() -> None:
    names = devices.distinct_names({"a": "Bath", "b": "bath", "c": "Attic"})
    assert names == {"a": "Bath (a)", "b": "bath (b)", "c": "Attic"}


def test_spaces_are_a_tree_of_what_is_visible() -> None:
    spaces = [Space("h", "House"), Space("f", "Floor", "h"), Space("r", "Room", "f"), Space("x", "Hidden", "h")]
    tree = SpaceTree({space.space_id: space for space in spaces})
    (house,) = devices.space_nodes(tree, frozenset("hfr"))
    assert [child.space_id for child in house.children] == ["f"]
    assert house.children[0].children[0].name == "Room"


def test_every_type_of_a_device_has_a_name() -> None:
    assert {each.device_type for each in devices.type_names()} >= {"Hub", "Thermostat", "TemperatureSensor"}
