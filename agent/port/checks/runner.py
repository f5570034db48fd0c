"""Runs all checks: finds out the facts in parallel, each within its own time, and judges them.

One run at a time; whoever asks meanwhile gets the same report. A probe that hangs costs its own fact and nothing else,
and is not started again before it ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from agent.errors import ClimahubError
from agent.foundation.shutdown import DaemonThreadExecutor
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import sanitize
from agent.port.checks.facts import Facts, Missing
from agent.port.checks.report import ChecksReport, report_of
from agent.port.checks.table import judge
from hal.errors import HalError

T = TypeVar("T")

PROBE_S_MAX = 3.0
CLOUD_S_MAX = 9.5
"""All checks have an answer within 10 s, also where nothing answers on the network."""
THREADS_MAX = 24
"""More than there are facts that are read on threads, so that those that hang delay no other."""
REUSE_S = 5.0
"""A report that is this young is given again: a nervous finger on the page asks the cloud no more often than this."""


class Probe(msgspec.Struct, frozen=True):
    """Finds out one fact.

    Attributes:
        fact: The name of the field of `Facts`.
        read: Returns the fact, or `Missing`; may raise `OSError`, `ValueError` and the agent's own errors.
        limit_s: How long it may take.
    """

    fact: str
    read: Callable[[], Awaitable[Any]]
    limit_s: float = PROBE_S_MAX


class ThreadReads:
    """Runs blocking reads on threads. One that hangs is not started again before it ends.

    The threads are its own: reads that hang must not take those by which the hub finds the addresses of the cloud.
    """

    def __init__(self) -> None:
        self._executor = DaemonThreadExecutor(THREADS_MAX)
        self._last: dict[str, asyncio.Future[Any]] = {}

    def probe(self, fact: str, read: Callable[[], Any]) -> Probe:
        """Return the probe of a fact that is read on a thread."""
        return Probe(fact, lambda: self.read(fact, read))

    async def read(self, what: str, read: Callable[[], T]) -> T | Missing:
        """Return what ``read`` returns, or why it is not started.

        Args:
            what: Its name: reads of one name run one after the other.
            read: Blocks.
        """
        last = self._last.get(what)
        if last is not None and not last.done():
            return Missing("an earlier read has not returned yet: disk, driver or name server hang")
        self._last[what] = future = asyncio.get_running_loop().run_in_executor(self._executor, read)
        # Whoever waits gives up after the limit; the read goes on, and its error is nobody's then.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(future)


def immediate(fact: str, read: Callable[[], Any]) -> Probe:
    """Return the probe of a fact that is in memory."""

    async def now() -> object:
        return read()

    return Probe(fact, now)


async def gather_facts(probes: Sequence[Probe]) -> Facts:
    """Return the facts that these probes find out, in parallel."""
    async with asyncio.TaskGroup() as group:
        tasks = {probe.fact: group.create_task(_found(probe)) for probe in probes}
    found: dict[str, Any] = {fact: task.result() for fact, task in tasks.items()}
    return Facts(**found)


async def _found(probe: Probe) -> object:
    try:
        with contain_failure(f"the check of {probe.fact}"):
            try:
                async with asyncio.timeout(probe.limit_s):
                    return await probe.read()
            except TimeoutError:
                return Missing(f"no answer within {probe.limit_s:g} s")
            except (OSError, ValueError, HalError) as error:
                return Missing(_reason(error))
    except ClimahubError as error:
        return Missing(sanitize(str(error)))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return sanitize(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return sanitize(str(error)) or type(error).__name__


class CheckRunner:
    """Runs the checks of one hub."""

    def __init__(self, probes: Callable[[], Sequence[Probe]]) -> None:
        """Prepare; `probes` returns what finds out the facts, for each run anew."""
        self._probes = probes
        self._lock = asyncio.Lock()
        self._last: tuple[float, ChecksReport] | None = None

    async def run(self) -> ChecksReport:
        """Run all checks; within 10 s."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            began_s = loop.time()
            if self._last is not None and began_s - self._last[0] < REUSE_S:
                return self._last[1]
            results = judge(await gather_facts(self._probes()))
            report = report_of(results, loop.time() - began_s)
            self._last = loop.time(), report
            return report

    def forget(self) -> None:
        """Have the next run look anew: something was repaired."""
        self._last = None
