"""The messages of the Aqara Open API, as they are on the wire. Pure.

Field names and shapes come from the published page of the skill (1.0.1) and its sister surfaces; `state` and `online`,
`name` and `deviceName` stand side by side because clients in the field read one or the other.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Any

import msgspec

from agent.foundation.lenient_json import DECODE_ERRORS, nesting_depth
from agent.foundation.text import quote, sanitize

VERSION = "v1"
ERROR_TYPE = "ErrorMessage"
UNKNOWN_MSG_ID = "UNKNOWN"
"""The `msgId` of an answer to a message that has none that can be read."""

MSG_ID_CHARACTERS_MAX = 128
"""Clients send some 30; the hub repeats what it is sent."""

ITEMS_MAX = 128
"""Items of one batch; a home has at most eight zones with four traits that can be set."""

ENDPOINT_ID_MAX = 65_535
"""Of a device; a larger number is no endpoint, and no answer repeats it."""

NESTING_MAX = 8
"""A message of the page has three levels."""

REQUEST_TYPES = (
    "GetAllDevicesWithSpaceRequest",
    "GetDeviceTypeInfosRequest",
    "ExecuteTraitRequest",
    "GetSpacesRequest",
    "CreateSpaceRequest",
    "UpdateSpaceRequest",
    "AssociateDevicesToSpaceRequest",
)
"""The whitelist: every message that the published page lists."""


class Code(IntEnum):
    """The codes of an answer or of an item in it."""

    SUCCESS = 0
    INVALID = 400
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    TOO_MANY = 429
    INTERNAL = 500
    UNPARSABLE = 1000
    TOKEN_EXPIRED = 1001
    DEVICE_OFFLINE = 1103
    DEVICE_NOT_FOUND = 2030


class MessageRefused(Exception):
    """A message that is answered with an error.

    Attributes:
        code: Of the answer.
        msg_id: Of the message, as far as it could be read.
    """

    def __init__(self, code: Code, message: str, msg_id: str = UNKNOWN_MSG_ID) -> None:
        super().__init__(message)
        self.code = code
        self.msg_id = msg_id


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A request: exactly these keys, of which `data` may be left out."""

    type: str
    version: str
    msg_id: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """An answer; `code` is 0 for success, and for a batch in which at least one item worked."""

    type: str
    version: str
    msg_id: str
    code: int
    message: str | None
    data: Any


