"""One JSON file of the state directory that must not be lost: it contains a checksum and has a last good copy.

Owns the messages about such a file that is not as it was written. An error of the medium is no error of the content:
what cannot be read now is read again before it is put aside, and is not overwritten until then. Must never keep the hub
from starting: reading raises nothing.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

T = TypeVar("T")

COPY_SUFFIX = ".copy"
MARKER_SUFFIX = ".made"
"""Of an empty file that is written once: where a file and its copy are missing, it tells a loss from a new hub."""

READ_RETRY_S = 10.0
READS_MAX = 6
"""A card may hang for a minute; a file that still cannot be read then is put aside."""

_HEAD = b'{"sha256":"'
_TAIL = b'"'
_HEX = 64

CHECKSUM_BYTES = len(_HEAD) + _HEX + len(_TAIL) + 1
"""What the checksum adds to a file."""


def add_checksum(data: bytes) -> bytes:
    """Return a JSON object with the SHA-256 of itself as its first member; releases without checksums ignore it."""
    if not data.startswith(b"{"):
        raise ValueError("only a JSON object can be sealed")
    rest = data[1:]
    comma = b"" if rest.strip() == b"}" else b","
    return _HEAD + hashlib.sha256(data).hexdigest().encode() + _TAIL + comma + rest


def strip_checksum(data: bytes) -> bytes:
    """Return the JSON object without its checksum; one of an older release, which has none, is returned as it is.

    Raises:
        Corrupt: The checksum does not match.
    """
    if not data.startswith(_HEAD):
        return data
    digest, rest = data[len(_HEAD) :][:_HEX], data[len(_HEAD) + _HEX + len(_TAIL) :]
    content = b"{" + rest.removeprefix(b",")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise Corrupt("its checksum does not match its content; remove the checksum after a manual change")
    return content


class DurableFile(Generic[T]):
    """The file, its copy, and what is wrong with them. All methods but `settle` block.

    Attributes:
        path: Where the file lies; its copy lies beside it.
        problem: What was wrong when it was read, and what is in force instead; empty where nothing was.
        is_secret: Only this user may read it.
        is_unread: It could not be read: nothing is written until it is read, or put aside.
    """

    def __init__(
        self,
        path: Path,
        *,
        disk: Disk,
        bytes_max: int,
        decode: Callable[[bytes], T],
        loss: str,
        is_secret: bool = False,
        written_bytes_max: int | None = None,
        drops_stale_copy: bool = False,
    ) -> None:
        """Prepare; nothing is read.

        Args:
            path: The file.
            disk: Reads and writes.
            bytes_max: The largest file that is read.
            decode: Makes the value from the JSON; raises `Corrupt` or one of `DECODE_ERRORS`.
            loss: What it means for people that nothing is left: "the zones start from their defaults".
            is_secret: Let only this user read it.
            written_bytes_max: The largest file that is written, where that is less than what is read.
            drops_stale_copy: Remove a copy that cannot be renewed: older content in force would be worse than none, as
                it would make a revoked token valid again.
        """
        self.path = path
        self._copy = path.with_name(path.name + COPY_SUFFIX)
        self._marker = path.with_name(path.name + MARKER_SUFFIX)
        self._is_marked = False
        self._disk = disk
        self._bytes_max = bytes_max
        self._written_bytes_max = written_bytes_max or bytes_max
        self._decode = decode
        self._loss = loss
        self.is_secret = is_secret
        self._drops_stale_copy = drops_stale_copy
        self._reads = 0
        self._copy_problem = ""
        self.problem = ""
        self.is_unread = True

    def read(self) -> T | None:
        """Return the content, or that of the copy where the file is missing or unreadable; `None` for neither."""
        self.is_unread, self.problem = False, ""
        try:
            found = self._read_from(self.path)
        except ReadFailed as error:
            self.is_unread, self._reads = True, 1
            reason = str(error)
        except (Corrupt, *DECODE_ERRORS) as error:
            reason = f"{self.path.name} could not be read ({error}); {self._disk.try_quarantine(self.path)}"
        else:
            if found is not None:
                data, value = found
                self._renew_copy(data)
                return value
            reason = ""
        return self._read_copy(reason)

    def _read_copy(self, reason: str) -> T | None:
        """Return the content of the copy and report the problem; ``reason`` is empty where the file is missing."""
        until = " until it can" if self.is_unread else ""
        try:
            found = self._read_from(self._copy)
        except ReadFailed as error:
            self.is_unread, self._reads = True, 1
            text = f"neither can its copy ({error}): {self._loss} until one of them can"
        except (Corrupt, *DECODE_ERRORS) as error:
            aside = self._disk.try_quarantine(self._copy)
            text = f"its copy could not be read either ({error}; {aside}): {self._loss}{until}"
        else:
            if found is not None:
                data, value = found
                self._report(reason, f"its last good copy is in force{until}")
                if not self.is_unread:
                    with contextlib.suppress(OSError, StorageFull):
                        self._disk.write(self.path, data, is_secret=self.is_secret)
                return value
            if not reason and not os.path.lexists(self._marker):
                return None
            text = f"there is no copy of it: {self._loss}{until}"
        self._report(reason, text)
        return None

    def read_again(self) -> T | None:
        """Try again to read the file; return its value, or `None` where there is none.

        After `READS_MAX` attempts it is put aside, if the disk allows that, and a new file is written from then on.
        """
        try:
            found = self._read_from(self.path)
        except ReadFailed as error:
            self._reads += 1
            if self._reads < READS_MAX:
                return None
            with contextlib.suppress(OSError):
                aside = self._disk.quarantine(self.path)
                self.is_unread = False
                self._report(f"{error}; tried {self._reads} times", f"it is kept as {aside.name}: {self._loss}")
            return None
        except (Corrupt, *DECODE_ERRORS):
            return self.read()
        self.is_unread = False
        if found is None:
            return self.read()
        _log.info("%s can be read now", self.path.name)
        self.problem = ""
        self._renew_copy(found[0])
        return found[1]

    async def settle(self, worker: Worker, on_read: Callable[[T], None]) -> None:
        """Read again until the file is read or put aside, and pass its value on; return at once if it was read."""
        while self.is_unread:
            await asyncio.sleep(READ_RETRY_S)
            value = await worker.run(self.read_again)
            if value is not None:
                on_read(value)

    def write(self, data: bytes) -> None:
        """Replace the content, durably, then that of the copy.

        Raises:
            StorageFull: No space, the content is too large to be read again, or the present content was not read yet.
            OSError: The disk failed in another way.
        """
        data = add_checksum(data)
        if len(data) > self._written_bytes_max:
            allowed = f"the {self._written_bytes_max:,} bytes that are read again"
            raise StorageFull(f"{self.path} would have {len(data):,} bytes, more than {allowed}; the old content stays")
        if self.is_unread:
            raise StorageFull(f"{self.path} is not written before its present content has been read; check the disk")
        self._disk.write(self.path, data, is_secret=self.is_secret)
        self._write_copy(data)
        self._mark()

    def _read_from(self, path: Path) -> tuple[bytes, T] | None:
        data = self._disk.read(path, bytes_max=self._bytes_max)
        return None if data is None else (data, self._decode(strip_checksum(data)))

    def _renew_copy(self, data: bytes) -> None:
        """Ensure that there is a copy: of a file of an older release, or after an interrupted write."""
        with contextlib.suppress(ReadFailed):
            try:
                is_current = self._disk.read(self._copy, bytes_max=self._bytes_max) == data
            except Corrupt:
                self._disk.try_quarantine(self._copy)
                is_current = False
            if not is_current:
                self._write_copy(data)
        self._mark()

    def _mark(self) -> None:
        """Record that the file was written once; a failure costs only that a loss of file and copy goes unnoticed."""
        if not self._is_marked:
            with contextlib.suppress(OSError, StorageFull):
                if not os.path.lexists(self._marker):
                    self._disk.write(self._marker, b"")
                self._is_marked = True

    def _write_copy(self, data: bytes) -> None:
        """Write the copy; a failure costs nothing but the copy."""
        try:
            self._disk.write(self._copy, data, is_secret=self.is_secret)
        except (OSError, StorageFull) as error:
            if not self._copy_problem:
                _log.warning("%s has no new copy: %s", self.path.name, error)
            self._copy_problem = str(error)
            if self._drops_stale_copy:
                with contextlib.suppress(OSError):
                    self._disk.remove(self._copy)
        else:
            self._copy_problem = ""

    def _report(self, reason: str, effect: str) -> None:
        self.problem = f"{reason or f'{self.path.name} is missing'}; {effect}"
        _log.error("%s", self.problem)
