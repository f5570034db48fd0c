"""The Unix socket of the port (`curl --unix-socket /run/climahub/status.sock http://hub/v1/status`).

Owns the socket file. Its permissions decide who may ask: the service's user and group.
"""

import asyncio
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from agent.local.routes import Handlers
from agent.port.http.access import AuditTrail, CallerLookup
from agent.port.http.gates import SocketGate
from agent.port.http.server import application, runner_of

if TYPE_CHECKING:
    from agent.port.http.api_mount import MountedApis

SOCKET_UMASK = 0o117
"""Leaves 0660: the service's user and group."""

IDLE_S_MAX = 60.0
"""How long a connection may stay open without a request, and the head of a request without its end."""

TURNS_TO_CONNECT = 4
"""Of the event loop, from accepting a connection to its being made (asyncio, `BaseSelectorEventLoop`)."""


async def serve(
    path: Path,
    handlers: Handlers,
    audit: AuditTrail | None = None,
    callers: CallerLookup | None = None,
    apis: "MountedApis | None" = None,
) -> None:
    """Answer on the socket until cancelled.

    Args:
        path: The socket.
        handlers: See `agent.port.http.server.application`.
        audit: See there.
        callers: Knows who has signed in.
        apis: The local APIs; `None` where all are switched off.
    """
    runner = runner_of(application(handlers, SocketGate(callers), audit, apis), idle_s_max=IDLE_S_MAX)
    # The lock on the state directory makes this the only agent: an existing socket is a leftover of a killed process.
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - /run is memory
    with _bind(path) as listening:
        try:
            await runner.setup()
            await web.SockSite(runner, listening).start()
            await asyncio.Event().wait()
        finally:
            # Nobody else is accepted, and who was is a connection before asyncio's server closes: it would lose them.
            asyncio.get_running_loop().remove_reader(listening)
            for _ in range(TURNS_TO_CONNECT):
                await asyncio.sleep(0)
            await runner.cleanup()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - see above


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
