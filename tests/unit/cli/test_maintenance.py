"""Maintenance as a person reads it: the fault first, its numbers, and what to do."""

import pytest

from agent.cli.maintenance import answer_as_text, as_text
from agent.local.maintenance import EFFECTS, AnswerReport, FindingReport, MaintenanceReport, ZoneMaintenance

UNKNOWN = FindingReport(
    "warmth", "unknown", None, "", "still learning: 3 of 14 days of heating", None, "",
    name="heat of the run time",
)  # fmt: skip
USUAL = FindingReport(
    "run_time", "usual", 0.031, "", "runs for 9.8 minutes a start, usually 10.0", None, "", name="length of a run"
)
FAULT = FindingReport(
    "warmth", "needed", 0.87, "less heat from the same run time", "needs 31 % more run time", "2026-11-02T06:00:00Z",
    "check filter", "confirmed", "2026-11-20T06:00:00Z", "anna",
)  # fmt: skip


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (MaintenanceReport([]), "this hub drives nothing"),
        (
            MaintenanceReport([ZoneMaintenance("living", [UNKNOWN, USUAL])], problem="maintenance.json is damaged"),
            """! maintenance.json is damaged
living
  length of a run (run_time): as usual (3% that something is wrong)
    runs for 9.8 minutes a start, usually 10.0
  heat of the run time (warmth): unknown
    still learning: 3 of 14 days of heating""",
        ),
        (
            MaintenanceReport([ZoneMaintenance("living", [USUAL, FAULT])]),
            """living
! less heat from the same run time (warmth): maintenance needed (87% that something is wrong)
    needs 31 % more run time; since 2026-11-02
    -> check filter
    confirmed on 2026-11-20 by anna
  length of a run (run_time): as usual (3% that something is wrong)
    runs for 9.8 minutes a start, usually 10.0""",
        ),
    ],
    ids=["no zones", "unknown", "fault"],
)
def test_the_report_as_text(report: MaintenanceReport, text: str) -> None:
    assert as_text(report) == text


def test_an_answer_says_what_becomes_of_it() -> None:
    effect = EFFECTS["serviced"]
    made = AnswerReport(
        "living", "warmth", "serviced", "", "anna", "2026-11-20T06:00:00Z", 0.9, "", [], None, effect
    )  # fmt: skip
    assert answer_as_text(made) == f"living/warmth: serviced; {effect}"
    assert "learned anew" in effect
