"""What goes into the calls of Amps and comes out of them, for its OpenAPI document.

Pure. Must not be imported before somebody asks for the document.
"""

from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from agent.apis.amps import wire
from agent.apis.amps.assumptions import PAGE_ITEMS_MAX
from agent.apis.openapi import ApiForm, CallForm

T = TypeVar("T")


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """What every answer says of itself; `timestamp` is `None` while the hub does not know the time."""

    request_id: str
    timestamp: str | None
    latency_ms: int
    environment: Literal["live", "sandbox"]


class PageMeta(Meta, frozen=True, rename="camel"):
    """The same of a page of a list."""

    limit: int
    has_more: bool
    next_cursor: str | None


class Success(msgspec.Struct, Generic[T], frozen=True):
    """The envelope of an answer."""

    success: bool
    data: T
    meta: Meta


class Devices(msgspec.Struct, frozen=True):
    """All devices."""

    items: list[wire.DeviceDocument]


class Actions(msgspec.Struct, frozen=True):
    """One page of actions, the newest first."""

    items: list[wire.ActionDocument]


class ActionsPage(msgspec.Struct, frozen=True):
    """The envelope of a page of actions."""

    success: bool
    data: Actions
    meta: PageMeta


class ActionsQuery(msgspec.Struct, frozen=True, rename="camel"):
    """Query of `GET /actions`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_ITEMS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    cursor: str | msgspec.UnsetType = msgspec.UNSET
    device_id: str | msgspec.UnsetType = msgspec.UNSET


class Error(msgspec.Struct, frozen=True):
    """Why a request failed; `details` has what a program needs to make a right one."""

    code: str
    message: str
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ErrorMeta(msgspec.Struct, frozen=True, rename="camel"):
    """What every refusal says of itself."""

    request_id: str
    timestamp: str | None
    latency_ms: int
    path: str


class Failure(msgspec.Struct, frozen=True):
    """The envelope of a refusal."""

    success: bool
    error: Error
    meta: ErrorMeta


FORM = ApiForm(
    "1.0.0",
    Failure,
    MappingProxyType(
        {
            "list_devices": CallForm(Success[Devices]),
            "get_device": CallForm(Success[wire.DeviceDocument]),
            "push": CallForm(Success[wire.PushAnswer], wire.PushBody, HTTPStatus.ACCEPTED),
            "list_actions": CallForm(ActionsPage, query=ActionsQuery),
            "get_action": CallForm(Success[wire.ActionDocument]),
            "cancel_action": CallForm(Success[wire.ActionDocument]),
        }
    ),
    MappingProxyType(
        {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}, "token": {"type": "http", "scheme": "bearer"}}
    ),
)
