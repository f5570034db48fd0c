"""The terminal of a console: lines with history and editing, an end after long silence, no noise in what is typed."""

import contextlib
import io
import signal
import sys
import termios
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import click

from agent.cli.console.shell import SignedOut
from agent.foundation.clock import monotonic_s

IDLE_S_MAX = 30 * 60
"""How long nothing may be typed; the hub's sessions end as early (docs/port.md)."""

HISTORY_LINES_MAX = 100


class TtyTerminal:
    """Standard input and output, which a service has connected to a serial line."""

    def __init__(self, *, idle_s_max: float = IDLE_S_MAX) -> None:
        """Prepare line editing, where this Python has it.

        Args:
            idle_s_max: How long nothing may be typed.
        """
        self._idle_s_max = idle_s_max
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        try:
            # Its import is what gives input() a history and editing keys.
            import readline  # noqa: PLC0415
        except ImportError:
            self._readline = None
        else:
            readline.set_history_length(HISTORY_LINES_MAX)
            readline.set_auto_history(False)
            # Without one, the Tab key lists the files of the service's user.
            readline.set_completer(lambda text, state: None)  # noqa: ARG005
            self._readline = readline

    def ask(self, prompt: str, *, is_secret: bool = False) -> str:
        """Return a line without characters that no keyboard sends.

        Raises:
            SignedOut: Nothing was typed for too long, or the line was closed.
        """
        with self._limited():
            line = _read_plainly(prompt) if is_secret else _read_edited(prompt)
        typed = "".join(each for each in line if each.isprintable() or each == "\t")
        if self._readline is not None and not is_secret and typed.strip():
            self._readline.add_history(typed)
            while self._readline.get_current_history_length() > HISTORY_LINES_MAX:
                self._readline.remove_history_item(0)
        return typed

    def show(self, text: str) -> None:
        """Print some lines."""
        click.echo(text)

    def pause(self, seconds: float) -> None:
        """Wait, whatever is typed meanwhile, and forget it."""
        ends_s = monotonic_s() + seconds
        while (left_s := ends_s - monotonic_s()) > 0:
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(left_s)
        with contextlib.suppress(termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        def give_up(number: int, frame: FrameType | None) -> NoReturn:
            del number, frame
            raise SignedOut("nothing was typed for too long")

        before = signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, self._idle_s_max)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _read_edited(prompt: str) -> str:
    """Return a line with history and editing.

    Raises:
        SignedOut: The line was closed.
    """
    try:
        return input(prompt)
    except EOFError:
        raise SignedOut("the line was closed") from None


def _read_plainly(prompt: str) -> str:
    """Return a line without editing: nobody has signed in, and its keys complete file names.

    Raises:
        SignedOut: The line was closed.
    """
    click.echo(prompt, nl=False)
    line = sys.stdin.readline()
    if not line:
        raise SignedOut("the line was closed")
    return line
