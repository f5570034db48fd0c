"""`climahub demo`: reads the options, runs the demo, prints the summary."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.numbers import FiniteRange
from agent.foundation.format import duration, plural
from hal import replay
from hal.interface import SERIES_MAX
from lab.cli.options import SENSORS_MIN, BoardChoice, board_option, check_house, check_map, map_option
from lab.demo.displays import LiveDisplay, PlainDisplay
from lab.demo.environment import Scenario
from lab.demo.runner import AuditResult, Options, run_demo

SIM_SPEED = 60.0
"""A minute of the house in a second: each sensor reports once a second."""

REPLAY_SPEED = 8640.0
"""A day of the recording in ten seconds."""

SPEED_MAX = 100_000.0
FOR_S_MAX = 31 * 86_400
SENSORS_DEFAULT = 15
LIVE_REFRESH_S = 0.2
PLAIN_REFRESH_S = 1.0


@click.command(
    epilog=epilog(
        "climahub demo",
        "climahub demo --for 20 --plain",
        "climahub demo --sensors 50 --speed 300",
        "climahub demo --board replay:house.csv --map house.toml",
        exits="0 every reading is accounted for, 1 a reading was lost or altered, 78 recording or map refused",
    )
)
@board_option
@map_option
@click.option(
    "--for", "for_s", type=FiniteRange(0, FOR_S_MAX, min_open=True), metavar="SECONDS", help="End after this time."
)
@click.option(
    "--speed",
    type=FiniteRange(1, SPEED_MAX),
    metavar="N",
    help=f"Seconds of the house in a real one. [default: {SIM_SPEED:g}; {REPLAY_SPEED:g} for a recording]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of house, weather and outages."
)
@click.option(
    "--sensors",
    type=click.IntRange(SENSORS_MIN, SERIES_MAX),
    help=f"Series of the simulated house. [default: {SENSORS_DEFAULT}]",
)
@click.option("--no-outages", is_flag=True, help="Run the cloud without outages.")
@click.option("--plain", is_flag=True, help="Print a line every second instead of the live display.")
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    hidden=True,
    help="Save the display of the fullest outbox.",
)
def demo(
    board: BoardChoice,
    map_file: Path | None,
    for_s: float | None,
    speed: float | None,
    seed: int,
    sensors: int | None,
    no_outages: bool,
    plain: bool,
    svg: Path | None,
) -> int:
    """Watch a hub read a house and bring every reading to its cloud, through outages.

    Nothing is set up and nothing leaves this machine: the real agent and a reference ClimaSense cloud work in this one
    process, on real sockets and a real disk, while time in the house runs faster. The hub heats the
    simulated house by a schedule. Ctrl-C ends it with a summary, for which every reading is looked up in
    the cloud's store and in the outbox.
    """
    check_map(board, map_file)
    check_house(board, sensors)
    recording = None
    if board.recording is not None and map_file is not None:
        recording = replay.load(board.recording, map_file)
    warnings = recording.warnings if recording else ()
    is_live = svg is not None or (not plain and sys.stdout.isatty())
    options = Options(
        scenario=Scenario(recording),
        for_s=for_s,
        speed=speed or (REPLAY_SPEED if recording else SIM_SPEED),
        seed=seed,
        sensors=sensors or SENSORS_DEFAULT,
        has_outages=not no_outages,
        refresh_s=LIVE_REFRESH_S if is_live else PLAIN_REFRESH_S,
    )
    began_s = time.monotonic()  # noqa: TID251 - the demo's own time is real; only the house's runs faster
    with (
        _silence(),
        LiveDisplay(options, svg) if is_live else contextlib.nullcontext(PlainDisplay(click.echo)) as audience,
    ):
        account = run_demo(options, audience, time.monotonic)  # noqa: TID251
    for warning in warnings:  # at the end: the live display takes the whole terminal
        click.echo(f"warning: {warning}", err=True)
    click.echo(_summary(account, time.monotonic() - began_s))  # noqa: TID251
    return exit_codes.OK if account.is_clean else exit_codes.FAILED


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the log off the terminal: its lines would break up the picture. The hub's page shows them."""
    log = logging.getLogger("agent")
    before = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    nowhere = logging.NullHandler()
    log.addHandler(nowhere)
    try:
        yield
    finally:
        log.removeHandler(nowhere)
        log.setLevel(before[0])
        log.propagate = before[1]


def _summary(account: AuditResult, real_s: float) -> str:
    verdict = "nothing lost" if account.is_clean else f"{account.lost:,} LOST, {account.altered:,} ALTERED"
    given_up = f", {account.given_up:,} dropped on record" if account.given_up else ""
    return (
        f"{plural(account.taken, 'reading')} taken in {duration(real_s)}: {account.accepted:,} accepted,"
        f" {account.pending:,} waiting on the disk{given_up}; {verdict}\n"
        "(each looked up in the cloud's store and in the outbox)"
    )
