"""A sensor whose value does not change while its room is heated; a coarse one in a slow house is no such."""

import msgspec
import pytest

from agent.climate.fault_detection import (
    EXCESS_S_MIN,
    TRIAL_RESPONSES,
    WATCHED_RESPONSES,
    HeatingMonitor,
    StuckSensorState,
    detect_stuck_sensor,
    restore_stuck_sensor,
)
from agent.climate.heating_effect import HeatingEffect
from agent.climate.settings import Emitter
from agent.climate.short_cycle_protection import assume_stopped
from agent.climate.zone_state import ZoneState

from .single_zone_home import House, SingleZoneHome

H_S = 3600.0
LIMIT_S = 2.5 * H_S
RESPONSE_S = 900.0
WATCHED_S = WATCHED_RESPONSES * RESPONSE_S


def after(hours: float, duty: float, usual_duty: float = 0.4, seen: StuckSensorState | None = None) -> StuckSensorState:
    """Return what is known after hours at a duty in which nothing moved."""
    seen = seen or StuckSensorState((19.0,), usual_duty=usual_duty)
    for minute in range(round(hours * 60)):
        is_heated = int((minute + 1) * duty) > int(minute * duty)
        seen = detect_stuck_sensor(
            seen,
            (19.0,),
            is_heated=is_heated,
            usual_duty=usual_duty,
            dt_s=60.0,
            excess_s_max=LIMIT_S,
            response_s=RESPONSE_S,
        )
    return seen


@pytest.mark.parametrize(
    ("hours", "duty", "is_stuck"), [(4.0, 1.0, False), (4.3, 1.0, True), (48.0, 0.4, False), (12.0, 0.7, True)]
)
def test_only_more_heat_than_usual_marks_a_sensor_stuck(hours: float, duty: float, *, is_stuck: bool) -> None:
    assert after(hours, duty).is_stuck is is_stuck


def test_any_change_clears_a_stuck_sensor() -> None:
    seen = after(5.0, 1.0)
    assert seen.is_stuck
    assert seen.text == "may be stuck at 19.0 °C"
    moved = detect_stuck_sensor(
        seen, (19.01,), is_heated=True, usual_duty=0.5, dt_s=60.0, excess_s_max=LIMIT_S, response_s=RESPONSE_S
    )
    assert (moved.values_c, moved.excess_s, moved.usual_duty, moved.is_stuck) == ((19.01,), 0.0, 0.5, False)
    # Silence is no movement.
    assert (
        detect_stuck_sensor(
            seen, (), is_heated=True, usual_duty=0.5, dt_s=60.0, excess_s_max=LIMIT_S, response_s=RESPONSE_S
        )
        == seen
    )


def known(ordinary_s: float, watched_s: float = WATCHED_S) -> StuckSensorState:
    """Return what is known of a sensor that has let so much excess heat pass between two changes, at the most."""
    return StuckSensorState((19.0,), usual_duty=0.5, ordinary_s=ordinary_s, watched_s=watched_s)


def heated_min(
    state: StuckSensorState, *, report_min: int = 1, response_s: float = RESPONSE_S, is_satisfied: bool = False
) -> int:
    """Return after how many minutes of full heating a value that stays the same is taken for a stuck sensor's."""
    for minute in range(1, 24 * 60):
        is_reported = minute % report_min == 0
        state = detect_stuck_sensor(
            state,
            state.values_c,
            is_heated=True,
            usual_duty=0.5,
            dt_s=60.0,
            excess_s_max=LIMIT_S,
            response_s=response_s,
            is_reported=is_reported,
            is_satisfied=is_satisfied,
        )
        if state.is_stuck:
            return minute
    raise AssertionError


def test_a_sensor_that_is_known_is_stuck_after_twice_the_heat_that_it_has_ever_let_pass() -> None:
    assert heated_min(known(600.0)) == 2 * 600 / 30
    # Silence proves nothing: what counts is a report that repeats the value.
    assert heated_min(known(600.0), report_min=15) == 45
    # However lively it is, some minutes of heat are needed; and nothing is known of a sensor before hours of heating.
    assert heated_min(known(0.0)) == EXCESS_S_MIN / 30
    assert heated_min(known(600.0, WATCHED_S - 60.0)) == LIMIT_S / 30
    # A slow emitter takes as many hours more.
    assert heated_min(known(600.0, WATCHED_S), response_s=2 * RESPONSE_S) == LIMIT_S / 30
    assert heated_min(known(600.0, 2 * WATCHED_S), response_s=2 * RESPONSE_S) == 2 * 600 / 30


