"""Facts of the store as memories of the API, and requests of the API as drafts and views. Pure.

The first line of a memory's `summary` is for lists; `decision` is the whole text.
"""

from collections.abc import Mapping, Sequence

import msgspec

from agent.apis.aurra_facts import assumptions, wire
from agent.apis.face import ApiClient
from agent.errors import Rejected
from agent.facts.model import (
    IMPORTANCE_DEFAULT,
    Ending,
    Fact,
    FactDraft,
    FactVersion,
    Tenant,
    check_label,
    render_instant,
)
from agent.facts.retention import FactUsage
from agent.facts.store import FactQuery
from agent.facts.tables import FactFilter
from agent.foundation import rfc3339
from agent.foundation.text import quote
from agent.home.devices import HUB_ID
from agent.home.fact_texts import HUB_TENANT

IMPORTANCE_WORDS = {"low": 2, "medium": 5, "high": 8}
"""The deprecated `importance`."""

SUMMARY_CHARACTERS = 120

MIN_CONFIDENCE = 0.85
CATEGORIES_MAX = 32


class OutOfRange(Rejected):
    """A value outside its range, or fields that exclude each other."""


class WrongType(Rejected):
    """A field that is missing or of another type."""


def draft_of(request: wire.AddRequest, author: str) -> FactDraft:
    """Return what a client wants to store.

    Raises:
        OutOfRange: It is not one text with an importance of 1 to 10.
    """
    if request.messages is not None:
        raise OutOfRange("send the fact as content: the hub runs no model that could find facts in messages")
    if request.content is None:
        raise OutOfRange("send the fact as content: there is none")
    importance = request.importance_score
    if importance is None and request.importance is not None:
        importance = IMPORTANCE_WORDS.get(request.importance.lower())
        if importance is None:
            raise OutOfRange(f"choose low, medium or high: {quote(request.importance)} is no importance")
    return FactDraft(
        request.content,
        topic=request.topic,
        source=request.source,
        author=author,
        importance=IMPORTANCE_DEFAULT if importance is None else importance,
    )


def tenant_of(client: ApiClient, tenant_id: str | None) -> Tenant:
    """Return the tenant that a request names; each credential is an account of its own.

    Raises:
        FactRefused: The name is too long, or cannot be printed.
    """
    return Tenant(client.client_id, check_label("tenant_id", tenant_id or ""))


def filter_of(client: ApiClient, tenant_id: str | None, sources: Sequence[str]) -> FactFilter:
    """Return whose facts a client reads: its own, and without a tenant those of the hub about zones that it may see.

    Raises:
        FactRefused: The name of the tenant or of a source is too long, or cannot be printed.
    """
    own = tenant_of(client, tenant_id)
    checked = tuple(check_label("source", source) for source in sources)
    return FactFilter((own, HUB_TENANT) if not own.name else (own,), checked, client.zones or None, shared=HUB_ID)


def may_see(client: ApiClient, fact: Fact) -> bool:
    """Tell whether a client may see a fact: its own, and those of the hub about the hub itself and its zones."""
    if not client.zones or fact.tenant.owner == client.client_id:
        return True
    return client.may_see(fact.zone) if fact.zone else fact.subject.startswith(f"{HUB_ID}/")


