"""What a judge believes, and that it never stops believing for good."""

from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.interface import HUB, Quality, Reading, SensorKind
from hal.plausibility import (
    CHIP_TEMPERATURE,
    CONFIRMATIONS,
    LIMITS,
    STUCK_READINGS_MIN,
    PlausibilityCheck,
    PlausibilityLimits,
    clamp_reading,
)

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def judge(kind: SensorKind = SensorKind.TEMPERATURE) -> PlausibilityCheck:
    return PlausibilityCheck(kind)


@pytest.mark.parametrize("kind", SensorKind)
def test_every_kind_has_limits(kind: SensorKind) -> None:
    assert LIMITS[kind].low < LIMITS[kind].high


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_nan_and_infinity_are_bad(value: float) -> None:
    quality, reason = judge().check(value, 0)
    assert quality is Quality.BAD
    assert reason == f"is not a number ({value})"


@pytest.mark.parametrize("kind", SensorKind)
def test_values_at_the_range_limits_are_good_and_beyond_them_bad(kind: SensorKind) -> None:
    limits = LIMITS[kind]
    more = limits.tolerance + 0.5
    for end, beyond in ((limits.low, limits.low - more), (limits.high, limits.high + more)):
        assert judge(kind).check(end, 0) == (Quality.GOOD, "")
        assert judge(kind).check(beyond, 0)[0] is Quality.BAD


def test_an_out_of_range_value_says_what_the_range_is() -> None:
    assert judge().check(412.25, 0)[1] == "412.25 °C is outside -40 to 85 °C"
    assert judge(SensorKind.POWER_AVAILABILITY).check(2.0, 0)[1] == "2 is not one of the whole numbers 0 to 1"


def test_power_availability_is_zero_or_one() -> None:
    mains = judge(SensorKind.POWER_AVAILABILITY)
    assert mains.check(0.5, 0) == (Quality.BAD, "0.5 is not one of the whole numbers 0 to 1")
    assert [mains.check(value, 1 + i)[0] for i, value in enumerate([0.0, 1.0, 0.0])] == [Quality.GOOD] * 3


def test_cpu_temperature_may_change_faster_than_a_room() -> None:
    chip = PlausibilityCheck(SensorKind.TEMPERATURE, CHIP_TEMPERATURE)
    assert [chip.check(value, i)[0] for i, value in enumerate([40.0, 75.0, 41.0])] == [Quality.GOOD] * 3


def test_implausible_change_names_the_possible_one() -> None:
    room = judge()
    room.check(20.0, 0)
    quality, reason = room.check(34.2, MINUTE_MS)
    assert quality is Quality.BAD
    assert reason == "jumped 14.2 °C in 60 s; at most 5 °C is plausible in that time"


def test_rate_of_change_depends_on_the_elapsed_time() -> None:
    room = judge()
    room.check(20.0, 0)
    assert room.check(34.2, 10 * MINUTE_MS)[0] is Quality.GOOD


def test_single_spike_does_not_affect_later_values() -> None:
    room = judge()
    qualities = [room.check(value, i * MINUTE_MS)[0] for i, value in enumerate([20.0, 60.0, 20.1, 20.2])]
    assert qualities == [Quality.GOOD, Quality.BAD, Quality.GOOD, Quality.GOOD]


def test_spikes_between_good_values_never_become_accepted() -> None:
    room = judge()
    spikes = [room.check(60.0 if i % 2 else 20.0 + i / 100, i * MINUTE_MS)[0] for i in range(21)][1::2]
    assert set(spikes) == {Quality.BAD}


def test_unchanged_values_between_spikes_reset_the_count() -> None:
    room = judge()
    spikes = [room.check(60.0 if i % 2 else 20.0, i * MINUTE_MS)[0] for i in range(21)][1::2]
    assert set(spikes) == {Quality.BAD}


def test_persistent_step_is_accepted() -> None:
    room = judge()
    room.check(20.0, 0)
    after = [room.check(-10.0 - i / 10, (1 + i) * MINUTE_MS)[0] for i in range(CONFIRMATIONS + 1)]
    assert after == [Quality.BAD] * (CONFIRMATIONS - 1) + [Quality.GOOD] * 2


def test_scattered_values_do_not_confirm_each_other() -> None:
    room = judge()
    room.check(20.0, 0)
    qualities = [room.check(value, (1 + i) * 1000)[0] for i, value in enumerate([60.0, -20.0, 50.0, 0.0])]
    assert set(qualities) == {Quality.BAD}


def test_repeated_timestamp_confirms_nothing() -> None:
    room = judge()
    room.check(20.0, 0)
    assert {room.check(60.0, 1000)[0] for _ in range(5)} == {Quality.BAD}


def test_wrong_first_value_does_not_lock_out_true_ones() -> None:
    room = judge()
    qualities = [room.check(value, i * MINUTE_MS)[0] for i, value in enumerate([85.0, 20.0, 20.01, 20.02, 20.03])]
    assert qualities == [Quality.GOOD, Quality.BAD, Quality.BAD, Quality.GOOD, Quality.GOOD]


def test_late_reading_is_judged_without_changing_the_state() -> None:
    room = judge()
    room.check(20.0, 100 * MINUTE_MS)
    assert room.check(40.0, 80 * MINUTE_MS)[0] is Quality.GOOD
    assert room.check(60.0, 99 * MINUTE_MS)[0] is Quality.BAD
    assert room.check(20.5, 101 * MINUTE_MS)[0] is Quality.GOOD


