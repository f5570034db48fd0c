"""The payload of an app, unpacked into a tree that nobody uses yet. Takes verified pieces only.

A tar of plain files, compressed with xz. Anything else in it, a path that leads elsewhere, or more than the manifest
says, ends it. Memory: the dictionary of xz (8 MiB) and one piece.
"""

import hashlib
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, cast

from agent.errors import BundleUntrusted
from agent.foundation.trees import Trees
from agent.ota.manifest import Manifest

XZ_MEMORY_BYTES_MAX = 64 * 1024 * 1024
PIECE_BYTES = 256 * 1024
_TAR_OVERHEAD_BYTES = 4096
"""Per file: its header, padding, and the headers of a long name."""


def unpack(pieces: Iterator[bytes | bytearray], manifest: Manifest, trees: Trees, tree: str) -> str:
    """Write the files of a payload below ``tree``; return the digest of the tree, as the launcher takes it.

    Args:
        pieces: The payload, verified.
        manifest: Its manifest.
        trees: Where.
        tree: Name of a tree that does not exist yet.

    Raises:
        BundleUntrusted: The payload is not what the manifest says.
        StorageFull: No room.
    """
    limit = manifest.unpacked_bytes + (manifest.files + 8) * _TAR_OVERHEAD_BYTES
    digests: dict[str, str] = {}
    total = 0
    try:
        source = cast("IO[bytes]", _Unxz(pieces, limit))  # a stream is only read
        with tarfile.open(fileobj=source, mode="r|", bufsize=PIECE_BYTES) as tar:
            for member in tar:
                total += member.size
                _check(member, digests, total, manifest)
                digest = hashlib.sha256()
                trees.write_new(f"{tree}/{member.name}", _content(tar, member, digest))
                digests[member.name] = digest.hexdigest()
    except (tarfile.TarError, lzma.LZMAError, EOFError, UnicodeError, FileExistsError, NotADirectoryError) as error:
        raise BundleUntrusted(f"the files of the bundle cannot be unpacked ({error}); build it anew") from error
    for _ in pieces:  # what stands behind the tar's end is verified as well
        pass
    if len(digests) != manifest.files or total != manifest.unpacked_bytes:
        raise BundleUntrusted(
            f"the bundle holds {len(digests)} files with {total} bytes,"
            f" not {manifest.files} with {manifest.unpacked_bytes} as it says; build it anew"
        )
    return tree_digest(digests)


def tree_digest(digests: dict[str, str]) -> str:
    """Return what `launcher.digest` says of a tree of these files: it walks files first, then directories, by name."""
    total = hashlib.sha256()

    def key(path: str) -> tuple[tuple[int, str], ...]:
        *parents, name = path.split("/")
        return (*((1, parent) for parent in parents), (0, name))

    for path in sorted(digests, key=key):
        total.update(f"{path}\0{digests[path]}\n".encode())
    return total.hexdigest()


def _check(member: tarfile.TarInfo, known: dict[str, str], total: int, manifest: Manifest) -> None:
    path = PurePosixPath(member.name)
    is_inside = not path.is_absolute() and ".." not in path.parts and str(path) == member.name
    if not member.isreg() or not is_inside or member.name in known or "\0" in member.name:
        raise BundleUntrusted(f"the bundle holds {member.name!r}, which is no plain file of a release")
    if len(known) >= manifest.files or total > manifest.unpacked_bytes:
        raise BundleUntrusted("the bundle holds more than it says; build it anew")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, digest: "hashlib._Hash") -> Iterator[bytes]:
    file = tar.extractfile(member)
    while file is not None and (piece := file.read(PIECE_BYTES)):
        digest.update(piece)
        yield piece


class _Unxz:
    """A file of what the pieces hold, uncompressed; at most ``limit`` bytes of it."""

    def __init__(self, pieces: Iterator[bytes | bytearray], limit: int) -> None:
        self._pieces = pieces
        self._left = limit
        self._decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES_MAX)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; nothing at the end."""
        found = b""
        while not found and not self._decompressor.eof:
            data = next(self._pieces, b"") if self._decompressor.needs_input else b""
            if not data and self._decompressor.needs_input:
                raise EOFError("it ends too early")
            found = self._decompressor.decompress(data, max_length=size)
        self._left -= len(found)
        if self._left < 0:
            raise BundleUntrusted("the bundle holds more than it says; build it anew")
        return found
