"""Settings from configuration and board, a zone without an output, and sensors found by name."""

from pathlib import Path

import msgspec
import pytest

from agent.climate.fusion import SensorLookup
from agent.climate.settings import (
    Emitter,
    Equipment,
    HeatSourceKind,
    HeatSourceSettings,
    climate_settings,
    pi_settings_for,
    with_start_goal,
)
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.config import ClimateConfig, resolve_text
from agent.errors import ConfigInvalid
from hal.interface import HUB, HvacDemand, Quality, Reading, SensorKind, ZoneOutput


class Outputs:
    zones = (ZoneOutput("living", can_cool=True), ZoneOutput("attic"))

    async def apply(self, demand: HvacDemand) -> None:
        """Nothing."""


def config(text: str) -> ClimateConfig:
    whole = f'[cloud]\nbase_url = "https://a.example"\n[climate]\n{text}'
    return resolve_text(whole, file="test", directory=Path("/"), environ={}).config.climate


def test_configuration_without_zones_gives_no_settings() -> None:
    assert climate_settings(config(""), Outputs().zones) is None


def test_the_configuration_determines_the_settings() -> None:
    settings = climate_settings(
        config(
            'heat_source = "heat_pump"\nheat_source_min_on_s = 600\n'
            'reversing_valve = "heating"\nemitter = "floor"\nfrost_c = 8\n'
            'zones = [{ id = "living", sensors = ["a", "b"], weights = [2, 1] },'
            ' { id = "attic", sensors = ["c"], emitter = "air" }]'
        ),
        Outputs().zones,
    )
    assert settings is not None
    living, attic = settings.zones
    assert living.sensors == (("a", 2.0), ("b", 1.0))
    assert (living.can_heat, living.can_cool, attic.can_cool) == (True, True, False)
    assert living.law == pi_settings_for(Emitter.FLOOR, is_shared=True, min_on_s=180.0)
    assert attic.law == pi_settings_for(Emitter.AIR, is_shared=True, min_on_s=180.0)
    assert pi_settings_for(Emitter.AIR, is_shared=False, min_on_s=180.0).pulse_s_min == 81.0
    for emitter, ripple_k_max in ((Emitter.AIR, 0.6), (Emitter.RADIATOR, 0.5)):
        law = pi_settings_for(emitter, is_shared=False, min_on_s=180.0, equipment=Equipment.HEAT_PUMP)
        assert law.ripple_k_max == ripple_k_max
    assert living.frost_c == 8.0
    assert settings.heat_source.kind is HeatSourceKind.HEAT_PUMP
    assert settings.heat_source.limits == ShortCycleLimits(600.0, 300.0, 6)
    assert settings.heat_source.is_valve_on_in_heating


@pytest.mark.parametrize(
    ("text", "min_on_s", "cycle_s"),
    [
        ("", 300.0, 2400.0),
        ('emitter = "air"\n', 240.0, 720.0),
        ('emitter = "floor"\n', 180.0, 24_000.0),
        ('zone_equipment = "electric"\n', 60.0, 720.0),
        ('zone_equipment = "heat_pump"\n', 600.0, 3600.0),
        ('zone_equipment = "heat_pump"\nrelay_min_on_s = 0\n', 0.0, 3600.0),
        ('zone_equipment = "heat_pump"\nemitter = "air"\n', 240.0, 3600.0),
        ('zone_equipment = "heat_pump"\nemitter = "air"\nrelay_min_on_s = 600\n', 600.0, 3600.0),
        ('heat_source = "boiler"\nzone_equipment = "electric"\n', 180.0, 2640.0),
    ],
)
def test_minimum_on_time_and_cycle_follow_from_what_the_output_drives(
    text: str, min_on_s: float, cycle_s: float
) -> None:
    settings = climate_settings(config(f'{text}zones = [{{ id = "living", sensors = ["a"] }}]'), Outputs().zones)
    assert settings is not None
    zone = settings.zones[0]
    assert (zone.limits.min_on_s, zone.law.cycle_s) == (min_on_s, pytest.approx(cycle_s))


