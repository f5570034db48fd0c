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
BEAT = str(Path(AGENT) / "foundation" / "beat.py")
WAITS = {BEAT, str(Path(AGENT) / "foundation" / "signals.py")}

PER_HOUR = {
    "CommandPoller._next_due_ms": 60,
    "CommandService._watch_storage": 60,
    "DataUsageLog.run": 6,
    "Health.feed_watchdog": 120,
    "Intake.run": 60,
    "MachineMonitor.run": 60,
    "Sampler._wait_for_tick": 60,
    "SettingsSync._fetch_loop": 6,
    "StorageWritesLog.run": 6,
    "TelemetryService._maintain": 12,
    "Uplink._claim": 25,
}
"""By the innermost function of the agent, `Signal.wait` and `next_beat` apart. The sensors report each minute."""

ON_BEAT = {
    "CommandService._watch_storage",
    "DataUsageLog.run",
    "Health.feed_watchdog",
    "MachineMonitor.run",
    "StorageWritesLog.run",
    "TelemetryService._maintain",
}
"""Loops whose timers end together: 264 of 470 an hour in 120 moments."""

SELDOM_PER_HOUR = 2
"""Of functions that the table does not name, together with retries of the start."""


def test_hub_that_is_left_alone_wakes_for_nothing_but_this(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: Counter[str] = Counter()
    on_beat: Counter[str] = Counter()
    call_at = VirtualLoop.call_at

    def counted(
        loop: VirtualLoop, when: float, callback: object, *arguments: object, context: object = None
    ) -> asyncio.TimerHandle:
        name, waits_for_beat = innermost(sys._getframe(1))

        def run(*given: object) -> None:
            fired[name] += 1
            on_beat[name] += waits_for_beat
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
    assert {name for name in per_hour if on_beat[name] / fired[name] > 1 / 2} == ON_BEAT


def innermost(frame: FrameType | None) -> tuple[str, bool]:
    """Return the agent's function that asked for a timer, and whether it waits for a beat; empty where none did."""
    waits_for_beat = False
    while frame is not None:
        path = frame.f_code.co_filename
        waits_for_beat |= path == BEAT
        if path.startswith(AGENT) and path not in WAITS:
            return frame.f_code.co_qualname, waits_for_beat
        frame = frame.f_back
    return "", False
