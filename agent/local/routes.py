"""The routes of the local API: one table of method, path, role, request body and handler name.

The table is the whole interface. A request that it does not list is answered with 404 or 405. A handler that it
does not name cannot be registered. `docs/local-api.md` lists the same routes; a test compares the two.
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from agent.errors import (
    ClimahubError,
    LabelInvalid,
    PairingRefused,
    SettingInvalid,
    StorageFull,
    UnknownDevice,
    UnknownSensor,
)
from agent.local.api_clients import ApiClientRequest
from agent.local.cloud_key import CloudKeyRequest
from agent.local.facts import VisitRequest
from agent.local.hardware import CommissioningRequest, IdentifyRequest, RelayTestRequest, TestReference
from agent.local.queries import AuditQuery, CommandsQuery, FactsQuery, HistoryQuery, LogQuery, RepairQuery
from agent.local.webhooks import WebhookRequest
from agent.pairing.requests import JoinWindowRequest
from hal.errors import NetworkLost, SensorUnavailable

CLIMATE_BYTES_MAX = 64 * 1024
"""A schedule of seventy blocks takes 12 KiB."""

BACKUP_BYTES_MAX = 2 * 1024 * 1024
"""The backup of a network with a hundred sensors takes 40 KiB."""

CONFIG_BYTES_MAX = 64 * 1024
"""Eight zones of sixteen sensors take 6 KiB."""

JSON_BYTES_MAX = 8 * 1024
"""Of every other request body in JSON."""

TRIAL_S = 300
TRIAL_S_MIN, TRIAL_S_MAX = 30, 3600
"""Of a change of the configuration, until it is confirmed: the shortest is enough for a page that confirms by itself,
the longest for a walk to another building."""


@functools.total_ordering
class Role(Enum):
    """What a caller may do. Each role includes those before it: `PUBLIC < VIEWER < SERVICE < OWNER`.

    The Unix socket admits its group to every role, by its permissions. On a network listener the role is that of the
    session or token, and `PUBLIC` without one.
    """

    PUBLIC = "public"
    """Sign in."""
    VIEWER = "viewer"
    """Look."""
    SERVICE = "service"
    """Also pair sensors, change setpoints, holds and schedules, test outputs, make most repairs, fetch the
    support bundle, and see who has access and what they did."""
    OWNER = "owner"
    """Also read or replace the network's secrets, change the configuration, update the hub, confirm a factory reset,
    make codes and tokens, and end tokens and sessions."""

    def __lt__(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) < order.index(other)


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request.

    Attributes:
        name: For the audit trail: the user of the Unix socket, the session or the token; empty for nobody known.
        role: What the caller may do.
        origin: Where the request came from: "socket", or the address of the other end.
    """

    name: str
    role: Role
    origin: str


class NameRequest(msgspec.Struct):
    """Another name for a sensor."""

    name: str


class AnswerRequest(msgspec.Struct):
    """What a technician has found about a finding of predictive maintenance.

    Attributes:
        zone: The id of the zone.
        indicator: As in `agent.local.maintenance.FindingReport`.
        answer: "confirmed", "nothing-found" or "serviced".
        note: In the technician's words.
    """

    zone: str
    indicator: str
    answer: str
    note: str = ""


class KeyRequest(msgspec.Struct):
    """The ClimaSense key of a sensor. A secret."""

    key: str


class ReplaceRequest(msgspec.Struct):
    """The sensor that takes over: its name or address."""

    new: str


class CalibrationRequest(msgspec.Struct):
    """A change of the calibration of one sensor: exactly one of `reads`, `offset`, `take_from` and `clear`.

    Attributes:
        sensor: Its name, or the address of a relayed one.
        kind: "temperature", "humidity" or "pressure"; empty for that of one of the hub's own, else the temperature.
        reads: The true value now.
        offset: What is added to each value.
        take_from: The sensor whose offset is taken over, such as one that was replaced.
        clear: Nothing is added any more; what was learned of the hub's warmth is forgotten.
    """

    sensor: str
    kind: str = ""
    reads: float | None = None
    offset: float | None = None
    take_from: str = ""
    clear: bool = False


class SignInRequest(msgspec.Struct):
    """A code as a person types it. A secret."""

    code: str


class CodeRequest(msgspec.Struct):
    """A new code; `replace` where there is one already."""

    replace: bool = False


class TokenRequest(msgspec.Struct):
    """A new token for scripts, which expires after so many days."""

    name: str
    role: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["viewer", "service", "owner"]})]
    days: int = 90


