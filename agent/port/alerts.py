"""The handlers of the local API for alerts of AURRA Home clients: people see them at the hub, and resolve them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from agent.foundation import rfc3339
from agent.local.alerts import AlertReport, AlertsReport
from agent.local.routes import Handler, LocalRequest, RequestRefused

if TYPE_CHECKING:
    from agent.apis.assembly import ApiService
    from agent.apis.aurra_home.alerts import Alerts
    from agent.apis.aurra_home.records import AlertRecord

OFF = "set apis.aurra_home = true in the configuration first: this hub takes no alerts"


def handlers(apis: "ApiService | None") -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        apis: The local APIs; `None` where all are switched off.
    """

    def known() -> "Alerts":
        """Return who has the alerts."""
        if apis is None or all(face.name != "aurra_home" for face in apis.faces):
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", OFF)
        from agent.apis.aurra_home.face import AurraHomeFace  # noqa: PLC0415 - hubs without this API do without

        (found,) = (face for face in apis.faces if isinstance(face, AurraHomeFace))
        return found.alerts

    async def get_alerts(_: LocalRequest) -> AlertsReport:
        return AlertsReport([_report(each) for each in known().newest_first])

    async def resolve_alert(request: LocalRequest) -> AlertReport:
        alerts = known()
        from agent.apis.aurra_home.alerts import UnknownAlert  # noqa: PLC0415 - hubs without this API do without

        try:
            return _report(await alerts.resolve(request.parameters["alert_id"], by=request.caller.name))
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
