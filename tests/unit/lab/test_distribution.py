"""What lab/pyproject.toml says, against the tree it lies in. The wheels themselves: tests/integration."""

import re
import tomllib
from pathlib import Path

from agent import __version__
from agent.cli import root
from lab.cli import COMMANDS

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "lab" / "pyproject.toml").read_text())["project"]


def test_the_laboratory_needs_climahub_of_the_same_version() -> None:
    needed = [
        *PROJECT["dependencies"],
        *(text for extra in PROJECT["optional-dependencies"].values() for text in extra),
    ]
    assert {re.sub(r"\[\w+\]", "", text) for text in needed} == {f"climahub=={__version__}"}


def test_the_laboratory_runs_on_the_pythons_of_climahub() -> None:
    hub = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert PROJECT["requires-python"] == hub["requires-python"]


def test_lab_commands_are_found_by_the_entry_point() -> None:
    assert PROJECT["entry-points"] == {root.ENTRY_POINTS: {"lab": "lab.cli:COMMANDS"}}
    assert set(COMMANDS) == set(root.LAB_COMMANDS)
    assert not set(COMMANDS) & set(root.COMMANDS)
    assert all(root.all_commands()[name] == entry for name, entry in COMMANDS.items())
