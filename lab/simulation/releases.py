"""Releases for a simulated hub: real bundles with real signatures, some of them bad."""

import hashlib
import io
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from agent.ota import bundle_builder, bundle_format
from agent.ota.manifest import CHUNK_BYTES
from hal.sim.images import SimImage, encode

PRIVATE_KEY = hashlib.sha256(b"the simulation's key").digest()
STRANGERS_KEY = hashlib.sha256(b"a stranger's key").digest()
MODEL = "hub"
FILES = 3
PADDING_BYTES = 3000


class SimulatedRelease(msgspec.Struct, frozen=True):
    """A release.

    Attributes:
        version: As the cloud names it.
        sequence: As its manifest says.
        data: The bundle.
        tree_files: What its slot holds, by path.
    """

    version: str
    sequence: int
    data: bytes
    tree_files: dict[str, bytes]


def make_release(
    version: str,
    sequence: int,
    *,
    private_key: bytes = PRIVATE_KEY,
    machine: str = "simulated",
    model: str = MODEL,
    chunks: int = 0,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> SimulatedRelease:
    """Return a release.

    Args:
        version: As the cloud names it.
        sequence: As its manifest says.
        private_key: Who signs it; nobody where it is empty.
        machine: What it needs.
        model: What it fits.
        chunks: How many chunks it has at the least: larger ones can be cut off in the middle.
        files: What it holds besides.
    """
    tree = {f"lib/{number}.py": f"# {version} {number}\n".encode() * PADDING_BYTES for number in range(FILES)}
    tree["__main__.py"] = f"version = {version!r}\n".encode()
    tree |= files
    if chunks:
        noise = b"".join(hashlib.sha256(f"{version} {n}".encode()).digest() for n in range(chunks * CHUNK_BYTES // 32))
        tree["lib/noise.bin"] = noise
    target = bundle_builder.BundleTarget(version, sequence, (model,), machine, "")
    payload = bundle_builder.pack(tree)
    manifest = bundle_builder.build_app_manifest(tree, payload, target)
    head = bundle_format.encode_unsigned(manifest)
    if private_key:
        head = bundle_format.encode_signed(
            private_key, bundle_format.parse(head[bundle_format.PRELUDE_BYTES :]).payload
        )
    return SimulatedRelease(version, sequence, head + payload, tree)


def make_image(
    version: str,
    sequence: int,
    *,
    image: SimImage | None = None,
    private_key: bytes = PRIVATE_KEY,
    model: str = MODEL,
    size_bytes: int = 2 * CHUNK_BYTES,
) -> SimulatedRelease:
    """Return a release that is an image of the whole system of a simulated machine.

    Args:
        version: As the cloud names it.
        sequence: As its manifest says.
        image: What the installer finds in it; a good one of that version where nothing is given.
        private_key: Who signs the bundle around it.
        model: What it fits.
        size_bytes: Of the image, at the least.
    """
    payload = encode(image or SimImage(version), size_bytes=size_bytes)
    target = bundle_builder.BundleTarget(version, sequence, (model,), "simulated", "")
    manifest = bundle_builder.build_image_manifest(io.BytesIO(payload), target)
    unsigned = bundle_format.parse(bundle_format.encode_unsigned(manifest)[bundle_format.PRELUDE_BYTES :])
    return SimulatedRelease(version, sequence, bundle_format.encode_signed(private_key, unsigned.payload) + payload, {})


def public_key_pem() -> bytes:
    """Return the public half of `PRIVATE_KEY`, for a hub's `ota.keys_dir`."""
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - costs memory, needed rarely
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.from_private_bytes(PRIVATE_KEY).public_key()
    return key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
