"""One output of a paired device: what is done next, when it counts as failed, and what a silent control leaves."""

import msgspec
import pytest

from hal.line_names import parse_line_name
from hal.zigbee import output_line, valve_models
from hal.zigbee.output_line import (
    SWITCH,
    VALVE,
    LineAnswer,
    LineState,
    LineStep,
    current_demand,
    fault,
    next_step,
    timer_wait_s,
    timing_of,
    with_answer,
    with_demand,
)

PLUG = "zigbee-00124b0012345678/switch/1"


def after(state: LineState, s: float, **told: object) -> LineState:
    return with_answer(state, LineAnswer(**told), round(s * 1000))  # type: ignore[arg-type]


def step(state: LineState, s: float) -> LineStep:
    return next_step(state, SWITCH, round(s * 1000))[0]


def wait_s(state: LineState, s: float) -> float:
    found, left_s = next_step(state, SWITCH, round(s * 1000))
    assert found is LineStep.WAIT
    return left_s


def demanded(wanted: bool, s: float = 0.0, state: LineState | None = None) -> LineState:
    return with_demand(state or LineState(), wanted, round(s * 1000))


ON = after(demanded(True), 1.0, is_on=True, is_commanded=True, goes_off_alone=True)
OFF = after(demanded(False), 1.0, is_on=False, is_commanded=True)


def test_line_is_left_alone_before_the_first_demand_and_switched_once_after_it() -> None:
    assert next_step(LineState(is_on=True), SWITCH, 0)[0] is LineStep.WAIT
    assert fault(LineState(is_on=True), PLUG, SWITCH, 10**9) == ""
    # What a device reports does not replace the first command: the plug may be on by its own timer only.
    reported = with_answer(demanded(True), LineAnswer(is_on=True), 0, is_report=True)
    assert step(reported, 0.0) is LineStep.COMMAND
    assert step(demanded(False), 0.0) is LineStep.COMMAND


def test_plug_that_is_on_is_renewed_well_before_its_timer_ends() -> None:
    assert wait_s(ON, 1.0) == output_line.RENEW_S
    assert step(ON, 31.0) is LineStep.COMMAND
    assert 3 * output_line.RENEW_S < output_line.LEASE_S
    # Without a timer it is read back.
    plain = after(ON, 2.0, is_on=True, is_commanded=True, goes_off_alone=False, has_no_timer=True)
    assert (step(plain, 40.0), step(plain, 62.0)) == (LineStep.WAIT, LineStep.READ)
    assert (wait_s(OFF, 1.0), step(OFF, 61.0)) == (60.0, LineStep.READ)


def test_plug_whose_timer_was_not_seen_is_checked_again_ever_more_rarely() -> None:
    state, at_s = ON, 1.0
    for delay_s in (*output_line.TIMER_CHECK_DELAYS_S, output_line.TIMER_CHECK_DELAYS_S[-1]):
        state = after(state, at_s, is_on=True, is_commanded=True, goes_off_alone=False)
        # Reads in between, and commands without a check, change nothing.
        state = after(state, at_s + delay_s - 1.0, is_on=True, is_commanded=True)
        assert timer_wait_s(state, round((at_s + delay_s) * 1000) - 1) > 0
        assert wait_s(state, at_s + delay_s - 1.0) > 0
        at_s += delay_s + output_line.RENEW_S
        assert (timer_wait_s(state, round(at_s * 1000)), step(state, at_s)) == (0.0, LineStep.COMMAND)
    found = after(state, at_s, is_on=True, is_commanded=True, goes_off_alone=True)
    assert (found.goes_off_alone, found.timer_failures, step(found, at_s + 15.0)) == (True, 0, LineStep.COMMAND)
    # Only what the device says itself is final.
    final = after(state, at_s, is_on=True, is_commanded=True, goes_off_alone=False, has_no_timer=True)
    assert timer_wait_s(final, 10**12) == float("inf")


