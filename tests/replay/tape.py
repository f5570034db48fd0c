"""A disk whose every write and flush is on record: ext4 on a loop device on qemu-storage-daemon with blklogwrites.

The record has the format of the kernel's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst): a head
with the number of entries, then per entry one sector that describes it and, for a write, the data. `Replay` builds from
it what a disk with a volatile cache may hold after a power cut.
"""

import itertools
import os
import random
import select
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

SECTOR_BYTES = 512
BLOCK_BYTES = 4096
DISK_BYTES = 64 * 2**20
LOG_BYTES = 2**30
"""Sparse; a campaign writes some tens of MiB."""
COMMAND_TIMEOUT_S = 60
STOP_TIMEOUT_MS = 20_000

_MAGIC = 0x6A736677736872
_HEAD = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_FLUSH, _FUA, _DISCARD = 1, 2, 4


class Unavailable(Exception):
    """This machine cannot record a disk; says why."""


class Entry(msgspec.Struct, frozen=True):
    """One request to the disk.

    Attributes:
        sector: Where it begins.
        data: Place and size in the log; of a flush, nothing.
        is_flush: Everything before it is durable once it is done.
        is_forced: Durable by itself, without a flush.
    """

    sector: int
    data: tuple[int, int]
    is_flush: bool
    is_forced: bool


class CrashState(msgspec.Struct, frozen=True):
    """What a power cut leaves: everything up to a flush, and some of what was written after it.

    Attributes:
        flush: Number of the last flush that counts, from 0 on; -1 for none.
        variant: 0: nothing since is there. Others: a random part of it.
    """

    flush: int
    variant: int


