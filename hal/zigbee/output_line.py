"""One output of a paired device: what the hub does with it next, and whether it follows. Pure.

Safe by silence: an output is on only while the control demands it, again and again. A plug with a timer is switched on
for `LEASE_S` and renewed; it goes off by itself when the hub, its radio or its control is gone. The newest demand
counts: one that the radio had no time for is dropped.
"""

from enum import Enum, auto

import msgspec

from hal import output_rest
from hal.line_names import LineName

LEASE_S = 60.0
"""A plug with a timer goes off this long after the last command. Three renewals may be lost."""

RENEW_S = 15.0

DEMAND_S_MAX = 60.0
"""A control that has demanded nothing for this long hangs (`agent.climate.service.HUNG_S`): its outputs go off."""

RETRY_DELAYS_S = (2.0, 5.0, 15.0, 30.0, 60.0)
"""Between attempts with a device that does not answer or does not follow. A new demand is tried at once."""

TIMER_CHECK_DELAYS_S = (15.0, 60.0, 600.0, 3600.0, 86_400.0)
"""A plug whose timer was not seen to run is asked for it again after these times, then each day: an answer may have
been late or incomplete. Not more often: a timer that runs unseen switches the plug off for a moment at each check."""

TRAVEL_S = 900.0
"""A valve has moved by then: its motor needs a minute, and its firmware acts on a setpoint within some minutes."""


class LineTiming(msgspec.Struct, frozen=True):
    """How patient the hub is with an output.

    Attributes:
        follow_s: A device that does not do by then what is demanded is faulty.
        read_s: It is read back this often where it reports nothing by itself.
        silence_s: One that was not heard for this long is faulty, whatever it did last.
        renew_s: It is switched on again this often, for its timer; `None` without one.
        rest_s: What it switches rests at least this long: the minimum off time, counted from when it was seen off.
    """

    follow_s: float
    read_s: float
    silence_s: float
    renew_s: float | None = None
    rest_s: float = 0.0


SWITCH = LineTiming(20.0, 60.0, 90.0, RENEW_S)
"""It answers each minute at least, and its timer has ended by then."""
VALVE = LineTiming(180.0, 1800.0, 5400.0)
"""A valve sleeps, and each read costs its battery; it reports its setpoint each hour as well."""

DOUBT_READ_S = 300.0
"""A valve that has not moved yet is read this often."""


def timing_of(line: LineName, rest_s: float = 0.0) -> LineTiming:
    """Return the patience with a line whose equipment rests for ``rest_s``; a valve needs no rest."""
    return VALVE if line.chip == "valve" else msgspec.structs.replace(SWITCH, rest_s=rest_s)


class LineState(msgspec.Struct, frozen=True):
    """An output, as far as the hub knows it. Times are on this boot's monotonic clock.

    Attributes:
        wanted: What the control demands; `None` before its first demand.
        wanted_ms: Since when.
        counted_ms: Since when the control counts it so: for its first demand, since the hub has known of the line.
        is_on: What the device said last; `None` while it has said nothing.
        told_ms: When that was.
        wrong_ms: Since when it does not do what is demanded, as far as it told; `None` while it does.
        off_ms: When it went off at the latest; `None` while it is on, or has said nothing.
        late_s: By how much that came after the demand. Infinite where the control did not demand it.
        commanded_ms: When a command was last accepted.
        tried_ms: When it was last tried.
        failures: Attempts since the device last did what was demanded.
        goes_off_alone: It has a timer that switches it off; `None` before that was tried.
        has_no_timer: It said so itself, or must not be asked: it is not checked again.
        timer_failures: Checks since its timer was last seen to run.
        timer_tried_ms: When the last of them was.
        percent: How far a valve is open; `None` where it does not tell.
        expects_open: Whether it has to be open by its setpoint and its own temperature; `None` if that is not clear.
        stuck_ms: Since when `percent` contradicts that; `None` while it does not.
        problem: What went wrong at the last attempt, for people; empty if nothing did.
    """

    wanted: bool | None = None
    wanted_ms: int = 0
    counted_ms: int = 0
    is_on: bool | None = None
    told_ms: int | None = None
    wrong_ms: int | None = None
    off_ms: int | None = None
    late_s: float = 0.0
    commanded_ms: int | None = None
    tried_ms: int | None = None
    failures: int = 0
    goes_off_alone: bool | None = None
    has_no_timer: bool = False
    timer_failures: int = 0
    timer_tried_ms: int = 0
    percent: int | None = None
    expects_open: bool | None = None
    stuck_ms: int | None = None
    problem: str = ""


