"""Vapour and carbon dioxide follow the balance of a well-mixed room."""

from math import exp

import pytest

from hal.sim.air import (
    IAQ_CLEAN,
    MOISTURE_MULTIPLIER,
    OUTDOOR_CO2_PPM,
    RoomAir,
    humidity_percent,
    saturation_pa,
    vapour_kg_per_m3,
)


def room(vapour: float = 0.008) -> RoomAir:
    return RoomAir(volume_m3=50.0, air_change_per_h=0.5, step_s=60.0, vapour=vapour)


@pytest.mark.parametrize(("temperature_c", "pa"), [(0.0, 611.2), (20.0, 2339.0), (30.0, 4247.0), (-20.0, 125.4)])
def test_saturation_is_that_of_the_steam_tables(temperature_c: float, pa: float) -> None:
    assert saturation_pa(temperature_c) == pytest.approx(pa, rel=0.006)


def test_air_at_its_dew_point_is_saturated_and_warmer_air_drier() -> None:
    assert humidity_percent(vapour_kg_per_m3(12.0, 12.0), 12.0) == pytest.approx(100.0)
    assert humidity_percent(vapour_kg_per_m3(12.0, 22.0), 22.0) == pytest.approx(53.0, abs=0.5)


def test_carbon_dioxide_settles_where_people_and_ventilation_balance() -> None:
    air = room()
    for _ in range(3000):
        air.advance(outdoor_vapour=0.005, moisture_kg_s=0.0, co2_m3_s=1e-5, temperature_c=20.0)
    assert air.co2_ppm == pytest.approx(OUTDOOR_CO2_PPM + 1e-5 * 3600 / 0.5 / 50 * 1e6)


def test_carbon_dioxide_decays_with_the_air_change() -> None:
    air = room()
    air.co2_ppm = 2000.0
    for _ in range(120):
        air.advance(outdoor_vapour=0.005, moisture_kg_s=0.0, co2_m3_s=0.0, temperature_c=20.0)
    assert air.co2_ppm == pytest.approx(OUTDOOR_CO2_PPM + (2000 - OUTDOOR_CO2_PPM) * exp(-1.0))


def test_moisture_rises_where_it_is_made_and_settles_slowly() -> None:
    air = room(vapour=0.005)
    source_kg_s = 0.05 / 3600
    for _ in range(120):
        air.advance(outdoor_vapour=0.005, moisture_kg_s=source_kg_s, co2_m3_s=0.0, temperature_c=20.0)
    settled = 0.005 + source_kg_s * 3600 / 0.5 / 50
    expected = settled + (0.005 - settled) * exp(-1.0 / MOISTURE_MULTIPLIER)
    assert air.vapour_kg_per_m3 == pytest.approx(expected)
    assert air.humidity_percent == pytest.approx(humidity_percent(expected, 20.0))


def test_what_the_air_cannot_hold_condenses() -> None:
    air = room()
    air.advance(outdoor_vapour=0.005, moisture_kg_s=0.5, co2_m3_s=0.0, temperature_c=20.0)
    assert air.humidity_percent == 100.0
    assert air.vapour_kg_per_m3 == pytest.approx(vapour_kg_per_m3(20.0, 20.0))


@pytest.mark.parametrize(("co2_ppm", "iaq"), [(420.0, IAQ_CLEAN), (1000.0, 100.0), (50_000.0, 500.0)])
def test_the_air_quality_index_follows_carbon_dioxide(co2_ppm: float, iaq: float) -> None:
    air = room()
    air.co2_ppm = co2_ppm
    assert air.iaq == pytest.approx(iaq)
