"""Where deliveries go: registered endpoints, and which event goes to which. Pure.

An endpoint has a secret, which is shown once and stored as it is: a signature needs the secret itself, not its hash.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

import msgspec

from agent.apis.webhooks.addresses import check_url
from agent.apis.webhooks.signatures import WebhookApi, new_secret
from agent.errors import SettingInvalid
from agent.foundation.text import quote

ENDPOINTS_MAX = 16

TEST_EVENT = "webhook.test"
"""Sent on request only, to every endpoint whatever its events are."""

EVENTS: Mapping[WebhookApi, tuple[str, ...]] = MappingProxyType(
    {
        WebhookApi.AMPS: (
            "push.completed",
            "push.failed",
            "device.connected",
            "device.disconnected",
            "device.reconnected",
        ),
        WebhookApi.AURRA_HOME: (
            "thermostat.temperature_change",
            "predictive.alert_created",
            "predictive.alert_resolved",
            "eco.mode_changed",
            "schedule.updated",
            "device.offline",
        ),
    }
)
"""The events of each API, as documented."""


class Endpoint(msgspec.Struct, frozen=True):
    """One endpoint, as it is stored.

    Attributes:
        id: Of the endpoint.
        api: Whose events it receives.
        url: Where deliveries go.
        secret: What they are signed with.
        events: Which events; empty for all of the API.
        is_private_allowed: Deliveries may go to private addresses, and over http.
        is_sandbox: It receives the events of simulated zones (Amps' test keys), and no others.
        made_utc_ms: When it was registered; `None` if the time was not known.
    """

    id: str
    api: WebhookApi
    url: str
    secret: str
    events: tuple[str, ...] = ()
    is_private_allowed: bool = False
    is_sandbox: bool = False
    made_utc_ms: int | None = None

    def __repr__(self) -> str:
        """Leave the secret out: a representation may reach a log."""
        return f"Endpoint({self.id!r}, {self.api.value!r}, {self.url!r})"


class Endpoints(msgspec.Struct, frozen=True):
    """All endpoints, in the order in which they were registered."""

    endpoints: Annotated[tuple[Endpoint, ...], msgspec.Meta(max_length=ENDPOINTS_MAX)] = ()


class NewEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request to register one. The attributes are those of `Endpoint`."""

    url: str
    api: WebhookApi
    events: tuple[str, ...] = ()
    is_private_allowed: bool = False
    is_sandbox: bool = False


def make_endpoint(
    request: NewEndpoint, *, endpoint_id: str, utc_ms: int | None, random_bytes: Callable[[int], bytes]
) -> Endpoint:
    """Return the endpoint of a request, with a new secret.

    Raises:
        SettingInvalid: The URL cannot be used, or there is no such event.
    """
    known = EVENTS[request.api]
    for event in request.events:
        if event not in known:
            raise SettingInvalid(f"choose among {', '.join(known)}: {request.api.value} has no event {quote(event)}")
    if request.is_sandbox and request.api is not WebhookApi.AMPS:
        raise SettingInvalid(f"leave the sandbox out: {request.api.value} has none")
    return Endpoint(
        id=endpoint_id,
        api=request.api,
        url=check_url(request.url, is_private_allowed=request.is_private_allowed),
        secret=new_secret(random_bytes),
        events=tuple(dict.fromkeys(request.events)),
        is_private_allowed=request.is_private_allowed,
        is_sandbox=request.is_sandbox,
        made_utc_ms=utc_ms,
    )


def with_endpoint(known: Endpoints, made: Endpoint) -> Endpoints:
    """Return the endpoints with a new one.

    Raises:
        SettingInvalid: Its URL has the API's events already, or there are as many as there may be.
    """
    for each in known.endpoints:
        if (each.api, each.url, each.is_sandbox) == (made.api, made.url, made.is_sandbox):
            raise SettingInvalid(f"remove the endpoint {each.id} first: it has the same URL and API")
    if len(known.endpoints) >= ENDPOINTS_MAX:
        raise SettingInvalid(f"remove an endpoint first: there are {ENDPOINTS_MAX}, as many as there may be")
    return Endpoints((*known.endpoints, made))


def without_endpoint(known: Endpoints, endpoint_id: str) -> Endpoints:
    """Return the endpoints without one."""
    return Endpoints(tuple(each for each in known.endpoints if each.id != endpoint_id))


def find_endpoint(known: Endpoints, endpoint_id: str) -> Endpoint:
    """Return an endpoint.

    Raises:
        KeyError: There is no such endpoint.
    """
    for each in known.endpoints:
        if each.id == endpoint_id:
            return each
    raise KeyError(endpoint_id)


class WebhookEvent(msgspec.Struct, frozen=True):
    """An event, which is sent to endpoints.

    Attributes:
        api: Whose event it is, in whose form.
        name: One of `EVENTS`.
        body: The document, encoded.
        is_sandbox: It happened to a simulated zone.
        key: The same for the same event, should it be offered again after a power cut; empty where it is offered once.
        at_utc_ms: When it happened. Of an event that is offered again: an endpoint that was registered later does not
            receive it. `None` where that is not known.
    """

    api: WebhookApi
    name: str
    body: bytes
    is_sandbox: bool = False
    key: str = ""
    at_utc_ms: int | None = None


def receivers(known: Sequence[Endpoint], event: WebhookEvent) -> list[Endpoint]:
    """Return the endpoints that an event goes to."""
    return [
        each
        for each in known
        if (each.api, each.is_sandbox) == (event.api, event.is_sandbox)
        and (event.at_utc_ms is None or each.made_utc_ms is None or each.made_utc_ms <= event.at_utc_ms)
        and (not each.events or event.name in each.events)
    ]
