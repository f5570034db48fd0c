"""HTTP over a Unix socket: `curl --unix-socket /run/climahub/status.sock http://hub/v1/status`.

Owns the socket file. Who may open it is decided by its permissions: the service's user and group.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from pathlib import Path

import msgspec
from aiohttp import web

from agent.errors import ClimahubError, Defect, StorageFull
from agent.foundation.foreign_text import harmless
from agent.foundation.supervisor import contained
from agent.local.commands import CommandsReport
from agent.local.status import HubStatus

SOCKET_UMASK = 0o117
"""Leaves 0660: the service's user and group."""

IDLE_S_MAX = 60.0
"""A connection on which nothing is asked for so long is closed, and one whose question is never completed."""
SHUTDOWN_S_MAX = 0.5
"""How long a stop waits for questions that are being answered."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_encode = msgspec.json.Encoder().encode


async def serve(
    path: Path,
    status: Callable[[], HubStatus],
    *,
    commands: Callable[[], Awaitable[CommandsReport]],
    confirm: Callable[[str], Awaitable[object]],
    more: Iterable[web.AbstractRouteDef] = (),
) -> None:
    """Answer until cancelled.

    Args:
        path: The socket.
        status: See `application`, as all else.
        commands: The journal of commands.
        confirm: Notes that a person at the hub confirms a command.
        more: What else is answered.
    """
    made = application(status, commands=commands, confirm=confirm, more=more)
    runner = web.AppRunner(
        made,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=IDLE_S_MAX,
        shutdown_timeout=SHUTDOWN_S_MAX,
    )
    await runner.setup()
    # The state directory's lock makes this the only agent: a socket that is there was left by one that was killed.
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - /run is memory
    try:
        await _start(web.UnixSite(runner, str(path)))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def application(
    status: Callable[[], HubStatus],
    *,
    commands: Callable[[], Awaitable[CommandsReport]],
    confirm: Callable[[str], Awaitable[object]],
    more: Iterable[web.AbstractRouteDef] = (),
) -> web.Application:
    """Return what answers, wherever it listens.

    Args:
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
        return _json({"confirmed": command_id})

    made = web.Application(client_max_size=1024, middlewares=[_told_in_words])
    made.router.add_get("/v1/status", get_status)
    made.router.add_get("/v1/commands", get_commands)
    made.router.add_post("/v1/confirm/{command_id}", post_confirm)
    made.router.add_routes(more)
    return made


@web.middleware
async def _told_in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what a handler raises in words; whatever one request does fails this request only.

    Raises:
        web.HTTPException: The answer that a handler or the router has chosen.
        ConnectionError: Who asked has gone.
    """
    chosen: Exception
    what = f"{request.method} {harmless(request.path)}"
    try:
        with contained(what):
            try:
                return await handler(request)
            except (web.HTTPException, ConnectionError) as error:
                chosen = error
    except Defect as error:
        message = f"{what} failed by a defect of the hub ({error}); please report it with the log of this moment"
        return _json({"error": "defect", "message": message}, HTTPStatus.INTERNAL_SERVER_ERROR)
    except ClimahubError as error:
        code = "storage_full" if isinstance(error, StorageFull) else "failed"
        return _json({"error": code, "message": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
    raise chosen


async def _start(site: web.UnixSite) -> None:
    """Open the socket with its permissions from the first moment on."""
    before = os.umask(SOCKET_UMASK)
    try:
        await site.start()
    finally:
        os.umask(before)


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=_encode(document), status=status, content_type="application/json")
