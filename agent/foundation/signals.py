"""What each signal means to the hub: an orderly end, a look at what was replaced, or nothing. None ends it at once.

The default action of most signals ends a process on the spot: outputs stay as they are, readings in memory are lost.
"""

import asyncio
import os
import signal
from collections.abc import Callable

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR, signal.SIGXCPU)
IGNORED = (
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


def handle(*, stop: Callable[[], None], reload: Callable[[], None], terminal: Terminal) -> None:
    """Have the running loop act upon signals.

    Args:
        stop: Ends the hub in good order.
        reload: Reads keys and certificates again.
        terminal: Where it was closed, SIGHUP is its last word and ends the hub; else it asks to reload.
    """
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: stop() if terminal.is_gone() else reload())
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
