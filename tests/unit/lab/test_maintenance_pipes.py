"""The confidence of supply and return: fitted on one simulated fleet, held to its promise on another."""

from collections.abc import Iterator

import pytest

from agent.maintenance.assessment import FindingState
from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.pipe_assessment import find_pipes
from agent.maintenance.pipe_calibration import PIPE_MODELS
from agent.maintenance.pipe_readings import PipeIndicator
from agent.maintenance.pipe_record import DAY_MS, PipeRecord
from lab.maintenance import pipe_calibration
from lab.maintenance.pipe_calibration import (
    CALIBRATED,
    render_pipes,
)
from lab.maintenance.pipe_faults import PIPE_FAULTS, PIPE_LOOK_ALIKES, SOURCES, Effect, PipeFault
from lab.maintenance.pipes import PIPES_FITTED, rate_of, run_pair
from tests.unit.maintenance.pipes import pipe_day

YEAR = 365


def test_a_zone_runs_the_same_for_a_seed_and_otherwise_for_another() -> None:
    one, again, other = (list(run_pair(seed, 4, PIPES_FITTED, years=1)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len(one) == YEAR
    assert any(day.readings for day in one)
    assert not all(day.readings for day in one), "summer"


def test_a_fault_grows_shows_where_it_acts_and_is_repaired() -> None:
    fault = PipeFault(100.0, 50.0, "worn pump", "flow", 0.4, ((PipeIndicator.SPREAD, 0.5),))
    assert [fault.effect_on(day).flow for day in (99, 125, 150, int(fault.ends))] == [0, -0.2, -0.4, 0]
    assert fault.shows_in(125, PipeIndicator.SPREAD)
    assert not fault.shows_in(102, PipeIndicator.SPREAD)
    assert not any(fault.shows_in(125, each) for each in PipeIndicator if each is not PipeIndicator.SPREAD)


def test_every_kind_of_fault_has_a_rate_and_an_indicator_that_shows_it() -> None:
    assert len(PIPE_FAULTS) == 10
    assert all(kind.a_year > 0.0 and 0.0 < min(kind.share) < max(kind.share) < 1.0 for kind in PIPE_FAULTS)
    assert all(0.05 <= rate_of(each) <= 0.25 for each in PipeIndicator)


def test_what_looks_like_a_fault_and_is_none_is_in_the_world() -> None:
    names = {each.name for each in PIPE_LOOK_ALIKES}
    assert {"changed heating curve", "new setpoint", "radiator valves that close more", "swapped thermometers"} <= names
    assert {"thermometer off its pipe", "drifting thermometer", "changed setting of the pump"} <= names


def faults(source: str) -> Iterator[PipeFault]:
    """Yield the faults of zones with a kind of source."""
    for number in range(SOURCES.index(source), 240, len(SOURCES)):
        for day in run_pair(1, number, PIPES_FITTED, years=1):
            yield from day.faults


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_less_flow_widens_the_spread_and_a_weaker_source_shows_only_where_it_is_at_its_limit(source: str) -> None:
    changes: dict[str, list[dict[PipeIndicator, float]]] = {}
    for fault in faults(source):
        changes.setdefault(fault.takes, []).append(dict(fault.changes))
    assert all(each[PipeIndicator.SPREAD] > 0.1 for each in changes["flow"])
    assert all(each[PipeIndicator.LOW_SPREAD] > 0.1 for each in changes["emission"])
    assert all(each[PipeIndicator.LOW_SPREAD] > 0.1 for each in changes["mixing"])
    weaker = [each[PipeIndicator.LOW_SUPPLY] for each in changes["source"]]
    assert all(abs(each) < 0.01 for each in weaker) if source == SOURCES[0] else max(weaker) > 0.05


def test_an_effect_takes_nothing_unless_it_says_so() -> None:
    assert Effect() == Effect(0.0, 0.0, 0.0, 0.0)


def test_the_generated_file_is_what_the_command_writes() -> None:
    assert pipe_calibration.TARGET.read_text() == render_pipes(PIPE_MODELS)
    assert set(PIPE_MODELS) == set(CALIBRATED)


def test_a_slow_fault_reaches_the_threshold_and_what_is_not_calibrated_never_does() -> None:
    """By readings of the hub, not by the fast model: what the hub does with its own coefficients."""
    wide, narrow = PipeRecord(), PipeRecord()
    for day in range(100):
        worse = 1.0 + 0.012 * max(0, day - 30)
        wide = pipe_day(wide, day, spread_k=8.0 * worse, excess_k=30.0 / worse**0.3)
        narrow = pipe_day(narrow, day, spread_k=8.0 / worse**1.5)
        if day == 30:
            usual = find_pipes(wide, PIPE_MODELS, SOLSTICE_MS + day * DAY_MS)
            assert {each.state for each in usual} <= {FindingState.USUAL, FindingState.UNKNOWN}
    for record, indicator in ((wide, PipeIndicator.SPREAD), (narrow, PipeIndicator.LOW_SPREAD)):
        found = {each.indicator: each for each in find_pipes(record, PIPE_MODELS, SOLSTICE_MS + 100 * DAY_MS)}
        assert found[indicator].state is FindingState.NEEDED
        for other in set(PipeIndicator) - set(CALIBRATED):
            assert found[other].state is FindingState.UNKNOWN
            assert "not calibrated" in found[other].evidence
