"""Heat tells a dead sensor from a steady room: it is dead when the air must have moved up and down without a report."""

import msgspec
import pytest

from agent.climate import sensor_probe
from agent.climate.fusion import ZoneTemperature
from agent.climate.heat_trace import HeatTrace
from agent.climate.sensor_probe import (
    CHANGE,
    CHANGES_MIN,
    FIRST_CHANGE,
    IDLE_TURN_S,
    NEEDED_FACTOR,
    NEW_FACTOR,
    OBSERVED_S_MIN,
    PATIENT_FACTOR,
    SCALE_MAX,
    TURN_S_MAX,
    UNKNOWN_K,
    WARM_UP_S,
    SensorProbe,
)

RESPONSE_S = 900.0
KNOWN = SensorProbe(needed_k=0.8, change_k=0.2, observed_s=OBSERVED_S_MIN)
LIMIT_K = NEEDED_FACTOR * 0.8


def go_on(
    probe: SensorProbe,
    sensor_k: float,
    minutes: int = 1,
    *,
    is_quiet: bool = True,
    error_k: float = 0.0,
    may_heat: bool = True,
    is_patient: bool = False,
    response_s: float = RESPONSE_S,
    turn_s_min: float = 0.0,
) -> SensorProbe:
    """Let some minutes pass in which the trace stays where it is."""
    for _ in range(minutes):
        probe = sensor_probe.advance(
            probe,
            HeatTrace(sensor_k=sensor_k),
            age_s=probe.age_s + 60.0,
            value_c=probe.value_c,
            is_quiet=is_quiet,
            error_k=error_k,
            may_heat=may_heat,
            is_patient=is_patient,
            dt_s=60.0,
            response_s=response_s,
            turn_s_min=turn_s_min,
        )
    return probe


def swing(probe: SensorProbe, *traces_k: float) -> SensorProbe:
    for sensor_k in traces_k:
        probe = go_on(probe, sensor_k)
    return probe


def report(probe: SensorProbe, change_k: float = 0.2, sensor_k: float = 0.0) -> SensorProbe:
    return sensor_probe.advance(
        probe,
        HeatTrace(sensor_k=sensor_k),
        age_s=0.0,
        value_c=probe.value_c + change_k,
        is_quiet=False,
        error_k=0.0,
        may_heat=True,
        is_patient=False,
        dt_s=60.0,
        response_s=RESPONSE_S,
    )


def test_only_a_swing_in_both_directions_shows_that_a_sensor_is_dead() -> None:
    """The sun that goes hides more heat, and makes less heat all the plainer."""
    one_way = swing(KNOWN, 0.5, 1.0, 3.0)
    assert not one_way.is_dead
    assert not swing(one_way, 3.0 - LIMIT_K + 0.05).is_dead
    dead = swing(one_way, 3.0 - LIMIT_K - 0.05)
    assert dead.is_dead
    assert swing(KNOWN, -0.5, -2.0, -0.9).is_dead
    later = go_on(dead, 9.0, 5)
    assert later == msgspec.structs.replace(dead, age_s=dead.age_s + 300.0)


def test_while_the_silence_is_usual_nothing_is_dead() -> None:
    assert not go_on(go_on(KNOWN, 3.0, is_quiet=False), -3.0, is_quiet=False).is_dead


def test_a_turn_ends_when_the_air_must_have_moved() -> None:
    up = go_on(KNOWN, 0.0)
    assert up.is_upward
    # What the emitter still held does not count: the air first goes on falling.
    falling = go_on(up, -0.5)
    assert go_on(falling, -0.5 + LIMIT_K - 0.05).is_upward
    down = go_on(falling, -0.5 + LIMIT_K + 0.05)
    assert not down.is_upward
    assert not go_on(KNOWN, 0.0, is_quiet=False, error_k=-0.4).is_upward


