"""Thins the history for a chart: one mean, least and greatest value for each stretch of time. Pure.

What it promises: no peak is lost (the least of the lows is the least of all values, the same for the highs), a mean
lies between its low and high, and a stretch without a value is a gap.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

DIGITS = 2
"""Of a mean, as exact as the values (`history_blocks.RESOLUTION`)."""


class Series(msgspec.Struct, frozen=True):
    """One channel, a value for each of the chart's times; nothing where there was no value.

    Attributes:
        low: The least value of each stretch; empty where no stretch holds more than one value.
        high: The greatest; likewise.
    """

    channel: str
    mean: list[float | None]
    low: list[float | None] = []
    high: list[float | None] = []


class Chart(msgspec.Struct, frozen=True):
    """Several channels over the same times, as columns.

    Attributes:
        width_s: The length of each stretch.
        times_s: The beginning of each stretch.
        series: One for each channel that was asked for, in that order.
    """

    width_s: int
    times_s: list[int]
    series: list[Series]


class Thinning:
    """Collects values and makes the chart of them; its size depends on the chart, not on the number of values."""

    def __init__(self, channels: Sequence[str], *, from_ms: int, to_ms: int, interval_ms: int, points_max: int) -> None:
        """Begin with a chart of gaps.

        Args:
            channels: What the chart shows.
            from_ms: Where it begins.
            to_ms: Where it ends; after `from_ms`.
            interval_ms: The time between two values of a channel: no stretch is shorter.
            points_max: How many stretches it may have.

        A stretch begins at a multiple of its length, so that a chart that moves on keeps its values.
        """
        self._interval_ms = interval_ms
        needed_ms = -(-(to_ms - from_ms) // points_max)
        self._width_ms = interval_ms * max(1, -(-needed_ms // interval_ms))
        self._first = self._stretch(from_ms)
        count = min(points_max + 1, self._stretch(to_ms) - self._first + 1)
        self._stretches: Mapping[str, list[_Stretch | None]] = {channel: [None] * count for channel in channels}
        self._count = count

    def _stretch(self, at_ms: int) -> int:
        # Values are taken a moment after their instant, or a moment before by a clock that was corrected since.
        return (at_ms + self._interval_ms // 2) // self._width_ms

    def add(self, channel: str, values: Iterable[float | None], *, start_ms: int, interval_ms: int) -> None:
        """Add values of one channel at a fixed interval; what lies outside the chart is left out.

        Raises:
            KeyError: The chart does not show this channel.
        """
        stretches = self._stretches[channel]
        for number, value in enumerate(values):
            index = self._stretch(start_ms + number * interval_ms) - self._first
            if value is None or not 0 <= index < self._count:
                continue
            stretch = stretches[index]
            if stretch is None:
                stretches[index] = _Stretch(1, value, value, value)
            else:
                stretch.count += 1
                stretch.total += value
                stretch.low = min(stretch.low, value)
                stretch.high = max(stretch.high, value)

    def chart(self) -> Chart:
        """Return the chart of what was added."""
        width_s = self._width_ms // 1000
        times_s = [(self._first + number) * width_s for number in range(self._count)]
        return Chart(width_s, times_s, [_series(channel, found) for channel, found in self._stretches.items()])


class _Stretch(msgspec.Struct):
    count: int
    total: float
    low: float
    high: float


def _series(channel: str, stretches: Sequence["_Stretch | None"]) -> Series:
    mean = [
        None if each is None else min(max(round(each.total / each.count, DIGITS), each.low), each.high)
        for each in stretches
    ]
    if all(each is None or each.count == 1 for each in stretches):
        return Series(channel, mean)
    low = [None if each is None else each.low for each in stretches]
    return Series(channel, mean, low, [None if each is None else each.high for each in stretches])
