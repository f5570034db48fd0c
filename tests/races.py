"""A plugin of pytest that stretches races: `make races`.

What a busy machine does once in a hundred runs happens here at once: what arrives is noticed late and in another order,
threads begin and answer late, and the loops of a test look again without a pause. A test that takes for granted that
one party knows something the moment another does, fails. Must do only what an operating system may do as well: no
callback of asyncio is reordered.
"""

import asyncio
import concurrent.futures
import random
import selectors
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest

LATE_S_MAX = 0.03
LATE_SHARE = 0.3
PAUSE_S_MAX = 0.02
"""So long pauses the loop of a test between two looks at most."""

Ready: TypeAlias = list[tuple[selectors.SelectorKey, int]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--races-seed", type=int, default=1, help="what is late follows from it")


def pytest_configure(config: pytest.Config) -> None:
    rng = random.Random(config.getoption("--races-seed"))
    selectors.EpollSelector.select = late_events(rng, selectors.EpollSelector.select)  # type: ignore[method-assign]
    concurrent.futures.ThreadPoolExecutor.submit = late_threads(  # type: ignore[method-assign]
        rng, concurrent.futures.ThreadPoolExecutor.submit
    )
    asyncio.sleep = without_pauses(asyncio.sleep)


def late_events(rng: random.Random, select: Callable[..., Ready]) -> Callable[..., Ready]:
    """Return a `select` that keeps some events back for a while: they are there at the next look, as with epoll."""

    def late(self: Any, timeout: float | None = None) -> Ready:  # noqa: ANN401 - a selector
        ready = select(self, timeout)
        now_s = time.monotonic()
        due_s: dict[int, float] = {}
        known: dict[int, float] = self.__dict__.setdefault("_due_s", {})
        for key, _ in ready:
            is_late = rng.random() < LATE_SHARE
            due_s[key.fd] = known.get(key.fd, now_s + rng.uniform(0, LATE_S_MAX) * is_late)
        self._due_s = {fd: each_s for fd, each_s in due_s.items() if each_s > now_s}
        if ready and len(self._due_s) == len(due_s):
            time.sleep(0.001)
        return [(key, events) for key, events in ready if key.fd not in self._due_s]

    return late


def late_threads(rng: random.Random, submit: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `submit` whose functions begin late or end late."""

    def late(self: Any, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        before_s, after_s = (rng.uniform(0, LATE_S_MAX) * (rng.random() < LATE_SHARE) for _ in range(2))

        def run(*given: Any, **more: Any) -> Any:  # noqa: ANN401
            time.sleep(before_s)
            try:
                return function(*given, **more)
            finally:
                time.sleep(after_s)

        return submit(self, run, *arguments, **named)

    return late


def without_pauses(sleep: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a `sleep` with which a test that waits for something looks at every turn of the loop."""

    def shorter(delay: float, result: object = None) -> Coroutine[Any, Any, Any]:
        is_look = 0 < delay <= PAUSE_S_MAX and "/tests/" in sys._getframe(1).f_code.co_filename
        return sleep(0 if is_look else delay, result)

    return shorter
