"""A test of an output ends by itself, at its duration, at the loss of its session, and by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.port.hardware import output_test
from agent.port.hardware.output_test import (
    DURATION_S_MAX,
    DURATION_S_MIN,
    END_S_MAX,
    LEASE_S,
    WAIT_S_MAX,
    Observation,
    Outcome,
    RelayTest,
    TestPhase,
)
from hal.interface import HvacAction

HEAT, OFF = HvacAction.HEAT, HvacAction.OFF
ON, RESTING = Observation(is_on=True), Observation(is_on=False, reason="minimum off time, 90 s to go")


def run(test: RelayTest, seen: Observation, now_ms: int, *, for_s: float, is_renewed: bool = True) -> RelayTest:
    """Advance second by second."""
    for _ in range(round(for_s)):
        now_ms += 1000
        if is_renewed:
            test = output_test.renew(test, now_ms)
        test = output_test.advance(test, seen, now_ms)
    return test


def new(duration_s: float = output_test.DURATION_S) -> RelayTest:
    return output_test.begin("t1", "hall", HEAT, 0, duration_s=duration_s)


def test_output_is_on_for_its_time_and_then_off() -> None:
    test = run(new(duration_s=30.0), ON, 0, for_s=30)
    assert (test.phase, test.outcome) == (TestPhase.ON, Outcome.RUNNING)
    made = output_test.demand(test, 30_000)
    assert made is not None
    assert made.actions == {"hall": HEAT}
    test = run(test, ON, 30_000, for_s=1)
    assert (test.phase, test.outcome, test.on_s) == (TestPhase.ENDING, Outcome.PASSED, 30.0)
    made = output_test.demand(test, 31_000)
    assert made is not None
    assert made.actions == {"hall": OFF}
    test = run(test, RESTING, 31_000, for_s=1)
    assert test.phase is TestPhase.DONE
    assert output_test.demand(test, 32_000) is None


def test_a_minimum_on_time_counts_until_the_output_is_off() -> None:
    test = run(run(new(duration_s=5.0), ON, 0, for_s=6), ON, 6000, for_s=175)
    assert (test.phase, test.outcome, test.on_s) == (TestPhase.ENDING, Outcome.PASSED, 180.0)
    test = run(test, RESTING, 181_000, for_s=1)
    assert (test.phase, test.on_s) == (TestPhase.DONE, 180.0)


def test_an_output_that_others_switch_on_while_a_test_ends_is_not_counted() -> None:
    test = run(output_test.stop(new(), 0), ON, 0, for_s=60)
    assert (test.phase, test.on_s) == (TestPhase.ENDING, 0.0)


def test_minimum_times_delay_the_test_and_are_reported() -> None:
    test = run(new(), RESTING, 0, for_s=60)
    assert (test.phase, test.text) == (TestPhase.WAITING, "minimum off time, 90 s to go")
    test = run(test, ON, 60_000, for_s=1)
    assert (test.phase, test.text) == (TestPhase.ON, "")


def test_wait_for_minimum_times_is_limited() -> None:
    test = run(new(), RESTING, 0, for_s=WAIT_S_MAX - 1)
    assert test.phase is TestPhase.WAITING
    test = run(test, RESTING, round(WAIT_S_MAX - 1) * 1000, for_s=1)
    assert (test.phase, test.outcome, test.text) == (TestPhase.ENDING, Outcome.NOT_STARTED, RESTING.reason)


@pytest.mark.parametrize("seen", [ON, RESTING])
def test_lost_session_ends_the_test(seen: Observation) -> None:
    test = run(new(), seen, 0, for_s=LEASE_S - 1, is_renewed=False)
    assert test.phase in {TestPhase.ON, TestPhase.WAITING}
    test = run(test, seen, round(LEASE_S - 1) * 1000, for_s=1, is_renewed=False)
    assert (test.phase, test.outcome) == (TestPhase.ENDING, Outcome.SESSION_LOST)


def test_demand_ends_with_its_lease() -> None:
    """The port may hang: the climate control then takes the output back by itself."""
    made = output_test.demand(output_test.renew(new(), 5000), 6000)
    assert made is not None
    assert made.until_ms == 5000 + LEASE_S * 1000


def test_manual_stop() -> None:
    test = output_test.stop(run(new(), ON, 0, for_s=5), 5000)
    assert (test.phase, test.outcome) == (TestPhase.ENDING, Outcome.STOPPED)
    # The second one changes nothing, nor does one after the end.
    assert output_test.stop(test, 6000) == test
    done = run(test, RESTING, 6000, for_s=1)
    assert output_test.stop(done, 8000) == done
    assert output_test.advance(done, ON, 9000) == done


def test_a_relay_that_does_not_follow_is_a_failure() -> None:
    test = run(new(), Observation(is_on=True, problem="relay hall does not follow"), 0, for_s=1)
    assert (test.outcome, test.text) == (Outcome.FAILED, "relay hall does not follow")


def test_hub_may_end_the_test_early() -> None:
    hot = Observation(is_on=False, reason="off: 30.1 °C, the limit is 30.0")
    test = run(run(new(), ON, 0, for_s=5), hot, 5000, for_s=1)
    assert (test.outcome, test.text) == (Outcome.CUT_SHORT, hot.reason)


def test_an_output_that_stays_on_goes_back_to_the_control_law() -> None:
    """Frost protection wants it, or a minimum time that is longer."""
    test = run(output_test.stop(new(), 0), ON, 0, for_s=END_S_MAX - 1)
    assert test.phase is TestPhase.ENDING
    assert run(test, ON, round(END_S_MAX - 1) * 1000, for_s=1).phase is TestPhase.DONE


@pytest.mark.parametrize(("asked_s", "granted_s"), [(0.0, DURATION_S_MIN), (1e9, DURATION_S_MAX), (30.0, 30.0)])
def test_the_duration_is_bounded(asked_s: float, granted_s: float) -> None:
    assert new(duration_s=asked_s).duration_s == granted_s


@given(st.lists(st.tuples(st.integers(1, 30_000), st.booleans(), st.booleans(), st.booleans()), max_size=200))
def test_nothing_keeps_an_output_on_past_its_time(steps: list[tuple[int, bool, bool, bool]]) -> None:
    """Whatever happens, the wish for heat is not older than the lease, nor longer than the duration."""
    test, now_ms, renewed_ms, on_ms = new(duration_s=40.0), 0, 0, None
    for dt_ms, is_on, is_renewed, is_stopped in steps:
        now_ms += dt_ms
        if is_renewed and now_ms < test.lease_ms:
            test, renewed_ms = output_test.renew(test, now_ms), now_ms
        if is_stopped:
            test = output_test.stop(test, now_ms)
        test = output_test.advance(test, Observation(is_on), now_ms)
        on_ms = test.phase_ms if test.phase is TestPhase.ON else on_ms
        made = output_test.demand(test, now_ms)
        if made is not None and made.actions["hall"] is HEAT:
            assert now_ms < renewed_ms + LEASE_S * 1000
            assert on_ms is None or now_ms - on_ms < 40_000
