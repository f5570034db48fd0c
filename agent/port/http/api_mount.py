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
from agent.home.thermostats import CLIENT_PREFIX
from agent.local.routes import Caller, RequestRefused, Role, refusal_of
from agent.port.http.access import SAFE_METHODS, AuditTrail
from agent.port.http.bodies import read_body
from agent.port.http.endpoints import source_of
from agent.port.http.gates import Gate
from hal.errors import HalError

OPEN_CALLS_MAX = 60
"""Of each open call, by one source in a minute."""
WRONG_LIMIT = Limit("wrong", 60)
"""Requests of one source without a valid credential. Valid ones do not count: a client gets in from the same source."""

_KINDS: Mapping[HTTPStatus, ProblemKind] = MappingProxyType(
    {
        HTTPStatus.REQUEST_TIMEOUT: ProblemKind.TOO_SLOW,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ProblemKind.TOO_LARGE,
        HTTPStatus.SERVICE_UNAVAILABLE: ProblemKind.UNAVAILABLE,
        HTTPStatus.MISDIRECTED_REQUEST: ProblemKind.FOREIGN_SOURCE,
    }
)

_NOT_FOUND = str(HTTPStatus.NOT_FOUND.value)

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


class _Counted:
    """What has been counted of one request.

    Attributes:
        uses: How much of each limit its client has used, also where the request is refused then.
        source: Of a request whose source is admitted.
        is_sign_in: It brings a credential in its body.
    """

    def __init__(self) -> None:
        self.uses: Sequence[LimitUse] = ()
        self.source = ""
        self.is_sign_in = False


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
        counted = _Counted()
        try:
            with contain_failure(what):
                try:
                    answer = await self._checked(request, counted)
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
        return self._response(self._count_wrong(request, answer, counted), counted.uses)

    def _count_wrong(self, request: web.Request, answer: ApiAnswer, counted: _Counted) -> ApiAnswer:
        """Count an answer to a wrong credential; return it, or the refusal of one too many."""
        is_wrong_sign_in = counted.is_sign_in and answer.status is HTTPStatus.BAD_REQUEST
        if answer.status is not HTTPStatus.UNAUTHORIZED and not is_wrong_sign_in:
            return answer
        wait_s = self._apis.limits.count_source(f"{self._face.name} {counted.source}", WRONG_LIMIT)
        return answer if wait_s is None else self._word(request, _too_many("wrong credentials from here", wait_s))

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

    def _count_further(self, client: ApiClient, limit: Limit) -> None:
        """Count a request against a limit that only its handler can tell.

        Raises:
            _Refused: It is used up.
        """
        _, wait_s = self._apis.limits.count(client.client_id, [limit])
        if wait_s is not None:
            raise _Refused(_too_many(f"{limit.name} of this client", wait_s))

    async def _checked(self, request: web.Request, counted: _Counted) -> ApiAnswer:
        """Check a request in the order above, then answer it.

        Raises:
            ClimahubError: It is refused, or fails.
        """
        passed = await self._admit(request, counted)
        body = await read_body(request, passed.route.bytes_max)
        given = ApiRequest(
            passed.parameters,
            dict(request.query),
            request.headers,
            body,
            passed.client,
            passed.caller,
            self._count_further,
        )
        name = getattr(passed.route.handler, "__name__", passed.route.path).lstrip("_")
        action, result, target = name, "no answer", ""
        try:
            answer = await passed.route.handler(given)
            action = name if answer.action is None else answer.action
            result, target = answer.result or str(answer.status.value), answer.target
        except ApiRefused as refused:
            action = name if refused.answer.action is None else refused.answer.action
            result = str(refused.answer.status.value)
            raise
        except _Refused as refused:
            result = str(refused.problem.status.value)
            raise
        except (ClimahubError, HalError) as error:
            refusal = refusal_of(error)
            result = f"{refusal.status.value} {refusal.code}"
            raise
        finally:
            # Open calls report what matters themselves: strangers must not fill the trail. Nor may invented ids.
            is_told = action and not result.startswith(_NOT_FOUND)
            if self._audit and passed.client and is_told and request.method not in SAFE_METHODS:
                path = sanitize(request.path)
                self._audit.record(passed.caller, action, f"{path} {target}" if target else path, result)
        return answer

    async def _admit(self, request: web.Request, counted: _Counted) -> _Passed:
        """Return who asks for what.

        Args:
            request: The request.
            counted: Is given what is counted.

        Raises:
            ClimahubError: It is refused.
        """
        try:
            origin = self._gate.check_source(request)
        except RequestRefused as error:
            raise _Refused(ApiProblem(ProblemKind.FOREIGN_SOURCE, error.status, str(error))) from error
        counted.source = source_of(origin)
        found = find_route(self._face.routes, request.method, request.rel_url.raw_path.removeprefix(self._face.prefix))
        client = None
        if not found.is_open:
            if not self._apis.is_ready():
                text = "try again in a minute: the hub has not read its credentials yet"
                raise _Refused(ApiProblem(ProblemKind.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, text))
            client = await self._face.authenticate(request.headers)
            self._gate.know(request)
        if found.route is None:
            self._count(client, ApiRoute(request.method, request.path, _answer_nothing), counted)
            raise _refused_route(request, found.allowed)
        self._count(client, found.route, counted)
        if found.route.scope and (client is None or found.route.scope not in client.scopes):
            text = f"use a credential with the scope {found.route.scope}"
            problem = ApiProblem(ProblemKind.MISSING_SCOPE, HTTPStatus.FORBIDDEN, text, scope=found.route.scope)
            raise _Refused(problem)
        name = f"{CLIENT_PREFIX}{client.api}/{client.name}" if client else ""
        caller = Caller(name, Role.SERVICE if client else Role.PUBLIC, origin)
        return _Passed(found.route, found.parameters, client, caller)

    def _count(self, client: ApiClient | None, route: ApiRoute, counted: _Counted) -> None:
        """Count a request; a sign-in is counted by its outcome.

        Raises:
            _Refused: A limit is used up.
        """
        counted.is_sign_in = route.is_sign_in
        if client is not None:
            counted.uses, wait_s = self._apis.limits.count(client.client_id, self._face.limits_of(client, route))
            text = "requests of this client"
        elif route.is_sign_in:
            return
        else:
            # Each call has its own: what needs no credential must not keep anybody from getting one.
            limit = Limit(f"open {route.path}", OPEN_CALLS_MAX)
            wait_s = self._apis.limits.count_source(f"{self._face.name} {counted.source}", limit)
            text = "requests without a credential"
        if wait_s is not None:
            raise _Refused(_too_many(text, wait_s))


async def _answer_nothing(_: ApiRequest) -> ApiAnswer:
    """Stand in for the handler of a call that the API does not have: a client's limit counts those as well."""
    raise Defect("a call that does not exist was answered")


def _too_many(what: str, wait_s: int) -> ApiProblem:
    text = f"wait {wait_s} s: there were too many {what}"
    return ApiProblem(ProblemKind.RATE_LIMITED, HTTPStatus.TOO_MANY_REQUESTS, text, wait_s)


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
