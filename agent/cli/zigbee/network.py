"""`climahub zigbee backup` and `restore`: the network's settings in a file, which is a secret."""

import os
from pathlib import Path

import click

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import ZigbeeClient, with_zigbee_client
from agent.local.routes import BACKUP_BYTES_MAX

SECRET_MODE = 0o600

_EXITS = "0 done, 1 the hub refuses, 3 the hub does not answer, 73 the file cannot be used, 77 this user may not ask"

_file = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog=epilog("climahub zigbee backup network.json", exits=_EXITS))
@click.argument("file", type=_file)
@click.option("--overwrite", is_flag=True, help="Replace an existing FILE.")
@with_zigbee_client
def backup(hub: ZigbeeClient, file: Path, overwrite: bool) -> int:
    """Write the network's settings to FILE, in the format of the Open Coordinator Backup.

    Keep FILE secret: it holds the network's key, with which anybody can listen in. Only you can read it.
    """
    if file.exists() and not overwrite:
        click.echo(f"name another file, or add --overwrite: {file} exists", err=True)
        return exit_codes.CANNOT_CREATE
    data = hub.get("/v1/zigbee/backup")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_MODE), "wb") as opened:
        os.fchmod(opened.fileno(), SECRET_MODE)
        opened.write(data)
    click.echo(f"keep it secret: {file}, {len(data)} bytes")
    return exit_codes.OK


@click.command(epilog=epilog("climahub zigbee restore network.json", exits=_EXITS))
@click.argument("file", type=_file)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_zigbee_client
def restore(hub: ZigbeeClient, file: Path, yes: bool) -> int:
    """Write the network in FILE to the stick. The network that the stick holds is lost."""
    with file.open("rb") as opened:
        data = opened.read(BACKUP_BYTES_MAX + 1)
    if len(data) > BACKUP_BYTES_MAX:
        click.echo(
            f"name another file: {file} is larger than {BACKUP_BYTES_MAX} bytes, so it is not a backup", err=True
        )
        return exit_codes.FAILED
    if not yes:
        click.confirm("Restore, and lose the network on the stick?", abort=True)
    hub.post("restore", data)
    click.echo("restored; the sensors of that network report again on their own")
    return exit_codes.OK
