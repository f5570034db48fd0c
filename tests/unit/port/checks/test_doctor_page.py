"""docs/doctor.md lists exactly the checks of the code."""

import re
from pathlib import Path

from agent.port.checks.table import CHECKS

PAGE = Path(__file__).parents[4] / "docs" / "doctor.md"


def test_the_page_lists_every_check_as_the_code_has_it() -> None:
    rows = [f"| `{check.name}` | {check.title} | {check.meaning} |" for check in CHECKS]
    documented = re.findall(r"^\| `[a-z0-9-]+` \| .* \| .*\. \|$", PAGE.read_text(), re.MULTILINE)
    assert documented == rows, "the rows of docs/doctor.md should be:\n" + "\n".join(rows)
