"""A room that nobody measures is neither frozen nor overheated, whatever happens in the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import blind, fusion
from agent.climate.law import LawState
from agent.climate.settings import ZoneSettings

ZONE = ZoneSettings(zone_id="z")
FULL_LIFT_K = 36.0
"""What full output keeps a room above the outside: see `blind.FROST_DUTY_MAX`."""


@pytest.mark.parametrize(("middle_c", "duty"), [(-5.0, 0.5), (6.0, 0.5), (13.0, 0.25), (20.0, 0.0), (26.0, 0.0)])
def test_the_colder_the_home_the_more(middle_c: float, duty: float) -> None:
    assert blind.frost_duty(ZONE, middle_c) == pytest.approx(duty)


def test_from_the_second_day_on_it_is_less() -> None:
    assert blind.frost_duty(ZONE, 5.0, 86_399.0) == 0.5
    assert blind.frost_duty(ZONE, 5.0, 86_400.0) == 0.35


@given(st.floats(-20.0, 40.0))
def test_it_never_overheats_a_room_in_a_home_that_is_no_colder_than_the_outside(middle_c: float) -> None:
    warmest_c = middle_c + FULL_LIFT_K * blind.frost_duty(ZONE, middle_c)
    assert warmest_c <= max(24.0, middle_c) + 1e-9


def test_what_the_law_has_found_out_is_kept_and_not_paid_out() -> None:
    made = blind.paid_out(LawState(0.4, 10.0, is_far=True), ZONE, duty=0.2, dt_s=60.0, was_on=False)
    assert made.duty == 0.2
    assert (made.state.integral, made.state.owed_s) == (0.4, 22.0)


@pytest.mark.parametrize(("lost_for_s", "duty"), [(0.0, 0.25), (72 * 3600.0 - 1.0, 0.25), (72 * 3600.0, 0.0)])
def test_what_it_needed_of_late_is_given_for_three_days(lost_for_s: float, duty: float) -> None:
    made = blind.usual_duty(ZONE, fusion.NOTHING_KNOWN, mean_duty=0.25, lost_for_s=lost_for_s, can_act=True)
    assert made[0] == duty


@pytest.mark.parametrize(("mean_duty", "duty"), [(0.9, 0.3), (0.3, 0.3), (0.021, 0.021), (0.02, 0.0)])
def test_it_is_bounded_and_next_to_nothing_is_nothing(mean_duty: float, duty: float) -> None:
    made = blind.usual_duty(ZONE, fusion.NOTHING_KNOWN, mean_duty=mean_duty, lost_for_s=0.0, can_act=True)
    assert made[0] == duty
    assert made[1].startswith("heating blindly" if duty else "idle: no usable sensor")
