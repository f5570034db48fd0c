"""Heat tells a dead sensor from a steady room."""

import msgspec
import pytest

from agent.climate import sensor_probe
from agent.climate.sensor_probe import CHANGE_MAX, OBSERVED_S_MIN, UNKNOWN_S, WARM_UP_S, SensorProbe

RESPONSE_S = 900.0
KNOWN = SensorProbe(needed_s=1200.0, observed_s=OBSERVED_S_MIN)


def go_on(probe: SensorProbe, excess: float, minutes: int = 1, *, is_quiet: bool = True) -> SensorProbe:
    for _ in range(minutes):
        probe = sensor_probe.advance(
            probe,
            age_s=probe.age_s + 60.0,
            is_quiet=is_quiet,
            excess=excess,
            duties=(0.9, 0.1),
            dt_s=60.0,
            response_s=RESPONSE_S,
        )
    return probe


def report(probe: SensorProbe) -> SensorProbe:
    return sensor_probe.advance(
        probe, age_s=0.0, is_quiet=False, excess=0.5, duties=(0.4, 0.3), dt_s=60.0, response_s=RESPONSE_S
    )


@pytest.mark.parametrize(("quiet_for_s", "change"), [(-1.0, 0.0), (0.0, 0.0), (600.0, 0.25), (7200.0, CHANGE_MAX)])
def test_duty_moves_slowly(quiet_for_s: float, change: float) -> None:
    assert sensor_probe.duty_change(quiet_for_s) == pytest.approx(change)


@pytest.mark.parametrize(
    ("error_k", "law_duty", "quiet_h", "is_upward"),
    [
        (0.5, 0.3, 0.0, True),
        (0.0, 0.3, 0.0, True),
        (-0.1, 0.3, 0.0, True),
        (-0.4, 0.3, 0.0, False),
        (-0.4, 0.3, 9.0, False),
        (-2.0, 0.0, 1.0, False),
        (-2.0, 0.0, 2.1, True),
    ],
)
def test_duty_moves_up_wherever_heat_may_be_needed(
    error_k: float, law_duty: float, quiet_h: float, *, is_upward: bool
) -> None:
    found = sensor_probe.is_upward(quiet_for_s=quiet_h * 3600.0, error_k=error_k, law_duty=law_duty, cools_k_per_h=1.0)
    assert found is is_upward


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_sensor_is_dead_after_twice_the_heat_that_brought_a_report_before(sign: float) -> None:
    alive = go_on(KNOWN, sign * 0.5, 79)
    assert not alive.is_dead
    dead = go_on(alive, sign * 0.5, 2)
    assert dead.is_dead
    assert go_on(dead, 0.0, 5) == msgspec.structs.replace(dead, age_s=dead.age_s + 300.0)
    assert not go_on(KNOWN, sign * 0.5, 90, is_quiet=False).is_dead


def test_heat_must_have_time_to_reach_the_room() -> None:
    quick = msgspec.structs.replace(KNOWN, needed_s=10.0)
    assert not go_on(quick, 1.0, 14).is_dead
    assert go_on(quick, 1.0, 16).is_dead
    usual = msgspec.structs.replace(KNOWN, needed_s=600.0)
    assert not go_on(usual, 1.0, 29).is_dead
    assert go_on(usual, 1.0, 30).is_dead


def test_slow_room_is_given_more() -> None:
    slow = msgspec.structs.replace(KNOWN, needed_s=6000.0)
    assert not go_on(slow, 1.0, 260).is_dead
    assert go_on(slow, 1.0, 271).is_dead


def test_second_day_needs_more_than_later_ones() -> None:
    new = msgspec.structs.replace(KNOWN, observed_s=2.0 * WARM_UP_S)
    assert not go_on(new, 1.0, 155).is_dead
    assert go_on(new, 1.0, 162).is_dead


def test_first_day_needs_what_moves_every_room() -> None:
    assert not go_on(SensorProbe(), 1.0, round(UNKNOWN_S / 60.0) - 1).is_dead
    assert go_on(SensorProbe(), 1.0, round(UNKNOWN_S / 60.0)).is_dead


def test_every_report_teaches_what_it_needed() -> None:
    cold = report(go_on(SensorProbe(), 0.5, 20))
    assert cold == SensorProbe(0.0, False, 0.0, 1260.0, 0.0, (0.3, 0.4))
    first = report(go_on(SensorProbe(observed_s=WARM_UP_S), 0.5, 20))
    assert first == SensorProbe(0.0, False, 600.0, WARM_UP_S + 1260.0, 0.0, (0.3, 0.4))
    assert report(first).needed_s == first.needed_s
    weaker = report(go_on(first, -0.5, 10))
    assert weaker.needed_s == pytest.approx(600.0, rel=0.01)
    wrong = report(go_on(KNOWN, 1.0, 100))
    assert not wrong.is_dead
    assert wrong.needed_s > 2.0 * KNOWN.needed_s * 0.99


def test_what_was_needed_is_forgotten_within_weeks() -> None:
    week = go_on(KNOWN, 0.0, 7 * 24 * 60)
    assert 0.3 * KNOWN.needed_s < week.needed_s < 0.6 * KNOWN.needed_s


def test_duties_of_the_last_report_count_until_the_next() -> None:
    """A law that sees no change follows its own heat: a room was heated to 47 °C."""
    known = go_on(report(KNOWN), 1.0, 10)
    assert known.duties == (0.3, 0.4)
    assert known.excess(is_on=True, is_upward=True) == pytest.approx(0.6)
    assert known.excess(is_on=False, is_upward=False) == pytest.approx(-0.3)
