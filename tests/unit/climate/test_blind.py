"""A room that nobody measures is neither frozen nor overheated, whatever happens in the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import blind
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
