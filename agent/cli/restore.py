"""`climahub restore`: makes this machine the hub in a file that `climahub backup` has written."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from agent.cli import exit_codes
from agent.cli.backup import EXISTING, config_option, machine_clock, passphrase_option, read_passphrase
from agent.cli.exit_codes import epilog
from agent.config import Config, resolve
from agent.config.loading import resolve_text
from agent.config.tables import BY_PATH
from agent.errors import ConfigInvalid
from agent.foundation import lock, rfc3339
from agent.foundation.disk import Disk

if TYPE_CHECKING:
    from agent.backup.archive import Backup

DAY_MS = 86_400_000
AGE_DAYS_MAX = 3650


@click.command(
    epilog=epilog(
        "sudo systemctl stop climahub",
        "sudo climahub restore /media/usb/hub.backup",
        "sudo systemctl start climahub",
        exits="0 restored, 1 refused, 73 the disk refuses, 75 the hub runs, 77 this user may not write there",
    )
)
@click.argument("file", type=EXISTING, required=False)
@click.option("--key", "private_key", type=EXISTING, help="The X25519 private key in PEM, for --encrypt-to.")
@passphrase_option
@click.option("--force", is_flag=True, help="Replace the hub that this machine is now.")
@click.option("--resume", is_flag=True, help="Finish a restoration that was interrupted.")
@click.option(
    "--age-days",
    type=click.IntRange(0, AGE_DAYS_MAX),
    help="How old the backup is at most, where this machine does not know the time.",
)
@config_option
def restore(
    file: Path | None,
    private_key: Path | None,
    passphrase_file: Path | None,
    force: bool,
    resume: bool,
    age_days: int | None,
    config_file: Path,
) -> int:
    """Make this machine the hub in FILE: every sensor reports again, and none is paired again.

    The hub that was backed up must not run any more. See docs/backup.md.
    """
    if resume == (file is not None):
        raise click.UsageError("give FILE, or --resume")
    if file is None:
        return _resume(config_file)
    found = _decrypt(file, private_key, passphrase_file)
    return _restore(found, config_file, is_forced=force, age_days=age_days)


def _decrypt(file: Path, private_key: Path | None, passphrase_file: Path | None) -> "Backup":
    from agent.backup import archive, encryption  # noqa: PLC0415 - as above
    from agent.backup.errors import BackupRefused  # noqa: PLC0415

    content = Disk().read(file, bytes_max=encryption.FILE_BYTES_MAX)
    if content is None:
        raise BackupRefused(f"name another file: {file} is gone")
    if encryption.needs_private_key(content) or private_key is not None:
        pem = private_key.read_bytes() if private_key is not None else b""
        return archive.unpack(encryption.decrypt_with_key(content, pem))
    return archive.unpack(encryption.decrypt_with_passphrase(content, read_passphrase(passphrase_file)))


def _restore(found: "Backup", config_file: Path, *, is_forced: bool, age_days: int | None) -> int:
    from agent.backup import contents, frame_counters, restoration  # noqa: PLC0415
    from agent.backup.errors import BackupRefused  # noqa: PLC0415

    config = _config_of(found, config_file)
    state_dir, disk = config.storage.state_dir, Disk()
    interrupted = restoration.pending(state_dir, disk)
    if interrupted is None and restoration.is_configured(state_dir, config_file):
        if not is_forced:
            raise BackupRefused("add --force to replace it: this machine is a hub already")
        if config_file.exists() and (present := _state_dir(config_file)) != state_dir:
            raise BackupRefused(f"set storage.state_dir to {state_dir} first: this hub stores its state in {present}")
    if network := found.state.get(contents.NETWORK_FILE):
        days = _age_days(found.made_utc_ms, machine_clock(config).utc_ms()) if age_days is None else age_days
        state = {**found.state, contents.NETWORK_FILE: frame_counters.advance(network, days)}
        found = msgspec.structs.replace(found, state=state)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        with lock.hold(state_dir):
            if interrupted is None or not restoration.is_of(interrupted, found):
                restoration.stage(found, state_dir, config_file, disk)
            _place(state_dir, config_file, disk)
    except lock.AlreadyRunning as error:
        click.echo(str(error), err=True)
        return exit_codes.ALREADY_RUNNING
    _set_up_service(config, config_file, disk)
    made = rfc3339.render_known(found.made_utc_ms) or "an unknown time"
    click.echo(f"restored: this machine is the hub that was backed up at {made} (climahub {found.version})")
    click.echo("now: sudo systemctl start climahub; never run the old hub again with its key, or revoke that key")
    return exit_codes.OK


def _set_up_service(config: Config, config_file: Path, disk: Disk) -> None:
    """Open to the service what the configuration needs, and let systemd encrypt the key, as `climahub setup` does."""
    from agent.cli.setup import machine, service  # noqa: PLC0415 - as above
    from agent.cli.setup.drop_in import drop_in_text, needs_of  # noqa: PLC0415
    from agent.cli.setup.key_store import KeyStore, run  # noqa: PLC0415
    from agent.cli.setup.procedure import Places  # noqa: PLC0415

    keys, places = KeyStore(config_file.parent, disk=disk), Places()
    if not keys.plain.exists():
        return
    # A credential of the hub before would be used in place of the key.
    disk.remove(keys.encrypted)
    if config_file != places.config or not service.is_under_systemd():
        return
    click.echo(f"key: {keys.keep(keys.read())}")
    channels = asyncio.run(machine.find_channels(config.board, config.local_api.socket))
    buses = machine.Machine(channels=channels).buses
    text = drop_in_text(needs_of(config, buses, is_key_encrypted=keys.is_encrypted), service.group_names())
    if text:
        places.drop_in.parent.mkdir(parents=True, exist_ok=True)
        disk.write(places.drop_in, text.encode())
    else:
        disk.remove(places.drop_in)
    run(("systemctl", "daemon-reload"))


def _resume(config_file: Path) -> int:
    state_dir = _state_dir(config_file)
    try:
        with lock.hold(state_dir):
            is_done = _place(state_dir, config_file, Disk())
    except lock.AlreadyRunning as error:
        click.echo(str(error), err=True)
        return exit_codes.ALREADY_RUNNING
    if is_done:
        _set_up_service(resolve(config_file, environ={}).config, config_file, Disk())
    click.echo("the restoration is complete" if is_done else f"nothing to finish in {state_dir}")
    return exit_codes.OK if is_done else exit_codes.FAILED


def _state_dir(config_file: Path) -> Path:
    """Return the state directory of this machine as it is now: a blank one has the default."""
    try:
        return resolve(config_file, environ={}).config.storage.state_dir
    except ConfigInvalid:
        return Path(str(BY_PATH["storage.state_dir"].default))


def _place(state_dir: Path, config_file: Path, disk: Disk) -> bool:
    """Carry out what is staged; return whether anything was."""
    from agent.backup import restoration  # noqa: PLC0415 - as above

    plan = restoration.pending(state_dir, disk)
    if plan is None:
        return False
    restoration.place_config(plan, state_dir, config_file, disk)
    restoration.place_state(plan, state_dir, disk)
    return True


def _config_of(found: "Backup", config_file: Path) -> Config:
    """Return the configuration in a backup, as it will be read here.

    Raises:
        ConfigInvalid: This release cannot use it.
    """
    from agent.backup.errors import BackupRefused  # noqa: PLC0415 - as above

    try:
        text = found.config.content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise BackupRefused("make another backup: the configuration in this one is no text") from None
    return resolve_text(text, file=str(config_file), directory=config_file.parent.absolute(), environ={}).config


def _age_days(made_utc_ms: int | None, utc_ms: int | None) -> int:
    """Return the age of a backup in days, rounded up. The frame counters of the Zigbee network depend on it.

    Raises:
        BackupRefused: It is not known.
    """
    from agent.backup.errors import BackupRefused  # noqa: PLC0415 - as above

    if made_utc_ms is None or utc_ms is None or utc_ms < made_utc_ms:
        raise BackupRefused(
            "connect this machine to the network, so that it learns the time, or add --age-days with the most days that"
            " have passed since the backup: sensors refuse a network whose frame counter is too low"
        )
    return -((made_utc_ms - utc_ms) // DAY_MS)
