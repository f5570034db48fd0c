"""The family of houses: energy is conserved, each house is as fast as it declares, and both halves have every kind."""

from math import log

import pytest

from hal.sim.constructions import BARE_BRICK, INSULATED_BRICK, TIMBER_FRAME
from hal.sim.emitters import EmitterKind, SourceKind
from hal.sim.house_model import HouseModel
from hal.sim.house_network import STEP_S
from hal.sim.houses import HOUSES
from hal.sim.thermal_network import Link, ThermalNetwork
from hal.sim.weather import NIGHT
from hal.sim.weather_patterns import COLD_WINDY, PATTERNS, SUMMER_HEAT, Outdoors, WeatherPattern, weather_series

CALM = (Outdoors(0.0, 1.0, NIGHT),)
NAMES = list(HOUSES)


def without_gains(name: str, start_c: float) -> HouseModel:
    """Return a house in calm weather of 0 °C, without sun and people."""
    return HouseModel(HOUSES[name], CALM, seed=1, start_c=start_c, has_gains=False)


def run(house: HouseModel, call: float, hours: float) -> None:
    for _ in range(round(hours * 60)):
        house.advance([call] * len(house.design.rooms))


def test_heat_given_to_a_network_is_stored_or_lost() -> None:
    network = ThermalNetwork(
        (1e5, 5e6), (3.0, 10.0), (Link(0, 1, 50.0), Link(1, 2, 20.0), Link(0, 3, 5.0)), step_s=60.0
    )
    before_j = network.stored_j
    for number in range(1000):
        network.advance((300.0 * (number % 3), 20.0), (3.0 + number % 7, 10.0), network.steps_in())
    gained_j = network.stored_j - before_j
    assert network.gained_j == pytest.approx(gained_j + network.lost_j, rel=1e-9)
    assert gained_j > 1e6


def test_a_network_approaches_the_steady_state_of_its_conductances() -> None:
    network = ThermalNetwork((1e5,), (0.0,), (Link(0, 1, 50.0),), step_s=60.0)
    for _ in range(2000):
        network.advance((1000.0,), (0.0,), network.steps_in())
    assert network.temperatures_c[0] == pytest.approx(20.0, abs=1e-6)


def test_a_settled_network_stays_as_it_is_without_heat_while_the_held_node_is_held() -> None:
    links = (Link(0, 1, 50.0), Link(1, 2, 10.0))
    network = ThermalNetwork((1e5, 5e6), (0.0,), links, step_s=60.0)
    network.temperatures_c[0] = 18.0
    network.settle([0], (0.0,))
    assert network.temperatures_c[1] == pytest.approx(18.0 * 50.0 / 60.0)


def test_a_fast_node_is_divided_until_explicit_steps_are_stable() -> None:
    network = ThermalNetwork((1e4,), (0.0,), (Link(0, 1, 1000.0),), step_s=60.0)
    network.temperatures_c[0] = 20.0
    network.advance((0.0,), (0.0,), network.steps_in())
    assert 0.0 < network.temperatures_c[0] < 20.0


def test_transmittances_are_those_of_the_layers() -> None:
    assert pytest.approx(0.20, abs=0.01) == TIMBER_FRAME.u_w_per_m2_k
    assert pytest.approx(1.49, abs=0.01) == BARE_BRICK.u_w_per_m2_k
    assert pytest.approx(0.22, abs=0.01) == INSULATED_BRICK.u_w_per_m2_k


def test_the_nodes_of_a_wall_conduct_what_its_layers_do() -> None:
    resistance = BARE_BRICK.outer_m2_k_per_w
    for _, inwards in BARE_BRICK.nodes():
        resistance += inwards
    assert 1.0 / resistance == pytest.approx(BARE_BRICK.u_w_per_m2_k)


@pytest.mark.parametrize("name", NAMES)
def test_the_heat_of_a_house_is_stored_or_lost(name: str) -> None:
    design = HOUSES[name]
    house = HouseModel(design, weather_series(COLD_WINDY, seed=1, days=1), seed=1, start_c=20.0)
    before_j = house.network.stored_j
    for minute in range(1440):
        house.advance([1.0 if (minute + 13 * room) % 60 < 20 else 0.0 for room in range(len(design.rooms))])
    gained_j = house.network.stored_j - before_j
    assert house.network.gained_j == pytest.approx(gained_j + house.network.lost_j, rel=1e-9, abs=1.0)
    assert 0.0 < house.drawn_j < house.network.gained_j