def list_query(client: ApiClient, query: Mapping[str, str]) -> FactQuery:
    """Return what the address of `GET /agent/memories` asks for.

    Raises:
        WrongType: A parameter is no number, time or yes and no.
        OutOfRange: The limit is.
        FactRefused: The name of the tenant or of a source is too long, or cannot be printed.
    """
    sources = [query["source"]] if query.get("source") else []
    text = query.get("limit", str(assumptions.DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004 - far more than any limit
        raise WrongType(f"give a whole number as limit: {quote(text)} is none")
    return FactQuery(
        filter_of(client, query.get("tenant_id"), sources),
        _checked_limit(int(text), assumptions.LIMIT_MAX),
        as_of_ms=instant_of("as_of", query.get("as_of")),
        known_as_of_ms=instant_of("transaction_as_of", query.get("transaction_as_of")),
        has_superseded=_truth("include_superseded", query.get("include_superseded", "false")),
    )


def question_query(client: ApiClient, request: wire.QueryRequest) -> FactQuery:
    """Return where a question looks: at facts that were true at the instant asked, now where none is.

    Raises:
        WrongType: A time is none.
        OutOfRange: The limit is.
        FactRefused: The name of the tenant or of a source is too long, or cannot be printed.
    """
    limit = assumptions.QUESTION_LIMIT if request.limit is None else request.limit
    return FactQuery(
        filter_of(client, request.tenant_id, request.sources or ()),
        _checked_limit(limit, assumptions.QUESTION_LIMIT_MAX),
        as_of_ms=instant_of("as_of", request.as_of),
        known_as_of_ms=instant_of("transaction_as_of", request.transaction_as_of),
    )


def instant_of(name: str, text: str | None) -> int | None:
    """Return an instant in ISO 8601 with its zone; `None` for none.

    Raises:
        WrongType: It is none.
    """
    if text is None:
        return None
    try:
        return rfc3339.parse(text)
    except ValueError as error:
        raise WrongType(f"give {name} as 2026-01-31T18:00:00+00:00: {quote(text)} ({error})") from error


def memory_of(version: FactVersion, now_ms: int) -> wire.Memory:
    """Return a fact as a memory, as it is at an instant."""
    fact = version.fact
    first_line = fact.text.strip().splitlines()[0]
    return wire.Memory(
        id=fact.id,
        summary=first_line[:SUMMARY_CHARACTERS],
        decision=fact.text,
        topic=fact.topic,
        importance_score=fact.importance,
        source=fact.source,
        tenant_id=fact.tenant.name or None,
        company_id=fact.tenant.owner,
        created_at=render_instant(fact.known_from_ms),
        valid_from=render_instant(fact.valid_from_ms),
        valid_to=_optional(version.valid_to_ms),
        superseded_by=version.superseded_by or None,
        transaction_time_start=render_instant(version.known_from_ms),
        transaction_time_end=_optional(version.known_to_ms),
        temporal=temporal_of(version, now_ms),
        source_citation=wire.SourceCitation(fact.source, fact.author or fact.source),
    )


def temporal_of(version: FactVersion, now_ms: int) -> wire.Temporal:
    """Return the validity of a fact, as it is at an instant."""
    is_current = version.is_current_at(now_ms)
    return wire.Temporal(
        valid_from=render_instant(version.fact.valid_from_ms),
        valid_to=_optional(version.valid_to_ms),
        superseded_by=version.superseded_by or None,
        is_current=is_current,
        is_expired=version.is_expired_at(now_ms),
        is_superseded=bool(version.superseded_by),
        is_known_current=is_current and version.known_to_ms is None,
    )


def audit_of(version: FactVersion, endings: Sequence[Ending], now_ms: int) -> wire.Audit:
    """Return what happened to a fact."""
    fact = version.fact
    created = wire.AuditEvent(
        assumptions.CREATED_EVENT, render_instant(fact.known_from_ms), fact.author or fact.tenant.owner, {}
    )
    return wire.Audit(
        memory_id=fact.id,
        memory={"summary": memory_of(version, now_ms).summary, "decision": fact.text, "topic": fact.topic},
        provenance={
            "source_type": fact.source,
            "channel": fact.author or fact.source,
            "tenant_id": fact.tenant.name or None,
            "workspace_id": None,
            "org_id": fact.tenant.owner,
            "external_id": fact.subject or None,
            "original_input": fact.text,
            "captured_at": render_instant(fact.known_from_ms),
        },
        extraction={"model": None, "prompt_version": None, "extracted_at": None},
        temporal=temporal_of(version, now_ms),
        history=[created, *(_event_of(ending, fact.tenant.owner) for ending in endings)],
    )


def _event_of(ending: Ending, owner: str) -> wire.AuditEvent:
    event = assumptions.SUPERSEDED_EVENT if ending.superseded_by else assumptions.EXPIRED_EVENT
    details = {"valid_to": render_instant(ending.valid_to_ms), "superseded_by": ending.superseded_by or None}
    return wire.AuditEvent(event, render_instant(ending.known_from_ms), ending.author or owner, details)


def plan_of(usage: FactUsage) -> wire.PlanStatus:
    """Return the bounds of the store as a plan: a write is a memory that the store holds."""
    return wire.PlanStatus(
        plan_tier=assumptions.PLAN_TIER,
        writes_used=usage.facts,
        writes_limit=usage.facts_max,
        writes_remaining=usage.facts_max - usage.facts,
        in_grace_period=False,
        blocked=usage.is_full,
    )


def changed_settings(known: wire.FactSettings, change: wire.SettingsChange) -> wire.FactSettings:
    """Return the settings after a change.

    Raises:
        OutOfRange: A value is, or nothing is changed.
    """
    wanted = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    if not wanted:
        raise OutOfRange("give a field to change: auto_supersede_default, excluded_categories, min_confidence, ...")
    settings = msgspec.structs.replace(known, **wanted)
    if not MIN_CONFIDENCE <= settings.min_confidence <= 1:
        raise OutOfRange(f"give a min_confidence from {MIN_CONFIDENCE} to 1.0, not {settings.min_confidence}")
    if len(settings.excluded_categories) > CATEGORIES_MAX:
        raise OutOfRange(f"give at most {CATEGORIES_MAX} excluded_categories")
    for name in settings.excluded_categories:
        check_label("category", name)
    check_label("classifier_model", settings.classifier_model)
    return settings


def _checked_limit(limit: int, limit_max: int) -> int:
    if not 1 <= limit <= limit_max:
        raise OutOfRange(f"give a limit from 1 to {limit_max}, not {limit}")
    return limit


def _truth(name: str, text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0"}:
        raise WrongType(f"give true or false as {name}: {quote(text)} is neither")
    return text.lower() in {"true", "1"}


def _optional(utc_ms: int | None) -> str | None:
    return None if utc_ms is None else render_instant(utc_ms)
