"""Faults on demand: a value type for each fault, rules that say when, the choice for one request, and bodies. Pure.

`middleware` carries the faults out and defines their order. `apply_fault` rewrites the body of a response: bodies that
are not JSON objects (firmware) pass unchanged, and what the server keeps is never changed. Time and randomness are
arguments, so the same seed gives the same faults. In the JSON of the admin API a fault's name stands under `type`.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from lab.refcloud.contract import Endpoint

_Seconds = Annotated[float, Meta(ge=0, le=86_400)]
_Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
_Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_Moment = Annotated[float, Meta(ge=0, le=1e12)]
_YEARS_20_S = 20 * 366 * 86_400
_EXTRA_FIELDS = MappingProxyType({"x_added_later": {"since": 2}})


class ConnectionRefused(Struct, frozen=True, forbid_unknown_fields=True, tag="Refused"):
    """The connection is refused: it ends at once. Nothing is counted, as if the request had never arrived."""


class LatencyUp(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The request takes long to arrive: key, quota and observer see it that much later."""

    min_s: _Seconds
    max_s: _Seconds


class LatencyDown(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The answer takes long to come back; the request was processed at once."""

    min_s: _Seconds
    max_s: _Seconds


class CutBefore(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The connection is aborted before processing. The request has used its quota."""


class CutAfter(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The connection is aborted after processing, before the answer or in the middle of its body.

    Attributes:
        body_bytes: How much of the body goes out; `None`: nothing of the answer at all.
    """

    body_bytes: _Count | None = None


class ErrorStatus(Struct, frozen=True, forbid_unknown_fields=True, tag="Status"):
    """An error answer in place of the right one.

    Attributes:
        retry_after_s: Sent as Retry-After; `None`: no such header.
        retry_after_form: Seconds, or an HTTP date by the clock that the answer shows.
        is_processed: The request was processed all the same, as when a proxy gives up too early.
        is_json: The body has the shape of the contract; else it is a proxy's HTML page.
    """

    status: Annotated[int, Meta(ge=400, le=599)]
    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    is_processed: bool = False
    is_json: bool = True


class Redirect(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """A redirect in place of the answer, before processing."""

    location: Annotated[str, Meta(pattern="^[!-~]+$")]
    status: Literal[301, 302, 303, 307, 308] = 302


class SlowDrip(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The body comes in small pieces with a pause after each."""

    piece_bytes: _Positive
    pause_s: _Seconds


class WrongContentType(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The right body with a wrong content type."""

    content_type: Annotated[str, Meta(pattern="^[a-z0-9.+-]+/[a-z0-9.+-]+$")] = "text/html"


class BrokenJson(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """A body of the right length that is not JSON."""


class TruncatedJson(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Half of the body, under a Content-Length that fits the half."""


class OversizedBody(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The right JSON followed by very much white space."""

    body_bytes: Annotated[int, Meta(ge=1, le=64 * 1024 * 1024)]


class ExtraFields(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Every JSON object of the body has one more, unknown field."""


class WrongShape(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Top-level fields of the body are of another type, missing or null.

    Attributes:
        field: Which one; `None`: each.
    """

    shape: Literal["string", "missing", "null"]
    field: str | None = None


class ListsReversed(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Every list of the body comes in reverse, each entry twice: the contract promises neither order nor uniqueness."""


class AcceptedLower(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """`accepted` is lower than the number of accepted readings. The readings are stored, so accounts still close."""

    by: _Positive = 1


class ClockOff(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """The server's clock is wrong, in every timestamp and in the Date header."""

    offset_s: Annotated[int, Meta(ge=-_YEARS_20_S, le=_YEARS_20_S)]


Fault = (
    ConnectionRefused
    | LatencyUp
    | LatencyDown
    | CutBefore
    | CutAfter
    | ErrorStatus
    | Redirect
    | SlowDrip
    | WrongContentType
    | BrokenJson
    | TruncatedJson
    | OversizedBody
    | ExtraFields
    | WrongShape
    | ListsReversed
    | AcceptedLower
    | ClockOff
)


class FaultRule(Struct, frozen=True, forbid_unknown_fields=True):
    """A fault and when it strikes; all conditions must hold.

    Attributes:
        endpoint: Where; `None`: everywhere.
        probability: Of each request that the other conditions admit.
        from_s: Server monotonic seconds from which on the rule is active.
        to_s: Server monotonic seconds at which it ends; `None`: never.
        next_n: It strikes this many times and is spent; `None`: no limit.
    """

    fault: Fault
    endpoint: Endpoint | None = None
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    from_s: _Moment = 0.0
    to_s: _Moment | None = None
    next_n: _Count | None = None

    def is_active(self, now_s: float) -> bool:
        """Tell whether the rule applies at this time."""
        return self.from_s <= now_s and (self.to_s is None or now_s < self.to_s)


def name_of(fault: Fault) -> str:
    """Return the name of a fault in JSON."""
    return str(fault.__struct_config__.tag)


class FaultPlan:
    """The rules in force, how often each may still strike, and how often each fault has struck."""

    def __init__(self, rules: Sequence[FaultRule], rng: random.Random) -> None:
        self._rules = tuple(rules)
        self._rng = rng
        self._left = [rule.next_n for rule in rules]
        self._struck: Counter[str] = Counter()
        self._at = {
            endpoint: [(number, rule) for number, rule in enumerate(rules) if rule.endpoint in {None, endpoint}]
            for endpoint in Endpoint
        }

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """As given."""
        return self._rules

    @property
    def rng(self) -> random.Random:
        """The source of all chance in the faults, for those that draw an amount."""
        return self._rng

    @property
    def struck(self) -> Mapping[str, int]:
        """How often each fault has struck, by its name in JSON."""
        return dict(self._struck)

    def draw(self, endpoint: Endpoint, now_s: float) -> tuple[Fault, ...]:
        """Return the faults of one request, in the order of their rules.

        Only a rule that place and time admit, and that is not certain, takes a random number.
        """
        drawn: list[Fault] = []
        for index, rule in self._at[endpoint]:
            left = self._left[index]
            if left == 0 or not rule.is_active(now_s):
                continue
            if rule.probability < 1.0 and self._rng.random() >= rule.probability:
                continue
            if left is not None:
                self._left[index] = left - 1
            self._struck[name_of(rule.fault)] += 1
            drawn.append(rule.fault)
        return tuple(drawn)


def apply_fault(body: bytes, faults: Sequence[Fault], *, is_json: bool) -> bytes:
    """Return the body after all faults, in their order: first those that change the object, then those of its text."""
    if not is_json:
        return body
    document = msgspec.json.decode(body, type=dict[str, Any])
    for fault in faults:
        document = _rewritten(document, fault)
    body = msgspec.json.encode(document)
    for fault in faults:
        body = _mangled(body, fault)
    return body


def _rewritten(document: dict[str, Any], fault: Fault) -> dict[str, Any]:
    match fault:
        case AcceptedLower(by=by) if isinstance(document.get("accepted"), int):
            return document | {"accepted": max(0, document["accepted"] - by)}
        case ExtraFields():
            return {name: _with_extra_fields(value) for name, value in document.items()} | _EXTRA_FIELDS
        case ListsReversed():
            return {name: _reversed(value) for name, value in document.items()}
        case WrongShape(shape=shape, field=field):
            return _misshapen(document, shape, set(document) if field is None else {field} & set(document))
        case _:
            return document


def _with_extra_fields(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    match value:
        case dict():
            return {name: _with_extra_fields(item) for name, item in value.items()} | _EXTRA_FIELDS
        case list():
            return [_with_extra_fields(item) for item in value]
        case _:
            return value


def _reversed(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    return [item for item in reversed(value) for _ in range(2)] if isinstance(value, list) else value


def _misshapen(document: dict[str, Any], shape: str, fields: set[str]) -> dict[str, Any]:
    match shape:
        case "missing":
            return {name: value for name, value in document.items() if name not in fields}
        case "null":
            return {name: None if name in fields else value for name, value in document.items()}
        case _:
            return {name: _as_string(value) if name in fields else value for name, value in document.items()}


def _as_string(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    # What is a string already becomes a list, so that the type is wrong in every case.
    return [value] if isinstance(value, str) else msgspec.json.encode(value).decode()


def _mangled(body: bytes, fault: Fault) -> bytes:
    match fault:
        case BrokenJson():
            return body[:-1] + b"]"
        case TruncatedJson():
            return body[: len(body) // 2]
        case OversizedBody(body_bytes=body_bytes):
            return body.ljust(body_bytes)
        case _:
            return body
