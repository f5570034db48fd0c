"""The tables of the facts: every operation as one synchronous function on the database's worker.

Owns the tables `tenants`, `facts` and `endings`, and the order of transaction time. Rows are added; none is ever
changed but by `FactTables.move_ahead`, and only `agent.facts.retention` removes any. `open_facts` is an index: which
facts may be true now. Must never show a fact to a tenant whose fact it is not.
"""

import heapq
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from agent.facts import search, statements
from agent.facts.model import (
    Ending,
    Fact,
    FactDraft,
    FactRefused,
    FactVersion,
    FactView,
    Tenant,
    UnknownFact,
    check_draft,
    check_ending,
    check_supersession,
)
from agent.foundation.database import Database
from agent.foundation.text import quote

AHEAD_MS_MAX = 366 * 24 * 3_600_000
"""What became known later than this from now was stored under a clock that was wrong: no clock is corrected by so much
otherwise, and up to that the order of changes counts for more than their instants."""

_ID_TIME_SHIFT = 80
"""The bits of an id behind its time (RFC 9562, section 5.7)."""


class FactFilter(msgspec.Struct, frozen=True):
    """Whose facts are looked at, and which of them.

    Attributes:
        tenants: Only facts of these.
        sources: Only facts of these sources; empty for all.
        zones: Only facts of these zones, and of no zone: those without a subject, and those below `shared`; `None` for
            all.
        subject: Only facts about this subject, and about those below it: "living" has "living/mode"; empty for all.
        shared: The device of no zone whose facts are shown with those of any zone.
        before: Only facts that were stored before the one of this id; empty for all. It need not exist any more.
        after: Only facts that were stored after the one of this id; empty for all.
    """

    tenants: tuple[Tenant, ...]
    sources: tuple[str, ...] = ()
    zones: tuple[str, ...] | None = None
    subject: str = ""
    shared: str = ""
    before: str = ""
    after: str = ""


class SubjectEnd(msgspec.Struct, frozen=True):
    """The fact about a subject has ended with nothing in its place: a fault is over."""

    subject: str
    valid_to_ms: int
    author: str = ""


