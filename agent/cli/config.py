"""`climahub config`: checks a configuration, shows the values in force, prints an example."""

import os
from pathlib import Path

import click
import msgspec

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.config import resolve
from agent.config.report import CheckResult, check, example_text, short_text, show, show_text
from agent.daemon import DEFAULT_CONFIG
from agent.environment import output_names
from agent.foundation.text import escape, escape_lines
from hal import replay
from hal.errors import RecordingInvalid

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(
    no_args_is_help=True,
    epilog=epilog(
        "climahub config example > hub.toml", "climahub config check hub.toml", "climahub config show hub.toml"
    ),
)
def config() -> None:
    """Check or show a configuration, or print one to start from."""


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


@config.command("show")
@click.argument("file", type=_FILE, default=DEFAULT_CONFIG)
@click.option("--json", "as_json", is_flag=True, help="Print a list of key, value, unit and origin as JSON.")
def show_file(file: Path, as_json: bool) -> None:
    """Show every value in force and its origin. Secrets are never shown.

    Without FILE: the configuration of the service, /etc/climahub/config.toml.
    """
    resolved = resolve(file, environ=os.environ)
    click.echo(escape(msgspec.json.encode(show(resolved)).decode()) if as_json else escape_lines(show_text(resolved)))


@config.command("example", epilog=epilog("climahub config example > hub.toml", "climahub config example --all | less"))
@click.option("--all", "is_whole", is_flag=True, help="Every key, with its unit, default and reason.")
def example(is_whole: bool) -> None:
    """Print a configuration to start from: the values to choose, valid for the simulated board."""
    click.echo(example_text() if is_whole else short_text(), nl=False)
