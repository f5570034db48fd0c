"""Cuts the power before durable operation 1, 2, 3, ... of a scenario, once each, and checks that the hub recovers.

Every operation whose effect outlives the process can leave a step half done. So all of them are tried, not random
moments (the method of MCUboot's simulator). Each crash point runs in a forked child: the way up to a point is simulated
once, not once a point.

A child continues in a scratch directory of its own, with the power cut at its point, and sends its result through a
pipe. The parent waits for it. Before it ends, the child restores the parent's files, which its dying hub may still have
touched, or removed: the SQLite of a child that closes what it inherited folds a log in and removes it. Hard links keep
the very files, which the parent has open. The parent must not open them itself: to close one drops all locks that its
SQLite has on it (fcntl(2)).
"""

import asyncio
import os
import pickle
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from agent.foundation.text import plural
from lab.simulation.machine import Machine
from lab.simulation.options import APIS, MachineFault, MachineFaultKind, Options
from lab.simulation.reading_oracle import DELIVERY_S_MAX
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict

CHILD_S_MAX = 600
"""No child takes as long: one that hangs is ended by the kernel."""

T = TypeVar("T")


class ChildFailed(Exception):
    """A child ended without a result."""


class Forks:
    """Decides at each durable operation whether the power is cut there: in a child, at its own point only."""

    def __init__(self, *, stride: int, on_result: Callable[[int, object], None]) -> None:
        """Prepare.

        Args:
            stride: Fork at every so many operations, from the first one on.
            on_result: Receives each child's point and result.
        """
        self._stride = stride
        self._on_result = on_result
        self._pipe: int | None = None
        self._scratch = self._links = Path()
        self._files: dict[Path, _Snapshot] = {}
        self.error: BaseException | None = None

    @property
    def is_child(self) -> bool:
        """Whether this process is a child."""
        return self._pipe is not None

    def is_cut_now(self, machine: Machine) -> bool:
        """Fork before an operation; return true in the child.

        A child's error is kept in `error`: raised here, it would only end a task of the parent's hub.
        """
        point = machine.operations
        if self.is_child or self.error or (point - 1) % self._stride:
            return False
        loop = asyncio.get_running_loop()
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # pytest-xdist's thread is not needed in the child.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._pipe = writer
            asyncio._set_running_loop(loop)  # noqa: SLF001 - a forked process starts without one
            signal.alarm(CHILD_S_MAX)
            self._scratch, beside = machine.scratch, machine.scratch.parent
            self._links = Path(tempfile.mkdtemp(prefix="climahub-links-", dir=beside))
            self._files = _snapshot(self._scratch, self._links)
            machine.move(Path(tempfile.mkdtemp(prefix="climahub-fork-", dir=beside)))
            return True
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            sent = pipe.read()
        _, status = os.waitpid(pid, 0)
        if status or not sent:
            code = os.waitstatus_to_exitcode(status)
            self.error = ChildFailed(f"operation {point}: the child ended with {code} and no result")
        elif isinstance(result := pickle.loads(sent), BaseException):  # noqa: S301 - from our own child
            self.error = result
        else:
            self._on_result(point, result)
        return False

    def send(self, result: object) -> NoReturn:
        """Send the child's result to the parent and end."""
        if self._pipe is None:
            raise RuntimeError("only a child sends a result")
        try:
            _restore(self._scratch, self._files)
            shutil.rmtree(self._links)
            with os.fdopen(self._pipe, "wb") as pipe:
                pipe.write(pickle.dumps(result))
            os._exit(0)
        finally:
            os._exit(1)


class _Snapshot(msgspec.Struct, frozen=True):
    """A file of the parent: its content, and a link that keeps it where the child's hub removes its name."""

    content: bytes
    link: Path


