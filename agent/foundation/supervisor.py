"""Keeps a loop running, and one piece of work from taking others with it: the only place that catches every exception.

A defect in one room must not take the others down. It is logged with its traceback, counted, shown, and the loop is
started again after a pause that grows. Must never hide a cancellation.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence

import msgspec

from agent.errors import ClimahubError, Defect
from agent.foundation.log import redact
from agent.foundation.signals import full_jitter_s
from agent.foundation.text import sanitize

_log = logging.getLogger(__name__)

RESTART_BASE_S = 1.0
RESTART_CAP_S = 60.0
CALM_MS = 600_000
"""A loop that ran this long before it failed starts again as if it had never failed."""

FAULTS_MAX = 50
INSIDE_MAX = 4
"""Errors that are named of a group."""
_TEXT_CHARACTERS_MAX = 500


class Fault(msgspec.Struct):
    """Something that went wrong and was survived.

    Attributes:
        component: The supervised loop, or the part of the hub that reports.
        text: What happened.
        count: How often in a row.
        last_ms: Boot time of the last time.
    """

    component: str
    text: str
    count: int
    last_ms: int


class Faults:
    """The last faults, bounded, for the status."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.entries: list[Fault] = []
        self.total = 0

    def add(self, component: str, text: str) -> None:
        """Note a fault; the same one again is counted, not repeated."""
        self.total += 1
        text = redact(sanitize(text, characters_max=_TEXT_CHARACTERS_MAX))
        for fault in self.entries:
            if (fault.component, fault.text) == (component, text):
                fault.count += 1
                fault.last_ms = self._now_ms()
                return
        self.entries.append(Fault(component, text, 1, self._now_ms()))
        del self.entries[:-FAULTS_MAX]


def describe_error(error: BaseException) -> str:
    """Return an exception in words: its type and message, and of a group what is inside, each once."""
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
    """Run ``work`` until it returns, again and again if it fails."""
    attempt = 0
    while True:
        started_ms = now_ms()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - this is the supervisor
            _log.exception("%s failed and starts again", component)
            faults.add(component, describe_error(error))
        else:
            return
        attempt = 0 if now_ms() - started_ms >= CALM_MS else attempt + 1
        await asyncio.sleep(full_jitter_s(attempt, base_s=RESTART_BASE_S, cap_s=RESTART_CAP_S, rng=rng))


@contextlib.contextmanager
def contain_failure(what: str) -> Iterator[None]:
    """Let a piece of work fail alone: whatever it raises is an error of the agent's own at the end of the block.

    Args:
        what: The work, for the log: "command 7 (reboot)".

    Raises:
        ClimahubError: What the work raised on purpose, as it is.
        Defect: In the place of anything else, which is logged with its traceback. Never for a cancellation.
    """
    try:
        yield
    except ClimahubError:
        raise
    except Exception as error:
        _log.exception("%s failed by a defect; it fails alone", what)
        raise Defect(describe_error(error)) from error


async def cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel tasks again and again until they have ended."""
    while pending := [task for task in tasks if not task.done()]:
        # A TaskGroup of Python 3.11 may swallow a cancellation together with a child's error.
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1.0)
