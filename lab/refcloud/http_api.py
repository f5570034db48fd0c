"""The device API and the admin API on aiohttp: routes, bodies, the admin token. Decides nothing about devices.

A body is bounded after decompression: aiohttp's parser inflates gzip as the bytes arrive, so a compressed bomb costs at
most one chunk beyond the bound. The parser does not notice a gzip trailer that is cut off; a cut in the data shows as
broken JSON. The admin API must never accept a device's key: its token is compared, not looked up among the keys.
"""

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Protocol, TypeVar

import msgspec
from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.typedefs import Handler
from aiohttp.web import RequestPayloadError
from msgspec import Meta, Struct

from lab.refcloud import contract
from lab.refcloud.admin import READINGS_PAGE_MAX, Admin, NewCommand, NewDevice
from lab.refcloud.api import JSON, ApiRequest, ApiResponse, DeviceApi, decode_body
from lab.refcloud.contract import ROUTES, Refusal
from lab.refcloud.faults import FaultRule
from lab.refcloud.middleware import CLOCK_OFFSET_MS, DEVICE
from lab.refcloud.models import SettingsUpdate, encode
from lab.refcloud.records import DeviceHealth

_GZIP = "gzip"


async def read_body(request: web.Request, *, content_type: str, bytes_max: int, is_gzip_accepted: bool) -> bytes:
    """Return the inflated body.

    Raises:
        Refusal: 415 for another content type or packing, 413 beyond `bytes_max`, 400 for a body that does not inflate.
    """
    if request.content_type != content_type:
        raise Refusal(415, f"the body must be {content_type}")
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if encoding != "identity" and not (encoding == _GZIP and is_gzip_accepted):
        accepted = "gzip, identity" if is_gzip_accepted else "identity"
        # RFC 9110, 15.5.16: Accept-Encoding tells the client what it may use instead.
        raise Refusal(415, f"the body may be compressed with: {accepted}", headers={hdrs.ACCEPT_ENCODING: accepted})
    body = bytearray()
    try:
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > bytes_max:
                raise Refusal(413, f"the body may have {bytes_max} bytes after decompression")
    except (BadHttpMessage, RequestPayloadError):
        # What follows on this connection is noise. The end is fed so that aiohttp does not read on into its own error.
        request.content.feed_eof()
        raise Refusal(400, "the body cannot be decompressed", headers={hdrs.CONNECTION: "close"}) from None
    return bytes(body)


_WITH_BODY = frozenset({"POST", "PUT"})


def add_device_routes(
    router: web.UrlDispatcher, api: DeviceApi, *, utc_ms: Callable[[], int], is_gzip_accepted: bool
) -> None:
    """Add the nine endpoints, each route under the name of its endpoint, which the middleware reads."""
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


ADMIN_BODY_BYTES_MAX = 256 * 1024
_CURSOR = re.compile(r"(.+)/([a-z_]+)/(-?[0-9]{1,15})", re.DOTALL)

T = TypeVar("T")


