"""The middleware in front of the device API: connection faults, key, quota, error shape, response faults.

The order for each request:

1. not listening or `ConnectionRefused`: aborted, nothing counted;
2. `LatencyUp`; then the request has arrived: quotas and the observer see this instant;
3. the key (401), then the quota (429), which counts whatever comes with a valid key, cut or not;
4. `CutBefore`; then `Redirect` and `ErrorStatus` respond in place of the endpoint;
5. the endpoint, in one go: a request is processed wholly or not at all;
6. `ErrorStatus(is_processed)`, the faults of content, `LatencyDown`, `SlowDrip`, `CutAfter`.

A request must fit both the fixed and the sliding window of its quota. Must never look into a body, and never let a key
into a message or a log.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from lab.refcloud.api import JSON
from lab.refcloud.contract import UNAUTHORIZED_MESSAGE, Endpoint, EndpointQuota, Refusal
from lab.refcloud.faults import (
    ClockOff,
    ConnectionRefused,
    CutAfter,
    CutBefore,
    ErrorStatus,
    Fault,
    FaultPlan,
    LatencyDown,
    LatencyUp,
    Redirect,
    SlowDrip,
    WrongContentType,
    apply_fault,
    name_of,
)
from lab.refcloud.models import ErrorBody, encode
from lab.refcloud.records import CloudCredential, CloudDevice, LastRequest, key_sha256
from lab.refcloud.rfc3339 import http_date
from lab.refcloud.store import Store


class QuotaUsage(msgspec.Struct, frozen=True):
    """The requests of one key to one endpoint since the server started."""

    requests: int
    over_quota: int


class _Bucket:
    """One key's account at one endpoint."""

    __slots__ = ("_admitted_s", "_quota", "_window_count", "_window_index", "over_quota", "requests")

    def __init__(self, quota: EndpointQuota) -> None:
        self._quota = quota
        self._admitted_s: deque[float] = deque(maxlen=quota.limit)
        self._window_index = -1
        self._window_count = 0
        self.requests = 0
        self.over_quota = 0

    def ask(self, now_s: float, utc_s: float) -> float:
        limit, window_s = self._quota.limit, self._quota.window_s
        index = int(utc_s // window_s)
        if index != self._window_index:
            self._window_index, self._window_count = index, 0
        self._window_count += 1
        self.requests += 1
        slide_s = self._admitted_s[0] + window_s - now_s if len(self._admitted_s) == limit else 0.0
        if self._window_count <= limit and slide_s <= 0.0:
            self._admitted_s.append(now_s)
            return 0.0
        self.over_quota += 1
        if self._window_count < limit:
            return slide_s
        # The window is full, perhaps only now and by this refused request: nothing fits before the next one.
        return max(slide_s, (index + 1) * window_s - utc_s)


class QuotaCounter:
    """The accounts of all keys."""

    def __init__(self, quotas: Mapping[Endpoint, EndpointQuota]) -> None:
        self._quotas = quotas
        self._buckets: dict[tuple[str, Endpoint], _Bucket] = {}

    def ask(self, device_id: str, endpoint: Endpoint, *, now_s: float, utc_s: float) -> float:
        """Count one request and return how long to wait before the next may come; 0.0 when this one is admitted.

        Args:
            device_id: Whose key came.
            endpoint: What it asks for.
            now_s: Monotonic seconds, for the sliding window.
            utc_s: The server's own UTC, for the fixed one, which begins at multiples of its length.
        """
        bucket = self._buckets.get((device_id, endpoint))
        if bucket is None:
            bucket = self._buckets[device_id, endpoint] = _Bucket(self._quotas[endpoint])
        return bucket.ask(now_s, utc_s)

    def usage(self) -> Iterator[tuple[str, Endpoint, QuotaUsage]]:
        """Yield device, endpoint and counts of everything that was ever asked."""
        for (device_id, endpoint), bucket in self._buckets.items():
            yield device_id, endpoint, QuotaUsage(requests=bucket.requests, over_quota=bucket.over_quota)


DEVICE = web.RequestKey("device", CloudDevice)
CLOCK_OFFSET_MS = web.RequestKey("clock_offset_ms", int)

_ENDPOINTS = {endpoint.value: endpoint for endpoint in Endpoint}
_BEARER = "Bearer "
USER_AGENT_CHARS_MAX = 100
_REPLACED = (Redirect, ErrorStatus)

F = TypeVar("F", bound=msgspec.Struct)


class RequestOutcome(msgspec.Struct, frozen=True):
    """How a request ended.

    Attributes:
        status: What key, quota or endpoint made of it; 0 where a fault answered or cut before the endpoint had it.
        answered: The status that was sent; 0 where the connection was cut before the answer.
        faults: The names of the faults that struck.
    """

    status: int
    answered: int
    faults: tuple[str, ...] = ()


OnRequest = Callable[[str, Endpoint, float, RequestOutcome], None]
"""Called once for each request that arrived, when it has ended: name of the device (empty: the key is unknown),
endpoint, monotonic second of its arrival, outcome. Requests that overlap end in any order."""


class _Visit:
    """The facts about a request that the middleware collects."""

    __slots__ = ("answered", "device_id", "device_name", "status")

    def __init__(self) -> None:
        self.device_id = ""
        self.device_name = ""
        self.status = 0
        self.answered = 0


class DeviceApiMiddleware:
    """Holds what the middleware needs; its method `middleware` goes into the application."""

    def __init__(
        self,
        *,
        store: Store,
        quotas: QuotaCounter,
        utc_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        faults: FaultPlan,
        on_request: OnRequest | None,
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._utc_ms = utc_ms
        self._monotonic_s = monotonic_s
        self._on_request = on_request
        self.faults = faults
        self.listening = True
        self.sightings: dict[str, LastRequest] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass one request on, or respond in its place."""
        endpoint = _ENDPOINTS.get(request.match_info.route.name or "")
        if endpoint is None:
            response = await self._answer(request, handler)
            response.headers[hdrs.DATE] = http_date(self._utc_ms())
            return response
        if not self.listening:
            return _abort(request)
        faults = self.faults.draw(endpoint, self._monotonic_s())
        if _first(faults, ConnectionRefused) is not None:
            return _abort(request)
        for slow in _all(faults, LatencyUp):
            await asyncio.sleep(self.faults.rng.uniform(slow.min_s, slow.max_s))
        visit, arrived_s = _Visit(), self._monotonic_s()
        try:
            return await self._visit(request, handler, endpoint, faults, visit)
        finally:
            if visit.device_id:
                user_agent = request.headers.get(hdrs.USER_AGENT, "")[:USER_AGENT_CHARS_MAX]
                sighting = LastRequest(self._utc_ms(), user_agent, endpoint.value, visit.answered)
                self.sightings[visit.device_id] = sighting
            if self._on_request is not None:
                names = tuple(name_of(fault) for fault in faults)
                outcome = RequestOutcome(status=visit.status, answered=visit.answered, faults=names)
                self._on_request(visit.device_name, endpoint, arrived_s, outcome)

    async def _visit(
        self, request: web.Request, handler: Handler, endpoint: Endpoint, faults: Sequence[Fault], visit: _Visit
    ) -> web.StreamResponse:
        offset_ms = sum(off.offset_s for off in _all(faults, ClockOff)) * 1000
        request[CLOCK_OFFSET_MS] = offset_ms
        try:
            device = self._device_of(request)
            visit.device_id, visit.device_name = device.device_id, device.name
            self._admit(device, endpoint)
            request[DEVICE] = device
        except Refusal as refusal:
            response: web.StreamResponse = _refused(refusal)
            visit.status = response.status
        else:
            if _first(faults, CutBefore) is not None:
                return _abort(request)
            replaced = next((fault for fault in faults if isinstance(fault, _REPLACED)), None)
            if replaced is None or (isinstance(replaced, ErrorStatus) and replaced.is_processed):
                response = await self._answer(request, handler)
                visit.status = response.status
            if replaced is not None:
                response = self._replacement(replaced, offset_ms)
        return await self._deliver(request, response, faults, visit)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Return the handler's answer; its refusals, and those of the router, in the shape of the contract."""
        try:
            return await handler(request)
        except Refusal as refusal:
            return _refused(refusal)
        except web.HTTPMethodNotAllowed as error:
            return _refused(Refusal(405, "no such method here", headers={hdrs.ALLOW: error.headers[hdrs.ALLOW]}))
        except web.HTTPNotFound:
            return _refused(Refusal(404, "no such path"))

    def _device_of(self, request: web.Request) -> CloudDevice:
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        if authorization.startswith(_BEARER):
            credential = self._store.get(CloudCredential, key_sha256(authorization.removeprefix(_BEARER)))
            if credential is not None and not credential.is_revoked:
                device = self._store.get(CloudDevice, credential.device_id)
                if device is not None:
                    return device
        raise Refusal(401, UNAUTHORIZED_MESSAGE, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})

    def _admit(self, device: CloudDevice, endpoint: Endpoint) -> None:
        wait_s = self._quotas.ask(device.device_id, endpoint, now_s=self._monotonic_s(), utc_s=self._utc_ms() / 1000)
        if wait_s > 0.0:
            whole_s = max(1, math.ceil(wait_s))
            message = f"over the quota of this endpoint: {whole_s} s to wait"
            raise Refusal(429, message, headers={hdrs.RETRY_AFTER: str(whole_s)})

    def _replacement(self, fault: Redirect | ErrorStatus, offset_ms: int) -> web.Response:
        if isinstance(fault, Redirect):
            return web.Response(status=fault.status, headers={hdrs.LOCATION: fault.location})
        headers = {}
        if fault.retry_after_s is not None:
            due_ms = self._utc_ms() + offset_ms + fault.retry_after_s * 1000
            is_date = fault.retry_after_form == "date"
            headers[hdrs.RETRY_AFTER] = http_date(due_ms) if is_date else str(fault.retry_after_s)
        reason = _reason(fault.status)
        if not fault.is_json:
            page = f"<html><body><h1>{fault.status} {reason}</h1></body></html>"
            return web.Response(status=fault.status, text=page, content_type="text/html", headers=headers)
        error = ErrorBody(error=reason.lower().replace(" ", "_"), message="a fault on demand")
        return web.Response(status=fault.status, body=encode(error), content_type=JSON, headers=headers)

    async def _deliver(
        self, request: web.Request, response: web.StreamResponse, faults: Sequence[Fault], visit: _Visit
    ) -> web.StreamResponse:
        """Send the response, changed by its faults."""
        if not faults:
            response.headers[hdrs.DATE] = http_date(self._utc_ms())
            visit.answered = response.status
            return response
        for slow in _all(faults, LatencyDown):
            await asyncio.sleep(self.faults.rng.uniform(slow.min_s, slow.max_s))
        response.headers[hdrs.DATE] = http_date(self._utc_ms() + request[CLOCK_OFFSET_MS])
        body = _body_of(response)
        if body:
            body = apply_fault(body, faults, is_json=response.content_type == JSON)
        wrong = _first(faults, WrongContentType)
        if wrong is not None:
            response.content_type = wrong.content_type
        cut, drip = _first(faults, CutAfter), _first(faults, SlowDrip)
        if cut is not None and cut.body_bytes is None:
            return _abort(request)
        visit.answered = response.status
        if cut is None and drip is None:
            if isinstance(response, web.Response):
                response.body = body
            return response
        return await _dripped(request, response, body, cut, drip)


def _first(faults: Sequence[Fault], kind: type[F]) -> F | None:
    return next((fault for fault in faults if isinstance(fault, kind)), None)


def _all(faults: Sequence[Fault], kind: type[F]) -> list[F]:
    return [fault for fault in faults if isinstance(fault, kind)]


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _body_of(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else b""
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else b""


def _refused(refusal: Refusal) -> web.Response:
    body = encode(ErrorBody(error=refusal.error, message=refusal.message))
    return web.Response(status=refusal.status, body=body, content_type=JSON, headers=refusal.headers)


def _abort(request: web.Request) -> web.Response:
    """Drop the connection as a lost link does. The returned response cannot be sent any more."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)


async def _dripped(
    request: web.Request, whole: web.StreamResponse, body: bytes, cut: CutAfter | None, drip: SlowDrip | None
) -> web.StreamResponse:
    """Send the body piece by piece, up to the cut."""
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(body)
    await response.prepare(request)
    end = len(body) if cut is None or cut.body_bytes is None else min(cut.body_bytes, len(body))
    piece_bytes = end if drip is None else drip.piece_bytes
    try:
        for start in range(0, end, max(1, piece_bytes)):
            await response.write(body[start : min(start + piece_bytes, end)])
            if drip is not None:
                await asyncio.sleep(drip.pause_s)
    except ConnectionError:
        return response  # the client had enough
    if cut is not None:
        _abort(request)
    return response
