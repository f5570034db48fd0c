"""What the server needs of its storage, and the storage that forgets: in memory, for demo, CI and simulations.

Must never judge: it keeps records by key and readings by their natural key (device, sensor type, instant), and the
first value of a reading is the one that stays. The readings of a memory store are bounded by memory alone.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from heapq import nsmallest
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from lab.refcloud.contract import SensorType
from lab.refcloud.records import AcceptedReading, ReadingVerdict, StoredRecord

R = TypeVar("R", bound=StoredRecord)


class ReadingKey(NamedTuple):
    """The natural key of a reading; readings are listed in its order."""

    device_id: str
    sensor_type: str
    at_ms: int


class ReadingColumns(msgspec.Struct, frozen=True):
    """Readings as columns of equal length: the hot path makes no object per reading."""

    device_ids: list[str]
    sensor_types: list[SensorType]
    at_ms: list[int]
    values: list[float]


class Store(Protocol):
    """Storage. Every method is short and synchronous; a reference server may hold up its loop that long."""

    def transaction(self) -> AbstractContextManager[object]:
        """Make the writes of the `with` block one, where the storage outlives the process."""
        ...

    def get(self, kind: type[R], key: str) -> R | None:
        """Return the record with this key."""
        ...

    def put(self, record: StoredRecord) -> None:
        """Keep a record, in place of the one with the same key, where there is one."""
        ...

    def shelf(self, kind: type[R], shelf: str) -> Sequence[R]:
        """Return the records of one shelf, in the order in which they came to stand there."""
        ...

    def add_readings(self, columns: ReadingColumns) -> list[ReadingVerdict]:
        """Keep those readings that are new and say for each one what it is."""
        ...

    def readings(self, after: ReadingKey | None, limit: int) -> list[AcceptedReading]:
        """Return at most `limit` readings, in the order of their keys, from the first one behind `after`."""
        ...

    def readings_count(self) -> int:
        """Return how many readings are kept."""
        ...

    def put_image(self, version: str, image: bytes) -> None:
        """Keep a firmware image."""
        ...

    def image(self, version: str, start: int, stop: int) -> bytes:
        """Return a part of a firmware image.

        Raises:
            KeyError: There is none of that version.
        """
        ...

    def close(self) -> None:
        """Give the storage back. Nothing else may be called after."""
        ...


class MemoryStore:
    """A `Store` that ends with the process."""

    def __init__(self) -> None:
        self._records: dict[type[StoredRecord], dict[str, StoredRecord]] = {}
        self._shelves: dict[tuple[type[StoredRecord], str], dict[str, StoredRecord]] = {}
        self._series: dict[tuple[str, str], dict[int, float]] = {}
        self._images: dict[str, bytes] = {}

    def transaction(self) -> AbstractContextManager[object]:
        """Do nothing: who writes has refused beforehand whatever it refuses."""
        return nullcontext()

    def get(self, kind: type[R], key: str) -> R | None:
        """Return the record with this key."""
        found: Any = self._records.get(kind, {}).get(key)
        return found  # type: ignore[no-any-return]  # each dict holds records of its own class only

    def put(self, record: StoredRecord) -> None:
        """Keep a record and move it to its shelf."""
        kind, key, shelf = type(record), record.key, record.shelf
        by_key = self._records.setdefault(kind, {})
        old = by_key.get(key)
        if old is not None and old.shelf != shelf:
            del self._shelves[kind, old.shelf][key]
        by_key[key] = record
        self._shelves.setdefault((kind, shelf), {})[key] = record

    def shelf(self, kind: type[R], shelf: str) -> Sequence[R]:
        """Return the records of one shelf."""
        found: Any = self._shelves.get((kind, shelf), {}).values()
        return list(found)

    def add_readings(self, columns: ReadingColumns) -> list[ReadingVerdict]:
        """Keep those readings that are new."""
        stored, duplicate, conflicting = ReadingVerdict.STORED, ReadingVerdict.DUPLICATE, ReadingVerdict.CONFLICTING
        all_series = self._series
        verdicts: list[ReadingVerdict] = []
        for device_id, sensor_type, at_ms, value in zip(
            columns.device_ids, columns.sensor_types, columns.at_ms, columns.values, strict=True
        ):
            series = all_series.get((device_id, sensor_type))
            if series is None:
                series = all_series[device_id, sensor_type] = {}
            kept = series.get(at_ms)
            if kept is None:
                series[at_ms] = value
                verdicts.append(stored)
            else:
                verdicts.append(duplicate if kept == value else conflicting)
        return verdicts

    def readings(self, after: ReadingKey | None, limit: int) -> list[AcceptedReading]:
        """Return one page of readings."""
        page: list[AcceptedReading] = []
        for device_id, sensor_type in sorted(self._series):
            if after is not None and (device_id, sensor_type) < after[:2]:
                continue
            series = self._series[device_id, sensor_type]
            times = [
                at_ms
                for at_ms in series
                if after is None or (device_id, sensor_type) != after[:2] or at_ms > after.at_ms
            ]
            kind: Any = sensor_type
            page += [
                AcceptedReading(device_id=device_id, sensor_type=kind, at_ms=at_ms, value=series[at_ms])
                for at_ms in nsmallest(limit - len(page), times)
            ]
            if len(page) == limit:
                break
        return page

    def readings_count(self) -> int:
        """Return how many readings are kept."""
        return sum(map(len, self._series.values()))

    def put_image(self, version: str, image: bytes) -> None:
        """Keep a firmware image."""
        self._images[version] = image

    def image(self, version: str, start: int, stop: int) -> bytes:
        """Return a part of a firmware image."""
        return self._images[version][start:stop]

    def close(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._shelves.clear()
        self._series.clear()
        self._images.clear()
