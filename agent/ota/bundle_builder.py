"""Builds bundles: an app from a wheelhouse, or a system image. Reproducible: same input, same bytes.

Runs on an operator's machine, never in the daemon. A wheel is unpacked by the wheel format, without running its code,
so that a bundle can be built for another kind of machine.
"""

import base64
import csv
import hashlib
import importlib.util
import io
import lzma
import marshal
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from agent.errors import BundleUntrusted
from agent.ota import bundle_format
from agent.ota.bundle_format import BundleHeader, BundleStream
from agent.ota.keyring import check_key_changes
from agent.ota.keys import TRUST_FILE, KeyChanges
from agent.ota.manifest import (
    CHUNK_BYTES,
    FILES_MAX,
    FORMAT,
    PRODUCT,
    UNPACKED_BYTES_MAX,
    Manifest,
    PayloadType,
    decode_values,
    encode_values,
    is_same_version,
)
from agent.ota.payload import ENTRY_FILE, Payload

XZ_PRESET = 6
"""Unpacking takes 9 MiB of memory and the standard library only; zstd would be another dependency."""

TREE_MTIME_S = 315_532_800
"""1980-01-01, the oldest time in a wheel: the bytes must not depend on the time of the build."""

_IS_HASH_BASED = 1
"""Flags of a pyc that names the hash of its source, and is not compared with the source at the import."""

ENTRY_SOURCE = b'''"""Starts the agent from a slot, and notes why it ended (agent.ota.crash_report)."""

import faulthandler
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CRASH_FILE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "crash-" + os.path.basename(HERE) + ".txt")
CHARACTERS_MAX = 4000


class Tail:
    """A stream that remembers the last of what went through it."""

    def __init__(self, stream):
        self.stream = stream
        self.said = ""

    def write(self, text):
        self.said = (self.said + text)[-CHARACTERS_MAX:]
        return self.stream.write(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def note(text):
    try:
        with open(CRASH_FILE, "w", encoding="utf-8", errors="replace") as file:
            file.write(text[-CHARACTERS_MAX:])
    except OSError:
        pass


try:
    faulthandler.enable(open(CRASH_FILE, "w"))
except OSError:
    faulthandler.enable()
tail = sys.stderr = Tail(sys.stderr)
try:
    from agent.__main__ import main

    code = main()
except Exception:
    import traceback

    note(traceback.format_exc())
    raise
except SystemExit as error:
    if error.code:
        note(tail.said + "\\nexit code " + str(error.code))
    raise
if code:
    note(tail.said + "\\nexit code " + str(code))
sys.exit(code)
'''
"""`__main__.py` of the tree, which the launcher starts. Must not import the agent before `try`: it may be broken."""


class BundleTarget(msgspec.Struct, frozen=True):
    """The target of a bundle: the fields of the manifest with the same names."""

    version: str
    sequence: int
    models: tuple[str, ...]
    machine: str = ""
    python: str = ""
    expires_utc_ms: int | None = None
    launcher_min: int = 1


def build_app_tree(wheelhouse: Path, target: BundleTarget, trust: KeyChanges) -> Mapping[str, bytes]:
    """Return the files of an app by their path in the slot.

    Raises:
        BundleUntrusted: A wheel is damaged, is for another machine or Python, or is there twice; the wheel of climahub
            has another version; or the key changes contradict each other.
    """
    wheels = sorted(wheelhouse.glob("*.whl"))
    names = [wheel.name.partition("-")[0].lower() for wheel in wheels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BundleUntrusted(f"{wheelhouse} has more than one wheel of {', '.join(twice)}; leave one")
    if "climahub" not in names:
        raise BundleUntrusted(f"{wheelhouse} has no wheel of climahub; build it with pip wheel (docs/updates.md)")
    _, _, rest = wheels[names.index("climahub")].name.partition("-")
    version, _, _ = rest.partition("-")
    if not is_same_version(version, target.version):
        raise BundleUntrusted(
            f"the wheel of climahub is version {version}, and the bundle would be {target.version}: hubs would install"
            f" it again and again; build it with --version {version}, or fetch the right wheel"
        )
    check_key_changes(trust, "")
    tree: dict[str, bytes] = {}
    for wheel in wheels:
        _check_tags(wheel, target)
        for path, data in _unpacked(wheel):
            if tree.setdefault(path, data) != data:
                raise BundleUntrusted(f"{wheel.name}: {path} is in another wheel as well, with other content")
    tree[ENTRY_FILE] = ENTRY_SOURCE
    if trust != KeyChanges():
        tree[TRUST_FILE] = msgspec.json.encode(trust)
    if target.python == sys.implementation.cache_tag:
        tree |= _compiled(tree)
    return tree


def pack(tree: Mapping[str, bytes]) -> bytes:
    """Return a tar of the files, compressed with xz; same files, same bytes."""
    packed = io.BytesIO()
    with lzma.open(packed, "wb", preset=XZ_PRESET) as compressed, tarfile.open(fileobj=compressed, mode="w|") as tar:
        for path in sorted(tree):
            info = tarfile.TarInfo(path)
            info.size = len(tree[path])
            info.mtime = TREE_MTIME_S
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(tree[path]))
    return packed.getvalue()


def build_app_manifest(tree: Mapping[str, bytes], payload: bytes, target: BundleTarget) -> Manifest:
    """Return the manifest of a packed tree.

    Raises:
        BundleUntrusted: The tree is too large for a slot.
    """
    unpacked = sum(map(len, tree.values()))
    if len(tree) > FILES_MAX or unpacked > UNPACKED_BYTES_MAX:
        raise BundleUntrusted(f"{len(tree)} files with {unpacked} bytes are more than a slot takes")
    return _manifest(PayloadType.APP, io.BytesIO(payload), target, unpacked_bytes=unpacked, files=len(tree))


