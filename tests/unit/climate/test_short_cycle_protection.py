"""Equipment is never switched too soon, too briefly or too often, over restarts and reboots."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.climate.short_cycle_protection import (
    HOUR_MS,
    STARTS_MAX,
    Downtime,
    ShortCycleLimits,
    ShortCycleState,
    apply_limits,
    assume_stopped,
    restore,
    switch,
    wait_to_start_ms,
    wait_to_stop_ms,
    with_late_start,
    with_one_start_left,
)

LIMITS = ShortCycleLimits(min_on_s=180.0, min_off_s=300.0, starts_per_hour_max=3)

steps = st.lists(
    st.tuples(st.integers(0, 900_000), st.booleans(), st.sampled_from(["", "", "", "restart", "reboot"])),
    min_size=1,
    max_size=150,
)


@given(steps=steps, starts_max=st.integers(1, 6))
@example(steps=[(301_000, True, ""), (200_000, False, ""), (0, True, "reboot"), (301_000, True, "")], starts_max=1)
def test_no_sequence_of_requests_and_restarts_breaks_a_limit(
    steps: list[tuple[int, bool, str]], starts_max: int
) -> None:
    limits = ShortCycleLimits(180.0, 300.0, starts_max)
    true_ms = boot_at_ms = 0
    relay = kept = assume_stopped(0)
    kept_ms = 0
    is_on, changed_ms = False, 0
    starts: list[int] = []
    for wait_ms, is_wanted, mishap in steps:
        true_ms += wait_ms
        if mishap:
            if is_on:
                is_on, changed_ms = False, true_ms
            if mishap == "reboot":
                boot_at_ms = true_ms - 20_000
            now_ms = true_ms - boot_at_ms
            # A reboot knows that it was written before the boot, and no more.
            absence = (
                Downtime(0, now_ms, kept_ms, now_ms - kept_ms)
                if mishap == "restart"
                else Downtime(-kept_ms, now_ms, 0, None)
            )
            relay = restore(kept, limits, absence)
            # The next life writes down what it begins with, if it can.
            if is_wanted:
                kept, kept_ms = relay, now_ms
        now_ms = true_ms - boot_at_ms
        may, why = apply_limits(relay, limits, now_ms, is_wanted=is_wanted)
        assert bool(why) == (may != is_wanted)
        relay = switch(relay, limits, now_ms, is_on=may)
        assert len(relay.starts_ms) <= starts_max + 1
        if may == is_on:
            continue
        if may:
            assert true_ms - changed_ms >= 300_000
            starts.append(true_ms)
            assert sum(start > true_ms - HOUR_MS for start in starts) <= starts_max
        else:
            assert true_ms - changed_ms >= 180_000
        is_on, changed_ms = may, true_ms
        # The disk may be full: every other switch is not written down.
        kept, kept_ms = relay, now_ms


@pytest.mark.parametrize(("min_on_s", "min_off_s"), [(180.0, 300.0), (60.0, 0.0), (0.0, 900.0), (1500.0, 60.0)])
@pytest.mark.parametrize("starts_max", range(1, 7))
def test_equipment_switches_as_soon_as_its_limits_allow_and_no_sooner(
    starts_max: int, min_on_s: float, min_off_s: float
) -> None:
    limits = ShortCycleLimits(min_on_s, min_off_s, starts_max)
    relay, changed_ms, starts = assume_stopped(0), 0, [-HOUR_MS] * starts_max
    for now_ms in range(0, 8 * HOUR_MS, 30_000):
        is_due = now_ms - changed_ms >= 1000 * (min_on_s if relay.is_on else min_off_s)
        if not relay.is_on:
            is_due = is_due and now_ms - starts[-starts_max] >= HOUR_MS
        may, why = apply_limits(relay, limits, now_ms, is_wanted=not relay.is_on)
        assert (may != relay.is_on) == is_due == (why == "")
        assert apply_limits(relay, limits, now_ms, is_wanted=relay.is_on) == (relay.is_on, "")
        if is_due:
            relay, changed_ms = switch(relay, limits, now_ms, is_on=may), now_ms
            starts += [now_ms] * may
        assert len(relay.starts_ms) <= starts_max


def test_minimum_off_time_delays_the_next_start() -> None:
    relay = assume_stopped(1000)
    assert wait_to_start_ms(relay, LIMITS, 1000) == 300_000
    assert apply_limits(relay, LIMITS, 200_999, is_wanted=True) == (False, "minimum off time, 101 s to go")
    assert apply_limits(relay, LIMITS, 301_000, is_wanted=True) == (True, "")


def test_minimum_on_time_delays_the_stop() -> None:
    relay = switch(assume_stopped(0), LIMITS, 400_000, is_on=True)
    assert wait_to_stop_ms(relay, LIMITS, 400_000) == 180_000
    assert apply_limits(relay, LIMITS, 401_000, is_wanted=False) == (True, "minimum on time, 3 min to go")
    assert apply_limits(relay, LIMITS, 580_000, is_wanted=False) == (False, "")


def test_starts_per_hour_are_limited() -> None:
    relay = ShortCycleState(is_on=False, changed_ms=1_000_000, starts_ms=(0, 500_000, 900_000))
    assert apply_limits(relay, LIMITS, 3_000_000, is_wanted=True) == (
        False,
        "limit of 3 starts per hour, 10 min to go",
    )
    assert apply_limits(relay, LIMITS, HOUR_MS, is_wanted=True) == (True, "")


def test_restored_starts_keep_their_age_over_a_reboot() -> None:
    saved = ShortCycleState(is_on=True, changed_ms=9_000_000, starts_ms=(8_000_000, 9_000_000))
    # It may have stopped, and started once more.
    after = restore(saved, LIMITS, Downtime(-9_000_000, 20_000, 0, None))
    assert after == ShortCycleState(is_on=False, changed_ms=20_000, starts_ms=(-1_000_000, 0, 20_000))
    same = restore(saved, LIMITS, Downtime(0, 9_060_000, 9_000_000, 60_000))
    assert same == ShortCycleState(is_on=False, changed_ms=9_060_000, starts_ms=(8_000_000, 9_000_000))


@pytest.mark.parametrize(
    ("now_ms", "changed_ms", "starts_ms"),
    [(300_000, 100_000, (5,)), (400_000, 105_000, (5,)), (400_001, 400_001, (5, 400_001)), (70_000, 70_000, (5,))],
    ids=["rests yet", "has rested now, and notes it first", "may have run", "a clock that ran backwards"],
)
def test_off_time_continues_over_a_restart_that_was_too_short_for_a_run(
    now_ms: int, changed_ms: int, starts_ms: tuple[int, ...]
) -> None:
    """Else an agent that crashes every few minutes would begin its rest anew each time, and never heat."""
    saved = ShortCycleState(is_on=False, changed_ms=100_000, starts_ms=(5,))
    written_ms = min(101_000, now_ms)
    absence = Downtime(0, now_ms, written_ms, now_ms - written_ms)
    assert restore(saved, LIMITS, absence) == ShortCycleState(False, changed_ms, starts_ms)


def test_restart_assumes_another_start_only_after_the_minimum_times() -> None:
    saved = ShortCycleState(is_on=True, changed_ms=100_000, starts_ms=(100_000,))
    assert restore(saved, LIMITS, Downtime(0, 580_000, 101_000, 479_000)) == ShortCycleState(False, 580_000, (100_000,))
    assert restore(saved, LIMITS, Downtime(0, 580_001, 101_000, 479_001)) == ShortCycleState(
        False, 580_001, (100_000, 580_001)
    )


@pytest.mark.parametrize(("starts_max", "left"), [(1, ()), (2, (2,)), (3, (1, 2)), (4, (1, 2))])
def test_one_start_can_be_reserved(starts_max: int, left: tuple[int, ...]) -> None:
    relay = with_one_start_left(ShortCycleState(False, 0, (1, 2)), ShortCycleLimits(0.0, 0.0, starts_max))
    assert relay == ShortCycleState(False, 0, left)


def test_switching_to_the_present_state_changes_nothing() -> None:
    relay = assume_stopped(5)
    assert switch(relay, LIMITS, 100, is_on=False) is relay


def test_restarts_do_not_accumulate_starts() -> None:
    relay = assume_stopped(0)
    at_once = ShortCycleLimits(0.0, 0.0, STARTS_MAX)
    for now_ms in range(10_000, 24 * HOUR_MS, 10_000):
        relay = restore(relay, at_once, Downtime(0, now_ms, now_ms - 1, 1))
    assert len(relay.starts_ms) == STARTS_MAX
    # As soon as it may not have started any more, none is assumed: it would never start again.
    assert HOUR_MS - 10_000 > now_ms - relay.starts_ms[-1] > 0


def test_minimum_on_time_counts_once_from_a_late_start() -> None:
    relay = switch(assume_stopped(0), LIMITS, 400_000, is_on=True)
    late = with_late_start(relay, 550_000)
    assert (late.starts_ms, wait_to_stop_ms(late, LIMITS, 580_000)) == ((400_000,), 150_000)
    assert with_late_start(late, 600_000) is late
    stopped = switch(late, LIMITS, 730_000, is_on=False)
    assert with_late_start(stopped, 740_000) is stopped
