"""The documents of alerts in the local API: what predictive maintenance and clients of AURRA Home have found.

The JSON form is an interface: fields may be added, never renamed.
"""

import msgspec

HUB_CLIENT = "hub"
"""In place of a client's name: predictive maintenance."""

HUB_PRIORITY = "medium"
"""Of the hub's own alerts: AURRA Home's documented default."""


class AlertReport(msgspec.Struct, frozen=True):
    """An alert. Times in RFC 3339, nothing where the time was not known.

    Attributes:
        id: Of the alert.
        zone: The id of the zone.
        client: The name of the client that has sent it; `HUB_CLIENT` for the hub's own.
        issue: What is wrong.
        action: What to do about it.
        priority: In the words of the API.
        confidence: The probability that something is wrong, from 0 to 1; a client's is its own.
        is_shown: It is sure enough to be shown as a problem until it is resolved.
        is_dispatched: The client has asked for a technician.
        made: When it began.
        is_resolved: It has ended.
        resolved: When.
        resolved_by: Who has ended it: a person, or `HUB_CLIENT`; empty for nobody.
    """

    id: str
    zone: str
    client: str
    issue: str
    action: str
    priority: str
    confidence: float
    is_shown: bool
    is_dispatched: bool
    made: str | None
    is_resolved: bool
    resolved: str | None
    resolved_by: str


class AlertsReport(msgspec.Struct, frozen=True):
    """The alerts that are kept, the newest first."""

    alerts: list[AlertReport]