@pytest.mark.parametrize(("response_s", "factor"), [(300.0, 1.0), (900.0, 1.0), (3600.0, 4.0)])
def test_a_turn_that_moves_little_ends_by_the_time(response_s: float, factor: float) -> None:
    begun = go_on(KNOWN, 0.0, is_quiet=False)
    idle_min = round(IDLE_TURN_S * factor / 60.0)
    assert go_on(begun, 0.0, idle_min - 1, response_s=response_s).is_upward
    assert not go_on(begun, 0.0, idle_min, response_s=response_s).is_upward
    slow_min = round(TURN_S_MAX * factor / 60.0)
    assert go_on(begun, 0.3, slow_min - 1, response_s=response_s).is_upward
    assert not go_on(begun, 0.3, slow_min, response_s=response_s).is_upward


def test_a_zone_that_is_off_is_heated_for_hours_and_left_for_hours_before_its_sensor_is_dead() -> None:
    begun = go_on(go_on(KNOWN, -3.0, is_quiet=False), 0.0, is_quiet=False)
    up = go_on(begun, 3.0, 119, turn_s_min=7200.0)
    assert (up.is_upward, up.turns, up.swing_k, up.is_dead) == (True, 0, 3.0, False)
    down = go_on(up, 3.0, turn_s_min=7200.0)
    assert (down.is_upward, down.turns) == (False, 1)
    down = go_on(down, -3.0, 119, turn_s_min=7200.0)
    assert (down.turns, down.is_dead) == (1, False)
    assert go_on(down, -3.0, 2, turn_s_min=7200.0).is_dead


def test_a_room_that_needs_no_heat_is_not_heated() -> None:
    cooling = go_on(KNOWN, 0.0, is_quiet=False, error_k=-0.4)
    assert not go_on(cooling, -3.0, 300, may_heat=False).is_upward
    assert go_on(go_on(cooling, -3.0, 300, may_heat=False), -3.0).is_upward


@pytest.mark.parametrize(("error_k", "is_upward"), [(0.5, True), (-0.1, True), (-0.4, False)])
def test_the_first_turn_is_a_soft_one_that_the_room_may_need(error_k: float, *, is_upward: bool) -> None:
    first = go_on(KNOWN, 0.0, is_quiet=False, error_k=error_k)
    sign = 1.0 if is_upward else -1.0
    assert first.is_upward is is_upward
    assert first.duty_change(is_patient=False) == sign * FIRST_CHANGE
    second = go_on(go_on(first, 0.0), sign * 1.2)
    assert second.duty_change(is_patient=False) == -sign * CHANGE
    assert second.duty_change(is_patient=True) == -sign * FIRST_CHANGE


def test_a_room_that_heat_tells_little_about_needs_more() -> None:
    high_k = LIMIT_K * (PATIENT_FACTOR + 1.0) / 2.0
    assert swing(KNOWN, high_k, 0.0).is_dead
    assert not go_on(go_on(KNOWN, high_k, is_patient=True), 0.0, is_patient=True).is_dead


@pytest.mark.parametrize(
    ("error_k", "law_duty", "quiet_h", "may_heat"),
    [(0.0, 0.0, 0.0, True), (-2.0, 0.1, 0.0, True), (-2.0, 0.0, 1.0, False), (-2.0, 0.0, 2.1, True)],
)
def test_a_warm_room_is_heated_once_it_may_have_cooled(
    error_k: float, law_duty: float, quiet_h: float, *, may_heat: bool
) -> None:
    found = sensor_probe.may_heat(quiet_for_s=quiet_h * 3600.0, error_k=error_k, law_duty=law_duty, cools_k_per_h=1.0)
    assert found is may_heat


def test_the_limit_follows_the_threshold_and_what_reports_needed() -> None:
    quick = msgspec.structs.replace(KNOWN, needed_k=0.0)
    assert quick.limit_k == pytest.approx(CHANGES_MIN * 0.2)
    assert KNOWN.limit_k == pytest.approx(LIMIT_K)
    new = msgspec.structs.replace(KNOWN, observed_s=2.0 * WARM_UP_S)
    assert new.limit_k == pytest.approx(NEW_FACTOR * LIMIT_K)
    assert msgspec.structs.replace(new, observed_s=WARM_UP_S).limit_k == UNKNOWN_K


