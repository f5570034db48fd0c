"""What every command that asks the hub on this machine does alike: finds its socket, says why it does not answer."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from agent.cli import exit_codes, hub_client
from agent.config import resolve
from agent.daemon import DEFAULT_CONFIG
from agent.foundation.foreign_text import printable

DEFAULT_SOCKET = Path("/run/climahub/status.sock")

ADVICE = """\
what to do next:
  is it started?        systemctl status climahub
  why did it stop?      journalctl -u climahub -n 50
  is it configured?     climahub config check /etc/climahub/config.toml
  is it elsewhere?      climahub status --config FILE, or --socket PATH"""

_FILE = click.Path(dir_okay=False, path_type=Path)

config_option = click.option(
    "--config", "config_file", type=_FILE, help=f"Find the socket in this configuration [{DEFAULT_CONFIG}]."
)
socket_option = click.option("--socket", "socket_path", type=_FILE, help="Ask on this socket.")


def asked(ask: Callable[[Path], int | None], config_file: Path | None, socket_path: Path | None) -> int:
    """Ask the hub and return the exit code.

    Args:
        ask: Asks on a socket, prints the answer, and returns an exit code where it is not always the same.
        config_file: The configuration that names the socket, where the user gave one.
        socket_path: The socket itself, where the user gave one.
    """
    try:
        return ask(socket_path or socket_of(config_file)) or exit_codes.OK
    except hub_client.NoAnswer as error:
        click.echo(printable(f"{error}\n{ADVICE}"), err=True)
        return exit_codes.NO_DAEMON
    except hub_client.NotAllowed as error:
        click.echo(printable(str(error)), err=True)
        return exit_codes.NO_PERMISSION


def socket_of(config_file: Path | None) -> Path:
    """Return the socket that a configuration names; without one, where the service has it."""
    if config_file is None and not os.access(DEFAULT_CONFIG, os.R_OK):
        return DEFAULT_SOCKET
    return resolve(config_file or DEFAULT_CONFIG, environ=os.environ).config.local.socket
