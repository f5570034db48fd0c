"""Energy Star's runtime method, and what the hub's proposals save by it in a simulated house."""

import pytest

from lab.comfort.savings import RuntimeDay, comfort_c, core_days, judge, offset_of, savings_share

FREE_K = 3.0
"""So much sun and people warm this house."""


def day(outside_c: float, *, night_c: float = 21.0) -> RuntimeDay:
    """Return a day whose run time is a fifth of an hour for each kelvin above what sun and people give."""
    inside_c = (*[night_c] * 8, *[21.0] * 16)
    hours = [max(0.0, value_c - outside_c - FREE_K) for value_c in inside_c]
    return RuntimeDay(sum(hours) / 24.0 / 5.0, inside_c, (outside_c,) * 24)


def test_a_constant_temperature_saves_nothing() -> None:
    assert savings_share([day(outside_c) for outside_c in (-5.0, 0.0, 5.0)]) == pytest.approx(0.0)


def test_a_setback_saves_what_the_house_loses_less() -> None:
    days = [day(outside_c, night_c=17.0) for outside_c in (-5.0, 0.0, 5.0)]
    assert (offset_of(days), comfort_c(days)) == (FREE_K, 21.0)
    # A third of the day 4 K colder, of 18 K on the mean of these days.
    assert savings_share(days) == pytest.approx(4.0 / 3.0 / 18.0)
    assert savings_share(days, 22.0) == pytest.approx(1.0 - (18.0 - 4.0 / 3.0) / 19.0)


def test_days_without_heating_do_not_count() -> None:
    warm, cold = day(17.0), day(0.0, night_c=17.0)
    assert core_days([warm, cold]) == [cold]
    assert savings_share([warm, cold]) == savings_share([cold])
    with pytest.raises(ValueError, match="no core heating day"):
        savings_share([warm])


@pytest.mark.slow
def test_a_proposal_saves_in_a_simulated_house_by_the_method_at_least_what_it_promises() -> None:
    found = judge("timber boiler", "efficiency")
    assert 0.0 < found.promised <= found.by_method <= found.promised + 0.05
    assert found.promised <= found.by_runtime + 0.01
