"""The payload of an app, read file by file from verified pieces: what may be in it, and what a release must be.

A tar of plain files, compressed with xz. That somebody trusted signed it says nothing about its form: release builders
make mistakes. Whatever is wrong with it is found here and said by name, when it is signed, when it is verified on a
desk, and when a hub unpacks it. Memory: the dictionary of xz (8 MiB), one piece, and a few small files.
"""

import hashlib
import lzma
import re
import struct
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesHeaderParser
from pathlib import PurePosixPath
from typing import IO, Self, cast

from agent.errors import BundleUntrusted, Corrupt
from agent.foundation.staging_files import StagingFiles
from agent.ota.keys import TRUST_BYTES_MAX, TRUST_FILE, KeyChanges, decode_key_changes
from agent.ota.manifest import Manifest, is_same_version

XZ_MEMORY_BYTES_MAX = 64 * 1024 * 1024
PIECE_BYTES = 256 * 1024
NAME_BYTES_MAX = 255
"""Of a file or directory, on the file systems that hubs have (NAME_MAX)."""
PATH_BYTES_MAX = 1024
"""With the state directory in front, well below PATH_MAX (4096)."""
EXTENDED_BYTES_MAX = 64 * 1024
"""Of the headers of a long name, which the tar library holds in memory."""
LOOKED_INTO_BYTES_MAX = 256 * 1024
ENTRY_FILE = "__main__.py"
"""What the launcher starts."""

_TAR_OVERHEAD_BYTES = 4096
"""Per file: its header, padding, and the headers of a long name."""
_METADATA = re.compile(r"climahub-[^/]+\.dist-info/METADATA")
_PACKAGE = "agent/__init__.py"
_VERSION_LINE = re.compile(rb"""^__version__\s*(?::\s*\w+\s*)?=\s*["']([^"'\r\n]+)["']""", re.MULTILINE)
_EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_BROKEN = (
    tarfile.TarError,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
    MemoryError,
)
"""What the standard library raises for archives that are none; `ValueError` includes errors of Unicode."""


