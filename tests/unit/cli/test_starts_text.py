from agent.cli.starts_text import starts_line, starts_problem
from agent.local.status import StartReport

NOW = StartReport("2026-11-28T09:00:00Z", "1.0.0", "b", "power_on", "running")


def before(end: str, *, detail: str = "", count: int = 1) -> StartReport:
    return StartReport(None, "1.0.0", "b", "unknown", end, detail, count)


def test_nothing_is_said_of_a_first_start() -> None:
    assert starts_line([]) == starts_line([NOW]) == ""
    assert starts_problem([], 10) == starts_problem([NOW], None) == ""


def test_a_crash_is_a_problem_for_a_day() -> None:
    starts = [NOW, before("crashed", detail="signal SEGV", count=50), before("stopped"), before("watchdog")]
    said = "crashed (signal SEGV), 50 times in a row 12 min ago; 1 such end before"
    assert starts_problem(starts, 720) == said
    assert starts_problem(starts, 86_400) == ""
    assert starts_line(starts) == "before, the agent crashed (signal SEGV), 50 times in a row"


def test_an_orderly_end_and_a_loss_of_power_are_none() -> None:
    assert starts_problem([NOW, before("stopped"), before("crashed")], 5) == ""
    assert starts_problem([NOW, before("power_lost")], 5) == ""
    assert "lost its power" in starts_line([NOW, before("power_lost")])


def test_an_end_that_a_later_release_knows_is_told_as_it_is() -> None:
    assert starts_line([NOW, before("exploded")]) == "before, the agent exploded"
