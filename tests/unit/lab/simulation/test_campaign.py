"""Campaigns of many seeds: lost workers, files of an earlier run, progress."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from lab.simulation.campaign import ATTEMPTS_MAX, Campaign, Processes, Progress, SeedResult, as_text
from lab.simulation.command_oracle import CommandCounts
from lab.simulation.options import Options
from lab.simulation.pairing_harness import PairingCounts
from lab.simulation.reading_oracle import Violation
from lab.simulation.rollout import UpdateCounts
from lab.simulation.verdict import ReadingCounts, RequestCounts, Verdict

FAILING, KILLED_ONCE, KILLED_ALWAYS = 3, 4, 5


def verdict(seed: int) -> Verdict:
    return Verdict(
        seed=seed,
        board="sim",
        faults_profile="none",
        sensors=7,
        virtual_s=3600.0,
        wall_s=1.0,
        virtual_hours_per_wall_s=1.0,
        readings=ReadingCounts(*[seed] * 15),
        commands=CommandCounts(),
        pairing=PairingCounts(),
        updates=UpdateCounts(),
        requests=RequestCounts(1, 0),
        crashes=0,
        durable_operations=1,
        faults={},
        apis={},
        violations=[Violation(1.0, "nothing lost", "one reading")] if seed == FAILING else [],
        warnings=[],
    )


def command_for(options: Options) -> str:
    return f"climahub simulate --seed {options.seed}"


def campaign(directory: Path, seeds: Sequence[int], *, jobs: int = 2, file: Path | None = None) -> Campaign:
    def simulate(options: Options) -> Verdict:
        mark = directory / f"{options.seed}"
        is_first = not mark.exists()
        mark.write_text("tried")
        if options.seed == KILLED_ALWAYS or (options.seed == KILLED_ONCE and is_first):
            os.kill(os.getpid(), signal.SIGKILL)
        return verdict(options.seed)

    options = [Options(seed=seed) for seed in seeds]
    engine = Processes(simulate, jobs)
    return Campaign(options, engine=engine, command_for=command_for, now_s=lambda: 0.0, results_file=file)


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_seed_has_its_verdict_although_a_worker_is_killed(tmp_path: Path, jobs: int) -> None:
    seeds = [1, 2, FAILING, KILLED_ONCE, 6]
    running = campaign(tmp_path, seeds, jobs=jobs)
    found = {result.seed: result for result in running.run()}
    assert {seed: result.verdict for seed, result in found.items()} == {seed: verdict(seed) for seed in seeds}
    assert running.progress == Progress(total=5, done=5, failed=1, earlier=0, elapsed_s=0.0)
    text = as_text(found[FAILING])
    assert text.splitlines() == [
        "seed 3: FAILED",
        "  at 1.000 s: nothing lost: one reading",
        "  climahub simulate --seed 3",
    ]


def test_a_seed_that_kills_each_worker_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    found = {result.seed: result for result in campaign(tmp_path, [KILLED_ALWAYS, 1]).run()}
    assert found[KILLED_ALWAYS] == SeedResult("climahub simulate --seed 5", KILLED_ALWAYS, None)
    assert found[KILLED_ALWAYS].has_failed
    assert f"lost {ATTEMPTS_MAX} times" in as_text(found[KILLED_ALWAYS])
    assert found[1].verdict == verdict(1)


def test_a_campaign_goes_on_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    first = campaign(tmp_path, [1, 2, FAILING], file=file)
    next(running := first.run())
    running.close()
    with file.open("ab") as torn:
        torn.write(msgspec.json.encode(SeedResult("climahub simulate --seed 9", 9, verdict(9)))[:40])
        torn.write(b"\n")
    second = campaign(tmp_path, [1, 2, FAILING], file=file)
    assert second.progress.earlier == 1
    assert len(list(second.run())) == 2
    third = campaign(tmp_path, [1, 2, FAILING], file=file)
    assert list(third.run()) == []
    assert third.results.keys() == {1, 2, FAILING}
    assert third.progress.failed == 1


def test_results_of_other_options_are_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(
        msgspec.json.encode(SeedResult("climahub simulate --seed 1 --faults harsh", 1, verdict(1))) + b"\n"
    )
    assert campaign(tmp_path, [1], file=file).progress.done == 0


def test_progress_in_words() -> None:
    assert Progress(200, 0, 0, 0, 5.0).as_text() == "0 of 200 seeds, 0 failed"
    assert Progress(200, 60, 1, 10, 600.0).as_text() == "60 of 200 seeds, 1 failed, 5.0 a minute, 28 min left"
