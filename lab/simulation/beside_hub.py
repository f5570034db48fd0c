"""Runs components of the APIs beside a simulated hub, in each of its processes: in virtual time no API is served.

What runs there judges the hub by what it shows, over power cuts, and must never help it along.
"""

import abc
import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from agent import app
from lab.simulation.machine import PowerCut
from lab.simulation.observers import Violate

LOOK_S = 1.0


class SimulatedHub(msgspec.Struct, frozen=True):
    """What is at hand beside a hub.

    Attributes:
        present: Returns the hub whose process runs; `None` between two.
        now_s: Virtual time.
        on_power_cut: Called when the machine stops at an operation of what runs beside the hub.
        violate: Receives each broken promise: seconds, promise, detail.
        counts: How often each thing happened.
    """

    present: Callable[[], app.Hub | None]
    now_s: Callable[[], float]
    on_power_cut: Callable[[], None]
    violate: Violate
    counts: Counter[str]


class BesideHub(abc.ABC):
    """Something that serves beside the hub, anew in each process, and keeps its own account of what was promised."""

    def __init__(self, rng: random.Random, hub: SimulatedHub) -> None:
        """Prepare.

        Args:
            rng: Decides everything.
            hub: The hub, and where broken promises go.
        """
        self._rng = rng
        self._hub = hub.present
        self._now_s = hub.now_s
        self._on_power_cut = hub.on_power_cut
        self._violate = hub.violate
        self._counts = hub.counts

    @abc.abstractmethod
    def forget(self) -> None:
        """The hub was reset: it has promised nothing any more."""

    @abc.abstractmethod
    async def _serve(self, hub: app.Hub) -> None:
        """Serve in one process; cancelled when that has ended."""

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            present = self._hub()
            if present is None or present.climate is None:
                await asyncio.sleep(LOOK_S)
                continue
            call = asyncio.get_running_loop().create_task(self._serve(present))
            try:
                while self._hub() is present and not call.done():
                    await asyncio.wait({call}, timeout=LOOK_S)
            finally:
                call.cancel()
                await asyncio.wait({call})
            error = None if call.cancelled() else call.exception()
            if isinstance(error, PowerCut):
                self._on_power_cut()
                await asyncio.sleep(LOOK_S)
            elif error is not None:
                raise error

    def _report(self, promise: str, detail: str) -> None:
        self._violate(self._now_s(), promise, detail)


async def run_together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run loops until one fails, and raise what ended it; of a group of errors, the first."""
    tasks = {asyncio.get_running_loop().create_task(each) for each in loops}
    try:
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                _raise_first(task)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _raise_first(task: asyncio.Task[None]) -> None:
    error = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error
