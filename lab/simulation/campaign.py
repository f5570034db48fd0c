"""Many seeds at once: verdicts as they come, a file from which a campaign goes on, lost workers replaced.

An `Engine` runs the simulations: `Processes` on this machine, `lab.simulation.dask_engine` on others. Must never judge:
a verdict is what the worker's simulation says.
"""

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import msgspec

from lab.simulation.options import Options
from lab.simulation.verdict import Verdict

ATTEMPTS_MAX = 3
"""A seed whose workers were lost so often is given up: it is more likely to kill them than they are to be killed."""


class SeedResult(msgspec.Struct, frozen=True):
    """What became of a seed; one line of the results' file.

    Attributes:
        command: Repeats it.
        seed: Its number.
        verdict: `None` where its workers were lost.
    """

    command: str
    seed: int
    verdict: Verdict | None

    @property
    def has_failed(self) -> bool:
        """Whether it broke a promise, or has no verdict."""
        return self.verdict is None or bool(self.verdict.violations)


def as_text(result: SeedResult) -> str:
    """Return one result as a line, or as its violations and the command that repeats it."""
    verdict = result.verdict
    if verdict is None:
        return f"seed {result.seed}: FAILED, its workers were lost {ATTEMPTS_MAX} times\n  {result.command}"
    if not verdict.violations:
        return f"seed {result.seed}: passed, {verdict.readings.taken} readings, {verdict.wall_s:.1f} s"
    found = "".join(f"  at {each.at_s:.3f} s: {each.promise}: {each.detail}\n" for each in verdict.violations)
    return f"seed {result.seed}: FAILED\n{found}  {result.command}"


class Progress(msgspec.Struct, frozen=True):
    """Where a campaign stands.

    Attributes:
        total: Seeds in all.
        done: Of these, seeds with a result, those of an earlier run included.
        failed: Of these, seeds that failed.
        earlier: Results that an earlier run left.
        elapsed_s: Since this run began.
    """

    total: int
    done: int
    failed: int
    earlier: int
    elapsed_s: float

    def as_text(self) -> str:
        """Return one line: how far, how fast, how long still."""
        now = self.done - self.earlier
        line = f"{self.done} of {self.total} seeds, {self.failed} failed"
        if now <= 0 or self.elapsed_s <= 0.0:
            return line
        left_s = (self.total - self.done) * self.elapsed_s / now
        return f"{line}, {60.0 * now / self.elapsed_s:.1f} a minute, {left_s / 60.0:.0f} min left"


def read_results(path: Path, commands: Sequence[str]) -> dict[str, SeedResult]:
    """Return the results of an earlier run, by command; a line that was cut off is left out.

    Args:
        path: The results' file, which may be missing.
        commands: Those of this campaign; all others are left out.

    Raises:
        OSError: The file is there and cannot be read.
    """
    known: dict[str, SeedResult] = {}
    wanted = set(commands)
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            result = msgspec.json.decode(line, type=SeedResult)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if result.command in wanted and result.verdict is not None:
            known[result.command] = result
    return known


class EngineUnavailable(Exception):
    """The engine cannot run simulations; the message says why, and what to do. Results so far are kept."""


class Outcome(msgspec.Struct, frozen=True):
    """How one attempt at a seed ended.

    Attributes:
        seed: Its number.
        verdict: `None` where its worker was lost.
        has_begun: Whether the simulation began. One that a worker refused costs no attempt.
    """

    seed: int
    verdict: Verdict | None
    has_begun: bool = True


class Engine(Protocol):
    """Runs simulations, several at once. Must never decide how often a seed is tried."""

    def start(self, options: Options) -> bool:
        """Begin one simulation; return false where no worker is free.

        Raises:
            EngineUnavailable: There is nothing to run it on.
        """
        ...

    def wait(self) -> Sequence[Outcome]:
        """Wait for simulations to end, or for a worker to become free, and return those that ended.

        Raises:
            EngineUnavailable: There is nothing to run them on any more.
        """
        ...

    def close(self) -> None:
        """End what still runs."""
        ...