class LineAnswer(msgspec.Struct, frozen=True):
    """What a device has answered or reported; `None` for what it did not tell.

    Attributes:
        is_on: Whether it is on, or open.
        is_commanded: A command was accepted.
        goes_off_alone: Its timer is running; `None` if that was not asked.
        has_no_timer: It said that it has none, or is of a kind whose timer must not be used.
        percent: How far it is open.
        expects_open: As in `LineState`; told together with `is_on`.
        problem: Why it did not answer, for people; empty if it did.
    """

    is_on: bool | None = None
    is_commanded: bool = False
    goes_off_alone: bool | None = None
    has_no_timer: bool = False
    percent: int | None = None
    expects_open: bool | None = None
    problem: str = ""


class LineStep(Enum):
    """What is done with an output next."""

    WAIT = auto()
    COMMAND = auto()
    READ = auto()


def with_demand(state: LineState, wanted: bool | None, now_ms: int) -> LineState:
    """Return the state under a demand; a new one is tried at once."""
    if wanted is state.wanted:
        return state
    return msgspec.structs.replace(
        state,
        wanted=wanted,
        wanted_ms=now_ms,
        counted_ms=state.counted_ms if state.wanted is None else now_ms,
        failures=0,
        wrong_ms=None,
        stuck_ms=None,
        problem="",
    )


def _with_end(state: LineState, is_on: bool | None, now_ms: int) -> LineState:
    """Return the state with the time at which the output went off, when it is first seen off."""
    if is_on is not False:
        return msgspec.structs.replace(state, off_ms=None)
    if state.off_ms is not None:
        return state
    off_ms = now_ms
    if state.goes_off_alone and state.commanded_ms is not None:
        # The last attempt may have reached it without an answer; those after the end of its timer only read it.
        tried_ms, end_ms = state.tried_ms or 0, _timer_end_ms(state.commanded_ms)
        if (state.told_ms or 0) <= end_ms:
            tried_ms = min(tried_ms, end_ms)
        off_ms = min(now_ms, _timer_end_ms(max(state.commanded_ms, tried_ms)))
    late_s = max(0, off_ms - state.counted_ms) / 1000
    if state.wanted:
        # What is first seen off under a demand for on may have been off for long.
        late_s = float("inf") if state.is_on else 0.0
    return msgspec.structs.replace(state, off_ms=off_ms, late_s=late_s)


def rest_left_s(state: LineState, rest_s: float, now_ms: int) -> float:
    """Return for how long an output that is to go on must stay off; 0 where it need not.

    See `hal.output_rest`.
    """
    if state.off_ms is None or not state.wanted:
        return 0.0
    return output_rest.rest_left_s(state.off_ms, state.late_s, state.wanted_ms, rest_s, now_ms)


def current_demand(wanted: bool | None, demanded_ms: int, now_ms: int) -> bool | None:
    """Return a demand as it counts now: off where the control has been silent for too long."""
    return False if wanted and now_ms - demanded_ms > DEMAND_S_MAX * 1000 else wanted


def with_answer(state: LineState, answer: LineAnswer, now_ms: int, *, is_report: bool = False) -> LineState:
    """Return the state after an answer or a report."""
    is_on = state.is_on if answer.is_on is None else answer.is_on
    percent = state.percent if answer.percent is None else answer.percent
    expects_open = state.expects_open if answer.is_on is None else answer.expects_open
    is_right = is_on is not None and is_on is state.wanted
    is_told = answer.is_on is not None or answer.percent is not None
    is_stuck = percent is not None and expects_open is not None and (percent > 0) is not expects_open
    is_done = is_right and not answer.problem
    is_counted = not is_report and (answer.is_commanded or bool(answer.problem))
    # One that answers again is not left waiting for having been out of reach.
    is_back = not is_report and not is_counted and bool(state.problem)
    alone = answer.goes_off_alone
    return msgspec.structs.replace(
        _with_end(state, is_on, now_ms),
        is_on=is_on,
        told_ms=now_ms if is_told else state.told_ms,
        wrong_ms=None if is_right else (now_ms if state.wrong_ms is None else state.wrong_ms),
        commanded_ms=now_ms if answer.is_commanded else state.commanded_ms,
        tried_ms=state.tried_ms if is_report else now_ms,
        failures=0 if is_done or is_back else state.failures + is_counted,
        goes_off_alone=state.goes_off_alone if alone is None else alone,
        has_no_timer=state.has_no_timer if alone is None else answer.has_no_timer,
        timer_failures=state.timer_failures if alone is None else 0 if alone else state.timer_failures + 1,
        timer_tried_ms=now_ms if alone is False else state.timer_tried_ms,
        percent=percent,
        expects_open=expects_open,
        stuck_ms=(now_ms if state.stuck_ms is None else state.stuck_ms) if is_stuck else None,
        problem=state.problem if is_report and not is_done else answer.problem,
    )


