"""Looks at the disk of the state directory now and then, so that what is wrong is known before the next write fails.

Writes nothing: it finds a disk that is full, read-only or gone; errors of the medium are found by those who write.
"""

import asyncio
import logging
from pathlib import Path

from agent.foundation.disk import Disk
from agent.foundation.problem_log import ProblemLog
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

LOOK_S = 10.0
"""A look is two system calls, on the worker: a disk that hangs must not hold up the loop."""


class DiskMonitor:
    """The loop that looks."""

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker) -> None:
        """Prepare.

        Args:
            directory: The state directory.
            disk: Knows what can be wrong.
            worker: Where looking blocks.
        """
        self._directory = directory
        self._disk = disk
        self._worker = worker
        self._log = ProblemLog(_log, "nothing can be kept")

    @property
    def problem(self) -> str:
        """Why nothing can be kept; empty where nothing is known against it."""
        return self._log.text

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            problem = await self._worker.run(lambda: self._disk.problem_of(self._directory))
            if problem:
                self._log.report(problem)
            else:
                self._log.clear()
            await asyncio.sleep(LOOK_S)
