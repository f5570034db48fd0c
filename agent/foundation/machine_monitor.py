"""Watches the machine below the agent: the disk of the state directory, and the supply.

Finds a disk that is full, read-only or gone before the next write fails; errors of the medium are found by whoever
writes. Writes nothing.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from agent.foundation.beat import next_beat
from agent.foundation.disk import Disk
from agent.foundation.log import ProblemLog
from agent.foundation.system_info import Power
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

LOOK_S = 60.0
"""A look is a few system calls, on the worker: a disk that hangs must not hold up the loop. The two wake-ups cost more
than the calls, and readings find a disk that takes nothing within ten seconds themselves."""


class MachineMonitor:
    """The loop that looks.

    Attributes:
        free_bytes: The room on the disk of the state directory; `None` before the first look, and where it fails.
        power: What the machine reports of its supply.
    """

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker, read_power: Callable[[], Power] = Power) -> None:
        """Prepare.

        Args:
            directory: The state directory.
            disk: Knows what can be wrong.
            worker: Where looking blocks.
            read_power: Returns what the machine reports of its supply; blocks.
        """
        self._directory = directory
        self._disk = disk
        self._worker = worker
        self._read_power = read_power
        self._log = ProblemLog(_log, "nothing can be kept")
        self.free_bytes: int | None = None
        self.power = Power()

    @property
    def problem(self) -> str:
        """Why nothing can be kept; empty where nothing is known against it."""
        return self._log.text

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            problem, self.free_bytes, self.power = await self._worker.run(self._look)
            if problem:
                self._log.report(problem)
            else:
                self._log.clear()
            await next_beat(LOOK_S)

    def _look(self) -> tuple[str, int | None, Power]:
        problem = self._disk.problem_of(self._directory)
        try:
            free_bytes = self._disk.free_bytes(self._directory)
        except OSError:
            free_bytes = None
        return problem, free_bytes, self._read_power()
