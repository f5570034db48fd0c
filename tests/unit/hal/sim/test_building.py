"""The thermal model against solutions that do not come from it: eigenvalues of two nodes, and the sum of all heat."""

from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.sim.building import (
    FLAT,
    IAQ_CLEAN,
    MOISTURE_MULTIPLIER,
    OUTDOOR_CO2_PPM,
    RADIANT_TO_AIR,
    Building,
    RoomAir,
    ThermalModel,
    Zone,
    humidity_percent,
    saturation_pa,
    vapour_kg_per_m3,
)

ROOM = Zone("room", 20.0, wall_m2=25.0, window_m2=3.0, window_azimuth_deg=180.0, heating_w=1000.0, cooling_w=0.0)


def two_node_response(zone: Zone, *, heat_w: float, outside_c: float, start_c: float, at_s: float) -> list[float]:
    """Air and mass after a step of heat into the air: eigenvalues by the quadratic formula, no matrix exponential."""
    air_c, mass_c = 10_000.0 * zone.floor_m2, 165_000.0 * zone.floor_m2
    h_am, h_ao, h_mo = zone.air_mass_w_per_k, zone.air_outside_w_per_k, zone.mass_outside_w_per_k
    a, b = -(h_am + h_ao) / air_c, h_am / air_c
    c, d = h_am / mass_c, -(h_am + h_mo) / mass_c
    conductance = h_ao + h_am * h_mo / (h_am + h_mo)
    settled_air = outside_c + heat_w / conductance
    settled_mass = (h_am * settled_air + h_mo * outside_c) / (h_am + h_mo)
    root = sqrt((a - d) ** 2 + 4 * b * c)
    fast, slow = (a + d - root) / 2, (a + d + root) / 2
    # (x - settled) = p (b, fast - a) exp(fast t) + q (b, slow - a) exp(slow t)
    u, v = start_c - settled_air, start_c - settled_mass
    q = (v - (fast - a) * u / b) / (slow - fast)
    p = u / b - q
    modes = ((p, fast), (q, slow))
    air = settled_air + b * modes[0][0] * exp(fast * at_s) + b * modes[1][0] * exp(slow * at_s)
    mass = settled_mass
    for weight, rate in modes:
        mass += weight * (rate - a) * exp(rate * at_s)
    return [air, mass]


@pytest.mark.parametrize("step_s", [1.0, 60.0, 3600.0])
@pytest.mark.parametrize("hours", [1, 6, 72])
def test_the_step_response_is_the_analytic_one(step_s: float, hours: int) -> None:
    thermal = ThermalModel(Building((ROOM,)), step_s=step_s, start_c=18.0)
    for _ in range(int(hours * 3600 / step_s) if step_s > 1 else 600):
        thermal.advance([1000.0, 0.0], -5.0)
    at_s = hours * 3600 if step_s > 1 else 600
    expected = two_node_response(ROOM, heat_w=1000.0, outside_c=-5.0, start_c=18.0, at_s=at_s)
    assert thermal.temperatures_c == pytest.approx(expected, rel=1e-9)


INPUTS = st.lists(
    st.tuples(st.lists(st.floats(-5000.0, 8000.0), min_size=8, max_size=8), st.floats(-30.0, 45.0)),
    min_size=1,
    max_size=40,
)


@given(INPUTS, st.sampled_from([10.0, 60.0, 900.0]))
def test_heat_is_neither_made_nor_lost(inputs: list[tuple[list[float], float]], step_s: float) -> None:
    thermal = ThermalModel(FLAT, step_s=step_s, start_c=20.0)
    before_j = thermal.stored_j
    turned_over_j = 1.0
    for heat_w, outside_c in inputs:
        thermal.advance(heat_w, outside_c)
        turned_over_j += sum(abs(heat) for heat in heat_w) * step_s + abs(before_j) * 1e-3
    error_j = (thermal.stored_j - before_j) - (thermal.gained_j - thermal.lost_j)
    assert abs(error_j) <= 1e-9 * turned_over_j


def test_a_house_left_alone_becomes_as_cold_as_the_street() -> None:
    thermal = ThermalModel(FLAT, step_s=3600.0, start_c=20.0)
    for _ in range(24 * 60):
        thermal.advance([0.0] * 8, 4.0)
    assert thermal.temperatures_c == pytest.approx([4.0] * 8, abs=1e-3)


def test_heat_flows_through_open_doors() -> None:
    thermal = ThermalModel(FLAT, step_s=60.0, start_c=15.0)
    for _ in range(600):
        thermal.advance([2000.0] + [0.0] * 7, 15.0)
    living, *others = thermal.temperatures_c[:4]
    assert living > max(others)
    assert min(others) > 15.5


def test_the_rooms_are_those_of_a_real_house() -> None:
    """Time constants of minutes for air and of days for mass, and radiators that can hold a frosty day."""
    for zone in FLAT.zones:
        loss_w_per_k = zone.air_outside_w_per_k + zone.mass_outside_w_per_k
        mass_h = 175_000.0 * zone.floor_m2 / loss_w_per_k / 3600
        assert 30 < mass_h < 120
        assert 30 * 60 > 10_000.0 * zone.floor_m2 / zone.air_mass_w_per_k > 10 * 60
        # The design heat load at -12 °C (EN 12831, Berlin) can be met with something to spare.
        assert 1.2 < zone.heating_w / (loss_w_per_k * 32.0) < 4.0
    assert pytest.approx((2.0 / 4.5) * 15.525 / (15.525 + 22.75)) == RADIANT_TO_AIR


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