def test_a_room_that_is_kept_at_its_setpoint_tells_nothing_of_its_sensor_by_what_is_known() -> None:
    """A cold day takes more heat than usual, and within one coarse step of the setpoint nothing moves."""
    assert heated_min(known(600.0), is_satisfied=True) > 2 * LIMIT_S / 30


@pytest.mark.parametrize("is_satisfied", [True, False])
def test_a_day_that_takes_more_heat_than_usual_at_the_setpoint_shows_no_stuck_sensor(*, is_satisfied: bool) -> None:
    """An absence at 12 °C that began in the sun and went on in the frost: half degrees showed 12.0 for ten hours."""
    state = StuckSensorState((12.0,), usual_duty=0.1)
    for minute in range(24 * 60):
        state = detect_stuck_sensor(
            state,
            (12.0,),
            is_heated=minute % 10 < 4,
            usual_duty=0.1,
            dt_s=60.0,
            excess_s_max=LIMIT_S,
            response_s=RESPONSE_S,
            is_satisfied=is_satisfied,
        )
    assert state.is_stuck is not is_satisfied


def changed(state: StuckSensorState, *values_c: float) -> StuckSensorState:
    return detect_stuck_sensor(
        state, values_c, is_heated=True, usual_duty=0.5, dt_s=60.0, excess_s_max=LIMIT_S, response_s=RESPONSE_S
    )


def test_what_a_sensor_lets_pass_is_learned_at_each_change_and_fades_with_the_heating() -> None:
    state = changed(msgspec.structs.replace(known(600.0), peak_s=700.0, heated_s=1000.0), 19.1)
    assert (state.ordinary_s, state.watched_s, state.peak_s, state.heated_s) == (700.0, WATCHED_S + 1000.0, 0.0, 0.0)
    faded = changed(msgspec.structs.replace(state, peak_s=100.0, heated_s=100 * H_S), 19.2)
    assert faded.ordinary_s == pytest.approx(350.0)
    # A false alarm counts as seen, so the next one takes twice as much.
    stuck = known(600.0)
    while not stuck.is_stuck:
        stuck = changed(stuck, 19.0)
    assert changed(stuck, 19.1).ordinary_s == pytest.approx(1200.0)


def test_a_room_that_takes_all_its_heat_in_a_storm_and_shows_falls_has_no_stuck_sensor() -> None:
    """Hours of full heating brought no rise while the sensor moved: as long again without a change shows nothing."""
    storm = known(600.0)
    for celsius in [*[19.0] * 10, *[18.9] * 10] * 8:
        storm = changed(storm, celsius)
    storm = changed(storm, 18.8)
    assert heated_min(storm) == pytest.approx(storm.taken_s / 30, abs=1)
    assert storm.taken_s / 30 > 60
    # A rise ends that, and so does heating that rests: what the room took then says nothing of now.
    assert heated_min(changed(storm, 19.1)) == 2 * 600 / 30
    rested = storm
    for _ in range(160):
        rested = detect_stuck_sensor(
            rested,
            rested.values_c,
            is_heated=False,
            usual_duty=0.5,
            dt_s=60.0,
            excess_s_max=LIMIT_S,
            response_s=RESPONSE_S,
        )
    assert heated_min(changed(rested, 18.9)) == 2 * 600 / 30


def ignored_min(state: StuckSensorState, minutes: int, response_s: float = RESPONSE_S) -> StuckSensorState:
    """Return the state after some minutes in which the zone got its usual duty and nothing moved."""
    for minute in range(minutes):
        state = detect_stuck_sensor(
            state,
            state.values_c,
            is_heated=minute % 2 == 0,
            usual_duty=0.5,
            dt_s=60.0,
            excess_s_max=LIMIT_S,
            response_s=response_s,
        )
    return state


@pytest.mark.parametrize("response_s", [RESPONSE_S, 4 * RESPONSE_S])
def test_a_sensor_is_ignored_at_once_and_reported_when_the_usual_duty_has_not_moved_it_either(
    response_s: float,
) -> None:
    """A room at its limit stays at one value with all its heat; with its usual duty it cools and shows that."""
    stuck = msgspec.structs.replace(known(600.0), is_stuck=True)
    trial_min = round(TRIAL_RESPONSES * response_s / 60.0)
    waiting = ignored_min(stuck, trial_min - 1, response_s)
    assert (waiting.is_stuck, waiting.is_reported) == (True, False)
    for is_restarted in (False, True):
        before = restore_stuck_sensor(waiting) if is_restarted else waiting
        assert ignored_min(before, 1, response_s).is_reported
    reported = restore_stuck_sensor(ignored_min(stuck, trial_min, response_s))
    assert reported.is_reported
    moved = changed(reported, 18.9)
    assert (moved.is_stuck, moved.is_reported, moved.ignored_s) == (False, False, 0.0)


