"""The outbox's high-water mark, in a file beside it: shows when an outbox was lost, or lost its latest commits.

Owns the file `outbox.tally`: a few bytes of mapped memory. The kernel writes them in its own time, so the mark costs no
sync. After a power cut the mark may be older than the outbox, but never newer than the last durable commit: it reports
an outbox as lost only where it was, and may report too few readings. Readings accepted since the latest operation on
the outbox still count as waiting in it, so the number reported lost can include those. Must never cost a reading:
without the file, everything goes on.
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

_LAYOUT = struct.Struct("<8sQQ")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"tally  1"
_FILE_BYTES = _LAYOUT.size + _CHECKSUM.size


class HighWaterMark(msgspec.Struct, frozen=True):
    """How far an outbox had come.

    Attributes:
        seq: The highest blob number of a durable commit.
        pending: Readings that were stored and not yet accepted.
    """

    seq: int = 0
    pending: int = 0


class HighWaterMarkFile:
    """The file. All methods run on the outbox's worker; none raises.

    Attributes:
        found: The mark that the last process left.
    """

    def __init__(self, path: Path) -> None:
        """Read the mark of the last process."""
        self._memory = _mapped(path)
        self.found = HighWaterMark()
        if self._memory is not None:
            content = bytes(self._memory)
            magic, seq, pending = _LAYOUT.unpack_from(content)
            (checksum,) = _CHECKSUM.unpack_from(content, _LAYOUT.size)
            if magic == _MAGIC and checksum == zlib.crc32(content[: _LAYOUT.size]):
                self.found = HighWaterMark(seq, pending)

    def write(self, seq: int, pending: int) -> None:
        """Store how far the outbox has come."""
        if self._memory is not None:
            content = _LAYOUT.pack(_MAGIC, seq, max(0, pending))
            self._memory[:] = content + _CHECKSUM.pack(zlib.crc32(content))

    def close(self) -> None:
        """Unmap the file."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def lost_readings(mark: HighWaterMark, *, seq: int, pending: int) -> int:
    """Return about how many stored readings an outbox has lost: 0 where it is as new as its mark.

    Args:
        mark: Of the last process.
        seq: The highest blob number in the file.
        pending: Readings in the file.
    """
    return max(0, mark.pending - pending) if seq < mark.seq else 0


def _mapped(path: Path) -> mmap.mmap | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "r+b") as file:
            if os.fstat(descriptor).st_size != _FILE_BYTES:
                os.ftruncate(descriptor, _FILE_BYTES)
            # A page that the file system has no room for would end the process (SIGBUS, mmap(2)) when it is written.
            os.posix_fallocate(descriptor, 0, _FILE_BYTES)
            return mmap.mmap(file.fileno(), _FILE_BYTES)
    except (OSError, ValueError) as error:
        _log.debug("no high-water mark of the outbox: %s: %s", path, error)
        return None
