"""The messages of the Aqara Open API and their answers, told apart by their `type`, for its OpenAPI document.

Pure. Must not be imported before somebody asks for the document.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union

import msgspec

from agent.apis.aqara import wire
from agent.apis.openapi import ApiForm, CallForm

MessageId = Annotated[str, msgspec.Meta(min_length=1, max_length=wire.MSG_ID_CHARACTERS_MAX)]
Items = Annotated[tuple[wire.CommandItem, ...], msgspec.Meta(min_length=1, max_length=wire.ITEMS_MAX)]

MESSAGES: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        "GetAllDevicesWithSpaceRequest": (None, tuple[wire.WireDevice, ...]),
        "GetDeviceTypeInfosRequest": (None, tuple[wire.TypeName, ...]),
        "ExecuteTraitRequest": (Items, tuple[wire.FailedItem, ...]),
        "GetSpacesRequest": (None, tuple[wire.SpaceNode, ...]),
        "CreateSpaceRequest": (wire.CreateSpace, str),
        "UpdateSpaceRequest": (wire.UpdateSpace, str),
        "AssociateDevicesToSpaceRequest": (wire.AssociateDevices, tuple[wire.FailedItem, ...]),
    }
)
"""The data of each request, and of its answer."""


class ErrorMessage(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag=wire.ERROR_TYPE):
    """The answer to a message that was refused."""

    version: Literal["v1"]
    msg_id: MessageId
    code: wire.Code
    message: str
    data: None


def _request(name: str, data: Any) -> Any:  # noqa: ANN401 - types
    fields = [
        ("version", Literal["v1"]),
        ("msg_id", MessageId),
        ("data", data, None) if data is None else ("data", data),
    ]
    return msgspec.defstruct(name, fields, tag_field="type", tag=name, rename="camel", forbid_unknown_fields=True)


def _answer(name: str, data: Any) -> Any:  # noqa: ANN401 - types
    fields = [
        ("version", Literal["v1"]),
        ("msg_id", MessageId),
        ("code", wire.Code),
        ("message", str | None),
        ("data", data),
    ]
    answer = name.removesuffix("Request") + "Response"
    return msgspec.defstruct(answer, fields, tag_field="type", tag=answer, rename="camel")


_REQUESTS = tuple(_request(name, data) for name, (data, _) in MESSAGES.items())
_ANSWERS = (*(_answer(name, data) for name, (_, data) in MESSAGES.items()), ErrorMessage)

FORM = ApiForm(
    wire.VERSION,
    ErrorMessage,
    MappingProxyType({"answer_message": CallForm(Union[_ANSWERS], Union[_REQUESTS])}),  # noqa: UP007 - made of a tuple
)
