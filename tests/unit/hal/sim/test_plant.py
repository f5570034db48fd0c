"""The emitters answer with their lag, the generator has its limit, and the books close."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.sim.building import FLAT
from hal.sim.plant import COOLING_PERFORMANCE, GAS_BOILER, HEAT_PUMP, MAX_PERFORMANCE, HeatGenerator, HeatingPlant

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
def test_what_was_drawn_was_given_or_is_still_in_the_water(steps: list[tuple[list[float], list[float], bool]]) -> None:
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
