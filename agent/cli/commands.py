"""`climahub commands`: the cloud's commands to this hub and their results."""

from pathlib import Path
from urllib.parse import quote

import click

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.local.commands import CommandReport, CommandsReport


@click.command(
    epilog=epilog(
        "climahub commands",
        "climahub commands --json | jq '.commands[0]'",
        "climahub commands --confirm 7a1c9e52-0000-4000-8000-4f1d2c3b4a59",
        exits="0 the hub answered, 1 it has no such command to confirm, 3 it does not answer, 77 this user may not ask",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@click.option("--confirm", metavar="ID", help="Confirm the factory reset with this id, as a person at the hub.")
@config_option
@socket_option
def commands(as_json: bool, confirm: str | None, config_file: Path | None, socket_path: Path | None) -> int:
    """List the cloud's commands to the hub on this machine, the newest first."""

    def ask(path: Path) -> None:
        if confirm is not None:
            hub_client.fetch(path, f"/v1/confirm/{quote(confirm, safe='')}", method="POST")
            click.echo(f"confirmed {confirm}")
            return
        body = hub_client.fetch(path, "/v1/commands")
        click.echo(hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, CommandsReport)))

    return run_on_hub(ask, config_file, socket_path)


def as_text(report: CommandsReport) -> str:
    """Return the list as lines of columns, after the problem that keeps new commands from arriving."""
    lines = [f"! {report.problem}", ""] if report.problem else []
    if not report.commands:
        return "\n".join([*lines, "no command in the last days"])
    rows = [("RECEIVED", "TYPE", "STATE", "ID", "REASON"), *map(_row, report.commands)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        lines
        + [
            "  ".join((*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[4])).rstrip()
            for row in rows
        ]
    )


def _row(command: CommandReport) -> tuple[str, str, str, str, str]:
    state = f"{command.state} ({command.outcome})" if command.state == "acked" and command.outcome else command.state
    return (command.received or "time unknown", command.type or "?", state, command.command_id, command.error_message)
