"""Record an update on a disk, cut the power everywhere, and look what the hub makes of what is left."""

import contextlib
import itertools
import logging
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import msgspec

from agent.ota import launcher

from .tape import CrashState, Replay, Tape, Unavailable, missing_tool, mounted, run
from .workload import (
    STATE_DIR,
    Bricked,
    Bugs,
    DiskBench,
    Promise,
    Step,
    Tools,
    Witness,
    broken_promises,
    damaged_slots,
    install_tools,
    virtual_loop,
)

FINDINGS_SHOWN_MAX = 10
WORTH_A_PROCESS = 16
"""Crash states; with fewer it takes longer to start another process."""


class Marked(msgspec.Struct, frozen=True):
    """One update on a tape, and the requests that the disk had served when it began and ended."""

    step: Step
    begin: int
    end: int


class Recording(msgspec.Struct, frozen=True):
    """A tape and what is known of it.

    Attributes:
        base: The disk at the beginning.
        log: All requests to it since.
        tools: What is not on it.
        before: Updates that were over by then.
        marks: The updates.
        promises: What was durable, and from when on.
        options: For mount.
        seed: Of the random parts.
    """

    base: Path
    log: Path
    tools: Tools
    before: tuple[Step, ...]
    marks: tuple[Marked, ...]
    promises: tuple[Promise, ...]
    options: str
    seed: int

    def mark_at(self, served: int) -> Marked:
        """Return the update that was under way when the disk had served so many requests."""
        return next((each for each in self.marks if served <= each.end), self.marks[-1])

    def replay(self, directory: Path) -> "contextlib.closing[Replay]":
        """Play it, building states in ``directory``."""
        return contextlib.closing(Replay(self.base, self.log, directory, seed=self.seed))


class Finding(msgspec.Struct, frozen=True):
    """Something that must not be.

    Attributes:
        kind: "unmountable": the file system is gone. "unbootable": a start found no whole release. "damaged": a slot
            that is named holds none. "forgotten": a state file is torn, or older than what was synced. "stuck": the
            update does not end as it should.
        flush: Where.
        variant: Which state.
        detail: What was seen.
    """

    kind: str
    flush: int
    variant: int
    detail: str


class Report(msgspec.Struct, frozen=True):
    """What one tape has shown.

    Attributes:
        requests: To the disk, while updates were under way.
        flushes: Of those, and the last before.
        states: Crash states that were built, mounted and booted.
        found: How many findings of each kind.
        findings: Some of them.
        wall_s: How long it took.
    """

    requests: int
    flushes: int
    states: int
    found: dict[str, int]
    findings: tuple[Finding, ...]
    wall_s: float