def test_only_what_is_ignored_was_reported() -> None:
    damaged = restore_stuck_sensor(StuckSensorState((19.0,), is_reported=True, ignored_s=-5.0))
    assert (damaged.is_reported, damaged.ignored_s) == (False, 0.0)


@pytest.mark.parametrize("is_reported", [False, True])
def test_people_hear_of_a_sensor_that_is_reported(*, is_reported: bool) -> None:
    stuck = StuckSensorState((20.4,), is_stuck=True, is_reported=is_reported)
    assert bool(ZoneState(assume_stopped(0), stuck_sensor=stuck).problem) is is_reported


def test_what_is_known_of_two_sensors_does_not_count_for_one() -> None:
    two = msgspec.structs.replace(known(60.0), values_c=(19.0, 19.4))
    assert (changed(two, 19.0, 19.5).watched_s, changed(two, 19.0).watched_s) == (WATCHED_S, 0.0)


@pytest.mark.parametrize(("outside_c", "frozen_c"), [(5.0, 19.6), (5.0, 18.9), (10.0, 19.0), (0.0, 4.0)])
def test_stuck_sensor_does_not_overheat_its_room(outside_c: float, frozen_c: float) -> None:
    """It was heated at 76 to 100 % for a day, to 28 and 30 °C; frost protection went on for ever."""
    home = SingleZoneHome(House(20.0, 1950.0, outside_c=outside_c))
    home.run(24.0)
    home.problems.clear()
    home.run(24.0, frozen_c)
    assert home.warmest_c < 25.0
    assert home.house.air_c == pytest.approx(19.5, abs=2.0)
    assert any("may be stuck" in problem for problem in home.problems)
    assert not any("check boiler" in problem for problem in home.problems)
    # It counts again as soon as its value changes.
    home.run(24.0)
    assert home.house.air_c == pytest.approx(20.0, abs=0.5)
    assert home.control.state.zones[0].problem == ""


@pytest.mark.parametrize("resolution_k", [0.1, 0.5])
@pytest.mark.parametrize("emitter", [Emitter.FLOOR, Emitter.RADIATOR])
def test_a_coarse_sensor_in_a_slow_house_does_not_count_as_stuck(emitter: Emitter, resolution_k: float) -> None:
    slab = 8e6 if emitter is Emitter.FLOOR else 6e4
    home = SingleZoneHome(House(10.0, 2600.0, slab_j_per_k=slab, outside_c=-5.0), emitter, resolution_k)
    home.run(36.0)
    assert home.stuck_steps == 0


def test_a_false_alarm_in_a_house_with_too_little_heat_is_short_and_costs_little() -> None:
    """On the coldest days full heat just keeps it from cooling, and a coarse sensor does not move."""
    with_alarm, plain = (
        SingleZoneHome(House(18.0, 1700.0, outside_c=-14.0), resolution_k=resolution) for resolution in (0.5, 0.001)
    )
    for home in (with_alarm, plain):
        home.run(96.0)
    assert 0 < with_alarm.stuck_steps < 0.4 * 96 * 60
    assert plain.stuck_steps == 0
    assert with_alarm.coldest_c > plain.coldest_c - 1.0


def test_a_stuck_sensor_stays_stuck_over_restarts() -> None:
    home = SingleZoneHome(House(20.0, 1950.0, outside_c=5.0))
    home.run(24.0)
    for _ in range(24):
        home.run(1.0, 18.9)
        home.restart()
    assert home.warmest_c < 25.0
    assert home.control.state.zones[0].stuck_sensor.is_stuck


@pytest.mark.parametrize("has_fallen", [True, False])
def test_a_room_that_has_cooled_while_heated_blames_the_equipment_and_one_that_never_moved_its_sensor(
    *, has_fallen: bool
) -> None:
    """Found on the simulated houses: a boiler that failed near the setpoint looked like a stuck sensor for hours."""
    monitor = HeatingMonitor(is_failing=True, effect=HeatingEffect(is_failing=has_fallen))
    state = ZoneState(assume_stopped(0), heating_monitor=monitor, stuck_sensor=StuckSensorState((20.4,)))
    assert (state.problem == monitor.problem) is has_fallen
    assert ("may be stuck at 20.4" in state.problem) is not has_fallen
