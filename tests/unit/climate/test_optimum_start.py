"""A recovery begins when it must, and each morning teaches the next."""

import pytest

from agent.climate.optimum_start import (
    LEAD_S_MAX,
    SLOPE_K_PER_H_MAX,
    Coasting,
    LearnedDynamics,
    Recovery,
    advance_coasting,
    advance_recovery,
    learn_lag,
    learn_loss,
    learn_rate,
    ramp_duty,
    ramp_setpoint_c,
    slope_k_per_h,
)

H_MS = 3_600_000
LEARNED = LearnedDynamics(rate_k_per_h=5.0, lag_s=600.0)
FROM_18 = Recovery(21.0, 0, start_c=18.0, start_duty=0.1)


def test_the_ramp_ends_at_the_setpoint_before_the_block_begins() -> None:
    assert ramp_setpoint_c(LEARNED, target_c=21.0, due_in_s=0.0) == 21.0
    assert ramp_setpoint_c(LEARNED, target_c=21.0, due_in_s=600.0) == 21.0
    assert ramp_setpoint_c(LEARNED, target_c=21.0, due_in_s=600.0 + 3600.0) == pytest.approx(21.0 - SLOPE_K_PER_H_MAX)
    assert ramp_setpoint_c(LEARNED, target_c=21.0, due_in_s=LEAD_S_MAX + 1) < -1000


def test_a_slow_house_gets_a_ramp_that_it_can_follow() -> None:
    slow = LearnedDynamics(rate_k_per_h=1.0)
    assert slope_k_per_h(slow) == pytest.approx(0.6)
    assert ramp_duty(slow) == pytest.approx(0.6)
    assert ramp_duty(LEARNED) == pytest.approx(SLOPE_K_PER_H_MAX / 5.0)


def test_who_came_late_starts_earlier_next_time() -> None:
    late = learn_lag(LEARNED, FROM_18, 20 * 60_000)
    early = learn_lag(LEARNED, FROM_18, -20 * 60_000)
    assert late.lag_s > LEARNED.lag_s > early.lag_s
    assert late.recoveries == 1


def test_one_odd_morning_teaches_only_so_much() -> None:
    odd = learn_lag(LEARNED, FROM_18, 100 * H_MS)
    assert odd.lag_s <= LEARNED.lag_s + 1800.0
    assert learn_lag(LEARNED, Recovery(21.0, 0, start_c=20.7, start_duty=0.1), 60_000) is LEARNED


def test_rate_and_loss_approach_what_is_observed_within_bounds() -> None:
    assert LEARNED.rate_k_per_h < learn_rate(LEARNED, rise_k=8.0, hours=1.0).rate_k_per_h < 8.0
    assert learn_rate(LEARNED, rise_k=1000.0, hours=1.0).rate_k_per_h < 15.0
    assert learn_loss(LEARNED, fall_k=1.0, hours=1.0).loss_k_per_h > LEARNED.loss_k_per_h
    assert learn_loss(LEARNED, fall_k=-1.0, hours=1.0).loss_k_per_h >= 0.0


def follow(values: list[float], *, due_in_min: int) -> tuple[Recovery | None, LearnedDynamics]:
    recovery: Recovery | None = Recovery(21.0, due_in_min * 60_000, start_c=values[0], start_duty=0.1)
    learned = LEARNED
    for minute, value_c in enumerate(values):
        if recovery is None:
            break
        recovery, learned = advance_recovery(
            recovery, learned, value_c=value_c, utc_ms=minute * 60_000, dt_s=60.0, was_on=True
        )
    return recovery, learned


def test_a_recovery_that_is_early_ends_at_its_block_and_teaches() -> None:
    values = [17.0 + minute / 10 for minute in range(100)]
    recovery, learned = follow(values, due_in_min=60)
    assert recovery is None
    assert learned.recoveries == 1
    assert learned.lag_s < LEARNED.lag_s
    assert learned.rate_k_per_h > LEARNED.rate_k_per_h


def test_a_recovery_that_never_arrives_is_given_up_and_teaches_that_too() -> None:
    recovery, learned = follow([17.0 + minute / 100 for minute in range(200)], due_in_min=60)
    assert recovery is None
    assert learned.lag_s > LEARNED.lag_s
    assert learned.rate_k_per_h < LEARNED.rate_k_per_h


def test_the_loss_is_learned_from_hours_without_heat() -> None:
    coasting, learned = Coasting(), LearnedDynamics(loss_k_per_h=0.2)
    for minute in range(240):
        coasting, learned = advance_coasting(coasting, learned, value_c=21.0 - minute / 60, dt_s=60.0, is_on=False)
    assert learned.loss_k_per_h == pytest.approx(1.0, abs=0.4)
    coasting, after = advance_coasting(coasting, learned, value_c=17.0, dt_s=60.0, is_on=True)
    assert (coasting, after) == (Coasting(), learned)


def test_a_rise_that_hardly_took_any_heat_says_nothing_of_the_rate() -> None:
    """The sun did it."""
    recovery, learned = follow([17.0, 18.0, 19.0, 20.0, 20.9], due_in_min=4)
    assert recovery is None
    assert learned.rate_k_per_h == LEARNED.rate_k_per_h
