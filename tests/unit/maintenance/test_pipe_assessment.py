"""What people get of supply and return: judged by their own past, and unknown where nothing can be said."""

import msgspec
import pytest

from agent.maintenance.assessment import NEEDED, Finding, FindingState
from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_drift import BASELINE_DAYS, RECENT_DAYS
from agent.maintenance.pipe_assessment import find_pipes
from agent.maintenance.pipe_confidence import PipeModel
from agent.maintenance.pipe_readings import PipeIndicator, PipePair
from agent.maintenance.pipe_record import (
    DAY_BANDS_MAX,
    DAY_MS,
    READINGS_MAX,
    PipeBandDay,
    PipeRecord,
    add_reading,
    begun_anew,
    complete_day,
    observe_pair,
)
from tests.unit.maintenance.pipes import learned, pipe_day

SURE = {each: PipeModel(-4.0, (1.0, 1.0, 1.0, 0.0), 0.1) for each in PipeIndicator}
KNOWN_DAYS = BASELINE_DAYS + RECENT_DAYS


def found(record: PipeRecord, day: int, indicator: PipeIndicator, *, has_models: bool = True) -> Finding:
    models = SURE if has_models else {}
    findings = find_pipes(record, models, SOLSTICE_MS + day * DAY_MS, threshold=NEEDED)
    return next(each for each in findings if each.indicator is indicator)


def worsened(days: int, *, spread: float = 1.0, excess: float = 1.0) -> PipeRecord:
    """Return a record whose spread and excess have changed by these factors a day after it had learned."""
    record = learned(KNOWN_DAYS)
    for day in range(1, days + 1):
        record = pipe_day(record, KNOWN_DAYS + day, spread_k=9.0 * spread**day, excess_k=30.0 * excess**day)
    return record


def test_a_pair_learns_two_weeks_and_compares_one_before_it_says_anything() -> None:
    for days, words in ((0, "0 of 14 days"), (6, "6 of 14 days"), (BASELINE_DAYS + 2, "2 of 7 days")):
        for indicator in PipeIndicator:
            at = found(learned(days), days, indicator)
            assert (at.state, at.confidence) == (FindingState.UNKNOWN, None)
            assert words in at.evidence
    for indicator in PipeIndicator:
        assert found(learned(KNOWN_DAYS), KNOWN_DAYS, indicator).state is FindingState.USUAL


def test_a_spread_that_grows_is_too_little_flow() -> None:
    record = worsened(40, spread=1.01)
    at = found(record, KNOWN_DAYS + 40, PipeIndicator.SPREAD)
    assert at.state is FindingState.NEEDED
    assert "too little water flows" in at.advice.issue
    assert at.evidence == (
        "supply and return are 13.0 K apart, usually 9.0 K with a supply that is 30 K above the room"
    )
    assert at.since_utc_ms is not None
    assert found(record, KNOWN_DAYS + 40, PipeIndicator.LOW_SPREAD).state is FindingState.USUAL


def test_a_spread_that_shrinks_is_heat_that_is_not_given_off() -> None:
    record = worsened(40, spread=0.985)
    assert found(record, KNOWN_DAYS + 40, PipeIndicator.LOW_SPREAD).state is FindingState.NEEDED
    assert found(record, KNOWN_DAYS + 40, PipeIndicator.SPREAD).state is FindingState.USUAL


def test_a_supply_that_gets_less_warm_in_the_same_weather_is_the_source() -> None:
    record = worsened(40, spread=0.988, excess=0.99)
    at = found(record, KNOWN_DAYS + 40, PipeIndicator.LOW_SUPPLY)
    assert at.state is FindingState.NEEDED
    assert at.evidence == "the supply is 20.7 K above the room, usually 30.0 K in the same weather"
    assert found(record, KNOWN_DAYS + 40, PipeIndicator.SPREAD).state is FindingState.USUAL, "its share is the same"


