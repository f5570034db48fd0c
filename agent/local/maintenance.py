"""The document of predictive maintenance: what is known about the heating of each zone, with the numbers behind it.

The JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from agent.foundation import rfc3339
from agent.local.routes import Handler, LocalRequest

if TYPE_CHECKING:
    from agent.maintenance.assessment import Finding
    from agent.maintenance.service import MaintenanceService


class FindingReport(msgspec.Struct, frozen=True):
    """What is known about one indicator.

    Attributes:
        indicator: "warmth" (the heat of the same run time) or "run_time" (how long the heating runs each time); of
            posted measurements "current", "low_current", "inrush" and "vibration".
        state: "unknown" (never an alert), "usual", "likely" (a fault is more likely than not) or "needed" (its
            confidence is at least 0.72).
        confidence: The probability that something is wrong, 0 to 1; nothing where it is unknown.
        issue: What is wrong where the state is "likely" or "needed", for people; else empty.
        evidence: The numbers behind it, or why it is unknown, for people.
        since: Since when the indicator is worse than usual, in UTC; nothing where it is not.
        action: What to do about the issue, for people; empty without one.
    """

    indicator: str
    state: str
    confidence: float | None
    issue: str
    evidence: str
    since: str | None
    action: str


class ZoneMaintenance(msgspec.Struct, frozen=True):
    """One zone."""

    zone: str
    findings: list[FindingReport]


class MaintenanceReport(msgspec.Struct, frozen=True):
    """The whole home; without zones where the hub drives nothing.

    Attributes:
        problem: Why what was learned before is lost; empty where it is not.
    """

    zones: list[ZoneMaintenance]
    problem: str = ""


def build_maintenance(maintenance: "MaintenanceService | None") -> MaintenanceReport:
    """Return the report; `None` where the hub drives nothing."""
    if maintenance is None:
        return MaintenanceReport([])
    zones = [ZoneMaintenance(zone_id, _reports(found)) for zone_id, found in maintenance.findings().items()]
    return MaintenanceReport(zones, maintenance.problem)


def _reports(findings: "Sequence[Finding]") -> list[FindingReport]:
    return [
        FindingReport(
            indicator=each.indicator.value,
            state=each.state.value,
            confidence=each.confidence,
            issue=each.advice.issue if each.is_fault else "",
            evidence=each.evidence,
            since=rfc3339.render_known(each.since_utc_ms),
            action=each.advice.action if each.is_fault else "",
        )
        for each in findings
    ]


def handlers(maintenance: "Callable[[], MaintenanceService | None]") -> Mapping[str, Handler]:
    """Return the handler of predictive maintenance."""

    async def get_maintenance(_: LocalRequest) -> MaintenanceReport:
        return build_maintenance(maintenance())

    return {"get_maintenance": get_maintenance}