def run(*command: str) -> str:
    """Run a tool of the system.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S).stdout


def missing_tool() -> str:
    """Return what is not there to record a disk with; empty where everything is."""
    if os.geteuid() != 0:
        return "mounting a disk needs root"
    for tool, package in (
        ("qemu-storage-daemon", "qemu-system-common"),
        ("mkfs.ext4", "e2fsprogs"),
        ("losetup", "mount"),
    ):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian: {package})"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not Path(device).exists():
            return f"there is no {device}"
    return ""


class Tape:
    """The disk while it is recorded.

    Attributes:
        mountpoint: Where its file system is.
    """

    def __init__(self, directory: Path) -> None:
        self.base = directory / "base.img"
        self.log = directory / "log.img"
        self.mountpoint = directory / "mnt"
        self._log_file = -1

    def position(self) -> int:
        """Return how many requests the disk has served."""
        magic, _, entries, _ = _HEAD.unpack(os.pread(self._log_file, _HEAD.size, 0))
        assert magic == _MAGIC
        return entries

    @contextmanager
    def recording(self, options: str, begin: Path | None = None) -> Iterator[None]:
        """Make the disk, mount it, and take it down again.

        Args:
            options: For mount.
            begin: What the disk holds at first; an empty file system where that is not said.

        Raises:
            Unavailable: Something that it needs does not work here.
        """
        directory = self.base.parent
        if begin is not None:
            _copy_sparse(begin, self.base)
        else:
            _make_file_system(self.base)
        disk, export, pid_file = directory / "disk.img", directory / "export.img", directory / "pid"
        _copy_sparse(self.base, disk)
        export.touch()
        with self.log.open("wb") as file:
            file.truncate(LOG_BYTES)
        self.mountpoint.mkdir()
        try:
            run("qemu-storage-daemon", "--daemonize", "--pidfile", str(pid_file),
                "--blockdev", f"driver=file,node-name=disk,filename={disk}",
                "--blockdev", f"driver=file,node-name=log,filename={self.log}",
                "--blockdev", "driver=blklogwrites,node-name=recorded,file=disk,log=log,"
                f"log-sector-size={SECTOR_BYTES},log-super-update-interval=1",
                "--export", f"type=fuse,id=export,node-name=recorded,mountpoint={export},writable=on",
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"qemu-storage-daemon does not start: {error.stderr.strip()}") from error
        try:
            with mounted(export, self.mountpoint, options):
                self._log_file = os.open(self.log, os.O_RDONLY)
                yield
        finally:
            _stop(int(pid_file.read_text()))
            if self._log_file >= 0:
                os.close(self._log_file)


def _make_file_system(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    # Without the writes that a fresh file system does by itself in the background.
    run("mkfs.ext4", "-q", "-b", str(BLOCK_BYTES), "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0",
        str(image))  # fmt: skip


@contextmanager
def mounted(image: Path, mountpoint: Path, options: str) -> Iterator[None]:
    """Mount an image through a loop device of its own.

    Not by mount's own option for that: it takes a device that is there for the file already, and a device that somebody
    holds open for a moment outlives its mount, with the blocks of the disk before in its cache.

    Raises:
        Unavailable: It cannot be mounted.
    """
    device = ""
    try:
        device = run("losetup", "--find", "--show", str(image)).strip()
        run("mount", "-t", "ext4", *(("-o", options) if options else ()), device, str(mountpoint))
    except subprocess.CalledProcessError as error:
        if device:
            run("losetup", "--detach", device)
        raise Unavailable(f"{image.name} cannot be mounted: {error.stderr.strip()}") from error
    try:
        yield
    finally:
        run("umount", str(mountpoint))
        run("losetup", "--detach", device)


def _stop(process_id: int) -> None:
    descriptor = os.pidfd_open(process_id)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(STOP_TIMEOUT_MS)
    finally:
        os.close(descriptor)


def entries_of(log: Path) -> list[Entry]:
    """Return all requests on record."""
    found = []
    with log.open("rb") as file:
        magic, _, count, sector_bytes = _HEAD.unpack(file.read(_HEAD.size))
        assert (magic, sector_bytes) == (_MAGIC, SECTOR_BYTES)
        place = SECTOR_BYTES
        for _ in range(count):
            file.seek(place)
            sector, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            size = sectors * SECTOR_BYTES
            assert not flags & _DISCARD, "the file system is mounted without discard"
            found.append(Entry(sector, (place + SECTOR_BYTES, size), bool(flags & _FLUSH), bool(flags & _FUA)))
            place += SECTOR_BYTES + size
    return found


class Replay:
    """Builds crash states from a tape, in rising order."""

    def __init__(self, base: Path, log: Path, directory: Path, *, seed: int) -> None:
        """Begin with the disk before the first request.

        Args:
            base: The disk then.
            log: What was recorded since.
            directory: Where the states are built.
            seed: Of the random parts.
        """
        self._entries = entries_of(log)
        self._log = log.open("rb")
        self._durable_path = directory / "durable.img"
        self._seed = seed
        _copy_sparse(base, self._durable_path)
        self._durable = self._durable_path.open("r+b")
        self._flushes = [number for number, entry in enumerate(self._entries) if entry.is_flush]
        self._done = 0
        self._flush = -1
        self._built: set[int] = set()

    def close(self) -> None:
        """Let go of the files."""
        self._log.close()
        self._durable.close()

    def since(self, flush: int) -> range:
        """Return the numbers of the requests after a flush and before the next one."""
        begin = self._flushes[flush] + 1 if flush >= 0 else 0
        end = self._flushes[flush + 1] if flush + 1 < len(self._flushes) else len(self._entries)
        return range(begin, end)

    def states(self, begin: int, end: int, variants: int) -> list[CrashState]:
        """Return the crash states within some requests: each flush, and parts of what was written after it.

        Of flushes with nothing written between them, the last stands for all: most has been promised by then.

        Args:
            begin: The first request after which the power may be cut.
            end: The last.
            variants: How many random parts for each flush.
        """
        states = []
        for flush in range(len(self._flushes)):
            since = self.since(flush)
            is_last = since.start > end or flush + 1 == len(self._flushes)
            if begin <= since.start <= end and (since or is_last):
                parts = 1 + (variants if since and since.start < end else 0)
                states += [CrashState(flush, variant) for variant in range(parts)]
        return states

    def build(self, state: CrashState, target: Path) -> int | None:
        """Write the disk of a crash state; return the number of requests that were served before the cut.

        Returns `None`, and writes nothing, where the random part is one that was built already for this flush.
        """
        since = self.since(state.flush)
        if since.start < self._done:
            raise ValueError("states are built in rising order")
        for number in range(self._done, since.start):
            self._apply(self._durable, self._pieces(self._entries[number]))
        if state.flush != self._flush:
            self._flush, self._built = state.flush, set()
        self._done = since.start
        self._durable.flush()
        part = [piece for number in since if self._entries[number].is_forced
                for piece in self._pieces(self._entries[number])]  # fmt: skip
        if state.variant:
            part += self._some(since, random.Random(f"{self._seed} {state}"))
        known = hash(frozenset(dict(part).items()))
        if known in self._built:
            return None
        self._built.add(known)
        target.unlink(missing_ok=True)  # a new file: nothing that was known of the old one is true of it
        _copy_sparse(self._durable_path, target)
        with target.open("r+b") as file:
            self._apply(file, part)
        return since.stop

    def _some(self, numbers: Sequence[int], rng: random.Random) -> Iterator[tuple[int, bytes]]:
        """Yield what the disk got round to, in an order of its own: blocks, one of them perhaps torn."""
        pieces = list(itertools.chain.from_iterable(self._pieces(self._entries[number]) for number in numbers))
        share = rng.choice((0.1, 0.5, 0.5, 0.9))
        kept = [piece for piece in pieces if rng.random() < share]
        if pieces and rng.random() < 0.5:
            place, data = rng.choice(pieces)
            torn = SECTOR_BYTES * rng.randrange(1, max(2, len(data) // SECTOR_BYTES))
            kept.append((place, data[:torn]) if rng.random() < 0.5 else (place + torn, data[torn:]))
        # A block that was written twice holds either: the order of the two is the disk's.
        rng.shuffle(kept)
        yield from kept

    def _pieces(self, entry: Entry) -> Iterator[tuple[int, bytes]]:
        place, size = entry.data
        self._log.seek(place)
        data = self._log.read(size)
        for begin in range(0, size, BLOCK_BYTES):
            yield entry.sector * SECTOR_BYTES + begin, data[begin : begin + BLOCK_BYTES]

    def _apply(self, file: BinaryIO, pieces: Iterable[tuple[int, bytes]]) -> None:
        for place, data in pieces:
            file.seek(place)
            file.write(data)


def _copy_sparse(source: Path, target: Path) -> None:
    """Copy what a sparse file holds, and leave its holes."""
    with source.open("rb") as old, target.open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        place = 0
        while place < size:
            try:
                place = os.lseek(old.fileno(), place, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return
            hole = os.lseek(old.fileno(), place, os.SEEK_HOLE)
            while place < hole:
                place += os.copy_file_range(old.fileno(), new.fileno(), hole - place, place, place)