def test_a_supply_that_is_colder_in_milder_weather_is_none() -> None:
    record = learned(KNOWN_DAYS)
    for day in range(60):
        record = pipe_day(record, KNOWN_DAYS + day, excess_k=22.0, spread_k=6.6, outdoor_c=9.0)
    assert found(record, KNOWN_DAYS + 60, PipeIndicator.LOW_SUPPLY).state is FindingState.USUAL


@pytest.mark.parametrize("factor", [0.85, 1.25])
def test_a_changed_curve_or_pump_is_learned_anew_and_said_to_be(factor: float) -> None:
    record = learned(KNOWN_DAYS)
    for day in range(4):
        record = pipe_day(record, KNOWN_DAYS + day, excess_k=30.0 * factor, spread_k=9.0 * factor**2)
        for indicator in PipeIndicator:
            assert found(record, KNOWN_DAYS + day, indicator).state is not FindingState.NEEDED
    at = found(record, KNOWN_DAYS + 5, PipeIndicator.LOW_SUPPLY)
    assert at.state is FindingState.UNKNOWN
    way = "24 % more" if factor > 1.0 else "15 % less"
    assert at.evidence.startswith(f"{way} from one day to the next: another setting or place of a thermometer")
    for day in range(KNOWN_DAYS):
        record = pipe_day(record, KNOWN_DAYS + 4 + day, excess_k=30.0 * factor, spread_k=9.0 * factor**2)
    assert all(each.jump is None for each in record.drifts)


def test_swapped_thermometers_are_named_and_no_alert() -> None:
    record = learned(KNOWN_DAYS)
    for day in range(10):
        record = pipe_day(record, KNOWN_DAYS + day, excess_k=21.0, spread_k=-9.0)
    for indicator in PipeIndicator:
        at = found(record, KNOWN_DAYS + 10, indicator)
        assert at.state is FindingState.UNKNOWN
        assert at.evidence.startswith("the return is warmer than the supply: swap supply_sensor and return_sensor")
    record = pipe_day(record, KNOWN_DAYS + 11)
    assert found(record, KNOWN_DAYS + 11, PipeIndicator.SPREAD).state is FindingState.USUAL


@pytest.mark.parametrize("spread_k", [29.5, 0.0], ids=["return off its pipe", "supply off its pipe"])
def test_a_thermometer_that_comes_off_its_pipe_is_no_alert(spread_k: float) -> None:
    record = learned(KNOWN_DAYS)
    excess_k = 30.0 if spread_k else 2.0
    for day in range(60):
        record = pipe_day(record, KNOWN_DAYS + day, excess_k=excess_k, spread_k=spread_k)
        for indicator in PipeIndicator:
            assert found(record, KNOWN_DAYS + day, indicator).state is not FindingState.NEEDED
    assert "30 days" in found(record, KNOWN_DAYS + 60, PipeIndicator.SPREAD).evidence


def test_without_the_temperature_outside_the_supply_is_unknown_and_the_spread_is_not() -> None:
    record = PipeRecord()
    for day in range(KNOWN_DAYS):
        record = pipe_day(record, day, outdoor_c=None)
    assert found(record, KNOWN_DAYS, PipeIndicator.SPREAD).state is FindingState.USUAL
    at = found(record, KNOWN_DAYS, PipeIndicator.LOW_SUPPLY)
    assert (at.state, at.evidence[:26]) == (FindingState.UNKNOWN, "set climate.outdoor_sensor")


def test_without_a_model_or_the_time_it_is_unknown_with_its_numbers() -> None:
    record = worsened(40, spread=1.01)
    at = found(record, KNOWN_DAYS + 40, PipeIndicator.SPREAD, has_models=False)
    assert (at.state, at.confidence) == (FindingState.UNKNOWN, None)
    assert at.evidence.endswith("not calibrated: its confidence is unknown")
    assert len(at.features) == 4
    assert find_pipes(record, SURE, None)[0].evidence == "the time of day is not known"


def test_a_service_begins_one_indicator_anew() -> None:
    record = begun_anew(learned(KNOWN_DAYS), {PipeIndicator.SPREAD})
    assert found(record, KNOWN_DAYS, PipeIndicator.SPREAD).evidence.startswith("still learning: 0 of 14")
    assert found(record, KNOWN_DAYS, PipeIndicator.LOW_SPREAD).state is FindingState.USUAL
    assert begun_anew(record, ()) is record


