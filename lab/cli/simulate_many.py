"""`climahub simulate` with many seeds or many hubs. `lab.simulation` does the work."""

import os
import re
import shlex
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from agent.cli import exit_codes
from agent.foundation.clock import SystemClock
from lab.simulation.fleet_options import FleetOptions
from lab.simulation.options import Options

if TYPE_CHECKING:
    from lab.simulation.campaign import Engine

HUBS_MAX = 5000
"""A hub takes about 1 MiB of memory, and 0.35 s of processor time an hour."""

JOBS_MAX = 256

SCHEDULER_PORT = 8786
"""That of `dask scheduler` where none is chosen."""

SEEDS_MAX = 100_000


class SeedRange(click.ParamType[range]):
    """A range of seeds, both ends included: `1..100`."""

    name = "A..B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """Return the seeds."""
        if isinstance(value, range):
            return value
        match = re.fullmatch(r"(\d{1,12})\.\.(\d{1,12})", str(value))
        if match is None:
            self.fail(f"write two numbers with two dots between, such as 1..100, not {value!r}", param, ctx)
        first, last = map(int, match.groups())
        if not 0 < last - first + 1 <= SEEDS_MAX:
            self.fail(f"use 1 to {SEEDS_MAX} seeds: {value} has {max(0, last - first + 1)}", param, ctx)
        return range(first, last + 1)


class Cluster(click.ParamType[str]):
    """A scheduler of dask.distributed: `dask://HOST:PORT`; the port is 8786 where none is given."""

    name = "dask://SCHEDULER"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `HOST:PORT`."""
        match = re.fullmatch(r"dask://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?/?", str(value))
        if match is None:
            self.fail(
                f"write dask:// and the scheduler's host and port, such as dask://10.0.0.5:8786, not {value!r}",
                param,
                ctx,
            )
        return f"{match[1]}:{match[2] or SCHEDULER_PORT}"


def run_campaign(
    options: Options,
    seeds: range,
    *,
    command_for: Callable[[Options], str],
    jobs: int | None,
    scheduler: str | None,
    results: Path | None,
    as_json: bool,
) -> int:
    """Run one simulation for each seed; print each verdict, how far the campaign is, and what failed.

    The first writes and parses HTTP, so that no campaign leaves that out.
    """
    from lab.simulation import campaign  # noqa: PLC0415 - needs an optional package

    each = [
        msgspec.structs.replace(options, seed=seed, writes_bytes=options.writes_bytes or seed == seeds[0])
        for seed in seeds
    ]
    clock = SystemClock()

    def now_s() -> float:
        return clock.monotonic_ms() / 1000

    try:
        engine = _engine(jobs, scheduler, now_s=now_s)
        running = campaign.Campaign(each, engine=engine, command_for=command_for, now_s=now_s, results_file=results)
        for result in running.run():
            click.echo(msgspec.json.encode(result) if as_json else campaign.as_text(result))
            if sys.stderr.isatty() or not as_json:
                click.echo(running.progress.as_text(), err=True)
    except OSError as error:
        click.echo(f"climahub: choose another file for --results: {error}", err=True)
        return exit_codes.CANNOT_CREATE
    except campaign.EngineUnavailable as error:
        click.echo(f"climahub: {error}", err=True)
        if results is not None:
            click.echo(f"the verdicts so far are in {results}: repeat the command to go on", err=True)
        return exit_codes.UNAVAILABLE
    progress, failed = running.progress, [found for found in running.results.values() if found.has_failed]
    if not as_json:
        click.echo(f"{progress.done - len(failed)} of {progress.total} seeds passed")
        for found in sorted(failed, key=lambda found: found.seed):
            click.echo(f"to see seed {found.seed} again: {found.command}")
    return exit_codes.FAILED if failed else exit_codes.OK


def _engine(jobs: int | None, scheduler: str | None, *, now_s: Callable[[], float]) -> "Engine":
    if scheduler is None:
        from lab.simulation import campaign, run  # noqa: PLC0415 - needs an optional package

        return campaign.Processes(run.simulate, jobs or os.cpu_count() or 1)
    from lab.simulation.dask_engine import DaskEngine  # noqa: PLC0415 - needs two optional packages

    return DaskEngine(scheduler, now_s=now_s, report=lambda text: click.echo(text, err=True))


def run_fleet(options: FleetOptions, *, jobs: int, svg_file: Path | None, as_json: bool) -> int:
    """Run a fleet; print its verdict, and draw its requests."""
    from lab.simulation import fleet, fleet_verdict  # noqa: PLC0415 - needs an optional package

    try:
        found, curve = fleet.simulate_fleet(options, jobs=min(jobs, options.hubs))
    except BrokenProcessPool:
        click.echo("climahub: simulate fewer hubs, or use --jobs 1: a process was killed", err=True)
        return exit_codes.UNAVAILABLE
    click.echo(msgspec.json.encode(found) if as_json else fleet_verdict.as_text(found, fleet_command(options, jobs)))
    if svg_file is not None:
        try:
            svg_file.write_text(curve.svg(f"{options.hubs} hubs, {options.scenario}: requests a second"), "utf-8")
        except OSError as error:
            click.echo(f"climahub: choose another file for --svg: {error}", err=True)
            return exit_codes.CANNOT_CREATE
    return exit_codes.FAILED if found.has_failed else exit_codes.OK


def fleet_command(options: FleetOptions, jobs: int = 1) -> str:
    """Return the command that repeats a fleet."""
    words = ["climahub", "simulate", "--hubs", str(options.hubs), "--scenario", options.scenario]
    words += ["--days", f"{options.days:g}", "--sensors", str(options.sensors), "--seed", str(options.seed)]
    words += ["--jitter", f"{options.jitter_s:g}"]
    return shlex.join(words + (["--jobs", str(jobs)] if jobs > 1 else []))
