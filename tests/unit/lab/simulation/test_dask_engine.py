"""What a worker of a cluster does with one seed. Real workers: tests/integration/test_campaign_on_dask.py."""

from pathlib import Path

import msgspec
import pytest

from lab.simulation import dask_engine
from lab.simulation.dask_engine import Answer, differences, environment, run_seed, sources_digest


def test_a_worker_with_another_environment_does_not_begin() -> None:
    wanted = {**environment(), "sources": "0123456789ab"}
    answer = msgspec.json.decode(run_seed(wanted, b"not even read"), type=Answer)
    assert answer == Answer(differences=[f"sources {environment()['sources']}, not 0123456789ab"])


def test_a_simulation_that_raises_is_reported_with_its_traceback() -> None:
    answer = msgspec.json.decode(run_seed(environment(), b"no options"), type=Answer)
    assert answer.verdict is None
    assert not answer.differences
    assert "Traceback" in answer.failure
    assert "UnpicklingError" in answer.failure


def test_differences_name_what_is_missing_too() -> None:
    assert differences({"Python": "3.11"}, {"Python": "3.12", "aiohttp": "3.14.5"}) == [
        "Python 3.11, not 3.12",
        "aiohttp missing, not 3.14.5",
    ]
    assert differences({"Python": "3.11", "extra": "1"}, {"Python": "3.11"}) == []


@pytest.mark.parametrize("changed", ["agent/one.py", "hal/part/two.py", "lab/three.py"])
def test_the_digest_of_sources_knows_each_file_by_content_and_name(tmp_path: Path, changed: str) -> None:
    for each in ("agent/one.py", "hal/part/two.py", "lab/three.py"):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text("x = 1\n")
    digest = sources_digest(tmp_path)
    (tmp_path / "lab" / "notes.txt").write_text("no source")
    assert sources_digest(tmp_path) == digest
    (tmp_path / changed).write_text("x = 2\n")
    other = sources_digest(tmp_path)
    (tmp_path / changed).write_text("x = 1\n")
    (tmp_path / changed).rename(tmp_path / changed.replace(".py", "_renamed.py"))
    assert len({digest, other, sources_digest(tmp_path)}) == 3


def test_the_sources_are_those_that_run() -> None:
    assert Path(dask_engine.__file__).is_relative_to(dask_engine.TREE)
    assert (dask_engine.TREE / "agent" / "__init__.py").exists()