def test_a_fault_that_was_learned_as_usual_and_repaired_at_once_is_learned_anew() -> None:
    record = learned(BASELINE_DAYS)
    for day in range(3):
        record = pipe_day(record, BASELINE_DAYS + day, spread_k=6.0)
    low = record.drift(PipeIndicator.LOW_SPREAD)
    assert (low.drift.days_learned, low.jump is not None and low.jump < -0.3) == (0, True)


def test_a_small_spread_has_to_change_by_more_than_two_thermometers_do() -> None:
    found_sigma = []
    for usual_k in (2.0, 9.0):
        record = PipeRecord()
        for day in range(KNOWN_DAYS + 10):
            record = pipe_day(record, day, spread_k=usual_k * (1.0 if day < BASELINE_DAYS else 1.1))
        found_sigma.append(record.drift(PipeIndicator.SPREAD).drift.shift_sigma)
    small, large = found_sigma
    assert small < 1.5
    assert large > 2.5


def minutes(record: PipeRecord, count: int, at_ms: int, pair: PipePair | None, output: float = 1.0) -> PipeRecord:
    for minute in range(count):
        record = observe_pair(
            record, pair, room_c=20.0, outdoor_c=2.0, output=output, dt_s=60.0, utc_ms=at_ms + minute * 60_000
        )
    return record


def test_minutes_of_settled_heating_become_days() -> None:
    pair, record = PipePair(50.0, 41.0, ("s", "r")), PipeRecord()
    for day in range(BASELINE_DAYS + 1):
        record = minutes(record, 60, SOLSTICE_MS + day * DAY_MS, pair)
        record = minutes(record, 1, SOLSTICE_MS + day * DAY_MS + 3_600_000, pair, output=0.0)
    assert {each.indicator: each.drift.days_learned for each in record.drifts} == dict.fromkeys(
        PipeIndicator, BASELINE_DAYS
    )
    assert record.excess_k == 30.0
    other = minutes(record, 1, SOLSTICE_MS, PipePair(50.0, 41.0, ("s", "another")))
    assert other.drifts == ()
    assert minutes(record, 1, SOLSTICE_MS, None) == PipeRecord()


def test_a_day_with_too_few_readings_tells_nothing() -> None:
    record = pipe_day(PipeRecord(), 0, readings=2)
    assert record.drifts == ()
    assert pipe_day(PipeRecord(), 0, readings=3).drifts != ()


def test_the_operating_states_and_counts_of_a_day_are_bounded() -> None:
    record = PipeRecord(swapped=READINGS_MAX)
    for number in range(200):
        record = add_reading(record, 6.0 * 1.02**number, 2.0, number % 4 / 4.0, number % 70 - 30.0)
    assert len(record.day) <= DAY_BANDS_MAX
    assert add_reading(record, 21.0, -9.0, 1.0, 2.0).swapped == READINGS_MAX


def test_a_clock_that_is_set_back_by_more_than_a_day_begins_another_day() -> None:
    pair = PipePair(50.0, 41.0, ("s", "r"))
    record = minutes(PipeRecord(), 60, SOLSTICE_MS, pair)
    back = minutes(record, 1, SOLSTICE_MS - 2 * DAY_MS, pair)
    assert (back.began_utc_ms, back.day, back.drifts) == (SOLSTICE_MS - 2 * DAY_MS, (), ())


def test_a_day_without_settled_heating_changes_nothing() -> None:
    record = learned(KNOWN_DAYS)
    idle = msgspec.structs.replace(record, day=(), swapped=0)
    assert complete_day(idle, SOLSTICE_MS + 40 * DAY_MS) is idle
    odd = msgspec.structs.replace(idle, day=(PipeBandDay(record.day[0].channel, 3, 2, -1.0),))
    assert complete_day(odd, SOLSTICE_MS + 40 * DAY_MS).drifts == record.drifts