def timer_wait_s(state: LineState, now_ms: int) -> float:
    """Return after how many seconds an output may be switched on by its timer; infinity for one that has none."""
    if state.has_no_timer:
        return float("inf")
    if state.goes_off_alone is not False:
        return 0.0
    delay_s = TIMER_CHECK_DELAYS_S[min(state.timer_failures, len(TIMER_CHECK_DELAYS_S)) - 1]
    return max(0.0, delay_s - _age_s(state.timer_tried_ms, now_ms))


def next_step(state: LineState, timing: LineTiming, now_ms: int) -> tuple[LineStep, float]:
    """Return what is done next, and for waiting, after how many seconds to ask again; a change asks at once."""
    if state.wanted is None:
        return LineStep.WAIT, DEMAND_S_MAX
    if state.failures and state.tried_ms is not None:
        delay_s = RETRY_DELAYS_S[min(state.failures, len(RETRY_DELAYS_S)) - 1]
        left_s = delay_s - (now_ms - state.tried_ms) / 1000
        if left_s > 0:
            return LineStep.WAIT, left_s
    if state.wanted and _may_have_ended(state, now_ms):
        return LineStep.READ, 0.0
    rest_s = rest_left_s(state, timing.rest_s, now_ms)
    if not rest_s and (state.is_on is not state.wanted or state.commanded_ms is None):
        return LineStep.COMMAND, 0.0
    read_s = timing.read_s if state.stuck_ms is None else min(timing.read_s, DOUBT_READ_S)
    left_s = read_s - _age_s(state.told_ms, now_ms)
    if rest_s:
        left_s = min(left_s, rest_s)
    elif state.wanted and timing.renew_s is not None:
        renew_s = max(timing.renew_s - _age_s(state.commanded_ms, now_ms), timer_wait_s(state, now_ms))
        if renew_s <= 0:
            return LineStep.COMMAND, 0.0
        left_s = min(left_s, renew_s)
    return (LineStep.WAIT, left_s) if left_s > 0 else (LineStep.READ, 0.0)


def _may_have_ended(state: LineState, now_ms: int) -> bool:
    """Return whether the timer of an output that was on may have ended since it was last heard of."""
    if not state.is_on or not state.goes_off_alone or state.commanded_ms is None:
        return False
    end_ms = _timer_end_ms(state.commanded_ms)
    return now_ms > end_ms and (state.told_ms or 0) <= end_ms


def _timer_end_ms(commanded_ms: int) -> int:
    return commanded_ms + round(LEASE_S * 1000)


def fault(state: LineState, line: str, timing: LineTiming, now_ms: int) -> str:
    """Return why an output counts as failed, remedy first; empty while it does not."""
    if state.wanted is None:
        return ""
    goal = "on" if state.wanted else "off"
    if state.is_on is state.wanted:
        if _age_s(state.told_ms, now_ms) > timing.silence_s:
            return state.problem or f"check the supply of {line}: it does not answer"
        if state.stuck_ms is not None and now_ms - state.stuck_ms > TRAVEL_S * 1000:
            return f"check {line} (window detection, mounting, stuck pin): it stays {state.percent} % open"
        return ""
    since_ms = state.wanted_ms if state.wrong_ms is None else state.wrong_ms
    problem = state.problem or f"check {line}: it accepts commands and does not go {goal}"
    if not state.problem and rest_left_s(state, timing.rest_s, now_ms):
        problem = f"wait for the minimum off time of {line}: it was switched at the device, or went off late"
    return problem if now_ms - since_ms > timing.follow_s * 1000 else ""


def _age_s(at_ms: int | None, now_ms: int) -> float:
    return float("inf") if at_ms is None else (now_ms - at_ms) / 1000
