"""`climahub bundle`: makes keys; builds, signs and verifies releases. For operators; a hub never runs it."""

import io
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from agent import __version__
from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.foundation.disk import Disk
from agent.ota import bundle_builder, bundle_format, keys
from agent.ota.bundle_format import BundleHeader
from agent.ota.keyring import check_key_changes
from agent.ota.manifest import CHUNK_BYTES, Manifest

PRIVATE_MODE = 0o600
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


_EXITS = "0 done, 1 the bundle is refused, 73 a file cannot be written, 78 a key cannot be used"


@click.group(
    epilog=epilog(
        "climahub bundle keygen release-2026",
        "climahub bundle build --wheelhouse wheels --sequence 12 --model hub climahub.unsigned",
        "climahub bundle sign --key release-2026.key climahub.unsigned climahub-1.2.3.bundle",
        "climahub bundle verify --trust release-2026.pub climahub-1.2.3.bundle",
        exits=_EXITS,
    )
)
def bundle() -> None:
    """Make keys, and build, sign and verify releases for hubs (docs/updates.md)."""


@bundle.command(epilog=epilog("climahub bundle keygen release-2026", exits=_EXITS))
@click.argument("name", type=_NEW_FILE)
def keygen(name: Path) -> int:
    """Make a key pair: NAME.key, which stays secret, and NAME.pub for the hubs."""
    if not name.name:
        raise click.BadParameter("give the key a name, such as release-2026", param_hint="NAME")
    private, public = keys.generate_key_pair()
    secret, shown = name.with_name(name.name + ".key"), name.with_name(name.name + ".pub")
    for path, data, mode in ((secret, private, PRIVATE_MODE), (shown, public, 0o644)):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    key_id = bundle_format.key_id_of(keys.read_public(shown, Disk())).hex()
    click.echo(f"key {key_id}\n  {secret}: keep it secret, off the hubs and out of the repository; it signs")
    click.echo(f"  {shown}: copy it to the hubs, into ota.keys_dir")
    return exit_codes.OK


