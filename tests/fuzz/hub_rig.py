"""A whole hub in virtual time whose cloud is hostile: whatever it answers, no loop of the hub is ever started again."""

import asyncio
import itertools
import logging
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent import app, environment
from agent.cli.status import as_text
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session
from agent.commands import factory_reset
from agent.config import resolve_text
from agent.foundation.disk import Disk
from agent.foundation.text import escape_lines
from agent.foundation.worker import InlineWorker
from agent.ota.context import RunningRelease
from lab.simulation.machine import SimulatedHost
from lab.simulation.virtual_loop import MemoryConnector, VirtualLoop
from tests.fuzz.cloud_rig import KEY, Hostile, LoopClock

CONFIG = """
cloud.base_url = "http://127.0.0.1:1"
cloud.batch_linger_s = 0
board.name = "sim"
storage.state_dir = "{directory}"
storage.run_dir = "{directory}"
ota.check_interval_s = 60
ota.spread_s = 0
"""

LIFE_S = 1800.0
"""Virtual. Back-offs grow to five minutes, so this is some ten requests to each endpoint."""


class Defects(logging.Handler):
    """Notes what the supervisor caught: a loop that is started again, and work that failed by a defect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note one."""
        self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}" if record.exc_info else record.getMessage())


def live(answers: Mapping[bytes, list[bytes]]) -> int:
    """Let a hub live for half an hour with a cloud that gives these answers by path, over and over.

    Returns:
        How many requests were answered.

    Raises:
        AssertionError: Something was caught by the supervisor, or the status cannot be shown.
    """
    supervisor = logging.getLogger("agent.foundation.supervisor")
    defects = Defects()
    supervisor.addHandler(defects)
    loop = VirtualLoop()
    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
            requests = loop.run_until_complete(_live(loop, Path(directory), answers))
    finally:
        loop.close()
        supervisor.removeHandler(defects)
    assert not defects.found, defects.found
    return requests


async def _live(loop: VirtualLoop, directory: Path, answers: Mapping[bytes, list[bytes]]) -> int:
    config = resolve_text(CONFIG.format(directory=directory), file="test", directory=directory, environ={}).config
    clock, stop = LoopClock(loop), asyncio.Event()
    endless = {path: itertools.cycle(some) for path, some in answers.items()}

    requests = 0

    def answer(head: bytes) -> bytes:
        nonlocal requests
        requests += 1
        path = head.split(b" ", 2)[1].split(b"?")[0]
        if path.startswith(b"/v1/ota/download"):
            path = b"/v1/ota/download"
        return next(endless.get(path, endless[b""]))

    connector = MemoryConnector(lambda: Hostile(answer), random.Random(1), latency_s_max=0.01)
    async with new_session(connector, user_agent="t") as session:
        hub = app.Hub(
            config,
            environment.Environment(
                board=environment.make_board(config.board, clock),
                clock=clock,
                rng=random.Random(1),
                disk=Disk(),
                worker=InlineWorker(),
                session=session,
                ledger=QuotaLedger(None, clock.boot_id),
                read_key=lambda: factory_reset.read_usable_key(directory, Disk(), lambda: KEY),
                sensor_keys={},
                host=SimulatedHost(lambda _: stop.set()),
                check_for=environment.check_for,
                is_metered=lambda: False,
                serve=False,
                restart=stop.set,
                running=RunningRelease("1.0.0", "base", 1, "simulated", "", stop.set, InlineWorker()),
            ),
        )
        task = loop.create_task(hub.run(stop))
        await asyncio.wait({task}, timeout=LIFE_S)
        status = hub.status()
        shown = as_text(status)
        assert escape_lines(shown) == shown, shown
        msgspec.json.encode(status)
        stop.set()
        await task
    return requests
