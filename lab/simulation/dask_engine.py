"""Runs the seeds of a campaign on the workers of a dask.distributed cluster.

Each worker has one seed at a time, so that a lost worker costs one attempt of one seed, whatever the scheduler's own
count of failures says. A worker whose sources, Python or packages are not those of this process is refused: its
verdicts could be others. Workers may come and go at any time. Needs the extra `dask`.
"""

import contextlib
import hashlib
import logging
import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import distributed
import msgspec

from lab.simulation import run
from lab.simulation.campaign import EngineUnavailable, Outcome
from lab.simulation.options import Options
from lab.simulation.verdict import Verdict

TREE = Path(__file__).parents[2]

PACKAGES = ("aiohttp", "async-solipsism", "cbor2", "cryptography", "distributed", "msgspec", "tzdata")
"""Packages that run in a simulation or carry it: a worker needs the same versions."""

CONNECT_TIMEOUT_S = 15.0

POLL_S = 0.5
"""How often the scheduler is asked for its workers while nothing ends."""

RESULT_TIMEOUT_S = 5.0
"""For a verdict that is there. Its worker may have been lost since: the next look at the workers says so."""

PATIENCE_S = 60.0
"""How long a campaign waits for the first worker, or for another once all are lost."""


class Answer(msgspec.Struct, frozen=True):
    """What a worker sends back.

    Attributes:
        differences: Why it did not begin; empty where it did.
        failure: The traceback of a simulation that raised.
        verdict: That of the simulation.
    """

    differences: list[str] = []
    failure: str = ""
    verdict: Verdict | None = None


