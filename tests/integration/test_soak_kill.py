"""A slice of the long campaign: the real process, killed ten times while commands and readings flow."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "bench" / "soak_kill.py"


def campaign() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak_kill", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_ten_kills_lose_no_reading_and_repeat_no_command() -> None:
    verdict = campaign().soak(10, 1)
    assert verdict["passed"], verdict
    assert verdict["kills"] == 10
    assert verdict["readings_promised"] > 100
