"""The local API: HTTP with JSON over a Unix socket (`curl --unix-socket /run/climahub/status.sock http://hub/v1/status`).

Owns the socket file, and turns requests into calls of handlers and their results into answers. The permissions of the
socket file decide who may ask: the service's user and group. Must never answer a request that `agent.local.routes` does
not list.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler as HttpHandler

from agent.errors import ClimahubError, Defect
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import sanitize
from agent.local.routes import (
    ROUTES,
    Answer,
    Caller,
    Handler,
    Handlers,
    LocalRequest,
    RequestRefused,
    Role,
    Route,
    Stream,
    refusal_of,
)
from hal.errors import HalError

SOCKET_UMASK = 0o117
"""Leaves 0660: the service's user and group."""

IDLE_S_MAX = 60.0
"""How long a connection may stay open without a request, and a request without its end."""
SILENT_S_MAX = 30.0
"""How long the next piece of a body may take, from a process on this machine."""
SESSION_COOKIE = "climahub_session"

SHUTDOWN_S_MAX = 0.5
"""How long a stop waits for requests that are being answered."""

_encode = msgspec.json.Encoder().encode


async def serve(path: Path, handlers: Handlers) -> None:
    """Answer on the socket until cancelled.

    Args:
        path: The socket.
        handlers: See `application`.
    """
    runner = web.AppRunner(
        application(handlers),
        access_log=None,
        handle_signals=False,
        keepalive_timeout=IDLE_S_MAX,
        shutdown_timeout=SHUTDOWN_S_MAX,
    )
    await runner.setup()
    # The lock on the state directory makes this the only agent: an existing socket is a leftover of a killed process.
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - /run is memory
    try:
        await _start(web.UnixSite(runner, str(path)))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def application(handlers: Handlers) -> web.Application:
    """Return the application that answers, wherever it listens.

    Args:
        handlers: By the names of `ROUTES`. A route without a handler is answered with 404.

    Raises:
        ValueError: A handler has no route, so its role is undefined.
    """
    if unlisted := set(handlers) - {route.handler for route in ROUTES}:
        raise ValueError(f"add a route for: {', '.join(sorted(unlisted))}")
    made = web.Application(middlewares=[_answer_errors])
    for route in ROUTES:
        if handler := handlers.get(route.handler):
            made.router.add_route(route.method, route.path, _http_handler(route, handler))
    return made


def _http_handler(route: Route, handler: Handler) -> HttpHandler:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = await _read_body(request, route)
        answered = await handler(
            LocalRequest(
                request.match_info,
                Caller("", Role.OWNER, "socket"),
                query=dict(request.query),
                headers=request.headers,
                session=request.cookies.get(SESSION_COOKIE, ""),
                body=body,
            )
        )
        return await _response(request, answered)

    return answer


async def _response(request: web.Request, answered: object) -> web.StreamResponse:
    if isinstance(answered, Stream):
        return await _send_stream(request, answered)
    if not isinstance(answered, Answer):
        return json_response(answered)
    body = answered.document if isinstance(answered.document, bytes) else _encode(answered.document)
    response = web.Response(body=body, status=answered.status, headers={"Content-Type": answered.content_type})
    if answered.session:
        response.set_cookie(SESSION_COOKIE, answered.session, httponly=True, samesite="Strict", secure=request.secure)
    elif answered.session is not None:
        response.del_cookie(SESSION_COOKIE, httponly=True, samesite="Strict", secure=request.secure)
    return response


async def _send_stream(request: web.Request, stream: Stream) -> web.StreamResponse:
    """Send a stream until it ends or the caller leaves.

    Raises:
        ConnectionError: The caller has gone.
    """
    response = web.StreamResponse(headers={"Content-Type": stream.content_type})
    if stream.file_name:
        response.headers["Content-Disposition"] = f'attachment; filename="{stream.file_name}"'
    async with contextlib.aclosing(stream.chunks) as chunks:
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    return response


def json_response(document: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return a document as an answer; `bytes` are JSON already."""
    body = document if isinstance(document, bytes) else _encode(document)
    return web.Response(body=body, status=status, content_type="application/json")


async def _read_body(request: web.Request, route: Route) -> Any:  # noqa: ANN401 - the type that the route declares
    if route.body is None:
        return None
    if route.body is AsyncIterator:
        return _chunks(request)
    body = bytearray()
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > route.bytes_max:
            text = f"send less: the body of this request has at most {route.bytes_max} bytes"
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", text)
    if route.body is bytes:
        return bytes(body)
    try:
        return msgspec.json.decode(body, type=route.body)
    except DECODE_ERRORS:
        # The cause is dropped: it may quote a key.
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "not_understood", "the request is not understood") from None


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body piece by piece.

    Raises:
        web.HTTPRequestTimeout: The sender went silent.
    """
    while True:
        try:
            async with asyncio.timeout(SILENT_S_MAX):
                chunk = await request.content.readany()
        except TimeoutError:
            error = {"error": "timeout", "message": f"send the request again: nothing came for {SILENT_S_MAX:.0f} s"}
            raise web.HTTPRequestTimeout(text=_encode(error).decode(), content_type="application/json") from None
        if not chunk:
            return
        yield chunk


@web.middleware
async def _answer_errors(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
    """Answer what a handler raises as JSON. A defect in one request fails that request only.

    Raises:
        web.HTTPException: The answer that the router or the body's reader has chosen.
        ConnectionError: The caller has gone.
    """
    chosen: Exception
    what = f"{request.method} {sanitize(request.path)}"
    try:
        with contain_failure(what):
            try:
                return await handler(request)
            except (web.HTTPException, ConnectionError, HalError) as error:
                chosen = error
    except Defect as error:
        message = f"{what} failed by a defect of the hub ({error}); please report it with the log of this moment"
        return _refuse(RequestRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "defect", message))
    except ClimahubError as error:
        return _refuse(refusal_of(error))
    if isinstance(chosen, HalError):
        return _refuse(refusal_of(chosen))
    raise chosen


def _refuse(refusal: RequestRefused) -> web.Response:
    return json_response({"error": refusal.code, "message": str(refusal)}, refusal.status)


async def _start(site: web.UnixSite) -> None:
    """Open the socket with its permissions from the first moment on."""
    before = os.umask(SOCKET_UMASK)
    try:
        await site.start()
    finally:
        os.umask(before)
