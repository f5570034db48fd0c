"""docs/doctor.md lists exactly the checks and repairs of the code."""

import re
from pathlib import Path

from agent.local.repair_table import REPAIRS
from agent.port.checks.table import CHECKS

PAGE = Path(__file__).parents[4] / "docs" / "doctor.md"
CHECKS_PART, _, REPAIRS_PART = PAGE.read_text().partition("## Repairs")


def test_the_page_lists_every_check_as_the_code_has_it() -> None:
    rows = [f"| `{check.name}` | {check.title} | {check.meaning} |" for check in CHECKS]
    documented = re.findall(r"^\| `[a-z0-9-]+` \| .* \| .*\. \|$", CHECKS_PART, re.MULTILINE)
    assert documented == rows, "the rows of docs/doctor.md should be:\n" + "\n".join(rows)


def test_the_page_lists_every_repair_as_the_code_has_it() -> None:
    rows = [f"| `{each.name}` | {each.title} | {each.effect} | {each.role.value} |" for each in REPAIRS.values()]
    documented = re.findall(r"^\| `[a-z-]+` .* \|$", REPAIRS_PART, re.MULTILINE)
    assert documented == rows, "the rows of docs/doctor.md should be:\n" + "\n".join(rows)
