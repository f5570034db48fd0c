"""Days of measured time and the indicators that come of them."""

from math import exp

import msgspec
import pytest

from agent.maintenance.indicators import (
    CHANGE_K_MAX,
    OUTPUT_REST_MIN,
    SOLSTICE_MS,
    SPAN_MS_MAX,
    YEAR_MS,
    Day,
    DayInProgress,
    Indicator,
    Sample,
    add_sample,
    measure,
    season_of,
)

HOUR_MS = 3_600_000
ON, OFF = Sample(20.0, 5.0, 1.0, 60.0), Sample(20.0, 5.0, 0.0, 60.0)


def run(samples: list[Sample | None], day: DayInProgress | None = None, start_ms: int = 0) -> list[Day]:
    """Return the days that come of samples, one a minute."""
    day, done = day or DayInProgress(), []
    for number, sample in enumerate(samples):
        day, complete = add_sample(day, sample, start_ms + number * 60_000)
        done += [complete] if complete else []
    return done


def test_a_day_counts_output_starts_and_how_much_warmer_than_outside_the_room_is() -> None:
    (day,) = run([OFF, *[*[ON] * 12, *[OFF] * 24] * 40])
    assert day.output == pytest.approx(1 / 3, abs=0.001)
    assert (day.starts, day.lift_k, day.change_k) == (40, 15.0, 0.0)
    assert day.run_s == pytest.approx(12 * 60, rel=0.01)
    warmth, run_time = measure(day, Indicator.WARMTH), measure(day, Indicator.RUN_TIME)
    assert warmth is not None
    assert run_time is not None
    assert (warmth.value, warmth.load) == (day.output, 15.0)
    assert exp(run_time.load) == pytest.approx(1.5, rel=0.01)
    assert exp(run_time.value) == pytest.approx(12.0, rel=0.01)


def test_a_part_of_full_output_counts_as_that_part() -> None:
    (day,) = run([Sample(20.0, 5.0, 0.4, 60.0)] * 1440)
    assert day.output == pytest.approx(0.4)
    assert day.starts == 0
    assert measure(day, Indicator.RUN_TIME) is None


def test_a_time_that_is_not_measured_is_left_out_and_its_start_not_counted() -> None:
    (day,) = run([OFF, None, *[ON] * 1439])
    assert day.starts == 0
    assert day.output == pytest.approx(1439 / 1440)


def test_a_day_with_long_gaps_is_dropped_as_is_one_over_which_the_clock_was_set_back() -> None:
    begun, _ = add_sample(DayInProgress(), OFF, 50 * HOUR_MS)
    for utc_ms in (50 * HOUR_MS + SPAN_MS_MAX + 1, 49 * HOUR_MS):
        after, _ = add_sample(begun, OFF, utc_ms)
        assert (after.began_utc_ms, after.measured_s) == (utc_ms, 60.0)


def test_the_temperature_outside_has_to_be_known_for_most_of_a_day() -> None:
    blind = Sample(20.0, None, 0.5, 60.0)
    (known,) = run([*[blind] * 100, *[Sample(20.0, 5.0, 0.5, 60.0)] * 1340])
    assert known.lift_k == pytest.approx(15.0)
    (unknown,) = run([*[blind] * 200, *[OFF] * 1240])
    assert unknown.lift_k is None
    assert measure(unknown, Indicator.WARMTH) is None


GOOD = Day(0, output=0.4, lift_k=16.0, starts=20, run_s=600.0, change_k=0.0)


@pytest.mark.parametrize(
    "day",
    [
        Day(0, output=0.04, lift_k=16.0, starts=20, run_s=600.0, change_k=0.0),
        Day(0, output=0.4, lift_k=4.9, starts=3, run_s=600.0, change_k=0.0),
        Day(0, output=0.4, lift_k=16.0, starts=3, run_s=600.0, change_k=CHANGE_K_MAX + 0.1),
        Day(0, output=0.4, lift_k=16.0, starts=3, run_s=600.0, change_k=-CHANGE_K_MAX - 0.1),
    ],
    ids=["hardly heated", "warm outside", "warmer at the end", "colder at the end"],
)
def test_a_day_that_tells_nothing_gives_no_indicator(day: Day) -> None:
    assert all(measure(GOOD, indicator) for indicator in Indicator)
    assert not any(measure(day, indicator) for indicator in Indicator)


def test_a_run_at_nearly_full_output_ends_by_something_else() -> None:
    loads = [
        found.load
        for output in (0.5, 0.95, 1.0)
        if (found := measure(msgspec.structs.replace(GOOD, output=output), Indicator.RUN_TIME))
    ]
    assert [exp(-load) for load in loads] == pytest.approx([0.5, OUTPUT_REST_MIN, OUTPUT_REST_MIN])


def test_the_sun_is_highest_in_june_or_in_the_southern_hemisphere_in_december() -> None:
    december = msgspec.structs.replace(GOOD, ended_utc_ms=SOLSTICE_MS)
    for is_southern, sunshine in ((False, 0.0), (True, 1.0)):
        found = measure(december, Indicator.WARMTH, is_southern=is_southern)
        assert found is not None
        assert found.sunshine == pytest.approx(sunshine)


def test_the_season_is_the_distance_from_the_solstices() -> None:
    assert season_of(SOLSTICE_MS) == pytest.approx(1.0)
    assert season_of(SOLSTICE_MS + int(YEAR_MS / 2)) == pytest.approx(-1.0)
    assert season_of(SOLSTICE_MS + int(YEAR_MS / 5)) == pytest.approx(season_of(SOLSTICE_MS - int(YEAR_MS / 5)))