class FaultSwitch(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /admin/faults."""

    rules: tuple[FaultRule, ...] = ()
    seed: int | None = None


class ListeningSwitch(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /admin/listening."""

    listening: bool


class FirmwareOffer(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /admin/firmware/{version}/offer. Without release notes those from before stay."""

    batches: tuple[str, ...]
    release_notes: Annotated[str, Meta(max_length=contract.RELEASE_NOTES_CHARS_MAX)] | None = None


class CloudControls(Protocol):
    """What the admin API needs of the cloud beside `Admin`."""

    admin: Admin
    listening: bool

    @property
    def fault_rules(self) -> Sequence[FaultRule]:
        """The rules in force."""
        ...

    def set_faults(self, rules: Sequence[FaultRule], *, seed: int | None = None) -> None:
        """Replace them."""
        ...

    def statistics(self) -> object:
        """Return counts as a struct."""
        ...

    def health(self) -> Mapping[str, DeviceHealth]:
        """Return when each device was last seen and what is wrong with it."""
        ...


def admin_application(cloud: CloudControls, *, token: str) -> web.Application:
    """Return the application to mount at `/admin`."""
    handlers = _AdminHandlers(cloud)
    application = web.Application(middlewares=[_TokenCheck(token).check])
    application.router.add_routes(
        [
            web.get("/devices", handlers.list_devices, allow_head=False),
            web.post("/devices", handlers.provision),
            web.get("/health", handlers.health, allow_head=False),
            web.post("/devices/{device_id}/key", handlers.replace_key),
            web.get("/devices/{device_id}/settings", handlers.get_settings, allow_head=False),
            web.put("/devices/{device_id}/settings", handlers.put_settings),
            web.get("/devices/{device_id}/commands", handlers.list_commands, allow_head=False),
            web.post("/devices/{device_id}/commands", handlers.queue_command),
            web.get("/devices/{device_id}/ota", handlers.ota_history, allow_head=False),
            web.get("/firmware", handlers.list_firmware, allow_head=False),
            web.put("/firmware/{version}", handlers.publish),
            web.put("/firmware/{version}/offer", handlers.offer),
            web.get("/readings", handlers.list_readings, allow_head=False),
            web.get("/statistics", handlers.statistics, allow_head=False),
            web.get("/faults", handlers.get_faults, allow_head=False),
            web.put("/faults", handlers.put_faults),
            web.put("/listening", handlers.put_listening),
        ]
    )
    return application


class _TokenCheck:
    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._expected):
            raise Refusal(
                401,
                "give the token that this cloud was started with: the admin token is wrong or missing",
                headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
            )
        return await handler(request)


async def _body(request: web.Request, kind: type[T]) -> T:
    body = await read_body(request, content_type=JSON, bytes_max=ADMIN_BODY_BYTES_MAX, is_gzip_accepted=True)
    return decode_body(msgspec.json.Decoder(kind), body)


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type=JSON)


def _cursor(text: str | None) -> tuple[str, str, int] | None:
    """Return the page cursor: device, sensor type and milliseconds, with slashes between."""
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise Refusal(400, "after: device/sensor_type/milliseconds is required")
    device_id, sensor_type, at_ms = match.groups()
    return device_id, sensor_type, int(at_ms)


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= READINGS_PAGE_MAX:
        return int(text)
    raise Refusal(400, f"limit: 1 to {READINGS_PAGE_MAX} is required")


class _AdminHandlers:
    """One method per route."""

    def __init__(self, cloud: CloudControls) -> None:
        self._cloud = cloud
        self._admin = cloud.admin

    async def list_devices(self, _request: web.Request) -> web.Response:
        return _json({"devices": self._admin.devices()})

    async def health(self, _request: web.Request) -> web.Response:
        return _json({"health": self._cloud.health()})

    async def provision(self, request: web.Request) -> web.Response:
        return _json(self._admin.provision(await _body(request, NewDevice)), status=201)

    async def replace_key(self, request: web.Request) -> web.Response:
        return _json(self._admin.replace_key(request.match_info["device_id"]))

    async def get_settings(self, request: web.Request) -> web.Response:
        return _json(self._admin.settings(request.match_info["device_id"]))

    async def put_settings(self, request: web.Request) -> web.Response:
        update = await _body(request, SettingsUpdate)
        return _json(self._admin.change_settings(request.match_info["device_id"], update))

    async def list_commands(self, request: web.Request) -> web.Response:
        return _json({"commands": self._admin.commands(request.match_info["device_id"])})

    async def queue_command(self, request: web.Request) -> web.Response:
        command = await _body(request, NewCommand)
        return _json(self._admin.queue_command(request.match_info["device_id"], command), status=201)

    async def ota_history(self, request: web.Request) -> web.Response:
        return _json(self._admin.ota_history(request.match_info["device_id"]))

    async def list_firmware(self, _request: web.Request) -> web.Response:
        return _json({"firmware": self._admin.releases()})

    async def publish(self, request: web.Request) -> web.Response:
        image = await read_body(
            request,
            content_type=contract.FIRMWARE_CONTENT_TYPE,
            bytes_max=contract.FIRMWARE_BYTES_MAX,
            is_gzip_accepted=True,
        )
        return _json(self._admin.publish(request.match_info["version"], image), status=201)

    async def offer(self, request: web.Request) -> web.Response:
        offer = await _body(request, FirmwareOffer)
        version = request.match_info["version"]
        return _json(self._admin.offer(version, offer.batches, release_notes=offer.release_notes))

    async def list_readings(self, request: web.Request) -> web.Response:
        after = _cursor(request.query.get("after"))
        page = self._admin.readings(after=after, limit=_limit(request.query.get("limit", "1000")))
        cursor = None if page.after is None else "/".join(map(str, page.after))
        return _json({"readings": page.readings, "after": cursor})

    async def statistics(self, _request: web.Request) -> web.Response:
        return _json(self._cloud.statistics())

    async def get_faults(self, _request: web.Request) -> web.Response:
        return _json({"rules": self._cloud.fault_rules})

    async def put_faults(self, request: web.Request) -> web.Response:
        switch = await _body(request, FaultSwitch)
        self._cloud.set_faults(switch.rules, seed=switch.seed)
        return _json({"rules": self._cloud.fault_rules})

    async def put_listening(self, request: web.Request) -> web.Response:
        self._cloud.listening = (await _body(request, ListeningSwitch)).listening
        return _json({"listening": self._cloud.listening})
