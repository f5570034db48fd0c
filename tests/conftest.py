"""For all tests: in CI, hypothesis tries the same examples each time, so that a landing does not hang on luck.

Locally it looks for new ones; what it finds is pinned with `@example` or a test of its own.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a slow moment of a busy machine is not a defect. How fast things are is measured in tests/bench.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
else:
    settings.load_profile("local")

UNCOVERED = (
    "browser",
    "fuzz",
    "simulation",
    "replay",
    "unit/climate/test_controller.py",
    "unit/climate/test_exercise.py",
    "unit/climate/test_flow_temperature.py",
    "unit/climate/test_sensor_habits.py",
    "unit/climate/test_snapshot.py",
    "unit/climate/test_stuck_sensor.py",
    "unit/lab/comfort/test_mornings.py",
)
"""Tests that run without the coverage tracer, which makes what computes much two to four times slower: those of whole
hubs, and those that drive a house through days. The other tests cover the code. Those that are marked slow run without
it too, and `make check` measures without them anyway. Where several cases of a test run the same lines for seconds, one
is traced, and the others have the mark `no_cover`. On further Pythons `.ci/run` leaves out what is not traced."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop the first of the two tracers that pytest-cov 7.1 starts in each worker: `no_cover` stops only the second."""
    plugin = session.config.pluginmanager.get_plugin("_cov")
    if hasattr(session.config, "workerinput") and plugin is not None and plugin.cov_controller is not None:
        plugin.cov_controller.cov.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    uncovered = [tests / name for name in UNCOVERED]
    for path in uncovered:
        if not path.exists():
            raise pytest.UsageError(f"{path} is gone: correct UNCOVERED in {__file__}")
    # Once a file, not once a test: there are twenty tests in a file, and each worker asks.
    files = {item.path for item in items}
    uncovered_files = {file for file in files if any(file.is_relative_to(path) for path in uncovered)}
    for item in items:
        if item.path in uncovered_files or item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="module", autouse=True)
def _restore_log_level_of_module() -> Iterator[None]:
    """Undo what a hub has set that a fixture of the module has run: that comes before the fixtures of a test."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture(autouse=True)
def _restore_log_level() -> Iterator[None]:
    """Undo what a hub in the test's own process has set."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