def test_failed_attempt_is_repeated_with_growing_pauses_and_a_new_demand_at_once() -> None:
    state = demanded(True)
    for at_s, pause_s in ((0.0, 2.0), (2.0, 5.0), (7.0, 15.0), (22.0, 30.0), (52.0, 60.0), (112.0, 60.0)):
        state = after(state, at_s, problem="gone")
        assert wait_s(state, at_s) == pause_s
    assert step(demanded(False, 113.0, state), 113.0) is LineStep.COMMAND
    # So is a device that accepts the command and does nothing.
    assert wait_s(after(demanded(True), 0.0, is_on=False, is_commanded=True), 0.0) == 2.0


def test_device_that_somebody_switched_is_switched_back_at_once() -> None:
    pressed = with_answer(OFF, LineAnswer(is_on=True), 30_000, is_report=True)
    assert (step(pressed, 30.0), fault(pressed, PLUG, SWITCH, 31_000)) == (LineStep.COMMAND, "")
    assert step(after(pressed, 30.1, is_on=False, is_commanded=True), 30.1) is LineStep.WAIT


RESTED = msgspec.structs.replace(SWITCH, rest_s=180.0)


def on_after_s(state: LineState, s: float) -> float:
    """Return after how many seconds a line that is demanded on is commanded, if it is read back as off meanwhile."""
    at_s = s
    while True:
        found, left_s = next_step(state, RESTED, round(at_s * 1000))
        if found is LineStep.COMMAND:
            return round(at_s - s, 3)
        if found is LineStep.READ:
            state = after(state, at_s, is_on=False)
        at_s += left_s


def test_line_that_is_first_seen_off_late_rests_from_then() -> None:
    # The hub starts at 0 and demands off at 0.5; the radio is up, and the plug goes off, at 12.
    late = after(demanded(False, 0.5), 12.0, is_on=False, is_commanded=True)
    assert on_after_s(demanded(True, 180.0, late), 180.0) == 12.0
    assert on_after_s(demanded(True, 185.0, late), 185.0) == 7.0
    assert on_after_s(demanded(True, 192.0, late), 192.0) == 0.0
    # A control that knows of an earlier rest, and a test without minimum times, wait for those 12 s only.
    assert on_after_s(demanded(True, 20.0, late), 20.0) == 12.0
    # In the run, off comes at once; nothing is added.
    prompt = after(demanded(False, 10.0, ON), 10.1, is_on=False, is_commanded=True)
    assert on_after_s(demanded(True, 20.0, prompt), 20.0) == 0.1
    # A line that is first seen off under the demand for on may have been off for days.
    assert on_after_s(after(demanded(True), 1.0, is_on=False), 1.0) == 0.0


def test_line_that_went_off_without_a_demand_rests_in_full() -> None:
    # Switched on at the device while it is to be off, and switched back.
    pressed = with_answer(OFF, LineAnswer(is_on=True), 3_600_000, is_report=True)
    back = after(pressed, 3601.0, is_on=False, is_commanded=True)
    resting = demanded(True, 3610.0, back)
    assert on_after_s(resting, 3610.0) == 171.0
    assert fault(resting, PLUG, RESTED, 3_630_000) == ""
    assert fault(resting, PLUG, RESTED, 3_630_001).startswith(f"wait for the minimum off time of {PLUG}: ")
    # Switched off at the device while it is to be on.
    ended = with_answer(ON, LineAnswer(is_on=False), 10_000, is_report=True)
    assert on_after_s(ended, 10.0) == 180.0
    assert on_after_s(with_answer(ended, LineAnswer(is_on=True), 20_000, is_report=True), 20.0) == 0.0


def test_plug_whose_renewals_were_lost_is_read_first_and_rests_from_the_end_of_its_timer() -> None:
    lost = after(ON, 20.0, problem="no answer")
    # Its timer has ended at 80 s at the latest: the attempt at 20 s may have reached it.
    assert next_step(lost, RESTED, 61_000)[0] is LineStep.COMMAND
    assert next_step(lost, RESTED, 300_000)[0] is LineStep.READ
    assert on_after_s(after(lost, 100.0, is_on=False), 100.0) == 160.0
    # It has rested, and answers again.
    assert on_after_s(after(lost, 300.0, is_on=False), 300.0) == 0.0
    # One that is still on, for whatever reason, is renewed.
    assert on_after_s(after(lost, 100.0, is_on=True), 100.0) == 0.0


