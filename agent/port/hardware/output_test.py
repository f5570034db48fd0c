"""One output tested by a person who watches: the state machine, from the request to the hand-over. Pure.

The person's client renews a lease every few seconds; without it the test ends. What the outputs may do is decided below
(`agent.climate.output_test`): this file only says what the person wants, and for how long. Must never want an output
longer than its lease and its duration.
"""

from enum import StrEnum

import msgspec

from agent.climate.output_test import OutputTest
from agent.local.hardware import RENEW_S
from hal.interface import HvacAction

LEASE_S = 4 * RENEW_S
"""A test ends this long after its client was last heard; two lost renewals do not end it."""
DURATION_S = 60.0
DURATION_S_MIN = 5.0
DURATION_S_MAX = 600.0

WAIT_S_MAX = 900.0
"""How long a test waits for a minimum off time or for the rest between heating and cooling."""

END_S_MAX = 900.0
"""After this the control law gets an output back although it is still on: it may be frost protection."""

OVERRIDE_WORD = "short-cycle"
"""What a person states to test an output without its minimum times."""


class TestPhase(StrEnum):
    """Where a test stands."""

    __test__ = False

    WAITING = "waiting"
    ON = "on"
    ENDING = "ending"
    DONE = "done"


class Outcome(StrEnum):
    """How a test ended."""

    RUNNING = "running"
    PASSED = "passed"
    """The output was on for the whole time, as far as the board can read it back."""
    STOPPED = "stopped"
    SESSION_LOST = "session_lost"
    NOT_STARTED = "not_started"
    CUT_SHORT = "cut_short"
    FAILED = "failed"
    """The board reports that the output does not follow."""


class Observation(msgspec.Struct, frozen=True):
    """What the control law does with the output.

    Attributes:
        is_on: It does what the test wants.
        reason: Why it does what it does, for people.
        problem: Of the outputs; empty without one.
    """

    is_on: bool
    reason: str = ""
    problem: str = ""


class RelayTest(msgspec.Struct, frozen=True):
    """A test.

    Attributes:
        test_id: Names it in renewals.
        output: The zone whose output is tested.
        action: What it is to do.
        duration_s: For how long.
        is_overridden: Without the minimum times of the output's own relay.
        lease_ms: Boot time at which it ends unless it is renewed.
        phase: Where it stands.
        phase_ms: Since when.
        outcome: How it ended or ends.
        text: The reason, for people.
        on_s: For how long it has been on, with what a minimum on time added.
        on_since_ms: Boot time at which it was seen on first; `None` before.
    """

    test_id: str
    output: str
    action: HvacAction
    duration_s: float
    is_overridden: bool
    lease_ms: int
    phase: TestPhase
    phase_ms: int
    outcome: Outcome = Outcome.RUNNING
    text: str = ""
    on_s: float = 0.0
    on_since_ms: int | None = None


def begin(
    test_id: str,
    output: str,
    action: HvacAction,
    now_ms: int,
    *,
    duration_s: float = DURATION_S,
    is_overridden: bool = False,
) -> RelayTest:
    """Return a new test. The duration is kept within its bounds."""
    duration_s = min(DURATION_S_MAX, max(DURATION_S_MIN, duration_s))
    return RelayTest(
        test_id, output, action, duration_s, is_overridden, lease_end_ms(now_ms), TestPhase.WAITING, now_ms
    )


def lease_end_ms(now_ms: int) -> int:
    """Return when a lease that is renewed now ends."""
    return now_ms + round(LEASE_S * 1000)


def renew(test: RelayTest, now_ms: int) -> RelayTest:
    """Return the test with its lease renewed. A test that ends goes on ending."""
    return msgspec.structs.replace(test, lease_ms=lease_end_ms(now_ms))


def stop(test: RelayTest, now_ms: int) -> RelayTest:
    """Return the test after a person has stopped it."""
    return _end(test, now_ms, Outcome.STOPPED, "stopped by hand")


def advance(test: RelayTest, seen: Observation, now_ms: int) -> RelayTest:
    """Return the test as it stands now.

    Args:
        test: From the last step.
        seen: What the control law has made of the demand since then.
        now_ms: Boot time.
    """
    in_phase_s = (now_ms - test.phase_ms) / 1000.0
    if test.phase is TestPhase.DONE:
        return test
    if test.phase is TestPhase.ENDING:
        if seen.is_on:
            test = _count(test, now_ms)
        is_over = not seen.is_on or in_phase_s >= END_S_MAX
        return _enter(test, TestPhase.DONE, now_ms) if is_over else test
    test = _count(test, now_ms)
    if end := _reason_to_end(test, seen, now_ms, in_phase_s):
        return _end(test, now_ms, *end)
    if test.phase is TestPhase.ON:
        return test
    if seen.is_on:
        return _enter(msgspec.structs.replace(test, text="", on_since_ms=now_ms), TestPhase.ON, now_ms)
    return msgspec.structs.replace(test, text=seen.reason)


def _count(test: RelayTest, now_ms: int) -> RelayTest:
    """Return the test with the time that its output has been on until now."""
    if test.on_since_ms is None:
        return test
    return msgspec.structs.replace(test, on_s=(now_ms - test.on_since_ms) / 1000.0)


def _reason_to_end(test: RelayTest, seen: Observation, now_ms: int, in_phase_s: float) -> tuple[Outcome, str] | None:
    """Return why a test that waits or is on must end now; `None` where it goes on."""
    if now_ms >= test.lease_ms:
        return Outcome.SESSION_LOST, f"nobody has renewed it for {LEASE_S:.0f} s"
    if seen.problem:
        return Outcome.FAILED, seen.problem
    if test.phase is TestPhase.WAITING:
        is_late = not seen.is_on and in_phase_s >= WAIT_S_MAX
        return (Outcome.NOT_STARTED, seen.reason) if is_late else None
    if not seen.is_on:
        return Outcome.CUT_SHORT, seen.reason
    return (Outcome.PASSED, "") if in_phase_s >= test.duration_s else None


def demand(test: RelayTest, now_ms: int) -> OutputTest | None:
    """Return what the test demands of the outputs now; `None` once it is done."""
    if test.phase is TestPhase.DONE:
        return None
    is_ending = test.phase is TestPhase.ENDING
    return OutputTest(
        {test.output: HvacAction.OFF if is_ending else test.action},
        lease_end_ms(now_ms) if is_ending else test.lease_ms,
        is_limit_overridden=test.is_overridden,
    )


def _enter(test: RelayTest, phase: TestPhase, now_ms: int) -> RelayTest:
    return msgspec.structs.replace(test, phase=phase, phase_ms=now_ms)


def _end(test: RelayTest, now_ms: int, outcome: Outcome, text: str) -> RelayTest:
    if test.phase in {TestPhase.ENDING, TestPhase.DONE}:
        return test
    return _enter(msgspec.structs.replace(test, outcome=outcome, text=text), TestPhase.ENDING, now_ms)
