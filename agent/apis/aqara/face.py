"""The Aqara Open API on the hub: one address, routed by the type in the message.

What fails inside a message is answered with HTTP 200 and a code, as clients expect; HTTP 401 is for a missing or wrong
token alone, other statuses for what is no request of this API at all. Must never log or repeat a token.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import msgspec

from agent.apis.aqara import devices, wire
from agent.apis.aqara.assumptions import ALL_FAILED_MIXED_CODE, REQUESTS_PER_MINUTE_MAX
from agent.apis.aqara.view import HomeView, PowerMemory
from agent.apis.aqara.wire import (
    Answer,
    AssociateDevices,
    Code,
    CommandItem,
    CreateSpace,
    FailedItem,
    Message,
    MessageRefused,
    UpdateSpace,
)
from agent.apis.base_face import BaseFace
from agent.apis.face import (
    CHANGES,
    SETTINGS,
    ApiAnswer,
    ApiClient,
    ApiProblem,
    ApiRefused,
    ApiRequest,
    ApiRoute,
    Limit,
    ProblemKind,
    bearer_token,
)
from agent.errors import StorageFull
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import sanitize
from agent.home.spaces import SpaceChange, SpaceRefused, Spaces, UnknownSpace

if TYPE_CHECKING:
    from agent.apis.assembly import ApiParts

T = TypeVar("T")

NAME = "aqara"
LIMIT = Limit("requests", REQUESTS_PER_MINUTE_MAX)

TARGETS_MAX = 4
"""Devices that an entry of the audit trail names."""

_WRITTEN: Mapping[str, Limit] = MappingProxyType(
    {
        "CreateSpaceRequest": CHANGES,
        "UpdateSpaceRequest": CHANGES,
        "AssociateDevicesToSpaceRequest": CHANGES,
        "ExecuteTraitRequest": SETTINGS,
    }
)
"""What is written to the disk before it is answered, and how often."""

_NOTHING = (b"null", b"{}", b"[]", b'""')
"""What clients send as the data of a request that has none."""

_STATUS_KEPT = frozenset(
    {ProblemKind.FOREIGN_SOURCE, ProblemKind.NO_ROUTE, ProblemKind.WRONG_METHOD, ProblemKind.TOO_SLOW}
)
_CODES: Mapping[ProblemKind, Code] = MappingProxyType(
    {
        ProblemKind.MALFORMED: Code.UNPARSABLE,
        ProblemKind.NO_CREDENTIAL: Code.UNAUTHORIZED,
        ProblemKind.MISSING_SCOPE: Code.FORBIDDEN,
        ProblemKind.FOREIGN_SOURCE: Code.FORBIDDEN,
        ProblemKind.NO_ROUTE: Code.NOT_FOUND,
        ProblemKind.RATE_LIMITED: Code.TOO_MANY,
        ProblemKind.DEFECT: Code.INTERNAL,
        ProblemKind.UNAVAILABLE: Code.INTERNAL,
    }
)
"""By kind of problem; others are invalid parameters."""


def build_face(parts: "ApiParts") -> "AqaraFace":
    """Return the API. Reads the spaces, which blocks."""
    return AqaraFace(parts, parts.home.spaces)


class AqaraFace(BaseFace):
    """The API: one address, with and without a slash at the end."""

    def __init__(self, parts: "ApiParts", spaces: Spaces) -> None:
        """Build the API.

        Args:
            parts: What it shows and changes.
            spaces: The spaces of the home.
        """
        super().__init__(NAME, [ApiRoute("POST", path, self.answer_message) for path in ("", "/")])
        self._parts = parts
        self._spaces = spaces
        self._power = PowerMemory()
        self._frost_c = parts.config.climate.frost_c
        self._answers: Mapping[str, Callable[[Message, HomeView, str], Awaitable[Answer]]] = {
            "GetAllDevicesWithSpaceRequest": self._get_devices,
            "GetDeviceTypeInfosRequest": self._get_types,
            "ExecuteTraitRequest": self._execute,
            "GetSpacesRequest": self._get_spaces,
            "CreateSpaceRequest": self._create_space,
            "UpdateSpaceRequest": self._update_space,
            "AssociateDevicesToSpaceRequest": self._associate,
        }

    async def authenticate(self, headers: Mapping[str, str]) -> ApiClient:
        """Return whose token the headers bring.

        Raises:
            ApiRefused: There is none, or it is not valid here.
        """
        client = self._parts.clients.find(NAME, bearer_token(headers))
        if client is None:
            text = "send the token of a client: climahub api client add aqara NAME makes one"
            raise ApiRefused(self.refuse(ApiProblem(ProblemKind.NO_CREDENTIAL, HTTPStatus.UNAUTHORIZED, text)))
        return client

    def limits_of(self, client: ApiClient, route: ApiRoute) -> Sequence[Limit]:
        """Return the one limit."""
        del client, route
        return (LIMIT,)

    def refuse(self, problem: ApiProblem) -> ApiAnswer:
        """Return a problem as an error message."""
        status, headers = HTTPStatus.OK, problem.headers
        if problem.kind is ProblemKind.NO_CREDENTIAL:
            status, headers = HTTPStatus.UNAUTHORIZED, {**headers, "WWW-Authenticate": "Bearer"}
        elif problem.kind in _STATUS_KEPT:
            status = problem.status
        answer = wire.failed(_CODES.get(problem.kind, Code.INVALID), problem.message)
        return ApiAnswer(answer, status, headers)

    async def answer_message(self, request: ApiRequest) -> ApiAnswer:
        """Answer one message."""
        try:
            message = wire.decode(request.body)
        except MessageRefused as error:
            return ApiAnswer(wire.failed(error.code, str(error), error.msg_id), action="")
        if limit := _WRITTEN.get(message.type):
            request.count(request.known_client, limit)
        action = "" if message.type.startswith("Get") else message.type
        try:
            answer = await self._answers[message.type](message, self._view(request.known_client), request.caller.name)
        except MessageRefused as error:
            answer = wire.failed(error.code, str(error), message.msg_id)
        except UnknownSpace as error:
            answer = wire.failed(Code.NOT_FOUND, str(error), message.msg_id)
        except SpaceRefused as error:
            answer = wire.failed(Code.INVALID, str(error), message.msg_id)
        except StorageFull as error:
            answer = wire.failed(Code.INTERNAL, str(error), message.msg_id)
        target = self._target(message, request.known_client) if action else ""
        return ApiAnswer(answer, action=action, result=f"code {answer.code}", target=target)

    def _target(self, message: Message, client: ApiClient) -> str:
        """Return the devices and spaces that a message names, for the audit trail: those that there are."""
        data = msgspec.json.decode(message.data)
        known = {*self._view(client).device_ids, *self._spaces.tree.spaces}
        named = [
            each
            for part in (data if isinstance(data, list) else [data])
            if isinstance(part, dict)
            for value in (part.get("deviceId"), part.get("spaceId"), part.get("deviceIds"))
            for each in (value if isinstance(value, list) else [value])
        ]
        found = list(dict.fromkeys(each for each in named if isinstance(each, str) and each in known))
        more = [f"and {len(found) - TARGETS_MAX} more"] if len(found) > TARGETS_MAX else []
        return ", ".join([*found[:TARGETS_MAX], *more])

    def _view(self, client: ApiClient) -> HomeView:
        parts = self._parts
        return HomeView(
            parts.home,
            self._spaces.tree,
            client,
            frost_c=self._frost_c,
            names_follow_spaces=parts.config.apis.aqara_names_follow_spaces,
            power=self._power,
            utc_ms=parts.clock.utc_ms,
        )

    async def _get_devices(self, message: Message, view: HomeView, _: str) -> Answer:
        _expect_nothing(message)
        return wire.succeeded(message, view.wire_devices())

    async def _get_types(self, message: Message, _: HomeView, __: str) -> Answer:
        _expect_nothing(message)
        return wire.succeeded(message, devices.type_names())

    async def _get_spaces(self, message: Message, view: HomeView, _: str) -> Answer:
        _expect_nothing(message)
        return wire.succeeded(message, view.space_nodes())

    async def _execute(self, message: Message, view: HomeView, by: str) -> Answer:
        try:
            items = wire.read_items(bytes(message.data))
        except ValueError as error:
            raise MessageRefused(Code.INVALID, str(error)) from error
        settled = [view.execute(item, by) if isinstance(item, CommandItem) else item for item in items]
        if any(item is None for item in settled):
            # An answer outlives a power cut.
            await self._parts.home.thermostats.save_in_time()
        failures = tuple(item for item in settled if item is not None)
        return wire.settled(message, len(items), failures, ALL_FAILED_MIXED_CODE)

    async def _create_space(self, message: Message, view: HomeView, _: str) -> Answer:
        wanted = _read(message, CreateSpace)
        _check_sees_all(view)
        space_id = await self._spaces.create(
            wanted.name, parent_id=wanted.parent_space_id, marking=wanted.spatial_marking
        )
        return wire.succeeded(message, space_id)

    async def _update_space(self, message: Message, view: HomeView, _: str) -> Answer:
        wanted = _read(message, UpdateSpace)
        _check_sees_all(view)
        change = SpaceChange(wanted.name, wanted.parent_space_id, wanted.spatial_marking)
        await self._spaces.update(wanted.space_id, change)
        return wire.succeeded(message, "")

    async def _associate(self, message: Message, view: HomeView, _: str) -> Answer:
        wanted = _read(message, AssociateDevices)
        _check_sees_all(view)
        if not 0 < len(wanted.device_ids) <= wire.ITEMS_MAX:
            raise MessageRefused(Code.INVALID, f"send 1 to {wire.ITEMS_MAX} device ids")
        known = view.device_ids
        text = "read the device list again: there is no such device"
        failures = tuple(
            FailedItem(each, Code.DEVICE_NOT_FOUND, text) for each in wanted.device_ids if each not in known
        )
        placed = [each for each in wanted.device_ids if each in known]
        if placed:
            await self._spaces.place(wanted.space_id, placed, known=known)
        return wire.settled(message, len(wanted.device_ids), failures, ALL_FAILED_MIXED_CODE)


def _expect_nothing(message: Message) -> None:
    if bytes(message.data).strip() not in _NOTHING:
        raise MessageRefused(Code.INVALID, f"leave data out: {message.type} has none")


def _read(message: Message, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(message.data, type=kind)
    except DECODE_ERRORS as error:
        raise MessageRefused(Code.INVALID, f"correct data: {sanitize(str(error))}") from error


def _check_sees_all(view: HomeView) -> None:
    """Refuse a change of the spaces to a client that sees only some zones: the spaces are those of the whole home."""
    if not view.sees_all:
        raise MessageRefused(Code.FORBIDDEN, "use a client that is not limited to zones")
