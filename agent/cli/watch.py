"""`--watch`: prints a view again and again until Ctrl-C."""

import sys
import time
from collections.abc import Callable

import click

WATCH_INTERVAL_S = 1.0

_CLEAR = "\x1b[2J\x1b[H"

watch_option = click.option("--watch", "is_watched", is_flag=True, help="Show it again every second, until Ctrl-C.")


def show(render: Callable[[], str], *, is_watched: bool, is_terminal: bool | None = None) -> None:
    """Print a view once, or until the person stops it.

    Args:
        render: Returns the view; what it raises ends the watching.
        is_watched: Again and again.
        is_terminal: Clear the screen before each view; `None` for what standard output is. A pipe gets empty lines.
    """
    if not is_watched:
        click.echo(render())
        return
    clears = sys.stdout.isatty() if is_terminal is None else is_terminal
    while True:
        text = render()
        click.echo(f"{_CLEAR}{text}" if clears else f"{text}\n", color=clears or None)
        time.sleep(WATCH_INTERVAL_S)
