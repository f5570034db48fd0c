"""An orderly and short stop: which signals ask for it, what may finish before it, and when the process goes regardless.

The order of the stop is `agent.app`'s. This module handles what it cannot hurry: a resolver without a network, a disk
that takes seconds for a sync, a driver that hangs. What was written by then is in the operating system's hands and
survives. `run_shielded` lets the last work of a loop finish although the loop is cancelled: relays must switch off.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from agent.foundation import log

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

STOP_S_MAX = 4.5
"""Within five seconds of the request the process is gone: each restart is a time without heating."""
HURRY_S = 1.5
"""By then a healthy machine has stopped. From here on the disk is not waited for where that loses nothing."""
LAST_WORD_S = 0.2
"""How long the last line may take: what reads the log may be what hangs."""

THREADS_MAX = 4
"""Of the loop's own executor: name resolution, and joining the radio's thread."""


class DaemonThreadExecutor(ThreadPoolExecutor):
    """An executor for an event loop (`set_default_executor`) that nobody has to wait for.

    `getaddrinfo` cannot be cancelled: with name servers that do not answer it takes up to minutes, and the executor of
    the standard library makes the loop, and the interpreter after it, wait for that. These threads are daemons, and a
    shutdown leaves them behind.
    """

    def __init__(self, threads_max: int = THREADS_MAX) -> None:
        super().__init__(max_workers=1)
        self._threads_max = threads_max
        self._mutex = threading.Lock()
        self._running = 0
        self._jobs: deque[Callable[[], None]] = deque()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function on a daemon thread, as soon as one is free."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._mutex:
            self._jobs.append(job)
            is_needed = self._running < self._threads_max
            self._running += is_needed
        if is_needed:
            threading.Thread(target=self._work, name="executor", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            with self._mutex:
                if not self._jobs:
                    self._running -= 1
                    return
                job = self._jobs.popleft()
            job()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what has not begun; wait for nothing."""
        del wait, cancel_futures
        with self._mutex:
            self._jobs.clear()


class StopDeadline:
    """Ends the process some seconds after it was asked to end, should it still be there."""

    def __init__(
        self,
        *,
        hurry: Callable[[], None],
        leave: Callable[[int], object] = os._exit,
        hurry_s: float = HURRY_S,
        stop_s_max: float = STOP_S_MAX,
    ) -> None:
        """Prepare.

        Args:
            hurry: Called once the stop takes longer than on a healthy machine; on another thread.
            leave: Ends the process.
            hurry_s: When that is.
            stop_s_max: When the process ends.
        """
        self._hurry = hurry
        self._leave = leave
        self._hurry_s = hurry_s
        self._rest_s = stop_s_max - hurry_s
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to count; once is enough. A process that ends before takes the count with it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._count, name="stop deadline", daemon=True)
            self._thread.start()

    def _count(self) -> None:
        time.sleep(self._hurry_s)
        self._hurry()
        time.sleep(self._rest_s)
        last_word = threading.Thread(target=self._say, daemon=True)
        last_word.start()
        last_word.join(LAST_WORD_S)
        self._leave(0)

    def _say(self) -> None:
        _log.warning("stopped without waiting any longer: the disk, a device or the network does not answer")
        log.drain(LAST_WORD_S)


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR, signal.SIGXCPU)
IGNORED_SIGNALS = (
    # They mean nothing here, and end a process that does not say so.
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGSTKFLT,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    # They suspend a process, which leaves the heat as it is: no key and no line for the terminal may do that.
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)

STANDARD_FILES = (0, 1, 2)


class Terminal:
    """The terminal that the process was started from, if any."""

    def __init__(self, is_terminal: Callable[[int], bool] = os.isatty) -> None:
        """Remember which standard files lead to a terminal."""
        self._is_terminal = is_terminal
        self._files = [file for file in STANDARD_FILES if is_terminal(file)]

    def is_gone(self) -> bool:
        """Tell whether it was closed: the kernel answers EIO for it then."""
        return any(not self._is_terminal(file) for file in self._files)


def handle_signals(*, stop: Callable[[], None], reload: Callable[[], None], terminal: Terminal) -> None:
    """Have the running loop act upon signals.

    Args:
        stop: Ends the hub in good order.
        reload: Reads keys and certificates again.
        terminal: Where it was closed, SIGHUP is its last word and ends the hub; else it asks to reload.
    """
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: stop() if terminal.is_gone() else reload())
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def run_shielded(work: Coroutine[Any, Any, None], *, within_s: float) -> bool:
    """Wait for work; a cancellation of the waiter is handed on afterwards.

    Args:
        work: What is to be done; what it raises is raised.
        within_s: After so long it is given up and cancelled.

    Returns:
        Whether it came to its end.

    Raises:
        asyncio.CancelledError: The waiter was cancelled meanwhile; the work has ended nevertheless, or its time has.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    end_s = loop.time() + within_s
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and loop.time() < end_s:
        try:
            await asyncio.wait({task}, timeout=end_s - loop.time())
        except asyncio.CancelledError as error:
            cancelled = error
    is_finished = task.done()
    if not is_finished:
        task.cancel()
        # What hangs in a cancelled state must not hold the stop up either.
        task.add_done_callback(_noted)
    elif not task.cancelled() and (failure := task.exception()) is not None:
        raise failure
    if cancelled is not None:
        raise cancelled
    return is_finished


def _noted(task: asyncio.Task[None]) -> None:
    """Take note of how a task ended, so that nobody is warned of an error that came too late."""
    if not task.cancelled():
        task.exception()
