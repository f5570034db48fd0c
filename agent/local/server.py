"""HTTP over a Unix socket: `curl --unix-socket /run/climahub/status.sock http://hub/v1/status`.

Owns the socket file. Who may open it is decided by its permissions: the service's user and group.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from agent.local.status import Status

SOCKET_UMASK = 0o117
"""Leaves 0660: the service's user and group."""

_encode = msgspec.json.Encoder().encode


async def serve(path: Path, status: Callable[[], Status]) -> None:
    """Answer until cancelled."""

    async def get_status(_: web.Request) -> web.Response:
        return web.Response(body=_encode(status()), content_type="application/json")

    application = web.Application(client_max_size=1024)
    application.router.add_get("/v1/status", get_status)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    # The state directory's lock makes this the only agent: a socket that is there was left by one that was killed.
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
