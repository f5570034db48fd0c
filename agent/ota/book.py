"""Where the present update stands, on the disk before anything is done because of it. Owns the file `update.json`."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import msgspec

from agent.errors import Corrupt
from agent.foundation.decoding import UNREADABLE
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.ota.lifecycle import Details, Event, Post, Record, after, queued

FILE_NAME = "update.json"
FILE_BYTES_MAX = 64 * 1024

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Book:
    """The record of one hub's updates. All methods that await may raise `StorageFull`: nothing has changed then."""

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker) -> None:
        self._path = directory / FILE_NAME
        self._disk = disk
        self._worker = worker
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        self.record = Record()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each change."""
        self._listeners.append(listener)

    async def load(self) -> Path | None:
        """Read the file; return where an unreadable one was put aside."""

        def read() -> tuple[Record, Path | None]:
            try:
                data = self._disk.read(self._path, bytes_max=FILE_BYTES_MAX)
                return (Record() if data is None else _decode(data)), None
            except (Corrupt, *UNREADABLE):
                return Record(), self._disk.quarantine(self._path)

        self.record, aside = await self._worker.run(read)
        return aside

    async def advance(self, event: Event, **details: Unpack[Details]) -> Record:
        """Let an event happen; durable on return.

        Args:
            event: What happens.
            details: As `lifecycle.after` takes them.

        Raises:
            ValueError: It cannot happen now.
        """
        return await self._change(lambda record: after(record, event, **details))

    async def hold(self, is_held: bool) -> Record:
        """Keep updates from beginning, or let them."""
        return await self._change(lambda record: msgspec.structs.replace(record, is_held=is_held))

    async def refund(self) -> Record:
        """Note that this start of the trial does not count; of an app, the launcher has to be told as well."""

        def without(record: Record) -> Record:
            return msgspec.structs.replace(record, refunds=record.refunds + 1, starts=max(0, record.starts - 1))

        return await self._change(without)

    async def forget_refusals(self) -> Record:
        """Let everything be offered once more: a technician says so."""
        return await self._change(lambda record: msgspec.structs.replace(record, refusals=()))

    async def told(self, post: Post) -> None:
        """Note that the cloud knows. Of progress, the file learns with the next change: told twice, it is harmless."""

        def without(record: Record) -> Record:
            posts = tuple(each for each in record.posts if each != post)
            return msgspec.structs.replace(record, posts=posts)

        if post.progress_percent is not None:
            self.record = without(self.record)
        else:
            await self._change(without)

    def progress(self, post: Post) -> None:
        """Have progress told; it is not worth a write."""
        self.record = msgspec.structs.replace(self.record, posts=queued(self.record.posts, post))
        self._tell()

    async def _change(self, change: Callable[[Record], Record]) -> Record:
        async with self._lock:
            record = change(self.record)
            if record != self.record:
                data = _encode(record)
                await self._worker.run(lambda: self._disk.write(self._path, data))
                self.record = record
        self._tell()
        return record

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
