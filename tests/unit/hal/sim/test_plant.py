"""The emitters answer with their lag, the generator has its limit, and the books close."""

from itertools import pairwise
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.sim.building import FLAT
from hal.sim.plant import (
    BATTERY_WH,
    COOLING_PERFORMANCE,
    GAS_BOILER,
    HEAT_PUMP,
    MAX_PERFORMANCE,
    OUTAGE_EVERY_S,
    OUTAGE_S,
    HeatGenerator,
    HeatingPlant,
    MainsAndBattery,
)

OFF = [0.0] * 4


def plant(generator: HeatGenerator = HEAT_PUMP) -> HeatingPlant:
    return HeatingPlant(generator, FLAT.zones, step_s=60.0)


def test_an_emitter_warms_up_with_its_lag() -> None:
    unit = plant()
    for _ in range(15):
        unit.advance([1.0, 0.0, 0.0, 0.0], OFF, outside_c=5.0, has_power=True)
    # The mean over the fifteenth minute of 2200 W (1 - exp(-t / 900 s)).
    mean = 2200.0 * (1 - 15 * (exp(-14 / 15) - exp(-1)))
    assert unit.emitted_w == pytest.approx([mean, 0.0, 0.0, 0.0])


def test_part_of_a_minute_gives_part_of_the_power() -> None:
    whole, half = plant(), plant()
    whole.advance([1.0, 0.0, 0.0, 0.0], OFF, outside_c=5.0, has_power=True)
    half.advance([0.5, 0.0, 0.0, 0.0], OFF, outside_c=5.0, has_power=True)
    assert half.emitted_w[0] == pytest.approx(whole.emitted_w[0] / 2)


DUTY = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4)


@given(st.lists(st.tuples(DUTY, DUTY, st.booleans()), max_size=40))
def test_energy_drawn_equals_energy_given_plus_stored(steps: list[tuple[list[float], list[float], bool]]) -> None:
    unit = plant()
    for heat, cool, has_power in steps:
        unit.advance(heat, cool, outside_c=0.0, has_power=has_power)
    assert unit.drawn_j == pytest.approx(unit.emitted_j + unit.stored_j, rel=1e-9, abs=1e-3)


def test_all_rooms_together_get_no_more_than_the_generator_makes() -> None:
    unit = plant(HeatGenerator(heating_w=2000.0, cooling_w=0.0, lag_s=900.0, efficiency=0.5))
    unit.advance([1.0] * 4, OFF, outside_c=0.0, has_power=True)
    assert unit.drawn_j == pytest.approx(2000.0 * 60)
    assert unit.consumed_j == pytest.approx(4000.0 * 60)


def test_a_generator_that_cannot_cool_does_not() -> None:
    unit = plant(GAS_BOILER)
    unit.advance(OFF, [1.0] * 4, outside_c=30.0, has_power=True)
    assert (unit.drawn_j, unit.consumed_j) == (0.0, 0.0)


def test_cooling_takes_heat_and_electricity() -> None:
    unit = plant()
    unit.advance(OFF, [1.0, 0.0, 0.0, 0.0], outside_c=30.0, has_power=True)
    assert unit.emitted_w[0] < 0
    assert unit.drawn_j == pytest.approx(-1800.0 * 60)
    assert unit.consumed_j == pytest.approx(1800.0 * 60 / COOLING_PERFORMANCE)


def test_without_mains_only_the_warm_water_heats_on() -> None:
    unit = plant()
    unit.advance([1.0] * 4, OFF, outside_c=0.0, has_power=True)
    drawn_j, consumed_j = unit.drawn_j, unit.consumed_j
    unit.advance([1.0] * 4, OFF, outside_c=0.0, has_power=False)
    assert (unit.drawn_j, unit.consumed_j) == (drawn_j, consumed_j)
    assert unit.emitted_w[0] > 0


@pytest.mark.parametrize(
    ("outside_c", "performance"), [(7.0, 4.12), (-10.0, 2.85), (44.0, MAX_PERFORMANCE), (60.0, 7.0)]
)
def test_a_heat_pump_works_best_on_mild_days(outside_c: float, performance: float) -> None:
    assert HEAT_PUMP.performance(outside_c) == pytest.approx(performance, abs=0.01)
    assert GAS_BOILER.performance(outside_c) == 0.92


def test_outages_come_as_often_and_last_as_long_as_they_should() -> None:
    power = MainsAndBattery(Random(1), step_s=300.0)
    steps = 3 * 365 * 288
    states = []
    for _ in range(steps):
        power.advance()
        states.append(power.has_mains)
    outages = sum(a and not b for a, b in pairwise(states))
    assert outages == pytest.approx(steps * 300 / (OUTAGE_EVERY_S + OUTAGE_S), rel=0.25)
    assert states.count(False) * 300 / outages == pytest.approx(OUTAGE_S, rel=0.25)


def test_the_battery_drains_without_mains_down_to_empty_and_charges_again() -> None:
    power = MainsAndBattery(Random(1), step_s=60.0)
    assert power.battery_percent == 100.0
    while power.has_mains:
        power.advance()
    assert power.battery_wh == pytest.approx(BATTERY_WH - 3.0 / 60)
    outage = [power.battery_wh]
    for _ in range(1440):
        power.advance()
        outage.append(power.battery_wh)
    lowest = outage.index(min(outage))
    assert outage[lowest + 1] == pytest.approx(min(BATTERY_WH, outage[lowest] + 4.5 / 60))
    assert outage == sorted(outage[: lowest + 1], reverse=True) + sorted(outage[lowest + 1 :])
    assert power.battery_percent == 100.0


def test_the_battery_never_holds_less_than_nothing() -> None:
    class DayOnDayOff(Random):
        def expovariate(self, lambd: float = 1.0) -> float:
            return 86_400.0

    power = MainsAndBattery(DayOnDayOff(), step_s=3600.0)
    levels = []
    for _ in range(72):
        power.advance()
        levels.append(power.battery_percent)
    assert levels[23:30] == pytest.approx([100 - 100 * i / 6 for i in range(1, 7)] + [0.0])
    assert levels[30:47] == [0.0] * 17
    assert levels[47:52] == pytest.approx([25.0, 50.0, 75.0, 100.0, 100.0])
