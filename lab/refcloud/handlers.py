"""The device API on aiohttp: reads what an endpoint needs of a request and hands it on. Decides nothing."""

from collections.abc import Callable

from aiohttp import web

from lab.refcloud import contract
from lab.refcloud.api import JSON, ApiRequest, ApiResponse, DeviceApi
from lab.refcloud.contract import ROUTES
from lab.refcloud.middleware import CLOCK_OFFSET_MS, DEVICE
from lab.refcloud.request_body import read_body

_WITH_BODY = frozenset({"POST", "PUT"})


def add_device_routes(
    router: web.UrlDispatcher, api: DeviceApi, *, utc_ms: Callable[[], int], is_gzip_accepted: bool
) -> None:
    """Add the nine endpoints, each route under the name of its endpoint, by which the gate knows it."""
    for endpoint, (method, path) in ROUTES.items():
        handler = _Handler(api.endpoints[endpoint], utc_ms, has_body=method in _WITH_BODY, gzip=is_gzip_accepted)
        router.add_route(method, path, handler.handle, name=endpoint.value)


class _Handler:
    """One endpoint."""

    def __init__(
        self, act: Callable[[ApiRequest], ApiResponse], utc_ms: Callable[[], int], *, has_body: bool, gzip: bool
    ) -> None:
        self._act = act
        self._utc_ms = utc_ms
        self._has_body = has_body
        self._is_gzip_accepted = gzip

    async def handle(self, request: web.Request) -> web.Response:
        body = b""
        if self._has_body:
            body = await read_body(
                request,
                content_type=JSON,
                bytes_max=contract.DEVICE_BODY_BYTES_MAX,
                is_gzip_accepted=self._is_gzip_accepted,
            )
        answer = self._act(
            ApiRequest(
                device=request[DEVICE],
                now_ms=self._utc_ms(),
                clock_offset_ms=request[CLOCK_OFFSET_MS],
                body=body,
                query=request.query,
                headers=request.headers,
                version=request.match_info.get("version", ""),
            )
        )
        return web.Response(
            body=answer.body, status=answer.status, content_type=answer.content_type, headers=answer.headers
        )