class Parameter(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a trait can be."""

    type: str
    readable: bool
    writable: bool
    subscribable: bool
    min: float | None = None
    max: float | None = None
    step: float | None = None
    unit: str = ""
    supported_values: tuple["SupportedValue", ...] = ()


class SupportedValue(msgspec.Struct, frozen=True):
    """One value of an enum: its name and what is sent."""

    key: str
    value: str


class Trait(msgspec.Struct, frozen=True, rename="camel"):
    """One value of a device; `time` is in ms since 1970, `None` where it is unknown."""

    trait_code: str
    value: Any
    time: int | None
    parameter: Parameter


class Function(msgspec.Struct, frozen=True, rename="camel"):
    """Traits that belong together."""

    function_code: str
    traits: tuple[Trait, ...]


class Endpoint(msgspec.Struct, frozen=True, rename="camel"):
    """One unit of a device."""

    endpoint_id: int
    endpoint_name: str
    device_type: str
    functions: tuple[Function, ...]


class SpaceName(msgspec.Struct, frozen=True, rename="camel"):
    """The space that a device is in."""

    space_id: str
    name: str
    parent_space_id: str | None
    spatial_marking: str | None


class WireDevice(msgspec.Struct, frozen=True, rename="camel"):
    """One device."""

    device_id: str
    name: str
    device_name: str
    device_types_list: tuple[str, ...]
    state: bool
    online: bool
    space: SpaceName | None
    endpoints: tuple[Endpoint, ...]


class SpaceNode(msgspec.Struct, frozen=True, rename="camel"):
    """One space with all that is part of it."""

    space_id: str
    parent_space_id: str | None
    name: str
    spatial_marking: str | None
    children: tuple["SpaceNode", ...]


class TypeName(msgspec.Struct, frozen=True, rename="camel"):
    """One type of device."""

    device_type: str
    name: str


class CreateSpace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The data of `CreateSpaceRequest`."""

    name: str
    parent_space_id: str | None = None
    spatial_marking: str | None = None


class UpdateSpace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The data of `UpdateSpaceRequest`."""

    space_id: str
    name: str | None = None
    spatial_marking: str | None = None
    parent_space_id: str | None = None


class AssociateDevices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The data of `AssociateDevicesToSpaceRequest`."""

    space_id: str
    device_ids: tuple[str, ...]


class CommandItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One item of `ExecuteTraitRequest`."""

    device_id: str
    endpoint_id: Annotated[int, msgspec.Meta(ge=0, le=ENDPOINT_ID_MAX)]
    function_code: str
    trait_code: str
    value: Any


class FailedItem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One item that failed; of `AssociateDevicesToSpaceRequest` only with the device."""

    device_id: str
    code: int
    message: str
    endpoint_id: int | None = None
    function_code: str = ""
    trait_code: str = ""


class _MessageId(msgspec.Struct, frozen=True, rename="camel"):
    msg_id: str


_decode_message = msgspec.json.Decoder(Message).decode
_decode_msg_id = msgspec.json.Decoder(_MessageId).decode


def decode(body: bytes) -> Message:
    """Return the message in a body.

    Raises:
        MessageRefused: It is none, has another key than the four, another version, or a type that is not listed.
    """
    if nesting_depth(body) > NESTING_MAX:
        raise MessageRefused(Code.UNPARSABLE, f"send JSON of at most {NESTING_MAX} levels")
    try:
        message = _decode_message(body)
    except DECODE_ERRORS as error:
        text = f"send a JSON object with the keys type, version, msgId and data only: {sanitize(str(error))}"
        raise MessageRefused(Code.UNPARSABLE, text, _msg_id(body)) from error
    if not 0 < len(message.msg_id) <= MSG_ID_CHARACTERS_MAX:
        text = f"send a msgId of 1 to {MSG_ID_CHARACTERS_MAX} characters"
        raise MessageRefused(Code.UNPARSABLE, text)
    if message.version != VERSION:
        text = f'send version "{VERSION}", not {quote(message.version)}'
        raise MessageRefused(Code.UNPARSABLE, text, message.msg_id)
    if message.type not in REQUEST_TYPES:
        text = f"use one of {', '.join(REQUEST_TYPES)}: {quote(message.type)} is not known here"
        raise MessageRefused(Code.UNPARSABLE, text, message.msg_id)
    return message


def _msg_id(body: bytes) -> str:
    try:
        msg_id = _decode_msg_id(body).msg_id
    except DECODE_ERRORS:
        return UNKNOWN_MSG_ID
    return msg_id if 0 < len(msg_id) <= MSG_ID_CHARACTERS_MAX else UNKNOWN_MSG_ID


def succeeded(message: Message, data: object) -> Answer:
    """Return the answer to a message that was carried out."""
    return Answer(_answer_type(message), VERSION, message.msg_id, Code.SUCCESS, None, data)


def failed(code: Code, text: str, msg_id: str = UNKNOWN_MSG_ID) -> Answer:
    """Return the answer to a message that was refused."""
    return Answer(ERROR_TYPE, VERSION, msg_id, code, text, None)


def settled(message: Message, items: int, failures: "tuple[FailedItem, ...]", mixed_code: int) -> Answer:
    """Return the answer to a batch: the failures, and success where at least one item worked.

    Args:
        message: The batch.
        items: How many items it had.
        failures: Those that failed.
        mixed_code: Of the answer where all have failed, for different reasons.
    """
    if len(failures) < items or not failures:
        return succeeded(message, failures)
    codes = {item.code for item in failures}
    code = codes.pop() if len(codes) == 1 else mixed_code
    return Answer(_answer_type(message), VERSION, message.msg_id, code, failures[0].message, failures)


def failed_item(item: CommandItem, code: int, message: str) -> FailedItem:
    """Return the failure of an item."""
    return FailedItem(item.device_id, code, message, item.endpoint_id, item.function_code, item.trait_code)


def read_items(data: bytes) -> Sequence[CommandItem | FailedItem]:
    """Return the items of a batch, each read alone; one that makes no sense as its failure.

    Raises:
        ValueError: It is no array, an empty one, or longer than `ITEMS_MAX`.
    """
    try:
        items = msgspec.json.decode(data, type=list[msgspec.Raw])
    except DECODE_ERRORS as error:
        raise ValueError("send an array of items as data") from error
    if not 0 < len(items) <= ITEMS_MAX:
        raise ValueError(f"send 1 to {ITEMS_MAX} items")
    return [_read_item(bytes(item)) for item in items]


def _read_item(data: bytes) -> CommandItem | FailedItem:
    try:
        return msgspec.json.decode(data, type=CommandItem)
    except DECODE_ERRORS as error:
        reason = f"correct the item: {sanitize(str(error))}"
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
    except DECODE_ERRORS:
        found = {}
    device_id, function_code, trait_code = (
        each if isinstance(each := found.get(key), str) else "" for key in ("deviceId", "functionCode", "traitCode")
    )
    endpoint_id = found.get("endpointId")
    is_number = (
        isinstance(endpoint_id, int) and not isinstance(endpoint_id, bool) and 0 <= endpoint_id <= ENDPOINT_ID_MAX
    )
    return FailedItem(device_id, Code.INVALID, reason, endpoint_id if is_number else None, function_code, trait_code)


def _answer_type(message: Message) -> str:
    return message.type.removesuffix("Request") + "Response"
