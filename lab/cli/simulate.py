"""`climahub simulate`: runs a simulation and prints its verdict. `lab.simulation` does the work."""

import logging
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import click
import msgspec

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.numbers import FiniteRange
from agent.foundation.format import plural
from hal.interface import SERIES_MAX
from lab.cli import simulate_many
from lab.cli.options import SENSORS_MIN, BoardChoice, board_option, check_house, check_map, map_option
from lab.cli.simulate_many import HUBS_MAX, JOBS_MAX, Cluster, SeedRange
from lab.simulation.fleet_options import FleetOptions, FleetScenario
from lab.simulation.options import APIS, PAIRING, FaultProfile, Options, Profile

DAYS_MAX = 3660
"""Ten years. At about 10 hours of virtual time a second that takes two and a half hours."""

_PACKAGES: Final[Mapping[str | None, str]] = MappingProxyType(
    {
        "async_solipsism": "install the package for virtual time: pip install 'climahub[simulation]'",
        "distributed": "install dask.distributed for --on: pip install 'climahub-lab[dask]'",
    }
)
"""What to do where an optional package is missing, by the module that is imported."""


@click.command(
    epilog=epilog(
        "climahub simulate",
        "climahub simulate --days 30 --sensors 50 --faults harsh --seed 7",
        "climahub simulate --board replay:house.csv --map house.toml --faults none --json",
        "climahub simulate --pairing --seed 7 --faults harsh",
        "climahub simulate --apis --faults harsh",
        "climahub simulate --crash-points",
        "climahub simulate --seeds 1..100 --days 3 --sensors 50 --jobs 2 --results soak.jsonl",
        "climahub simulate --seeds 1..200 --on dask://10.0.0.5:8786 --results soak.jsonl",
        "climahub simulate --seeds 1..500 --profile coarse --days 3 --sensors 50",
        "climahub simulate --hubs 200 --scenario power-cut --svg power-cut.svg",
        exits="0 no violation, 1 violations, 69 package not installed or no worker, 78 recording or map refused",
    )
)
@board_option
@map_option
@click.option(
    "--days", type=FiniteRange(0, DAYS_MAX, min_open=True), help="How long; default: 1, or the whole recording."
)
@click.option(
    "--sensors", type=click.IntRange(SENSORS_MIN, SERIES_MAX), help="Series of the simulated house. [default: 15]"
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of everything random.")
@click.option("--faults", type=click.Choice(get_args(FaultProfile)), help="The faults that occur. [default: default]")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option(
    "--crash-points",
    is_flag=True,
    help="Cut the power before each durable operation of half an hour with an outage.",
)
@click.option(
    "--pairing",
    is_flag=True,
    help="Six hours in which fifty sensors are paired, leave, die, come back; with --crash-points: an hour, ten.",
)
@click.option(
    "--apis",
    is_flag=True,
    help="Six hours with clients of the APIs, webhooks, facts and an owner; with --crash-points: a quarter, every cut.",
)
@click.option(
    "--seeds", type=SeedRange(), help="Many seeds, such as 1..100, each in a process of its own; verdicts as they come."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    help="Processes at once. [default: with --seeds the cores, with --hubs 1]",
)
@click.option(
    "--on",
    "scheduler",
    type=Cluster(),
    help="Run --seeds on the workers of this dask.distributed scheduler, one at a time on each.",
)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Adds each verdict to this file, and goes on from what it holds; with --seeds.",
)
@click.option(
    "--http-bytes",
    "writes_bytes",
    is_flag=True,
    help="Write and parse each request to the cloud as HTTP; the verdict is the same. The first of --seeds does.",
)
@click.option(
    "--profile",
    type=click.Choice(get_args(Profile)),
    help="A hub as it is installed, or in half the time a coarse one: it commits and polls each minute, and its relayed"
    " sensors report together each five minutes. [default: installed]",
)
@click.option("--hubs", type=click.IntRange(1, HUBS_MAX), help="A fleet of so many hubs against one cloud.")
@click.option(
    "--scenario", type=click.Choice(get_args(FleetScenario)), help="What happens to the fleet. [default: boot]"
)
@click.option(
    "--jitter",
    "jitter_s",
    type=FiniteRange(0, 3600),
    help="Seconds over which the fleet's boots are spread. [default: 20]",
)
@click.option(
    "--svg",
    "svg_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draws the fleet's requests over time into this file.",
)
def simulate(
    board: BoardChoice,
    map_file: Path | None,
    days: float | None,
    sensors: int | None,
    seed: int,
    faults: FaultProfile | None,
    as_json: bool,
    crash_points: bool,
    pairing: bool,
    apis: bool,
    seeds: range | None,
    jobs: int | None,
    scheduler: str | None,
    results: Path | None,
    writes_bytes: bool,
    profile: Profile | None,
    hubs: int | None,
    scenario: FleetScenario | None,
    jitter_s: float | None,
    svg_file: Path | None,
) -> int:
    """Simulate days of a hub's life in seconds, with faults, and check what it must never do.

    The real agent works against the reference cloud in virtual time. An independent oracle compares the readings of the
    sensors with those that the cloud stored: none lost, altered or invented, and no quota exceeded.
    """
    check_map(board, map_file)
    check_house(board, sensors)
    is_own_hub = pairing or apis or crash_points
    _check_hub(board, sensors, profile, pairing=pairing, apis=apis, is_own_hub=is_own_hub)
    if crash_points and days is not None:
        raise click.UsageError("leave --days out: --crash-points simulates one hour")
    _check_many(seeds, jobs=jobs if hubs is None else None, scheduler=scheduler, results=results, is_sweep=crash_points)
    _check_cluster(scheduler, jobs, board)
    is_plain = board.name == "sim" and not (faults or profile or seeds or is_own_hub or writes_bytes)
    _check_fleet(hubs, jobs, {"--scenario": scenario, "--jitter": jitter_s, "--svg": svg_file}, is_plain=is_plain)
    # The simulated hub logs as part of the simulation; without a handler Python prints its lines between the verdict's.
    logging.getLogger().addHandler(logging.NullHandler())
    given = _given(recording=board.recording, map=map_file, days=days, sensors=sensors, faults=faults, profile=profile)
    given |= {"board": board.name, "seed": seed, "writes_bytes": writes_bytes}
    try:
        if hubs is not None:
            of_fleet = _given(hubs=hubs, seed=seed, days=days, sensors=sensors, scenario=scenario, jitter_s=jitter_s)
            fleet = msgspec.convert(of_fleet, FleetOptions)
            return simulate_many.run_fleet(fleet, jobs=jobs or 1, svg_file=svg_file, as_json=as_json)
        if crash_points:
            return _sweep(given, "pairing" if pairing else "apis" if apis else "outage", as_json=as_json)
        options = msgspec.structs.replace(PAIRING if pairing else APIS if apis else Options(), **given)
        if seeds is not None:
            return simulate_many.run_campaign(
                options,
                seeds,
                command_for=command_for,
                jobs=jobs,
                scheduler=scheduler,
                results=results,
                as_json=as_json,
            )
        return _simulate(options, as_json=as_json)
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        click.echo(f"climahub: {_PACKAGES[error.name]}", err=True)
        return exit_codes.UNAVAILABLE


