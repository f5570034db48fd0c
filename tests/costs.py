"""A plugin of pytest that prints where the CPU time goes: `python -m pytest -p tests.costs`, and CI's log.

A test costs what its process computes for it, and the children that were waited for; what is made once for several
tests counts for the first of them. Collecting counts for none. Must change nothing about how the tests run.
"""

import os
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import PurePosixPath

import pytest

DEAREST = 30
DIRECTORY_PARTS = 3
PROPERTY = "cpu_s"

_began_s = pytest.StashKey[float]()
_costs_s = pytest.StashKey[dict[str, float]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_costs_s] = {}
    config.pluginmanager.register(Listener(config.stash[_costs_s]), "costs-listener")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[_began_s] = used_s()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "teardown":
        report.user_properties.append((PROPERTY, used_s() - item.stash[_began_s]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    costs_s: dict[str, float] = config.stash[_costs_s]
    terminalreporter.section("CPU seconds")
    for line in summary(costs_s):
        terminalreporter.write_line(line)


class Listener:
    """Notes what reports say, those of other processes too."""

    def __init__(self, costs_s: dict[str, float]) -> None:
        self._costs_s = costs_s

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, float):
                self._costs_s[report.nodeid] = value


def used_s() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def summary(costs_s: Mapping[str, float]) -> list[str]:
    """Return the sum, that of each directory, and the dearest tests, as lines; the dearest first."""
    directories: Counter[str] = Counter()
    for nodeid, cost_s in costs_s.items():
        parts = PurePosixPath(nodeid.partition("::")[0]).parent.parts
        directories["/".join(parts[:DIRECTORY_PARTS])] += cost_s  # type: ignore[assignment] # counters take floats
    dearest = sorted(costs_s.items(), key=lambda each: -each[1])[:DEAREST]
    return [
        f"{sum(costs_s.values()):8.1f} in all, of {len(costs_s)} tests",
        *(f"{cost_s:8.1f} {name}" for name, cost_s in directories.most_common()),
        *(f"{cost_s:8.1f} {name}" for name, cost_s in dearest),
    ]
