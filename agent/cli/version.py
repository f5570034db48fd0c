"""`climahub version`."""

import platform
import sqlite3

import click
import msgspec

from agent import __version__
from agent.cli.exit_codes import epilog


class Versions(msgspec.Struct, frozen=True):
    """The versions that a bug report needs."""

    climahub: str
    python: str
    sqlite: str
    machine: str


@click.command(epilog=epilog("climahub version", "climahub version --json"))
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with the versions of Python and SQLite and the machine."
)
def version(as_json: bool) -> None:
    """Print the version."""
    if not as_json:
        click.echo(f"climahub {__version__}")
        return
    found = Versions(__version__, platform.python_version(), sqlite3.sqlite_version, platform.machine())
    click.echo(msgspec.json.encode(found))
