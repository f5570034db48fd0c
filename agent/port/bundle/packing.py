"""A support bundle as a stream: members one after the other into a tar.zst, or a .zip where zstd is not installed.

Owns the limit of its size and the manifest with the SHA-256 of each member, which comes last. Holds one member in
memory at a time. All functions block: `support_bundle` runs them on a thread.
"""

import hashlib
import io
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import msgspec

from agent.foundation.text import sanitize

BUNDLE_BYTES_MAX = 20 * 1024 * 1024
"""Of all members together, before compression: the archive is smaller in any case."""

MANIFEST = "manifest.json"
_RESERVE_BYTES = 256 * 1024
"""For the manifest, and for what an archive adds to each member."""

CHUNK_BYTES = 64 * 1024
ZSTD = ("zstd", "--quiet", "--stdout", "-3")
"""Level 3: 20 MB take a quarter of a second on a Pi 4, and 8 MiB of memory."""
ZSTD_END_S_MAX = 10.0
UNZSTD = ("zstd", "--decompress", "--quiet", "--stdout")
UNPACK_S_MAX = 30.0
_ZIP = b"PK"

FAILURES = (OSError, ValueError, RuntimeError, LookupError, TypeError, subprocess.SubprocessError, msgspec.MsgspecError)
"""What making a member may raise: it costs that member, and the manifest says so."""


class Member(msgspec.Struct, frozen=True):
    """One file of a bundle.

    Attributes:
        name: In the archive.
        make: Returns its content. What it raises is noted in the manifest in its place.
        bytes_max: Of its content; of a longer text the end is kept, a longer document is left out.
        is_text: Lines, of which the last ones matter.
    """

    name: str
    make: Callable[[], bytes]
    bytes_max: int
    is_text: bool = False


class ManifestEntry(msgspec.Struct, frozen=True):
    """One member in the manifest. `note` says what was cut or could not be made."""

    name: str
    size_bytes: int
    sha256: str
    note: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """The last member: what the bundle holds.

    Attributes:
        made: In UTC, where the hub knows the time.
        versions: Of the agent and what is below it.
        made_by: "hub", or "command line" where the hub did not answer.
        members: In their order.
    """

    made: str | None
    versions: dict[str, str]
    made_by: str
    members: list[ManifestEntry]


def has_zstd() -> bool:
    """Tell whether the program zstd is installed."""
    return shutil.which(ZSTD[0]) is not None


def file_extension(*, is_zstd: bool) -> str:
    """Return how the name of a bundle ends."""
    return "tar.zst" if is_zstd else "zip"


def contents(
    members: Iterable[Member], *, made: str | None, versions: dict[str, str], made_by: str
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each member, and the manifest at the end.

    Args:
        members: In the order of their importance: what exceeds the limit of the bundle is left out.
        made: See `Manifest`.
        versions: See there.
        made_by: See there.
    """
    left = BUNDLE_BYTES_MAX - _RESERVE_BYTES
    entries = []
    for member in members:
        content, note = _content(member, min(left, member.bytes_max))
        left -= len(content)
        entries.append(ManifestEntry(member.name, len(content), hashlib.sha256(content).hexdigest(), note))
        if content:
            yield member.name, content
    manifest = Manifest(made, versions, made_by, entries)
    yield MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1)


def _content(member: Member, bytes_max: int) -> tuple[bytes, str]:
    try:
        content = member.make()
    except FAILURES as error:
        # The kind only: a message may quote what it failed on.
        return b"", f"could not be made ({type(error).__name__})"
    if len(content) <= bytes_max:
        return content, ""
    if not member.is_text:
        return b"", sanitize(f"left out: {len(content)} bytes, {bytes_max} are allowed")
    cut = content[len(content) - bytes_max :] if bytes_max else b""
    return cut[cut.find(b"\n") + 1 :], f"the first {len(content) - bytes_max} bytes are cut"


class _Chunks(io.RawIOBase):
    """A file to write to, whose content is taken out piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override] # of typeshed's Buffer
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def stream(files: Iterable[tuple[str, bytes]], *, is_zstd: bool, at_s: int) -> Iterator[bytes]:
    """Yield an archive piece by piece.

    Args:
        files: Name and content of each member.
        is_zstd: tar.zst; else zip.
        at_s: The time of all members, in seconds since 1970.

    Raises:
        OSError: zstd failed.
    """
    return _compressed(_tar(files, at_s)) if is_zstd else _zip(files)


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the members of a bundle of either form by name, within the limit of its size.

    Raises:
        ValueError: It is none.
    """
    try:
        if data.startswith(_ZIP):
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                return {found.filename: packed.read(found) for found in packed.infolist() if _fits(found.file_size)}
        tar = subprocess.run([*UNZSTD], input=data, capture_output=True, check=True, timeout=UNPACK_S_MAX).stdout  # noqa: S603 - a fixed command
        with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
            return {
                found.name: file.read()
                for found in opened.getmembers()
                if _fits(found.size) and (file := opened.extractfile(found)) is not None
            }
    except (OSError, subprocess.SubprocessError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"this is no support bundle ({type(error).__name__})") from error


def _fits(size_bytes: int) -> bool:
    return size_bytes <= BUNDLE_BYTES_MAX


def _tar(files: Iterable[tuple[str, bytes]], at_s: int) -> Iterator[bytes]:
    out = _Chunks()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), at_s, 0o600
            archive.addfile(info, io.BytesIO(content))
            yield from _pieces(out.take())
    yield from _pieces(out.take())


def _zip(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    out = _Chunks()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
            yield from _pieces(out.take())
    yield from _pieces(out.take())


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


def _compressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass chunks through zstd. A thread writes to it, so that neither side waits for the other for ever.

    Raises:
        OSError: zstd failed, or what it was given could not be made.
    """
    process = subprocess.Popen(ZSTD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603 - a fixed command
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise OSError("zstd has no pipes")
    failures: list[BaseException] = []

    def feed() -> None:
        try:
            with stdin:
                for chunk in chunks:
                    stdin.write(chunk)
        except BaseException as error:  # noqa: BLE001 - raised on the other thread
            failures.append(error)

    feeder = threading.Thread(target=feed, name="support bundle", daemon=True)
    feeder.start()
    try:
        while chunk := stdout.read(CHUNK_BYTES):
            yield chunk
        feeder.join(ZSTD_END_S_MAX)
        if process.wait(ZSTD_END_S_MAX) or failures:
            raise OSError(f"zstd failed, or a member could not be made ({[type(each).__name__ for each in failures]})")
    finally:
        stdout.close()
        with suppress(OSError):
            process.kill()
        process.wait()
        # It may be making a member still.
        feeder.join(ZSTD_END_S_MAX)
