"""Random histories: the same changes in the store and in the reference model, then every view of both compared."""

import random
import sqlite3
from pathlib import Path
from uuid import UUID

from agent.facts import statements
from agent.facts.model import FactDraft, FactRefused, FactVersion, Tenant, choose_view
from agent.facts.tables import FactFilter, FactTables, SubjectEnd
from agent.foundation.database import Database
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from tests.unit.facts.reference_model import Known, ReferenceModel

TENANTS = ("", "anna", "bert")
SUBJECTS = ("living/heat", "bedroom/heat")
OWNER = "owner"
EMPTY = "DELETE FROM tenants; DELETE FROM facts; DELETE FROM endings; DELETE FROM open_facts;"


def open_tables(connection: sqlite3.Connection, rng: random.Random, *, has_index: bool = False) -> FactTables:
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        connection.executescript(statements.SCHEMA)
    database = Database(Path("facts.db"), connection, worker=InlineWorker(), disk=Disk())
    return FactTables(connection, database, new_id=lambda _: UUID(int=rng.getrandbits(128)), has_index=has_index)


def open_memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


class RandomHistory:
    """One history of some changes, with clocks that step and facts that are dated back."""

    def __init__(self, seed: int, connection: sqlite3.Connection, *, changes_max: int, has_index: bool = False) -> None:
        self.rng = random.Random(seed)
        self.connection = connection
        self.tables = open_tables(connection, self.rng, has_index=has_index)
        self.model = ReferenceModel()
        self.ids: dict[str, str] = {}
        self.clock = 1000
        self.views = 0
        self.changes = self.rng.randrange(1, changes_max)
        for _ in range(self.changes):
            # Half of all steps are short, so that instants fall together; now and then the clock is set back.
            self.clock += self.rng.choice((0, 1, 1, 2, 50, -3))
            self.change()

    @property
    def names(self) -> dict[str, str]:
        return {identifier: name for name, identifier in self.ids.items()}

    def some_fact(self) -> str:
        return self.rng.choice(sorted(self.ids))

    def some_instant(self) -> int:
        return self.clock + self.rng.choice((-60, -4, -2, -1, 0, 0, 1, 2, 60))

    def change(self) -> None:
        kind = self.rng.choice(("add", "add", "supersede", "supersede", "expire", "record", "record", "end"))
        if kind == "add" or (kind in {"supersede", "expire"} and not self.ids):
            self.add()
        elif kind == "supersede":
            old, new = self.some_fact(), self.some_fact()
            expected = self.model.supersede(old, new, self.clock)
            call = lambda: self.tables.supersede(  # noqa: E731
                self.connection, OWNER, self.ids[old], self.ids[new], "", self.clock
            )
            assert self.is_done(call) == expected
        elif kind == "expire":
            name, until = self.some_fact(), self.some_instant()
            expected = self.model.expire(name, until, self.clock)
            call = lambda: self.tables.expire(self.connection, OWNER, self.ids[name], until, "", self.clock)  # noqa: E731
            assert self.is_done(call) == expected
        else:
            self.change_subject(kind)

    @staticmethod
    def is_done(call: object) -> bool:
        try:
            call()  # type: ignore[operator]
        except FactRefused:
            return False
        return True

    def add(self) -> None:
        tenant, name = self.rng.choice(TENANTS), f"fact {len(self.ids)}"
        since = self.rng.choice((None, None, self.some_instant()))
        draft = FactDraft(name, valid_from_ms=since)
        if not self.model.add(name, tenant, name, since, self.clock):
            try:
                self.tables.add(self.connection, Tenant(OWNER, tenant), draft, self.clock)
            except FactRefused:
                # What is refused takes no instant; the model has counted one.
                self.model.instant = self.model.copies[-1][0] if self.model.copies else 0
                return
            raise AssertionError("a fact of the future was stored")
        version = self.tables.add(self.connection, Tenant(OWNER, tenant), draft, self.clock)
        self.ids[name] = version.fact.id

    def change_subject(self, kind: str) -> None:
        tenant, subject = self.rng.choice(TENANTS), self.rng.choice(SUBJECTS)
        if kind == "end":
            until = min(self.some_instant(), self.clock)
            self.model.end_subject(tenant, subject, until, self.clock)
            self.tables.record(self.connection, Tenant(OWNER, tenant), [SubjectEnd(subject, until)], self.clock)
            return
        name, text, since = f"fact {len(self.ids)}", self.rng.choice(("19", "20")), min(self.some_instant(), self.clock)
        is_new = self.model.record(name, tenant, subject, text, since, self.clock)
        draft = FactDraft(text, subject=subject, valid_from_ms=since)
        self.tables.record(self.connection, Tenant(OWNER, tenant), [draft], self.clock)
        if is_new:
            self.ids[name] = self.list_all(tenant)[0].fact.id

    def list_all(self, tenant: str) -> list[FactVersion]:
        view = choose_view(self.now, has_superseded=True)
        return self.tables.shown(self.connection, FactFilter((Tenant(OWNER, tenant),)), view, 1000)

    @property
    def now(self) -> int:
        return self.tables.now_ms(self.clock)

    def seen(self, version: FactVersion) -> Known:
        fact = version.fact
        by = self.names.get(version.superseded_by, "")
        name = self.names[fact.id]
        return Known(
            name,
            fact.tenant.name,
            fact.text,
            fact.subject,
            fact.valid_from_ms,
            fact.known_from_ms,
            version.valid_to_ms,
            by,
        )

    def check(self) -> None:
        """Compare all four views of each tenant at random instants, and the chain of each fact."""
        self.tables.reload(self.connection)
        for tenant in TENANTS:
            for as_of in (None, self.some_instant()):
                for known_as_of in (None, self.some_instant()):
                    self.check_view(tenant, as_of, known_as_of, all_of=self.rng.random() < 0.5)
        for name, identifier in self.ids.items():
            chain = self.tables.chain(self.connection, [OWNER], identifier)
            assert {self.names[version.fact.id] for version in chain} == self.model.chain(name)
            assert sum(not version.superseded_by for version in chain) == 1, "one head"
            assert len({version.fact.tenant for version in chain}) == 1

    def check_search(self) -> None:
        """Compare what a search finds in each view with what the view shows."""
        for tenant in TENANTS:
            chosen = FactFilter((Tenant(OWNER, tenant),))
            for as_of in (None, self.some_instant()):
                for known_as_of in (None, self.some_instant()):
                    view = choose_view(self.now, as_of_ms=as_of, known_as_of_ms=known_as_of)
                    found = self.tables.found(self.connection, chosen, view, "fact", 1000)
                    shown = self.tables.shown(self.connection, chosen, view, 1000)
                    versions = {each.version.fact.id: each.version for each in found}
                    assert versions == {each.fact.id: each for each in shown if each.fact.text.startswith("fact")}

    def check_view(self, tenant: str, as_of: int | None, known_as_of: int | None, *, all_of: bool) -> None:
        self.views += 1
        view = choose_view(self.now, as_of_ms=as_of, known_as_of_ms=known_as_of, has_superseded=all_of)
        shown = self.tables.shown(self.connection, FactFilter((Tenant(OWNER, tenant),)), view, 1000)
        expected = self.model.view(tenant, self.now, as_of, known_as_of, all_of=all_of)
        assert [self.seen(version) for version in shown] == expected
        assert all(view.shows(version) for version in shown), "the pure rule and the statement agree"


def play(seed: int, connection: sqlite3.Connection) -> RandomHistory:
    """Play one history in an empty store, compare, and return it.

    Raises:
        AssertionError: The store and the model differ.
    """
    history = RandomHistory(seed, connection, changes_max=40 if seed % 10 == 0 else 14)
    history.check()
    connection.executescript(EMPTY)
    return history