def test_zones_on_a_heat_pump_get_the_cycles_of_a_compressor() -> None:
    settings = climate_settings(
        config('heat_source = "heat_pump"\nzones = [{ id = "living", sensors = ["a"] }]'), Outputs().zones
    )
    assert settings is not None
    assert with_start_goal(settings).zones[0].law.cycle_s == 3600.0
    two = msgspec.structs.replace(settings, zones=settings.zones * 2)
    assert [zone.law.cycle_s for zone in with_start_goal(two).zones] == [5400.0, 5400.0]
    boiler = msgspec.structs.replace(settings, heat_source=HeatSourceSettings(kind=HeatSourceKind.BOILER))
    law = boiler.zones[0].law
    assert with_start_goal(boiler).zones[0].law == msgspec.structs.replace(law, min_on_s=300.0)
    own = msgspec.structs.replace(settings, heat_source=HeatSourceSettings())
    assert with_start_goal(own) is own


def test_a_boiler_cools_nothing() -> None:
    settings = climate_settings(
        config('heat_source = "boiler"\nzones = [{ id = "living", sensors = ["a"] }]'), Outputs().zones
    )
    assert settings is not None
    assert not settings.zones[0].can_cool


def test_a_zone_without_an_output_is_refused_by_name() -> None:
    made = config('zones = [{ id = "cellar", sensors = ["a"] }, { id = "living", sensors = ["a"] }]')
    with pytest.raises(ConfigInvalid, match="no output cellar; it has living, attic"):
        climate_settings(made, Outputs().zones)
    with pytest.raises(ConfigInvalid, match="drives nothing"):
        climate_settings(made, ())


