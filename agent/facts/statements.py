"""The SQL of the facts: schema and statements. Values are always bound, never written into a statement."""

# The statements are put together from parts of this file alone.
# ruff: noqa: S608

from uuid import UUID

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE tenants (tenant INTEGER PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (owner, name));
CREATE TABLE facts (fact INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, tenant INTEGER NOT NULL, text TEXT NOT NULL,
                    topic TEXT NOT NULL, source TEXT NOT NULL, author TEXT NOT NULL, importance INTEGER NOT NULL,
                    subject TEXT NOT NULL, zone TEXT NOT NULL, valid_from_ms INTEGER NOT NULL,
                    known_from_ms INTEGER NOT NULL);
CREATE INDEX facts_of_tenant ON facts (tenant);
CREATE TABLE endings (ending INTEGER PRIMARY KEY, fact INTEGER NOT NULL, valid_to_ms INTEGER NOT NULL,
                      superseded_by INTEGER, author TEXT NOT NULL, known_from_ms INTEGER NOT NULL);
CREATE INDEX endings_of_fact ON endings (fact);
CREATE TABLE open_facts (tenant INTEGER NOT NULL, fact INTEGER NOT NULL, PRIMARY KEY (tenant, fact)) WITHOUT ROWID;
CREATE INDEX replaced_facts ON endings (superseded_by) WHERE superseded_by IS NOT NULL;
"""

CHAIN_FACTS_MAX = 500
"""Facts of one chain that are shown, from its head: 350 KB of JSON, which a Pi makes in less than 100 ms."""

_VERSION = """
SELECT f.fact, f.id, t.owner, t.name, f.text, f.topic, f.source, f.author, f.importance, f.subject, f.zone,
       f.valid_from_ms, f.known_from_ms, e.valid_to_ms, s.id, coalesce(e.known_from_ms, f.known_from_ms),
       (SELECT min(n.known_from_ms) FROM endings n WHERE n.fact = f.fact AND n.ending > coalesce(e.ending, 0))
FROM facts f
JOIN tenants t ON t.tenant = f.tenant
LEFT JOIN endings e
  ON e.ending = (SELECT max(ending) FROM endings WHERE fact = f.fact AND known_from_ms <= :known_at_ms)
LEFT JOIN facts s ON s.fact = e.superseded_by
"""

_SHOWN = """
 f.tenant = :tenant AND f.known_from_ms <= :known_at_ms
AND CASE WHEN :valid_at_ms IS NULL THEN :has_superseded OR e.superseded_by IS NULL
    ELSE f.valid_from_ms <= :valid_at_ms AND (e.valid_to_ms IS NULL OR :valid_at_ms < e.valid_to_ms) END
AND (:sources IS NULL OR f.source IN (SELECT value FROM json_each(:sources)))
AND (:subject = '' OR f.subject = :subject OR substr(f.subject, 1, length(:subject) + 1) = :subject || '/')
AND (:before IS NULL OR f.id < :before) AND (:after IS NULL OR f.id > :after)
AND (:zones IS NULL OR f.zone IN (SELECT value FROM json_each(:zones))
     OR f.zone = '' AND (f.subject = '' OR substr(f.subject, 1, length(:shared) + 1) = :shared || '/'))