def sources_digest(tree: Path) -> str:
    """Return a digest of the sources in `agent`, `hal` and `lab` beneath a directory: a checkout, or site-packages."""
    digest = hashlib.sha256()
    for package in ("agent", "hal", "lab"):
        for path in sorted((tree / package).rglob("*.py")):
            digest.update(f"{path.relative_to(tree).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


@cache
def environment() -> Mapping[str, str]:
    """Return what a verdict depends on beside its options: sources, Python, and packages.

    Read once in each process, when it runs its first seed.

    Raises:
        PackageNotFoundError: One of `PACKAGES` is missing.
    """
    found = {"sources": sources_digest(TREE), "Python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    return MappingProxyType(found | {name: version(name) for name in PACKAGES})


def differences(worker: Mapping[str, str], campaign: Mapping[str, str]) -> list[str]:
    """Return in words what a worker has that the campaign's process has not."""
    return [
        f"{name} {worker.get(name, 'missing')}, not {wanted}"
        for name, wanted in campaign.items()
        if worker.get(name) != wanted
    ]


def run_seed(wanted: Mapping[str, str], pickled: bytes) -> bytes:
    """Run one seed, on a worker; return an `Answer` as JSON.

    Args:
        wanted: The `environment` of the campaign's process.
        pickled: The options. Pickled apart, since another revision may not be able to read them.
    """
    if found := differences(environment(), wanted):
        return msgspec.json.encode(Answer(differences=found))
    # The hub's log is part of the simulation; without a handler Python prints its lines among the worker's.
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    try:
        return msgspec.json.encode(Answer(verdict=run.simulate(pickle.loads(pickled))))  # noqa: S301 - from the client
    except Exception:  # noqa: BLE001 - whatever a simulation raises is reported to the campaign, with its traceback
        return msgspec.json.encode(Answer(failure=traceback.format_exc()))


class DaskEngine:
    """Runs seeds on the workers of a scheduler, one at a time on each."""

    def __init__(self, scheduler: str, *, now_s: Callable[[], float], report: Callable[[str], None]) -> None:
        """Connect.

        Args:
            scheduler: Its address, as `HOST:PORT`.
            now_s: Seconds, for `PATIENCE_S`.
            report: Takes what a person should know: workers that are refused, simulations that raised.

        Raises:
            EngineUnavailable: Nobody answers there.
        """
        self._scheduler = scheduler
        self._now_s, self._report = now_s, report
        try:
            self._client = distributed.Client(
                f"tcp://{scheduler}", name="climahub", timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
        except OSError as error:
            raise EngineUnavailable(
                f"start a scheduler on {scheduler} (dask scheduler), or look at the address: {error}"
            ) from error
        self._workers: Mapping[str, Any] = {}
        self._refused: dict[str, str] = {}
        self._seeds: dict[Any, tuple[str, int]] = {}
        """By future: the worker's address, and the seed."""
        self._usable_until_s = now_s()
        self._find_workers()

    def start(self, options: Options) -> bool:
        """Send a seed to a worker that has none."""
        busy = {address for address, _ in self._seeds.values()}
        free = next((each for each in self._workers if each not in busy and each not in self._refused), None)
        if free is None or self._client.status != "running":
            return False
        future = self._client.submit(
            run_seed, dict(environment()), pickle.dumps(options), workers=[free], allow_other_workers=False, pure=False
        )
        self._seeds[future] = (free, options.seed)
        return True

    def wait(self) -> Sequence[Outcome]:
        """Wait for seeds to end and for workers to come; return what ended, seeds of lost workers among them."""
        if self._seeds:
            try:
                with self._client.as_current():
                    ended = distributed.wait(list(self._seeds), timeout=POLL_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                ended = set()
        else:
            threading.Event().wait(POLL_S)
            ended = set()
        outcomes = [outcome for future in ended if (outcome := self._finish(future)) is not None]
        self._find_workers()
        for future, (address, seed) in list(self._seeds.items()):
            if address not in self._workers:
                self._report(f"worker {address} is lost: seed {seed} goes to another")
                future.cancel()
                del self._seeds[future]
                outcomes.append(Outcome(seed, None))
        return outcomes

    def close(self) -> None:
        """Withdraw what still runs. A simulation that has begun ends on its worker, and nobody takes its verdict."""
        self._client.close()

    def _find_workers(self) -> None:
        if self._client.status == "connecting":
            return  # the scheduler is lost, and the client tries to reach it again for `CONNECT_TIMEOUT_S`
        if self._client.status != "running":
            raise EngineUnavailable(f"start the scheduler on {self._scheduler} again: it does not answer any more")
        # Not `scheduler_info`: beside it, a timer of the client's fills the same cache without workers.
        with contextlib.suppress(OSError):
            self._workers = self._client.sync(
                self._client.scheduler.identity, n_workers=-1, callback_timeout=RESULT_TIMEOUT_S
            )["workers"]
        if any(address not in self._refused for address in self._workers):
            self._usable_until_s = self._now_s()
        elif self._now_s() - self._usable_until_s > PATIENCE_S:
            found = f"all {len(self._workers)} are refused" if self._workers else "none is connected"
            raise EngineUnavailable(
                f"start workers of this revision: dask worker {self._scheduler} --nthreads 1 --nworkers -1 ({found})"
            )

    def _finish(self, future: Any) -> Outcome | None:  # noqa: ANN401 - without types
        """Return what became of a seed; `None` where its verdict cannot be fetched yet."""
        address, seed = self._seeds[future]
        answer = Answer()
        if future.status == "error":
            # `run_seed` raises nothing: the worker could not even load it, or was lost too often for the scheduler.
            error = future.exception(timeout=RESULT_TIMEOUT_S)
            if not isinstance(error, distributed.KilledWorker):
                answer = Answer(differences=[f"{type(error).__name__}: {error}"])
        elif future.status == "finished":
            try:
                answer = msgspec.json.decode(future.result(timeout=RESULT_TIMEOUT_S), type=Answer)
            except TimeoutError:
                return None
        del self._seeds[future]
        if answer.failure:
            self._report(f"seed {seed} raised on {address}:\n{answer.failure}")
        if answer.differences:
            self._refused[address] = ", ".join(answer.differences)
            self._report(f"worker {address} is refused, update it: {self._refused[address]}")
        return Outcome(seed, answer.verdict, has_begun=not answer.differences)
