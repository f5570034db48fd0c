"""Bounds of the facts: by age and by bytes, the oldest closed facts first, exported before they go.

Owns which facts are removed, and the exports: `facts-*.jsonl` beside the store, where a factory reset erases them. A
fact goes after all that it has replaced, so a chain loses its oldest end and is never cut in the middle. An open fact
never goes: it is what is believed now. Must never remove what is not on the disk as an export: after a power cut a fact
is in the store, in an export, or in both.
"""

import re
import sqlite3
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from agent.errors import Rejected
from agent.facts import search, statements
from agent.facts.model import TEXT_BYTES_MAX, render_instant
from agent.foundation.database import PAGE_BYTES, Database
from agent.foundation.disk import Disk
from agent.foundation.fair_share import without_surplus

EXPORT_FACTS_MAX = 500
"""Facts in one file, and removed in one commit: with texts of the usual length 200 KB."""

EXPORTS_MAX = 64
"""Files of each kind that are kept. The oldest makes room, of clients the oldest of the one that has the most: whoever
wants them for longer copies them off the hub."""

HUB_EXPORT = "facts-"
CLIENTS_EXPORT = "facts-clients-"
"""Two kinds, by whose write needed the room: a client that stores and ends facts all day pushes out no other export."""

_EXPORT_NAME = re.compile(r"(?P<kind>facts-(?:clients-)?)\d+(?:-(?P<owner>\w+))?\.jsonl", re.ASCII)
"""Those of clients have their owner in the name; earlier versions left it out."""

RECLAIM_SHARE = 0.1
"""Of the bytes that are allowed: removed in one go, so that a full store does not remove one fact for each new one."""

DAY_MS = 86_400_000


class FactsFull(Rejected):
    """There is no room for another fact, and no closed one that could make room."""


class FactLimits(msgspec.Struct, frozen=True):
    """How many facts are kept.

    Attributes:
        bytes_max: Space in the file.
        age_days_max: How long a closed fact is kept, from when its end became known.
        client_facts_max: Facts of one client of an API.
        disk_free_bytes_min: Space that is left to others on the disk.
    """

    bytes_max: int = 16 * 1024 * 1024
    age_days_max: int = 730
    client_facts_max: int = 10_000
    disk_free_bytes_min: int = 64 * 1024 * 1024

    @property
    def clients_bytes_max(self) -> int:
        """Space that the facts of all clients may fill: the rest is for the hub's own."""
        return self.bytes_max * 3 // 4

    @property
    def client_text_bytes_max(self) -> int:
        """The texts of one client: with 10,000 facts of the usual length 2 MiB."""
        return self.bytes_max // 8


class FactUsage(msgspec.Struct, frozen=True):
    """How full the store is, for one owner.

    Attributes:
        facts: How many facts of the owner it holds.
        facts_max: How many it may hold.
        used_bytes: Space that all facts take.
        bytes_max: Space that the facts of all clients may fill.
        is_full: No fact can be stored before one is closed and makes room.
    """

    facts: int
    facts_max: int
    used_bytes: int
    bytes_max: int
    is_full: bool


class ExportedEnding(msgspec.Struct, frozen=True):
    """One ending in an export; `superseded_by` is a fact that is in the same or a later file, or still in the store."""

    valid_to: str
    superseded_by: str | None
    author: str
    known_from: str


class ExportedFact(msgspec.Struct, frozen=True):
    """One line of an export: a fact and all that became known about its end."""

    id: str
    owner: str
    tenant: str
    text: str
    topic: str
    source: str
    author: str
    importance: int
    subject: str
    zone: str
    valid_from: str
    known_from: str
    endings: list[ExportedEnding]


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the space that the file's content takes."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(pages - free) * PAGE_BYTES


