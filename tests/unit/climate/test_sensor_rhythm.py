"""How long a sensor may be silent follows from how it has reported."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import sensor_rhythm
from agent.climate.fusion import SensorReading
from agent.climate.sensor_rhythm import (
    COARSE_FACTOR,
    ON_CHANGE_S_MAX,
    QUIET_S_MAX,
    QUIET_S_MIN,
    RECENT_REPORTS_MAX,
    SensorRhythm,
    SensorRhythms,
    SilenceAllowance,
)

DAY_S = 86_400.0
STALE_S = 7200.0


def after(silences_s: list[float], values_c: list[float] | None = None) -> SensorRhythm:
    """Return the rhythm of a sensor with these silences between its reports."""
    now_ms = 0
    values_c = values_c or [20.0]
    state = sensor_rhythm.observe(None, value_c=values_c[0], at_ms=now_ms)
    for i, silence_s in enumerate(silences_s):
        now_ms += round(silence_s * 1000)
        state = sensor_rhythm.observe(state, value_c=values_c[(i + 1) % len(values_c)], at_ms=now_ms)
    return state


def allowed(state: SensorRhythm, promised_s: float | None = None, stale_s: float = STALE_S) -> SilenceAllowance:
    return sensor_rhythm.allow_silence(state, promised_s=promised_s, stale_s=stale_s)


@pytest.mark.parametrize(
    ("interval_s", "lost_s"), [(10.0, 150.0), (60.0, 174.0), (300.0, 870.0), (900.0, 2610.0), (3600.0, 7200.0)]
)
def test_sensor_with_an_interval_is_lost_before_its_third_one_ends(interval_s: float, lost_s: float) -> None:
    found = allowed(after([interval_s] * (round(DAY_S / interval_s) + 1)))
    assert found == SilenceAllowance(lost_s, None, interval_s)


def test_sensor_is_given_more_time_until_a_day_was_observed() -> None:
    assert allowed(after([300.0] * 20)).lost_s == 1800.0
    assert allowed(after([1200.0] * 20)).lost_s == STALE_S


def test_lost_reports_are_part_of_the_rhythm() -> None:
    found = allowed(after([300.0, 900.0, 300.0, 600.0] * 60))
    assert (found.lost_s, found.quiet_s) == (pytest.approx(2610.0, rel=0.01), None)
    hourly = allowed(after([3600.0, 3600.0, 7200.0] * 12, [20.0, 20.3, 20.6, 20.1]))
    assert (hourly.lost_s, hourly.quiet_s) == (pytest.approx(9000.0, rel=0.02), None)


def test_lost_reports_of_a_sensor_of_five_minutes_whose_room_ripples_are_no_reports_on_change() -> None:
    # Each report of tenths differs from the one before; one in five is lost, so the silences are of all lengths.
    state = after([300.0, 600.0, 300.0, 300.0, 900.0, 300.0, 300.0] * 40, [20.0, 20.3, 20.7, 20.2])
    assert not state.reports_on_change
    assert allowed(state).quiet_s is None
    assert allowed(state).lost_s <= 7200.0


@pytest.mark.parametrize(
    "silences_s",
    [
        [300.0, 600.0, 1500.0, 900.0, 2700.0, 600.0, 1200.0],  # it looks each five minutes
        [240.0, 420.0, 1020.0, 300.0, 780.0, 660.0, 300.0],  # it looks each minute
        [180.0, 180.0, 180.0, 180.0, 360.0, 180.0, 180.0],  # so short an interval may be its minimum
    ],
)
def test_sensor_that_looks_regularly_and_reports_on_change_is_never_lost_by_its_rhythm(silences_s: list[float]) -> None:
    state = after(silences_s * 10, [20.0, 20.3, 20.7, 20.2])
    assert state.reports_on_change
    assert allowed(state).lost_s == ON_CHANGE_S_MAX


def test_silence_longer_than_the_limit_counts_once_it_has_been_shown_twice() -> None:
    usual = [3600.0] * 30
    assert allowed(after([*usual, 14_400.0])).lost_s == STALE_S
    assert allowed(after([*usual, 14_400.0, 3600.0, 14_400.0, 3600.0]), stale_s=1800.0).lost_s > 14_400.0


def test_sensor_that_reports_on_change_is_never_lost_by_its_rhythm() -> None:
    night = [600.0, 60.0, 1200.0, 5 * 3600.0, 300.0, 240.0, 1800.0] * 8
    found = allowed(after(night, [20.0, 20.2]))
    assert (found.lost_s, found.quiet_s) == (ON_CHANGE_S_MAX, QUIET_S_MAX)
    quick = allowed(after([600.0, 60.0, 130.0, 70.0, 300.0, 240.0] * 80, [20.0, 20.2]))
    assert (quick.lost_s, quick.quiet_s) == (ON_CHANGE_S_MAX, QUIET_S_MIN)
    assert allowed(after(night, [20.0, 20.5])).quiet_s == COARSE_FACTOR * QUIET_S_MAX
    assert after(night, [20.0, 20.0, 20.0, 20.2]).reports_on_change is False


def test_sensor_with_few_reports_may_be_one_that_reports_on_change() -> None:
    assert allowed(after([])).lost_s == ON_CHANGE_S_MAX
    assert allowed(after([300.0] * 5)).quiet_s == QUIET_S_MIN
    assert allowed(after([300.0] * 6)).quiet_s is None


def test_promise_of_the_radio_counts_before_all_that_was_learned() -> None:
    assert allowed(after([60.0] * 2000), promised_s=2760.0) == SilenceAllowance(2760.0, None, 60.0)


def test_what_happened_while_the_agent_was_down_is_no_silence() -> None:
    before = after([300.0] * 300)
    again = sensor_rhythm.resume(before)
    later = sensor_rhythm.observe(again, value_c=20.0, at_ms=5)
    assert (later.silences_s, later.rhythm, later.at_ms) == (before.silences_s, before.rhythm, 5)
    assert sensor_rhythm.observe(later, value_c=21.0, at_ms=5) is later


@given(st.lists(st.tuples(st.floats(0.001, 1e6), st.floats(-30.0, 60.0)), max_size=60), st.none() | st.floats(1.0, 1e5))
def test_every_rhythm_is_bounded_and_readable(reports: list[tuple[float, float]], promised_s: float | None) -> None:
    state = after([s for s, _ in reports], [20.0, *(c for _, c in reports)])
    assert len(state.silences_s) == len(state.changes_k) <= RECENT_REPORTS_MAX
    assert msgspec.json.decode(msgspec.json.encode(state), type=SensorRhythm) == state
    found = allowed(state, promised_s)
    assert found.lost_s > 0.0
    assert found.quiet_s is None or found.quiet_s < found.lost_s


def test_only_new_reports_change_the_rhythm_of_a_home() -> None:
    home = SensorRhythms({})
    names = (("a", 1.0), ("b", 1.0))
    home.update(names, {"a": SensorReading(20.0, 1000)}, stale_s=STALE_S)
    seen = home.states["a"]
    home.update(names, {"a": SensorReading(20.0, 1000)}, stale_s=STALE_S)
    assert home.states == {"a": seen}
    home.update(names, {"a": SensorReading(20.5, 61_000, silence_s_max=900.0)}, stale_s=STALE_S)
    assert (home.states["a"].silences_s, home.states["a"].changes_k) == ((60.0,), (0.5,))
    assert home.allowances["a"].lost_s == 900.0
    assert SensorRhythms(home.states).states["a"].at_ms is None


def test_limit_of_a_radio_counts_if_it_tells_of_a_dead_sensor_in_time() -> None:
    own = after([300.0] * 300)
    assert allowed(own, promised_s=2760.0) == SilenceAllowance(2760.0, None, 300.0)
    assert allowed(own, promised_s=sensor_rhythm.PROMISED_S_MAX + 1.0) == allowed(own)
