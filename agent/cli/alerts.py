"""`climahub api alert`: what predictive maintenance and clients of AURRA Home have found, until it is resolved."""

from pathlib import Path
from urllib.parse import quote

import click

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.local.alerts import AlertReport, AlertsReport

_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"
_ROUTE = "/v1/alerts"


@click.group(epilog=epilog("climahub api alert list", "climahub api alert resolve alt_5k2q8xw0", exits=_EXITS))
def alert() -> None:
    """List or resolve alerts: the hub's own, and those of AURRA Home clients (docs/apis.md)."""


@alert.command("list", epilog=epilog("climahub api alert list --json", exits=_EXITS))
@json_option
@on_hub
def list_alerts(path: Path, as_json: bool) -> None:
    """List the alerts that are kept, the newest first."""
    hub_client.show(hub_client.fetch(path, _ROUTE), AlertsReport, as_text, is_json=as_json)


@alert.command("resolve", epilog=epilog("climahub api alert resolve alt_5k2q8xw0", exits=_EXITS))
@click.argument("alert_id", metavar="ID")
@json_option
@on_hub
def resolve_alert(path: Path, alert_id: str, as_json: bool) -> None:
    """Resolve the alert ID: the hub no longer shows it as a problem, and sends the event to webhooks."""
    body = hub_client.fetch(path, f"{_ROUTE}/{quote(alert_id, safe='')}/resolve", method="POST")
    hub_client.show(body, AlertReport, alert_as_text, is_json=as_json)


def as_text(report: AlertsReport) -> str:
    """Return the alerts as lines."""
    return "\n".join(map(alert_as_text, report.alerts)) or "there is no alert"


def alert_as_text(found: AlertReport) -> str:
    """Return an alert as a line: whether somebody must look at it, and what is wrong."""
    state = f"resolved {found.resolved or ''} by {found.resolved_by}" if found.is_resolved else "open"
    if not found.is_shown and not found.is_resolved:
        state = "not shown"
    parts = [
        f"{found.id}: {state}",
        found.zone,
        f"{found.issue}; {found.action}",
        f"{found.priority}, confidence {found.confidence:g}",
        "a technician was asked for" if found.is_dispatched else "",
        f"{found.made or 'at an unknown time'} from {found.client}",
    ]
    return ", ".join(filter(None, parts))
