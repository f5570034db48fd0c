"""Mounts the local APIs on a listener: one catch-all route under each prefix, and everything that comes before a face.

The order is fixed: source, route, credential, limits, scope, size; only then a handler. What is not listed is refused.
Every refusal under a prefix has the shape of that API's errors. Must never call a handler that a check has not
admitted, nor log or keep a credential.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType

import msgspec
from aiohttp import hdrs, web

from agent.apis.face import (
    ApiAnswer,
    ApiClient,
    ApiProblem,
    ApiRefused,
    ApiRequest,
    ApiRoute,
    Face,
    Limit,
    LimitUse,
    ProblemKind,
)
from agent.apis.rate_limit import RateLimits
from agent.apis.routing import find_route
from agent.errors import ClimahubError, Defect
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import sanitize
from agent.local.routes import Caller, RequestRefused, Role, refusal_of
from agent.port.http.access import SAFE_METHODS, AuditTrail
from agent.port.http.bodies import read_body
from agent.port.http.endpoints import source_of
from agent.port.http.gates import Gate
from hal.errors import HalError

OPEN_LIMIT = Limit("open", 60)
"""Calls without a credential, of one source: each may cost a signature."""

_KINDS: Mapping[HTTPStatus, ProblemKind] = MappingProxyType(
    {
        HTTPStatus.REQUEST_TIMEOUT: ProblemKind.TOO_SLOW,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ProblemKind.TOO_LARGE,
        HTTPStatus.SERVICE_UNAVAILABLE: ProblemKind.UNAVAILABLE,
        HTTPStatus.MISDIRECTED_REQUEST: ProblemKind.FOREIGN_SOURCE,
    }
)

_encode = msgspec.json.Encoder().encode


class MountedApis(msgspec.Struct, frozen=True):
    """What a listener needs to answer the local APIs.

    Attributes:
        faces: Those that are switched on.
        limits: Counts requests.
        is_ready: Tells whether the credentials have been read from the disk.
    """

    faces: Sequence[Face]
    limits: RateLimits
    is_ready: Callable[[], bool]


def mount(
    application: web.Application, apis: MountedApis, gate: Gate, audit: AuditTrail | None
) -> frozenset[web.AbstractRoute]:
    """Add the APIs to an application, and return their routes: the admission of the local API leaves those alone.

    Args:
        application: Of one kind of listener.
        apis: What is mounted.
        gate: Checks where requests come from.
        audit: Is given what clients have changed.
    """
    routes = []
    for face in apis.faces:
        handler = _Mount(face, apis, gate, audit).answer
        routes += [
            application.router.add_route(hdrs.METH_ANY, path, handler)
            # Whatever follows, line breaks too: nothing under a prefix is answered in other words than its API's.
            for path in (face.prefix, face.prefix + "/{rest:(?s:.*)}")
        ]
    return frozenset(routes)


class _Passed(msgspec.Struct, frozen=True):
    """A request that has passed its credential and limits."""

    route: ApiRoute
    parameters: Mapping[str, str]
    client: ApiClient | None
    caller: Caller


class _Refused(ClimahubError):
    """The frame refuses; `_Mount.answer` has the face word it.

    Attributes:
        problem: Why.
        headers: Of the answer, besides those of the face.
    """

    def __init__(self, problem: ApiProblem, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.headers = headers


class _Mount:
    """Answers what comes in under the prefix of one API."""

    def __init__(self, face: Face, apis: MountedApis, gate: Gate, audit: AuditTrail | None) -> None:
        self._face = face
        self._apis = apis
        self._gate = gate
        self._audit = audit

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. A defect in it fails that request only."""
        what = f"{request.method} {sanitize(request.path)}"
        uses: list[LimitUse] = []
        try:
            with contain_failure(what):
                try:
                    answer = await self._checked(request, uses)
                except ConnectionError:
                    # The caller has gone: nobody receives this.
                    return web.Response(status=HTTPStatus.BAD_REQUEST)
                except (web.HTTPException, HalError) as error:
                    answer = self._word(request, _problem_of(error))
        except ApiRefused as refused:
            answer = refused.answer
        except _Refused as refused:
            answer = self._word(request, refused.problem, refused.headers)
        except Defect as error:
            text = f"{what} failed by a defect of the hub ({error}); please report it with the log of this moment"
            answer = self._word(request, ApiProblem(ProblemKind.DEFECT, HTTPStatus.INTERNAL_SERVER_ERROR, text))
        except ClimahubError as error:
            answer = self._word(request, _problem_of(error))
        return self._response(answer, uses)

    def _word(
        self, request: web.Request, problem: ApiProblem, headers: Mapping[str, str] = MappingProxyType({})
    ) -> ApiAnswer:
        """Return a problem in the words of the face."""
        path = sanitize(request.path.removeprefix(self._face.prefix))
        answer = self._face.refuse(msgspec.structs.replace(problem, path=path))
        return msgspec.structs.replace(answer, headers={**answer.headers, **headers})

    def _response(self, answer: ApiAnswer, uses: Sequence[LimitUse]) -> web.Response:
        body = answer.document if isinstance(answer.document, bytes) else _encode(answer.document)
        limits = self._face.limit_headers(uses) if uses else {}
        headers = {"Content-Type": "application/json", **limits, **answer.headers}
        return web.Response(body=body, status=answer.status, headers=headers)

    async def _checked(self, request: web.Request, uses: list[LimitUse]) -> ApiAnswer:
        """Check a request in the order above, then answer it.

        Raises:
            ClimahubError: It is refused, or fails.
        """
        passed = await self._admit(request, uses)
        body = await read_body(request, passed.route.bytes_max)
        given = ApiRequest(passed.parameters, dict(request.query), request.headers, body, passed.client, passed.caller)
        name = getattr(passed.route.handler, "__name__", passed.route.path)
        action, result = name, "no answer"
        try:
            answer = await passed.route.handler(given)
            action = name if answer.action is None else answer.action
            result = str(answer.status.value)
        except ApiRefused as refused:
            action = name if refused.answer.action is None else refused.answer.action
            result = str(refused.answer.status.value)
            raise
        except (ClimahubError, HalError) as error:
            refusal = refusal_of(error)
            result = f"{refusal.status.value} {refusal.code}"
            raise
        finally:
            # Open calls report what matters themselves: strangers must not fill the trail.
            if self._audit and passed.client and action and request.method not in SAFE_METHODS:
                self._audit.record(passed.caller, action, sanitize(request.path), result)
        return answer

    async def _admit(self, request: web.Request, uses: list[LimitUse]) -> _Passed:
        """Return who asks for what.

        Args:
            request: The request.
            uses: Is given how much of each limit is used, also where the request is refused then.

        Raises:
            ClimahubError: It is refused.
        """
        try:
            origin = self._gate.check_source(request)
        except RequestRefused as error:
            raise _Refused(ApiProblem(ProblemKind.FOREIGN_SOURCE, error.status, str(error))) from error
        found = find_route(self._face.routes, request.method, request.rel_url.raw_path.removeprefix(self._face.prefix))
        client = None
        if not found.is_open:
            if not self._apis.is_ready():
                text = "try again in a minute: the hub has not read its credentials yet"
                raise _Refused(ApiProblem(ProblemKind.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, text))
            client = await self._face.authenticate(request.headers)
            self._gate.know(request)
        if found.route is None:
            raise _refused_route(request, found.allowed)
        self._count(client, source_of(origin), found.route, uses)
        if found.route.scope and (client is None or found.route.scope not in client.scopes):
            text = f"use a credential with the scope {found.route.scope}"
            problem = ApiProblem(ProblemKind.MISSING_SCOPE, HTTPStatus.FORBIDDEN, text, scope=found.route.scope)
            raise _Refused(problem)
        name = f"api:{client.api}/{client.name}" if client else ""
        caller = Caller(name, Role.SERVICE if client else Role.PUBLIC, origin)
        return _Passed(found.route, found.parameters, client, caller)

    def _count(self, client: ApiClient | None, source: str, route: ApiRoute, uses: list[LimitUse]) -> None:
        """Count a request.

        Raises:
            _Refused: A limit is used up.
        """
        if client is None:
            counted, wait_s = self._apis.limits.count(f"{self._face.name} {source}", [OPEN_LIMIT])
        else:
            counted, wait_s = self._apis.limits.count(client.client_id, self._face.limits_of(client, route))
            uses += counted
        if wait_s is not None:
            text = f"wait {wait_s} s: this client has used all requests of its limit"
            raise _Refused(ApiProblem(ProblemKind.RATE_LIMITED, HTTPStatus.TOO_MANY_REQUESTS, text, wait_s))


def _refused_route(request: web.Request, allowed: Sequence[str]) -> _Refused:
    what = f"{request.method} {sanitize(request.path)}"
    if not allowed:
        return _Refused(ApiProblem(ProblemKind.NO_ROUTE, HTTPStatus.NOT_FOUND, f"{what}: this API has no such call"))
    text = f"{what}: use {' or '.join(allowed)}"
    problem = ApiProblem(ProblemKind.WRONG_METHOD, HTTPStatus.METHOD_NOT_ALLOWED, text)
    return _Refused(problem, {hdrs.ALLOW: ", ".join(allowed)})


def _problem_of(error: Exception) -> ApiProblem:
    """Return an error of the hub or of the HTTP library as a problem for a face to word."""
    if isinstance(error, web.HTTPException):
        return ApiProblem(ProblemKind.MALFORMED, HTTPStatus.BAD_REQUEST, "send the request in the form of HTTP")
    refusal = refusal_of(error)
    kind = _KINDS.get(refusal.status)
    if kind is None:
        kind = ProblemKind.REFUSED if refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR else ProblemKind.DEFECT
    return ApiProblem(kind, refusal.status, str(refusal), refusal.retry_after_s, error=error)
