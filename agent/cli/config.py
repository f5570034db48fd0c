"""`climahub config`: checks a configuration, shows the values in force, prints an example."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.cli import exit_codes, hub_client
from agent.cli.config_changes import ROUTE, as_text, confirm, roll_back, set_value, unset
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import socket_option
from agent.config import resolve
from agent.config.changes import usable
from agent.config.loading import changes_problems
from agent.config.report import CheckResult, Shown, check, example_text, rows_text, short_text, show, shown_value
from agent.default_paths import DEFAULT_CONFIG
from agent.environment import output_names
from agent.errors import Corrupt, ReadFailed
from agent.foundation.disk import Disk
from agent.foundation.text import escape, escape_lines
from agent.local.config import ConfigReport
from agent.port.config_store import read_changes
from hal import replay
from hal.errors import RecordingInvalid

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(
    no_args_is_help=True,
    epilog=epilog(
        "climahub config example > hub.toml",
        "climahub config check hub.toml",
        "climahub config show",
        "climahub config set log.level debug",
    ),
)
def config() -> None:
    """Check, show or change a configuration, or print one to start from."""


for _command in (set_value, unset, confirm, roll_back):
    config.add_command(_command)


@config.command(
    "check",
    epilog=epilog("climahub config check hub.toml", exits="0 it can be used (warnings are allowed), 78 it cannot"),
)
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print errors and warnings as JSON.")
def check_file(file: Path, as_json: bool) -> int:
    """Report every mistake in FILE and in the files that it names."""
    result = _with_recording(check(file, environ=os.environ, outputs_of=output_names), file)
    if as_json:
        click.echo(escape(msgspec.json.encode(result).decode()))
    else:
        for text in result.errors:
            click.echo(f"error    {escape_lines(text)}")
        for text in result.warnings:
            click.echo(f"warning  {escape_lines(text)}")
        if not result.errors:
            click.echo(f"{file}: valid")
    return exit_codes.CONFIG if result.errors else exit_codes.OK


def _with_recording(result: CheckResult, file: Path) -> CheckResult:
    """Add the mistakes of the recording, and the columns that its map leaves out."""
    board = resolve(file, environ=os.environ).config.board if not result.errors else None
    if board is None or board.name != "replay" or board.replay.recording is None or board.replay.map is None:
        return result
    if not all(os.access(path, os.R_OK) for path in (board.replay.recording, board.replay.map)):
        return result
    try:
        found = replay.load(board.replay.recording, board.replay.map).warnings
    except RecordingInvalid as error:
        return CheckResult(errors=(*result.errors, *str(error).splitlines()), warnings=result.warnings)
    return CheckResult(errors=result.errors, warnings=(*result.warnings, *found))


@config.command(
    "show",
    epilog=epilog("climahub config show", "climahub config show hub.toml", "climahub config show --json"),
)
@click.argument("file", type=_FILE, default=None, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a list of key, value, unit and origin as JSON.")
@socket_option
def show_file(file: Path | None, as_json: bool, socket_path: Path | None) -> None:
    """Show every value in force and its origin. Secrets are never shown.

    Without FILE: of the hub that runs on this machine; where none answers, the configuration file of the service,
    /etc/climahub/config.toml. A change that was made at the hub counts before the file, and both are shown.
    """
    rows, notes = _running_rows(socket_path) if file is None else (None, [])
    if rows is None:
        rows, found = _file_rows(file or DEFAULT_CONFIG)
        notes += found
    if as_json:
        click.echo(escape(msgspec.json.encode(rows).decode()))
        return
    for note in notes:
        click.echo(escape_lines(note))
    click.echo(escape_lines(rows_text(rows)))


def _running_rows(socket_path: Path | None) -> tuple[Sequence[Shown] | None, list[str]]:
    """Return what the running hub shows, and what a person has to know; nothing where none answers."""
    try:
        path = socket_path or hub_client.socket_of(None)
        report = hub_client.decode(hub_client.fetch(path, ROUTE), ConfigReport)
    except (hub_client.NoAnswer, hub_client.NotAllowed, hub_client.RequestRefused) as error:
        if socket_path is not None:
            raise
        return None, [f"from the file alone: {error}"]
    notes = [f"! {report.problem}"] if report.problem else []
    if report.trial is not None:
        notes.append(as_text(report))
    elif report.last_trial:
        notes.append(f"last change: {report.last_trial}")
    return [Shown(each.key, each.text, each.unit, each.origin) for each in report.keys], notes


def _file_rows(file: Path) -> tuple[Sequence[Shown], list[str]]:
    """Return what a hub with this file shows, and for each value that was changed at it what the file has."""
    plain = resolve(file, environ=os.environ)
    try:
        changes = read_changes(plain.config.storage.state_dir, Disk())
    except (ReadFailed, Corrupt) as error:
        return show(plain), [f"! use sudo: what was changed at the hub is missing here ({error})"]
    values, problem = usable(
        changes.in_force,
        problems=changes_problems,
        check=lambda values: resolve(file, environ=os.environ, changes=values),
    )
    notes = [f"! {problem}"] if problem else []
    for path in sorted(values):
        was, origin = shown_value(plain.values[path]), plain.origins[path]
        notes.append(f"{path}: changed at the hub, which counts; {origin} has {was} (`climahub config unset {path}`)")
    if changes.trial is not None:
        state = "undone at the next start" if changes.trial.has_started else "in force from the next start on"
        notes.append(f"on trial: {', '.join(sorted(changes.trial.values))}; {state}, unless somebody decides before")
    return show(resolve(file, environ=os.environ, changes=values)), notes


@config.command("example", epilog=epilog("climahub config example > hub.toml", "climahub config example --all | less"))
@click.option("--all", "is_whole", is_flag=True, help="Every key, with its unit, default and reason.")
def example(is_whole: bool) -> None:
    """Print a configuration to start from: the values to choose, valid for the simulated board."""
    click.echo(example_text() if is_whole else short_text(), nl=False)
