"""The figures of benches that are run by turns."""

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

SPEC = importlib.util.spec_from_file_location("paired", Path(__file__).parents[1] / "bench" / "paired.py")
assert SPEC is not None
assert SPEC.loader is not None
paired: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(paired)


def test_every_number_of_a_document_is_a_figure() -> None:
    document = {"a": {"b": 1, "c": "text", "d": True, "e": None}, "f": [2.5, {"g": 3}]}
    assert paired.figures_of(document) == {"a.b": 1.0, "f.0": 2.5, "f.1.g": 3.0}


def test_a_bench_may_print_a_document_on_each_line() -> None:
    assert paired.parsed('{\n"a": 1\n}') == {"a": 1}
    assert paired.parsed('{"a": 1}\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]


def test_runs_are_shown_by_median_and_range() -> None:
    runs = [{"x": 1.0}, {"x": 9.0, "y": 2.0}, {"x": 2.0}]
    assert paired.summary(runs) == {
        "x": {"median": 2.0, "range": [1.0, 9.0]},
        "y": {"median": 2.0, "range": [2.0, 2.0]},
    }


def test_revisions_are_compared_by_the_ratio_of_their_medians() -> None:
    before = [{"x": 10.0, "gone": 1.0, "zero": 0.0}, {"x": 30.0, "zero": 0.0}, {"x": 20.0, "zero": 0.0}]
    after = [{"x": 5.0, "new": 1.0, "zero": 1.0}]
    assert paired.comparison(before, after) == {
        "x": {"before": 20.0, "after": 5.0, "ratio": 0.25},
        "zero": {"before": 0.0, "after": 1.0, "ratio": None},
    }


def test_a_bench_of_the_other_tree_runs_on_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("one", 1), ("two", 2)):
        bench = tmp_path / name / "tests" / "bench"
        bench.mkdir(parents=True)
        (tmp_path / name / "measured_code.py").write_text(f"VALUE = {value}\n")
    script = "import json, measured_code\nprint(json.dumps({'value': measured_code.VALUE}))\n"
    (tmp_path / "two" / "tests" / "bench" / "bench_value.py").write_text(script)
    monkeypatch.setattr(paired, "TREE", tmp_path / "two")
    assert paired.run_bench(tmp_path / "two", "bench_value", []) == {"value": 2.0}
    # The older tree has no such bench yet.
    assert paired.run_bench(tmp_path / "one", "bench_value", []) == {"value": 1.0}
    with pytest.raises(subprocess.CalledProcessError):
        paired.run_bench(tmp_path / "one", "bench_missing", [])
