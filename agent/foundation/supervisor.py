"""Restarts failed loops and contains the failure of single tasks: the only place that catches every exception.

A defect in one component must not stop the others. It is logged with its traceback, counted and shown, and the loop is
restarted after a pause that grows. Must never hide a cancellation.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from agent.errors import ClimahubError, Defect
from agent.foundation.log import redact
from agent.foundation.signals import full_jitter_s
from agent.foundation.text import sanitize

_log = logging.getLogger(__name__)

RESTART_BASE_S = 1.0
RESTART_CAP_S = 60.0
CALM_MS = 600_000
"""A loop that ran this long before it failed is restarted with the shortest pause."""

FAULTS_MAX = 50
INSIDE_MAX = 4
"""Errors of an exception group that are named."""
_TEXT_CHARACTERS_MAX = 500


class Fault(msgspec.Struct):
    """A failure that the hub has survived.

    Attributes:
        component: The supervised loop, or the part of the hub that reports.
        text: What happened.
        count: How often it happened.
        last_ms: Boot time of the last occurrence.
    """

    component: str
    text: str
    count: int
    last_ms: int


class Faults:
    """The most recent faults, bounded, for the status."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.entries: list[Fault] = []
        self.total = 0

    def add(self, component: str, text: str) -> None:
        """Add a fault; the same one again is only counted."""
        self.total += 1
        text = _as_shown(text)
        for fault in self.entries:
            if (fault.component, fault.text) == (component, text):
                fault.count += 1
                fault.last_ms = self._now_ms()
                return
        self.entries.append(Fault(component, text, 1, self._now_ms()))
        if len(self.entries) > FAULTS_MAX:
            # Of the component with the most: a client that reports again and again hides nothing of the others.
            counts = Counter(fault.component for fault in self.entries)
            most, _ = counts.most_common(1)[0]
            self.entries.remove(next(fault for fault in self.entries if fault.component == most))

    def remove(self, component: str, text: str) -> None:
        """Remove a fault that somebody has settled; one that is not there stays away."""
        text = _as_shown(text)
        self.entries = [each for each in self.entries if (each.component, each.text) != (component, text)]


def _as_shown(text: str) -> str:
    return redact(sanitize(text, characters_max=_TEXT_CHARACTERS_MAX))


def describe_error(error: BaseException) -> str:
    """Return an exception as text: its type and message; of a group, each distinct error inside."""
    if not isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}: {sanitize(str(error))}".rstrip(": ")
    inside = list(dict.fromkeys(describe_error(each) for each in error.exceptions))
    more = f"; and {len(inside) - INSIDE_MAX} more" if len(inside) > INSIDE_MAX else ""
    return "; ".join(inside[:INSIDE_MAX]) + more


async def supervise(
    component: str,
    work: Callable[[], Awaitable[None]],
    *,
    faults: Faults,
    now_ms: Callable[[], int],
    rng: random.Random,
) -> None:
    """Run ``work`` until it returns, and restart it when it fails."""
    attempt = 0
    while True:
        started_ms = now_ms()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - this is the supervisor
            _log.exception("%s failed and is restarted", component)
            faults.add(component, describe_error(error))
        else:
            return
        attempt = 0 if now_ms() - started_ms >= CALM_MS else attempt + 1
        await asyncio.sleep(full_jitter_s(attempt, base_s=RESTART_BASE_S, cap_s=RESTART_CAP_S, rng=rng))


class contain_failure:  # noqa: N801 - used as a function, like `contextlib.suppress`
    """Contain the failure of one task: whatever the block raises becomes an error of the agent's own.

    A class, since it surrounds each reading: a generator costs three times as much.

    Args:
        what: The work, for the log: "command 7 (reboot)".

    Raises:
        ClimahubError: The task raised it on purpose; unchanged.
        Defect: The task raised anything else, which is logged with its traceback. Never for a cancellation.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Begin the task."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Translate what it raised."""
        if isinstance(error, Exception) and not isinstance(error, ClimahubError):
            _log.error("%s failed because of a defect; nothing else is affected", self._what, exc_info=error)
            raise Defect(describe_error(error)) from error


async def cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel tasks again and again until they have ended."""
    while pending := [task for task in tasks if not task.done()]:
        # A TaskGroup of Python 3.11 may swallow a cancellation together with a child's error.
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1.0)