class Campaign:
    """Runs the seeds.

    Attributes:
        results: By seed, those of an earlier run included.
    """

    def __init__(
        self,
        options: Sequence[Options],
        *,
        engine: Engine,
        command_for: Callable[[Options], str],
        now_s: Callable[[], float],
        results_file: Path | None = None,
    ) -> None:
        """Read what an earlier run left; nothing runs yet.

        Args:
            options: One simulation for each seed.
            engine: Runs them; `run` closes it.
            command_for: Returns the command that repeats one.
            now_s: Seconds, for the rate.
            results_file: Where results are added, and read; `None` for nowhere.

        Raises:
            OSError: The file cannot be read.
        """
        self._options = {each.seed: each for each in options}
        self._commands = {seed: command_for(each) for seed, each in self._options.items()}
        self._engine = engine
        self._file = results_file
        known = read_results(results_file, list(self._commands.values())) if results_file else {}
        self.results = {seed: known[command] for seed, command in self._commands.items() if command in known}
        self._earlier = len(self.results)
        self._waiting = deque(seed for seed in self._options if seed not in self.results)
        self._attempts: dict[int, int] = {}
        self._now_s, self._began_s = now_s, now_s()

    @property
    def progress(self) -> Progress:
        """Where the campaign stands."""
        failed = sum(result.has_failed for result in self.results.values())
        elapsed_s = self._now_s() - self._began_s
        return Progress(len(self._options), len(self.results), failed, self._earlier, elapsed_s)

    def run(self) -> Generator[SeedResult]:
        """Yield each new result as soon as it is there and in the file.

        Raises:
            EngineUnavailable: The engine has nothing to run simulations on.
            OSError: The file cannot be written.
        """
        running = 0
        try:
            while self._waiting or running:
                while self._waiting and self._engine.start(self._options[self._waiting[0]]):
                    self._waiting.popleft()
                    running += 1
                for outcome in self._engine.wait():
                    running -= 1
                    if (result := self._settle(outcome)) is not None:
                        yield result
        finally:
            self._engine.close()

    def _settle(self, outcome: Outcome) -> SeedResult | None:
        """Keep a verdict; where there is none, let the seed be tried again and return `None`."""
        seed = outcome.seed
        if outcome.verdict is None:
            self._attempts[seed] = self._attempts.get(seed, 0) + outcome.has_begun
            if self._attempts[seed] < ATTEMPTS_MAX:
                self._waiting.append(seed)
                return None
        self.results[seed] = result = SeedResult(self._commands[seed], seed, outcome.verdict)
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(result) + b"\n")
        return result


class _Worker(msgspec.Struct):
    process: BaseProcess
    connection: Connection
    seed: int


class Processes:
    """Runs each seed in a process of its own, forked from this one: a killed one costs one attempt of one seed."""

    def __init__(self, simulate: Callable[[Options], Verdict], jobs: int) -> None:
        """Start nothing yet.

        Args:
            simulate: Runs one simulation, in the worker.
            jobs: Processes at once.
        """
        self._simulate = simulate
        self._jobs = jobs
        self._workers: dict[Connection, _Worker] = {}

    def start(self, options: Options) -> bool:
        """Fork a process, where fewer than `jobs` run."""
        if len(self._workers) >= self._jobs:
            return False
        context = multiprocessing.get_context("fork")
        near, far = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(far, self._simulate, options), daemon=True)
        process.start()
        far.close()
        self._workers[near] = _Worker(process, near, options.seed)
        return True

    def wait(self) -> Sequence[Outcome]:
        """Wait for the next verdicts, and for processes that ended without one."""
        ready = [each for each in wait(list(self._workers)) if isinstance(each, Connection)]
        return [self._finish(self._workers.pop(each)) for each in ready]

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.process.terminate()
            worker.process.join()

    def _finish(self, worker: _Worker) -> Outcome:
        verdict = None
        with contextlib.suppress(EOFError):
            verdict = msgspec.json.decode(worker.connection.recv_bytes(), type=Verdict)
        worker.connection.close()
        worker.process.join()
        return Outcome(worker.seed, verdict)


def _work(connection: Connection, simulate: Callable[[Options], Verdict], options: Options) -> None:
    os.nice(5)  # a campaign leaves the machine usable
    connection.send_bytes(msgspec.json.encode(simulate(options)))
    connection.close()
