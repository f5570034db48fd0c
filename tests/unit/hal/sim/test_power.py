"""The mains fails now and then, and the battery carries the hub meanwhile."""

from itertools import pairwise
from random import Random

import pytest

from hal.sim.power import BATTERY_WH, OUTAGE_EVERY_S, OUTAGE_S, MainsAndBattery


def test_outages_come_as_often_and_last_as_long_as_they_should() -> None:
    power = MainsAndBattery(Random(1), step_s=300.0)
    steps = 3 * 365 * 288
    states = []
    for _ in range(steps):
        power.advance()
        states.append(power.has_mains)
    outages = sum(a and not b for a, b in pairwise(states))
    assert outages == pytest.approx(steps * 300 / (OUTAGE_EVERY_S + OUTAGE_S), rel=0.25)
    assert states.count(False) * 300 / outages == pytest.approx(OUTAGE_S, rel=0.25)


def test_the_battery_drains_without_mains_down_to_empty_and_charges_again() -> None:
    power = MainsAndBattery(Random(1), step_s=60.0)
    assert power.battery_percent == 100.0
    while power.has_mains:
        power.advance()
    assert power.battery_wh == pytest.approx(BATTERY_WH - 3.0 / 60)
    outage = [power.battery_wh]
    for _ in range(1440):
        power.advance()
        outage.append(power.battery_wh)
    lowest = outage.index(min(outage))
    assert outage[lowest + 1] == pytest.approx(min(BATTERY_WH, outage[lowest] + 4.5 / 60))
    assert outage == sorted(outage[: lowest + 1], reverse=True) + sorted(outage[lowest + 1 :])
    assert power.battery_percent == 100.0


def test_the_battery_never_holds_less_than_nothing() -> None:
    class DayOnDayOff(Random):
        def expovariate(self, lambd: float = 1.0) -> float:
            return 86_400.0

    power = MainsAndBattery(DayOnDayOff(), step_s=3600.0)
    levels = []
    for _ in range(72):
        power.advance()
        levels.append(power.battery_percent)
    assert levels[23:30] == pytest.approx([100 - 100 * i / 6 for i in range(1, 7)] + [0.0])
    assert levels[30:47] == [0.0] * 17
    assert levels[47:52] == pytest.approx([25.0, 50.0, 75.0, 100.0, 100.0])
