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
"""The process ends within five seconds of the request: every restart is a time without heating."""
HURRY_S = 1.5
"""A healthy machine has stopped by then. From here on, syncs that only a power cut needs are not waited for."""
LAST_LOG_S = 0.2
"""How long the last log line may take: the reader of the log may be what hangs."""

THREADS_MAX = 4
"""Of the loop's own executor: name resolution, and joining the radio's thread."""


class DaemonThreadExecutor(ThreadPoolExecutor):
    """An executor for an event loop (`set_default_executor`) whose threads never delay the end of the process.

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
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller
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
        """Drop jobs that have not begun; do not wait."""
        del wait, cancel_futures
        with self._mutex:
            self._jobs.clear()


class StopDeadline:
    """Ends the process some seconds after the request to stop, if it is still running."""

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
        """Start the countdown, once. It ends with the process."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._count, name="stop deadline", daemon=True)
            self._thread.start()

    def _count(self) -> None:
        time.sleep(self._hurry_s)
        self._hurry()
        time.sleep(self._rest_s)
        last_word = threading.Thread(target=self._say, daemon=True)
        last_word.start()
        last_word.join(LAST_LOG_S)
        self._leave(0)

    def _say(self) -> None:
        _log.warning("stopped without waiting any longer: the disk, a device or the network does not respond")
        log.drain(LAST_LOG_S)


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR, signal.SIGXCPU)
IGNORED_SIGNALS = (
    # They have no meaning here, and their default action ends the process.
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGSTKFLT,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    # They suspend a process and leave the outputs as they are: no key press may do that.
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)

STANDARD_FILES = (0, 1, 2)


class Terminal:
    """The terminal from which the process was started, if any."""

    def __init__(self, is_terminal: Callable[[int], bool] = os.isatty) -> None:
        """Note which standard files are a terminal."""
        self._is_terminal = is_terminal
        self._files = [file for file in STANDARD_FILES if is_terminal(file)]

    def is_gone(self) -> bool:
        """Tell whether it was closed: the kernel then returns EIO."""
        return any(not self._is_terminal(file) for file in self._files)


def handle_signals(*, stop: Callable[[], None], reload: Callable[[], None], terminal: Terminal) -> None:
    """Install the signal handlers in the running loop.

    Args:
        stop: Stops the hub in order.
        reload: Reads keys and certificates again.
        terminal: If it was closed, SIGHUP stops the hub; else SIGHUP reloads.
    """
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: stop() if terminal.is_gone() else reload())
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def run_shielded(work: Coroutine[Any, Any, None], *, within_s: float) -> bool:
    """Finish ``work`` although the waiter is cancelled; the cancellation takes effect afterwards.

    Args:
        work: The work; its exceptions are raised.
        within_s: The time after which it is cancelled.

    Returns:
        Whether it finished.

    Raises:
        asyncio.CancelledError: The waiter was cancelled meanwhile; the work has finished, or its time is over.
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
        # Work that hangs although it is cancelled must not delay the stop.
        task.add_done_callback(_noted)
    elif not task.cancelled() and (failure := task.exception()) is not None:
        raise failure
    if cancelled is not None:
        raise cancelled
    return is_finished


def _noted(task: asyncio.Task[None]) -> None:
    """Retrieve a late task's exception, so that asyncio does not warn about it."""
    if not task.cancelled():
        task.exception()
