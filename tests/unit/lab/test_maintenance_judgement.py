"""How alerts and faults are counted, of houses and of machines."""

import pytest

from agent.maintenance.drift import Drift
from agent.maintenance.indicators import Indicator
from lab.maintenance.calibration import fleets_as_markdown
from lab.maintenance.faults import FaultCourse
from lab.maintenance.judgement import (
    RECORD_DAYS,
    Judged,
    Judgement,
    Watched,
    count_events,
    fit_rounded,
    judge_days,
    tables,
)

SLOW, OLD, FAST = FaultCourse(10.0, 100.0), FaultCourse(-50.0, 100.0), FaultCourse(20.0, 5.0)


def watched(*days: tuple[int, float, tuple[FaultCourse, ...]]) -> list[Watched[FaultCourse, None]]:
    return [Watched(day, p, faults, None) for day, p, faults in days]


def test_alerts_are_counted_once_until_the_confidence_has_fallen_and_faults_by_when_they_were_reported() -> None:
    judgement = Judgement()
    days = watched((0, 0.1, (OLD,)), (30, 0.8, (SLOW,)), (35, 0.6, (SLOW, FAST)), (40, 0.9, (SLOW,)), (50, 0.4, ()),
                   (60, 0.8, ()))  # fmt: skip
    assert count_events(judgement, days) == []
    assert (judgement.alerts, judgement.slow, judgement.fast, judgement.faults) == ((2, 1), (1, 1), (1, 0), (2, 1))


def test_a_slow_fault_that_is_reported_later_than_two_weeks_before_its_full_effect_is_late() -> None:
    late = Judgement()
    assert count_events(late, watched((0, 0.1, ()), (97, 0.9, (SLOW,)))) == [SLOW]
    assert (late.alerts, late.slow, late.faults) == ((1, 1), (1, 0), (1, 1))
    in_time = Judgement()
    assert count_events(in_time, watched((0, 0.1, ()), (96, 0.9, (SLOW,)))) == []
    assert in_time.slow == (1, 1)


def test_of_a_fault_whose_repair_lies_after_the_record_nothing_is_asked() -> None:
    last, over = (FaultCourse(RECORD_DAYS - 114.0 + late, 100.0) for late in (0.0, 1.0))
    judgement = Judgement()
    assert count_events(judgement, watched((0, 0.1, ()), (1000, 0.9, (last, over)))) == []
    assert (judgement.slow, judgement.faults, judgement.alerts) == ((1, 1), (1, 1), (1, 1))


def test_faults_whose_repair_lies_after_the_record_are_counted_apart() -> None:
    slow, fast = FaultCourse(RECORD_DAYS - 90.0, 100.0), FaultCourse(RECORD_DAYS - 20.0, 5.0)
    judgement = Judgement(points=[(0.5, True)])
    assert count_events(judgement, watched((0, 0.1, (OLD,)), (1020, 0.9, (slow,)), (1080, 0.1, (fast,)))) == []
    assert (judgement.slow, judgement.fast, judgement.faults) == ((0, 0), (0, 0), (0, 0))
    assert (judgement.slow_unfinished, judgement.unfinished) == ((1, 1), (2, 1))
    found = {Indicator.WARMTH: judgement}
    page = tables(found, title="", unit="zone", years=3, calibrated=[], has_recall=True, has_unfinished=True)
    assert "| left out, as not repaired by the end: slow faults reported in time | 1 of 1 |" in page
    assert "| left out, as not repaired by the end: faults reported | 1 of 2 |" in page
    assert "left out" not in tables(found, title="", unit="zone", years=3, calibrated=[], has_recall=True)


def test_a_house_without_a_judged_day_has_no_fault() -> None:
    judgement = Judgement()
    assert count_events(judgement, watched()) == []
    assert judgement.faults == (0, 0)


def test_days_are_judged_by_indicator_and_each_fifth_is_a_point() -> None:
    found = {each: Judgement() for each in Indicator}
    days = [Judged(day, each, Drift(), (SLOW,)) for day in (10, 97, 100) for each in Indicator]
    judge_days(found, days, lambda indicator, _: 0.9 if indicator is Indicator.WARMTH else 0.2)
    assert found[Indicator.WARMTH].points == [(0.9, True)] * 2
    assert (found[Indicator.WARMTH].slow, found[Indicator.RUN_TIME].slow) == ((1, 1), (1, 0))
    page = tables(found, title="Some", unit="hub", years=2, calibrated=[Indicator.WARMTH], has_recall=True)
    assert "| Some | `warmth` | `run_time` |" in page
    assert "(recall) | 1 of 1 | 0 of 1 |" in page
    assert ("| `warmth`: points" in page, "| `run_time`: points" in page) == (True, False)
    assert "recall" not in tables(found, title="", unit="hub", years=2, calibrated=[], has_recall=False)


def test_fleets_are_reported_one_by_one_and_together() -> None:
    one = Judgement(points=[(0.5, True)], alerts=(4, 3), slow=(2, 1), faults=(4, 2))
    other = Judgement(points=[(0.5, False)], alerts=(6, 6), slow=(2, 2), faults=(6, 5))
    page = fleets_as_markdown([dict.fromkeys(Indicator, one), dict.fromkeys(Indicator, other)], 10)
    assert "| 1 | 10 | 0.500 | 3 of 4 | 0.100 | 1 of 2 | 2 of 4 (0.50) |" in page
    assert page.count("| all | 20 | 0.000 | 9 of 10 | 0.050 | 3 of 4 | 7 of 10 (0.70) |") == len(Indicator)


def test_an_indicator_without_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="simulate more houses"):
        fit_rounded(Indicator, list[Judged[Indicator, FaultCourse, None]](), lambda _: (0.0,))
