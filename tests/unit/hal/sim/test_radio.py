"""Batteries and links of relayed sensors over a long time."""

from itertools import pairwise
from math import fsum
from random import Random

import pytest

from hal.sim.numerics import Noise
from hal.sim.radio import draining_battery, fading_signal

HOUR_MS = 3_600_000


def test_a_battery_drains_and_is_replaced_before_it_is_empty() -> None:
    levels = [draining_battery(Random(2))(hour * HOUR_MS) for hour in range(0, 5 * 365 * 24, 6)]
    assert 10.0 < min(levels) < 10.2
    assert 99.8 < max(levels) <= 100.0
    rises = [b - a for a, b in pairwise(levels) if b > a]
    assert 2 <= len(rises) <= 8
    assert min(rises) > 80.0


def test_a_link_fades_slowly_around_its_mean() -> None:
    truth = fading_signal(Noise(1), 5, -60.0)
    minutes = [truth(minute * 60_000) for minute in range(30 * 1440)]
    assert fsum(minutes) / len(minutes) == pytest.approx(-60.0, abs=0.5)
    assert max(abs(b - a) for a, b in pairwise(minutes)) < 2.0
    assert -80 < min(minutes) < -68
