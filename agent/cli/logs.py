"""`climahub logs`: the last log records of the hub on this machine, once or as they come."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.cli.journal import read_journal
from agent.foundation.clock import SystemClock
from agent.foundation.log_ring import LEVELS
from agent.local.log import LogEntry, LogReport
from agent.local.queries import LIMIT_MAX

LINES = 50
FOLLOW_INTERVAL_S = 1.0


@click.command(
    epilog=epilog(
        "climahub logs --level warning",
        "climahub logs --follow --text zigbee",
        "climahub logs --lines 1000 --json | jq .text",
        "journalctl -u climahub        (older records)",
        exits="0 shown, 3 no hub answers and its journal cannot be read, 77 this user may not ask",
    )
)
@click.option("--follow", is_flag=True, help="Go on with new records until Ctrl-C.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Only this level and above.")
@click.option("--text", default="", help="Only records with this text, in any case.")
@click.option("--lines", type=click.IntRange(1, LIMIT_MAX), default=LINES, show_default=True, help="How many at most.")
@click.option("--json", "is_json", is_flag=True, help="Print each record as a line of JSON.")
@config_option
@socket_option
def logs(
    follow: bool,
    level: str,
    text: str,
    lines: int,
    is_json: bool,
    config_file: Path | None,
    socket_path: Path | None,
) -> int:
    """Show the last log records of the hub on this machine, the newest at the end.

    Where the hub does not answer, they are those of the journal.
    """

    def ask(path: Path) -> None:
        def get(after: int, limit: int) -> LogReport:
            query = urlencode({"level": level, "text": text, "after": after, "limit": limit})
            return hub_client.decode(hub_client.fetch(path, f"/v1/log?{query}"), LogReport)

        report = get(0, lines)
        _show(report, is_json=is_json)
        if follow:
            _follow(report, get, is_json=is_json)

    def read() -> bool:
        try:
            found = read_journal(
                level=level, text=text, lines=lines, now_ms=SystemClock(trust_wall_clock=True).utc_ms() or 0
            )
        except OSError:
            click.echo("! this machine keeps no journal: look where the output of the agent goes", err=True)
            return False
        if not found:
            click.echo("! the journal has nothing of climahub that this user may read: use sudo", err=True)
            return False
        _show(LogReport(list(found), 0, 0), is_json=is_json)
        if follow:
            click.echo("! no hub to follow: journalctl -fu climahub", err=True)
        return True

    return run_on_hub(ask, config_file, socket_path, without_hub=read)


def _follow(report: LogReport, get: Callable[[int, int], LogReport], *, is_json: bool) -> None:
    """Show what is added until the user stops it, over restarts of the agent."""
    newest_id = report.newest_id
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(FOLLOW_INTERVAL_S)
            try:
                added = get(newest_id, LIMIT_MAX)
            except hub_client.NoAnswer:
                # It restarts, perhaps.
                continue
            if added.newest_id < newest_id:
                added = get(0, LIMIT_MAX)
            newest_id = added.newest_id
            _show(added, is_json=is_json)


def _show(report: LogReport, *, is_json: bool) -> None:
    for entry in reversed(report.entries):
        click.echo(hub_client.as_json(msgspec.json.encode(entry)) if is_json else as_text(entry))


def as_text(entry: LogEntry) -> str:
    """Return one record as a line, with its traceback below."""
    when = entry.utc or f"{entry.age_s} s ago"
    return "\n  ".join([f"{when}  {entry.level:8} {entry.component}: {entry.text}", *entry.traceback])
