"""`climahub facts`: what the hub on this machine knows about itself and since when, and service visits."""

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.local.facts import FactReport, FactsReport, VisitRequest
from agent.local.queries import LIMIT, LIMIT_MAX

_EXITS = "0 done, 1 the hub refuses or a time is wrong, 3 it does not answer, 77 this user may not ask"
_ROUTE = "/v1/facts"


def instant(_: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Return a date or an instant with its offset; the local time of this machine where none is given.

    Raises:
        click.BadParameter: It is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.astimezone()).isoformat()
    except (OverflowError, ValueError) as error:
        raise click.BadParameter(
            "give a date or a time such as 2026-11-01 or 2026-11-01T18:30", param=option
        ) from error


@click.group(
    epilog=epilog(
        "climahub facts list --subject living",
        "climahub facts list --as-of 2026-11-01T18:00",
        "climahub facts timeline living/setpoints",
        "climahub facts export > facts.jsonl",
        'climahub facts visit "changed the filter" --zone living --at 2026-11-01',
        exits=_EXITS,
    )
)
def facts() -> None:
    """Show what the hub knows about itself and since when, or record a service visit (docs/apis.md)."""


@facts.command("list", epilog=epilog("climahub facts list --subject living --with-ended --json", exits=_EXITS))
@click.option("--subject", default="", help="Only this subject and those below it: living, living/mode.")
@click.option("--as-of", callback=instant, metavar="TIME", help="What was true then.")
@click.option("--known-at", callback=instant, metavar="TIME", help="What the hub knew then.")
@click.option("--with-ended", is_flag=True, help="Also facts that do not hold any more.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=LIMIT, show_default=True, help="How many at most.")
@json_option
@on_hub
def list_facts(
    path: Path, subject: str, as_of: str | None, known_at: str | None, with_ended: bool, limit: int, as_json: bool
) -> None:
    """List the facts that hold, those that were stored last first."""
    asked = {
        "subject": subject,
        "as_of": as_of or "",
        "known_at": known_at or "",
        "with_ended": str(with_ended).lower(),
        "limit": str(limit),
    }
    body = hub_client.fetch(path, f"{_ROUTE}?{urlencode(asked)}")
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    report = hub_client.decode(body, FactsReport)
    _show(report.facts)
    if report.next_before:
        click.echo("there are more: raise --limit, or take all with climahub facts export", err=True)


@facts.command(epilog=epilog("climahub facts timeline living/setpoints", exits=_EXITS))
@click.argument("subject")
@json_option
@on_hub
def timeline(path: Path, subject: str, as_json: bool) -> None:
    """Show all that the hub knows to have been true of SUBJECT and of those below it, the oldest first."""
    found = sorted(_all(path, subject), key=lambda fact: (fact.valid_from, fact.id))
    if as_json:
        click.echo(hub_client.as_json(msgspec.json.encode(found)))
    else:
        _show(found)


@facts.command(epilog=epilog("climahub facts export --subject living > living.jsonl", exits=_EXITS))
@click.option("--subject", default="", help="Only this subject and those below it.")
@on_hub
def export(path: Path, subject: str) -> None:
    """Write every fact, also those that have ended, as a line of JSON each, those that were stored last first."""
    for fact in _all(path, subject):
        click.echo(hub_client.as_json(msgspec.json.encode(fact)))


@facts.command(
    epilog=epilog(
        'climahub facts visit "changed the filter"',
        'climahub facts visit "bled the radiator" --zone living --at 2026-11-01',
        exits=_EXITS,
    )
)
@click.argument("text")
@click.option("--zone", default="", help="The zone that was serviced; by default the hub.")
@click.option("--at", callback=instant, metavar="DATE", help="When; by default now.")
@json_option
@on_hub
def visit(path: Path, text: str, zone: str, at: str | None, as_json: bool) -> None:
    """Record a service visit: TEXT says what was done."""
    wanted = VisitRequest(text, zone, at)
    body = hub_client.fetch(path, f"{_ROUTE}/visits", method="POST", content=msgspec.json.encode(wanted))
    click.echo(hub_client.as_json(body) if as_json else as_line(hub_client.decode(body, FactReport)))


def _all(path: Path, subject: str) -> Iterator[FactReport]:
    """Yield every fact of a subject, page by page, those that were stored last first."""
    return pages(lambda query: hub_client.decode(hub_client.fetch(path, f"{_ROUTE}?{query}"), FactsReport), subject)


def pages(fetch: Callable[[str], FactsReport], subject: str) -> Iterator[FactReport]:
    """Yield the facts of all pages; ``fetch`` returns the one of a query."""
    asked = {"subject": subject, "with_ended": "true", "limit": str(LIMIT_MAX)}
    while True:
        report = fetch(urlencode(asked))
        yield from report.facts
        if not report.next_before:
            return
        asked["before"] = report.next_before


def _show(found: list[FactReport]) -> None:
    """Print facts: in columns that wrap on a terminal, as plain lines elsewhere."""
    if not found:
        click.echo("the hub knows no such fact", err=True)
    elif not sys.stdout.isatty():
        click.echo("\n".join(map(as_line, found)))
    else:
        from rich.console import Console  # noqa: PLC0415 - a pipe does without

        from agent.cli.facts_table import render  # noqa: PLC0415 - as above

        Console(highlight=False).print(render(found))


def as_line(fact: FactReport) -> str:
    """Return a fact as a line: since when, until when, what it is about, what is true, and who caused it."""
    author = f" ({fact.author})" if fact.author else ""
    return f"{fact.valid_from}  {fact.valid_to or 'holds':20}  {fact.subject}  {fact.text}{author}"
