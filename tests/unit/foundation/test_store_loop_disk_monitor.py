import asyncio
import contextlib
from pathlib import Path

import pytest

from agent.foundation.disk import Disk
from agent.foundation.store_loop import LOOK_S, DiskMonitor
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
    watch = DiskMonitor(Path("/state"), disk=Ailing(), worker=InlineWorker())
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
