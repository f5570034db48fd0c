"""Full-text search over facts: SQLite's FTS5, or a scan of the newest facts where SQLite was built without it.

Owns the table `fact_text`, which holds no text of its own and can be made again from the facts. Must never find a fact
outside the view that is asked for: the statements of `agent.facts.tables` choose it.
"""

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from agent.facts import keywords
from agent.facts.model import FactVersion, Tenant

INDEX = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS fact_text USING fts5"
    " (text, content='facts', content_rowid='fact', tokenize='unicode61 remove_diacritics 2')"
)

CANDIDATES_MAX = 50
"""Facts that FTS5 finds best, of which the most similar are returned."""

SCANNED_MAX = 1000
"""Facts of one tenant that are looked at where there is no FTS5, the newest first."""


class FoundFact(msgspec.Struct, frozen=True):
    """A fact that a search found.

    Attributes:
        version: The fact in the view that was asked for.
        similarity: Which part of the question's words it contains, from 0 to 1.
    """

    version: FactVersion
    similarity: float


def has_fts5(connection: sqlite3.Connection) -> bool:
    """Tell whether this SQLite has FTS5."""
    return bool(connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone())


def prepare_index(connection: sqlite3.Connection) -> None:
    """Make the index where there is none, and make it anew where facts were stored or removed without it."""
    connection.execute(INDEX)
    (facts,) = connection.execute("SELECT count(*) FROM facts").fetchone()
    (indexed, newest) = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM fact_text_docsize").fetchone()
    (newest_fact,) = connection.execute("SELECT coalesce(max(fact), 0) FROM facts").fetchone()
    if (indexed, newest) != (facts, newest_fact):
        connection.execute("INSERT INTO fact_text (fact_text) VALUES ('rebuild')")


def add_text(connection: sqlite3.Connection, fact: int, text: str) -> None:
    """Add a fact to the index."""
    connection.execute("INSERT INTO fact_text (rowid, text) VALUES (?, ?)", (fact, text))


def remove_text(connection: sqlite3.Connection, fact: int, text: str) -> None:
    """Remove a fact from the index, before it is removed from the facts."""
    connection.execute("INSERT INTO fact_text (fact_text, rowid, text) VALUES ('delete', ?, ?)", (fact, text))


def rank(
    question: str,
    tenants: Sequence[Tenant],
    candidates: Callable[[Tenant, str | None], Sequence[FactVersion]],
    *,
    has_index: bool,
) -> list[FoundFact]:
    """Return the facts that contain words of a question, the most similar first.

    Args:
        question: The question.
        tenants: Whose facts are searched.
        candidates: Returns facts of a tenant that match an expression of FTS5, the best first, or its newest for
            `None`.
        has_index: Whether there is FTS5.
    """
    asked = keywords.question_words(question)
    if not asked:
        return []
    match = keywords.match_expression(asked) if has_index else None
    found = [
        FoundFact(version, keywords.similarity(asked, version.fact.text))
        for tenant in tenants
        for version in candidates(tenant, match)
    ]
    return sorted((each for each in found if each.similarity > 0), key=lambda each: -each.similarity)