@pytest.mark.parametrize(
    ("zones", "words"),
    [
        ("[1]", "zone 1 is 1, not a table"),
        ('[{ id = "a b", sensors = ["x"] }]', "needs an id"),
        ('[{ id = "a" }]', "needs sensors"),
        ('[{ id = "a", sensors = ["x", "x"] }]', "names a sensor twice"),
        ('[{ id = "a", sensors = ["x"], floor_sensor = "x" }]', "floor_sensor is a name of its own"),
        ('[{ id = "a", sensors = ["x"], floor_sensor = "y", floor_c_max = 60 }]', "from 20 to 45 °C"),
        ('[{ id = "a", sensors = ["x"], supply_sensor = "x" }]', "supply_sensor is a name of its own"),
        ('[{ id = "a", sensors = ["x"], floor_sensor = "y", supply_sensor = "y" }]', "supply_sensor is a name"),
        ('[{ id = "a", sensors = ["x"], supply_sensor = 1 }]', "supply_sensor is a name of its own"),
        ('[{ id = "a", sensors = ["x"], return_sensor = "r" }]', "return_sensor needs a supply_sensor"),
        ('[{ id = "a", sensors = ["x"], supply_sensor = "s", return_sensor = "s" }]', "return_sensor is a name of its"),
        ('[{ id = "a", sensors = ["x"], supply_sensor = "s", return_sensor = "x" }]', "return_sensor is a name of its"),
        ('[{ id = "a", sensors = ["x"], power_meter = 1 }]', "power_meter is a name of its own"),
        ('[{ id = "a", sensors = ["x"], weights = [0] }]', "above 0"),
        ('[{ id = "a", sensors = ["x"], weights = [1, 2] }]', "as many numbers"),
        ('[{ id = "a", sensors = ["x"], emitter = "stove" }]', "emitter is one of"),
        ('[{ id = "a", sensors = ["x"], colour = "red" }]', 'unknown key "colour"'),
        ('[{ id = "a", sensors = ["x"] }, { id = "a", sensors = ["y"] }]', "same id"),
        ('"all"', "an array of up to 8 tables"),
    ],
)
def test_invalid_zones_are_refused_with_their_reason(zones: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        config(f"zones = {zones}")


class State(msgspec.Struct):
    latest: Reading | None


def test_sensors_are_found_by_name_once_they_report() -> None:
    kind = SensorKind.TEMPERATURE
    channels = {(HUB, "sim/temperature", kind): State(Reading(HUB, "sim/temperature", kind, 20.0, 5))}
    found = SensorLookup(
        ["sim/temperature", "kitchen 1", "0x02"], channels=channels, devices=lambda: {"kitchen 1": "0x01"}
    )
    assert {name: seen.value_c for name, seen in found.readings().items()} == {"sim/temperature": 20.0}
    assert found.missing() == ["kitchen 1", "0x02"]
    channels["0x01", "T", kind] = State(Reading("0x01", "T", kind, 18.0, 6, Quality.SUSPECT))
    channels["0x01", "H", SensorKind.HUMIDITY] = State(Reading("0x01", "H", SensorKind.HUMIDITY, 50.0, 6))
    channels["0x02", "T", kind] = State(None)
    seen = found.readings()
    assert (seen["kitchen 1"].value_c, seen["kitchen 1"].quality) == (18.0, Quality.SUSPECT)
    assert set(seen) == {"sim/temperature", "kitchen 1"}
    assert found.missing() == []
    assert found.readings() == seen


def test_readings_have_the_silence_that_the_radio_allows() -> None:
    kind = SensorKind.TEMPERATURE
    channels = {(device, "T", kind): State(Reading(device, "T", kind, 18.0, 6)) for device in (HUB, "0x01", "0x02")}
    limits = {("0x01", kind): 2760.0, (HUB, kind): 1.0}
    found = SensorLookup(
        ["T", "0x01", "0x02"],
        channels=channels,
        devices=dict,
        allowed_silence_s=lambda device, kind: limits.get((device, kind)),
    )
    assert {name: seen.silence_s_max for name, seen in found.readings().items()} == {
        "T": None,
        "0x01": 2760.0,
        "0x02": None,
    }


def test_sensor_is_found_when_it_is_named_after_its_first_report() -> None:
    kind = SensorKind.TEMPERATURE
    devices: dict[str, str] = {"MAKER MODEL 1a2b": "0x01"}
    channels = {("0x01", "T", kind): State(Reading("0x01", "T", kind, 18.0, 6))}
    found = SensorLookup(["bath"], channels=channels, devices=lambda: dict(devices))
    assert found.readings() == {}
    devices["bath"] = "0x01"
    assert found.readings()["bath"].value_c == 18.0
    # Replaced by another, which has spoken already.
    channels["0x02", "T", kind] = State(Reading("0x02", "T", kind, 19.0, 7))
    assert found.readings()["bath"].value_c == 18.0
    devices["bath"] = "0x02"
    assert found.readings()["bath"].value_c == 19.0


def test_a_sensor_whose_channel_made_room_for_another_is_missing_and_a_new_one_is_found() -> None:
    """A table of channels that is full is as large as ever."""
    kind = SensorKind.TEMPERATURE
    channels = {(name, "T", kind): State(Reading(name, "T", kind, 18.0, 6)) for name in ("0x01", "0x02", "0x03")}
    found = SensorLookup(["0x01", "0x02", "0x04"], channels=channels, devices=dict)
    assert set(found.readings()) == {"0x01", "0x02"}
    del channels["0x01", "T", kind]
    channels["made up", "T", kind] = State(Reading("made up", "T", kind, 18.0, 7))
    assert set(found.readings()) == {"0x02"}
    assert found.missing() == ["0x01", "0x04"]
    del channels["made up", "T", kind]
    channels["0x04", "T", kind] = State(Reading("0x04", "T", kind, 19.0, 8))
    assert set(found.readings()) == {"0x02", "0x04"}
