"""Campaigns on a real scheduler with real workers: one is killed, one has other sources, all are gone.

CLIMAHUB_SEEDS=200 pytest -s tests/integration/test_campaign_on_dask.py -k equals    # more seeds than CI takes
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.cli import exit_codes, root
from lab.simulation import dask_engine, run
from lab.simulation.campaign import Campaign, EngineUnavailable, Outcome
from lab.simulation.dask_engine import DaskEngine
from lab.simulation.options import Options
from lab.simulation.verdict import Verdict
from tests.integration.conftest import WAIT_S, until

TREE = Path(__file__).parents[2]
SEEDS = int(os.environ.get("CLIMAHUB_SEEDS", "5"))
OPTIONS = Options(days=0.01, sensors=7, calm_s=300.0)


class Cluster:
    """A scheduler on loopback, and its workers by name.

    Attributes:
        address: Of the scheduler, as `HOST:PORT`, once it has started.
    """

    def __init__(self, directory: Path) -> None:
        self.address = ""
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self) -> None:
        file = self._directory / "scheduler.json"
        self._run("scheduler", "scheduler", "--port", "0", "--scheduler-file", str(file))

        def has_started() -> bool:
            assert self._processes["scheduler"].poll() is None, "the scheduler ended"
            return file.exists() and file.read_bytes().endswith(b"}")

        await until(has_started)
        self.address = msgspec.json.decode(file.read_bytes())["address"].removeprefix("tcp://")

    def add_worker(self, name: str, tree: Path = TREE) -> None:
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self._directory), "--name", name]
        self._run(name, "worker", f"tcp://{self.address}", *options, tree=tree)

    def _run(self, name: str, *arguments: str, tree: Path = TREE) -> None:
        command = [
            sys.executable,
            "-m",
            "dask",
            *arguments,
            "--host",
            "127.0.0.1",
            "--dashboard-address",
            "127.0.0.1:0",
        ]
        environment = os.environ | {"PYTHONPATH": str(tree)}
        with (self._directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(command, cwd=self._directory, env=environment, stderr=log)

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait(timeout=WAIT_S)

    def close(self) -> None:
        for name in list(self._processes):
            self.kill(name)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    with contextlib.closing(Cluster(tmp_path)) as found:
        await found.start()
        yield found


def engine_on(cluster: Cluster, reports: list[str]) -> DaskEngine:
    return DaskEngine(cluster.address, now_s=lambda: 0.0, report=reports.append)


class KillingEngine:
    """Kills a worker right after it was sent a seed, once: the seed cannot have ended.

    Attributes:
        killed: The worker's name.
    """

    def __init__(self, engine: DaskEngine, cluster: Cluster, *, after: int) -> None:
        self._engine, self._cluster, self._left = engine, cluster, after
        self.killed = ""

    def start(self, options: Options) -> bool:
        has_started = self._engine.start(options)
        if has_started and not self.killed:
            *_, (address, _) = self._engine._seeds.values()
            name = self._engine._workers[address]["name"]
            if self._left <= 0 and name != "other":
                self.killed = name
                self._cluster.kill(name)
        return has_started

    def wait(self) -> Sequence[Outcome]:
        outcomes = self._engine.wait()
        self._left -= len(outcomes)
        return outcomes

    def close(self) -> None:
        self._engine.close()


def without_time(verdict: Verdict | None) -> object:
    assert verdict is not None
    return msgspec.json.decode(
        msgspec.json.encode(msgspec.structs.replace(verdict, wall_s=0, virtual_hours_per_wall_s=0))
    )


def test_every_verdict_equals_the_local_one_though_a_worker_is_killed_and_one_is_of_another_revision(
    cluster: Cluster, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for package in ("agent", "hal", "lab"):
        shutil.copytree(TREE / package, other / package)
    with (other / "lab" / "__init__.py").open("a") as source:
        source.write("# another revision\n")
    cluster.add_worker("other", other)
    cluster.add_worker("first")
    cluster.add_worker("second")
    options = [msgspec.structs.replace(OPTIONS, seed=seed) for seed in range(1, SEEDS + 1)]
    reports: list[str] = []
    engine = engine_on(cluster, reports)
    engine._client.wait_for_workers(3, timeout=WAIT_S)
    killing = KillingEngine(engine, cluster, after=SEEDS // 3)
    campaign = Campaign(options, engine=killing, command_for=lambda each: f"--seed {each.seed}", now_s=lambda: 0.0)
    assert len(list(campaign.run())) == SEEDS
    for each in options:
        assert without_time(campaign.results[each.seed].verdict) == without_time(run.simulate(each))
    assert campaign.progress.failed == 0
    shown = [f"{len(campaign.results)} verdicts as the local ones, worker {killing.killed} was killed:", *reports]
    print(*shown, sep="\n  ")  # noqa: T201
    assert sum("is lost: seed" in text for text in reports) == 1, reports
    (refusal,) = (text for text in reports if "is refused" in text)
    assert f"sources {dask_engine.sources_digest(other)}, not {dask_engine.sources_digest(TREE)}" in refusal


def test_a_campaign_without_workers_or_scheduler_says_how_to_start_them(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_engine, "PATIENCE_S", 0.0)
    assert root.run(["simulate", "--seeds", "1..2", "--on", f"dask://{cluster.address}"]) == exit_codes.UNAVAILABLE
    text = capsys.readouterr().err
    assert f"start workers of this revision: dask worker {cluster.address} --nthreads 1" in text
    assert "none is connected" in text

    monkeypatch.setattr(dask_engine, "PATIENCE_S", WAIT_S)
    monkeypatch.setattr(dask_engine, "CONNECT_TIMEOUT_S", 5.0)
    with contextlib.closing(engine_on(cluster, [])) as engine:
        cluster.kill("scheduler")
        with pytest.raises(EngineUnavailable, match=r"start the scheduler on .+ again"):
            wait_for_ever(engine)
    with pytest.raises(EngineUnavailable, match="start a scheduler on 127"):
        engine_on(cluster, [])


def wait_for_ever(engine: DaskEngine) -> None:
    while True:
        engine.wait()
