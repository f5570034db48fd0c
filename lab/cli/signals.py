"""Ctrl-C and SIGTERM for commands that run until they are told to stop."""

import asyncio
import signal
from collections.abc import Callable


def on_signals(stop: Callable[[], None]) -> None:
    """Have ``stop`` called on the running loop at SIGINT and SIGTERM, also where a shell had them ignored (`&`)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
