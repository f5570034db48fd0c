"""Searches for garbage while the daemon is imported: counted, since no test may measure what they cost."""

import subprocess
import sys
from pathlib import Path

PROBE = """
import gc, sys
searches, usual = [], gc.get_threshold()

def count(phase, info):
    is_imported = hasattr(sys.modules.get("agent.daemon"), "main")
    if phase == "start" and not is_imported:
        searches.append(info["generation"])

gc.callbacks.append(count)
from agent import __main__
sys.argv = ["climahub", "run", "--config", sys.argv[1]]
try:
    __main__.main()
except SystemExit as end:
    print(end.code, len(searches), gc.get_freeze_count(), gc.get_threshold() == usual)
"""


def test_the_daemon_is_imported_with_few_searches_for_garbage_and_is_never_searched(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    done = subprocess.run([sys.executable, "-c", PROBE, str(missing)], check=True, capture_output=True, text=True)
    assert "missing.toml" in done.stderr
    code, searches, frozen, is_as_usual = done.stdout.split()
    assert (code, is_as_usual) == ("78", "True")
    assert int(searches) <= 20  # 123 with the usual threshold; most are before its first import
    assert int(frozen) >= 40_000