@bundle.command(
    epilog=epilog("climahub bundle build --wheelhouse wheels --sequence 12 --model hub climahub.unsigned", exits=_EXITS)
)
@click.argument("output", type=_NEW_FILE)
@click.option("--wheelhouse", type=_DIRECTORY, help="Wheels of climahub and its dependencies, for the target machine.")
@click.option("--rauc", "image", type=_FILE, help="A RAUC bundle instead of wheels.")
@click.option(
    "--sequence",
    type=click.IntRange(1, 2**53),
    required=True,
    help="A number higher than that of every release so far.",
)
@click.option(
    "--model", "models", multiple=True, required=True, help="Hardware model that it fits (ota.model); repeatable."
)
@click.option("--version", "version", default=__version__, show_default=True, help="The version in the cloud.")
@click.option("--machine", default=platform.machine(), show_default=True, help="The output of uname -m on the hub.")
@click.option("--python", default=sys.implementation.cache_tag, show_default=True, help="The Python of the hub.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="The day from which no hub installs it (UTC).")
@click.option("--add-key", "added", multiple=True, type=_FILE, help="A public key that hubs trust from then on.")
@click.option("--revoke", "revoked", multiple=True, metavar="ID", help="The id of a key that hubs no longer trust.")
def build(
    output: Path,
    wheelhouse: Path | None,
    image: Path | None,
    sequence: int,
    models: tuple[str, ...],
    version: str,
    machine: str,
    python: str,
    expires: datetime | None,
    added: tuple[Path, ...],
    revoked: tuple[str, ...],
) -> int:
    """Build an unsigned bundle into OUTPUT. The same wheels give the same bytes."""
    if (wheelhouse is None) == (image is None):
        raise click.UsageError("use either --wheelhouse or --rauc")
    if image is not None and (added or revoked):
        raise click.UsageError("use --add-key and --revoke with --wheelhouse only: an image contains its keys")
    expires_utc_ms = int(expires.replace(tzinfo=UTC).timestamp() * 1000) if expires else None
    target = bundle_builder.BundleTarget(version, sequence, models, machine, python, expires_utc_ms)
    if image is not None:
        manifest = _build_image(output, image, msgspec.structs.replace(target, python=""))
    elif wheelhouse is not None:
        disk = Disk()
        trust = _trust(tuple(keys.read_public(path, disk).hex() for path in added), revoked)
        manifest = _build_app(output, wheelhouse, target, trust)
        if trust.revoked:
            click.echo(
                f"sign it with a key that hubs trust already, and no other: it revokes {', '.join(trust.revoked)}",
                err=True,
            )
        if python != sys.implementation.cache_tag:
            click.echo(
                f"hubs will start slower: {sys.implementation.cache_tag} here, so the bundle has no byte code", err=True
            )
    click.echo(f"{output}: {manifest.version}, sequence {manifest.sequence}, not signed yet")
    return exit_codes.OK


def _build_image(output: Path, image: Path, target: bundle_builder.BundleTarget) -> Manifest:
    """Write an unsigned bundle around a RAUC image, whose payload may be larger than the memory."""
    with image.open("rb") as payload, output.open("wb") as file:
        manifest = bundle_builder.build_image_manifest(payload, target)
        file.write(bundle_format.encode_unsigned(manifest))
        payload.seek(0)
        _copy(payload, file)
    return manifest


def _build_app(output: Path, wheelhouse: Path, target: bundle_builder.BundleTarget, trust: keys.KeyChanges) -> Manifest:
    """Write an unsigned bundle of the wheels. What no hub could install is refused before anything is written."""
    tree = bundle_builder.build_app_tree(wheelhouse, target, trust)
    packed = bundle_builder.pack(tree)
    manifest = bundle_builder.build_app_manifest(tree, packed, target)
    whole = bundle_format.encode_unsigned(manifest) + packed
    bundle_builder.examine(io.BytesIO(whole), _claimed)
    output.write_bytes(whole)
    return manifest


@bundle.command(
    epilog=epilog("climahub bundle sign --key release-2026.key climahub.unsigned climahub-1.2.3.bundle", exits=_EXITS)
)
@click.option("--key", type=_FILE, required=True, help="The private key.")
@click.argument("source", type=_FILE)
@click.argument("output", type=_NEW_FILE)
def sign(key: Path, source: Path, output: Path) -> int:
    """Sign SOURCE into OUTPUT. An existing signature is replaced."""
    if output.exists() and output.samefile(source):
        raise click.UsageError("name another OUTPUT: it is the same file as SOURCE")
    private = keys.read_private(key, Disk())
    with source.open("rb") as file:
        # Check before signing: a hub would find the damage only after the rollout.
        _, trust = bundle_builder.examine(file, _claimed)
    check_key_changes(trust, bundle_format.key_id_of(keys.derive_public_key(private)).hex())
    with source.open("rb") as file, output.open("wb") as signed:
        head, start = bundle_builder.sign(file, private)
        signed.write(head)
        file.seek(start)
        _copy(file, signed)
    click.echo(f"{output}: signed with {key}")
    return exit_codes.OK


@bundle.command(epilog=epilog("climahub bundle inspect climahub-1.2.3.bundle --json", exits=_EXITS))
@click.argument("source", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def inspect(source: Path, as_json: bool) -> int:
    """Show the header of a bundle without verifying it."""
    with source.open("rb") as file:
        parts, start = bundle_builder.read_head(file)
    manifest = bundle_format.decode_manifest(parts.payload)
    signer = parts.key_id.hex()
    if as_json:
        values = msgspec.to_builtins(msgspec.structs.replace(manifest, chunks=b"")) | {"key_id": signer}
        click.echo(msgspec.json.format(msgspec.json.encode(values)))
        return exit_codes.OK
    click.echo(_as_text(manifest, f"key {signer}, not verified here" if signer else "no key", start))
    return exit_codes.OK


@bundle.command(epilog=epilog("climahub bundle verify --trust release-2026.pub climahub-1.2.3.bundle", exits=_EXITS))
@click.argument("source", type=_FILE)
@click.option("--trust", "trusted", multiple=True, required=True, type=_FILE, help="Public key; repeatable.")
def verify(source: Path, trusted: tuple[Path, ...]) -> int:
    """Verify the signature and every byte of a bundle, as a hub does."""
    disk = Disk()
    public = [keys.read_public(path, disk) for path in trusted]
    trust = {bundle_format.key_id_of(key): key for key in public}
    with source.open("rb") as file:
        found, changes = bundle_builder.examine(
            file, lambda signed: bundle_format.check(signed, trust, allow_unsigned=False)
        )
    check_key_changes(changes, found.key_id)
    click.echo(_as_text(found.manifest, f"key {found.key_id}, verified", found.header_bytes))
    added = keys.key_ids_of(changes.keys)
    for name, ids in (("adds key", added), ("revokes", changes.revoked)):
        if ids:
            click.echo(f"{name:<10} {', '.join(ids)}")
    return exit_codes.OK


def _trust(added: tuple[str, ...], revoked: tuple[str, ...]) -> keys.KeyChanges:
    trust = keys.normalize_keys(added, revoked)
    wrong = [each for each in revoked if not keys.normalize_keys((), (each,)).revoked]
    if wrong:
        text = f"{', '.join(map(repr, wrong))}: the id of a key has {2 * bundle_format.KEY_ID_BYTES} hexadecimal digits"
        raise click.BadParameter(f"{text}; keygen and update status show it", param_hint="--revoke")
    return trust


def _claimed(signed: bytes) -> BundleHeader:
    """Return the header of a bundle, unverified."""
    parts = bundle_format.parse(signed)
    return BundleHeader(bundle_format.decode_manifest(parts.payload), bundle_format.PRELUDE_BYTES + len(signed), "")


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    while data := source.read(CHUNK_BYTES):
        target.write(data)


def _as_text(manifest: Manifest, signer: str, start: int) -> str:
    expires = "never"
    if manifest.expires_utc_ms is not None:
        expires = datetime.fromtimestamp(manifest.expires_utc_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
    rows = (
        ("version", manifest.version),
        ("sequence", str(manifest.sequence)),
        ("type", manifest.payload_type.value),
        ("models", ", ".join(manifest.models)),
        ("machine", manifest.machine or "any"),
        ("python", manifest.python or "any"),
        ("launcher", f"{manifest.launcher_min} or newer"),
        ("header", f"{start} bytes"),
        ("payload", f"{manifest.payload_bytes} bytes"),
        ("unpacked", f"{manifest.unpacked_bytes} bytes in {manifest.files} files"),
        ("expires", expires),
        ("signed by", signer),
    )
    return "\n".join(f"{name:<10} {value}" for name, value in rows)
