"""Answers to questions from the facts that were found, with citations and a proof tree. Pure; no model is asked.

An answer quotes facts and adds nothing of its own: whoever reads it can check each sentence by its citation.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.apis.aurra_facts import wire
from agent.apis.aurra_facts.translation import memory_of
from agent.facts.model import FactVersion, render_instant
from agent.facts.search import FoundFact
from agent.facts.store import FactQuery

QUOTED_MAX = 3
"""Facts that an answer quotes; the others are candidates. As many as somebody reads."""

QUOTED_SHARE = 0.6
"""A fact is quoted if it contains this share of the words that the best one contains."""

NOTHING_FOUND = "No stored fact contains these words."

PROOF_VERSION = "2"
"""The hash covers the answer and all evidence, as the published client describes since 0.8.1."""


def answer_of(
    question: str, query: FactQuery, found: Sequence[FoundFact], *, now_ms: int, has_index: bool
) -> wire.QueryAnswer:
    """Return the answer to a question.

    Args:
        question: As it was asked.
        query: Where was looked.
        found: What was found, the most similar first.
        now_ms: The present instant.
        has_index: Whether a full-text index was asked; without one, only the newest facts were looked through.
    """
    quoted = _count_quoted(found)
    texts = [each.version.fact.text.strip() for each in found[:quoted]]
    prefix = f"As of {render_instant(at_ms)}: " if (at_ms := _asked_instant(query)) is not None else ""
    memories = [memory_of(each.version, now_ms) for each in found]
    return wire.QueryAnswer(
        question=question,
        answer=prefix + (" ".join(texts) or NOTHING_FOUND),
        answer_with_citations=prefix
        + (" ".join(f"{text} [mem-{index}]" for index, text in enumerate(texts, 1)) or NOTHING_FOUND),
        citations=[
            _citation(index, each, memory, is_quoted=index <= quoted)
            for index, (each, memory) in enumerate(zip(found, memories, strict=True), 1)
        ],
        memories=memories,
        memories_searched=len(found),
        search_type="keyword" if has_index else "keyword_scan",
    )


def with_proof(
    answer: wire.QueryAnswer, query: FactQuery, chains: Mapping[str, Sequence[FactVersion]], *, now_ms: int
) -> wire.QueryAnswer:
    """Return an answer with what it rests on.

    Args:
        answer: The answer.
        query: Where was looked.
        chains: By the id of a quoted memory: the facts of its chain, by their beginning.
        now_ms: The present instant.
    """
    evidence = [_evidence(citation, memory) for citation, memory in zip(answer.citations, answer.memories, strict=True)]
    hashed = msgspec.json.encode({"answer": answer.answer, "evidence": evidence}, order="sorted")
    proof = wire.ProofTree(
        version=PROOF_VERSION,
        question=answer.question,
        answer_hash=hashlib.sha256(hashed).hexdigest(),
        generated_at=render_instant(now_ms),
        retrieval={
            "method": answer.search_type,
            "k": query.limit,
            "memories_evaluated": len(answer.citations),
            "memories_cited": sum(citation.cited_by_llm for citation in answer.citations),
            "filters": {
                "as_of": None if query.as_of_ms is None else render_instant(query.as_of_ms),
                "transaction_as_of": None if query.known_as_of_ms is None else render_instant(query.known_as_of_ms),
                "sources": list(query.chosen.sources),
            },
        },
        evidence_chain=evidence,
        supersession_chains=[_chain(start, chain) for start, chain in chains.items() if len(chain) > 1],
    )
    return msgspec.structs.replace(answer, proof_tree=proof)


def _count_quoted(found: Sequence[FoundFact]) -> int:
    if not found:
        return 0
    least = found[0].similarity * QUOTED_SHARE
    return sum(each.similarity >= least for each in found[:QUOTED_MAX])


def _asked_instant(query: FactQuery) -> int | None:
    return query.known_as_of_ms if query.as_of_ms is None else query.as_of_ms


def _citation(index: int, found: FoundFact, memory: wire.Memory, *, is_quoted: bool) -> wire.Citation:
    return wire.Citation(
        index=index,
        memory_id=memory.id,
        decision=memory.decision,
        topic=memory.topic,
        similarity=round(found.similarity, 3),
        cited_by_llm=is_quoted,
        valid_from=memory.valid_from,
        is_superseded=memory.temporal.is_superseded,
        tenant_id=memory.tenant_id,
        source=memory.source,
    )


def _evidence(citation: wire.Citation, memory: wire.Memory) -> dict[str, Any]:
    return {
        "index": citation.index,
        "memory_id": citation.memory_id,
        "decision": citation.decision,
        "similarity": citation.similarity,
        "cited": citation.cited_by_llm,
        "bi_temporal": {
            "valid_from": memory.valid_from,
            "valid_to": memory.valid_to,
            "transaction_time_start": memory.transaction_time_start,
            "transaction_time_end": memory.transaction_time_end,
        },
        "source_citation": msgspec.structs.asdict(memory.source_citation),
    }


def _chain(start: str, chain: Sequence[FactVersion]) -> dict[str, Any]:
    head = next(version for version in chain if not version.superseded_by)
    return {
        "starting_memory_id": start,
        "current_truth_memory_id": head.fact.id,
        "chain": [
            {
                "memory_id": version.fact.id,
                "superseded_by": version.superseded_by or None,
                "superseded_at": render_instant(version.known_from_ms) if version.superseded_by else None,
                "decision_at_time": version.fact.text,
            }
            for version in chain
        ],
    }
