"""`climahub port`: how to reach the technician's port of the hub on this machine, and who may."""

from pathlib import Path
from urllib.parse import quote, urlencode

import click
import msgspec

from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, json_option, on_hub, run_on_hub, socket_option
from agent.foundation.format import duration
from agent.foundation.text import plural
from agent.local.access import (
    AccessReport,
    AuditReport,
    AuditTrailReport,
    NewCode,
    NewToken,
    OpenSessionReport,
    SessionsEnded,
    TokenReport,
    TokensReport,
)
from agent.local.port import PortReport
from agent.local.queries import LIMIT_MAX

ROLES = ("owner", "service", "viewer")
ENTRIES = 50
WIDTH = 10
"""Of the first column."""

_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"

_role_option = click.option(
    "--role", type=click.Choice(ROLES), default="owner", show_default=True, help="What the code admits to."
)


@click.group(
    invoke_without_command=True,
    epilog=epilog(
        "climahub port                              where it listens, and who can get in",
        "sudo climahub port code                    make the owner's code, and show it once",
        "sudo climahub port code --role viewer --new",
        "climahub port tokens add metrics --role viewer --days 90",
        "climahub port sessions --end",
        "climahub port audit",
        exits=_EXITS,
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print the documents as the hub gives them, one a line.")
@config_option
@socket_option
@click.pass_context
def port(context: click.Context, as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Show how to reach this hub's page and API, and who may: codes, tokens, sessions, audit (docs/port.md)."""
    if context.invoked_subcommand is not None:
        if config_file or socket_path or as_json:
            raise click.UsageError(f"put the options after {context.invoked_subcommand}")
        return exit_codes.OK

    def show(path: Path) -> None:
        listeners, access = hub_client.fetch(path, "/v1/port"), hub_client.fetch(path, "/v1/access")
        if as_json:
            click.echo(f"{hub_client.as_json(listeners)}\n{hub_client.as_json(access)}")
            return
        click.echo(as_text(hub_client.decode(listeners, PortReport), hub_client.decode(access, AccessReport)))

    return run_on_hub(show, config_file, socket_path)


@port.command(epilog=epilog("sudo climahub port code", "sudo climahub port code --role viewer --new", exits=_EXITS))
@_role_option
@click.option("--new", is_flag=True, help="Replace the code that there is; it and the sessions of the role end.")
@json_option
@on_hub
def code(path: Path, role: str, new: bool, as_json: bool) -> None:
    """Make a code for signing in, and show it: only now, since the hub stores its hash."""
    body = hub_client.fetch(path, f"/v1/codes/{role}", method="POST", content=msgspec.json.encode({"replace": new}))
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    made = hub_client.decode(body, NewCode)
    click.echo(f"{made.role}: {made.code}")
    note = "write it down: it is not shown again"
    if made.sessions_ended:
        note += f"; {plural(made.sessions_ended, 'session')} of the {made.role} ended"
    click.echo(note, err=True)


@port.group(
    epilog=epilog(
        "climahub port tokens list",
        "climahub port tokens add metrics --role viewer --days 90",
        "climahub port tokens revoke metrics",
        exits=_EXITS,
    )
)
def tokens() -> None:
    """List, add or revoke API tokens for scripts."""


@tokens.command("list", epilog=epilog("climahub port tokens list --json", exits=_EXITS))
@json_option
@on_hub
def list_tokens(path: Path, as_json: bool) -> None:
    """List the tokens: role, expiry, last use. The tokens themselves are not stored."""
    body = hub_client.fetch(path, "/v1/tokens")
    found = hub_client.decode(body, TokensReport).tokens
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    for token in found:
        click.echo(token_as_text(token))
    if not found:
        click.echo("there is no token")


@tokens.command("add", epilog=epilog("climahub port tokens add metrics --role viewer --days 90", exits=_EXITS))
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What the token may do.")
@click.option("--days", type=int, default=90, show_default=True, help="How long it is valid, at most 366.")
@json_option
@on_hub
def add_token(path: Path, name: str, role: str, days: int, as_json: bool) -> None:
    """Make the token NAME, and show it: only now, since the hub stores its hash."""
    content = msgspec.json.encode({"name": name, "role": role, "days": days})
    body = hub_client.fetch(path, "/v1/tokens", method="POST", content=content)
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    made = hub_client.decode(body, NewToken)
    click.echo(made.token)
    click.echo(f"{made.role}, valid until {made.expires}; store it now: it is not shown again", err=True)


@tokens.command("revoke", epilog=epilog("climahub port tokens revoke metrics", exits=_EXITS))
@click.argument("name")
@on_hub
def revoke_token(path: Path, name: str) -> None:
    """Revoke the token NAME: it is not valid from now on."""
    hub_client.fetch(path, f"/v1/tokens/{quote(name, safe='')}", method="DELETE")
    click.echo(f"{name} is revoked")


@port.command(
    epilog=epilog(
        "climahub port sessions",
        "climahub port sessions --end             all of them",
        "climahub port sessions --end --id 3",
        exits=_EXITS,
    )
)
@click.option("--end", is_flag=True, help="End them: whoever is signed in has to sign in again.")
@click.option("--id", "session_id", type=int, help="End this one only.")
@json_option
@on_hub
def sessions(path: Path, end: bool, session_id: int | None, as_json: bool) -> None:
    """Show who is signed in, or end sessions."""
    if session_id is not None and not end:
        raise click.UsageError("add --end to end a session")
    if end:
        route = "/v1/sessions" if session_id is None else f"/v1/sessions/{session_id}"
        body = hub_client.fetch(path, route, method="DELETE")
        ended = hub_client.decode(body, SessionsEnded).sessions_ended
        click.echo(hub_client.as_json(body) if as_json else f"{plural(ended, 'session')} ended")
        return
    body = hub_client.fetch(path, "/v1/access")
    found = hub_client.decode(body, AccessReport).sessions
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    for session in found:
        click.echo(session_as_text(session))
    if not found:
        click.echo("nobody is signed in")


@port.command(epilog=epilog("climahub port audit --entries 200", "climahub port audit --json", exits=_EXITS))
@click.option(
    "--entries", type=click.IntRange(1, LIMIT_MAX), default=ENTRIES, show_default=True, help="How many at most."
)
@json_option
@on_hub
def audit(path: Path, entries: int, as_json: bool) -> None:
    """Show who changed what, from where and with which result, the newest first; and who signed in or failed to."""
    body = hub_client.fetch(path, f"/v1/audit?{urlencode({'limit': entries})}")
    report = hub_client.decode(body, AuditTrailReport)
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    if report.problem:
        click.echo(f"! {report.problem}\n")
    for entry in report.entries:
        click.echo(entry_as_text(entry))
    if not report.entries:
        click.echo("nobody has changed anything yet")


def as_text(listeners: PortReport, access: AccessReport) -> str:
    """Return where the port listens and who can get in, problems first."""
    problems = [*filter(None, [access.problem]), *listeners.problems]
    if listeners.addresses and not access.codes:
        problems.append("make a code (sudo climahub port code): nobody can sign in yet")
    lines = [f"! {text}" for text in problems]
    lines += ["" for _ in lines[:1]]
    lines += _column("open", listeners.addresses or ["nothing: port.listen is empty, and only this socket answers"])
    if listeners.fingerprint:
        lines += _column("SHA-256", [listeners.fingerprint])
        whose = "your own certificate" if listeners.is_own_certificate else "made by this hub"
        ends = f", until {listeners.certificate_ends}" if listeners.certificate_ends else ""
        lines += _column("", [f"{whose}{ends}"])
    lines += _column("codes", [f"{each.role}, made {each.made or 'at an unknown time'}" for each in access.codes])
    lines += _column("sessions", [session_as_text(each) for each in access.sessions] or ["nobody is signed in"])
    lines += _column(
        "refused",
        [
            f"{each.origin}, {plural(each.tries, 'wrong try', 'wrong tries')}, the last {duration(each.age_s)} ago"
            + (f"; waits {duration(each.wait_s)}" if each.wait_s else "")
            for each in access.refused
        ],
    )
    return "\n".join(lines)


def _column(name: str, texts: list[str]) -> list[str]:
    """Return texts below each other, with a name in front of the first."""
    return [f"{name if number == 0 else '':{WIDTH}} {text}" for number, text in enumerate(texts)]


def session_as_text(session: OpenSessionReport) -> str:
    """Return a session as a line."""
    return (
        f"{session.id}: {session.role} from {session.origin}, for {duration(session.age_s)},"
        f" idle for {duration(session.idle_s)}, ends in {duration(session.expires_s)} without a request"
    )


def token_as_text(token: TokenReport) -> str:
    """Return a token as a line."""
    validity = f"EXPIRED {token.expires}" if token.is_expired else f"until {token.expires}"
    return f"{token.name}: {token.role}, {validity}, {f'last used {token.used}' if token.used else 'never used'}"


def entry_as_text(entry: AuditReport) -> str:
    """Return an entry of the audit trail as a line."""
    when = entry.utc or f"{duration(entry.boot_age_s)} after boot {entry.boot_id[:8]}"
    who = " ".join(filter(None, (entry.name, f"({entry.role})", f"from {entry.origin}" if entry.origin else "")))
    what = " ".join(filter(None, (entry.action, entry.target)))
    count = f"; {entry.count} times in {duration(entry.lasted_s)}" if entry.count > 1 else ""
    return f"{when}  {who}: {what}{f' -> {entry.result}' if entry.result else ''}{count}"
