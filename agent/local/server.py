"""HTTP over a Unix socket: `curl --unix-socket /run/climahub/status.sock http://hub/v1/status`.

Owns the socket file. Who may open it is decided by its permissions: the service's user and group.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import msgspec
from aiohttp import web

from agent.errors import StorageFull
from agent.local.commands import CommandsReport
from agent.local.status import Status

SOCKET_UMASK = 0o117
"""Leaves 0660: the service's user and group."""

_encode = msgspec.json.Encoder().encode


async def serve(
    path: Path,
    status: Callable[[], Status],
    *,
    commands: Callable[[], Awaitable[CommandsReport]],
    confirm: Callable[[str], Awaitable[object]],
    more: Iterable[web.AbstractRouteDef] = (),
) -> None:
    """Answer until cancelled.

    Args:
        path: The socket.
        status: What the hub says of itself.
        commands: The journal of commands.
        confirm: Notes that a person at the hub confirms a command; raises `KeyError` where none such waits.
        more: What else is answered.
    """

    async def get_status(_: web.Request) -> web.Response:
        return _json(status())

    async def get_commands(_: web.Request) -> web.Response:
        return _json(await commands())

    async def post_confirm(request: web.Request) -> web.Response:
        command_id = request.match_info["command_id"]
        try:
            await confirm(command_id)
        except KeyError:
            return _json({"error": "not_found", "message": f"no command {command_id} waits to be confirmed"}, 404)
        except StorageFull as error:
            return _json({"error": "storage_full", "message": str(error)}, 503)
        return _json({"confirmed": command_id})

    application = web.Application(client_max_size=1024)
    application.router.add_get("/v1/status", get_status)
    application.router.add_get("/v1/commands", get_commands)
    application.router.add_post("/v1/confirm/{command_id}", post_confirm)
    application.router.add_routes(more)
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


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=_encode(document), status=status, content_type="application/json")
