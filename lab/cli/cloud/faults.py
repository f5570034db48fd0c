"""Operator's commands that make trouble on purpose: faults, and a cloud that does not listen."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO

import click
import msgspec

from agent.cli.exit_codes import epilog
from agent.cli.format import plural
from agent.errors import Rejected
from lab.cli.cloud.connection import admin_options, ask, show
from lab.cli.ranges import FiniteRange
from lab.refcloud import faults as fault
from lab.refcloud.admin_client import AdminClient
from lab.refcloud.contract import Endpoint

READY_MADE: Mapping[str, fault.Fault] = MappingProxyType(
    {
        "refused": fault.ConnectionRefused(),
        "slow": fault.LatencyDown(1.0, 5.0),
        "cut-before": fault.CutBefore(),
        "cut-after": fault.CutAfter(),
        "busy": fault.ErrorStatus(503, retry_after_s=30),
        "error": fault.ErrorStatus(500),
        "proxy-error": fault.ErrorStatus(502, is_json=False),
        "throttled": fault.ErrorStatus(429, retry_after_s=60),
        "key-refused": fault.ErrorStatus(401),
        "broken-json": fault.BrokenJson(),
        "wrong-type": fault.WrongContentType(),
        "unknown-fields": fault.ExtraFields(),
        "accepts-less": fault.AcceptedLower(),
    }
)
"""Faults by a word; every other one can be had through a file (`climahub cloud faults set`)."""

RULES_BYTES_MAX = 256 * 1024


@click.group(
    epilog=epilog(
        "climahub cloud faults on busy --probability 0.5 --endpoint telemetry",
        "climahub cloud faults set rules.json",
        "climahub cloud faults off",
    )
)
def faults() -> None:
    """Make the cloud fail on purpose, and stop it failing."""


@faults.command("show")
@admin_options
def show_rules(url: str, token_file: Path | None, as_json: bool) -> None:
    """Show the rules in force."""
    rules = ask(url, token_file, lambda admin: admin.fault_rules())
    show(rules, "\n".join(map(_line, rules)) or "no faults", as_json=as_json)


def _line(rule: fault.FaultRule) -> str:
    left = "" if rule.next_n is None else f", the next {plural(rule.next_n, 'time')}"
    where = rule.endpoint.value if rule.endpoint else "everywhere"
    return f"{rule.fault}  {where}, in {rule.probability:.0%} of requests{left}"


@faults.command("on")
@click.argument("what", type=click.Choice(list(READY_MADE)))
@click.option("--endpoint", type=click.Choice([endpoint.value for endpoint in Endpoint]), help="Only there.")
@click.option("--probability", type=FiniteRange(0, 1), default=1.0, show_default=True, help="Of each request.")
@click.option("--times", type=click.IntRange(min=1), help="So often, then no more.")
@admin_options
def on(
    what: str,
    endpoint: str | None,
    probability: float,
    times: int | None,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Add one fault to those in force."""
    place = None if endpoint is None else Endpoint(endpoint)
    rule = fault.FaultRule(READY_MADE[what], endpoint=place, probability=probability, next_n=times)

    async def work(admin: AdminClient) -> list[fault.FaultRule]:
        rules = [*await admin.fault_rules(), rule]
        await admin.set_faults(rules)
        return rules

    show(ask(url, token_file, work), _line(rule), as_json=as_json)


@faults.command("set")
@click.argument("file", type=click.File("rb"))
@click.option("--seed", type=int, help="Of a random source of its own, so that the same requests meet the same faults.")
@admin_options
def set_rules(file: IO[bytes], seed: int | None, url: str, token_file: Path | None, as_json: bool) -> None:
    """Put the rules of FILE (a JSON list; - is standard input) in place of those in force."""
    try:
        rules = msgspec.json.decode(file.read(RULES_BYTES_MAX), type=list[fault.FaultRule])
    except msgspec.DecodeError as error:
        raise Rejected(f"{file.name} holds no list of rules: {error}") from error
    ask(url, token_file, lambda admin: admin.set_faults(rules, seed=seed))
    show(rules, "\n".join(map(_line, rules)) or "no faults", as_json=as_json)


@faults.command("off")
@admin_options
def off(url: str, token_file: Path | None, as_json: bool) -> None:
    """Take all faults away."""
    ask(url, token_file, lambda admin: admin.set_faults([]))
    show([], "no faults", as_json=as_json)


@click.command(epilog=epilog("climahub cloud listening off; sleep 60; climahub cloud listening on"))
@click.argument("switch", type=click.Choice(["on", "off"]))
@admin_options
def listening(switch: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Serve device requests, or break off each at once; the admin API stays."""
    ask(url, token_file, lambda admin: admin.set_listening(is_listening=switch == "on"))
    show({"listening": switch == "on"}, f"listening {switch}", as_json=as_json)