def _given(**asked: object) -> dict[str, Any]:
    """Return the options that were given; the others keep their defaults."""
    return {name: value for name, value in asked.items() if value is not None}


def _check_hub(
    board: BoardChoice, sensors: int | None, profile: Profile | None, *, pairing: bool, apis: bool, is_own_hub: bool
) -> None:
    if pairing and (board.name != "sim" or sensors is not None):
        raise click.UsageError("leave --board and --sensors out: --pairing has a house of its own")
    if apis and (board.name != "sim" or pairing):
        raise click.UsageError("leave --board and --pairing out: --apis has a house of its own")
    if profile is not None and (board.name != "sim" or is_own_hub):
        raise click.UsageError(
            "leave --profile out: --board, --pairing, --apis and --crash-points have hubs of their own"
        )


def _check_many(
    seeds: range | None, *, jobs: int | None, scheduler: str | None, results: Path | None, is_sweep: bool
) -> None:
    if seeds is None and (jobs is not None or scheduler is not None or results is not None):
        raise click.UsageError("add --seeds A..B: --jobs, --on and --results belong to it")
    if seeds is not None and is_sweep:
        raise click.UsageError("leave --seeds or --crash-points out: a sweep has one seed")


def _check_cluster(scheduler: str | None, jobs: int | None, board: BoardChoice) -> None:
    if scheduler is not None and jobs is not None:
        raise click.UsageError("leave --jobs or --on out: the scheduler's workers decide how many run at once")
    if scheduler is not None and board.recording is not None:
        raise click.UsageError("leave --on out: its workers do not have the recording")


def _check_fleet(hubs: int | None, jobs: int | None, given: Mapping[str, object], *, is_plain: bool) -> None:
    if jobs not in {None, 1} and str(given["--scenario"]).startswith("rollout"):
        raise click.UsageError("leave --jobs out: the operator of a rollout looks at all hubs")
    if hubs is not None and not is_plain:
        raise click.UsageError("leave all but --days, --sensors, --seed and --json out: --hubs has houses of its own")
    for name, value in given.items():
        if hubs is None and value is not None:
            raise click.UsageError(f"add --hubs: {name} belongs to a fleet")


def _simulate(options: Options, *, as_json: bool) -> int:
    from lab.simulation import run, verdict  # noqa: PLC0415 - needs an optional package

    found = run.simulate(options)
    for warning in () if as_json else found.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(msgspec.json.encode(found) if as_json else verdict.as_text(found, command_for(options)))
    return exit_codes.FAILED if found.violations else exit_codes.OK


def _sweep(given: Mapping[str, Any], name: Literal["outage", "pairing", "apis"], *, as_json: bool) -> int:
    from lab.simulation import crash_points  # noqa: PLC0415 - needs an optional package

    scenarios = {
        "outage": crash_points.OUTAGE_HALF_HOUR,
        "pairing": crash_points.PAIRING_HOUR,
        "apis": crash_points.APIS_QUARTER,
    }

    def progress(done: int, total: int) -> None:
        click.echo(f"\r{done} of {total} crash points", nl=done == total, err=True)

    options = msgspec.structs.replace(scenarios[name], **given)
    found = crash_points.sweep(options, progress=progress if sys.stderr.isatty() else None)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for violation in found.violations:
            click.echo(f"  cut before operation {violation.point}: {violation.promise}: {violation.detail}")
        click.echo(
            f"{plural(found.points, 'crash point')}, {found.recovered} recovered,"
            f" {plural(len(found.violations), 'violation')}"
        )
    return exit_codes.FAILED if found.violations else exit_codes.OK


def command_for(options: Options) -> str:
    """Return the command that repeats a simulation."""
    words = ["climahub", "simulate", "--seed", str(options.seed), "--faults", options.faults]
    if options.recording is not None:
        words += ["--board", f"replay:{options.recording}", "--map", str(options.map)]
    elif options.boxed:
        words.append("--pairing")
    elif options.owner:
        words.append("--apis")
    else:
        words += ["--sensors", str(options.sensors)]
    if options.days is not None:
        words += ["--days", f"{options.days:g}"]
    if options.writes_bytes:
        words.append("--http-bytes")
    if options.profile != "installed":
        words += ["--profile", options.profile]
    return shlex.join(words)
