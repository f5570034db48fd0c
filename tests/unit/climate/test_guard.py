"""What is switched is never switched too soon, too short or too often, over restarts and reboots."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.climate.guard import (
    HOUR_MS,
    STARTS_MAX,
    Guard,
    GuardLimits,
    allowed,
    just_stopped,
    restored,
    switched,
    wait_to_start_ms,
    wait_to_stop_ms,
)

LIMITS = GuardLimits(min_on_s=180.0, min_off_s=300.0, starts_per_hour_max=3)

steps = st.lists(
    st.tuples(st.integers(0, 900_000), st.booleans(), st.sampled_from(["", "", "", "restart", "reboot"])),
    min_size=1,
    max_size=150,
)


@given(steps=steps, starts_max=st.integers(1, 6))
@example(steps=[(301_000, True, ""), (200_000, False, ""), (0, True, "reboot"), (301_000, True, "")], starts_max=1)
def test_no_wish_and_no_restart_breaks_a_rule(steps: list[tuple[int, bool, str]], starts_max: int) -> None:
    limits = GuardLimits(180.0, 300.0, starts_max)
    true_ms = boot_at_ms = 0
    guard = kept = just_stopped(0)
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
            guard = restored(kept, saved_ms=kept_ms, now_ms=now_ms, is_same_boot=mishap == "restart")
        now_ms = true_ms - boot_at_ms
        may, why = allowed(guard, limits, now_ms, is_wanted=is_wanted)
        assert bool(why) == (may != is_wanted)
        guard = switched(guard, limits, now_ms, is_on=may)
        assert len(guard.starts_ms) <= starts_max + 1
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
        kept, kept_ms = guard, now_ms


@pytest.mark.parametrize(("min_on_s", "min_off_s"), [(180.0, 300.0), (60.0, 0.0), (0.0, 900.0), (1500.0, 60.0)])
@pytest.mark.parametrize("starts_max", range(1, 7))
def test_who_always_wants_the_opposite_gets_it_as_soon_as_the_rules_allow_and_no_sooner(
    starts_max: int, min_on_s: float, min_off_s: float
) -> None:
    limits = GuardLimits(min_on_s, min_off_s, starts_max)
    guard, changed_ms, starts = just_stopped(0), 0, [-HOUR_MS] * starts_max
    for now_ms in range(0, 8 * HOUR_MS, 30_000):
        is_due = now_ms - changed_ms >= 1000 * (min_on_s if guard.is_on else min_off_s)
        if not guard.is_on:
            is_due = is_due and now_ms - starts[-starts_max] >= HOUR_MS
        may, why = allowed(guard, limits, now_ms, is_wanted=not guard.is_on)
        assert (may != guard.is_on) == is_due == (why == "")
        assert allowed(guard, limits, now_ms, is_wanted=guard.is_on) == (guard.is_on, "")
        if is_due:
            guard, changed_ms = switched(guard, limits, now_ms, is_on=may), now_ms
            starts += [now_ms] * may
        assert len(guard.starts_ms) <= starts_max


def test_what_has_just_stopped_rests_and_then_may_start() -> None:
    guard = just_stopped(1000)
    assert wait_to_start_ms(guard, LIMITS, 1000) == 300_000
    assert allowed(guard, LIMITS, 200_999, is_wanted=True) == (False, "minimum off time, 101 s to go")
    assert allowed(guard, LIMITS, 301_000, is_wanted=True) == (True, "")


def test_what_has_started_runs_on() -> None:
    guard = switched(just_stopped(0), LIMITS, 400_000, is_on=True)
    assert wait_to_stop_ms(guard, LIMITS, 400_000) == 180_000
    assert allowed(guard, LIMITS, 401_000, is_wanted=False) == (True, "minimum on time, 3 min to go")
    assert allowed(guard, LIMITS, 580_000, is_wanted=False) == (False, "")


def test_the_starts_of_an_hour_are_counted() -> None:
    guard = Guard(is_on=False, changed_ms=1_000_000, starts_ms=(0, 500_000, 900_000))
    assert allowed(guard, LIMITS, 3_000_000, is_wanted=True) == (False, "3 starts an hour are used up, 10 min to go")
    assert allowed(guard, LIMITS, HOUR_MS, is_wanted=True) == (True, "")


def test_after_a_reboot_old_starts_count_as_old_as_they_were_written() -> None:
    saved = Guard(is_on=True, changed_ms=9_000_000, starts_ms=(8_000_000, 9_000_000))
    after = restored(saved, saved_ms=9_000_000, now_ms=20_000, is_same_boot=False)
    assert after == Guard(is_on=False, changed_ms=20_000, starts_ms=(-980_000, 20_000, 20_000))
    same = restored(saved, saved_ms=9_000_000, now_ms=9_060_000, is_same_boot=True)
    assert same == Guard(is_on=False, changed_ms=9_060_000, starts_ms=(8_000_000, 9_000_000, 9_060_000))


def test_a_switch_to_what_it_is_already_changes_nothing() -> None:
    guard = just_stopped(5)
    assert switched(guard, LIMITS, 100, is_on=False) is guard


def test_a_day_of_restarts_leaves_no_more_starts_than_count() -> None:
    guard = just_stopped(0)
    for now_ms in range(10_000, 24 * HOUR_MS, 10_000):
        guard = restored(guard, saved_ms=now_ms - 1, now_ms=now_ms, is_same_boot=True)
    assert len(guard.starts_ms) == STARTS_MAX
    assert guard.starts_ms[-1] == now_ms
    most = GuardLimits(0.0, 0.0, STARTS_MAX)
    assert wait_to_start_ms(guard, most, now_ms) == HOUR_MS - (STARTS_MAX - 1) * 10_000
