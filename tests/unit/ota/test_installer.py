"""Why a release died: what its own entry notes, and how that is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent.foundation.disk import Disk
from agent.ota import bundle_builder
from agent.ota.installer import add_crash_report, read_crash_report
from agent.ota.service import ERROR_CHARACTERS_MAX
from agent.ota.slots import crash_file_name

MAIN = "import os, sys, faulthandler\ndef main():\n    "


def run_slot(directory: Path, main: str) -> tuple[int, str]:
    """Start a slot as the launcher does; return its exit code, and what it has left."""
    slot = directory / "slots" / "a"
    (slot / "agent").mkdir(parents=True)
    (slot / "__main__.py").write_bytes(bundle_builder.ENTRY_SOURCE)
    (slot / "agent" / "__init__.py").write_text("")
    (slot / "agent" / "__main__.py").write_text(main)
    command = [sys.executable, "-I", "-S", "-B", "-X", "no_debug_ranges", str(slot)]
    ran = subprocess.run(command, capture_output=True, check=False)
    return ran.returncode, read_crash_report(directory, "a", Disk())


@pytest.mark.parametrize(
    ("main", "code", "said"),
    [
        ("import gpiod_is_missing\n", 1, "No module named 'gpiod_is_missing'"),
        ("def main(:\n", 1, "SyntaxError"),
        (MAIN + "raise RuntimeError('a defect')\n", 1, "RuntimeError: a defect"),
        (MAIN + "sys.stderr.write('climahub: cloud.base_url is missing\\n'); return 78\n", 78, "base_url is missing"),
        (MAIN + "sys.stderr.write('last line\\n'); sys.exit(3)\n", 3, "last line | exit code 3"),
        (MAIN + "os.abort()\n", -6, "Fatal Python error: Aborted"),
        (MAIN + "return 0\n", 0, ""),
    ],
    ids=["import", "syntax", "exception", "exit code", "sys.exit", "signal", "well"],
)
def test_crashed_release_leaves_a_crash_report(tmp_path: Path, main: str, code: int, said: str) -> None:
    returned, left = run_slot(tmp_path, main)
    assert returned == code
    reason = add_crash_report("it died", "", left)
    assert said in reason
    assert (reason == "it died") is (code == 0)


def test_crash_report_fits_the_clouds_error_message() -> None:
    crash = "Traceback\n" + "  File x\n" * 50 + "\x1b[2JValueError: " + "long " * 500
    reason = add_crash_report("it was started as often as it may be", "crashed exit code 1", crash)
    assert reason.startswith(
        "it was started as often as it may be; its last process ended: crashed exit code 1; its last output"
    )
    assert "ValueError" in reason
    assert "\x1b" not in reason
    assert len(reason) <= ERROR_CHARACTERS_MAX
    assert add_crash_report("why", "", "") == "why"


def test_unreadable_crash_report_is_empty(tmp_path: Path) -> None:
    (tmp_path / crash_file_name("a")).mkdir()
    assert read_crash_report(tmp_path, "a", Disk()) == ""
    assert read_crash_report(tmp_path, "b", Disk()) == ""
