"""Borders of the Aurra facts API: what clients send, stored, searched and shown again."""

import contextlib
import sqlite3
import uuid
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from agent.apis.aurra_facts import answers, translation, wire
from agent.apis.aurra_facts.face import _decode
from agent.apis.face import ApiClient
from agent.errors import Rejected
from agent.facts import search, statements
from agent.facts.tables import FactTables
from agent.foundation.database import Database
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from tests.fuzz import hostile

NOW_MS = 1_790_000_000_000
CLIENT = ApiClient("acc_fuzz", "fuzz", "aurra_facts", zones=("living",))

_MEMORY = {
    "content": hostile.JSON | hostile.TEXTS,
    "topic": hostile.JSON | hostile.TEXTS,
    "source": hostile.TEXTS,
    "importance_score": hostile.JSON,
    "tenant_id": hostile.JSON | hostile.TEXTS,
}
MEMORIES = hostile.objects({"content": hostile.TEXTS}) | hostile.objects(_MEMORY) | hostile.BODIES
QUESTIONS = (
    hostile.objects({"question": hostile.TEXTS})
    | hostile.objects({"question": hostile.JSON, "limit": hostile.JSON, "as_of": hostile.INSTANTS})
    | hostile.BODIES
)
SETTINGS = (
    hostile.objects(
        {"min_confidence": hostile.JSON, "excluded_categories": hostile.JSON, "classifier_model": hostile.TEXTS}
    )
    | hostile.BODIES
)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "tenant_id", "as_of", "transaction_as_of", "include_superseded", "source"]),
    hostile.TEXTS | hostile.INSTANTS | st.sampled_from(["1", "100", "true", "0"]),
)
REQUESTS = st.tuples(MEMORIES, QUESTIONS, SETTINGS, QUERIES)


def take_requests(given: tuple[bytes, bytes, bytes, dict[str, str]]) -> None:
    """Store a memory, list, ask and change settings; what is refused is refused in words."""
    memory, question, settings, query = given
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(statements.SCHEMA)
        database = Database(Path("facts.db"), connection, worker=InlineWorker(), disk=Disk())
        has_index = search.has_fts5(connection)
        tables = FactTables(connection, database, new_id=lambda _: uuid.UUID(int=1), has_index=has_index)
        with contextlib.suppress(Rejected):
            body = _decode(memory, wire.AddRequest)
            draft = translation.draft_of(body, "api:aurra_facts/fuzz")
            stored = tables.add(connection, translation.tenant_of(CLIENT, body.tenant_id), draft, NOW_MS)
            assert stored.fact.text == draft.text
            assert msgspec.json.encode(translation.memory_of(stored, NOW_MS))
            assert msgspec.json.encode(translation.audit_of(stored, [], NOW_MS))
        with contextlib.suppress(Rejected):
            asked = translation.list_query(CLIENT, query)
            tables.shown(connection, asked.chosen, asked.view(NOW_MS), asked.limit)
        with contextlib.suppress(Rejected):
            request = _decode(question, wire.QueryRequest)
            asked = translation.question_query(CLIENT, request)
            found = tables.found(connection, asked.chosen, asked.view(NOW_MS), request.question, asked.limit)
            answer = answers.answer_of(request.question, asked, found, now_ms=NOW_MS, has_index=has_index)
            assert msgspec.json.encode(answers.with_proof(answer, asked, {}, now_ms=NOW_MS))
        with contextlib.suppress(Rejected):
            changed = translation.changed_settings(wire.FactSettings(), _decode(settings, wire.SettingsChange))
            assert translation.MIN_CONFIDENCE <= changed.min_confidence <= 1
