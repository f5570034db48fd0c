"""What wakes the processor of a hub that is left alone: counted in virtual time, for each function that sets timers.

A wake-up costs a hub some 0.2 ms of processor time, whatever it does: 1,000 an hour are a third of its goal.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from lab.simulation.options import Options
from lab.simulation.run import simulate
from lab.simulation.virtual_loop import VirtualLoop

AGENT = str(Path(__file__).parents[2] / "agent")
WAITS = {str(Path(AGENT) / "foundation" / name) for name in ("beat.py", "signals.py")}

PER_HOUR = {
    "CommandPoller._next_due_ms": 60,
    "CommandService._watch_storage": 60,
    "DataUsageLog.run": 6,
    "Health.feed_watchdog": 120,
    "Intake.run": 60,
    "MachineMonitor.run": 120,
    "Sampler._wait_for_tick": 60,
    "SettingsSync._fetch_loop": 6,
    "StorageWritesLog.run": 6,
    "TelemetryService._maintain": 12,
    "Uplink._claim": 25,
}
"""By the innermost function of the agent, `Signal.wait` and `next_beat` apart. The sensors report each minute."""

SELDOM_PER_HOUR = 2
"""Of functions that the table does not name, together with retries of the start."""


def test_hub_that_is_left_alone_wakes_for_nothing_but_this(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: Counter[str] = Counter()
    call_at = VirtualLoop.call_at

    def counted(
        loop: VirtualLoop, when: float, callback: object, *arguments: object, context: object = None
    ) -> asyncio.TimerHandle:
        name = innermost(sys._getframe(1))

        def run(*given: object) -> None:
            fired[name] += 1
            callback(*given)  # type: ignore[operator] # any callable

        return call_at(loop, when, run, *arguments, context=context)  # type: ignore[arg-type] # as it was given

    monkeypatch.setattr(VirtualLoop, "call_at", counted)
    verdict = simulate(Options(days=0.125, sensors=7, faults="none", commands=()))
    assert verdict.violations == []
    hours = verdict.virtual_s / 3600
    per_hour = {name: count / hours for name, count in fired.items() if name}
    assert {name for name, rate in per_hour.items() if rate > SELDOM_PER_HOUR} == set(PER_HOUR)
    too_often = {name: rate for name, rate in per_hour.items() if rate > 1.05 * PER_HOUR.get(name, SELDOM_PER_HOUR)}
    assert too_often == {}


def innermost(frame: FrameType | None) -> str:
    """Return the agent's function that asked for a timer; empty where none did."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(AGENT) and path not in WAITS:
            return frame.f_code.co_qualname
        frame = frame.f_back
    return ""
