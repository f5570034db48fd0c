"""Operator's commands about firmware: publish, offer, and how a device's update went."""

from pathlib import Path

import click

from agent.cli.exit_codes import epilog
from agent.cli.format import size
from lab.cli.cloud.connection import admin_options, ask, device_id_of, show, table
from lab.refcloud.admin_client import AdminClient
from lab.refcloud.records import CloudFirmware, OtaHistory

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
    """Offer a published VERSION to these batches and no others; without a batch it is withdrawn."""
    release = ask(url, token_file, lambda admin: admin.offer(version, batches, release_notes=notes))
    _show_release(release, as_json=as_json)


def _show_release(release: CloudFirmware, *, as_json: bool) -> None:
    offered = ", ".join(release.batches) or "nobody"
    text = f"{release.version}: {size(release.size_bytes)}, sha256 {release.sha256}, offered to {offered}"
    show(release, text, as_json=as_json)


@click.command("firmware")
@admin_options
def list_firmware(url: str, token_file: Path | None, as_json: bool) -> None:
    """List what is published and to whom it is offered."""
    releases = ask(url, token_file, lambda admin: admin.releases())
    rows = [(each.version, size(each.size_bytes), ", ".join(each.batches), each.release_notes) for each in releases]
    show(releases, table(("VERSION", "SIZE", "BATCHES", "NOTES"), rows), as_json=as_json)


@click.command()
@click.argument("device")
@admin_options
def updates(device: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Show what DEVICE told of its updates; steps that the contract does not allow are marked."""

    async def work(admin: AdminClient) -> OtaHistory:
        return await admin.ota_history(await device_id_of(admin, device))

    history = ask(url, token_file, work)
    rows = [
        (post.version, post.status, "" if post.is_legal else "not allowed here", post.error_message)
        for post in history.posts
    ]
    show(history, table(("VERSION", "STATUS", "JUDGED", "ERROR"), rows), as_json=as_json)
