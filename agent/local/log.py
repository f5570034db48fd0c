"""The log document of the local API: the agent's last log records, filtered and paged.

The JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from agent.foundation import rfc3339
from agent.foundation.log_ring import LogRecord, LogRing, select
from agent.local import query
from agent.local.queries import LogQuery
from agent.local.routes import Handler, LocalRequest


class LogEntry(msgspec.Struct, frozen=True):
    """One record of the log.

    Attributes:
        id: Counts from 1 in each process of the agent, without gaps.
        utc: When it was written; nothing while this boot has not learnt the time.
        age_s: The time since then.
        level: "debug", "info", "warning", "error" or "critical"; a library may have others.
        component: The part of the agent that wrote it.
        traceback: Its lines; none without one.
    """

    id: int
    utc: str | None
    age_s: int
    level: str
    component: str
    text: str
    traceback: list[str] = []


class LogReport(msgspec.Struct, frozen=True):
    """Records, the newest first.

    Attributes:
        newest_id: The id of the newest record of all; lower than one seen before after the agent has restarted.
        oldest_id: The id of the oldest record that is kept; the journal of the system may have older ones.
    """

    entries: list[LogEntry]
    newest_id: int
    oldest_id: int


def build_log(ring: LogRing, asked: LogQuery, utc_ms: int | None) -> LogReport:
    """Return the records that a query asks for.

    Args:
        ring: The kept records.
        asked: The query.
        utc_ms: The UTC of the request in milliseconds since 1970; `None` while this boot has not learnt the time.
    """
    records = ring.records()
    found = select(
        records,
        level=asked.level,
        text=asked.text,
        before=asked.before,
        after=asked.after,
        limit=asked.limit,
    )
    entries = _entries(found, ring.now_ms(), utc_ms)
    return LogReport(entries, ring.newest_id, records[0].id if records else 0)


def _entries(records: Iterable[LogRecord], now_ms: int, utc_ms: int | None) -> list[LogEntry]:
    return [_entry(record, now_ms - record.at_ms, utc_ms) for record in records]


def _entry(record: LogRecord, age_ms: int, utc_ms: int | None) -> LogEntry:
    return LogEntry(
        record.id,
        None if utc_ms is None else rfc3339.render(utc_ms - age_ms),
        age_ms // 1000,
        record.level,
        record.component,
        record.text,
        [line.removeprefix("  ") for line in record.traceback.splitlines()],
    )


def follow(ring: LogRing | None, utc_ms: Callable[[], int | None]) -> Callable[[], Sequence[LogEntry]]:
    """Return what returns the records that were added since its last call, the oldest first; none at the first call.

    Args:
        ring: The kept records; `None` where the process keeps none.
        utc_ms: Returns the UTC; `None` while this boot has not learnt the time.
    """
    newest_id: int | None = None

    def added() -> Sequence[LogEntry]:
        nonlocal newest_id
        if ring is None or ring.newest_id == newest_id:
            return ()
        records = ring.records()
        before, newest_id = newest_id, records[-1].id if records else 0
        if before is None:
            return ()
        return _entries((each for each in records if each.id > before), ring.now_ms(), utc_ms())

    return added


def handlers(ring: LogRing | None, utc_ms: Callable[[], int | None]) -> Mapping[str, Handler]:
    """Return the handler of the log; none where the process keeps no records (a simulation)."""
    if ring is None:
        return {}

    async def get_log(request: LocalRequest) -> LogReport:
        return build_log(ring, query.read(request.query, LogQuery), utc_ms())

    return {"get_log": get_log}