class FactTables:
    """The synchronous half of `agent.facts.store.FactStore`. All state belongs to the worker."""

    def __init__(
        self, connection: sqlite3.Connection, database: Database, *, new_id: Callable[[int], UUID], has_index: bool
    ) -> None:
        """Read which subjects there are, and bring the search index up to date.

        Args:
            connection: The open file.
            database: Commits.
            new_id: Returns the id of a fact, given an instant: the one from which it is known, or a later one where an
                earlier fact has that already. Ids are in the order of their facts.
            has_index: Whether SQLite has FTS5.
        """
        self._database = database
        self._new_id = new_id
        self.has_index = has_index
        self._last_known_ms: int = connection.execute(statements.LAST_KNOWN_MS).fetchone()[0]
        (last_id,) = connection.execute(statements.LAST_ID).fetchone()
        self._last_id_ms = 0 if last_id is None else UUID(bytes=last_id).int >> _ID_TIME_SHIFT
        self._subjects: dict[tuple[int, str], int] = {}
        if has_index:
            with database.transaction(connection):
                search.prepare_index(connection)
        self.reload(connection)

    def reload(self, connection: sqlite3.Connection) -> None:
        """Read again which fact each subject has: after facts were removed, or a change was rolled back."""
        rows = connection.execute(statements.SUBJECTS)
        self._subjects = {(tenant, subject): fact for tenant, subject, fact in rows}

    def now_ms(self, utc_ms: int) -> int:
        """Return the present instant of transaction time: it stays where a clock was set back."""
        return max(utc_ms, self._last_known_ms)

    def move_ahead(self, connection: sqlite3.Connection, utc_ms: int) -> int:
        """Move what a clock far ahead has stored to just before now, in its order; return how many instants there were.

        Otherwise all later changes would be known from that time too, until it comes. Ids stay as they were.
        """
        if self._last_known_ms - utc_ms <= AHEAD_MS_MAX:
            return 0
        facts = connection.execute(statements.FACTS_AHEAD, (utc_ms,)).fetchall()
        endings = connection.execute(statements.ENDINGS_AHEAD, (utc_ms,)).fetchall()
        ahead = {instant_ms for _, *instants in facts for instant_ms in instants}
        # An end that was planned even then stays: nothing says when it is to be.
        ahead |= {
            instant_ms for _, known_ms, valid_to_ms in endings for instant_ms in (known_ms, min(known_ms, valid_to_ms))
        }
        ordered = sorted(instant_ms for instant_ms in ahead if instant_ms > utc_ms)
        (before_ms,) = connection.execute(statements.LAST_BEFORE_MS, {"utc_ms": utc_ms}).fetchone()
        first_ms = max(before_ms, utc_ms - len(ordered)) + 1
        moved = {instant_ms: first_ms + place for place, instant_ms in enumerate(ordered)}

        def rows(found: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
            for number, known_ms, valid_ms in found:
                yield moved[known_ms], moved.get(valid_ms, valid_ms) if valid_ms <= known_ms else valid_ms, number

        with self._change(connection):
            connection.executemany(statements.MOVE_FACT, rows(facts))
            connection.executemany(statements.MOVE_ENDING, rows(endings))
            self._last_known_ms = moved[ordered[-1]]
        return len(moved)

    def add(self, connection: sqlite3.Connection, tenant: Tenant, draft: FactDraft, utc_ms: int) -> FactVersion:
        """Store a fact.

        Raises:
            FactRefused: It cannot be stored as it stands.
        """
        with self._change(connection):
            return self._version(connection, self._insert(connection, self._tenant(connection, tenant), draft, utc_ms))

    def supersede(
        self, connection: sqlite3.Connection, owner: str, old_id: str, new_id: str, author: str, utc_ms: int
    ) -> FactVersion:
        """Let one fact replace another from now on; return the replaced one.

        Raises:
            UnknownFact: One of them is no fact of this owner.
            FactRefused: The chain would break.
        """
        old, new = self._number(connection, (owner,), old_id), self._number(connection, (owner,), new_id)
        version = self._version(connection, old)
        check_supersession(version, self._version(connection, new), lambda _: self._successor_ids(connection, new))
        known_ms = self._next_known_ms(utc_ms)
        valid_to_ms = known_ms if version.valid_to_ms is None else min(known_ms, version.valid_to_ms)
        with self._change(connection):
            self._end(connection, old, valid_to_ms, new, author, known_ms)
        return self._version(connection, old)

    def expire(
        self, connection: sqlite3.Connection, owner: str, fact_id: str, valid_to_ms: int, author: str, utc_ms: int
    ) -> FactVersion:
        """Let a fact end with nothing in its place; return it.

        Raises:
            UnknownFact: It is no fact of this owner.
            FactRefused: It cannot end then.
        """
        fact = self._number(connection, (owner,), fact_id)
        (count,) = connection.execute("SELECT count(*) FROM endings WHERE fact = ?", (fact,)).fetchone()
        check_ending(self._version(connection, fact), valid_to_ms, count)
        with self._change(connection):
            self._end(connection, fact, valid_to_ms, None, author, self._next_known_ms(utc_ms))
        return self._version(connection, fact)

    def record(
        self, connection: sqlite3.Connection, tenant: Tenant, changes: Sequence[FactDraft | SubjectEnd], utc_ms: int
    ) -> list[FactRefused]:
        """Store changes of subjects in one commit: each new fact replaces the one that its subject had.

        A fact that says what the present one of its subject says is left out. So is one that cannot be stored as it
        stands, which must not keep the others out; why is returned.
        """
        refused: list[FactRefused] = []
        with self._change(connection):
            number = self._tenant(connection, tenant)
            for change in changes:
                if isinstance(change, SubjectEnd):
                    self._end_subject(connection, number, change, utc_ms)
                    continue
                try:
                    check_draft(msgspec.structs.replace(change, valid_from_ms=None), utc_ms)
                except FactRefused as error:
                    refused.append(error)
                else:
                    self._replace_subject(connection, number, change, utc_ms)
        return refused

    def shown(
        self, connection: sqlite3.Connection, chosen: FactFilter, view: FactView, limit: int
    ) -> list[FactVersion]:
        """Return the facts of a view, those that were stored last first."""
        sql = statements.LISTED_NOW if self._is_present(view) else statements.LISTED
        rows = (self._rows(connection, sql, chosen, tenant, view, limit=limit) for tenant in chosen.tenants)
        merged = heapq.merge(*rows, key=lambda row: -row[0])
        return [_version_of(row) for row in islice(merged, limit)]

    def found(
        self, connection: sqlite3.Connection, chosen: FactFilter, view: FactView, question: str, limit: int
    ) -> list[search.FoundFact]:
        """Return the facts of a view that contain words of a question, the most similar first."""
        is_present = self._is_present(view)
        listed = statements.LISTED_NOW if is_present else statements.LISTED
        matched = statements.FOUND_NOW if is_present else statements.FOUND

        def candidates(tenant: Tenant, match: str | None) -> list[FactVersion]:
            sql, most = (listed, search.SCANNED_MAX) if match is None else (matched, search.CANDIDATES_MAX)
            rows = self._rows(connection, sql, chosen, tenant, view, limit=most, match=match)
            return [_version_of(row) for row in rows]

        return search.rank(question, chosen.tenants, candidates, has_index=self.has_index)[:limit]

    def version(self, connection: sqlite3.Connection, owners: Sequence[str], fact_id: str) -> FactVersion:
        """Return what is known of a fact now.

        Raises:
            UnknownFact: It is no fact of these owners.
        """
        return self._version(connection, self._number(connection, owners, fact_id))

    def chain(self, connection: sqlite3.Connection, owners: Sequence[str], fact_id: str) -> list[FactVersion]:
        """Return all facts of the chain to which a fact belongs, by their beginning.

        Raises:
            UnknownFact: It is no fact of these owners.
        """
        fact = self._number(connection, owners, fact_id)
        head = self._successors(connection, fact)[-1]
        rows = connection.execute(statements.CHAIN, {"fact": head, "limit": statements.CHAIN_FACTS_MAX})
        found = [self._version(connection, number) for (number,) in rows.fetchall()]
        return sorted(found, key=lambda version: (version.fact.valid_from_ms, version.fact.known_from_ms))

    def endings(self, connection: sqlite3.Connection, owners: Sequence[str], fact_id: str) -> list[Ending]:
        """Return all that became known about the end of a fact, oldest first.

        Raises:
            UnknownFact: It is no fact of these owners.
        """
        rows = connection.execute(statements.ENDINGS, (self._number(connection, owners, fact_id),))
        return [Ending(valid_to, statements.id_text(other), author, known) for valid_to, other, author, known in rows]

    @contextmanager
    def _change(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Make one commit of the block; after a failure, what is kept in memory is as before."""
        before_ms, before_id_ms = self._last_known_ms, self._last_id_ms
        try:
            with self._database.transaction(connection):
                yield
        except BaseException:
            self._last_known_ms, self._last_id_ms = before_ms, before_id_ms
            self.reload(connection)
            raise

    def _is_present(self, view: FactView) -> bool:
        """Tell whether a view shows open facts only: nothing became known after it, and it shows what is true then."""
        at_ms = view.valid_at_ms
        return at_ms is not None and min(at_ms, view.known_at_ms) >= self._last_known_ms

    def _next_known_ms(self, utc_ms: int) -> int:
        """Return the instant of the next change: no two changes have the same, so their order is known for good."""
        self._last_known_ms = max(utc_ms, self._last_known_ms + 1)
        return self._last_known_ms

    def _tenant(self, connection: sqlite3.Connection, tenant: Tenant) -> int:
        connection.execute("INSERT OR IGNORE INTO tenants (owner, name) VALUES (?, ?)", (tenant.owner, tenant.name))
        return self._known_tenant(connection, tenant) or 0

    def _known_tenant(self, connection: sqlite3.Connection, tenant: Tenant) -> int | None:
        row = connection.execute(
            "SELECT tenant FROM tenants WHERE owner = ? AND name = ?", (tenant.owner, tenant.name)
        ).fetchone()
        return None if row is None else int(row[0])

    def _insert(self, connection: sqlite3.Connection, tenant: int, draft: FactDraft, utc_ms: int) -> int:
        known_ms = self._next_known_ms(utc_ms)
        check_draft(draft, known_ms)
        self._last_id_ms = max(known_ms, self._last_id_ms + 1)
        valid_from_ms = known_ms if draft.valid_from_ms is None else draft.valid_from_ms
        number = connection.execute(
            statements.INSERT_FACT,
            {
                **msgspec.structs.asdict(draft),
                "id": self._new_id(self._last_id_ms).bytes,
                "tenant": tenant,
                "valid_from_ms": valid_from_ms,
                "known_from_ms": known_ms,
            },
        ).lastrowid
        if number is None:
            raise sqlite3.DatabaseError("a fact was stored without a number")
        connection.execute(statements.OPEN, (number,))
        if self.has_index:
            search.add_text(connection, number, draft.text)
        if draft.subject:
            self._subjects[tenant, draft.subject] = number
        return number

    def _end(
        self,
        connection: sqlite3.Connection,
        fact: int,
        valid_to_ms: int,
        superseded_by: int | None,
        author: str,
        known_ms: int,
    ) -> None:
        connection.execute(statements.INSERT_ENDING, (fact, valid_to_ms, superseded_by, author, known_ms))
        if valid_to_ms <= known_ms:
            connection.execute(statements.CLOSE, (fact, fact))
        else:
            connection.execute(statements.OPEN, (fact,))

    def _replace_subject(self, connection: sqlite3.Connection, tenant: int, draft: FactDraft, utc_ms: int) -> None:
        present = self._subjects.get((tenant, draft.subject))
        old = None if present is None else self._version(connection, present)
        beginning_ms = utc_ms if draft.valid_from_ms is None else draft.valid_from_ms
        if old is not None:
            if old.valid_to_ms is None and old.fact.text == draft.text:
                return
            beginning_ms = max(beginning_ms, old.fact.valid_from_ms + 1, old.valid_to_ms or 0)
        beginning_ms = min(beginning_ms, max(utc_ms, self._last_known_ms + 1))
        new = self._insert(connection, tenant, msgspec.structs.replace(draft, valid_from_ms=beginning_ms), utc_ms)
        if present is not None and old is not None and old.valid_to_ms is None:
            self._end(connection, present, beginning_ms, new, draft.author, self._next_known_ms(utc_ms))

    def _end_subject(self, connection: sqlite3.Connection, tenant: int, end: SubjectEnd, utc_ms: int) -> None:
        present = self._subjects.get((tenant, end.subject))
        old = None if present is None else self._version(connection, present)
        if present is None or old is None or old.valid_to_ms is not None:
            return
        known_ms = self._next_known_ms(utc_ms)
        valid_to_ms = min(max(end.valid_to_ms, old.fact.valid_from_ms + 1), known_ms)
        self._end(connection, present, valid_to_ms, None, end.author, known_ms)

    def _rows(
        self,
        connection: sqlite3.Connection,
        sql: str,
        chosen: FactFilter,
        tenant: Tenant,
        view: FactView,
        *,
        limit: int,
        match: str | None = None,
    ) -> Iterator[Any]:
        number = self._known_tenant(connection, tenant)
        parameters = {
            "tenant": number,
            "known_at_ms": view.known_at_ms,
            "valid_at_ms": view.valid_at_ms,
            "has_superseded": view.has_superseded,
            "sources": _json(chosen.sources) if chosen.sources else None,
            "zones": None if chosen.zones is None else _json(chosen.zones),
            "subject": chosen.subject,
            "shared": chosen.shared,
            "before": _id_bytes(chosen.before),
            "after": _id_bytes(chosen.after),
            "limit": limit,
            "match": match,
        }
        return iter([]) if number is None else connection.execute(sql, parameters)

    def _number(self, connection: sqlite3.Connection, owners: Sequence[str], fact_id: str) -> int:
        try:
            raw = UUID(fact_id).bytes
        except ValueError as error:
            raise UnknownFact("there is no such fact") from error
        row = connection.execute(
            statements.BY_ID, {"id": raw, "owners": _json(owners), "known_at_ms": statements.LATEST_MS}
        ).fetchone()
        if row is None:
            raise UnknownFact("there is no such fact")
        return int(row[0])

    def _version(self, connection: sqlite3.Connection, fact: int) -> FactVersion:
        return _version_of(
            connection.execute(statements.BY_NUMBER, {"fact": fact, "known_at_ms": statements.LATEST_MS}).fetchone()
        )

    def _successors(self, connection: sqlite3.Connection, fact: int) -> list[int]:
        rows = connection.execute(statements.SUCCESSORS, {"fact": fact})
        return [number for (number,) in rows]

    def _successor_ids(self, connection: sqlite3.Connection, fact: int) -> list[str]:
        rows = connection.execute(statements.SUCCESSOR_IDS, {"fact": fact})
        return [statements.id_text(raw) for (raw,) in rows]


def _json(values: Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()


def _id_bytes(fact_id: str) -> bytes | None:
    """Return the stored form of an id: ids begin with the time of storing, so they are in its order.

    Raises:
        FactRefused: It is no id.
    """
    try:
        return UUID(fact_id).bytes if fact_id else None
    except ValueError as error:
        raise FactRefused(f"give the id of a fact: {quote(fact_id)} is none") from error


def _version_of(row: Sequence[Any]) -> FactVersion:
    fact = Fact(
        id=statements.id_text(row[1]),
        tenant=Tenant(row[2], row[3]),
        text=row[4],
        topic=row[5],
        source=row[6],
        author=row[7],
        importance=row[8],
        subject=row[9],
        zone=row[10],
        valid_from_ms=row[11],
        known_from_ms=row[12],
    )
    return FactVersion(fact, row[13], statements.id_text(row[14]), row[15], row[16])
