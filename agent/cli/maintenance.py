"""`climahub maintenance`: what the hub on this machine knows about the health of the heating."""

from collections.abc import Iterator
from pathlib import Path

import click

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.cli.root import OpenGroup
from agent.local.maintenance import FindingReport, MaintenanceReport

_EXITS = "0 shown, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"
_NAMES = {
    "warmth": "heat of the run time",
    "run_time": "length of a run",
    "current": "current of a machine",
    "low_current": "current of a machine, too low",
    "inrush": "current at a start",
    "vibration": "vibration of a machine",
}
_STATES = {"unknown": "unknown", "usual": "as usual", "likely": "likely", "needed": "maintenance needed"}


@click.group(cls=OpenGroup, epilog=epilog("climahub maintenance status", exits=_EXITS))
def maintenance() -> None:
    """Show what the hub knows about the health of the heating (docs/maintenance.md)."""


@maintenance.command("status", epilog=epilog("climahub maintenance status --json", exits=_EXITS))
@json_option
@on_hub
def show_status(path: Path, as_json: bool) -> None:
    """Show each zone: whether its heating is as usual, how sure that is, the numbers, and what to do."""
    hub_client.show(hub_client.fetch(path, "/v1/maintenance"), MaintenanceReport, as_text, is_json=as_json)


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
    name = finding.issue or _NAMES.get(finding.indicator, finding.indicator)
    yield f"{'!' if finding.issue else ' '} {name}: {state}{sure}"
    yield f"    {finding.evidence}{f'; since {finding.since[:10]}' if finding.issue and finding.since else ''}"
    if finding.action:
        yield f"    -> {finding.action}"
