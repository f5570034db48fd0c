"""`climahub commission`: the walk through all zones that finds swapped wires and sensors."""

from pathlib import Path

import click

from agent.cli import exit_codes, hub_client, relay
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.cli.lines import is_agreed
from agent.foundation.format import duration
from agent.local.hardware import CommissioningReport, CommissioningRequest, TestsReport

ROUTE = "/v1/tests/commissioning"

_VERDICTS = {
    "own": "right",
    "other": "WRONG",
    "none": "NO ANSWER",
    "unclear": "unclear",
    "skipped": "not heated",
}
_PHASES = {"settling": "measuring the drift of all rooms", "heating": "heating"}

LOOKS_PER_LINE = 60
"""A step that lasts is shown once a minute."""


@click.command(
    epilog=epilog(
        "climahub commission",
        "climahub commission living bath",
        "climahub commission --show > report.txt",
        exits="0 every zone is right, 1 one is not or was not heated, 3 the hub does not answer, 77 not allowed",
    )
)
@click.argument("zones", nargs=-1)
@click.option("--show", "is_shown", is_flag=True, help="Only print the report of the last walk.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as the hub gives it.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
@config_option
@socket_option
def commission(
    zones: tuple[str, ...],
    is_shown: bool,
    as_json: bool,
    is_confirmed: bool,
    config_file: Path | None,
    socket_path: Path | None,
) -> int:
    """Heat each zone in turn until a sensor answers; find swapped wires and sensors.

    Takes some 25 minutes for a zone with radiators. All other zones rest meanwhile; frost protection goes on. The walk
    ends with Ctrl-C, or when this command is cut off: what was found until then stays.
    """
    question = "Are the doors closed? Each zone is heated in turn, the others rest meanwhile"

    def ask(path: Path) -> int:
        if not is_shown:
            relay.require_outputs(path, zones)
            if not is_confirmed and not is_agreed(question):
                raise click.Abort
            begun = relay.begin(path, ROUTE, CommissioningRequest(list(zones)))
            if begun.commissioning is not None:
                relay.follow(path, begun, begun.commissioning.test_id, _is_running, _Printer(is_silent=as_json))
        body = hub_client.fetch(path, ROUTE)
        report = hub_client.decode(body, CommissioningReport)
        click.echo(hub_client.as_json(body) if as_json else as_text(report))
        is_right = bool(report.turns) and all(turn.verdict == "own" for turn in report.turns)
        return exit_codes.OK if is_right else exit_codes.FAILED

    return run_on_hub(ask, config_file, socket_path)


def _is_running(report: TestsReport) -> bool:
    return report.commissioning is not None and report.commissioning.phase != "done"


class _Printer:
    """Prints each step of a walk once, and the best sensor once a minute."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._shown = ""
        self._looks = 0

    def __call__(self, report: TestsReport) -> None:
        walk = report.commissioning
        if walk is None or self._is_silent:
            return
        line = step_line(walk)
        self._looks = 0 if line != self._shown else self._looks + 1
        if self._looks % LOOKS_PER_LINE == 0:
            self._shown = line
            click.echo(line + best_text(walk))


def step_line(walk: CommissioningReport) -> str:
    """Return where a walk stands, in a line."""
    if not walk.zone:
        return f"done{f': {walk.text}' if walk.text else ''}"
    number = walk.zones.index(walk.zone) + 1 if walk.zone in walk.zones else 0
    waits = f" ({walk.text})" if walk.text else ""
    return f"{number}/{len(walk.zones)} {walk.zone}: {_PHASES.get(walk.phase, walk.phase)}{waits}"


def best_text(walk: CommissioningReport) -> str:
    """Return the sensor that has risen most; empty before any has."""
    best = max(walk.rises, key=lambda rise: rise.rise_k, default=None)
    return "" if best is None else f"; {best.sensor} {best.rise_k:+.1f} K"


def as_text(report: CommissioningReport) -> str:
    """Return the report as a page to print."""
    if not report.zones:
        return "no commissioning walk has been made on this hub"
    lines = [f"Commissioning walk of {report.began or 'an unknown time'}", ""]
    lines += [f"  {sentence}" for sentence in report.sentences] or ["  nothing was found yet"]
    if report.text:
        lines += ["", f"It ended early: {report.text}"]
    rows = [("ZONE", "VERDICT", "ANSWERED", "SENSOR", "RISE", "CERTAINTY", "HEATED")]
    rows += [
        (
            turn.zone,
            _VERDICTS.get(turn.verdict, turn.verdict),
            turn.answered_by or "-",
            turn.sensor or "-",
            f"{turn.rise_k:+.1f} K",
            f"{turn.certainty:.0%}",
            duration(turn.heated_s),
        )
        for turn in report.turns
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines.append("")
    lines += ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