"""

LISTED = _VERSION + "WHERE" + _SHOWN + "ORDER BY f.fact DESC LIMIT :limit"

# What is true now is found among the open facts: of a year of a home these are a hundred of 25,000.
LISTED_NOW = (
    _VERSION.replace("FROM facts f", "FROM open_facts o CROSS JOIN facts f ON f.fact = o.fact")
    + "WHERE o.tenant = :tenant AND"
    + _SHOWN
    + "ORDER BY o.fact DESC LIMIT :limit"
)

_BEST = """
WITH best (fact, rank) AS (
  SELECT f.fact, x.rank
  FROM fact_text x CROSS JOIN facts f ON f.fact = x.rowid
  LEFT JOIN endings e
    ON e.ending = (SELECT max(ending) FROM endings WHERE fact = f.fact AND known_from_ms <= :known_at_ms)
  WHERE x.text MATCH :match AND {open} {shown}
  ORDER BY x.rank, f.fact DESC LIMIT :limit
)
"""
_BEST_VERSIONS = (
    _VERSION.replace("FROM facts f", "FROM best CROSS JOIN facts f ON f.fact = best.fact")
    + "ORDER BY best.rank, f.fact DESC"
)
_IS_OPEN = "EXISTS (SELECT 1 FROM open_facts o WHERE o.tenant = :tenant AND o.fact = x.rowid) AND"
FOUND = _BEST.format(open="", shown=_SHOWN) + _BEST_VERSIONS
FOUND_NOW = _BEST.format(open=_IS_OPEN, shown=_SHOWN) + _BEST_VERSIONS

OPEN = "INSERT OR IGNORE INTO open_facts SELECT tenant, fact FROM facts WHERE fact = ?"
CLOSE = "DELETE FROM open_facts WHERE fact = ? AND tenant = (SELECT tenant FROM facts WHERE fact = ?)"
BY_ID = _VERSION + "WHERE f.id = :id AND t.owner IN (SELECT value FROM json_each(:owners))"
BY_NUMBER = _VERSION + "WHERE f.fact = :fact"

_SUCCESSORS = """
WITH RECURSIVE chain (fact) AS (
  SELECT :fact
  UNION
  SELECT e.superseded_by FROM chain JOIN endings e ON e.fact = chain.fact WHERE e.superseded_by IS NOT NULL
)
"""

_CHAIN = """
WITH RECURSIVE chain (fact) AS (
  SELECT :fact
  UNION
  SELECT e.fact FROM chain JOIN endings e ON e.superseded_by = chain.fact
  LIMIT :limit
)
"""

SUCCESSORS = _SUCCESSORS + "SELECT fact FROM chain"
SUCCESSOR_IDS = _SUCCESSORS + "SELECT facts.id FROM chain JOIN facts ON facts.fact = chain.fact"
CHAIN = _CHAIN + "SELECT fact FROM chain"

INSERT_FACT = """
INSERT INTO facts (id, tenant, text, topic, source, author, importance, subject, zone, valid_from_ms, known_from_ms)
VALUES (:id, :tenant, :text, :topic, :source, :author, :importance, :subject, :zone, :valid_from_ms, :known_from_ms)
"""
INSERT_ENDING = "INSERT INTO endings (fact, valid_to_ms, superseded_by, author, known_from_ms) VALUES (?, ?, ?, ?, ?)"

ENDINGS = """
SELECT e.valid_to_ms, s.id, e.author, e.known_from_ms
FROM endings e LEFT JOIN facts s ON s.fact = e.superseded_by WHERE e.fact = ? ORDER BY e.ending
"""

LAST_KNOWN_MS = """
SELECT max(coalesce((SELECT max(known_from_ms) FROM facts), 0),
           coalesce((SELECT max(known_from_ms) FROM endings), 0))
"""
LAST_BEFORE_MS = """
SELECT max(coalesce((SELECT max(known_from_ms) FROM facts WHERE known_from_ms <= :utc_ms), 0),
           coalesce((SELECT max(known_from_ms) FROM endings WHERE known_from_ms <= :utc_ms), 0))
"""
FACTS_AHEAD = "SELECT fact, known_from_ms, valid_from_ms FROM facts WHERE known_from_ms > ?"
ENDINGS_AHEAD = "SELECT ending, known_from_ms, valid_to_ms FROM endings WHERE known_from_ms > ?"
MOVE_FACT = "UPDATE facts SET known_from_ms = ?, valid_from_ms = ? WHERE fact = ?"
MOVE_ENDING = "UPDATE endings SET known_from_ms = ?, valid_to_ms = ? WHERE ending = ?"
LAST_ID = "SELECT max(id) FROM facts"

SUBJECTS = "SELECT tenant, subject, max(fact) FROM facts WHERE subject <> '' GROUP BY tenant, subject"

CLOSED = """
SELECT e.fact FROM endings e JOIN facts f ON f.fact = e.fact JOIN tenants t ON t.tenant = f.tenant
WHERE e.ending = (SELECT max(ending) FROM endings WHERE fact = e.fact) AND e.valid_to_ms <= :now_ms
AND (:owner IS NULL OR t.owner = :owner) AND (:known_ms_max IS NULL OR e.known_from_ms <= :known_ms_max)
ORDER BY e.ending
"""

REPLACED = "SELECT fact FROM endings WHERE superseded_by = ?"

OWNERS_BY_SIZE = """
SELECT t.owner FROM tenants t JOIN facts f ON f.tenant = t.tenant GROUP BY t.owner
ORDER BY sum(length(CAST(f.text AS BLOB))) DESC
"""
# The length of a text ends at its first NUL (sqlite.org/lang_corefunc.html#length), that of a blob does not.
TEXT_BYTES_OF_OWNER = """
SELECT coalesce(sum(length(CAST(f.text AS BLOB))), 0) FROM facts f JOIN tenants t ON t.tenant = f.tenant
WHERE t.owner = ?
"""
# Only the hub's own facts have a subject.
TEXT_BYTES_OF_SUBJECTS = "SELECT coalesce(sum(length(CAST(text AS BLOB))), 0) FROM facts WHERE subject <> ''"
COUNT_OF_OWNER = "SELECT count(*) FROM facts f JOIN tenants t ON t.tenant = f.tenant WHERE t.owner = ?"
FORGET_TENANTS = "DELETE FROM tenants WHERE tenant NOT IN (SELECT tenant FROM facts)"

LATEST_MS = 1 << 62
"""Later than any instant: what is known now."""


def id_text(raw: bytes | None) -> str:
    """Return the text of a stored id; empty for none."""
    return "" if raw is None else str(UUID(bytes=raw))
