"""The Unix socket of the port (`curl --unix-socket /run/climahub/status.sock http://hub/v1/status`).

Owns the socket file. Its permissions decide who may ask: the service's user and group.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

SOCKET_UMASK = 0o117
"""Leaves 0660: the service's user and group."""

IDLE_S_MAX = 60.0
"""How long a connection may stay open without a request, and the head of a request without its end."""

BACKLOG = 64
"""Connections that wait to be accepted, in the kernel."""

TURNS_TO_CONNECT = 4
"""Of the event loop, from accepting a connection to its being made (asyncio, `BaseSelectorEventLoop`)."""


async def serve(path: Path, make_runner: "Callable[[], Awaitable[web.AppRunner]]") -> None:
    """Answer on the socket until cancelled.

    Args:
        path: The socket.
        make_runner: Makes the HTTP server, when the first visitor comes: it is imported only then.
    """
    runner: web.AppRunner | None = None
    # The lock on the state directory makes this the only agent: an existing socket is a leftover of a killed process.
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - /run is memory
    with _bind(path) as listening:
        try:
            listening.listen(BACKLOG)
            await wait_readable(listening)
            runner = await make_runner()
            # Imported by then.
            from aiohttp.web_runner import SockSite  # noqa: PLC0415

            await runner.setup()
            await SockSite(runner, listening, backlog=BACKLOG).start()
            await asyncio.Event().wait()
        finally:
            # Nobody else is accepted, and who was is a connection before asyncio's server closes: it would lose them.
            asyncio.get_running_loop().remove_reader(listening)
            for _ in range(TURNS_TO_CONNECT):
                await asyncio.sleep(0)
            if runner is not None:
                await runner.cleanup()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - see above


async def wait_readable(listening: socket.socket) -> None:
    """Wait until somebody wants in."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(listening, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(listening)


def _bind(path: Path) -> socket.socket:
    """Return a socket that has its permissions from the first moment on. No other task runs under its umask.

    Raises:
        OSError: The system refuses.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(SOCKET_UMASK)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound
