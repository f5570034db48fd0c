"""The second world of supply and return: its physics, and that nothing which looks like a fault is missing in it."""

import random
from math import log
from pathlib import Path

import pytest

from agent.maintenance.pipe_calibration import PIPE_MODELS
from agent.maintenance.pipe_readings import PipeIndicator
from lab.maintenance.faults import YEARS
from lab.maintenance.other_pipes import (
    DESIGN_C,
    HABITS,
    GrowingFault,
    PipeEvent,
    _drawn,
    _faults,
    _log_mean,
    run_other_pair,
)
from lab.maintenance.pipe_calibration import JUDGE_ZONES, OTHER_SEED, judge_pipes, pipes_as_markdown
from lab.maintenance.pipe_faults import CURVE, HEAT_PUMP, ON_OFF, SOURCES, Effect

YEAR = 365


def test_a_zone_runs_the_same_for_a_seed_and_otherwise_for_another() -> None:
    one, again, other = (list(run_other_pair(seed, 4, years=1)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len(one) == YEAR
    assert any(day.readings for day in one)
    assert not all(day.readings for day in one), "summer"


@pytest.mark.parametrize("flow", [0.4, 1.0])
@pytest.mark.parametrize("emission", [0.7, 1.0])
def test_what_the_water_loses_is_what_the_emitter_gives(flow: float, emission: float) -> None:
    house = _drawn(random.Random(3), CURVE)
    spread_k = house.spread_at(30.0, emission, flow)
    mean_k = (30.0 - (30.0 - spread_k)) / log(30.0 / (30.0 - spread_k))
    given = emission * (mean_k / _log_mean(house.supply_k, house.spread_k)) ** house.power
    assert flow * spread_k / house.spread_k == pytest.approx(given, rel=1e-3)


def test_in_the_weather_that_it_is_made_for_a_house_has_its_own_spread() -> None:
    house = _drawn(random.Random(3), CURVE)
    assert house.spread_at(house.supply_k, 1.0, 1.0) == pytest.approx(house.spread_k, rel=1e-3)
    assert house.excess_at(DESIGN_C, Effect(), 1.0) == pytest.approx(house.supply_k)


def test_a_source_at_its_limit_gives_what_it_can() -> None:
    house = _drawn(random.Random(5), ON_OFF)
    for effect, flow in ((Effect(), 1.0), (Effect(source=-0.3), 1.0), (Effect(emission=-0.4), 0.6)):
        excess_k = house.excess_at(0.0, effect, flow)
        heat = flow * house.spread_at(excess_k, 1.0 + effect.emission, flow) / house.spread_k
        assert heat == pytest.approx(house.capacity * (1.0 + effect.source), rel=1e-3)


def test_a_heat_pump_reaches_its_curve_in_mild_weather_and_not_in_the_cold() -> None:
    houses = [_drawn(random.Random(number), HEAT_PUMP) for number in range(30)]
    weak = [each for each in houses if each.capacity < 0.9]
    assert weak
    assert all(each.excess_at(DESIGN_C, Effect(), 1.0) < each.supply_k for each in weak)
    lost = [
        each for each in houses if each.excess_at(8.0, Effect(source=-0.1), 1.0) < each.excess_at(8.0, Effect(), 1.0)
    ]
    assert len(lost) < len(houses) / 4


def test_less_flow_widens_the_spread_and_less_emission_or_a_bypass_narrows_it() -> None:
    found = []
    for number in range(120):
        rng = random.Random(number)
        found += _faults(rng, _drawn(rng, SOURCES[number % len(SOURCES)]), YEARS * YEAR)
    shown = {
        takes: [dict(each.changes) for each in found if each.takes == takes] for takes in ("flow", "emission", "mixing")
    }
    assert all(each[PipeIndicator.SPREAD] > 0.1 for each in shown["flow"])
    assert all(each[PipeIndicator.LOW_SPREAD] > 0.1 for each in [*shown["emission"], *shown["mixing"]])


def test_a_fault_grows_slowly_or_quickly_first_and_is_repaired() -> None:
    slowly, quickly = (GrowingFault(100.0, 50.0, "", "flow", 0.4, (), growth) for growth in (2.0, 0.5))
    assert [each.share_on(125) for each in (slowly, quickly)] == pytest.approx([0.25, 0.5**0.5])
    assert [slowly.effect_on(day).flow for day in (99, 150, int(slowly.ends))] == [0.0, -0.4, 0.0]


def test_a_thermometer_comes_loose_by_and_by() -> None:
    event = PipeEvent(10.0, 1e9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.3, 100.0, is_return=True)
    assert [event.contact_on(day) for day in (59, 109, 500)] == pytest.approx([-0.15, -0.3, -0.3])


def test_what_looks_like_a_fault_and_is_none_is_in_the_world() -> None:
    names = " ".join(each.name for each in HABITS)
    for part in ("stage of the pump", "heating curve", "touched", "comes loose", "come off", "holiday", "stove"):
        assert part in names
    assert any(_drawn(random.Random(number), CURVE).valves > 0.1 for number in range(20)), "thermostatic valves"


@pytest.mark.slow
def test_the_tables_of_the_second_world_are_what_the_command_prints() -> None:
    page = (Path(__file__).parents[3] / "docs" / "experiments" / "maintenance-confidence.md").read_text()
    found = judge_pipes(PIPE_MODELS, seed=OTHER_SEED, run=run_other_pair)
    assert pipes_as_markdown(found, JUDGE_ZONES * YEARS, "Zones of the second world") in page
