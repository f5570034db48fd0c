"""The documents of Amps' API: what is read and what is sent. Pure.

A push is read strictly: an unknown key is refused by its name, since nothing may be dropped in silence
(/concepts/canonical-actions).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from agent.apis.amps import assumptions
from agent.apis.amps.capabilities import CapabilityMap, Unit
from agent.apis.amps.refusals import AmpsRefused
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import quote, sanitize
from agent.home.actions import Command


class Quantity(msgspec.Struct, frozen=True):
    """A number with its unit."""

    value: int | float
    unit: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(Unit)})]


class PushedAction(msgspec.Struct, frozen=True):
    """The command of a push, and when it takes effect.

    The OpenAPI document lists commands and units; here they are texts, since another one has a refusal of its own.
    """

    command: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(Command)})]
    parameters: dict[str, Quantity] | None = None
    start: str | None = None
    end: str | None = None


class SandboxOptions(msgspec.Struct, frozen=True, rename="camel"):
    """What a test key may force; see `assumptions`."""

    force_state: Literal["completed", "failed", "refused"] | None = None
    error_code: str | None = None


class PushBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of `POST /hvac/{deviceId}`."""

    action: PushedAction
    on_conflict: Literal["cancel_and_replace", "queue_after"] | None = None
    sandbox: SandboxOptions | None = None


class Links(msgspec.Struct, frozen=True):
    """Where something is read again."""

    self: str


class SyncReport(msgspec.Struct, frozen=True, rename="camel"):
    """How fresh a device's data is."""

    available: bool
    last_pulled_at: str | None


class Metadata(msgspec.Struct, frozen=True):
    """What the device is, and where its data comes from: always the zone itself."""

    model: str
    source: str = "live"


class DeviceState(msgspec.Struct, frozen=True, rename="camel"):
    """The state of a zone, in degrees Celsius."""

    temperature: float | None
    active: bool
    heat_setpoint: float
    cool_setpoint: float
    hold_type: Literal["follow_schedule", "permanent"]
    mode: str


class LastAction(msgspec.Struct, frozen=True, rename="camel"):
    """The newest action of a device."""

    id: str
    command: str
    state: str
    created_at: str | None
    updated_at: str | None
    links: Links


class DeviceDocument(msgspec.Struct, frozen=True, rename="camel"):
    """A zone as a device."""

    id: str
    vendor: str
    sync: SyncReport
    metadata: Metadata
    state: DeviceState
    commands: CapabilityMap
    conflict_strategies: tuple[str, ...]
    last_action: LastAction | None
    current_schedule: dict[str, str] | None


class PushAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a push. `end` is there for a window only, as documented."""

    id: str
    device_id: str
    device_type: str
    command: str
    parameters: Mapping[str, Quantity] | None
    state: str
    created_at: str | None
    start: str | None
    links: Links
    end: str | msgspec.UnsetType | None = msgspec.UNSET


class ActionResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an action ended."""

    success: bool
    message: str = ""
    error: str = ""


class ActionDocument(msgspec.Struct, frozen=True, rename="camel"):
    """An action in full."""

    id: str
    device_id: str
    device_type: str
    command: str
    parameters: Mapping[str, Quantity] | None
    state: str
    result: ActionResult | None
    error_code: str | None
    error_message: str | None
    created_at: str | None
    updated_at: str | None
    acknowledged_at: str | None
    completed_at: str | None
    start: str | None
    end: str | None
    links: Links


_KNOWN: Mapping[str, type[msgspec.Struct]] = {"": PushBody, "action": PushedAction, "sandbox": SandboxOptions}


def decode_push(body: bytes, *, has_sandbox: bool = True) -> PushBody:
    """Return the body of a push.

    Args:
        body: As it came.
        has_sandbox: It may force an outcome; else what stands in `sandbox` is ignored, whatever it is.

    Raises:
        AmpsRefused: It is no push, or has a key that is not known; VALIDATION_ERROR.
    """
    try:
        parts = msgspec.json.decode(body)
        if isinstance(parts, dict) and not has_sandbox:
            parts.pop("sandbox", None)
        if unknown := list(_unknown_keys(parts)):
            names = ", ".join(unknown)
            details = {"reason": assumptions.UNKNOWN_FIELD, "parameter": unknown[0], "unknownFields": unknown}
            raise AmpsRefused(assumptions.VALIDATION_ERROR, f"Remove what a push does not have: {names}.", details)
        return msgspec.convert(parts, PushBody)
    except DECODE_ERRORS as error:
        details = {"reason": assumptions.MALFORMED}
        text = f"Send a push as documented: {sanitize(str(error))}."
        raise AmpsRefused(assumptions.VALIDATION_ERROR, text, details) from error


def _unknown_keys(parts: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the unknown keys of a body, each with its place, at most a screenful."""
    for place, kind in _KNOWN.items():
        part = parts if not place else parts.get(place) if isinstance(parts, dict) else None
        if isinstance(part, dict):
            yield from _strange(part, {field.encode_name for field in msgspec.structs.fields(kind)}, place)
    action = parts.get("action") if isinstance(parts, dict) else None
    parameters = action.get("parameters") if isinstance(action, dict) else None
    if isinstance(parameters, dict):
        for name, quantity in list(parameters.items())[:_NAMED_MAX]:
            if isinstance(quantity, dict):
                yield from _strange(quantity, {"value", "unit"}, f"action.parameters.{_name(name)}")


_NAMED_MAX = 8
"""Unknown keys that are named at one place."""


def _strange(part: Mapping[str, Any], known: set[str], place: str) -> list[str]:
    return [f"{place}.{_name(key)}".lstrip(".") for key in part if key not in known][:_NAMED_MAX]


def _name(key: str) -> str:
    return quote(key)[1:-1]


def time_text(utc_ms: int) -> str:
    """Return an instant in ISO 8601, UTC, with milliseconds and `Z`."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_time_text(utc_ms: int | None) -> str | None:
    """Return an instant as `time_text`; `None` for none."""
    return None if utc_ms is None else time_text(utc_ms)