@pytest.mark.parametrize("name", NAMES)
def test_a_house_cools_with_its_declared_time_constant(name: str) -> None:
    house = without_gains(name, 21.0)
    run(house, 0.0, 12)
    start_c = house.air_c[0]
    run(house, 0.0, 24)
    assert 24.0 / log(start_c / house.air_c[0]) == pytest.approx(HOUSES[name].time_constant_h, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_a_house_warms_up_at_its_declared_rate(name: str) -> None:
    house = without_gains(name, 17.0)
    run(house, 1.0, 1)
    start_c = house.air_c[0]
    run(house, 1.0, 2)
    assert (house.air_c[0] - start_c) / 2.0 == pytest.approx(HOUSES[name].rise_k_per_h, rel=0.05)


def test_a_floor_shows_nothing_for_an_hour_where_a_radiator_does_within_minutes() -> None:
    gained_k = {}
    for name in ("floor pump", "timber boiler"):
        heated, idle = without_gains(name, 20.0), without_gains(name, 20.0)
        for house, call in ((heated, 1.0), (idle, 0.0)):
            run(house, call, 0.5)
        gained_k[name] = heated.air_c[0] - idle.air_c[0]
    assert gained_k["floor pump"] < 0.1
    assert gained_k["timber boiler"] > 0.5


def test_a_furnace_warms_its_house_by_eight_kelvin_in_the_first_hour() -> None:
    house = without_gains("old timber furnace", 17.0)
    run(house, 1.0, 1)
    assert house.air_c[0] - 17.0 > 8.0


@pytest.mark.parametrize(("name", "holds"), [("small brick boiler", False), ("four zones", True)])
def test_a_source_too_small_by_half_cannot_hold_the_house_on_the_coldest_day(name: str, *, holds: bool) -> None:
    design = HOUSES[name]
    house = HouseModel(design, (Outdoors(-12.0, 1.0, NIGHT),), seed=1, start_c=21.0, has_gains=False)
    run(house, 1.0, 14 * 24)
    assert (min(house.air_c) > 21.0) is holds


def test_each_half_has_every_kind_of_emitter_and_source_and_cooling() -> None:
    for is_held_out in (False, True):
        half = [design for design in HOUSES.values() if design.is_held_out is is_held_out]
        assert {room.emitter for design in half for room in design.rooms} == set(EmitterKind)
        assert {design.source.kind for design in half} == set(SourceKind)
        assert any(room.cooling_w > 0 for design in half for room in design.rooms)
        assert max(design.source.sizing for design in half if design.source.kind is SourceKind.BOILER) == 3.0
        assert min(design.source.sizing for design in half) == 0.5
        assert any(len(design.rooms) >= 4 for design in half)


def test_a_house_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    def end_c(seed: int) -> list[float]:
        house = HouseModel(HOUSES["four zones"], weather_series(COLD_WINDY, seed=seed, days=1), seed=seed, start_c=20.0)
        run(house, 0.5, 24)
        return house.air_c

    assert end_c(1) == end_c(1)
    assert end_c(1) != end_c(2)


def test_a_copy_goes_its_own_way() -> None:
    house = without_gains("timber boiler", 20.0)
    twin = house.copy()
    run(twin, 1.0, 2)
    untouched = without_gains("timber boiler", 20.0)
    assert house.air_c == untouched.air_c
    run(house, 1.0, 2)
    assert house.air_c == twin.air_c


@pytest.mark.parametrize("fault", ["source", "pump", "valve"])
def test_no_heat_reaches_a_room_whose_source_pump_or_valve_is_broken(fault: str) -> None:
    broken, idle = without_gains("timber boiler", 20.0), without_gains("timber boiler", 20.0)
    broken.has_source = fault != "source"
    broken.has_pump = fault != "pump"
    broken.blocked = frozenset({0}) if fault == "valve" else frozenset()
    run(broken, 1.0, 3)
    run(idle, 0.0, 3)
    assert broken.air_c == idle.air_c
    assert broken.consumed_j == 0.0


def test_an_open_window_cools_its_room_within_minutes() -> None:
    house = without_gains("timber boiler", 20.0)
    closed = house.copy()
    house.open_windows(frozenset({0}))
    run(house, 0.0, 0.5)
    run(closed, 0.0, 0.5)
    assert house.air_c[0] < closed.air_c[0] - 1.0


def test_a_window_that_passes_more_air_cools_its_room_further() -> None:
    tilted = without_gains("timber boiler", 20.0)
    wide = tilted.copy()
    tilted.open_windows(frozenset({0}))
    wide.open_windows(frozenset({0}), 230.0)
    run(tilted, 0.0, 0.5)
    run(wide, 0.0, 0.5)
    assert wide.air_c[0] < tilted.air_c[0] - 1.0


def test_cooling_takes_heat_out_and_uses_electricity() -> None:
    house = HouseModel(HOUSES["split timber"], (Outdoors(30.0, 1.0, NIGHT),), seed=1, start_c=27.0)
    warm = house.copy()
    run(house, -1.0, 1)
    run(warm, 0.0, 1)
    assert house.air_c[0] < warm.air_c[0] - 1.0
    assert house.consumed_j == pytest.approx(HOUSES["split timber"].rooms[0].cooling_w / 3.0 * 60 * STEP_S)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_a_weather_has_its_mean(pattern: WeatherPattern) -> None:
    series = [sample for seed in range(12) for sample in weather_series(pattern, seed=seed, days=7)]
    assert sum(sample.outside_c for sample in series) / len(series) == pytest.approx(pattern.mean_c, abs=1.2)


def test_the_summer_is_hot_and_the_same_for_the_same_seed() -> None:
    assert weather_series(SUMMER_HEAT, seed=3, days=2) == weather_series(SUMMER_HEAT, seed=3, days=2)
    assert max(sample.outside_c for sample in weather_series(SUMMER_HEAT, seed=3, days=7)) > 28.0


def test_a_supply_pipe_is_as_warm_as_the_flow_with_heat_and_as_what_returns_without() -> None:
    """A radiator at the design flow temperature; then the burner off, then the pump too, each for hours."""
    house = without_gains("bare brick", 20.0)
    assert house.pipe_c == house.air_c
    run(house, 1.0, 3.0)
    flow_c = house.design.source.flow_c
    assert flow_c - 10.0 < house.pipe_c[0] <= flow_c
    twin = house.copy()
    house.has_source = False
    run(house, 1.0, 0.5)
    returned_c = house.air_c[0] + house.emitter_excess_k(0)
    assert house.pipe_c[0] == pytest.approx(returned_c, abs=1.0)
    assert twin.pipe_c[0] > house.pipe_c[0] + 5.0, "a copy keeps its own pipes"
    twin.has_pump = False
    run(twin, 1.0, 1.0)
    still_c = twin.air_c[0] + (flow_c - twin.air_c[0]) / 2.718
    assert twin.pipe_c[0] == pytest.approx(still_c, abs=5.0), (
        "water that stands still cools with a time constant of 1 h"
    )
