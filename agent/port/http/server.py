"""The server of the port: turns requests into calls of handlers, and their results into answers.

Must never answer a request that `agent.local.routes` does not list, nor call a handler that the gate has not admitted.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler as HttpHandler

from agent.errors import ClimahubError, Defect
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import sanitize
from agent.local.access import SESSION_COOKIE
from agent.local.routes import ROUTES, Caller, Handler, Handlers, LocalRequest, RequestRefused, Route, refusal_of
from agent.port.http import unix_socket
from agent.port.http.access import AuditTrail, CallerLookup, is_audited
from agent.port.http.bodies import chunks_of, read_body
from agent.port.http.connections import Runner
from agent.port.http.gates import Gate, SocketGate
from agent.port.http.responses import problem_response, protect, send
from hal.errors import HalError

if TYPE_CHECKING:
    from agent.port.http.api_mount import MountedApis

SHUTDOWN_S_MAX = 0.5
"""How long a stop waits for requests that are being answered."""

_CALLER_KEY: web.RequestKey[Caller] = web.RequestKey("caller", Caller)


def runner_of(application: web.Application, *, idle_s_max: float) -> web.AppRunner:
    """Return a runner for an application, which is not set up yet.

    Args:
        application: See `application`.
        idle_s_max: How long a connection may stay open without a request, and the head of a request without its end.
    """
    return Runner(
        application,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=idle_s_max,
        shutdown_timeout=SHUTDOWN_S_MAX,
        # A compressed body would be inflated before anybody has counted its bytes.
        auto_decompress=False,
    )


def application(
    handlers: Handlers, gate: Gate, audit: AuditTrail | None = None, apis: "MountedApis | None" = None
) -> web.Application:
    """Return the application that answers on one kind of listener.

    Args:
        handlers: By the names of `ROUTES`. A route without a handler is answered with 404.
        gate: Admits or refuses each request.
        audit: Is given every admitted request that may have changed something, but of public routes, whose handlers
            report what matters: strangers must not fill it.
        apis: The local APIs; `None` where all are switched off.

    Raises:
        ValueError: A handler has no route, so its role is undefined.
    """
    if unlisted := set(handlers) - {route.handler for route in ROUTES}:
        raise ValueError(f"add a route for: {', '.join(sorted(unlisted))}")
    routes: dict[web.AbstractRoute, Route] = {}
    # Filled below, before the first request.
    mounted: set[web.AbstractRoute] = set()
    made = web.Application(middlewares=[_answer_errors, _admission(routes, mounted, gate, audit)])
    made.on_response_prepare.append(protect)
    if apis is not None:
        # Imported late: a hub without local APIs does without.
        from agent.port.http.api_mount import mount  # noqa: PLC0415

        mounted |= mount(made, apis, gate, audit)
    for route in ROUTES:
        if handler := handlers.get(route.handler):
            # What can be asked for answers HEAD as well: `curl -I` and monitors ask so (RFC 9110, section 9.1).
            for method in (route.method, hdrs.METH_HEAD) if route.method == hdrs.METH_GET else (route.method,):
                routes[made.router.add_route(method, route.path, _http_handler(route, handler, gate))] = route
    return made


def socket_runner(
    handlers: Handlers,
    audit: AuditTrail | None = None,
    callers: CallerLookup | None = None,
    apis: "MountedApis | None" = None,
) -> web.AppRunner:
    """Return the server of the Unix socket, not set up yet.

    Args:
        handlers: See `application`.
        audit: See there.
        callers: Knows who has signed in.
        apis: See there.
    """
    made = application(handlers, SocketGate(callers), audit, apis)
    return runner_of(made, idle_s_max=unix_socket.IDLE_S_MAX)


def _admission(  # aiohttp's type of a middleware is private
    routes: Mapping[web.AbstractRoute, Route],
    mounted: AbstractSet[web.AbstractRoute],
    gate: Gate,
    audit: AuditTrail | None,
) -> Any:  # noqa: ANN401
    @web.middleware
    async def admit(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        """Let a request pass the gate before its handler is called, and give what it did to the audit trail.

        Raises:
            RequestRefused: The gate refuses it.
        """
        if request.match_info.route in mounted:
            # Checked by `api_mount`, with the credentials and in the words of its API.
            return await handler(request)
        route = routes.get(request.match_info.route)
        request[_CALLER_KEY] = caller = gate.admit(request, route)
        if route is None or audit is None or not is_audited(route):
            return await handler(request)
        result = "no answer"
        try:
            response = await handler(request)
            result = str(response.status)
        except (ClimahubError, HalError) as error:
            refusal = refusal_of(error)
            result = f"{refusal.status.value} {refusal.code}"
            raise
        finally:
            audit.record(caller, route.handler, sanitize(request.path), result)
        return response

    return admit


def _http_handler(route: Route, handler: Handler, gate: Gate) -> HttpHandler:
    async def answer(request: web.Request) -> web.StreamResponse:
        caller = request[_CALLER_KEY]
        answered = await handler(
            LocalRequest(
                request.match_info,
                caller,
                query=dict(request.query),
                headers=request.headers,
                session=request.cookies.get(SESSION_COOKIE, ""),
                body=await _read_body(request, route),
            )
        )
        return await send(request, answered, lambda: gate.lasts(request, caller))

    return answer


async def _read_body(request: web.Request, route: Route) -> Any:  # noqa: ANN401 - the type that the route declares
    if route.body is None:
        return None
    if route.is_stream:
        return chunks_of(request)
    body = await read_body(request, route.bytes_max)
    if route.body is bytes:
        return body
    try:
        return msgspec.json.decode(body, type=route.body)
    except DECODE_ERRORS:
        # The cause is dropped: it may quote a key.
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "not_understood", "the request is not understood") from None


@web.middleware
async def _answer_errors(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
    """Answer what a handler raises as problem details. A defect in one request fails that request only."""
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
        return problem_response(RequestRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "defect", message))
    except ClimahubError as error:
        return problem_response(refusal_of(error))
    if isinstance(chosen, ConnectionError):
        # The caller has gone: nobody receives this, and aiohttp would log a traceback for an exception.
        return web.Response(status=HTTPStatus.BAD_REQUEST)
    if isinstance(chosen, web.HTTPException):
        return _of_router(chosen, what)
    return problem_response(refusal_of(chosen))


def _of_router(error: web.HTTPException, what: str) -> web.Response:
    """Return what aiohttp answers by itself, such as 404, in the shape of all errors."""
    status = HTTPStatus(error.status)
    code = {HTTPStatus.NOT_FOUND: "not_found", HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed"}.get(
        status, "not_understood"
    )
    allowed = error.headers.get("Allow", "")
    if allowed:
        text = f"use {' or '.join(allowed.split(','))}: {what} is no route of this hub"
    elif status is HTTPStatus.NOT_FOUND:
        text = f"{what}: this hub has no such route"
    else:
        text = f"{what}: {status.phrase}"
    response = problem_response(RequestRefused(status, code, text))
    if allowed:
        response.headers["Allow"] = allowed
    return response
