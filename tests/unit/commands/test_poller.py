"""When the poller asks the cloud, in virtual time."""

import asyncio
import random
from typing import cast

import pytest

from agent.cloud.client import CommandsClient
from agent.cloud.contract import Endpoint
from agent.commands.journal import CommandJournal
from agent.commands.poller import LOOK_S, CommandPoller
from agent.foundation.clock import Now
from lab.simulation.virtual_loop import VirtualLoop


class Bench:
    """A poller whose interval can be changed, and a cloud that notes when it is asked."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.interval_s = 60.0
        self.polled_s: list[float] = []
        self.poller = CommandPoller(
            cast("CommandsClient", self),
            now=lambda: Now("boot", round(self.loop.time() * 1000), None),
            rng=random.Random(1),
            interval_s=lambda: self.interval_s,
        )

    async def ready(self, endpoint: Endpoint) -> None:
        assert endpoint is Endpoint.COMMANDS_PENDING

    async def get_pending_commands(self) -> list[bytes]:
        self.polled_s.append(self.loop.time())
        return []

    async def add(self, arrivals: object, now: Now) -> int:
        del arrivals, now
        return 0

    def run(self, seconds: float) -> None:
        async def work() -> None:
            task = asyncio.create_task(self.poller.run(cast("CommandJournal", self)))
            await asyncio.sleep(seconds)
            task.cancel()

        self.loop.run_until_complete(work())
        self.loop.close()


def test_polls_come_at_the_interval_from_a_phase_on() -> None:
    bench = Bench()
    bench.run(600.0)
    first_s, *others_s = bench.polled_s
    assert 0 < first_s < 60
    assert others_s == pytest.approx([first_s + 60 * n for n in range(1, 10)][: len(others_s)])
    assert len(others_s) >= 8


@pytest.mark.parametrize("is_reported", [True, False])
def test_who_arrives_during_a_long_pause_waits_for_a_short_one_at_most(is_reported: bool) -> None:
    bench = Bench()
    bench.interval_s = 3600.0

    def arrive() -> None:
        bench.interval_s = 15.0
        if is_reported:
            bench.poller.look_at_interval()

    bench.loop.call_later(5000.0, arrive)
    bench.run(6000.0)
    before_s = max(at_s for at_s in bench.polled_s if at_s < 5000)
    after_s = [at_s for at_s in bench.polled_s if at_s >= 5000]
    assert before_s < 5000 - 15
    assert after_s[0] <= 5000 + 15 + (0 if is_reported else LOOK_S)
    assert len(after_s) >= 60


def test_who_leaves_ends_the_frequent_polls() -> None:
    bench = Bench()
    bench.interval_s = 15.0
    bench.loop.call_later(300.0, setattr, bench, "interval_s", 60.0)
    bench.run(900.0)
    assert 18 <= len([at_s for at_s in bench.polled_s if at_s < 300]) <= 21
    assert 9 <= len([at_s for at_s in bench.polled_s if at_s >= 300]) <= 11


def test_the_interval_is_looked_at_once_for_each_poll_each_minute() -> None:
    bench = Bench()
    looks = 0

    def interval_s() -> float:
        nonlocal looks
        looks += 1
        return 60.0

    bench.poller._interval_s = interval_s
    bench.run(3600.0)
    assert len(bench.polled_s) <= looks <= len(bench.polled_s) + 2
