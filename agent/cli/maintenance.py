"""`climahub maintenance`: what the hub on this machine knows about the health of the heating."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.cli.root import OpenGroup
from agent.local.maintenance import EFFECTS, AnswerReport, AnswersReport, FindingReport, MaintenanceReport
from agent.local.routes import AnswerRequest

_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"
_ANSWERS = "/v1/maintenance/answers"
_STATES = {"unknown": "unknown", "usual": "as usual", "likely": "likely", "needed": "maintenance needed"}


@click.group(cls=OpenGroup, epilog=epilog("climahub maintenance status", exits=_EXITS))
def maintenance() -> None:
    """Show and answer what the hub knows about the health of the heating (docs/maintenance.md)."""


@maintenance.command("status", epilog=epilog("climahub maintenance status --json", exits=_EXITS))
@json_option
@on_hub
def show_status(path: Path, as_json: bool) -> None:
    """Show each zone: whether its heating is as usual, how sure that is, the numbers, and what to do."""
    hub_client.show(hub_client.fetch(path, "/v1/maintenance"), MaintenanceReport, as_text, is_json=as_json)


@maintenance.command(
    epilog=epilog(
        "climahub maintenance answer living/warmth serviced --note 'new filter'",
        "climahub maintenance answer living/run_time nothing-found",
        exits=_EXITS,
    )
)
@click.argument("finding", metavar="ZONE/INDICATOR")
@click.argument("answer", type=click.Choice(tuple(EFFECTS)))
@click.option("--note", default="", metavar="TEXT", help="What was found or done.")
@json_option
@on_hub
def answer(path: Path, finding: str, answer: str, note: str, as_json: bool) -> None:
    """Answer the finding ZONE/INDICATOR after a look at the equipment: an alert about it ends.

    "serviced" begins to learn the usual behaviour anew. The hub learns nothing else from answers.
    """
    zone, _, indicator = finding.rpartition("/")
    if not zone:
        raise click.BadParameter("name zone and indicator, such as living/warmth", param_hint="ZONE/INDICATOR")
    wanted = msgspec.json.encode(AnswerRequest(zone, indicator, answer, note))
    body = hub_client.fetch(path, _ANSWERS, method="POST", content=wanted)
    hub_client.show(body, AnswerReport, answer_as_text, is_json=as_json)


@maintenance.command(epilog=epilog("climahub maintenance export > answers.jsonl", exits=_EXITS))
@on_hub
def export(path: Path) -> None:
    """Write each answer as a line of JSON, with what was known then: for whoever calibrates the next release."""
    for each in hub_client.decode(hub_client.fetch(path, _ANSWERS), AnswersReport).answers:
        click.echo(hub_client.as_json(msgspec.json.encode(each)))


def answer_as_text(report: AnswerReport) -> str:
    """Return an answer as a line, with what becomes of it."""
    return f"{report.zone}/{report.indicator}: {report.answer}; {report.effect}"


def as_text(report: MaintenanceReport) -> str:
    """Return the report as lines, faults first within each zone."""
    if not report.zones:
        return "this hub drives nothing"
    shown = [f"! {report.problem}"] if report.problem else []
    for zone in report.zones:
        shown.append(zone.zone)
        for finding in sorted(zone.findings, key=lambda each: -(each.confidence or 0.0)):
            shown += _lines(finding)
    return "\n".join(shown)


def _lines(finding: FindingReport) -> Iterator[str]:
    state = _STATES.get(finding.state, finding.state)
    sure = "" if finding.confidence is None else f" ({finding.confidence:.0%} that something is wrong)"
    name = finding.issue or finding.name
    # The indicator is what `climahub maintenance answer` asks for.
    label = f"{name} ({finding.indicator})" if name else finding.indicator
    yield f"{'!' if finding.issue else ' '} {label}: {state}{sure}"
    yield f"    {finding.evidence}{f'; since {finding.since[:10]}' if finding.issue and finding.since else ''}"
    if finding.action:
        yield f"    -> {finding.action}"
    if finding.answer and finding.answered:
        yield f"    {finding.answer} on {finding.answered[:10]} by {finding.answered_by}"
