"""The last log records of this process, in memory, for people who cannot read the journal.

Owns their number and size. Holds only what the log itself would show: records are redacted and made printable before
they are kept. Must never wait or fail: it is called from every thread.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from agent.foundation.log import RedactingFilter

RECORDS_MAX = 1000
CHARACTERS_MAX = 256 * 1024
"""Of all records together: a busy hour of a hub. Takes about half a MiB at most."""

LEVELS = ("debug", "info", "warning", "error", "critical")
"""From the least to the most severe."""


class LogRecord(msgspec.Struct, frozen=True):
    """One record.

    Attributes:
        id: Counts from 1 in each process, without gaps.
        at_ms: Boot time.
        level: One of `LEVELS`.
        component: The name of the logger.
        text: One printable line, redacted.
        traceback: Indented lines; empty without one.
    """

    id: int
    at_ms: int
    level: str
    component: str
    text: str
    traceback: str = ""

    @property
    def characters(self) -> int:
        """The size that counts against `CHARACTERS_MAX`."""
        return len(self.component) + len(self.text) + len(self.traceback)


class LogRing(logging.Handler):
    """A handler that keeps the newest records; the oldest make room."""

    def __init__(
        self, now_ms: Callable[[], int], *, records_max: int = RECORDS_MAX, characters_max: int = CHARACTERS_MAX
    ) -> None:
        """Start empty.

        Args:
            now_ms: Returns boot time.
            records_max: How many are kept.
            characters_max: How many characters they may have together; the newest record is kept whatever its size.
        """
        super().__init__()
        self.addFilter(RedactingFilter())
        self._now_ms = now_ms
        self._records_max = records_max
        self._characters_max = characters_max
        self._records: deque[LogRecord] = deque()
        self._characters = 0
        self._newest_id = 0

    def now_ms(self) -> int:
        """Return boot time now, by the clock that dates the records: a simulated boot of the hub has another."""
        return self._now_ms()

    @property
    def newest_id(self) -> int:
        """The id of the newest record; 0 before the first."""
        return self._newest_id

    def records(self) -> list[LogRecord]:
        """Return what is kept, the oldest first."""
        self.acquire()
        try:
            return list(self._records)
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record. `logging` holds the handler's lock."""
        self._newest_id += 1
        kept = LogRecord(
            self._newest_id,
            self._now_ms(),
            record.levelname.lower(),
            record.name,
            record.getMessage(),
            record.exc_text or "",
        )
        self._records.append(kept)
        self._characters += kept.characters
        while len(self._records) > self._records_max or (
            self._characters > self._characters_max and len(self._records) > 1
        ):
            self._characters -= self._records.popleft().characters


def select(
    records: Iterable[LogRecord],
    *,
    level: str = LEVELS[0],
    text: str = "",
    before: int | None = None,
    after: int = 0,
    limit: int,
) -> list[LogRecord]:
    """Return records, the newest first. Pure.

    Args:
        records: All that are kept, the oldest first.
        level: The lowest level; one of `LEVELS`.
        text: Part of the component, the text or the traceback, in any case.
        before: Only records with a lower id: the next page.
        after: Only records with a higher id: what has been added since.
        limit: How many at most: the newest of those that fit.
    """
    lowest, wanted = LEVELS.index(level), text.casefold()
    found = [
        record
        for record in records
        if record.id > after
        and (before is None or record.id < before)
        and _severity(record.level) >= lowest
        and (not wanted or wanted in f"{record.component}: {record.text}\n{record.traceback}".casefold())
    ]
    return found[::-1][:limit]


def _severity(level: str) -> int:
    # A library may add levels of its own, such as "level 25".
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")
