"""Runs components of the APIs beside a simulated hub, in each of its processes: in virtual time no API is served."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent import app
from lab.simulation.machine import PowerCut

LOOK_S = 1.0


async def serve_each_process(
    hub: Callable[[], app.Hub | None],
    serve: Callable[[app.Hub], Coroutine[Any, Any, None]],
    *,
    on_power_cut: Callable[[], None],
) -> None:
    """Serve until cancelled, anew in each process.

    Args:
        hub: Returns the hub whose process runs; `None` between two.
        serve: Cancelled when its process has ended.
        on_power_cut: Called when the machine stops at an operation of what serves.
    """
    while True:
        present = hub()
        if present is None or present.climate is None:
            await asyncio.sleep(LOOK_S)
            continue
        call = asyncio.get_running_loop().create_task(serve(present))
        try:
            while hub() is present and not call.done():
                await asyncio.wait({call}, timeout=LOOK_S)
        finally:
            call.cancel()
            await asyncio.wait({call})
        error = None if call.cancelled() else call.exception()
        if isinstance(error, PowerCut):
            on_power_cut()
            await asyncio.sleep(LOOK_S)
        elif error is not None:
            raise error


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
