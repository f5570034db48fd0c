"""What one local API is to the frame that mounts it: its routes, who may ask, and the shape of its errors.

Types only. The frame (`agent.port.http.api_mount`) checks source, credential, scope, limits and size before it calls a
handler; a face never sees a request that has not passed. Must know nothing of HTTP libraries.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol

import msgspec

from agent.errors import ClimahubError
from agent.local.routes import Caller

BODY_BYTES_MAX = 32 * 1024
"""Of a request whose route says nothing else: a week's schedule of 28 blocks takes 5 KiB."""


class ApiClient(msgspec.Struct, frozen=True):
    """Who asks: one credential of the store (`agent.apis.clients`).

    Attributes:
        client_id: Identifies it for ever: `acc_` and twelve characters.
        name: For people and the audit trail.
        api: The name of the API that the credential is for, as in `[apis]`.
        scopes: What it may do, in the words of that API.
        tier: Of its limits, in the words of that API; empty where the API has none.
        zones: The zones that it may see, by id; empty for all.
        is_test: It drives a simulated twin of the hub's zones and never an output.
    """

    client_id: str
    name: str
    api: str
    scopes: tuple[str, ...] = ()
    tier: str = ""
    zones: tuple[str, ...] = ()
    is_test: bool = False

    def may_see(self, zone_id: str) -> bool:
        """Tell whether a zone exists for this client. What it may not see is answered as unknown."""
        return not self.zones or zone_id in self.zones


class ApiRequest(msgspec.Struct, frozen=True):
    """What a handler receives.

    Attributes:
        parameters: The parts of the path that stand in braces in the route, decoded.
        query: The query of the address; of a repeated name the last value.
        headers: The request's headers, by any case.
        body: As it came, at most `bytes_max` of the route.
        client: Who asks; `None` on an open route.
        caller: The same for services that keep who changed something.
        count: Counts the request against a further limit of a client, which its headers do not show. Raises a
            `ClimahubError` that the handler must leave to the frame where that is used up.
    """

    parameters: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    client: ApiClient | None
    caller: Caller
    count: "Callable[[ApiClient, Limit], None]"

    @property
    def known_client(self) -> ApiClient:
        """Who asks, on a route that is not open.

        Raises:
            ValueError: The route is open: a defect of the face.
        """
        if self.client is None:
            raise ValueError("an open route has no client")
        return self.client


