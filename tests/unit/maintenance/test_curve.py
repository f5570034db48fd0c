"""The curve behind a finding: bounded, compact, and what was to be expected beside what was measured."""

import msgspec
import pytest

from agent.local.maintenance import CurveReport, curve_report
from agent.maintenance.assessment import ZoneRecord, complete_day
from agent.maintenance.curve import DAYS_MAX, CurveDay, days_of, with_day
from agent.maintenance.indicators import SOLSTICE_MS, Day, Indicator

DAY_MS = 86_400_000


def curve_of(days: int) -> bytes:
    curve = b""
    for number in range(days):
        curve = with_day(curve, CurveDay(20_000 + number, number + 0.5, 40.0))
    return curve


def test_the_last_days_are_kept_in_twelve_bytes_each() -> None:
    curve = curve_of(DAYS_MAX + 5)
    days = days_of(curve)
    assert len(curve) == 12 * DAYS_MAX
    assert (len(days), days[0], days[-1]) == (
        DAYS_MAX,
        CurveDay(20_005, 5.5, 40.0),
        CurveDay(20_004 + DAYS_MAX, DAYS_MAX + 4.5, 40.0),
    )


def test_days_after_a_clock_that_was_set_back_are_dropped() -> None:
    days = days_of(with_day(curve_of(5), CurveDay(20_002, 9.0, 8.0)))
    assert [each.day for each in days] == [20_000, 20_001, 20_002]
    assert days[-1] == CurveDay(20_002, 9.0, 8.0)


@pytest.mark.parametrize("cut", [1, 11])
def test_a_day_that_is_cut_off_is_no_day(cut: int) -> None:
    curve = curve_of(3)[:-cut]
    assert [each.day for each in days_of(curve)] == [20_000, 20_001]
    assert [each.day for each in days_of(with_day(curve, CurveDay(20_009, 1.0, 1.0)))] == [20_000, 20_001, 20_009]


def test_the_report_interrupts_a_curve_where_nothing_was_measured_for_longer_than_a_week() -> None:
    days = [CurveDay(20_000, 40.123, 41.0), CurveDay(20_007, 42.0, 41.0), CurveDay(20_015, 43.0, 41.0)]
    assert curve_report("warmth", days) == CurveReport(
        "share of full output on each day",
        "%",
        [1_728_000_000, 1_728_604_800, 1_728_691_200, 1_729_296_000],
        [40.12, 42.0, None, 43.0],
        [41.0, 41.0, None, 41.0],
    )
    assert curve_report("run_time", []) is None


def live(days: int, *, output: float, run_s: float, record: ZoneRecord, first_day: int = 0) -> ZoneRecord:
    for number in range(first_day, first_day + days):
        day = Day(SOLSTICE_MS + number * DAY_MS, output, 18.0 + number % 2, 20, run_s, 0.0)
        record = complete_day(record, day)
    return record


def test_a_fault_lies_between_the_measured_and_the_expected_line() -> None:
    record = live(30, output=0.45, run_s=600.0, record=ZoneRecord())
    ill = live(20, output=0.6, run_s=300.0, record=record, first_day=30)
    for indicator, measured, expected in ((Indicator.WARMTH, 60.0, 45.0), (Indicator.RUN_TIME, 5.0, 10.0)):
        well, last = days_of(record.curve(indicator))[-1], days_of(ill.curve(indicator))[-1]
        assert well.measured == pytest.approx(well.expected, rel=0.05)
        assert last.measured == pytest.approx(measured, rel=0.01)
        assert last.expected == pytest.approx(expected, rel=0.15)
        assert last.day - well.day == 20


def test_a_day_that_tells_nothing_is_no_day_of_the_curve() -> None:
    record = live(3, output=0.45, run_s=600.0, record=ZoneRecord())
    idle = complete_day(record, Day(SOLSTICE_MS + 5 * DAY_MS, 0.0, 18.0, 0, 0.0, 0.0))
    assert [idle.curve(each) for each in Indicator] == [record.curve(each) for each in Indicator]


def test_a_file_of_a_release_without_curves_is_read_and_goes_on() -> None:
    record = live(20, output=0.45, run_s=600.0, record=ZoneRecord())
    document = msgspec.to_builtins(record)
    for indicator in Indicator:
        assert len(document.pop(f"{indicator.value}_curve")) < 400
    old = msgspec.convert(document, ZoneRecord)
    assert old.drift(Indicator.WARMTH) == record.drift(Indicator.WARMTH)
    assert days_of(old.curve(Indicator.WARMTH)) == []
    assert len(days_of(live(1, output=0.45, run_s=600.0, record=old, first_day=20).curve(Indicator.WARMTH))) == 1


def test_a_learned_run_that_no_house_has_does_not_overflow() -> None:
    record = complete_day(ZoneRecord(), Day(SOLSTICE_MS, 0.5, 18.0, 4, 1e300, 0.0))
    (day,) = days_of(record.curve(Indicator.RUN_TIME))
    assert day.measured == day.expected < 1e6