def test_plug_that_was_out_of_reach_for_long_has_rested_meanwhile() -> None:
    state, at_s = ON, 1.0
    while at_s < 3600.0:
        found, left_s = next_step(state, RESTED, round(at_s * 1000))
        if found is not LineStep.WAIT:
            state = after(state, at_s, problem="no answer")
        at_s += left_s
    assert at_s - (state.tried_ms or 0) / 1000 <= output_line.RETRY_DELAYS_S[-1]
    # Reading it in vain renews no timer: at 61 s the last command was sent, so it was off at 121 s at the latest.
    assert on_after_s(after(state, at_s, is_on=False), at_s) == 0.0


def test_fault_begins_when_the_device_had_time_to_follow() -> None:
    ignored = after(demanded(True), 1.0, is_on=False, is_commanded=True)
    assert fault(ignored, PLUG, SWITCH, 21_000) == ""
    assert fault(ignored, PLUG, SWITCH, 21_001) == f"check {PLUG}: it accepts commands and does not go on"
    gone = after(demanded(False), 1.0, problem="check the supply of it")
    assert fault(gone, PLUG, SWITCH, 21_001) == "check the supply of it"
    assert fault(gone, PLUG, VALVE, 21_001) == ""
    assert fault(demanded(False), PLUG, SWITCH, 20_001) == f"check {PLUG}: it accepts commands and does not go off"


def test_device_that_is_not_heard_any_more_fails_even_where_it_was_right() -> None:
    lost = after(ON, 31.0, problem="no answer")
    assert step(lost, 32.0) is LineStep.WAIT
    assert fault(lost, PLUG, SWITCH, 91_000) == ""
    assert fault(lost, PLUG, SWITCH, 91_001) == "no answer"
    assert fault(ON, PLUG, SWITCH, 91_001) == f"check the supply of {PLUG}: it does not answer"


def test_valve_that_does_not_move_fails_after_its_travel_time() -> None:
    told = {"is_on": True, "is_commanded": True, "percent": 0, "expects_open": True}
    stuck = after(demanded(True), 1.0, **told)
    assert next_step(stuck, VALVE, 302_000)[0] is LineStep.READ
    assert fault(stuck, "v", VALVE, 901_000) == ""
    assert fault(stuck, "v", VALVE, 901_001).startswith("check v (window detection, mounting, stuck pin): it stays 0 %")
    moved = with_answer(stuck, LineAnswer(percent=60), 902_000, is_report=True)
    assert fault(moved, "v", VALVE, 2_000_000) == ""
    # Near its setpoint a valve may do either; a new demand gives it its time again.
    assert after(stuck, 2.0, is_on=True, percent=0).stuck_ms is None
    assert demanded(False, 2.0, stuck).stuck_ms is None


def test_silent_control_switches_off() -> None:
    assert current_demand(True, 0, 60_000) is True
    assert current_demand(True, 0, 60_001) is False
    assert current_demand(None, 0, 10**9) is None


def test_valves_are_given_more_time() -> None:
    assert timing_of(parse_line_name(PLUG), 180.0) == msgspec.structs.replace(SWITCH, rest_s=180.0)
    # Its motor needs no rest; its room waits.
    assert timing_of(parse_line_name("zigbee-00124b0012345678/valve/1"), 180.0) is VALVE


@pytest.mark.parametrize(
    ("manufacturer", "may"),
    [("_TZ3000_cehuw1lw", False), ("_TYZB01_abc", False), (" _tz3210_x", False), ("innr", True), ("", True)],
)
def test_plug_whose_timer_toggles_never_gets_one(manufacturer: str, may: bool) -> None:
    assert valve_models.may_have_timer(manufacturer) is may


def test_valves_that_take_a_temperature_are_in_the_table() -> None:
    place = valve_models.external_temperature("SONOFF", "TRVZB")
    assert place is not None
    assert (place.cluster, place.attribute, place.manufacturer, place.switch) == (0xFC11, 0x600D, None, 0x600E)
    assert valve_models.external_temperature("Danfoss", "eTRV0103") is not None
    assert valve_models.external_temperature("climahub", "trv") is None
