"""The machine is watched: a disk in trouble is logged once, room and supply are known."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from agent.foundation.disk import Disk
from agent.foundation.machine_monitor import LOOK_S, MachineMonitor
from agent.foundation.system_info import Power
from agent.foundation.worker import InlineWorker
from lab.simulation.virtual_loop import VirtualLoop


class Ailing(Disk):
    """A disk with a problem from the second look to the fourth."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def problem_of(self, directory: Path) -> str:
        self.looks += 1
        return f"the disk of {directory} is full" if 2 <= self.looks <= 4 else ""


def test_full_disk_is_detected_before_a_write_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = MachineMonitor(Path("/state"), disk=Ailing(), worker=InlineWorker())
    problems: list[str] = []

    async def look() -> None:
        task = asyncio.get_running_loop().create_task(watch.run())
        for _ in range(6):
            await asyncio.sleep(LOOK_S)
            problems.append(watch.problem)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    loop = VirtualLoop()
    loop.run_until_complete(look())
    loop.close()
    full = "the disk of /state is full"
    assert [problem for problem in problems if problem] == [full] * 3
    assert problems[-1] == ""
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"nothing can be kept: {full}"
    ]


class Leaving(Disk):
    """A disk that is gone at the second look."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def free_bytes(self, directory: Path) -> int:
        self.looks += 1
        if self.looks == 2:
            raise FileNotFoundError(directory)
        return self.looks


def test_room_and_supply_are_read_at_each_look(tmp_path: Path) -> None:
    low = Power(now=("under_voltage",))
    found = [Power(is_mains_off=True), low, low, low]
    watch = MachineMonitor(tmp_path, disk=Leaving(), worker=InlineWorker(), read_power=lambda: found.pop(0))
    assert (watch.free_bytes, watch.power) == (None, Power())
    seen: list[tuple[int | None, Power]] = []

    async def look() -> None:
        task = asyncio.get_running_loop().create_task(watch.run())
        await asyncio.sleep(LOOK_S / 2)
        for _ in range(3):
            seen.append((watch.free_bytes, watch.power))
            await asyncio.sleep(LOOK_S)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    loop = VirtualLoop()
    loop.run_until_complete(look())
    loop.close()
    assert [free for free, _ in seen] == [1, None, 3]
    assert [power for _, power in seen] == [Power(is_mains_off=True), low, low]