def quiet() -> None:
    """Log nothing, and leave in good order when this process is ended: mounts would stay behind."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def skip_reason() -> str:
    """Return why no disk can be recorded here; empty where one can."""
    if why := missing_tool():
        return why
    with scratch() as directory:
        try:
            with Tape(directory).recording(""):
                return ""
        except Unavailable as error:
            return str(error)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a directory in memory, where there is one: a campaign copies thousands of disks."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="climahub-replay-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


class History(msgspec.Struct, frozen=True):
    """What goes with a recording: the updates before it, options for mount, and the seed."""

    before: tuple[Step, ...]
    options: str
    seed: int


def record(
    directory: Path, steps: Sequence[Step], *, options: str = "", seed: int = 1, launcher_bugs: Bugs = ()
) -> Recording:
    """Let updates happen on a new disk, and record it.

    Args:
        directory: An empty one; the recording lives there.
        steps: The updates.
        options: For mount.
        seed: Of the neighbour, and of the states later on.
        launcher_bugs: Replacements in the launcher's text.

    Raises:
        Unavailable: This machine cannot.
    """
    return _record(directory, steps, History((), options, seed), launcher_bugs, None)


def record_recovery(directory: Path, recording: Recording, state: CrashState) -> Recording | None:
    """Let a hub recover from a power cut, and record that: for a second cut. `None`: the state is not worth it.

    Raises:
        Bricked, AssertionError: It does not recover.
    """
    image = directory / "begin.img"
    with recording.replay(directory) as tape:
        served = tape.build(state, image)
    if served is None:
        return None
    mark = recording.mark_at(served)
    before = tuple(each.step for each in recording.marks[: recording.marks.index(mark)])
    return _record(directory, (mark.step,), History(before, recording.options, recording.seed), (), image)


def _record(
    directory: Path, steps: Sequence[Step], history: History, launcher_bugs: Bugs, begin: Path | None
) -> Recording:
    tape = Tape(directory)
    tools = install_tools(directory, launcher_bugs)
    marks = []
    own = directory / "own"
    own.mkdir()
    with tape.recording(history.options, begin), virtual_loop() as loop:
        state_dir = tape.mountpoint / STATE_DIR
        state_dir.mkdir(exist_ok=True)
        run("sync", "-f", str(state_dir))
        bench = DiskBench(own, loop, state_dir, tools, history.before)
        bench.witness = Witness(state_dir, tape.position, random.Random(history.seed))
        bench.witness.note_all()
        for step in steps:
            start = tape.position()
            bench.play(step)
            marks.append(Marked(step, start, tape.position()))
        promises = tuple(bench.witness.promises)
    return Recording(tape.base, tape.log, tools, history.before, tuple(marks), promises, history.options, history.seed)


def replay(recording: Recording, *, variants: int, states_max: int | None = None, processes: int = 1) -> Report:
    """Cut the power at each flush, and in the middle of what was written since; judge what is left.

    Args:
        recording: The tape.
        variants: Random parts of what was written after each flush.
        states_max: Take so many of the states at the most, evenly.
        processes: How many work at it.
    """
    began_s = time.monotonic()
    states = states_of(recording, variants=variants)
    flushes = len({state.flush for state in states})
    if states_max is not None and len(states) > states_max:
        states = [states[number * len(states) // states_max] for number in range(states_max)]
    bounds = [number * len(states) // processes for number in range(processes + 1)]
    shares = [states[first:last] for first, last in itertools.pairwise(bounds)]
    if processes == 1 or len(states) < WORTH_A_PROCESS:
        verdicts = list(judged(recording, states))
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            verdicts = [each for share in pool.map(partial(_judge_share, recording), shares) for each in share]
    findings = [each for verdict in verdicts for each in verdict]
    return Report(
        recording.marks[-1].end - recording.marks[0].begin,
        flushes,
        len(verdicts),
        dict(Counter(each.kind for each in findings)),
        tuple(findings[:FINDINGS_SHOWN_MAX]),
        round(time.monotonic() - began_s, 1),
    )


def states_of(recording: Recording, *, variants: int) -> list[CrashState]:
    """Return the crash states of all updates on a tape."""
    with scratch() as directory, recording.replay(directory) as tape:
        return tape.states(recording.marks[0].begin, recording.marks[-1].end, variants)


def judged(recording: Recording, states: Iterable[CrashState]) -> Iterator[list[Finding]]:
    """Judge some states of one tape, in rising order; yield for each what must not be."""
    with scratch() as directory, recording.replay(directory) as tape:
        for state in states:
            served = tape.build(state, directory / "crash.img")
            if served is not None:
                wrong = _judge(recording, directory, served)
                yield [Finding(kind, state.flush, state.variant, detail) for kind, detail in wrong]


def _judge_share(recording: Recording, states: Sequence[CrashState]) -> list[list[Finding]]:
    quiet()  # a process of its own
    return list(judged(recording, states))


def _judge(recording: Recording, directory: Path, served: int) -> Iterator[tuple[str, str]]:
    """Mount a crash state, boot it, and let the update end; yield what is wrong."""
    mark = recording.mark_at(served)
    steps = (*recording.before, *(each.step for each in recording.marks[: recording.marks.index(mark) + 1]))
    mountpoint, own = directory / "mnt", directory / "own"
    mountpoint.mkdir(exist_ok=True)
    own.mkdir()
    try:
        with mounted(directory / "crash.img", mountpoint, recording.options), virtual_loop() as loop:
            state_dir = mountpoint / STATE_DIR
            bench = DiskBench(own, loop, state_dir, recording.tools, steps)
            yield from (("forgotten", detail) for detail in broken_promises(recording.promises, served, state_dir))
            yield from _life_after(bench, steps)
    except Unavailable as error:
        yield "unmountable", str(error)
    finally:
        shutil.rmtree(own)


def _life_after(bench: DiskBench, steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    try:
        yield from (("damaged", detail) for detail in damaged_slots(bench))
        bench.play(steps[-1])
        account = launcher.load(bench.machine.state_dir)
    except Bricked as error:
        yield "unbootable", str(error)
    except ValueError as error:
        yield "forgotten", f"the account of the slots cannot be read: {error}"
    except (AssertionError, ExceptionGroup, OSError) as error:
        yield "stuck", f"{type(error).__name__}: {error}"
    else:
        good = [step.release for step in steps if not (step.is_sick or step.is_dead)][-1]
        ended = (bench.version_in(account.good), account.trial, account.floor)
        if ended != (good.version, "", good.sequence):
            yield "stuck", f"it ended with {ended}"
