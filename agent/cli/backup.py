"""`climahub backup`: a whole hub in one encrypted file. `agent.cli.restore` is the way back."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent import __version__
from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import NoAnswer, NotAllowed, RequestRefused
from agent.config import Config, Resolved, resolve
from agent.default_paths import DEFAULT_CONFIG
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.format import size

if TYPE_CHECKING:
    from agent.backup.archive import Backup

PASSPHRASE_BYTES_MAX = 1024

_FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)

config_option = click.option(
    "--config", "config_file", type=_FILE, default=DEFAULT_CONFIG, show_default=True, help="The configuration."
)
passphrase_option = click.option(
    "--passphrase-file", type=EXISTING, help="Read the passphrase from the first line of a file; asked otherwise."
)


@click.command(
    epilog=epilog(
        "sudo climahub backup /media/usb/hub.backup",
        "sudo climahub backup hub.backup --encrypt-to operator-public.pem",
        exits="0 written, 1 refused, 73 the file cannot be written, 77 this user may not read the hub's files",
    )
)
@click.argument("file", type=_FILE)
@click.option("--encrypt-to", "public_key", type=EXISTING, help="Encrypt it to an X25519 public key in PEM.")
@passphrase_option
@click.option("--overwrite", is_flag=True, help="Replace an existing FILE.")
@config_option
def backup(
    file: Path, public_key: Path | None, passphrase_file: Path | None, overwrite: bool, config_file: Path
) -> int:
    """Write identity, configuration, sensors, Zigbee network, schedules and facts to one encrypted FILE.

    The hub may run meanwhile. Readings that wait for the cloud and the log are not in it. See docs/backup.md.
    """
    from agent.backup import archive, encryption  # noqa: PLC0415 - 18 MiB that other commands do without

    if file.exists() and not overwrite:
        click.echo(f"name another file, or add --overwrite: {file} exists", err=True)
        return exit_codes.CANNOT_CREATE
    if not file.parent.is_dir():
        click.echo(f"name another file: {file.parent} is no directory", err=True)
        return exit_codes.CANNOT_CREATE
    resolved = resolve(config_file, environ={})
    _refresh_network(resolved.config)
    made, elsewhere = _read_hub(config_file, resolved)
    packed = archive.pack(made)
    if public_key is not None:
        content = encryption.encrypt_to_key(packed, public_key.read_bytes(), os.urandom)
    else:
        phrase = read_passphrase(passphrase_file, confirm=True)
        content = encryption.encrypt_with_passphrase(packed, phrase, os.urandom)
    Disk().write(file, content, is_secret=True)
    for path in elsewhere:
        click.echo(
            f"copy it yourself: {path} does not lie beside the configuration, so it is not in the backup", err=True
        )
    click.echo(f"{file} ({size(len(content))}): {', '.join(sorted((*made.state, *made.config_files, 'config.toml')))}")
    return exit_codes.OK


def _refresh_network(config: Config) -> None:
    """Let a running hub read its Zigbee network from the stick; the last daily backup of it has to do otherwise."""
    try:
        hub_client.fetch(config.local_api.socket, "/v1/zigbee/backup", timeout_s=hub_client.RADIO_TIMEOUT_S)
    except (NoAnswer, NotAllowed, RequestRefused):
        return


def _read_hub(config_file: Path, resolved: Resolved) -> "tuple[Backup, list[Path]]":
    from agent.backup import snapshot  # noqa: PLC0415 - as above
    from agent.backup.archive import FORMAT, Backup, ConfigFile  # noqa: PLC0415
    from agent.cli.setup.key_store import KeyStore  # noqa: PLC0415 - as above

    disk = Disk()
    config_files, elsewhere = snapshot.read_config_files(config_file, resolved.values, disk)
    store = KeyStore(config_file.parent, disk=disk)
    if store.is_encrypted:
        # The credential opens on this machine only.
        config_files = {**config_files, store.plain.name: ConfigFile(store.read().encode())}
    made = Backup(
        format=FORMAT,
        version=__version__,
        made_utc_ms=machine_clock(resolved.config).utc_ms(),
        config=snapshot.read_config_file(config_file, disk),
        config_files=config_files,
        state=snapshot.read_state(resolved.config.storage.state_dir, disk),
    )
    return made, elsewhere


def machine_clock(config: Config) -> SystemClock:
    """Return the machine's clock; the file of the hub's own clock is the hub's alone to write."""
    return SystemClock(trust_wall_clock=config.clock.trust == "system")


def read_passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """Return the passphrase in the first line of a file, or what a person types.

    Raises:
        UsageError: No file is named, and there is no terminal to type at.
    """
    if file is None:
        if not sys.stdin.isatty():
            raise click.UsageError("add --passphrase-file FILE: without a terminal, nobody can type the passphrase")
        phrase: str = click.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=confirm)
        return phrase
    with file.open("rb") as opened:
        return opened.readline(PASSPHRASE_BYTES_MAX).decode(errors="replace").rstrip("\r\n")
