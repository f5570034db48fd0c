"""`climahub api webhook`: where the hub sends the events of its other APIs, and what did not arrive."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from agent.cli import exit_codes, hub_client, lines
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.foundation.text import plural
from agent.local.webhooks import (
    DeadDeliveryReport,
    NewWebhook,
    WebhookReport,
    WebhookRequest,
    WebhookRetryReport,
    WebhooksReport,
    WebhookTestReport,
)

_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"
_ROUTE = "/v1/webhooks"
APIS = ("amps", "aurra_home")


@click.group(
    epilog=epilog(
        "climahub api webhook list",
        "sudo climahub api webhook add https://example.com/hooks --api amps",
        "climahub api webhook test 5f3a19c2",
        "climahub api webhook remove 5f3a19c2",
        exits=_EXITS,
    )
)
def webhook() -> None:
    """Register, test or remove the endpoints of webhooks (docs/apis.md)."""


@webhook.command("list", epilog=epilog("climahub api webhook list --json", exits=_EXITS))
@json_option
@on_hub
def list_webhooks(path: Path, as_json: bool) -> None:
    """List the endpoints and what did not arrive. The secrets are not shown again."""
    hub_client.show(hub_client.fetch(path, _ROUTE), WebhooksReport, as_text, is_json=as_json)


@webhook.command(
    "add",
    epilog=epilog(
        "sudo climahub api webhook add https://example.com/hooks --api amps --event push.failed",
        "sudo climahub api webhook add http://192.168.1.20:9000/ --api aurra_home --allow-private",
        exits=_EXITS,
    ),
)
@click.argument("url")
@click.option("--api", "api_name", type=click.Choice(APIS), required=True, help="Whose events.")
@click.option("--event", "events", multiple=True, help="An event; may be repeated. By default all of the API.")
@click.option("--allow-private", is_flag=True, help="Allow loopback and private addresses, and http to these.")
@click.option("--sandbox", is_flag=True, help="The events of simulated zones (Amps' test keys), and no others.")
@json_option
@on_hub
def add_webhook(path: Path, url: str, api_name: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - of click
    """Send events to URL from now on, and show the secret that signs them: only now."""
    wanted = WebhookRequest(url, api_name, list(given["events"]), given["allow_private"], given["sandbox"])
    body = hub_client.fetch(path, _ROUTE, method="POST", content=msgspec.json.encode(wanted))
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    made = hub_client.decode(body, NewWebhook)
    click.echo(f"id      {made.webhook.id}")
    click.echo(f"secret  {made.secret}")
    click.echo("store the secret now: it is not shown again", err=True)


@webhook.command("remove", epilog=epilog("climahub api webhook remove 5f3a19c2", exits=_EXITS))
@click.argument("webhook_id", metavar="ID")
@on_hub
def remove_webhook(path: Path, webhook_id: str) -> None:
    """Send nothing more to the endpoint ID; what waits for it is dropped."""
    hub_client.fetch(path, _of(webhook_id), method="DELETE")
    click.echo(f"{webhook_id} is removed")


@webhook.command(
    "test",
    epilog=epilog(
        "climahub api webhook test 5f3a19c2",
        exits="0 it has arrived, 1 it has not, or the hub refuses, 3 the hub does not answer, 77 this user may not ask",
    ),
)
@click.argument("webhook_id", metavar="ID")
@on_hub
def test_webhook(path: Path, webhook_id: str) -> int:
    """Send a test event to the endpoint ID now, and show how that ends."""
    report = hub_client.decode(hub_client.fetch(path, f"{_of(webhook_id)}/test", method="POST"), WebhookTestReport)
    lines.echo(f"{'it has arrived' if report.has_arrived else 'it has not arrived'}: {report.result}")
    return exit_codes.OK if report.has_arrived else exit_codes.FAILED


@webhook.command("retry", epilog=epilog("climahub api webhook retry 5f3a19c2", exits=_EXITS))
@click.argument("webhook_id", metavar="ID")
@on_hub
def retry_webhook(path: Path, webhook_id: str) -> None:
    """Send the dead letters of the endpoint ID again."""
    report = hub_client.decode(hub_client.fetch(path, f"{_of(webhook_id)}/retry", method="POST"), WebhookRetryReport)
    click.echo(f"{plural(report.queued, 'delivery', 'deliveries')} will be sent again")


def _of(webhook_id: str) -> str:
    return f"{_ROUTE}/{quote(webhook_id, safe='')}"


def as_text(report: WebhooksReport) -> str:
    """Return the endpoints and the dead letters, problems first."""
    shown = [f"! {report.problem}", ""] if report.problem else []
    shown += [webhook_as_text(each) for each in report.webhooks]
    if not report.webhooks:
        shown.append("there is no webhook: sudo climahub api webhook add URL --api amps")
    if report.dead_letters or report.lost:
        shown += ["", "not delivered:", *map(dead_letter_as_text, report.dead_letters)]
    if report.lost:
        shown.append(f"and {plural(report.lost, 'older one')} that made room")
    return "\n".join(shown)


def webhook_as_text(found: WebhookReport) -> str:
    """Return an endpoint as a line."""
    parts = [
        f"{found.id}: {found.api} to {found.url}",
        " ".join(found.events) or "all events",
        "private addresses allowed" if found.allow_private else "",
        "sandbox" if found.sandbox else "",
        f"{found.waiting} waiting" if found.waiting else "",
    ]
    return ", ".join(filter(None, parts))


def dead_letter_as_text(found: DeadDeliveryReport) -> str:
    """Return a dead letter as a line."""
    attempts = plural(found.attempts, "attempt")
    return f"  {found.made or 'at an unknown time'}  {found.event} for {found.webhook}, {attempts}: {found.reason}"
