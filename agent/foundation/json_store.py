"""One value that is kept as a JSON file: load, validate, quarantine, save, notify.

Built on `durable_file`: the file has a checksum and a last good copy. Must never keep the hub from starting: loading
raises nothing, and what cannot be read is put aside, reported in `problem` and replaced by the default.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from agent.errors import StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import CHECKSUM_BYTES, DurableFile
from agent.foundation.lenient_json import decode_leniently
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

T = TypeVar("T")

Change = Callable[[T], T]
"""Returns the next value; must not change the one it is given."""


class JsonStore(Generic[T]):
    """A value, its file, and what is wrong with the file.

    More than ten members: some only show the state of the file, and changes differ in how durable they are: `commit`
    (on the disk, or it has not happened), `apply` (it has happened; the disk follows when it can), `apply_in_memory`
    and `set_in_memory` (it is learnt again after a restart), `save_blocking` (before the loop runs, or on a worker).

    Attributes:
        value: What is in force.
        problem: What was wrong with the file when it was read, and what is in force instead; empty where nothing was.
        save_problem: Why the last change is not on the disk yet; empty where it is.
    """

    def __init__(
        self,
        path: Path,
        default: T,
        *,
        disk: Disk,
        worker: Worker,
        bytes_max: int,
        loss: str,
        decode: Callable[[bytes, list[str]], T] | None = None,
        encode: Callable[[T], bytes] = msgspec.json.encode,
        shrink: Callable[[T], T] | None = None,
        written_bytes_max: int | None = None,
        is_secret: bool = False,
        drops_stale_copy: bool = False,
    ) -> None:
        """Prepare; nothing is read, and `value` is the default.

        Args:
            path: The file.
            default: The value where there is no file, or none that can be read.
            disk: Reads and writes.
            worker: Where reading and writing block; `InlineWorker` for a caller that may block.
            bytes_max: The largest file that is read.
            loss: What it means for people that nothing can be read: "the zones start from their defaults".
            decode: Makes the value from JSON and adds to the list what had to be left out; raises `Corrupt` or one of
                `DECODE_ERRORS`. By default every element of the default's type is decoded alone.
            encode: Makes one JSON object of the value.
            shrink: Returns the part of a value that must not be lost, for one that is too large to be written.
            written_bytes_max: The largest file that is written, where that is less than what is read.
            is_secret: Let nobody but this user read the file.
            drops_stale_copy: See `DurableFile`.
        """
        kind = type(default)
        self.value = default
        self.problem = ""
        self.save_problem = ""
        self._is_found = False
        self._is_read = False
        self._left_out: list[str] = []
        decode = decode or (lambda data, left_out: _decode_as(kind, data, left_out))
        self._file = DurableFile(
            path,
            disk=disk,
            bytes_max=bytes_max,
            decode=lambda data: decode(data, self._left_out),
            loss=loss,
            is_secret=is_secret,
            written_bytes_max=written_bytes_max,
            drops_stale_copy=drops_stale_copy,
        )
        self._worker = worker
        self._encode = encode
        self._shrink = shrink
        self._content_bytes_max = (written_bytes_max or bytes_max) - CHECKSUM_BYTES
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[T], None]] = []

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def is_unread(self) -> bool:
        """Whether `value` does not have what is in the file yet: nothing is written until it has."""
        return not self._is_read

    @property
    def is_lost(self) -> bool:
        """Whether there was a file of which nothing is left: `value` is the default then."""
        return bool(self.problem) and not self._is_found

    def on_change(self, listener: Callable[[T], None]) -> None:
        """Have ``listener`` called with each new value."""
        self._listeners.append(listener)

    def load(self) -> T:
        """Read the file and return the value that is in force now. Blocks."""
        self._left_out.clear()
        found = self._file.read()
        self._is_found = found is not None
        self.problem = self._file.problem
        if found is not None:
            self.value = found
            self._report_left_out()
        # Last: a change that was computed before `value` had the file must not replace the file.
        self._is_read = not self._file.is_unread
        return self.value

    async def load_patiently(self) -> T:
        """Read the file, as often as the disk needs, and return the value that is in force now.

        Changes that come meanwhile wait for the first attempt; after that `commit` refuses them until the file is read.
        """
        async with self._lock:
            await self._worker.run(self.load)
        await self.retry_read(lambda _, found: found)
        return self.value

    async def retry_read(self, merge: Callable[[T, T], T]) -> None:
        """Go on reading a file that the disk did not give; return at once where it was read.

        Args:
            merge: Returns the value to go on with, given the present one and that of the file.
        """
        if not self.is_unread:
            return
        taken: list[T] = []
        self._left_out.clear()
        await self._file.settle(self._worker, taken.append)
        self.problem = self._file.problem
        if taken:
            self._is_found = True
            self._report_left_out()
            self._set(merge(self.value, taken[-1]))
        self._is_read = True

    async def commit(self, change: "Change[T]") -> T:
        """Make a change that something else waits for: it is on the disk when this returns, or it has not happened.

        Raises:
            StorageFull: It has not happened.
        """
        async with self._lock:
            self._check_read()
            value = change(self.value)
            if value != self.value or self.save_problem:
                await self._save(value)
                self.save_problem = ""
                self._set(value)
        return value

    async def apply(self, change: "Change[T]") -> T:
        """Make a change that has happened already: a disk that refuses it does not undo it and gets it later.

        Until the file is read the change is in memory only, and `retry_read` merges it with the file; `load` and
        `load_patiently` drop it.
        """
        async with self._lock:
            was_unread = self.is_unread
            value = change(self.value)
            if value != self.value or self.save_problem:
                # In force before it is saved: a slow disk must not delay what has happened.
                self._set(value)
                try:
                    if was_unread:
                        raise self._unread()
                    await self._save(value)
                except StorageFull as error:
                    if not self.save_problem:
                        _log.warning("%s is not kept over a restart: %s", self.path.name, error)
                    self.save_problem = str(error)
                else:
                    self.save_problem = ""
        return value

    async def rewrite(self) -> None:
        """Write the value in force anew, with its copy; what was wrong with the file is settled then.

        Raises:
            StorageFull: The disk refuses, or has not given the present file yet.
        """
        async with self._lock:
            self._check_read()
            await self._save(self.value)
            self.problem = self.save_problem = ""

    async def apply_in_memory(self, change: "Change[T]") -> T:
        """Make a change that is learnt again after a restart: the disk gets it with the next one."""
        async with self._lock:
            self._set(change(self.value))
        return self.value

    def set_in_memory(self, value: T) -> None:
        """Make ``value`` the value in memory, from a callback that cannot await; a commit in progress replaces it."""
        self._set(value)

    def save_blocking(self, value: T) -> None:
        """Make ``value`` the value, durably. Blocks; for a caller without a loop.

        Raises:
            StorageFull: The disk refuses; the value is in force in memory.
        """
        self._set(value)
        self._write(value)

    def _check_read(self) -> None:
        """Refuse to change a value that does not have what is in the file.

        Raises:
            StorageFull: It does not.
        """
        if self.is_unread:
            raise self._unread()

    def _unread(self) -> StorageFull:
        return StorageFull(f"check the disk: {self.path} is not written before its present content has been read")

    async def _save(self, value: T) -> None:
        await self._worker.run(lambda: self._write(value))

    def _write(self, value: T) -> None:
        data = self._encode(value)
        if self._shrink is not None and len(data) > self._content_bytes_max:
            data = self._encode(self._shrink(value))
        try:
            self._file.write(data)
        except OSError as error:
            raise StorageFull(f"the disk refused to write {self.path} ({error.strerror}); check the disk") from error

    def _set(self, value: T) -> None:
        if value != self.value:
            self.value = value
            for listener in self._listeners:
                listener(value)

    def _report_left_out(self) -> None:
        if self._left_out and not self.problem:
            self.problem = f"{self.path.name}: left out, since it cannot be read: {'; '.join(self._left_out)}"
            _log.error("%s", self.problem)


def _decode_as(kind: type[T], data: bytes, left_out: list[str]) -> T:
    value, lost = decode_leniently(data, kind)
    left_out += lost
    return value