class ConfigPatch(msgspec.Struct):
    """Values of keys that can be changed at the hub, by dotted key; `null` takes a change back.

    A change that needs a restart is undone unless it is confirmed within `trial_s` seconds.
    """

    changes: dict[str, Any]
    trial_s: int = TRIAL_S


class Route(msgspec.Struct, frozen=True):
    """One route.

    Attributes:
        method: The HTTP method.
        path: The path, with parameters in braces.
        role: What the caller must be allowed to do.
        handler: The name of the handler.
        body: What the handler receives: `None` for nothing, a struct for JSON of that form, `bytes` for the whole body
            as it came, `AsyncIterator` for the body piece by piece.
        bytes_max: The largest body that is read; without meaning for a stream.
        query: The struct of the query that the handler reads (`agent.local.queries`); `None` where it reads none.
        is_audited: The audit trail keeps it, unless it only reads; of what an owner reads it keeps secrets. A renewal
            every few seconds would push out the rest.
        is_automatic: The page asks by itself: such a request does not keep a session from becoming idle.
    """

    method: str
    path: str
    role: Role
    handler: str
    body: Any = None
    bytes_max: int = JSON_BYTES_MAX
    query: type[msgspec.Struct] | None = None
    is_audited: bool = True
    is_automatic: bool = False

    @property
    def is_stream(self) -> bool:
        """Whether the body is read piece by piece."""
        return self.body is AsyncIterator


_SENSOR = "/v1/zigbee/sensors/{sensor}"

