"""`climahub status`: what a technician types first."""

import os
from pathlib import Path

import click

from agent.cli import exits, local_client
from agent.cli.epilog import epilog
from agent.cli.status_text import as_text
from agent.config import resolve
from agent.daemon import DEFAULT_CONFIG

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


@click.command(
    epilog=epilog(
        "climahub status",
        "watch climahub status",
        "climahub status --json | jq .outbox.pending",
        exits="0 the hub answered (whatever it said), 3 it does not answer, 77 this user may not ask",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print the status document as the hub gives it.")
@config_option
@socket_option
def status(as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Ask the hub on this machine how it is doing: what is wrong first."""
    try:
        body = local_client.fetch(socket_path or socket_of(config_file))
        if as_json:
            click.echo(body)
        else:
            click.echo(as_text(local_client.decode(body)))
    except local_client.NoAnswer as error:
        click.echo(f"{error}\n{ADVICE}", err=True)
        return exits.NO_DAEMON
    except local_client.NotAllowed as error:
        click.echo(str(error), err=True)
        return exits.NO_PERMISSION
    return exits.OK


def socket_of(config_file: Path | None) -> Path:
    """Return the socket that a configuration names; without one, where the service has it."""
    if config_file is None and not os.access(DEFAULT_CONFIG, os.R_OK):
        return DEFAULT_SOCKET
    return resolve(config_file or DEFAULT_CONFIG, environ=os.environ).config.local.socket