def test_late_equal_reading_does_not_move_the_time_back() -> None:
    room = judge()
    room.check(20.0, 100 * MINUTE_MS)
    assert room.check(20.0, 0)[0] is Quality.GOOD
    assert room.check(26.0, 101 * MINUTE_MS)[0] is Quality.BAD


def stay(kind: SensorKind, value: float, *, hours: int, every_ms: int = 10 * MINUTE_MS) -> list[Quality]:
    series = judge(kind)
    return [series.check(value, at_ms)[0] for at_ms in range(0, hours * HOUR_MS + 1, every_ms)]


def test_constant_room_temperature_is_not_stuck_for_many_hours() -> None:
    qualities = stay(SensorKind.TEMPERATURE, 19.5, hours=25)
    assert qualities.index(Quality.SUSPECT) == 24 * 6


def test_stuck_sensor_names_its_duration_and_recovers_at_the_first_change() -> None:
    room = judge()
    for hour in range(30):
        quality, reason = room.check(19.5, hour * HOUR_MS)
    assert quality is Quality.SUSPECT
    assert reason == "has read exactly 19.5 °C for 29 h; a working sensor changes within 24 h"
    assert room.check(19.6, 30 * HOUR_MS) == (Quality.GOOD, "")
    assert room.check(19.6, 31 * HOUR_MS) == (Quality.GOOD, "")


@pytest.mark.parametrize("value", [1.0, 99.9, 0.0, 100.0])
def test_humidity_may_stay_at_the_end_of_its_scale(value: float) -> None:
    assert set(stay(SensorKind.HUMIDITY, value, hours=60)) == {Quality.GOOD}
    assert stay(SensorKind.HUMIDITY, 50.0, hours=60)[-1] is Quality.SUSPECT


@pytest.mark.parametrize(
    ("kind", "value"),
    [(SensorKind.POWER_AVAILABILITY, 1.0), (SensorKind.BATTERY_LEVEL, 100.0), (SensorKind.SIGNAL_STRENGTH, -60.0)],
)
def test_kinds_that_stay_constant_for_days_are_never_stuck(kind: SensorKind, value: float) -> None:
    assert set(stay(kind, value, hours=30 * 24, every_ms=HOUR_MS)) == {Quality.GOOD}


def test_gap_does_not_count_as_stuck_time() -> None:
    room = judge()
    room.check(20.0, 0)
    for i in range(STUCK_READINGS_MIN - 2):
        assert room.check(20.0, 48 * HOUR_MS + i * MINUTE_MS)[0] is Quality.GOOD
    assert room.check(20.0, 49 * HOUR_MS)[0] is Quality.SUSPECT


def test_humidity_rise_of_a_shower_is_good() -> None:
    bath = judge(SensorKind.HUMIDITY)
    assert {bath.check(v, i * 10 * MINUTE_MS)[0] for i, v in enumerate([48.0, 95.0, 96.3, 60.0])} == {Quality.GOOD}


def test_sensor_limits_replace_the_limits_of_its_kind() -> None:
    cellar = PlausibilityCheck(SensorKind.TEMPERATURE, PlausibilityLimits(0.0, 30.0))
    assert cellar.check(31.0, 0)[0] is Quality.BAD
    assert cellar.check(0.0, 0)[0] is Quality.GOOD
    assert cellar.check(30.0, 1)[0] is Quality.GOOD


ANY_VALUE = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.sampled_from(SensorKind), st.lists(st.tuples(ANY_VALUE, st.integers(-(10**12), 10**12)), max_size=30))
def test_no_history_locks_a_sensor_out(kind: SensorKind, past: list[tuple[float, int]]) -> None:
    series = judge(kind)
    for value, at_ms in past:
        series.check(value, at_ms)
    limits = LIMITS[kind]
    truth = limits.high if limits.is_whole else (limits.low + limits.high) / 2
    start_ms = 2 * 10**12
    qualities = [series.check(truth, start_ms + i * MINUTE_MS)[0] for i in range(CONFIRMATIONS)]
    assert qualities[-1] is Quality.GOOD


@given(st.sampled_from(SensorKind), st.lists(st.tuples(ANY_VALUE, st.integers(-(10**12), 10**12)), max_size=30))
def test_quality_is_good_exactly_where_no_reason_is_given(kind: SensorKind, past: list[tuple[float, int]]) -> None:
    series = judge(kind)
    for value, at_ms in past:
        quality, reason = series.check(value, at_ms)
        assert (quality is Quality.GOOD) == (reason == "")


@pytest.mark.parametrize(
    ("kind", "value", "used"),
    [
        (SensorKind.HUMIDITY, 101.3, 100.0),
        (SensorKind.HUMIDITY, 105.0, 100.0),
        (SensorKind.HUMIDITY, -2.0, 0.0),
        (SensorKind.HUMIDITY, 105.1, 105.1),
        (SensorKind.HUMIDITY, 55.0, 55.0),
        (SensorKind.TEMPERATURE, 85.1, 85.1),
    ],
)
def test_a_humidity_a_little_beyond_its_scale_is_the_end_of_the_scale(
    kind: SensorKind, value: float, used: float
) -> None:
    reading = Reading(HUB, "sensor", kind, value, 0)
    assert clamp_reading(reading).value == used
    is_tolerated = used in {0.0, 55.0, 100.0}
    assert (PlausibilityCheck(kind).check(value, 0)[0] is Quality.GOOD) is is_tolerated


def test_no_number_stays_none() -> None:
    assert isnan(clamp_reading(Reading(HUB, "sensor", SensorKind.HUMIDITY, nan, 0)).value)
