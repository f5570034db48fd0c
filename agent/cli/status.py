"""`climahub status`: the state of the hub on one screen."""

from pathlib import Path

import click

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.cli.status_text import as_text
from agent.local.status import HubStatus


@click.command(
    epilog=epilog(
        "climahub status",
        "watch climahub status",
        "climahub status --json | jq .outbox.pending",
        exits="0 the hub answered, also with problems, 3 it does not answer, 77 this user may not ask",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print the status document as the hub gives it.")
@config_option
@socket_option
def status(as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Show the state of the hub on this machine, problems and their remedies first."""

    def ask(path: Path) -> None:
        body = hub_client.fetch(path)
        click.echo(hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, HubStatus)))

    return run_on_hub(ask, config_file, socket_path)
