from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from agent.port.history.series import Chart, Thinning

MINUTE_MS = 60_000
values = st.none() | st.integers(-4000, 10_000).map(lambda number: number / 100)


def chart(column: Sequence[float | None], *, points_max: int = 10, start_ms: int = 0, minutes: int = 0) -> Chart:
    end_ms = start_ms + (minutes or max(len(column), 1)) * MINUTE_MS - MINUTE_MS
    thinning = Thinning(
        ["c"], from_ms=start_ms, to_ms=max(end_ms, start_ms + 1), interval_ms=MINUTE_MS, points_max=points_max
    )
    thinning.add("c", column, start_ms=start_ms, interval_ms=MINUTE_MS)
    return thinning.chart()


def lows(made: Chart) -> list[float]:
    (series,) = made.series
    return [each for each in series.low or series.mean if each is not None]


def highs(made: Chart) -> list[float]:
    (series,) = made.series
    return [each for each in series.high or series.mean if each is not None]


def test_a_chart_that_has_room_for_every_value_shows_every_value() -> None:
    made = chart([20.0, 20.5, None, 21.0], points_max=10)
    assert made.width_s == 60
    assert made.times_s == [0, 60, 120, 180]
    assert made.series[0].mean == [20.0, 20.5, None, 21.0]
    assert (made.series[0].low, made.series[0].high) == ([], [])


def test_a_stretch_has_the_mean_the_least_and_the_greatest_of_its_values() -> None:
    made = chart([1.0, 2.0, 6.0, None, None, None, 4.0, 5.0, 6.0], points_max=3)
    (series,) = made.series
    assert made.width_s == 180
    assert series.mean == [3.0, None, 5.0]
    assert series.low == [1.0, None, 4.0]
    assert series.high == [6.0, None, 6.0]


def test_values_a_moment_beside_their_minute_make_no_gap() -> None:
    thinning = Thinning(["c"], from_ms=0, to_ms=4 * MINUTE_MS, interval_ms=MINUTE_MS, points_max=100)
    for number, late_ms in enumerate((900, -400, 25_000, -20_000, 0)):
        thinning.add("c", [1.0], start_ms=number * MINUTE_MS + late_ms, interval_ms=MINUTE_MS)
    assert thinning.chart().series[0].mean == [1.0] * 5


def test_several_channels_stand_over_the_same_times() -> None:
    thinning = Thinning(["a", "b"], from_ms=0, to_ms=2 * MINUTE_MS, interval_ms=MINUTE_MS, points_max=9)
    thinning.add("b", [1.0, 2.0, 3.0], start_ms=0, interval_ms=MINUTE_MS)
    made = thinning.chart()
    assert [each.channel for each in made.series] == ["a", "b"]
    assert {len(each.mean) for each in made.series} == {len(made.times_s)}
    assert made.series[0].mean == [None, None, None]


@given(st.lists(values, max_size=400), st.integers(1, 50), st.integers(0, 10**10))
@example([5.0], 1, 0)
def test_no_peak_is_lost(column: list[float | None], points_max: int, start_ms: int) -> None:
    made, there = chart(column, points_max=points_max, start_ms=start_ms), [each for each in column if each is not None]
    assert min(lows(made), default=None) == min(there, default=None)
    assert max(highs(made), default=None) == max(there, default=None)


@given(st.lists(values, max_size=400), st.integers(1, 50))
def test_a_mean_lies_between_its_low_and_its_high(column: list[float | None], points_max: int) -> None:
    (series,) = chart(column, points_max=points_max).series
    for mean, low, high in zip(series.mean, series.low or series.mean, series.high or series.mean, strict=True):
        assert (mean is None) == (low is None) == (high is None)
        assert mean is None or low is None or high is None or low <= mean <= high


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 40))
def test_a_gap_longer_than_two_stretches_stays_a_gap(before: int, after: int, points_max: int) -> None:
    width = -(-(before + after) // points_max) + 1
    column = [20.0] * before + [None] * (3 * width) + [20.0] * after
    made = chart(column, points_max=4 * points_max, minutes=len(column))
    (series,) = made.series
    first, last = 0, len(series.mean) - 1
    assert series.mean[first] is not None
    assert series.mean[last] is not None
    assert made.width_s > 60 * 3 * width or None in series.mean


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(1, 2000))
def test_the_size_of_a_chart_is_bounded_and_its_times_are_even(from_ms: int, length_ms: int, points_max: int) -> None:
    made = Thinning(
        ["c"], from_ms=from_ms, to_ms=from_ms + length_ms, interval_ms=MINUTE_MS, points_max=points_max
    ).chart()
    assert 1 <= len(made.times_s) <= points_max + 1
    assert all(time_s % made.width_s == 0 for time_s in made.times_s)
    assert all(after - before == made.width_s for before, after in zip(made.times_s, made.times_s[1:], strict=False))
    assert made.times_s[-1] * 1000 + made.width_s * 1000 > from_ms + length_ms - MINUTE_MS


@given(st.integers(1, 500), st.integers(1, 60))
def test_a_chart_that_moves_on_keeps_its_values(minutes: int, points_max: int) -> None:
    column = [float(number % 7) for number in range(2000)]

    def shown(offset: int) -> dict[int, float | None]:
        from_ms = offset * MINUTE_MS
        thinning = Thinning(
            ["c"], from_ms=from_ms, to_ms=from_ms + minutes * MINUTE_MS, interval_ms=MINUTE_MS, points_max=points_max
        )
        thinning.add("c", column, start_ms=0, interval_ms=MINUTE_MS)
        made = thinning.chart()
        return dict(zip(made.times_s, made.series[0].mean, strict=True))

    one, other = shown(0), shown(1)
    assert all(one[time_s] == other[time_s] for time_s in set(one) & set(other))
