"""`climahub version` and `climahub completion`: about the program itself. Needs no configuration and no hub."""

import platform
import sqlite3

import click
import msgspec
from click.shell_completion import get_completion_class

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


@click.command(
    epilog=epilog(
        "climahub completion bash > ~/.local/share/bash-completion/completions/climahub",
        'climahub completion zsh  > "${fpath[1]}/_climahub"',
        "climahub completion fish > ~/.config/fish/completions/climahub.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has these three
    root = context.find_root()
    click.echo(kind(root.command, {}, "climahub", "_CLIMAHUB_COMPLETE").source())
