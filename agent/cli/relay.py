"""`climahub relay`: shows the outputs, and tests one while a person watches."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.cli.lines import is_agreed
from agent.cli.numbers import FiniteRange
from agent.foundation.format import duration
from agent.foundation.text import quote as quoted
from agent.local.hardware import RelayTestReport, RelayTestRequest, TestReference, TestsReport
from hal.interface import HvacAction

_EXITS = "0 done and passed, 1 the hub refuses or the test did not pass, 3 it does not answer, 77 not allowed"

TESTS = "/v1/tests"
LOOK_S = 1.0
"""How often a running test is renewed and shown: well within its lease."""

_PHASES = {"waiting": "waiting", "on": "on", "ending": "switching off, after any minimum on time", "done": "done"}
_OUTCOMES = {
    "passed": "it was on for {on_s:.0f} s and is off again",
    "stopped": "stopped after {on_s:.0f} s",
    "session_lost": "the hub has ended it after {on_s:.0f} s: {text}",
    "not_started": "it was not switched on: {text}",
    "cut_short": "the hub has switched it off after {on_s:.0f} s: {text}",
    "failed": "check the relay and its wires: {text}",
}


@click.group(
    epilog=epilog(
        "climahub relay list",
        "climahub relay test living --for 30",
        "climahub relay stop",
        exits=_EXITS,
    )
)
def relay() -> None:
    """Show the outputs of the hub on this machine, or test one (docs/commissioning.md)."""


@relay.command("list", epilog=epilog("climahub relay list", exits=_EXITS))
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@config_option
@socket_option
def list_outputs(as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """List every output, what it does now and why."""

    def ask(path: Path) -> None:
        body = hub_client.fetch(path, TESTS)
        click.echo(hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, TestsReport)))

    return run_on_hub(ask, config_file, socket_path)


@relay.command(
    epilog=epilog("climahub relay test living", "climahub relay test living --cool --for 60 --yes", exits=_EXITS)
)
@click.argument("output")
@click.option("--cool", "is_cooled", is_flag=True, help="Cool instead of heating.")
@click.option(
    "--for",
    "duration_s",
    type=FiniteRange(5, 600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it is on; longer with a minimum on time.",
)
@click.option("--override", default="", metavar="WORD", help='"short-cycle": without the minimum times of the relay.')
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
@config_option
@socket_option
def test(
    output: str,
    is_cooled: bool,
    duration_s: float,
    override: str,
    is_confirmed: bool,
    config_file: Path | None,
    socket_path: Path | None,
) -> int:
    """Switch one output on for some seconds, then off. It also ends with Ctrl-C, or when this command is cut off."""
    verb = "cool" if is_cooled else "heat"
    question = f"Does somebody watch? {output} will {verb} for {duration_s:.0f} s, longer with a minimum on time"
    action = HvacAction.COOL if is_cooled else HvacAction.HEAT
    request = RelayTestRequest(action, duration_s, override)

    def ask(path: Path) -> int:
        require_outputs(path, (output,))
        if not is_confirmed and not is_agreed(question):
            raise click.Abort
        begun = _post(path, f"{TESTS}/relays/{quote(output, safe='')}", request)
        if begun.test is None:
            return exit_codes.FAILED
        last = follow(path, begun, begun.test.test_id, _is_running, _TestPrinter())
        return exit_codes.OK if last.test is not None and last.test.outcome == "passed" else exit_codes.FAILED

    return run_on_hub(ask, config_file, socket_path)


@relay.command(epilog=epilog("climahub relay stop", exits=_EXITS))
@config_option
@socket_option
def stop(config_file: Path | None, socket_path: Path | None) -> int:
    """End the running test or commissioning walk."""

    def ask(path: Path) -> None:
        _post(path, f"{TESTS}/stop")
        click.echo("no test runs")

    return run_on_hub(ask, config_file, socket_path)


def _is_running(report: TestsReport) -> bool:
    return report.test is not None and report.test.phase != "done"


def follow(
    path: Path,
    report: TestsReport,
    test_id: str,
    is_running: Callable[[TestsReport], bool],
    on_report: Callable[[TestsReport], None],
) -> TestsReport:
    """Renew a test and report it until it is over; Ctrl-C ends it on the hub first.

    Args:
        path: The hub's socket.
        report: The document when it began.
        test_id: Names it.
        is_running: Whether it still runs.
        on_report: Called with every document.

    Raises:
        KeyboardInterrupt: The person has stopped it; the hub knows.
    """
    reference = TestReference(test_id, report.lease)
    try:
        while True:
            on_report(report)
            if not is_running(report):
                return report
            time.sleep(LOOK_S)
            report = _renewed(path, reference)
    except KeyboardInterrupt:
        _post(path, f"{TESTS}/stop")
        raise


def _renewed(path: Path, reference: TestReference) -> TestsReport:
    try:
        return _post(path, f"{TESTS}/renew", reference)
    except hub_client.RequestRefused:
        # It has ended meanwhile.
        return hub_client.decode(hub_client.fetch(path, TESTS), TestsReport)


def _post(path: Path, route: str, content: Any = None) -> TestsReport:  # noqa: ANN401 - any request
    body = None if content is None else msgspec.json.encode(content)
    return hub_client.decode(hub_client.fetch(path, route, method="POST", content=body), TestsReport)


def require_outputs(path: Path, named: Sequence[str]) -> None:
    """Refuse names that are no outputs of the hub, before a person is asked to watch them.

    Raises:
        NoAnswer, NotAllowed: See `hub_client.fetch`.
        RequestRefused: The hub has no such output.
    """
    known = [each.output for each in hub_client.decode(hub_client.fetch(path, TESTS), TestsReport).outputs]
    if unknown := [name for name in named if name not in known]:
        there_is = f"there is {', '.join(known)}" if known else "this hub drives none"
        raise hub_client.RequestRefused(f"there is no output {', '.join(map(quoted, unknown))}; {there_is}")


def begin(path: Path, route: str, content: Any) -> TestsReport:  # noqa: ANN401 - any request
    """Begin a test and return the document.

    Raises:
        NoAnswer, NotAllowed, RequestRefused: See `hub_client.fetch`.
    """
    return _post(path, route, content)


class _TestPrinter:
    """Prints each change of a test once."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, report: TestsReport) -> None:
        if report.test is not None and (line := test_line(report.test)) != self._shown:
            self._shown = line
            click.echo(line)


def test_line(test: RelayTestReport) -> str:
    """Return where a test stands, in a line."""
    if test.phase == "done":
        outcome = _OUTCOMES.get(test.outcome, test.outcome)
        return f"{test.output}: {outcome.format(on_s=test.on_s, text=test.text or 'no reason is known')}"
    reason = f" ({test.text})" if test.text and test.phase == "waiting" else ""
    return f"{test.output}: {_PHASES.get(test.phase, test.phase)}{reason}"


def as_text(report: TestsReport) -> str:
    """Return the outputs as lines of columns, a heading first, and the running test."""
    if not report.outputs:
        return "this hub drives no outputs"
    rows = [("OUTPUT", "NOW", "MAY START", "WHY")]
    rows += [
        (each.output, each.action, f"in {duration(each.wait_s)}" if each.wait_s else "now", each.reason)
        for each in report.outputs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
    return "\n".join([*lines, *(["", f"test: {test_line(report.test)}"] if report.test else [])])
