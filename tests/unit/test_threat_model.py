"""The threat model names a test for each line, and the files are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "threat-model.md").read_text().splitlines()
    if line.startswith("|")
]


def test_each_line_names_a_test_file_that_exists() -> None:
    head, _, *rows = LINES
    assert head == ["Attacker", "Attempt", "What stops it", "Test"]
    assert len(rows) > 15
    for row in rows:
        assert len(row) == len(head), row
        assert all(row)
        path = ROOT / row[3]
        assert path.name.startswith("test_")
        assert re.search(r"^(async )?def test_|^    (async )?def test_", path.read_text(), re.MULTILINE), row[3]


def test_no_test_holds_two_lines_for_want_of_a_better_one() -> None:
    tests = [row[3] for row in LINES[2:]]
    assert len(tests) == len(set(tests))
