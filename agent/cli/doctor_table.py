"""The report of `climahub doctor` on a terminal: columns that wrap at its width. Plain characters, for any console."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.foundation.text import escape_lines
from agent.port.checks.report import CheckResult, ChecksReport, Outcome

STYLES = {Outcome.PASS: "green", Outcome.UNKNOWN: "cyan", Outcome.WARN: "bold yellow", Outcome.FAIL: "bold red"}


def render(report: ChecksReport, ranks: list[Outcome], summary: str) -> RenderableType:
    """Return the report for `rich`.

    Args:
        report: What was found.
        ranks: The outcomes to show, in this order.
        summary: The last line.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for outcome in ranks:
        for each in report.checks:
            if each.outcome is outcome:
                table.add_row(Text(outcome.value.upper(), STYLES[outcome]), each.name, _found(each))
    return Group(table, Text(f"\n{summary}", "bold"))


def _found(result: CheckResult) -> Text:
    text = Text(escape_lines(result.fact))
    if result.outcome in {Outcome.FAIL, Outcome.WARN} and result.remedy:
        text.append(f"\n-> {escape_lines(result.remedy)}", "italic")
    return text