def _files_in(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def _snapshot(directory: Path, links: Path) -> dict[Path, _Snapshot]:
    files = {}
    for number, path in enumerate(_files_in(directory)):
        link = links / str(number)
        link.hardlink_to(path)
        files[path] = _Snapshot(path.read_bytes(), link)
    return files


def _restore(directory: Path, files: dict[Path, _Snapshot]) -> None:
    """Undo what the child's dying hub still did to the parent's files, in place: the parent has them open or mapped."""
    for path in set(_files_in(directory)) - files.keys():
        path.unlink()
    for path, snapshot in files.items():
        if not path.exists() or not path.samefile(snapshot.link):
            path.unlink(missing_ok=True)
            path.hardlink_to(snapshot.link)
        if path.read_bytes() != snapshot.content:
            with path.open("r+b") as file:
                file.write(snapshot.content)
                file.truncate()


def fork_at_operations(
    play: Callable[[Callable[[Machine], bool]], T], *, stride: int, on_result: Callable[[int, T], None]
) -> T:
    """Play a simulation once, and from every durable operation on once more with the power cut before it.

    Args:
        play: Runs it; what it is given becomes `Machine.is_cut_now`. Its result must be picklable.
        stride: Every so many operations only, for a quick look.
        on_result: Receives the number of an operation, and the result of the run that was cut there.

    Returns:
        The result of the run without a cut.

    Raises:
        ChildFailed: A run ended without a result.
    """
    forks = Forks(stride=stride, on_result=on_result)  # type: ignore[arg-type] # results are of play's type
    try:
        result = play(forks.is_cut_now)
    except BaseException as error:
        if forks.is_child:
            forks.send(error)
        raise
    if forks.is_child:
        forks.send(result)
    if forks.error:
        raise forks.error
    return result


OUTAGE_HALF_HOUR = Options(
    days=0.5 / 24,
    sensors=16,
    faults="none",
    machine_faults=(MachineFault(MachineFaultKind.NETWORK_CUT, at_s=450.0, lasts_s=600.0),),
    calm_s=DELIVERY_S_MAX,
    config_text="[storage]\ncommit_interval_s = 4\n",
)
"""Half an hour with an outage of ten minutes in the middle, and more than 200 durable operations."""


PAIRING_HOUR = Options(
    days=1 / 24,
    sensors=43,
    boxed=10,
    report_interval_s=300.0,
    faults="none",
    machine_faults=(),
    calm_s=DELIVERY_S_MAX + 600.0,
    config_text="[storage]\ncommit_interval_s = 300\n",
)
"""An hour in which ten sensors are paired, and some of them leave, die, come back, are removed or replaced."""


APIS_QUARTER = msgspec.structs.replace(
    APIS,
    days=0.3 / 24,
    seed=2,
    faults="none",
    machine_faults=(),
    releases=False,
    calm_s=600.0,
    config_text=f"{APIS.config_text}[storage]\ncommit_interval_s = 300\n",
    actions_per_day=2000.0,
)
"""Eighteen minutes with some twenty actions, and what comes with them."""


class PointViolation(msgspec.Struct, frozen=True):
    """A promise violated after a power cut before one operation."""

    point: int
    promise: str
    detail: str


class SweepVerdict(msgspec.Struct, frozen=True):
    """What a sweep found.

    Attributes:
        points: The number of durable operations that were tried, with one simulation each.
        recovered: How many of them ended without a violation.
        violations: The violations of the others.
    """

    points: int
    recovered: int
    violations: list[PointViolation]


def sweep(
    options: Options = OUTAGE_HALF_HOUR, *, stride: int = 1, progress: Callable[[int, int], None] | None = None
) -> SweepVerdict:
    """Simulate the scenario once for each of its durable operations, with the power cut before it.

    Args:
        options: The scenario; give `OUTAGE_HALF_HOUR` another seed or board to vary it.
        stride: Try every so many points only.
        progress: Receives the number of points done and of all points.
    """
    points = simulate(options).durable_operations
    violations: list[PointViolation] = []
    recovered = tried = 0

    def judge(point: int, verdict: Verdict) -> None:
        nonlocal recovered, tried
        tried += 1
        recovered += not verdict.violations and verdict.crashes == 1
        violations.extend(PointViolation(point, found.promise, found.detail) for found in verdict.violations)
        if verdict.crashes != 1:
            violations.append(
                PointViolation(point, "the power is cut once", plural(verdict.crashes, "crash", "crashes"))
            )
        if progress:
            progress(point, points)

    fork_at_operations(lambda at: simulate(options, at_operation=at), stride=stride, on_result=judge)
    return SweepVerdict(tried, recovered, violations)
