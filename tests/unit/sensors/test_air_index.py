"""The relative air index: its formula, its ceiling, and when it is certain."""

import math

import pytest

from agent.sensors.air_index import (
    BURN_IN_S,
    CERTAIN_S,
    FALL_PER_DAY,
    GAP_S_MAX,
    INDEX_MAX,
    AirBaseline,
    AirState,
    absolute_humidity_g_m3,
    advance,
)

MINUTE_MS = 60_000


def breathe(state: AirState, minutes: int, *, gas_ohm: float = 100_000.0, humidity_percent: float = 40.0) -> AirState:
    for _ in range(minutes):
        at_ms = 0 if state.at_ms is None else state.at_ms + MINUTE_MS
        state = advance(state, at_ms=at_ms, gas_ohm=gas_ohm, temperature_c=22.0, humidity_percent=humidity_percent)
    return state


@pytest.mark.parametrize(
    ("temperature_c", "humidity_percent", "expected"),
    [(20, 100, 17.3), (20, 50, 8.65), (0, 100, 4.85), (30, 100, 30.4)],
)
def test_absolute_humidity(temperature_c: float, humidity_percent: float, expected: float) -> None:
    """Saturated air by the tables of meteorology."""
    assert absolute_humidity_g_m3(temperature_c, humidity_percent) == pytest.approx(expected, rel=0.01)


def test_a_cold_sensor_has_no_index_for_ten_minutes() -> None:
    assert breathe(AirState(), 10).index is None
    assert breathe(AirState(), 11).index == 0


def test_a_pause_of_the_heater_begins_anew() -> None:
    warm = breathe(AirState(), 30)
    assert warm.at_ms is not None
    late_ms = warm.at_ms + int(GAP_S_MAX * 1000) + 1
    late = advance(warm, at_ms=late_ms, gas_ohm=1e5, temperature_c=22, humidity_percent=40)
    assert late.index is None
    assert late.baseline == warm.baseline
    assert breathe(late, int(BURN_IN_S / 60)).index is not None


@pytest.mark.parametrize(("part", "freshness"), [(1.0, 100.0), (0.5, 25.0), (0.1, 1.0)])
def test_freshness_is_the_square_of_the_resistance_against_the_best(part: float, freshness: float) -> None:
    state = breathe(breathe(AirState(), 60), 1, gas_ohm=100_000 * part)
    assert state.freshness_percent == pytest.approx(freshness, rel=0.01)
    assert state.index == pytest.approx(INDEX_MAX * (1 - freshness / 100), rel=0.01, abs=0.1)


def test_damp_air_that_is_as_clean_is_as_fresh() -> None:
    """The sensor's resistance falls in damp air: the slope takes that off."""
    dry, damp = (absolute_humidity_g_m3(22, percent) for percent in (40, 60))
    state = breathe(breathe(AirState(), 60), 1, gas_ohm=1e5 * math.exp(-0.03 * (damp - dry)), humidity_percent=60)
    assert state.freshness_percent == pytest.approx(100, abs=0.1)


def test_one_wrong_value_does_not_set_the_ceiling() -> None:
    state = breathe(breathe(breathe(AirState(), 60), 1, gas_ohm=200_000), 1)
    assert state.freshness_percent == pytest.approx(100 * math.exp(-2 * math.log(2) / 30), rel=0.02)


def test_the_ceiling_falls_by_a_twentieth_a_day() -> None:
    state = breathe(breathe(AirState(), 60), 24 * 60, gas_ohm=50_000)
    before = breathe(AirState(), 60).baseline
    assert state.baseline is not None
    assert before is not None
    assert before.ceiling - state.baseline.ceiling == pytest.approx(FALL_PER_DAY, rel=0.01)


def test_it_is_certain_after_a_day_and_over_a_restart() -> None:
    state = breathe(AirState(), 24 * 60)
    assert state.baseline is not None
    assert not state.baseline.is_certain
    state = breathe(state, 11)
    assert state.baseline is not None
    assert state.baseline.is_certain
    assert state.baseline.observed_s == CERTAIN_S
    again = breathe(AirState(state.baseline), 11)
    assert again.baseline is not None
    assert again.baseline.is_certain


def test_a_clock_that_goes_back_is_a_pause() -> None:
    warm = breathe(AirState(), 30)
    assert advance(warm, at_ms=0, gas_ohm=1e5, temperature_c=22, humidity_percent=40).index is None


@pytest.mark.parametrize(
    "damaged", [AirBaseline(-1.0), AirBaseline(31.0), AirBaseline(11.0, -1.0), AirBaseline(11.0, 1e9)]
)
def test_a_damaged_baseline_is_known(damaged: AirBaseline) -> None:
    assert not damaged.is_sound
    assert AirBaseline(11.5, 3600.0).is_sound