ROUTES = (
    Route("GET", "/healthz", Role.PUBLIC, "get_liveness"),
    Route("GET", "/readyz", Role.VIEWER, "get_readiness"),
    Route("GET", "/metrics", Role.VIEWER, "get_metrics"),
    Route("GET", "/v1/openapi.json", Role.VIEWER, "get_openapi"),
    Route("GET", "/v1/events", Role.VIEWER, "get_events", is_automatic=True),
    Route("GET", "/", Role.PUBLIC, "get_page"),
    Route("GET", "/{file}", Role.PUBLIC, "get_page_file"),
    Route("GET", "/texts/{file}", Role.PUBLIC, "get_page_text"),
    Route("GET", "/vendor/{file}", Role.PUBLIC, "get_page_library"),
    Route("GET", "/v1/port", Role.VIEWER, "get_port"),
    Route("GET", "/v1/port/qr", Role.VIEWER, "get_port_qr"),
    Route("GET", "/v1/status", Role.VIEWER, "get_status"),
    Route("GET", "/v1/verdict", Role.VIEWER, "get_verdict"),
    Route("GET", "/v1/boots", Role.VIEWER, "get_boots"),
    Route("GET", "/v1/commands", Role.VIEWER, "get_commands", query=CommandsQuery),
    Route("POST", "/v1/confirm/{command_id}", Role.OWNER, "confirm_command"),
    Route("GET", "/v1/climate", Role.VIEWER, "get_climate"),
    Route("GET", "/v1/maintenance", Role.VIEWER, "get_maintenance"),
    Route("GET", "/v1/maintenance/answers", Role.VIEWER, "get_maintenance_answers"),
    Route("POST", "/v1/maintenance/answers", Role.SERVICE, "answer_maintenance", AnswerRequest),
    Route("GET", "/v1/checks", Role.VIEWER, "get_checks"),
    Route("GET", "/v1/repairs", Role.VIEWER, "get_repairs"),
    Route("POST", "/v1/repairs/{repair}", Role.SERVICE, "repair", query=RepairQuery),
    Route("POST", "/v1/climate/{zone}", Role.SERVICE, "change_climate", bytes, CLIMATE_BYTES_MAX),
    Route("GET", "/v1/zigbee", Role.VIEWER, "get_zigbee"),
    Route("POST", "/v1/zigbee/join-window", Role.SERVICE, "open_join_window", JoinWindowRequest),
    Route("POST", "/v1/zigbee/join-window/close", Role.SERVICE, "close_join_window"),
    Route("POST", f"{_SENSOR}/name", Role.SERVICE, "rename_sensor", NameRequest),
    Route("POST", f"{_SENSOR}/key", Role.SERVICE, "give_sensor_key", KeyRequest),
    Route("POST", f"{_SENSOR}/replace", Role.SERVICE, "replace_sensor", ReplaceRequest),
    Route("POST", f"{_SENSOR}/remove", Role.SERVICE, "remove_sensor"),
    Route("POST", "/v1/sensors/calibration", Role.SERVICE, "calibrate_sensor", CalibrationRequest),
    Route("GET", "/v1/zigbee/backup", Role.OWNER, "back_up_network"),
    Route("POST", "/v1/zigbee/restore", Role.OWNER, "restore_network", bytes, BACKUP_BYTES_MAX),
    Route("GET", "/v1/log", Role.VIEWER, "get_log", query=LogQuery),
    Route("GET", "/v1/history", Role.VIEWER, "get_history", query=HistoryQuery),
    Route("GET", "/v1/support-bundle", Role.SERVICE, "get_support_bundle"),
    Route("GET", "/v1/tests", Role.VIEWER, "get_tests"),
    Route("POST", "/v1/tests/relays/{output}", Role.SERVICE, "test_relay", RelayTestRequest),
    Route("GET", "/v1/tests/commissioning", Role.VIEWER, "get_commissioning"),
    Route("POST", "/v1/tests/commissioning", Role.SERVICE, "begin_commissioning", CommissioningRequest),
    Route("POST", "/v1/tests/renew", Role.SERVICE, "renew_test", TestReference, is_audited=False),
    Route("POST", "/v1/tests/stop", Role.SERVICE, "stop_test"),
    Route("GET", "/v1/tests/sensors", Role.VIEWER, "get_live_sensors"),
    Route("POST", "/v1/tests/identify", Role.SERVICE, "identify_hub", IdentifyRequest),
    Route("POST", "/v1/tests/radio-scan", Role.SERVICE, "scan_radio"),
    Route("POST", "/v1/tests/bus-scan", Role.SERVICE, "scan_buses"),
    Route("GET", "/v1/config", Role.VIEWER, "get_config"),
    Route("PATCH", "/v1/config", Role.OWNER, "change_config", ConfigPatch, CONFIG_BYTES_MAX),
    Route("POST", "/v1/config/confirm", Role.OWNER, "confirm_config"),
    Route("POST", "/v1/config/rollback", Role.OWNER, "roll_back_config"),
    Route("POST", "/v1/cloud-key", Role.OWNER, "store_cloud_key", CloudKeyRequest),
    Route("GET", "/v1/update", Role.VIEWER, "get_update"),
    Route("POST", "/v1/update/check", Role.OWNER, "check_update"),
    Route("POST", "/v1/update/pause", Role.OWNER, "pause_updates"),
    Route("POST", "/v1/update/resume", Role.OWNER, "resume_updates"),
    Route("POST", "/v1/update/rollback", Role.OWNER, "roll_back"),
    Route("PUT", "/v1/update/bundle", Role.OWNER, "install_bundle", AsyncIterator),
    Route("GET", "/v1/session", Role.PUBLIC, "get_session", is_automatic=True),
    Route("POST", "/v1/session", Role.PUBLIC, "open_session", SignInRequest),
    Route("DELETE", "/v1/session", Role.PUBLIC, "close_session"),
    Route("GET", "/v1/access", Role.SERVICE, "get_access"),
    Route("GET", "/v1/audit", Role.SERVICE, "get_audit", query=AuditQuery),
    Route("POST", "/v1/codes/{role}", Role.OWNER, "make_code", CodeRequest),
    Route("GET", "/v1/tokens", Role.OWNER, "get_tokens", is_audited=False),
    Route("POST", "/v1/tokens", Role.OWNER, "add_token", TokenRequest),
    Route("DELETE", "/v1/tokens/{token}", Role.OWNER, "revoke_token"),
    Route("GET", "/v1/api-clients", Role.SERVICE, "get_api_clients"),
    Route("POST", "/v1/api-clients", Role.OWNER, "add_api_client", ApiClientRequest),
    Route("DELETE", "/v1/api-clients/{client}", Role.OWNER, "revoke_api_client"),
    Route("GET", "/v1/webhooks", Role.OWNER, "get_webhooks", is_audited=False),
    Route("POST", "/v1/webhooks", Role.OWNER, "add_webhook", WebhookRequest),
    Route("DELETE", "/v1/webhooks/{webhook}", Role.OWNER, "remove_webhook"),
    Route("POST", "/v1/webhooks/{webhook}/test", Role.OWNER, "test_webhook"),
    Route("POST", "/v1/webhooks/{webhook}/retry", Role.OWNER, "retry_webhook"),
    Route("GET", "/v1/alerts", Role.VIEWER, "get_alerts"),
    Route("POST", "/v1/alerts/{alert_id}/resolve", Role.SERVICE, "resolve_alert"),
    Route("GET", "/v1/homekit", Role.VIEWER, "get_homekit"),
    Route("POST", "/v1/homekit/code", Role.OWNER, "make_homekit_code"),
    Route("DELETE", "/v1/homekit/controllers", Role.OWNER, "unpair_homekit"),
    Route("GET", "/v1/facts", Role.VIEWER, "get_facts", query=FactsQuery),
    Route("POST", "/v1/facts/visits", Role.SERVICE, "record_visit", VisitRequest),
    Route("DELETE", "/v1/sessions", Role.OWNER, "end_sessions"),
    Route("DELETE", "/v1/sessions/{number}", Role.OWNER, "end_session"),
)


