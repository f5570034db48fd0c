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

UNCOVERED = ("browser", "fuzz", "simulation", "replay")
"""Directories whose tests run without the coverage tracer, which would double their time. The other tests cover the
code; these check whole hubs. So do those that are marked slow, and `make check` measures without them anyway."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    directories = [tests / name for name in UNCOVERED]
    for directory in directories:
        if not directory.is_dir():
            raise pytest.UsageError(f"{directory} is gone: correct UNCOVERED in {__file__}")
    for item in items:
        is_slow = item.get_closest_marker("slow") is not None
        if is_slow or any(item.path.is_relative_to(directory) for directory in directories):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True)
def _restore_log_level() -> Iterator[None]:
    """Undo what a hub in the test's own process has set."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
