"""A hub in this process whose decisions are timed, for benches of how late control comes.

Decisions are asked for every 100 ms in place of 10 s: what comes later than that is jitter.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.app import Hub

TICK_S = 0.1
ZONES = '[climate]\nheat_source = "heat_pump"\nzones = [{ id = "living", sensors = ["sim/temperature"] }]\n'
"""What the hub heats; part of every bench's configuration."""


class WatchedHub:
    """A running hub.

    Attributes:
        hub: It.
        decided_s: When control decided, by `time.perf_counter`; may be cleared.
    """

    def __init__(self, hub: "Hub") -> None:
        self.hub = hub
        self.decided_s: list[float] = []

    def take_late_ms(self) -> list[float]:
        """Return how late each decision since the last call came, in order of lateness; 0 where none did."""
        late_ms = sorted(1000 * (other - one - TICK_S) for one, other in pairwise(self.decided_s))
        self.decided_s.clear()
        return late_ms or [0.0]


@contextlib.asynccontextmanager
async def watched_hub(
    text: str, directory: Path, *, key: str, serve: bool, tick_s: float = TICK_S
) -> AsyncIterator[WatchedHub]:
    """Run a hub.

    Args:
        text: Its configuration, without `state_dir` and `run_dir`; the section `[storage]` comes last.
        directory: Keeps its state.
        key: Its key at the cloud.
        serve: Whether it listens.
        tick_s: How often it decides.
    """
    from agent import app, environment  # noqa: PLC0415 - a bench may have changed what they read at import
    from agent.climate import service  # noqa: PLC0415
    from agent.cloud.quota import QuotaLedger  # noqa: PLC0415
    from agent.cloud.session import new_session, tcp_connector  # noqa: PLC0415
    from agent.config import resolve_text  # noqa: PLC0415
    from agent.foundation.clock import SystemClock  # noqa: PLC0415
    from agent.foundation.disk import Disk  # noqa: PLC0415
    from agent.foundation.host import Unmanaged  # noqa: PLC0415
    from agent.foundation.worker import ThreadWorker  # noqa: PLC0415

    service.DECISION_INTERVAL_S = tick_s
    text += 'state_dir = "state"\nrun_dir = "run"\ndisk_free_bytes_min = 0\n'
    config = resolve_text(text, file="bench", directory=directory, environ={}).config
    for path in (config.storage.state_dir, config.storage.run_dir):
        path.mkdir(exist_ok=True)
    clock, worker = SystemClock(trust_wall_clock=True), ThreadWorker("storage")
    async with new_session(tcp_connector(None), user_agent="climahub/bench") as session:
        given = environment.Environment(
            board=environment.make_board(config.board, clock),
            clock=clock,
            rng=random.Random(1),
            disk=Disk(),
            worker=worker,
            session=session,
            ledger=QuotaLedger(None, clock.boot_id),
            read_key=lambda: key,
            sensor_keys={},
            host=Unmanaged(),
            check_for=environment.check_for,
            serve=serve,
        )
        watched = WatchedHub(app.Hub(config, given))
        climate = watched.hub.climate
        if climate is None:
            raise RuntimeError("the bench's hub drives nothing: give it ZONES")
        step = climate.control.step

        def noted(*arguments: object, **named: object) -> object:
            watched.decided_s.append(time.perf_counter())
            return step(*arguments, **named)  # type: ignore[arg-type] # as it was called

        climate.control.step = noted  # type: ignore[method-assign, assignment]
        stop = asyncio.Event()
        task = asyncio.get_running_loop().create_task(watched.hub.run(stop))
        try:
            yield watched
        finally:
            stop.set()
            await task
    worker.close()
