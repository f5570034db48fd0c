"""One JSON file of the state directory that must not be lost: a checksum in it, and a last good copy beside it.

Owns what is said of such a file where it is not as it was written. An error of the medium is not taken for an error of
the content: what the disk does not give now is asked for again before it is put aside, and not written over until then.
Must never keep the hub from starting: reading raises nothing.
"""

import asyncio
import contextlib
import hashlib
import logging
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

READ_AGAIN_S = 10.0
READS_MAX = 6
"""A card that hangs for a minute is given that minute; what it does not give then is put aside."""

_HEAD = b'{"sha256":"'
_TAIL = b'"'
_HEX = 64

CHECKSUM_BYTES = len(_HEAD) + _HEX + len(_TAIL) + 1
"""What the checksum adds to a file."""


def add_checksum(data: bytes) -> bytes:
    """Return a JSON object with the SHA-256 of itself as its first member: releases that know none leave it out."""
    if not data.startswith(b"{"):
        raise ValueError("only a JSON object can be sealed")
    rest = data[1:]
    comma = b"" if rest.strip() == b"}" else b","
    return _HEAD + hashlib.sha256(data).hexdigest().encode() + _TAIL + comma + rest


def strip_checksum(data: bytes) -> bytes:
    """Return the JSON object that was sealed; one without a checksum (of an older release) as it is.

    Raises:
        Corrupt: The checksum is that of something else.
    """
    if not data.startswith(_HEAD):
        return data
    digest, rest = data[len(_HEAD) :][:_HEX], data[len(_HEAD) + _HEX + len(_TAIL) :]
    content = b"{" + rest.removeprefix(b",")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise Corrupt("its checksum is not that of its content; whoever changes it by hand removes the checksum")
    return content


class DurableFile(Generic[T]):
    """The file, its copy, and what is wrong with them. All methods but `settle` block.

    Attributes:
        path: Where the file lies; its copy lies beside it.
        problem: What was wrong when it was read, and what is in force instead; empty where nothing was.
        is_secret: Nobody but this user may read it.
        is_unread: The disk did not give it: nothing is written until it does, or the file is put aside.
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
    ) -> None:
        """Prepare; nothing is read.

        Args:
            path: The file.
            disk: Reads and writes.
            bytes_max: What is read at the most.
            decode: Makes sense of the JSON; raises `Corrupt` or one of `DECODE_ERRORS`.
            loss: What it means for people where nothing is left of it: "the zones begin anew".
            is_secret: Let nobody but this user read it.
            written_bytes_max: What is written at the most, where that is less than what is read.
        """
        self.path = path
        self._copy = path.with_name(path.name + COPY_SUFFIX)
        self._disk = disk
        self._bytes_max = bytes_max
        self._written_bytes_max = written_bytes_max or bytes_max
        self._decode = decode
        self._loss = loss
        self.is_secret = is_secret
        self._reads = 0
        self._copy_problem = ""
        self.problem = ""
        self.is_unread = True

    def read(self) -> T | None:
        """Return the content; that of the copy where the file is missing, broken or not given; `None` for neither."""
        self.is_unread, self.problem = False, ""
        try:
            found = self._look(self.path)
        except ReadFailed as error:
            self.is_unread, self._reads = True, 1
            why = str(error)
        except (Corrupt, *DECODE_ERRORS) as error:
            why = f"{self.path.name} could not be read ({error}); {self._disk.try_quarantine(self.path)}"
        else:
            if found is not None:
                data, value = found
                self._renew_copy(data)
                return value
            why = ""
        return self._read_copy(why)

    def _read_copy(self, why: str) -> T | None:
        """Return the content of the copy, and say what is the matter; ``why`` is empty where the file is missing."""
        until = " until it can" if self.is_unread else ""
        try:
            found = self._look(self._copy)
        except ReadFailed as error:
            self.is_unread, self._reads = True, 1
            text = f"neither can its copy ({error}): {self._loss} until one of them can"
        except (Corrupt, *DECODE_ERRORS) as error:
            aside = self._disk.try_quarantine(self._copy)
            text = f"its copy could not be read either ({error}; {aside}): {self._loss}{until}"
        else:
            if found is not None:
                data, value = found
                self._say(why, f"its last good copy is in force{until}")
                if not self.is_unread:
                    with contextlib.suppress(OSError, StorageFull):
                        self._disk.write(self.path, data, is_secret=self.is_secret)
                return value
            if not why:
                return None
            text = f"there is no copy of it: {self._loss}{until}"
        self._say(why, text)
        return None

    def read_again(self) -> T | None:
        """Try once more what the disk did not give; return it, or `None` where there is nothing.

        After `READS_MAX` times it is put aside, where the disk can do that much: from then on it is written anew.
        """
        try:
            found = self._look(self.path)
        except ReadFailed as error:
            self._reads += 1
            if self._reads < READS_MAX:
                return None
            with contextlib.suppress(OSError):
                aside = self._disk.quarantine(self.path)
                self.is_unread = False
                self._say(f"{error}; {self._reads} times in a row", f"it is kept as {aside.name}: {self._loss}")
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

    async def settle(self, worker: Worker, take_up: Callable[[T], None]) -> None:
        """Go on asking for what the disk did not give, and have it taken up; return at once where nothing is open."""
        while self.is_unread:
            await asyncio.sleep(READ_AGAIN_S)
            value = await worker.run(self.read_again)
            if value is not None:
                take_up(value)

    def write(self, data: bytes) -> None:
        """Replace the content, durably, then that of the copy.

        Raises:
            StorageFull: No room, the content is larger than what is read, or the present one was not read yet.
            OSError: The disk failed in another way.
        """
        data = add_checksum(data)
        if len(data) > self._written_bytes_max:
            allowed = f"the {self._written_bytes_max:,} bytes that are read again"
            raise StorageFull(f"{self.path} would have {len(data):,} bytes, more than {allowed}; the old content stays")
        if self.is_unread:
            raise StorageFull(f"{self.path} is not written before the disk has given what it holds; check the disk")
        self._disk.write(self.path, data, is_secret=self.is_secret)
        self._write_copy(data)

    def _look(self, path: Path) -> tuple[bytes, T] | None:
        data = self._disk.read(path, bytes_max=self._bytes_max)
        return None if data is None else (data, self._decode(strip_checksum(data)))

    def _renew_copy(self, data: bytes) -> None:
        """See to it that there is a copy: of a file of an older release, or where a write was cut short."""
        with contextlib.suppress(ReadFailed):
            try:
                is_current = self._disk.read(self._copy, bytes_max=self._bytes_max) == data
            except Corrupt:
                self._disk.try_quarantine(self._copy)
                is_current = False
            if not is_current:
                self._write_copy(data)

    def _write_copy(self, data: bytes) -> None:
        """Write the copy; that it cannot be written costs nothing but the copy."""
        try:
            self._disk.write(self._copy, data, is_secret=self.is_secret)
        except (OSError, StorageFull) as error:
            if not self._copy_problem:
                _log.warning("%s has no new copy: %s", self.path.name, error)
            self._copy_problem = str(error)
        else:
            self._copy_problem = ""

    def _say(self, why: str, what: str) -> None:
        self.problem = f"{why or f'{self.path.name} is missing'}; {what}"
        _log.error("%s", self.problem)
