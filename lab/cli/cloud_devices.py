"""Commands of the cloud's operator about devices and firmware: keys, settings, commands, releases, offers."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from agent.cli.exit_codes import epilog
from agent.cli.numbers import FiniteRange
from agent.errors import Rejected
from agent.foundation.format import size
from lab.cli.options import admin_options, ask, device_id_of, show, table
from lab.refcloud.admin import NewCommand, NewDevice, ProvisionedDevice
from lab.refcloud.admin_client import AdminClient
from lab.refcloud.contract import SensorType
from lab.refcloud.models import DeviceSettings, SettingsUpdate
from lab.refcloud.records import CloudCommand, CloudDevice, CloudFirmware, DeviceHealth, DeviceKind, OtaHistory

KEY_MODE = 0o600
_OWN_AGENT = "climahub/"
LIFETIME_S_MAX = 365 * 86_400
"""The limit of the reference cloud (`NewCommand.lifetime_ms`)."""

_key_file = click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the key here, for you alone to read, instead of printing it.",
)


@click.command(
    epilog=epilog(
        "climahub cloud provision hub-1 --key-file hub.key", "climahub cloud provision kitchen --kind sensor --json"
    )
)
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in DeviceKind]),
    default="hub",
    show_default=True,
    help="What the device is: a hub, or a Zigbee sensor that a hub relays.",
)
@click.option("--batch", default="stable", show_default=True, help="The rollout batch that firmware is offered to.")
@_key_file
@admin_options
def provision(
    name: str, kind: str, batch: str, key_file: Path | None, url: str, token_file: Path | None, as_json: bool
) -> None:
    """Create the device NAME and print its key, which is shown only once."""
    new = NewDevice(name=name, kind=DeviceKind(kind), batch=batch)
    _give_out(ask(url, token_file, lambda admin: admin.provision(new)), key_file, as_json=as_json)


@click.command("new-key", epilog=epilog("climahub cloud new-key hub-1 --key-file hub.key"))
@click.argument("device")
@_key_file
@admin_options
def new_key(device: str, key_file: Path | None, url: str, token_file: Path | None, as_json: bool) -> None:
    """Revoke the key of DEVICE (a name or an id) and print a new one."""

    async def work(admin: AdminClient) -> ProvisionedDevice:
        return await admin.replace_key(await device_id_of(admin, device))

    _give_out(ask(url, token_file, work), key_file, as_json=as_json)


def _give_out(made: ProvisionedDevice, key_file: Path | None, *, as_json: bool) -> None:
    if key_file is None:
        show(made, f"device {made.device.device_id}\nkey    {made.api_key}", as_json=as_json)
        return
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, KEY_MODE), "w") as file:
        os.fchmod(file.fileno(), KEY_MODE)
        file.write(f"{made.api_key}\n")
    show(made.device, f"device {made.device.device_id}\nkey    in {key_file}", as_json=as_json)


@click.command("devices")
@admin_options
def list_devices(url: str, token_file: Path | None, as_json: bool) -> None:
    """List the devices: when each was last seen, which release it runs, and what is wrong with it.

    "Last seen" covers the time since the cloud was started.
    """

    async def work(admin: AdminClient) -> tuple[Sequence[CloudDevice], Mapping[str, DeviceHealth]]:
        return await admin.devices(), await admin.health()

    devices, health = ask(url, token_file, work)
    documents = [msgspec.to_builtins(device) | _told(health.get(device.device_id)) for device in devices]
    rows = [
        (
            device.name,
            device.kind.value,
            document["last_seen"] or "-",
            document["version"] or "-",
            device.batch,
            device.hub_id or "-",
            device.device_id,
            "; ".join(document["problems"]) or "-",
        )
        for device, document in zip(devices, documents, strict=True)
    ]
    heading = ("NAME", "KIND", "LAST SEEN", "VERSION", "BATCH", "HUB", "ID", "PROBLEMS")
    show(documents, table(heading, rows), as_json=as_json)


def _told(health: DeviceHealth | None) -> dict[str, Any]:
    """Return a device's health in words."""
    sighting = health.sighting if health else None
    problems = list(health.problems) if health else []
    if sighting is None:
        return {"last_seen": None, "version": None, "problems": problems}
    if sighting.answered >= HTTPStatus.BAD_REQUEST:
        problems.insert(0, f"{sighting.request} was answered {sighting.answered}")
    seen = datetime.fromtimestamp(sighting.at_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
    return {"last_seen": seen, "version": sighting.user_agent.removeprefix(_OWN_AGENT), "problems": problems}


@click.command(
    epilog=epilog(
        "climahub cloud settings hub-1",
        "climahub cloud settings hub-1 --interval-s 300 --sensors temperature,humidity",
        "climahub cloud settings hub-1 --timezone Europe/Berlin",
    )
)
@click.argument("device")
@click.option("--interval-s", type=int, help="Seconds between two reports: 60 to 3600.")
@click.option("--sensors", metavar="KIND,KIND", help="The kinds that are reported, with commas between.")
@click.option("--timezone", help="IANA name.")
@admin_options
def settings(
    device: str,
    interval_s: int | None,
    sensors: str | None,
    timezone: str | None,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Show the settings of DEVICE, after changing those that are given."""
    changes: dict[str, Any] = {}
    if interval_s is not None:
        changes["reporting_interval_seconds"] = interval_s
    if sensors is not None:
        changes["enabled_sensors"] = sensors.split(",")
    if timezone is not None:
        changes["timezone"] = timezone
    update = _update(changes)

    async def work(admin: AdminClient) -> DeviceSettings:
        device_id = await device_id_of(admin, device)
        return await (admin.change_settings(device_id, update) if changes else admin.settings(device_id))

    found = ask(url, token_file, work)
    lines = "\n".join(f"{name:28}{_plain(value)}" for name, value in msgspec.to_builtins(found).items())
    show(found, lines, as_json=as_json)


def _plain(value: Any) -> str:  # noqa: ANN401 (any JSON)
    """Return a setting's value as people write it."""
    match value:
        case list() | tuple():
            return ", ".join(map(str, value)) or "none"
        case dict():
            return ", ".join(f"{name} {item}" for name, item in value.items())
        case None | "":
            return "-"
        case _:
            return str(value)


def _update(changes: dict[str, Any]) -> SettingsUpdate:
    try:
        return msgspec.convert(changes, SettingsUpdate)
    except msgspec.ValidationError as error:
        raise Rejected(f"{error}; kinds are {', '.join(get_args(SensorType))}") from error


@click.command(
    "command",
    epilog=epilog(
        "climahub cloud command hub-1 reboot",
        """climahub cloud command hub-1 set_setpoint --payload '{"heat_setpoint_c": 21}'""",
    ),
)
@click.argument("device")
@click.argument("type_", metavar="TYPE")
@click.option("--payload", metavar="JSON", help="An object.")
@click.option("--lifetime-s", type=FiniteRange(0, LIFETIME_S_MAX), help="Seconds until it expires [default: a day].")
@admin_options
def queue_command(
    device: str,
    type_: str,
    payload: str | None,
    lifetime_s: float | None,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Queue a command for DEVICE. Type and payload are not checked, so that invalid ones can be tested."""
    new: dict[str, Any] = {"type": type_}
    if lifetime_s is not None:
        new["lifetime_ms"] = int(lifetime_s * 1000)
    try:
        if payload is not None:
            new["payload"] = msgspec.json.decode(payload)
        command = msgspec.convert(new, NewCommand)
    except msgspec.DecodeError as error:
        raise Rejected(f"the command cannot be queued: {error}") from error

    async def work(admin: AdminClient) -> CloudCommand:
        return await admin.queue_command(await device_id_of(admin, device), command)

    queued = ask(url, token_file, work)
    show(queued, f"queued {queued.command_id}", as_json=as_json)


@click.command("commands")
@click.argument("device")
@admin_options
def list_commands(device: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """List the commands of DEVICE: the closed ones, then the pending ones."""

    async def work(admin: AdminClient) -> list[CloudCommand]:
        return list(await admin.commands(await device_id_of(admin, device)))

    commands = ask(url, token_file, work)
    rows = [(each.command_id, each.type, each.state.value, each.error_message) for each in commands]
    show(commands, table(("ID", "TYPE", "STATE", "ERROR"), rows), as_json=as_json)


_batches = click.option("--batch", "batches", multiple=True, help="Offer it to this rollout batch; may be repeated.")
_notes = click.option("--notes", help="Release notes.")


@click.command(epilog=epilog("climahub cloud publish 1.2.0 climahub-1.2.0.bundle --batch beta --notes 'Quicker.'"))
@click.argument("version")
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_batches
@_notes
@admin_options
def publish(
    version: str,
    image: Path,
    batches: tuple[str, ...],
    notes: str | None,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Publish the file IMAGE as firmware VERSION. A version never changes once it is published."""
    content = image.read_bytes()

    async def work(admin: AdminClient) -> CloudFirmware:
        return await admin.publish(version, content, batches=batches, release_notes=notes or "")

    _show_release(ask(url, token_file, work), as_json=as_json)


@click.command(epilog=epilog("climahub cloud offer 1.2.0 --batch beta --batch stable", "climahub cloud offer 1.2.0"))
@click.argument("version")
@_batches
@_notes
@admin_options
def offer(
    version: str, batches: tuple[str, ...], notes: str | None, url: str, token_file: Path | None, as_json: bool
) -> None:
    """Offer a published VERSION to exactly these batches; without a batch it is withdrawn."""
    release = ask(url, token_file, lambda admin: admin.offer(version, batches, release_notes=notes))
    _show_release(release, as_json=as_json)


def _show_release(release: CloudFirmware, *, as_json: bool) -> None:
    offered = ", ".join(release.batches) or "nobody"
    text = f"{release.version}: {size(release.size_bytes)}, sha256 {release.sha256}, offered to {offered}"
    show(release, text, as_json=as_json)


@click.command("firmware")
@admin_options
def list_firmware(url: str, token_file: Path | None, as_json: bool) -> None:
    """List the published firmware and the batches that it is offered to."""
    releases = ask(url, token_file, lambda admin: admin.releases())
    rows = [(each.version, size(each.size_bytes), ", ".join(each.batches), each.release_notes) for each in releases]
    show(releases, table(("VERSION", "SIZE", "BATCHES", "NOTES"), rows), as_json=as_json)


@click.command()
@click.argument("device")
@admin_options
def updates(device: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Show the update reports of DEVICE; steps that the contract does not allow are marked."""

    async def work(admin: AdminClient) -> OtaHistory:
        return await admin.ota_history(await device_id_of(admin, device))

    history = ask(url, token_file, work)
    rows = [
        (post.version, post.status, "" if post.is_legal else "not allowed here", post.error_message)
        for post in history.posts
    ]
    show(history, table(("VERSION", "STATUS", "JUDGED", "ERROR"), rows), as_json=as_json)