class LocalRequest(msgspec.Struct, frozen=True):
    """What a handler receives.

    Attributes:
        parameters: The parts of the path that stand in braces in the table.
        caller: Who asks. The role has been checked already.
        query: The query of the address; of a repeated name the last value.
        headers: The request's headers, by any case.
        session: The session cookie; empty without one.
        body: The body in the form that the table declares.
    """

    parameters: Mapping[str, str]
    caller: Caller
    query: Mapping[str, str] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})
    session: str = ""
    body: Any = None


class Stream(msgspec.Struct, frozen=True):
    """An answer of unknown length. Its chunks are closed when the caller leaves.

    Attributes:
        content_type: Its media type, such as `text/event-stream`.
        chunks: The content.
        file_name: The name under which a browser saves it; empty where it is shown.
    """

    content_type: str
    chunks: AsyncGenerator[bytes, None]
    file_name: str = ""


class Done(msgspec.Struct, frozen=True):
    """The request has been carried out."""

    done: bool = True


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457).

    Attributes:
        type: `urn:climahub:problem:` and the code.
        title: The code in words.
        status: The HTTP status.
        detail: For people: what to do, then what happened.
        error: The code, for programs.
        retry_after_s: How long to wait before the next try, where that is known.
        tries_left: After a wrong code: how many more may be wrong before there is a wait, where there ever is one.
    """

    type: str
    title: str
    status: int
    detail: str
    error: str
    retry_after_s: int | None = None
    tries_left: int | None = None


class Answer(msgspec.Struct, frozen=True):
    """An answer that is more than its document.

    Attributes:
        document: What is sent; `bytes` go out as they are.
        status: The HTTP status.
        content_type: Of the document.
        headers: Further headers.
        session: The session cookie that the browser shall keep; empty to delete it, `None` to leave it.
    """

    document: object
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})
    session: str | None = None


Handler = Callable[[LocalRequest], Awaitable[object]]
"""Returns the document of the answer; `bytes` are JSON already. May return an `Answer` or a `Stream` instead. What it
raises is answered by `refusal_of`."""

Handlers = Mapping[str, Handler]
"""Handlers by the name that the table gives them. A route whose handler is missing does not exist on this hub."""


class RequestRefused(ClimahubError):
    """A request that is answered with an error.

    Attributes:
        status: The HTTP status.
        code: The machine-readable `error` of the answer.
        retry_after_s: How long to wait before the next try; `None` where that is not known.
        tries_left: See `ProblemDetails`.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        tries_left: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.tries_left = tries_left


_BY_ERROR: Mapping[type[Exception], tuple[HTTPStatus, str]] = MappingProxyType(
    {
        SettingInvalid: (HTTPStatus.BAD_REQUEST, "invalid"),
        UnknownDevice: (HTTPStatus.NOT_FOUND, "not_found"),
        UnknownSensor: (HTTPStatus.NOT_FOUND, "not_found"),
        PairingRefused: (HTTPStatus.CONFLICT, "conflict"),
        LabelInvalid: (HTTPStatus.UNPROCESSABLE_ENTITY, "label_invalid"),
        StorageFull: (HTTPStatus.SERVICE_UNAVAILABLE, "storage_full"),
        NetworkLost: (HTTPStatus.SERVICE_UNAVAILABLE, "no_radio"),
        SensorUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "no_answer"),
    }
)


def refusal_of(error: Exception) -> RequestRefused:
    """Return how an error of the agent or of the hardware is answered."""
    if isinstance(error, RequestRefused):
        return error
    # A more specific error than those of the table is answered as the nearest one of them.
    found = (_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _BY_ERROR)
    status, code = next(found, (HTTPStatus.SERVICE_UNAVAILABLE, "failed"))
    return RequestRefused(status, code, str(error))
