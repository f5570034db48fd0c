"""`climahub homekit`: the zones of the hub on this machine in Apple's Home app."""

from pathlib import Path

import click

from agent.cli import hub_client, lines
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.local.homekit import HomeKitReport, HomeKitUnpaired, NewHomeKitCode

_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"
_ROUTE = "/v1/homekit"


@click.group(epilog=epilog("climahub homekit status", "sudo climahub homekit code", exits=_EXITS))
def homekit() -> None:
    """Pair the zones of this hub with Apple's Home app, or end that (docs/apis.md)."""


@homekit.command("status", epilog=epilog("climahub homekit status --json", exits=_EXITS))
@json_option
@on_hub
def show_status(path: Path, as_json: bool) -> None:
    """Show where HomeKit listens and who is paired."""
    body = hub_client.fetch(path, _ROUTE)
    if as_json:
        click.echo(hub_client.as_json(body))
    else:
        lines.echo(as_text(hub_client.decode(body, HomeKitReport)))


@homekit.command("code", epilog=epilog("sudo climahub homekit code", exits=_EXITS))
@json_option
@on_hub
def make_code(path: Path, as_json: bool) -> None:
    """Make a setup code and show it: only now. It is for one pairing, and replaces an earlier one."""
    body = hub_client.fetch(path, f"{_ROUTE}/code", method="POST")
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    made = hub_client.decode(body, NewHomeKitCode)
    click.echo(made.code)
    click.echo(f"type it in the Home app within {made.valid_s / 60:.0f} minutes (add accessory)", err=True)


@homekit.command("unpair", epilog=epilog("sudo climahub homekit unpair", exits=_EXITS))
@json_option
@on_hub
def unpair(path: Path, as_json: bool) -> None:
    """Remove everybody who is paired: the Home app no longer reaches this hub."""
    body = hub_client.fetch(path, f"{_ROUTE}/controllers", method="DELETE")
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    count = hub_client.decode(body, HomeKitUnpaired).removed
    click.echo(f"removed: {count}" if count else "nobody was paired")


def as_text(report: HomeKitReport) -> str:
    """Return the state as lines, problems first."""
    if not report.is_on:
        return "HomeKit is off: set apis.homekit and apis.homekit_listen (docs/apis.md)"
    shown = [f"! {report.problem}"] if report.problem else []
    shown.append(f"listens on {', '.join(report.addresses) or 'no address'}")
    if report.controllers:
        shown.append(f"paired: {', '.join(report.controllers)}")
    elif report.code_left_s:
        shown.append(f"nobody is paired; the setup code is valid for {report.code_left_s / 60:.0f} more minutes")
    else:
        shown.append("nobody is paired: sudo climahub homekit code")
    return "\n".join(shown)
