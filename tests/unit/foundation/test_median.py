"""The medians beside those of the standard library."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation import median


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_medians_are_those_of_the_standard_library(values: list[float]) -> None:
    assert median.median(values) == statistics.median(values)
    assert median.median_low(values) == statistics.median_low(values)
    assert median.median_high(values) == statistics.median_high(values)


def test_nothing_has_no_median() -> None:
    for each in (median.median, median.median_low, median.median_high):
        with pytest.raises(IndexError):
            each([])