def test_every_report_teaches_what_it_needed() -> None:
    moved = swing(msgspec.structs.replace(KNOWN, needed_k=0.1), 0.5, 0.0)
    assert report(moved).needed_k == pytest.approx(0.5)
    assert report(report(moved)).needed_k == pytest.approx(0.5)
    assert report(moved).swing_k == 0.0
    early = msgspec.structs.replace(moved, observed_s=WARM_UP_S / 2.0)
    assert report(early).needed_k == pytest.approx(0.1, rel=0.01)


def test_a_sensor_that_was_dead_teaches_nothing_when_it_is_back() -> None:
    """It raised what all later deaths needed: they were found the later, the more there had been."""
    dead = swing(KNOWN, 2.0, 0.0)
    assert dead.is_dead
    back = report(dead, change_k=-1.3, sensor_k=-1.0)
    assert not back.is_dead
    assert back.needed_k == pytest.approx(KNOWN.needed_k, rel=0.01)
    assert back.change_k == KNOWN.change_k
    # One that worked, and was called dead, reports its threshold.
    wrong = report(dead, change_k=0.22)
    assert wrong.needed_k == pytest.approx(2.0)


def test_the_threshold_is_learned_within_bounds() -> None:
    probe = SensorProbe()
    for _ in range(60):
        probe = report(probe, change_k=0.21)
    assert probe.change_k == pytest.approx(0.21, abs=0.01)
    for _ in range(60):
        probe = report(probe, change_k=0.06)
    assert probe.change_k == pytest.approx(0.1)


def test_what_was_needed_is_forgotten_within_weeks() -> None:
    week = go_on(KNOWN, 0.0, 7 * 24 * 60, is_quiet=False)
    assert 0.3 * KNOWN.needed_k < week.needed_k < 0.6 * KNOWN.needed_k


def rises(probe: SensorProbe, value_k: float, times: int = 80) -> SensorProbe:
    """Report rises of the trace by 0.4 K, in two steps, and of the value; then the fall, which teaches nothing."""
    for _ in range(times):
        for change_k, sensor_k in ((value_k / 2, 0.2), (value_k / 2, 0.4), (-value_k, 0.0)):
            probe = report(probe, change_k, sensor_k)
    return probe


def test_strong_equipment_has_a_small_limit() -> None:
    """A furnace that makes 8 K an hour heated a room to 58 °C, until the trace had moved by as much as elsewhere."""
    strong, usual = rises(KNOWN, 2.0), rises(KNOWN, 0.3)
    assert strong.scale == pytest.approx(5.0, abs=0.1)
    assert usual.scale == 1.0
    quiet = msgspec.structs.replace(strong, needed_k=0.0)
    assert quiet.limit_k == pytest.approx(CHANGES_MIN * strong.change_k / strong.scale)


def test_the_sun_does_not_make_the_limit_small() -> None:
    strong = rises(KNOWN, 2.0)
    assert rises(strong, 0.4, times=8).scale < 1.5
    assert rises(KNOWN, 2.0, times=1).scale < 1.3
    assert rises(KNOWN, 40.0).scale <= SCALE_MAX
    # The value falls while the trace rises: a window.
    assert rises(strong, -1.0, times=8).scale < 1.5


def test_a_dead_sensor_is_no_temperature_until_it_reports() -> None:
    known = ZoneTemperature(20.0, 7200.0, 1, 20.0, names=("t",), quiet_for_s=4500.0)
    dead = msgspec.structs.replace(KNOWN, is_dead=True, age_s=7000.0)
    assert sensor_probe.exclude_dead(KNOWN, known) is known
    assert sensor_probe.exclude_dead(dead, msgspec.structs.replace(known, age_s=10.0)).value_c == 20.0
    unknown = sensor_probe.exclude_dead(dead, known)
    assert unknown.value_c is None
    assert "t has been silent for 120 min" in unknown.problem
    assert unknown.silent_s == 7200.0
