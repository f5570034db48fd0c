"""What people at the hub may ask of the pairing room, over the door. Decides nothing.

A key comes in here and never goes out; a network's backup does, to whoever may open the socket.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from agent.errors import ClimahubError, LabelInvalid, PairingRefused, StorageFull, UnknownSensor
from agent.foundation.decoding import UNREADABLE
from agent.local.body import chunks
from agent.local.zigbee import ZigbeeReport
from agent.pairing.join_window import JoinWindowRequest
from agent.pairing.service import PairingService
from hal.errors import HalError, NetworkLost, SensorUnavailable

BODY_BYTES_MAX = 8 * 1024
BACKUP_BYTES_MAX = 2 * 1024 * 1024
"""A network of a hundred sensors has 40 KiB."""

T = TypeVar("T")


class _Named(msgspec.Struct):
    name: str


class _Keyed(msgspec.Struct):
    key: str


class _Replaced(msgspec.Struct):
    new: str


class ZigbeeDoor:
    """Answers below `/v1/zigbee`."""

    def __init__(self, pairing: PairingService, report: Callable[[], ZigbeeReport]) -> None:
        """Prepare.

        Args:
            pairing: Does what is asked for.
            report: Makes the document.
        """
        self._pairing = pairing
        self._report = report

    def routes(self) -> list[web.RouteDef]:
        """Return what is answered."""
        sensor = "/v1/zigbee/sensors/{sensor}"
        return [
            web.get("/v1/zigbee", self._get),
            web.post("/v1/zigbee/join-window", self._open),
            web.post("/v1/zigbee/join-window/close", self._close),
            web.post(f"{sensor}/name", self._name),
            web.post(f"{sensor}/key", self._key),
            web.post(f"{sensor}/replace", self._replace),
            web.post(f"{sensor}/remove", self._remove),
            web.get("/v1/zigbee/backup", self._backup),
            web.post("/v1/zigbee/restore", self._restore),
        ]

    async def _get(self, _: web.Request) -> web.Response:
        return _json(self._report())

    async def _open(self, request: web.Request) -> web.Response:
        return await _done(self._pairing.open_join_window(await _decoded(request, JoinWindowRequest)))

    async def _close(self, _: web.Request) -> web.Response:
        return await _done(self._pairing.close_join_window())

    async def _name(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, _Named)
        return await _done(self._pairing.rename(request.match_info["sensor"], asked.name))

    async def _key(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, _Keyed)
        return await _done(self._pairing.give_key(request.match_info["sensor"], asked.key))

    async def _replace(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, _Replaced)
        return await _done(self._pairing.replace(request.match_info["sensor"], asked.new))

    async def _remove(self, request: web.Request) -> web.Response:
        return await _done(self._pairing.remove(request.match_info["sensor"]))

    async def _backup(self, _: web.Request) -> web.Response:
        try:
            data = await self._pairing.backup()
        except (ClimahubError, HalError) as error:
            return _refusal(error)
        return web.Response(body=data, content_type="application/json")

    async def _restore(self, request: web.Request) -> web.Response:
        return await _done(self._pairing.restore(await _body(request, BACKUP_BYTES_MAX)))


async def _done(work: Awaitable[None]) -> web.Response:
    try:
        await work
    except (ClimahubError, HalError) as error:
        return _refusal(error)
    return _json({"done": True})


_STATUS: Mapping[type[Exception], tuple[HTTPStatus, str]] = MappingProxyType(
    {
        UnknownSensor: (HTTPStatus.NOT_FOUND, "not_found"),
        PairingRefused: (HTTPStatus.CONFLICT, "conflict"),
        LabelInvalid: (HTTPStatus.UNPROCESSABLE_ENTITY, "label_invalid"),
        StorageFull: (HTTPStatus.SERVICE_UNAVAILABLE, "storage_full"),
        NetworkLost: (HTTPStatus.SERVICE_UNAVAILABLE, "no_radio"),
        SensorUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "no_answer"),
    }
)


def _refusal(error: Exception) -> web.Response:
    status, code = _STATUS.get(type(error), (HTTPStatus.SERVICE_UNAVAILABLE, "failed"))
    return _json({"error": code, "message": str(error)}, status)


async def _body(request: web.Request, bytes_max: int) -> bytes:
    """Return the body, which may be larger here than elsewhere on the door."""
    body = bytearray()
    async for chunk in chunks(request):
        body += chunk
        if len(body) > bytes_max:
            raise web.HTTPRequestEntityTooLarge(max_size=bytes_max, actual_size=len(body))
    return bytes(body)


async def _decoded(request: web.Request, model: type[T]) -> T:
    try:
        return msgspec.json.decode(await _body(request, BODY_BYTES_MAX), type=model)
    except UNREADABLE:
        # The cause is dropped: it may quote a key.
        text = msgspec.json.encode({"error": "not_understood", "message": "the request is not understood"}).decode()
        raise web.HTTPBadRequest(text=text, content_type="application/json") from None


def _json(document: Any, status: HTTPStatus = HTTPStatus.OK) -> web.Response:  # noqa: ANN401 (any JSON)
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