def build_image_manifest(image: BinaryIO, target: BundleTarget) -> Manifest:
    """Return the manifest for a RAUC bundle, which is the payload unchanged."""
    return _manifest(PayloadType.RAUC, image, target, unpacked_bytes=0, files=0)


def sign(bundle: BinaryIO, private_key: bytes) -> tuple[bytes, int]:
    """Return a signed header for a bundle, and the offset of its payload.

    Raises:
        BundleUntrusted: It is no bundle.
    """
    parts, start = read_head(bundle)
    bundle_format.decode_manifest(parts.payload)  # a manifest that no hub can read must not be signed
    return bundle_format.encode_signed(private_key, parts.payload), start


def examine(bundle: BinaryIO, check: Callable[[bytes], BundleHeader]) -> tuple[BundleHeader, KeyChanges]:
    """Verify a whole bundle with all its files, as a hub does; return its header and its key changes.

    Args:
        bundle: From its beginning.
        check: Checks the signed header.

    Raises:
        BundleUntrusted: A hub would refuse it.
        BundleDamaged: It is damaged.
    """
    stream = BundleStream(check, offer=None)

    def read() -> Iterator[bytes | bytearray]:
        while data := bundle.read(CHUNK_BYTES):
            yield from stream.feed(data)

    pieces, trust = read(), KeyChanges()
    next(pieces, None)  # the header
    found = stream.header
    if found is not None and found.manifest.payload_type is PayloadType.APP:
        payload = Payload(pieces, found.manifest)
        for _, content in payload.files():
            for _ in content:
                pass
        trust = payload.trust
    for _ in pieces:
        pass
    return stream.finish(), trust


def read_head(bundle: BinaryIO) -> tuple[bundle_format.SignedHeader, int]:
    """Return the unverified header of a bundle, and the offset of its payload.

    Raises:
        BundleUntrusted: It is no bundle.
    """
    size = bundle_format.read_header_size(bundle.read(bundle_format.PRELUDE_BYTES))
    return bundle_format.parse(bundle.read(size)), bundle_format.PRELUDE_BYTES + size


def _manifest(
    payload_type: PayloadType, payload: BinaryIO, target: BundleTarget, *, unpacked_bytes: int, files: int
) -> Manifest:
    digests = bytearray()
    size = 0
    while chunk := payload.read(CHUNK_BYTES):
        digests += hashlib.sha256(chunk).digest()
        size += len(chunk)
    made = Manifest(
        format=FORMAT,
        product=PRODUCT,
        payload_type=payload_type,
        version=target.version,
        sequence=target.sequence,
        models=target.models,
        payload_bytes=size,
        chunk_bytes=CHUNK_BYTES,
        chunks=bytes(digests),
        machine=target.machine,
        python=target.python,
        launcher_min=target.launcher_min,
        unpacked_bytes=unpacked_bytes,
        files=files,
        expires_utc_ms=target.expires_utc_ms,
    )
    return decode_values(encode_values(made))


def _check_tags(wheel: Path, target: BundleTarget) -> None:
    """Refuse a wheel for another target ("Binary distribution format", file name convention)."""
    try:
        _, abi, platforms = wheel.stem.rsplit("-", 3)[1:]
    except ValueError as error:
        raise BundleUntrusted(f"{wheel.name} is not named like a wheel") from error
    python = target.python.replace("cpython-", "cp")
    fits_python = abi in {"none", "abi3", python}
    fits_machine = platforms == "any" or any(
        each.endswith(f"_{target.machine}") and not each.startswith("musllinux") for each in platforms.split(".")
    )
    if not fits_python or not fits_machine:
        raise BundleUntrusted(f"{wheel.name} does not fit {target.machine} with {target.python}; fetch the right one")


def _unpacked(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a wheel that belong into site-packages."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            digests = _record(archive)
            for name in archive.namelist():
                place = _place(name)
                if place is None:
                    continue
                data = archive.read(name)
                if not name.endswith("/RECORD") and digests.get(name) != hashlib.sha256(data).digest():
                    raise BundleUntrusted(f"{wheel.name}: {name} is not what its RECORD says; fetch the wheel anew")
                yield place, data
    except (zipfile.BadZipFile, KeyError, StopIteration, ValueError) as error:
        raise BundleUntrusted(f"{wheel.name} cannot be read ({error}); fetch it anew") from error


def _record(archive: zipfile.ZipFile) -> Mapping[str, bytes]:
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    digests = {}
    for path, digest, _ in csv.reader(io.StringIO(archive.read(name).decode())):
        kind, _, text = digest.partition("=")
        if kind == "sha256":
            digests[path] = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return digests


def _place(name: str) -> str | None:
    """Return the path of a wheel's file in site-packages; `None` for scripts, headers, data and directories."""
    path = PurePosixPath(name)
    if name.endswith("/") or path.is_absolute() or ".." in path.parts:
        return None
    if path.parts[0].endswith(".data"):
        return "/".join(path.parts[2:]) if path.parts[1] in {"purelib", "platlib"} else None
    return str(path)


def _compiled(tree: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return byte code for the tree: without it, each start of a hub would compile 2,000 files.

    It names the hash of its source, which is not compared at the start: the launcher verifies the whole slot.
    """
    return {
        place: data
        for path, source in tree.items()
        if path.endswith(".py")
        for place, data in [(importlib.util.cache_from_source(path, optimization=""), _code(path, source))]
        if data is not None
    }


def _code(path: str, source: bytes) -> bytes | None:
    """Return the byte code of a module as PEP 552 stores it: magic, flags, hash of the source, code."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return None  # a package may have files for another version of Python, which fail at their import
    flags = _IS_HASH_BASED.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + marshal.dumps(code)
