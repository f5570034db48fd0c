"""Where the present update stands, on the disk before anything is done because of it. Owns the file `update.json`."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import msgspec

from agent.foundation.disk import Disk
from agent.foundation.durable_file import CHECKSUM_BYTES, DurableFile
from agent.foundation.worker import Worker
from agent.ota.keyring import Keyring
from agent.ota.lifecycle import (
    DOWNLOADS_MAX,
    EventDetails,
    StatusReport,
    UpdateEvent,
    UpdateRecord,
    append_report,
    transition,
)
from agent.ota.manifest import VERSION_CHARS_MAX, Offer

FILE_NAME = "update.json"
WRITTEN_BYTES_MAX = 64 * 1024
"""What is written: releases up to 0.1 read no more than this."""
FILE_BYTES_MAX = 4 * WRITTEN_BYTES_MAX
"""What is read: releases up to 0.1 have written versions and reasons of any length."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UpdateRecord).decode


class UpdateStore:
    """The record of one hub's updates. All methods that await may raise `StorageFull`: nothing has changed then.

    Attributes:
        record: The present one.
        is_record_lost: What was under way before is not known, the file and its copy being lost.
    """

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker) -> None:
        self._file = DurableFile(
            directory / FILE_NAME,
            disk=disk,
            bytes_max=FILE_BYTES_MAX,
            written_bytes_max=WRITTEN_BYTES_MAX,
            decode=_decode,
            loss="which offers were refused, and whether updates are held, is forgotten",
        )
        self._worker = worker
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        self.record = UpdateRecord()
        self.is_record_lost = False

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each change."""
        self._listeners.append(listener)

    async def load(self) -> str:
        """Read the file, as long as the disk needs for that; return what was wrong with it, empty for nothing."""
        found = await self._worker.run(self._file.read)
        read: list[UpdateRecord] = [] if found is None else [found]
        await self._file.settle(self._worker, read.append)
        self.is_record_lost = bool(self._file.problem) and not read
        self.record = read[-1] if read else UpdateRecord()
        return self._file.problem

    async def advance(self, event: UpdateEvent, **details: Unpack[EventDetails]) -> UpdateRecord:
        """Let an event happen; durable on return.

        Args:
            event: What happens.
            details: As `lifecycle.after` takes them.

        Raises:
            ValueError: It cannot happen now.
        """
        return await self._change(lambda record: transition(record, event, **details))

    async def set_paused(self, is_paused: bool) -> UpdateRecord:
        """Keep updates from beginning, or let them."""
        return await self._change(lambda record: msgspec.structs.replace(record, is_paused=is_paused))

    async def save_keyring(self, keyring: Keyring) -> UpdateRecord:
        """Keep a copy of the keyring."""
        return await self._change(lambda record: msgspec.structs.replace(record, keyring=keyring))

    async def uncount_start(self) -> UpdateRecord:
        """Note that this start of the trial does not count; of an app, the launcher has to be told as well."""

        def without(record: UpdateRecord) -> UpdateRecord:
            return msgspec.structs.replace(
                record, uncounted_starts=record.uncounted_starts + 1, starts=max(0, record.starts - 1)
            )

        return await self._change(without)

    async def record_download(self, utc_ms: int) -> UpdateRecord:
        """Count a request for a download, so that a restart of the machine does not forget it.

        Args:
            utc_ms: When; 0 where the time is not known.
        """
        return await self._change(
            lambda record: msgspec.structs.replace(
                record, downloads_utc_ms=(*record.downloads_utc_ms, utc_ms)[-DOWNLOADS_MAX:]
            )
        )

    async def clear_refusals(self) -> UpdateRecord:
        """Let everything be offered once more: a technician says so."""
        return await self._change(lambda record: msgspec.structs.replace(record, refusals=()))

    async def mark_reported(self, report: StatusReport) -> None:
        """Note that the cloud knows. Of progress, the file learns with the next change: told twice, it is harmless."""

        def without(record: UpdateRecord) -> UpdateRecord:
            reports = tuple(each for each in record.reports if each != report)
            return msgspec.structs.replace(record, reports=reports)

        if report.progress_percent is not None:
            self.record = without(self.record)
        else:
            await self._change(without)

    def report_progress(self, report: StatusReport) -> None:
        """Have progress told; it is not worth a write."""
        self.record = msgspec.structs.replace(self.record, reports=append_report(self.record.reports, report))
        self._tell()

    async def _change(self, change: Callable[[UpdateRecord], UpdateRecord]) -> UpdateRecord:
        async with self._lock:
            record = change(self.record)
            if record != self.record:
                data = _encode(fit_to_limit(record))
                await self._worker.run(lambda: self._file.write(data))
                self.record = record
        self._tell()
        return record

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def fit_to_limit(record: UpdateRecord) -> UpdateRecord:
    """Return a record as far as it fits the file: what was to be told goes first, then the oldest refusals."""
    while len(_encode(record)) > WRITTEN_BYTES_MAX - CHECKSUM_BYTES:
        if record.reports:
            record = msgspec.structs.replace(record, reports=record.reports[1:])
        elif record.refusals:
            record = msgspec.structs.replace(record, refusals=record.refusals[1:])
        elif len(record.offer.version) > VERSION_CHARS_MAX and not record.is_open:
            record = msgspec.structs.replace(record, offer=Offer(""), error="")
        else:
            break
    return record
