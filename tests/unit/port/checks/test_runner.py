"""A run is complete and in time, whatever hangs or breaks."""

import asyncio
import threading

import pytest

from agent.foundation.shutdown import DaemonThreadExecutor
from agent.port.checks import runner
from agent.port.checks.facts import Agent, Facts, Missing
from agent.port.checks.report import Outcome
from agent.port.checks.runner import CheckRunner, Probe, ThreadReads, gather_facts, immediate


async def never() -> None:
    await asyncio.Event().wait()


async def breaks(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(5, "Input/output error", "/sys/x"), "/sys/x: Input/output error"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (ValueError("no number"), "no number"),
        (ValueError(), "ValueError"),
        (KeyError("defect"), "KeyError: 'defect'"),
    ],
)
async def test_error_of_a_probe_affects_its_own_fact_only(error: Exception, reason: str) -> None:
    facts = await gather_facts([Probe("disk", lambda: breaks(error)), immediate("agent", lambda: Agent(""))])
    assert facts.disk == Missing(reason)
    assert facts.agent == Agent("")


async def test_hanging_probe_costs_its_own_time_and_fact() -> None:
    facts = await gather_facts([Probe("disk", never, 0.05), Probe("memory", never, 0.05)])
    assert facts.disk == Missing("no answer within 0.05 s")


async def test_a_read_that_hangs_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PROBE_S_MAX", 0.05)
    release, started = threading.Event(), []

    def hang() -> str:
        started.append(True)
        release.wait(10)
        return "done"

    reads = ThreadReads()
    probe = Probe("disk", reads.probe("disk", hang).read, 0.05)
    try:
        first = await gather_facts([probe])
        second = await gather_facts([probe])
    finally:
        release.set()
    assert first.disk == Missing("no answer within 0.05 s")
    assert second.disk == Missing("an earlier read has not returned yet: disk, driver or name server hang")
    assert len(started) == 1
    async with asyncio.timeout(5):
        while (found := await gather_facts([probe])).disk != "done":  # noqa: ASYNC110 - the thread has no event
            await asyncio.sleep(0.01)
    assert found.disk == "done"


async def test_concurrent_requests_share_one_run() -> None:
    runs = []

    async def read() -> Agent:
        runs.append(True)
        await asyncio.sleep(0)
        return Agent("")

    checks = CheckRunner(lambda: [Probe("agent", read)])
    one, other = await asyncio.gather(checks.run(), checks.run())
    assert one is other
    assert len(runs) == 1
    checks.forget()
    assert await checks.run() is not one
    assert len(runs) == 2
    assert {each.outcome for each in one.checks} == {Outcome.UNKNOWN, Outcome.PASS, Outcome.WARN}


def test_every_fact_can_be_missing() -> None:
    assert all(isinstance(getattr(Facts(), name), Missing) for name in Facts.__struct_fields__)


def test_the_limits_keep_all_checks_within_ten_seconds() -> None:
    from agent.port.checks.cloud_probe import LAYER_S_MAX  # noqa: PLC0415 - one test

    assert max(runner.CLOUD_S_MAX, runner.PROBE_S_MAX) < 10
    assert 4 * LAYER_S_MAX < runner.CLOUD_S_MAX


async def test_reads_that_hang_leave_the_hubs_own_threads_alone() -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonThreadExecutor(4))
    release, reads = threading.Event(), ThreadReads()
    facts = ("disk", "wear", "mounts", "stores", "secrets", "unit")
    try:
        await gather_facts([Probe(fact, reads.probe(fact, release.wait).read, 0.05) for fact in facts])
        async with asyncio.timeout(5):
            assert await loop.run_in_executor(None, lambda: "an address") == "an address"
    finally:
        release.set()
