"""The documents of the Aurra facts API. Field names are those of the published client; unknown fields are ignored."""

from typing import Any

import msgspec


class AddRequest(msgspec.Struct, frozen=True):
    """`POST /agent/memories`. What only a model needs (`session_id`, `llm`) is not read."""

    content: str | None = None
    messages: Any = None
    topic: str = "General"
    importance_score: int | None = None
    importance: str | None = None
    source: str = "agent"
    tenant_id: str | None = None
    auto_supersede: bool | None = None


class SupersedeRequest(msgspec.Struct, frozen=True):
    """`POST /memories/{memory_id}/supersede`: exactly one of the two."""

    superseded_by: str | None = None
    valid_to: str | None = None


class QueryRequest(msgspec.Struct, frozen=True):
    """`POST /agent/query`."""

    question: str
    limit: int | None = None
    tenant_id: str | None = None
    sources: tuple[str, ...] | None = None
    as_of: str | None = None
    transaction_as_of: str | None = None
    include_proof_tree: bool = False


class SettingsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PATCH /agent/settings`: any subset. A misspelt field must not be ignored."""

    auto_supersede_default: bool | None = None
    excluded_categories: tuple[str, ...] | None = None
    min_confidence: float | None = None
    classifier_model: str | None = None


class AutoSupersede(msgspec.Struct, frozen=True):
    """That automatic supersession was not done."""

    ran: bool
    skipped_reason: str
    candidates_examined: int = 0
    supersession: None = None


class AddAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to `POST /agent/memories`."""

    status: str
    memory_id: str
    auto_supersede: AutoSupersede | None = None


class SupersedeAnswer(msgspec.Struct, frozen=True):
    """The answer to `POST /memories/{memory_id}/supersede`."""

    status: str
    memory_id: str
    superseded_by: str | None
    valid_to: str


class Temporal(msgspec.Struct, frozen=True):
    """The validity of a memory, and what it is at the present instant."""

    valid_from: str
    valid_to: str | None
    superseded_by: str | None
    is_current: bool
    is_expired: bool
    is_superseded: bool
    is_known_current: bool


class SourceCitation(msgspec.Struct, frozen=True):
    """Where a memory comes from."""

    type: str
    channel: str


class Memory(msgspec.Struct, frozen=True):
    """One fact."""

    id: str
    summary: str
    decision: str
    topic: str
    importance_score: int
    source: str
    tenant_id: str | None
    company_id: str
    created_at: str
    valid_from: str
    valid_to: str | None
    superseded_by: str | None
    transaction_time_start: str
    transaction_time_end: str | None
    temporal: Temporal
    source_citation: SourceCitation


class MemoryList(msgspec.Struct, frozen=True):
    """The answer to `GET /agent/memories`."""

    memories: list[Memory]


class Timeline(msgspec.Struct, frozen=True):
    """The answer to `GET /memories/{memory_id}/timeline`."""

    memory_id: str
    company_id: str
    chain_length: int
    timeline: list[Memory]


class AuditEvent(msgspec.Struct, frozen=True):
    """One entry of the history of a memory."""

    event: str
    at: str
    by: str
    details: dict[str, str | None]


class Audit(msgspec.Struct, frozen=True):
    """The answer to `GET /memories/{memory_id}/audit`."""

    memory_id: str
    memory: dict[str, str]
    provenance: dict[str, str | None]
    extraction: dict[str, str | None]
    temporal: Temporal
    history: list[AuditEvent]


class Citation(msgspec.Struct, frozen=True):
    """One memory that a question found."""

    index: int
    memory_id: str
    decision: str
    topic: str
    similarity: float
    cited_by_llm: bool
    valid_from: str
    is_superseded: bool
    tenant_id: str | None
    source: str


class ProofTree(msgspec.Struct, frozen=True):
    """What an answer rests on."""

    version: str
    question: str
    answer_hash: str
    generated_at: str
    retrieval: dict[str, Any]
    evidence_chain: list[dict[str, Any]]
    supersession_chains: list[dict[str, Any]]


class QueryAnswer(msgspec.Struct, frozen=True):
    """The answer to `POST /agent/query`."""

    question: str
    answer: str
    answer_with_citations: str
    citations: list[Citation]
    memories: list[Memory]
    memories_searched: int
    search_type: str
    proof_tree: ProofTree | None = None


class FactSettings(msgspec.Struct, frozen=True):
    """The settings of one credential. They are stored and answered; nothing on a hub depends on them."""

    auto_supersede_default: bool = False
    excluded_categories: tuple[str, ...] = ("health_medical", "legal_status")
    min_confidence: float = 0.85
    classifier_model: str = "none"


class SettingsAnswer(FactSettings, frozen=True, kw_only=True, omit_defaults=False):
    """The answer to `GET` and `PATCH /agent/settings`."""

    status: str | None = None


class PlanStatus(msgspec.Struct, frozen=True):
    """The answer to `GET /plan/status`: the bounds of the store."""

    plan_tier: str
    writes_used: int
    writes_limit: int
    writes_remaining: int
    in_grace_period: bool
    blocked: bool
