"""`climahub doctor`: all checks of a hub, problems first; also where the agent is dead or may not be asked."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click
import msgspec

from agent.cli import exit_codes, hub_client, lines
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import (
    NoAnswer,
    NotAllowed,
    RequestRefused,
    config_option,
    run_on_hub,
    socket_of,
    socket_option,
)
from agent.default_paths import DEFAULT_CONFIG
from agent.errors import ConfigInvalid
from agent.foundation.text import escape, escape_lines, plural
from agent.local.repair_table import REPAIRS
from agent.port.checks.report import CheckResult, ChecksReport, Group, Outcome, merge, report_of

if TYPE_CHECKING:
    from agent.port.checks.facts import Agent, Missing

REPAIR_TIMEOUT_S = 30.0
"""Backing up a network reads the whole stick."""

CHECKS_TIMEOUT_S = 15.0
"""The hub answers within 10 s."""

_EXITS = {Outcome.PASS: exit_codes.OK, Outcome.WARN: exit_codes.WARNED, Outcome.FAIL: exit_codes.FAILED}


@click.command(
    epilog=epilog(
        "sudo climahub doctor",
        "climahub doctor network zigbee",
        "sudo climahub doctor --fix",
        "climahub doctor --json | jq '.checks[] | select(.outcome == \"fail\")'",
        exits="0 nothing asks for attention, 1 something fails, 4 something should be looked at",
    )
)
@click.argument("groups", nargs=-1, type=click.Choice([group.value for group in Group]), metavar="[GROUP]...")
@click.option("--fix", is_flag=True, help="Offer what the hub can repair itself, and do it after a question.")
@click.option("--yes", "is_agreed", is_flag=True, help="With --fix: do not ask; leave out what removes something.")
@click.option("--all", "shows_all", is_flag=True, help="Also show what passed and what is unknown.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@config_option
@socket_option
def doctor(
    groups: tuple[str, ...],
    *,
    fix: bool,
    is_agreed: bool,
    shows_all: bool,
    as_json: bool,
    config_file: Path | None,
    socket_path: Path | None,
) -> int:
    """Check power, machine, network, hub, sensors, Zigbee and heating, and say what to do (docs/doctor.md).

    GROUP: power, machine, network, hub, sensors, zigbee or heating; all without one.
    """
    if fix and as_json:
        raise click.UsageError("give --fix or --json: a repair asks and answers in words")
    report = examine(config_file, socket_path)
    if groups:
        report = report_of([each for each in report.checks if each.group in groups], report.took_s)
    if as_json:
        click.echo(escape(msgspec.json.encode(report).decode()))
    else:
        if not groups and (sentences := verdict_sentences(report.outcome, config_file, socket_path)):
            click.echo(escape_lines("\n".join([*sentences, ""])))
        show(report, shows_all=shows_all or bool(groups), is_terminal=sys.stdout.isatty())
    if fix:
        return run_on_hub(lambda path: repair(path, report, is_agreed=is_agreed), config_file, socket_path)
    return _EXITS[report.outcome]


def repair(path: Path, report: ChecksReport, *, is_agreed: bool) -> int:
    """Offer the repairs of a report, and carry out those that a person wants.

    Args:
        path: The hub's socket.
        report: What was found.
        is_agreed: Do not ask; what removes something for good is left out.

    Raises:
        NoAnswer, NotAllowed: See `hub_client.fetch`.
    """
    asking = {Outcome.WARN, Outcome.FAIL}
    offers = dict.fromkeys(offer for each in report.checks if each.outcome in asking for offer in each.repairs)
    code = exit_codes.OK
    for offer in offers:
        known = REPAIRS.get(offer.name)
        if known is None or (is_agreed and known.is_destructive):
            continue
        target = f" {escape(offer.target)}" if offer.target else ""
        click.echo(f"\n{offer.name}{target}: {known.effect}")
        if not is_agreed and not lines.is_agreed("Do it?"):
            continue
        route = f"/v1/repairs/{quote(offer.name)}" + (f"?target={quote(offer.target)}" if offer.target else "")
        try:
            answer = hub_client.fetch(path, route, method="POST", timeout_s=REPAIR_TIMEOUT_S)
        except RequestRefused as error:
            click.echo(f"not done: {escape_lines(str(error))}")
            code = exit_codes.FAILED
        else:
            click.echo(f"done: {hub_client.decode(answer, _Done).done}")
    if not offers:
        click.echo("\nThere is nothing here that the hub can repair itself.")
    return code


class _Done(msgspec.Struct):
    done: str


class _Verdict(msgspec.Struct):
    sentences: list[str]


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


def verdict_sentences(outcome: Outcome, config_file: Path | None, socket_path: Path | None) -> list[str]:
    """Return the hub's verdict on itself; nothing where it does not answer.

    The checks see more than the hub does from within, such as files that others changed: where they found something,
    the verdict does not say that all is well.
    """
    from agent.local.verdict import ALL_WELL  # noqa: PLC0415 - as above

    try:
        path = socket_path or socket_of(config_file)
        sentences = hub_client.decode(hub_client.fetch(path, "/v1/verdict"), _Verdict).sentences
    except (NoAnswer, NotAllowed, RequestRefused, ConfigInvalid):
        return []
    return [each for each in sentences if outcome is Outcome.PASS or each != ALL_WELL]


def examine_here(config_file: Path, agent: "Agent | Missing", *, with_network: bool) -> ChecksReport:
    """Return what can be known without the agent, or beside it.

    Args:
        config_file: The configuration.
        agent: Whether the agent answers; `Missing` where that cannot be known.
        with_network: Also try the way to the cloud; the agent has done it otherwise.
    """
    import asyncio  # noqa: PLC0415 - as above

    from agent.foundation.shutdown import DaemonThreadExecutor  # noqa: PLC0415 - as above
    from agent.port.checks.local_run import run_here  # noqa: PLC0415 - as above

    async def work() -> ChecksReport:
        # A read that hangs must not keep the command from its end.
        asyncio.get_running_loop().set_default_executor(DaemonThreadExecutor())
        return await run_here(config_file, os.environ, agent, with_network=with_network)

    return asyncio.run(work())


def show(report: ChecksReport, *, shows_all: bool, is_terminal: bool) -> None:
    """Print a report: in columns that wrap on a terminal, as plain lines elsewhere."""
    if not is_terminal:
        click.echo("\n".join(as_lines(report, shows_all=shows_all)))
        return
    from rich.console import Console  # noqa: PLC0415 - a pipe does without

    from agent.cli.doctor_table import render  # noqa: PLC0415 - as above

    Console(highlight=False).print(render(report, _ranks(shows_all=shows_all), _summary(report, shows_all=shows_all)))


def _ranks(*, shows_all: bool) -> list[Outcome]:
    return [Outcome.FAIL, Outcome.WARN, *([Outcome.UNKNOWN, Outcome.PASS] if shows_all else [])]


def _summary(report: ChecksReport, *, shows_all: bool) -> str:
    counts = report.counts
    hidden = "" if shows_all else "; --all shows them"
    return (
        f"{plural(counts['fail'], 'failure')}, {plural(counts['warn'], 'warning')};"
        f" {counts['pass']} passed, {counts['unknown']} unknown{hidden}"
    )


def as_lines(report: ChecksReport, *, shows_all: bool) -> Iterator[str]:
    """Yield the report as lines: problems first, each with its remedy, and then the rest or how much of it there is."""
    for outcome in _ranks(shows_all=shows_all):
        found = [each for each in report.checks if each.outcome is outcome]
        for each in found:
            yield from _lines(each)
        if found:
            yield ""
    yield _summary(report, shows_all=shows_all)


def _lines(result: CheckResult) -> Iterator[str]:
    yield f"{result.outcome.value.upper():7} {result.name}: {escape_lines(result.fact)}"
    if result.outcome in {Outcome.FAIL, Outcome.WARN} and result.remedy:
        yield f"        -> {escape_lines(result.remedy)}"
