"""`climahub doctor`: all checks of a hub, problems first; also where the agent is dead or may not be asked."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import NoAnswer, NotAllowed, RequestRefused, config_option, socket_of, socket_option
from agent.daemon import DEFAULT_CONFIG
from agent.errors import ConfigInvalid
from agent.foundation.text import escape, escape_lines, plural
from agent.port.checks.report import CheckResult, ChecksReport, Group, Outcome, merge, report_of

if TYPE_CHECKING:
    from agent.port.checks.facts import Agent, Missing

CHECKS_TIMEOUT_S = 15.0
"""The hub answers within 10 s."""

_COLOURS = {Outcome.PASS: "green", Outcome.UNKNOWN: "cyan", Outcome.WARN: "yellow", Outcome.FAIL: "red"}
_EXITS = {Outcome.PASS: exit_codes.OK, Outcome.WARN: exit_codes.WARNED, Outcome.FAIL: exit_codes.FAILED}


@click.command(
    epilog=epilog(
        "sudo climahub doctor",
        "climahub doctor network zigbee",
        "climahub doctor --json | jq '.checks[] | select(.outcome == \"fail\")'",
        exits="0 nothing asks for attention, 1 something fails, 4 something should be looked at",
    )
)
@click.argument("groups", nargs=-1, type=click.Choice([group.value for group in Group]), metavar="[GROUP]...")
@click.option("--all", "shows_all", is_flag=True, help="Also show what passed and what is unknown.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@config_option
@socket_option
def doctor(
    groups: tuple[str, ...], shows_all: bool, as_json: bool, config_file: Path | None, socket_path: Path | None
) -> int:
    """Check power, machine, network, hub, sensors, Zigbee and heating, and say what to do (docs/doctor.md).

    GROUP: power, machine, network, hub, sensors, zigbee or heating; all without one.
    """
    report = examine(config_file, socket_path)
    if groups:
        report = report_of([each for each in report.checks if each.group in groups], report.took_s)
    if as_json:
        click.echo(escape(msgspec.json.encode(report).decode()))
    else:
        click.echo("\n".join(as_lines(report, shows_all=shows_all or bool(groups))))
    return _EXITS[report.outcome]


def examine(config_file: Path | None, socket_path: Path | None) -> ChecksReport:
    """Return what the hub finds, with what it cannot know taken from this process; without a hub, that alone."""
    from agent.port.checks.facts import Agent, Missing  # noqa: PLC0415 - --help does without

    agent: Agent | Missing = Agent("")
    hub: ChecksReport | None = None
    try:
        path = socket_path or socket_of(config_file)
        hub = hub_client.decode(hub_client.fetch(path, "/v1/checks", timeout_s=CHECKS_TIMEOUT_S), ChecksReport)
    except (NotAllowed, RequestRefused) as error:
        agent = Missing(str(error))
    except NoAnswer as error:
        agent = Agent(str(error))
    except ConfigInvalid:
        agent = Missing("the configuration cannot be used, so the hub's socket is not known")
    local = examine_here(config_file or DEFAULT_CONFIG, agent, with_network=hub is None)
    return local if hub is None else merge(hub, local)


def examine_here(config_file: Path, agent: "Agent | Missing", *, with_network: bool) -> ChecksReport:
    """Return what can be known without the agent, or beside it.

    Args:
        config_file: The configuration.
        agent: Whether the agent answers; `Missing` where that cannot be known.
        with_network: Also try the way to the cloud; the agent has done it otherwise.
    """
    from agent.foundation.shutdown import DaemonThreadExecutor  # noqa: PLC0415 - as above
    from agent.port.checks.local_run import run_here  # noqa: PLC0415 - as above

    async def work() -> ChecksReport:
        # A read that hangs must not keep the command from its end.
        asyncio.get_running_loop().set_default_executor(DaemonThreadExecutor())
        return await run_here(config_file, os.environ, agent, with_network=with_network)

    return asyncio.run(work())


def as_lines(report: ChecksReport, *, shows_all: bool) -> Iterator[str]:
    """Yield the report as lines: problems first, each with its remedy, and then the rest or how much of it there is."""
    ranks = [Outcome.FAIL, Outcome.WARN, *([Outcome.UNKNOWN, Outcome.PASS] if shows_all else [])]
    for outcome in ranks:
        found = [each for each in report.checks if each.outcome is outcome]
        for each in found:
            yield from _lines(each)
        if found:
            yield ""
    counts = report.counts
    hidden = "" if shows_all else "; --all shows them"
    yield (
        f"{plural(counts['fail'], 'failure')}, {plural(counts['warn'], 'warning')};"
        f" {counts['pass']} passed, {counts['unknown']} unknown{hidden}"
    )


def _lines(result: CheckResult) -> Iterator[str]:
    word = click.style(f"{result.outcome.value.upper():7}", fg=_COLOURS[result.outcome])
    yield f"{word} {result.name}: {escape_lines(result.fact)}"
    if result.outcome in {Outcome.FAIL, Outcome.WARN} and result.remedy:
        yield f"        -> {escape_lines(result.remedy)}"
