"""The payload of an app: reads it file by file from verified pieces, checks its form, and unpacks it into a new tree.

A tar of plain files, compressed with xz. A signature does not prove the form, since release builders make mistakes. The
form is checked when a bundle is signed, when it is verified on a desk, and when a hub unpacks it. Each problem is
named. Memory: the dictionary of xz (8 MiB), one piece, and a few small files.
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
"""Below PATH_MAX (4096), with the state directory in front."""
EXTENDED_BYTES_MAX = 64 * 1024
"""Of the headers of a long name, which the tar library holds in memory."""
INSPECTED_BYTES_MAX = 256 * 1024
ENTRY_FILE = "__main__.py"
"""The file that the launcher starts."""

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
_ARCHIVE_ERRORS = (
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
"""Raised by the standard library for malformed archives; `ValueError` includes errors of Unicode."""


class Payload:
    """The files of one app, in the order of the archive.

    Attributes:
        trust: Its key changes; complete once all files were read.
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
        """Yield each file with its content, which must be read before the next file; check the whole at the end.

        Raises:
            BundleUntrusted: The payload does not fit the manifest, or is no release that a hub can start.
        """
        limit = self._manifest.unpacked_bytes + (self._manifest.files + 8) * _TAR_OVERHEAD_BYTES
        source = cast("IO[bytes]", _Unxz(self._pieces, limit))  # a stream is only read
        with _translated():
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
                with _translated():
                    member = tar.next()
                if member is None:
                    break
                self._admit(member)
                yield member.name, self._content(tar, member)
        finally:
            tar.close()
        for _ in self._pieces:  # bytes behind the end of the tar are verified as well
            pass
        self._check_whole()

    def _admit(self, member: tarfile.TarInfo) -> None:
        name, manifest = member.name, self._manifest
        if problem := _problem_of(member):
            raise BundleUntrusted(f"the bundle holds {_shown(name)}, which {problem}; build the bundle again")
        parents = {str(each) for each in PurePosixPath(name).parents} - {"."}
        if name in self._files or name in self._directories or parents & self._files:
            raise BundleUntrusted(
                f"the bundle holds {_shown(name)} twice, or as a file and a directory; build the bundle again"
            )
        self._total += member.size
        if len(self._files) >= manifest.files or self._total > manifest.unpacked_bytes:
            raise BundleUntrusted(
                f"the bundle holds more than the {manifest.files} files with {manifest.unpacked_bytes} bytes that it"
                " states; build the bundle again"
            )
        self._files.add(name)
        self._directories |= parents

    def _content(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
        is_kept = member.name in {TRUST_FILE, _PACKAGE} or _METADATA.fullmatch(member.name) is not None
        if is_kept and member.size > INSPECTED_BYTES_MAX:
            raise BundleUntrusted(f"{member.name} of the bundle has {member.size} bytes; build the bundle again")
        kept = bytearray()
        with _translated():
            file = tar.extractfile(member)
        while file is not None:
            with _translated():
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
                f" not {manifest.files} with {manifest.unpacked_bytes} as it states; build the bundle again"
            )
        if ENTRY_FILE not in self._files:
            raise BundleUntrusted(
                f"the bundle holds no {ENTRY_FILE}, which the launcher starts; build the bundle again"
            )
        version = find_version(self._metadata)
        if version and not is_same_version(version, manifest.version):
            raise BundleUntrusted(
                f"the bundle states version {manifest.version}, and holds climahub {_shown(version)}: a hub"
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
    """Unpack a payload into a new tree.

    Args:
        pieces: The payload, verified.
        manifest: Its manifest.
        files: Writes them.
        tree: Name of a tree that does not exist yet.

    Returns:
        The digest of the tree, as the launcher computes it, and the key changes of the release.

    Raises:
        BundleUntrusted: The payload does not fit the manifest, or is no release.
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
    """Return `launcher.digest` of a tree with these files: files first, then directories, by name."""
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
    """Return the version of climahub in the files of a release, by path; empty where it is not in them."""
    for name, data in files.items():
        if _METADATA.fullmatch(name) and (version := BytesHeaderParser().parsebytes(data).get("Version")):
            return str(version).strip()
    found = _VERSION_LINE.search(files.get(_PACKAGE, b""))
    return found[1].decode("utf-8", "replace") if found else ""


def _problem_of(member: tarfile.TarInfo) -> str:
    """Return why a member of the archive cannot be a file of a release; empty where it can."""
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
def _translated() -> Iterator[None]:
    try:
        yield
    except _ARCHIVE_ERRORS as error:
        text = str(error) or type(error).__name__
        raise BundleUntrusted(f"the files of the bundle cannot be unpacked ({text}); build the bundle again") from error


class _Member(tarfile.TarInfo):
    """A tar header whose extension is limited."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and not 0 <= member.size <= EXTENDED_BYTES_MAX:
            raise BundleUntrusted(f"the bundle holds a name of {member.size} bytes; build the bundle again")
        return member


class _Unxz:
    """The uncompressed pieces as a file, ``limit`` bytes at most."""

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
            raise BundleUntrusted("the bundle holds more than it states; build the bundle again")
        return found