class Retention:
    """Removes what is too old or too much; on the database's worker.

    Attributes:
        removed_count: How many facts were removed since the start.
    """

    def __init__(self, database: Database, *, disk: Disk, limits: FactLimits, has_index: bool) -> None:
        """Prepare; nothing is read.

        Args:
            database: The file.
            disk: Writes exports.
            limits: How many facts are kept.
            has_index: Whether the search index has to follow.
        """
        self._database = database
        self._disk = disk
        self._limits = limits
        self._has_index = has_index
        self._directory = database.path.parent
        self.removed_count = 0

    def remove_old(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Remove closed facts that are older than allowed."""
        known_ms_max = now_ms - self._limits.age_days_max * DAY_MS
        while batch := self._batch(connection, now_ms, known_ms_max=known_ms_max):
            self._remove(connection, batch)

    def make_room(self, connection: sqlite3.Connection, now_ms: int, *, bytes_max: int) -> bool:
        """Remove the oldest closed facts until a tenth of ``bytes_max`` is free; tell whether there is room.

        Those of the owner who has the most facts go first: who writes much loses its own.
        """
        if used_bytes(connection) <= bytes_max:
            return True
        goal_bytes = int(bytes_max * (1 - RECLAIM_SHARE))
        for (owner,) in connection.execute(statements.OWNERS_BY_SIZE).fetchall():
            while used_bytes(connection) > goal_bytes and (batch := self._batch(connection, now_ms, owner=owner)):
                self._remove(connection, batch)
        return used_bytes(connection) <= bytes_max

    def make_room_for(self, connection: sqlite3.Connection, now_ms: int, owner: str) -> bool:
        """Remove the oldest closed facts of a client where it needs room; tell whether there is room.

        Those of others stay: what one client writes costs nobody else a fact, nor the hub an export.
        """
        most = min(EXPORT_FACTS_MAX, max(1, int(self._limits.client_facts_max * RECLAIM_SHARE)))
        while is_full := self._is_full(connection, owner):
            batch = self._batch(connection, now_ms, owner=owner, facts_max=most)
            if not batch:
                break
            self._remove(connection, batch, client=owner)
        return not is_full

    def usage(self, connection: sqlite3.Connection, owner: str, now_ms: int) -> FactUsage:
        """Return how full the store is, for one owner."""
        count, taken_bytes = self._count(connection, owner), used_bytes(connection)
        limits = self._limits
        is_full = self._is_full(connection, owner) and not self._batch(connection, now_ms, owner=owner, facts_max=1)
        return FactUsage(count, limits.client_facts_max, taken_bytes, limits.clients_bytes_max, is_full)

    def has_disk_space(self) -> bool:
        """Tell whether the disk has more room than is left to others."""
        return self._disk.free_bytes(self._directory) > self._limits.disk_free_bytes_min

    def _is_full(self, connection: sqlite3.Connection, owner: str) -> bool:
        """Tell whether a client has all that it may have, or clients have together."""
        limits, count = self._limits, self._count(connection, owner)
        if count >= limits.client_facts_max:
            return True
        # Texts are read only where they could be too many: of fewer facts, none is long enough.
        if (count + 1) * TEXT_BYTES_MAX > limits.client_text_bytes_max:
            (text_bytes,) = connection.execute(statements.TEXT_BYTES_OF_OWNER, (owner,)).fetchone()
            if text_bytes + TEXT_BYTES_MAX > limits.client_text_bytes_max:
                return True
        taken_bytes = used_bytes(connection)
        if taken_bytes <= limits.clients_bytes_max:
            return False
        (hub_bytes,) = connection.execute(statements.TEXT_BYTES_OF_SUBJECTS).fetchone()
        return taken_bytes > limits.bytes_max or taken_bytes - hub_bytes > limits.clients_bytes_max

    @staticmethod
    def _count(connection: sqlite3.Connection, owner: str) -> int:
        (count,) = connection.execute(statements.COUNT_OF_OWNER, (owner,)).fetchone()
        return int(count)

    def _batch(
        self,
        connection: sqlite3.Connection,
        now_ms: int,
        *,
        owner: str | None = None,
        known_ms_max: int | None = None,
        facts_max: int = EXPORT_FACTS_MAX,
    ) -> list[int]:
        """Return the oldest closed facts that replaced nothing, or only facts that go with them."""
        chosen: dict[int, None] = {}
        parameters = {"now_ms": now_ms, "owner": owner, "known_ms_max": known_ms_max}
        for (fact,) in connection.execute(statements.CLOSED, parameters).fetchall():
            if len(chosen) >= facts_max:
                break
            if all(replaced in chosen for (replaced,) in connection.execute(statements.REPLACED, (fact,))):
                chosen[fact] = None
        return list(chosen)

    def _remove(self, connection: sqlite3.Connection, facts: Sequence[int], *, client: str = "") -> None:
        """Export facts, then remove them. A power cut in between leaves both; the next export has them again."""
        exported = [_read(connection, fact) for fact in facts]
        first_ms = min(known_ms for known_ms, _ in exported)
        self._write_export(client, first_ms, [line for _, line in exported])
        with self._database.transaction(connection):
            for fact, (_, line) in zip(facts, exported, strict=True):
                if self._has_index:
                    search.remove_text(connection, fact, line.text)
                connection.execute("DELETE FROM endings WHERE fact = ?", (fact,))
                connection.execute(statements.CLOSE, (fact, fact))
                connection.execute("DELETE FROM facts WHERE fact = ?", (fact,))
            connection.execute(statements.FORGET_TENANTS)
        self.removed_count += len(facts)

    def _write_export(self, client: str, first_ms: int, lines: Sequence[ExportedFact]) -> None:
        """Write an export under a name that only the same facts can have: no two changes have the same instant."""
        kind, owner = (CLIENTS_EXPORT, f"-{re.sub(r'[^A-Za-z0-9_]', '_', client)}") if client else (HUB_EXPORT, "")
        path = self._directory / f"{kind}{first_ms:013}{owner}.jsonl"
        self._disk.write(path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        owners = {
            each: match["owner"] or ""
            for each in list_exports(self._directory)
            if (match := _EXPORT_NAME.fullmatch(each.name)) and match["kind"] == kind
        }
        for old in set(owners) - {*without_surplus(list(owners), EXPORTS_MAX, owners.__getitem__)}:
            self._disk.remove(old)


def list_exports(state_dir: Path) -> list[Path]:
    """Return the exports of a hub, the oldest of each kind first. Blocks."""
    return sorted(state_dir.glob("facts-*.jsonl"))


def _read(connection: sqlite3.Connection, fact: int) -> tuple[int, ExportedFact]:
    row = connection.execute(statements.BY_NUMBER, {"fact": fact, "known_at_ms": statements.LATEST_MS}).fetchone()
    endings = [
        ExportedEnding(render_instant(valid_to), statements.id_text(other) or None, author, render_instant(known))
        for valid_to, other, author, known in connection.execute(statements.ENDINGS, (fact,))
    ]
    _, raw, owner, tenant, text, topic, source, author, importance, subject, zone, valid_from, known_from = islice(
        row, 13
    )
    line = ExportedFact(
        id=statements.id_text(raw),
        owner=owner,
        tenant=tenant,
        text=text,
        topic=topic,
        source=source,
        author=author,
        importance=importance,
        subject=subject,
        zone=zone,
        valid_from=render_instant(valid_from),
        known_from=render_instant(known_from),
        endings=endings,
    )
    return int(known_from), line
