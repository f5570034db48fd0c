import math

from lab.ncp.attributes import NEVER, ReportingSchedule
from lab.ncp.memory import ReportingRule

KEY = (1, 0x0402, 0)


def reporting(
    *, shortest_s: int = 10, longest_s: int = 300, change: float = 50, value: float | None = 2000
) -> ReportingSchedule:
    table = ReportingSchedule((), {}, 0.0)
    table.configure(ReportingRule(*KEY, shortest_s, longest_s, change), value, 100.0)
    return table


def test_attribute_is_reported_at_the_maximum_interval() -> None:
    assert reporting().due() == {KEY: 400.0}


def test_next_report_time_is_cached() -> None:
    table = reporting()
    assert table.due_s() == 400.0
    table.changed(KEY, 2100)
    assert table.due_s() == 110.0
    table.reported(KEY, 2100, 200.0)
    assert table.due_s() == 500.0
    table.configure(ReportingRule(*KEY, 0, NEVER, 0), 2100, 200.0)
    assert table.due_s() is None


def test_zero_maximum_interval_reports_changes_only() -> None:
    table = reporting(longest_s=0)
    assert table.due() == {}
    table.changed(KEY, 2050)
    assert table.due() == {KEY: 110.0}


def test_small_or_reverted_change_is_not_reported() -> None:
    table = reporting()
    table.changed(KEY, 2049)
    assert table.due() == {KEY: 400.0}
    table.changed(KEY, 1950)
    assert table.due() == {KEY: 110.0}
    table.changed(KEY, 2001)
    assert table.due() == {KEY: 400.0}


def test_change_counts_from_the_value_that_was_reported() -> None:
    table = reporting()
    table.reported(KEY, 2040, 200.0)
    table.changed(KEY, 2060)
    assert table.due() == {KEY: 500.0}


def test_discrete_values_are_reported_when_they_differ() -> None:
    table = reporting(change=0, value=0)
    table.changed(KEY, 1)
    assert table.due() == {KEY: 110.0}


def test_invalid_value_counts_as_a_change() -> None:
    table = reporting(value=4.0)
    table.changed(KEY, math.nan)
    assert table.due() == {KEY: 110.0}
    table.reported(KEY, math.nan, 120.0)
    table.changed(KEY, math.nan)
    assert table.due() == {KEY: 420.0}


def test_reporting_can_be_disabled() -> None:
    table = reporting()
    table.configure(ReportingRule(*KEY, 0, NEVER, 0), 2000, 100.0)
    assert table.due() == {}
    assert table.rule(KEY) is None
    table.changed(KEY, 9999)
    table.reported(KEY, 9999, 1.0)
    assert table.rules == ()


def test_reporting_configuration_survives_a_restart() -> None:
    kept = ReportingSchedule(reporting().rules, {KEY: 2000}, 1000.0)
    assert kept.due() == {KEY: 1300.0}
    kept.changed(KEY, 2050)
    assert kept.due() == {KEY: 1010.0}
