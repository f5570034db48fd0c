"""What of a slow fault can be known at best, by a detector that knows when it began."""

from math import exp, log

import pytest

from agent.maintenance.indicators import Day, Indicator, Measured
from lab.maintenance.calibration import TARGET, TUNING_SEED
from lab.maintenance.detectability import (
    Best,
    Outcome,
    Reason,
    as_markdown,
    best_of,
    deadline_of,
    outcomes,
    why_missed,
    without_others,
)
from lab.maintenance.fleet import FAULTS, Fault, HouseDay

FILTER = Fault(kind=FAULTS[0], begins=60.0, days=104.0, loss=0.3)
CYCLING = Fault(kind=FAULTS[-1], begins=60.0, days=104.0, loss=0.5)


def days_of(fault: Fault, *, has_fault: bool, scatter: float, last: int = 170) -> list[tuple[int, Measured]]:
    """Return the days of a house whose scatter is regular."""
    found = []
    for day in range(last):
        lift_k, share = 15.0 + day % 7, -log(1.0 - fault.loss_on(day)) if has_fault else 0.0
        odd = scatter * (1.0 if day % 2 else -1.0)
        if fault.kind.indicator is Indicator.WARMTH:
            found.append((day, Measured((lift_k - 3.0) / 40.0 * exp(share + odd), lift_k, 0.0)))
        else:
            found.append((day, Measured(2.0 + odd - share, 0.0, 0.0)))
    return found


@pytest.mark.parametrize("fault", [FILTER, CYCLING])
def test_a_clear_fault_is_known_and_a_house_without_one_has_none(fault: Fault) -> None:
    with_fault, without = (
        best_of(days_of(fault, has_fault=has_fault, scatter=0.03), fault) for has_fault in (True, False)
    )
    assert with_fault.days == deadline_of(fault) - fault.begins == 90
    assert with_fault.confidence > 0.99
    assert with_fault.sigmas > 5.0
    assert without.confidence < 0.05


def test_a_fault_without_a_day_since_its_beginning_is_as_likely_as_before() -> None:
    best = best_of(days_of(FILTER, has_fault=True, scatter=0.0, last=60), FILTER)
    assert (best.days, best.sigmas) == (0, 0.0)
    assert 0.0 < best.confidence < 0.1
    assert best_of([], FILTER) == best


def test_a_house_that_got_better_has_no_fault_however_sure_that_is() -> None:
    days = [(day, Measured(0.4 if day < 60 else 0.2, 19.0, 0.0)) for day in range(170)]
    assert best_of(days, FILTER).confidence == 0.0


def test_what_other_faults_take_is_given_back_and_what_this_one_takes_is_not() -> None:
    coil = Fault(kind=FAULTS[4], begins=0.0, days=80.0, loss=0.5)
    air = Fault(kind=FAULTS[6], begins=0.0, days=80.0, loss=0.2)
    day = HouseDay(Day(1, 0.4, 20.0, 20, 1800.0, 0.0), 80, (FILTER, coil, air, CYCLING))
    ((number, output),) = without_others([day], FILTER)
    assert (number, output.value) == (80, pytest.approx(0.2))
    ((_, run),) = without_others([day], CYCLING)
    assert exp(run.value) == pytest.approx(30.0 / 0.8)
    summer = HouseDay(Day(1, 0.0, 2.0, 0, 0.0, 0.0), 81, (FILTER,))
    assert not list(without_others([summer], FILTER))


@pytest.mark.parametrize(
    ("best", "highest", "reason"),
    [
        (Best(6, 0.99, 9.0), 0.6, Reason.FEW_DAYS),
        (Best(7, 0.71, 2.0), 0.6, Reason.UNKNOWABLE),
        (Best(7, 0.73, 9.0), 0.6, Reason.NEAR),
        (Best(7, 0.73, 9.0), 0.4, Reason.BELOW),
    ],
)
def test_a_missed_fault_has_a_reason(best: Best, highest: float, reason: Reason) -> None:
    assert why_missed(best, highest) is reason


def test_the_table_has_a_row_for_each_kind_and_their_sum() -> None:
    found = [Outcome(FILTER, Best(50, 0.9, 4.0), None), Outcome(CYCLING, Best(50, 0.2, 1.0), Reason.UNKNOWABLE)]
    assert as_markdown(found).splitlines()[2:] == [
        "| clogged filter | 1 | 4.0 | 1 | 1 | 0 | 0 | 0 | 0 |",
        "| limiter that trips | 1 | 1.0 | 0 | 0 | 0 | 1 | 0 | 0 |",
        "| all | 2 | 2.5 | 1 | 1 | 0 | 1 | 0 | 0 |",
    ]


@pytest.mark.slow
def test_the_table_of_the_document_is_of_this_detector() -> None:
    """By the first houses of the fleet: a whole one takes a minute."""
    page = (TARGET.parents[2] / "docs" / "experiments" / "maintenance-confidence.md").read_text()
    assert as_markdown(list(outcomes(TUNING_SEED, 40))) in page


def test_the_slow_faults_of_a_fleet_have_an_outcome() -> None:
    found = list(outcomes(777, 12))
    assert found
    assert all(each.fault.days >= 60.0 for each in found)
    assert {each.reason for each in found} <= {None, *Reason}
