"""`climahub identify`: lets the LED of the hub blink, so that a person finds it among others."""

from pathlib import Path

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.cli.numbers import FiniteRange
from agent.local.hardware import IDENTIFY_S_MAX, IDENTIFY_S_MIN, IdentifyReport, IdentifyRequest

ROUTE = "/v1/tests/identify"


@click.command(
    epilog=epilog(
        "climahub identify",
        "climahub identify --for 60",
        exits="0 it blinks, 1 the hub has no LED for that or it does not follow, 3 it does not answer, 77 not allowed",
    )
)
@click.option(
    "--for",
    "duration_s",
    type=FiniteRange(IDENTIFY_S_MIN, IDENTIFY_S_MAX),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it blinks.",
)
@config_option
@socket_option
def identify(duration_s: float, config_file: Path | None, socket_path: Path | None) -> int:
    """Let the LED of this hub blink (board.linux.led), then show what it showed before."""

    def ask(path: Path) -> None:
        content = msgspec.json.encode(IdentifyRequest(duration_s))
        report = hub_client.decode(hub_client.fetch(path, ROUTE, method="POST", content=content), IdentifyReport)
        click.echo(f"the LED {report.led} blinks for {report.duration_s:g} s")

    return run_on_hub(ask, config_file, socket_path)