class Payload:
    """The files of one app, in the order of the archive.

    Attributes:
        trust: What it says of keys; known once all files were read.
    """

    def __init__(self, pieces: Iterator[bytes | bytearray], manifest: Manifest) -> None:
        """Begin; nothing is read.

        Args:
            pieces: The payload, verified.
            manifest: Its manifest.
        """
        self._pieces = pieces
        self._manifest = manifest
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._total = 0
        self._metadata: dict[str, bytes] = {}
        self.trust = KeyChanges()

    def files(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield each file with its content, which is to be read before the next file; check the whole at the end.

        Raises:
            BundleUntrusted: The payload is not what the manifest says, or no release that a hub can start.
        """
        limit = self._manifest.unpacked_bytes + (self._manifest.files + 8) * _TAR_OVERHEAD_BYTES
        source = cast("IO[bytes]", _Unxz(self._pieces, limit))  # a stream is only read
        with _broken():
            tar = tarfile.open(  # noqa: SIM115 - closed below, whatever reads it
                fileobj=source,
                mode="r|",
                bufsize=PIECE_BYTES,
                tarinfo=_Member,
                encoding="utf-8",
                errors="surrogateescape",
            )
        try:
            while True:
                with _broken():
                    member = tar.next()
                if member is None:
                    break
                self._admit(member)
                yield member.name, self._content(tar, member)
        finally:
            tar.close()
        for _ in self._pieces:  # what stands behind the tar's end is verified as well
            pass
        self._check_whole()

    def _admit(self, member: tarfile.TarInfo) -> None:
        name, manifest = member.name, self._manifest
        if problem := _problem_of(member):
            raise BundleUntrusted(f"the bundle holds {_shown(name)}, which {problem}; build it anew")
        parents = {str(each) for each in PurePosixPath(name).parents} - {"."}
        if name in self._files or name in self._directories or parents & self._files:
            raise BundleUntrusted(f"the bundle holds {_shown(name)} twice, or as a file and a directory; build it anew")
        self._total += member.size
        if len(self._files) >= manifest.files or self._total > manifest.unpacked_bytes:
            raise BundleUntrusted(
                f"the bundle holds more than the {manifest.files} files with {manifest.unpacked_bytes} bytes that it"
                " says; build it anew"
            )
        self._files.add(name)
        self._directories |= parents

    def _content(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
        is_kept = member.name in {TRUST_FILE, _PACKAGE} or _METADATA.fullmatch(member.name) is not None
        if is_kept and member.size > LOOKED_INTO_BYTES_MAX:
            raise BundleUntrusted(f"{member.name} of the bundle has {member.size} bytes; build it anew")
        kept = bytearray()
        with _broken():
            file = tar.extractfile(member)
        while file is not None:
            with _broken():
                piece = file.read(PIECE_BYTES)
            if not piece:
                break
            if is_kept:
                kept += piece
            yield piece
        if is_kept:
            self._metadata[member.name] = bytes(kept)

    def _check_whole(self) -> None:
        manifest = self._manifest
        if len(self._files) != manifest.files or self._total != manifest.unpacked_bytes:
            raise BundleUntrusted(
                f"the bundle holds {len(self._files)} files with {self._total} bytes,"
                f" not {manifest.files} with {manifest.unpacked_bytes} as it says; build it anew"
            )
        if ENTRY_FILE not in self._files:
            raise BundleUntrusted(f"the bundle holds no {ENTRY_FILE}, which the launcher starts; build it anew")
        version = find_version(self._metadata)
        if version and not is_same_version(version, manifest.version):
            raise BundleUntrusted(
                f"the bundle says that it is version {manifest.version}, and holds climahub {_shown(version)}: a hub"
                " would install it over and over; build it with the version of its wheel"
            )
        if TRUST_FILE in self._metadata:
            try:
                self.trust = decode_key_changes(self._metadata[TRUST_FILE][: TRUST_BYTES_MAX + 1])
            except Corrupt as error:
                raise BundleUntrusted(str(error)) from error


def unpack(
    pieces: Iterator[bytes | bytearray], manifest: Manifest, files: StagingFiles, tree: str
) -> tuple[str, KeyChanges]:
    """Write the files of a payload below ``tree``.

    Args:
        pieces: The payload, verified.
        manifest: Its manifest.
        files: Writes them.
        tree: Name of a tree that does not exist yet.

    Returns:
        The digest of the tree, as the launcher takes it, and what the release says of keys.

    Raises:
        BundleUntrusted: The payload is not what the manifest says, or no release.
        StorageFull: No room.
        OSError: The disk failed in another way.
    """
    payload = Payload(pieces, manifest)
    digests: dict[str, str] = {}
    for name, content in payload.files():
        digest = hashlib.sha256()
        files.write_new(f"{tree}/{name}", _digested(content, digest))
        digests[name] = digest.hexdigest()
    return tree_digest(digests), payload.trust


def tree_digest(digests: dict[str, str]) -> str:
    """Return what `launcher.digest` says of a tree of these files: it walks files first, then directories, by name."""
    total = hashlib.sha256()

    def key(path: str) -> tuple[tuple[int, str], ...]:
        *parents, name = path.split("/")
        return (*((1, parent) for parent in parents), (0, name))

    for path in sorted(digests, key=key):
        total.update(f"{path}\0{digests[path]}\n".encode())
    return total.hexdigest()


def _digested(content: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for piece in content:
        digest.update(piece)
        yield piece


def find_version(files: dict[str, bytes]) -> str:
    """Return which version of climahub files of a release are, by their names in its tree; empty where none says so."""
    for name, data in files.items():
        if _METADATA.fullmatch(name) and (version := BytesHeaderParser().parsebytes(data).get("Version")):
            return str(version).strip()
    found = _VERSION_LINE.search(files.get(_PACKAGE, b""))
    return found[1].decode("utf-8", "replace") if found else ""


def _problem_of(member: tarfile.TarInfo) -> str:
    """Return why a member of the archive can be no file of a release; empty where it can."""
    path = PurePosixPath(member.name)
    try:
        name = member.name.encode()
    except UnicodeEncodeError:
        return "has a name that is no UTF-8"
    if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or member.sparse is not None or member.size < 0:
        return "is no plain file"
    if path.is_absolute() or ".." in path.parts or str(path) != member.name or not path.name:
        return "is no path within a release"
    if not member.name.isprintable():
        return "has control characters in its name"
    if len(name) > PATH_BYTES_MAX or any(len(part.encode()) > NAME_BYTES_MAX for part in path.parts):
        return f"has a name that is too long (at most {NAME_BYTES_MAX} bytes, {PATH_BYTES_MAX} with its directories)"
    return ""


def _shown(name: str) -> str:
    return ascii(name if len(name) <= NAME_BYTES_MAX else f"{name[:64]}...")


@contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        said = str(error) or type(error).__name__
        raise BundleUntrusted(f"the files of the bundle cannot be unpacked ({said}); build it anew") from error


class _Member(tarfile.TarInfo):
    """A header whose extension is small enough to be read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and not 0 <= member.size <= EXTENDED_BYTES_MAX:
            raise BundleUntrusted(f"the bundle holds a name of {member.size} bytes; build it anew")
        return member


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
