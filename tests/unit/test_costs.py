"""What `tests/costs.py` counts and prints."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import costs

BUSY = """
import subprocess, sys, time

SPIN = "import time\\nwhile time.process_time() < 0.3: pass"

def test_itself():
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass

def test_child():
    subprocess.run([sys.executable, "-c", SPIN], check=True)
"""


def test_directories_and_the_dearest_tests_are_named_with_their_sums() -> None:
    measured = {"tests/unit/a/b/test_x.py::test_1[tests::9]": 1.0, "tests/unit/a/test_y.py::test_2": 3.0}
    measured |= {f"tests/fuzz/test_z.py::test_{number}": 0.01 for number in range(100)}
    lines = costs.summary(measured)
    assert lines[:3] == ["     5.0 in all, of 102 tests", "     4.0 tests/unit/a", "     1.0 tests/fuzz"]
    assert lines[3:5] == [
        "     3.0 tests/unit/a/test_y.py::test_2",
        "     1.0 tests/unit/a/b/test_x.py::test_1[tests::9]",
    ]
    assert len(lines) == 3 + costs.DEAREST


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_process_and_its_children_count_in_each_worker(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_busy.py").write_text(BUSY)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.costs", "-n", workers, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: float(cost) for cost, name in re.findall(r"^ *([\d.]+) .*::(test_\w+)$", done.stdout, re.MULTILINE)}
    assert found["test_itself"] >= 0.2
    assert found["test_child"] >= 0.3
