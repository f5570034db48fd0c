"""The control ends before the machine is powered off, with its outputs off, and begins again where nothing happened."""

import asyncio
import contextlib

import pytest

from agent.machine.interruption import Interruptible


class Control:
    """Notes what it does; ends slowly, as outputs do."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    async def run(self) -> None:
        self.notes.append("on")
        try:
            await asyncio.Event().wait()
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            self.notes.append("off")


async def test_the_loop_has_ended_within_the_block_and_runs_again_after_it() -> None:
    control, heating = Control(), Interruptible()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(heating.run(control.run))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        async with heating.interrupted():
            assert control.notes == ["on", "off"]
            await asyncio.sleep(0)
            assert control.notes == ["on", "off"]
        for _ in range(5):
            await asyncio.sleep(0)
        assert control.notes == ["on", "off", "on"]
        task.cancel()
    assert control.notes == ["on", "off", "on", "off"]


async def test_cancelled_again_and_again_it_still_waits_for_the_end() -> None:
    control, heating = Control(), Interruptible()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(heating.run(control.run))
        for _ in range(3):
            await asyncio.sleep(0)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
    assert control.notes == ["on", "off"]


async def test_cancelled_within_an_interruption_it_does_not_begin_again() -> None:
    control, heating = Control(), Interruptible()

    async def power_off() -> None:
        async with heating.interrupted():
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(heating.run(control.run))]
        for _ in range(3):
            await asyncio.sleep(0)
        tasks.append(group.create_task(power_off()))
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
    assert control.notes == ["on", "off"]


async def test_a_defect_of_the_loop_reaches_its_supervisor() -> None:
    async def fail() -> None:
        raise RuntimeError("a defect")

    heating = Interruptible()
    with pytest.raises(RuntimeError, match="a defect"):
        await heating.run(fail)
    async with heating.interrupted():
        pass


async def test_a_loop_that_returns_is_not_begun_again() -> None:
    async def work() -> None:
        return

    await Interruptible().run(work)
