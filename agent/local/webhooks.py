"""The documents of webhooks in the local API: where events of the hub's other APIs are sent, and what did not arrive.

The JSON form is an interface: fields may be added, never renamed. No secret is in any of them but `NewWebhook`.
"""

import msgspec


class WebhookRequest(msgspec.Struct):
    """A new endpoint.

    Attributes:
        url: Where deliveries go.
        api: Whose events, as in `[apis]`: "amps" or "aurra_home".
        events: Which events; empty for all of the API.
        allow_private: Deliveries may go to loopback and private addresses, and to these over http.
        sandbox: It receives the events of simulated zones (Amps' test keys), and no others.
    """

    url: str
    api: str
    events: list[str] = []
    allow_private: bool = False
    sandbox: bool = False


class WebhookReport(msgspec.Struct, frozen=True):
    """An endpoint.

    Attributes:
        api: As in `WebhookRequest`, and so are `url`, `events`, `allow_private` and `sandbox`.
        id: For removing and testing it.
        made: When it was registered, in RFC 3339; nothing where the time was not known.
        waiting: Deliveries that have not arrived yet.
    """

    id: str
    api: str
    url: str
    events: list[str]
    allow_private: bool
    sandbox: bool
    made: str | None
    waiting: int = 0


class NewWebhook(msgspec.Struct, frozen=True):
    """An endpoint that has just been registered: the only answer that shows its secret."""

    webhook: WebhookReport
    secret: str


class DeadDeliveryReport(msgspec.Struct, frozen=True):
    """A delivery that was given up.

    Attributes:
        id: As the endpoint saw it.
        webhook: The id of the endpoint.
        event: Its name.
        made: When it happened; nothing where the time was not known.
        attempts: How many there were.
        reason: Why the last one failed, or why there was none.
    """

    id: str
    webhook: str
    event: str
    made: str | None
    attempts: int
    reason: str


class WebhooksReport(msgspec.Struct, frozen=True):
    """All endpoints, and what did not arrive.

    Attributes:
        webhooks: The oldest first.
        dead_letters: The newest first.
        lost: Dead letters that have made room, and events that found no room, since the file was made.
        problem: Why nothing is delivered, and what to do; empty where nothing hinders it.
    """

    webhooks: list[WebhookReport]
    dead_letters: list[DeadDeliveryReport]
    lost: int
    problem: str


class WebhookTestReport(msgspec.Struct, frozen=True):
    """How a test event ended, in words."""

    has_arrived: bool
    result: str


class WebhookRetryReport(msgspec.Struct, frozen=True):
    """How many dead letters are sent again."""

    queued: int
