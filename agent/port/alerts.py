"""The handlers of the local API for alerts: the hub's own of predictive maintenance, and those of AURRA Home clients.

People see them at the hub, and resolve them.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from agent.foundation import rfc3339
from agent.foundation.text import quote
from agent.local.alerts import HUB_CLIENT, HUB_PRIORITY, AlertReport, AlertsReport
from agent.local.routes import Handler, LocalRequest, RequestRefused

if TYPE_CHECKING:
    from agent.apis.assembly import ApiService
    from agent.apis.aurra_home.alerts import Alerts
    from agent.apis.aurra_home.records import AlertRecord
    from agent.maintenance.alerts import Alert
    from agent.maintenance.service import MaintenanceService

OFF = "set apis.aurra_home = true in the configuration first: this hub drives nothing and takes no alerts"
UNKNOWN = "look at the ids (climahub api alert list): there is no alert {alert_id}"


def handlers(apis: "ApiService | None", maintenance: "MaintenanceService | None") -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        apis: The local APIs; `None` where all are switched off.
        maintenance: Predictive maintenance; `None` where the hub drives nothing.
    """

    def of_clients() -> "Alerts | None":
        """Return who has the alerts of clients; `None` where the hub takes none."""
        if apis is None or all(face.name != "aurra_home" for face in apis.faces):
            if maintenance is None:
                raise RequestRefused(HTTPStatus.CONFLICT, "conflict", OFF)
            return None
        from agent.apis.aurra_home.face import AurraHomeFace  # noqa: PLC0415 - hubs without this API do without

        (found,) = (face for face in apis.faces if isinstance(face, AurraHomeFace))
        return found.alerts

    async def get_alerts(_: LocalRequest) -> AlertsReport:
        clients = of_clients()
        shown = [_report(each) for each in clients.newest_first] if clients else []
        own = [_report_own(each) for each in maintenance.alerts.newest_first] if maintenance else []
        return AlertsReport(sorted(own + shown, key=lambda each: each.made or "", reverse=True))

    async def resolve_alert(request: LocalRequest) -> AlertReport:
        alert_id, by = request.parameters["alert_id"], request.caller.name
        clients = of_clients()
        if maintenance and (own := await maintenance.resolve_alert(alert_id, by=by)):
            return _report_own(own)
        if clients is None:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", UNKNOWN.format(alert_id=quote(alert_id)))
        from agent.apis.aurra_home.alerts import UnknownAlert  # noqa: PLC0415 - hubs without this API do without

        try:
            return _report(await clients.resolve(alert_id, by=by))
        except UnknownAlert as error:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", str(error)) from error

    return {each.__name__: each for each in (get_alerts, resolve_alert)}


def _report(alert: "AlertRecord") -> AlertReport:
    from agent.apis.aurra_home.alerts import is_shown  # noqa: PLC0415 - hubs without this API do without

    return AlertReport(
        id=alert.alert_id,
        zone=alert.zone_id,
        client=alert.client_name or alert.client_id,
        issue=alert.issue,
        action=alert.action,
        priority=alert.priority,
        confidence=alert.confidence,
        is_shown=is_shown(alert),
        is_dispatched=alert.is_dispatched,
        made=rfc3339.render_known(alert.made_utc_ms),
        is_resolved=alert.is_resolved,
        resolved=rfc3339.render_known(alert.resolved_utc_ms),
        resolved_by=alert.resolved_by,
    )


def _report_own(alert: "Alert") -> AlertReport:
    return AlertReport(
        id=alert.alert_id,
        zone=alert.zone_id,
        client=HUB_CLIENT,
        issue=f"{alert.issue}: {alert.evidence}",
        action=alert.action,
        priority=HUB_PRIORITY,
        confidence=alert.confidence,
        is_shown=True,
        is_dispatched=False,
        made=rfc3339.render_known(alert.made_utc_ms),
        is_resolved=not alert.is_open,
        resolved=rfc3339.render_known(alert.resolved_utc_ms),
        resolved_by=alert.resolved_by,
    )
