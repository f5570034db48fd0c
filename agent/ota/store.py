"""The record of the present update, on the disk before anything is done because of it. Owns the file `update.json`."""

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import msgspec

from agent.foundation.disk import Disk
from agent.foundation.durable_file import CHECKSUM_BYTES
from agent.foundation.json_store import JsonStore
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
"""Releases up to 0.1 read no larger file."""
FILE_BYTES_MAX = 4 * WRITTEN_BYTES_MAX
"""Releases up to 0.1 have written versions and reasons of any length."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UpdateRecord).decode


class UpdateStore:
    """The record of one hub's updates. Each awaited change raises `StorageFull` where it has not happened."""

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker) -> None:
        self._store = JsonStore(
            directory / FILE_NAME,
            UpdateRecord(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            written_bytes_max=WRITTEN_BYTES_MAX,
            decode=lambda data, _: _decode(data),
            encode=_encode,
            shrink=fit_to_limit,
            loss="refused offers may be taken again, and paused updates continue",
        )

    @property
    def record(self) -> UpdateRecord:
        """The present record."""
        return self._store.value

    @property
    def is_record_lost(self) -> bool:
        """Whether the file and its copy were lost: what was under way before is unknown."""
        return self._store.is_lost

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each change."""
        self._store.on_change(lambda _: listener())

    async def load(self) -> str:
        """Read the file, as often as the disk needs; return what was wrong with it, empty for nothing."""
        await self._store.load_patiently()
        return self._store.problem

    async def advance(self, event: UpdateEvent, **details: Unpack[EventDetails]) -> UpdateRecord:
        """Apply an event; durable on return.

        Args:
            event: What happened.
            details: As `lifecycle.transition` takes them.

        Raises:
            ValueError: It cannot happen in the present state.
        """
        return await self._store.commit(lambda record: transition(record, event, **details))

    async def set_paused(self, is_paused: bool) -> UpdateRecord:
        """Pause updates, or let them continue."""
        return await self._store.commit(lambda record: msgspec.structs.replace(record, is_paused=is_paused))

    async def save_keyring(self, keyring: Keyring) -> UpdateRecord:
        """Keep a copy of the keyring."""
        return await self._store.commit(lambda record: msgspec.structs.replace(record, keyring=keyring))

    async def uncount_start(self) -> UpdateRecord:
        """Record that this start of the trial does not count; for an app, the launcher needs the same."""

        def without(record: UpdateRecord) -> UpdateRecord:
            return msgspec.structs.replace(
                record, uncounted_starts=record.uncounted_starts + 1, starts=max(0, record.starts - 1)
            )

        return await self._store.commit(without)

    async def record_download(self, utc_ms: int) -> UpdateRecord:
        """Count a download request, so that it counts after a restart of the machine as well.

        Args:
            utc_ms: When; 0 where the time is unknown.
        """
        return await self._store.commit(
            lambda record: msgspec.structs.replace(
                record, downloads_utc_ms=(*record.downloads_utc_ms, utc_ms)[-DOWNLOADS_MAX:]
            )
        )

    async def clear_refusals(self) -> UpdateRecord:
        """Let every refused offer be taken again."""
        return await self._store.commit(lambda record: msgspec.structs.replace(record, refusals=()))

    async def mark_reported(self, report: StatusReport) -> None:
        """Remove a report that the cloud has. Progress is removed in memory only: it may be reported twice."""

        def without(record: UpdateRecord) -> UpdateRecord:
            return msgspec.structs.replace(record, reports=tuple(each for each in record.reports if each != report))

        if report.progress_percent is not None:
            await self._store.apply_in_memory(without)
        else:
            await self._store.commit(without)

    def report_progress(self, report: StatusReport) -> None:
        """Have progress reported; not worth a write."""
        record = self.record
        self._store.set_in_memory(msgspec.structs.replace(record, reports=append_report(record.reports, report)))


def fit_to_limit(record: UpdateRecord) -> UpdateRecord:
    """Return a record that fits the file: without the oldest reports, then without the oldest refusals."""
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
