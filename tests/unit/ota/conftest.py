"""Bundles made by hand, good and bad, and the keys that sign them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from agent.ota import bundle_builder, bundle_format
from agent.ota.bundle_format import BundleHeader, BundleStream, key_id_of
from agent.ota.manifest import HubFacts, Manifest, Offer, check_compatible

PRIVATE = bytes(range(32))
STRANGER = bytes(range(1, 33))
TREE = {"__main__.py": b"print('release')\n", "agent/__init__.py": b"", "lib/data.bin": bytes(5000)}
FACTS = HubFacts(model="hub", machine="x86_64", python="cpython-311", launcher=1, floor=5, utc_ms=1_800_000_000_000)
TARGET = bundle_builder.BundleTarget("2.0.0", 6, ("hub", "hub-2"), "x86_64", "cpython-311")


def public_of(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


PUBLIC = public_of(PRIVATE)
TRUSTED = {key_id_of(PUBLIC): PUBLIC}


class Made(msgspec.Struct):
    """A bundle and its parts."""

    head: bytes
    payload: bytes
    manifest: Manifest

    @property
    def data(self) -> bytes:
        return self.head + self.payload

    @property
    def offer(self) -> Offer:
        return Offer(self.manifest.version, hashlib.sha256(self.data).hexdigest(), len(self.data))


def make(
    tree: Mapping[str, bytes] | None = None,
    *,
    payload: bytes | None = None,
    private: bytes | None = PRIVATE,
    target: bundle_builder.BundleTarget = TARGET,
    **changes: Any,  # noqa: ANN401 (any field)
) -> Made:
    """Return a signed bundle; ``changes`` go into its manifest before it is signed."""
    files = TREE if tree is None else tree
    packed = bundle_builder.pack(files) if payload is None else payload
    manifest = msgspec.structs.replace(bundle_builder.build_app_manifest(files, packed, target), **changes)
    unsigned = bundle_format.encode_unsigned(manifest)
    if private is None:
        return Made(unsigned, packed, manifest)
    signed = bundle_format.parse(unsigned[bundle_format.PRELUDE_BYTES :])
    return Made(bundle_format.encode_signed(private, signed.payload), packed, manifest)


def reader(
    offer: Offer | None = None, facts: HubFacts = FACTS, *, allow_unsigned: bool = False
) -> tuple[BundleStream, list[bytes]]:
    """Return a hub's reader, and where it notes the pieces it hands out."""

    def check(signed: bytes) -> BundleHeader:
        found = bundle_format.check(signed, TRUSTED, allow_unsigned=allow_unsigned)
        check_compatible(found.manifest, facts, offer=offer, header_bytes=found.header_bytes)
        return found

    return BundleStream(check, offer=offer), []


def pieces(size: int) -> Callable[[bytes], Iterator[bytes]]:
    """Return what cuts bytes into pieces of ``size``."""
    return lambda data: (data[at : at + size] for at in range(0, len(data), size))


@pytest.fixture(params=[1, 977, 1 << 20], ids=["bytewise", "odd pieces", "at once"])
def cut(request: pytest.FixtureRequest) -> Callable[[bytes], Iterator[bytes]]:
    return pieces(request.param)