class ApiAnswer(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        document: Sent as JSON; `bytes` are sent as they are.
        status: The HTTP status.
        headers: Further headers; the frame adds those of the limits.
        action: What was done, for the audit trail; `None` takes the handler's name, and "" is a request that only read
            something.
        result: What came of it, for the audit trail; empty for the HTTP status, which says little in some APIs.
        target: What it was done to, for the audit trail, where the path does not say it; sanitized.
    """

    document: object
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = MappingProxyType({})
    action: str | None = None
    result: str = ""
    target: str = ""


ApiHandler = Callable[[ApiRequest], Awaitable[ApiAnswer]]
"""May raise `ApiRefused`, or any `ClimahubError`, which the face words by `refuse`."""


class ApiRoute(msgspec.Struct, frozen=True):
    """One call of an API.

    Attributes:
        method: The HTTP method.
        path: What follows the prefix, with parameters in braces, each one segment: "/devices/{device_id}"; may be "".
        handler: Answers it.
        scope: What the client must be allowed to do; empty for nothing in particular.
        is_open: It needs no credential, such as the call that gives a token.
        is_sign_in: An open call that takes a credential in its body: only wrong ones count against the source.
        bytes_max: The largest body that is read.
        limits: The names of further limits that count this call, besides those of the client's tier.
    """

    method: str
    path: str
    handler: ApiHandler
    scope: str = ""
    is_open: bool = False
    is_sign_in: bool = False
    bytes_max: int = BODY_BYTES_MAX
    limits: tuple[str, ...] = ()


class ProblemKind(Enum):
    """Why a request failed, for the face to word. What only one API knows it raises as `ApiRefused` itself."""

    MALFORMED = "malformed"
    """400: the request is not understood."""
    NO_CREDENTIAL = "no_credential"
    """401: there is none, or it is wrong, revoked, expired or another API's."""
    MISSING_SCOPE = "missing_scope"
    """403: the credential lacks `scope` of the route."""
    FOREIGN_SOURCE = "foreign_source"
    """403 or 421: another site's page sent it, or it names another host."""
    NO_ROUTE = "no_route"
    """404: the API has no such call."""
    WRONG_METHOD = "wrong_method"
    """405: it has, with another method."""
    TOO_SLOW = "too_slow"
    """408: the body did not come in time."""
    TOO_LARGE = "too_large"
    """413: the body is larger than the route takes."""
    RATE_LIMITED = "rate_limited"
    """429: `retry_after_s` says when to try again."""
    REFUSED = "refused"
    """4xx: a service of the hub refuses what was asked; the message says why."""
    DEFECT = "defect"
    """500: a defect of the hub."""
    UNAVAILABLE = "unavailable"
    """503: the hub cannot do it now: its disk or a part of it fails."""


class ApiProblem(msgspec.Struct, frozen=True):
    """Why a request failed.

    Attributes:
        kind: Which of these.
        status: The HTTP status that fits; a face may choose another.
        message: For people: what to do, then what happened.
        retry_after_s: How long to wait before the next try; `None` where that is not known.
        scope: Of `MISSING_SCOPE`: what is missing.
        error: What a service or the face raised; `None` where the frame refuses.
        path: Of the request, after the prefix, for people: sanitized and cut.
    """

    kind: ProblemKind
    status: HTTPStatus
    message: str
    retry_after_s: int | None = None
    scope: str = ""
    error: Exception | None = None
    path: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell when to try again; none where that is not known."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class ApiRefused(ClimahubError):
    """A refusal that the face has worded already.

    Attributes:
        answer: Sent as it is.
    """

    def __init__(self, answer: ApiAnswer) -> None:
        super().__init__(f"refused with {answer.status.value}")
        self.answer = answer


class Limit(msgspec.Struct, frozen=True):
    """How many requests an API takes.

    Attributes:
        name: Of the bucket; each client has its own of that name.
        requests_max: In one window.
        window_s: How long a window lasts; it begins with its first request.
    """

    name: str
    requests_max: int
    window_s: int = 60


CHANGES = Limit("changes", 30)
"""Calls of one client that write a file: each wears the card."""


SETTINGS = Limit("settings", 60)
"""Calls of one client that set a zone: each writes `climate.json`. A person who moves a slider makes fewer, as do the
clients that `docs/apis.md` names."""


class LimitUse(msgspec.Struct, frozen=True):
    """How much of a limit a client has used.

    Attributes:
        limit: The limit.
        used: Requests in the present window, this one included.
        reset_s: When the window ends, in whole seconds, rounded up.
    """

    limit: Limit
    used: int
    reset_s: int

    @property
    def remaining(self) -> int:
        """How many requests are left in the window."""
        return max(0, self.limit.requests_max - self.used)

    @property
    def headers(self) -> dict[str, str]:
        """The customary headers."""
        return {
            "X-RateLimit-Limit": str(self.limit.requests_max),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }


def bearer_token(headers: Mapping[str, str]) -> str:
    """Return what follows `Bearer` in `Authorization`; empty where there is nothing, or another scheme."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class Face(Protocol):
    """One local API."""

    @property
    def name(self) -> str:
        """Its name, as in `[apis]`."""
        ...

    @property
    def prefix(self) -> str:
        """Where it is mounted, without a slash at the end: "/amps"."""
        ...

    @property
    def routes(self) -> Sequence[ApiRoute]:
        """Every call. What is not listed is answered with `NO_ROUTE` or `WRONG_METHOD`."""
        ...

    async def authenticate(self, headers: Mapping[str, str]) -> ApiClient:
        """Return whose credential the headers bring. It is asked at each request, so it answers from memory.

        Raises:
            ClimahubError: There is none, or it is not valid here. Anything but `ApiRefused` goes through `refuse`.
        """
        ...

    def limits_of(self, client: ApiClient, route: ApiRoute) -> Sequence[Limit]:
        """Return the limits that count a request, the one that its headers show first."""
        ...

    def limit_headers(self, uses: Sequence[LimitUse]) -> Mapping[str, str]:
        """Return the headers of an answer that was counted, in the order of `limits_of`."""
        ...

    def refuse(self, problem: ApiProblem) -> ApiAnswer:
        """Return a problem in the shape of the API's errors."""
        ...

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the face's own loops, by the name under which their faults are shown; most have none."""
        ...
