"""`climahub zigbee backup` and `restore`: the network's settings in a file, which is a secret."""

import os
from pathlib import Path

import click

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.zigbee import ZigbeeClient, with_zigbee_client
from agent.local.routes import BACKUP_BYTES_MAX

SECRET_MODE = 0o600

_EXITS = "0 done, 1 not (it says why), 3 the hub does not answer, 73 the file cannot be used, 77 this user may not ask"

_file = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog=epilog("climahub zigbee backup network.json", exits=_EXITS))
@click.argument("file", type=_file)
@click.option("--overwrite", is_flag=True, help="Replace FILE where it is there already.")
@with_zigbee_client
def backup(hub: ZigbeeClient, file: Path, overwrite: bool) -> int:
    """Write the network's settings to FILE, in the form of the Open Coordinator Backup.

    FILE holds the network's key: with it anybody can listen in. It is made readable for you alone; keep it like a key.
    """
    if file.exists() and not overwrite:
        click.echo(f"{file} is there already; name another file, or add --overwrite", err=True)
        return exit_codes.CANNOT_CREATE
    data = hub.get("/v1/zigbee/backup")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_MODE), "wb") as opened:
        os.fchmod(opened.fileno(), SECRET_MODE)
        opened.write(data)
    click.echo(f"{file}: {len(data)} bytes; it is a secret")
    return exit_codes.OK


@click.command(epilog=epilog("climahub zigbee restore network.json", exits=_EXITS))
@click.argument("file", type=_file)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_zigbee_client
def restore(hub: ZigbeeClient, file: Path, yes: bool) -> int:
    """Give the stick the network that is in FILE. Whatever network the stick holds is gone."""
    with file.open("rb") as opened:
        data = opened.read(BACKUP_BYTES_MAX + 1)
    if len(data) > BACKUP_BYTES_MAX:
        click.echo(f"{file} is larger than {BACKUP_BYTES_MAX} bytes, so it is no backup", err=True)
        return exit_codes.FAILED
    if not yes:
        click.confirm("The network on the stick will be gone. Restore?", abort=True)
    hub.post("restore", data)
    click.echo("restored; sensors of that network report again by themselves")
    return exit_codes.OK
