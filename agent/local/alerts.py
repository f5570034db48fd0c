"""The documents of alerts in the local API: what clients of AURRA Home have found about a zone's equipment.

The JSON form is an interface: fields may be added, never renamed.
"""

import msgspec


class AlertReport(msgspec.Struct, frozen=True):
    """An alert. Times in RFC 3339, nothing where the time was not known.

    Attributes:
        id: Of the alert.
        zone: The id of the zone.
        client: The name of the client that has sent it.
        issue: What is wrong.
        action: What the client proposes to do.
        priority: In the words of the API.
        confidence: How sure the client is, from 0 to 1.
        is_shown: It is sure enough to be shown as a problem until it is resolved.
        is_dispatched: The client has asked for a technician.
        made: When it was sent.
        is_resolved: Somebody has resolved it.
        resolved: When.
        resolved_by: Who; empty for nobody.
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
