"""`climahub boots`: why the machine booted, how each boot ended, and what happened in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.config import resolve
from agent.default_paths import DEFAULT_CONFIG
from agent.errors import ConfigInvalid, Corrupt, ReadFailed
from agent.foundation.boot_trail import read_trail
from agent.foundation.disk import Disk
from agent.foundation.format import duration, plural
from agent.foundation.text import escape_lines
from agent.local.boots import BootReport, BootsReport, build_boots

_REASONS = {"power_on": "power came on", "watchdog": "hardware watchdog", "restart": "restart"}
_ENDS = {
    "running": "running now",
    "restarted": "restarted in order",
    "power_lost": "lost its power, or hung",
    "machine_watchdog": "the hardware watchdog restarted it",
    "unknown": "end unknown: the agent had ended before",
}
_AGENT_ENDS = {
    "crashed": "crashed",
    "watchdog": "hung (watchdog)",
    "out_of_memory": "ran out of memory",
    "killed": "was killed",
}
_POWER = {
    "under_voltage": "under-voltage: use the maker's power supply and a short cable",
    "frequency_capped": "frequency capped",
    "throttled": "throttled",
    "soft_temperature_limit": "too hot: give it air",
}


@click.command(
    epilog=epilog(
        "climahub boots",
        "climahub boots --json | jq '.boots[0].power_problems'",
        exits="0 shown, 3 no hub answers and its trail cannot be read, 77 this user may not ask",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@config_option
@socket_option
def boots(as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """List the boots of this machine, the newest first: how each ended, crashes, under-voltage and updates in it.

    Where the hub does not answer, its trail is read from the disk.
    """

    def show(body: bytes) -> None:
        click.echo(hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, BootsReport)))

    def read() -> bool:
        try:
            state_dir = resolve(config_file or DEFAULT_CONFIG, environ=os.environ).config.storage.state_dir
            records = read_trail(state_dir, Disk())
        except (ConfigInvalid, ReadFailed, Corrupt) as error:
            click.echo(escape_lines(f"! the trail of boots cannot be read: {error}"), err=True)
            return False
        if records:
            show(msgspec.json.encode(build_boots(records)))
        return bool(records)

    return run_on_hub(
        lambda path: show(hub_client.fetch(path, "/v1/boots")), config_file, socket_path, without_hub=read
    )


def as_text(report: BootsReport) -> str:
    """Return the trail as two lines for each boot, and one for each problem."""
    if not report.boots:
        return "this hub keeps no trail of boots"
    return "\n".join(line for boot in report.boots for line in _lines(boot))


def _lines(boot: BootReport) -> Iterator[str]:
    reason, end = _REASONS.get(boot.reason, "booted"), _ENDS.get(boot.end, boot.end)
    yield f"{boot.began or 'time unknown':24}  {reason}; {end}, seen for {duration(boot.seen_s)}"
    yield f"{'':24}  {' -> '.join(boot.versions)}, {plural(boot.agent_starts, 'start')} of the agent"
    for end, count in boot.agent_ends.items():
        if end in _AGENT_ENDS:
            yield f"{'':22}! the agent {_AGENT_ENDS[end]}, {plural(count, 'time')}"
    for problem in boot.power_problems:
        yield f"{'':22}! {_POWER.get(problem, problem)}"
