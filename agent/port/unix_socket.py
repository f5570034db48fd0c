"""The Unix socket of the port (`curl --unix-socket /run/climahub/status.sock http://hub/v1/status`).

Owns the socket file. Its permissions decide who may ask: the service's user and group.
"""

import asyncio
import os
from pathlib import Path

from aiohttp import web

from agent.local.routes import Handlers
from agent.port.access import AuditTrail, CallerLookup
from agent.port.gates import SocketGate
from agent.port.server import application, runner_of

SOCKET_UMASK = 0o117
"""Leaves 0660: the service's user and group."""

IDLE_S_MAX = 60.0
"""How long a connection may stay open without a request, and the head of a request without its end."""


async def serve(
    path: Path, handlers: Handlers, audit: AuditTrail | None = None, callers: CallerLookup | None = None
) -> None:
    """Answer on the socket until cancelled.

    Args:
        path: The socket.
        handlers: See `agent.port.server.application`.
        audit: See there.
        callers: Knows who has signed in.
    """
    runner = runner_of(application(handlers, SocketGate(callers), audit), idle_s_max=IDLE_S_MAX)
    await runner.setup()
    # The lock on the state directory makes this the only agent: an existing socket is a leftover of a killed process.
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - /run is memory
    try:
        await _start(web.UnixSite(runner, str(path)))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _start(site: web.UnixSite) -> None:
    """Open the socket with its permissions from the first moment on."""
    before = os.umask(SOCKET_UMASK)
    try:
        await site.start()
    finally:
        os.umask(before)
