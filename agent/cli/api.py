"""`climahub api`: the other APIs that the hub on this machine answers, and who may use them."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from agent.apis.catalog import APIS
from agent.cli import hub_client, lines
from agent.cli.alerts import alert
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.cli.root import OpenGroup
from agent.cli.webhooks import webhook
from agent.foundation.format import duration
from agent.local.api_clients import ApiClientReport, ApiClientRequest, ApiClientsReport, NewApiClient

_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"

_ROUTE = "/v1/api-clients"


@click.group(
    cls=OpenGroup,
    epilog=epilog(
        "climahub api client list",
        "sudo climahub api client add aurra_home installer",
        "sudo climahub api client add amps garage --zone living --days 90",
        "climahub api client revoke acc_5k2q8xw0v3t1n9rd",
        exits=_EXITS,
    ),
)
def api() -> None:
    """Show the APIs of others that this hub answers, and who may use them (docs/apis.md)."""


api.add_command(webhook)
api.add_command(alert)


@api.group(
    epilog=epilog(
        "climahub api client list", "sudo climahub api client add aurra_home installer --tier enterprise", exits=_EXITS
    )
)
def client() -> None:
    """List, add or revoke clients: each has a credential for one API."""


@client.command("list", epilog=epilog("climahub api client list --json", exits=_EXITS))
@json_option
@on_hub
def list_clients(path: Path, as_json: bool) -> None:
    """List the APIs that are switched on, and their clients. The secrets themselves are not stored."""
    hub_client.show(hub_client.fetch(path, _ROUTE), ApiClientsReport, as_text, is_json=as_json)


@client.command(
    "add",
    epilog=epilog(
        "sudo climahub api client add aurra_home installer --scope comfort:write --zone living",
        "sudo climahub api client add amps garage --test --days 90",
        exits=_EXITS,
    ),
)
@click.argument("api_name", metavar="API", type=click.Choice(tuple(APIS)))
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="What it may do; may be repeated. By default everything.")
@click.option("--tier", default="", help="Of its limits, in the words of the API.")
@click.option("--zone", "zones", multiple=True, help="A zone that it may see; may be repeated. By default all.")
@click.option("--days", type=int, help="How long it is valid. By default until it is revoked.")
@click.option("--test", is_flag=True, help="It drives a simulated twin of the zones, never an output.")
@json_option
@on_hub
def add_client(path: Path, api_name: str, name: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Make the client NAME of an API, and show its secret: only now, since the hub stores its hash."""
    wanted = ApiClientRequest(
        api_name,
        name,
        list(given["scopes"]),
        given["tier"],
        list(given["zones"]),
        given["days"],
        test=given["test"],
    )
    body = hub_client.fetch(path, _ROUTE, method="POST", content=msgspec.json.encode(wanted))
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    made = hub_client.decode(body, NewApiClient)
    click.echo(f"client_id {made.client.client_id}")
    click.echo(f"secret    {made.secret}")
    for url in made.urls:
        click.echo(f"address   {url}")
    if not made.urls:
        lines.echo(f"address   none yet: open the port (port.listen); the API answers there under {made.path}")
    click.echo("store the secret now: it is not shown again", err=True)


@client.command("revoke", epilog=epilog("climahub api client revoke acc_5k2q8xw0v3t1n9rd", exits=_EXITS))
@click.argument("client_id")
@on_hub
def revoke_client(path: Path, client_id: str) -> None:
    """Revoke the client with CLIENT_ID: neither its secret nor any token of it is valid from now on."""
    hub_client.fetch(path, f"{_ROUTE}/{quote(client_id, safe='')}", method="DELETE")
    click.echo(f"{client_id} is revoked")


def as_text(report: ApiClientsReport) -> str:
    """Return the APIs and their clients, problems first."""
    shown = [f"! {report.problem}", ""] if report.problem else []
    shown += [f"{each.title} ({each.name}) answers under {each.path}" for each in report.apis]
    if not report.apis:
        shown.append("no API is switched on: set one in [apis] of the configuration (docs/apis.md)")
    shown += [client_as_text(each) for each in report.clients]
    if report.apis and not report.clients:
        shown.append("there is no client: sudo climahub api client add API NAME")
    return "\n".join(shown)


def client_as_text(found: ApiClientReport) -> str:
    """Return a client as a line."""
    validity = "valid until it is revoked"
    if found.expires:
        validity = f"EXPIRED {found.expires}" if found.is_expired else f"until {found.expires}"
    parts = [
        f"{found.client_id}: {found.api}, {found.name}",
        found.tier,
        " ".join(found.scopes),
        f"zones {', '.join(found.zones)}" if found.zones else "",
        "test" if found.is_test else "",
        validity,
        "not used since the start" if found.idle_s is None else f"last used {duration(found.idle_s)} ago",
    ]
    return ", ".join(filter(None, parts))
