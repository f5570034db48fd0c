"""HTTP over a Unix socket: `curl --unix-socket /run/climahub/status.sock http://hub/v1/status`.

Owns the socket file. Who may open it is decided by its permissions: the service's user and group.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from agent.local.status import Status

SOCKET_MODE = 0o660

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
        await web.UnixSite(runner, str(path)).start()
        path.chmod(SOCKET_MODE)  # noqa: ASYNC240 - /run is memory
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
