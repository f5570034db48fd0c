"""How far the outbox had come, noted beside it: so that an outbox that was lost, or lost its latest commits, is missed.

Owns the file `outbox.tally`: a few bytes of mapped memory, which the kernel writes when it likes, so that it costs no
sync. After a power cut it may be older than the outbox, never newer than what was promised: it never cries wolf, and
may count too few. Must never cost a reading: without it, everything goes on.
"""

import logging
import mmap
import os
import struct
import zlib
from pathlib import Path

import msgspec

_log = logging.getLogger(__name__)

FILE_NAME = "outbox.tally"

_FORM = struct.Struct("<8sQQ")
_SEAL = struct.Struct("<I")
_MAGIC = b"tally  1"
_BYTES = _FORM.size + _SEAL.size


class HighWaterMark(msgspec.Struct, frozen=True):
    """How far the outbox had come.

    Attributes:
        seq: The highest number that a durable commit has given.
        pending: Readings that it held, promised and not yet accepted.
    """

    seq: int = 0
    pending: int = 0


class HighWaterMarkFile:
    """The file. All methods are for the outbox's worker; none raises."""

    def __init__(self, path: Path) -> None:
        """Read what the last life noted."""
        self._memory = _mapped(path)
        self.found = HighWaterMark()
        if self._memory is not None:
            content = bytes(self._memory)
            magic, seq, pending = _FORM.unpack_from(content)
            if magic == _MAGIC and _SEAL.unpack_from(content, _FORM.size) == (zlib.crc32(content[: _FORM.size]),):
                self.found = HighWaterMark(seq, pending)

    def note(self, seq: int, pending: int) -> None:
        """Note how far the outbox has come."""
        if self._memory is not None:
            content = _FORM.pack(_MAGIC, seq, max(0, pending))
            self._memory[:] = content + _SEAL.pack(zlib.crc32(content))

    def close(self) -> None:
        """Unmap the file."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def lost_readings(noted: HighWaterMark, *, seq: int, pending: int) -> int:
    """Return how many promised readings an outbox lacks, about: 0 where it is as new as what was noted.

    Args:
        noted: By the last life.
        seq: The highest number that the outbox knows.
        pending: Readings that it holds.
    """
    return max(0, noted.pending - pending) if seq < noted.seq else 0


def _mapped(path: Path) -> mmap.mmap | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "r+b") as file:
            if os.fstat(descriptor).st_size != _BYTES:
                os.ftruncate(descriptor, _BYTES)
            # A page that the file system has no room for would end the process (SIGBUS, mmap(2)) when it is written.
            os.posix_fallocate(descriptor, 0, _BYTES)
            return mmap.mmap(file.fileno(), _BYTES)
    except (OSError, ValueError) as error:
        _log.debug("no tally of the outbox: %s: %s", path, error)
        return None
