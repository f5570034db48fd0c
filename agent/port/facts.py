"""The handlers of the local API for facts: what the hub knows about itself, and service visits that people record.

Shows the hub's own facts only. Must never show those of an API's client: each credential is an account of its own.
"""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from agent.errors import UnknownDevice
from agent.foundation import rfc3339
from agent.foundation.text import quote, sanitize
from agent.local import query
from agent.local.facts import VISIT_CHARACTERS_MAX, FactReport, FactsReport, VisitRequest
from agent.local.queries import FactsQuery
from agent.local.routes import Handler, LocalRequest, RequestRefused

if TYPE_CHECKING:
    from agent.apis.assembly import ApiService
    from agent.apis.aurra_facts.face import AurraFactsFace
    from agent.facts.model import FactVersion
    from agent.facts.store import FactQuery, FactStore

OFF = "set apis.aurra_facts = true in the configuration first: this hub keeps no facts"


def handlers(apis: "ApiService | None") -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        apis: The local APIs; `None` where all are switched off.
    """

    def known() -> "AurraFactsFace":
        """Return who has the facts."""
        if apis is None or all(face.name != "aurra_facts" for face in apis.faces):
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", OFF)
        from agent.apis.aurra_facts.face import AurraFactsFace  # noqa: PLC0415 - hubs without facts do without

        (found,) = (face for face in apis.faces if isinstance(face, AurraFactsFace))
        return found

    async def get_facts(request: LocalRequest) -> FactsReport:
        face, asked = known(), query.read(request.query, FactsQuery)
        wanted = _wanted(asked)

        async def work(store: "FactStore", utc_ms: int) -> "list[FactVersion]":
            return await store.shown(wanted, utc_ms=utc_ms)

        from agent.facts.model import FactRefused  # noqa: PLC0415 - hubs without facts do without

        try:
            found = await face.facts.use(work)
        except FactRefused as error:
            raise _invalid(str(error)) from error
        has_more = len(found) > asked.limit
        shown = [_report(each) for each in found[: asked.limit]]
        return FactsReport(shown, shown[-1].id if has_more else None)

    async def record_visit(request: LocalRequest) -> FactReport:
        face, body = known(), request.body
        from agent.facts.model import FactRefused  # noqa: PLC0415 - hubs without facts do without

        text, at = _checked(body)
        try:
            made = await face.recorder.record_visit(text, zone_id=body.zone, at=at, by=request.caller.name)
        except UnknownDevice as error:
            message = f"name a zone of this hub (climahub climate): there is none called {quote(body.zone)}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", message) from error
        except FactRefused as error:
            raise _invalid(str(error)) from error
        return _report(made)

    return {each.__name__: each for each in (get_facts, record_visit)}


def _invalid(text: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)


def _checked(body: VisitRequest) -> tuple[str, datetime | None]:
    """Return what was done, and when.

    Raises:
        RequestRefused: The text is too long, or the time is none.
    """
    if len(body.text) > VISIT_CHARACTERS_MAX:
        raise _invalid(f"shorten the text: it may have {VISIT_CHARACTERS_MAX} characters")
    text = sanitize(body.text, characters_max=VISIT_CHARACTERS_MAX)
    if not body.at:
        return text, None
    _instant_of("at", body.at)
    return text, datetime.fromisoformat(body.at)


def _instant_of(name: str, text: str) -> int | None:
    """Return an instant; `None` for an empty text.

    Raises:
        RequestRefused: It is none.
    """
    try:
        return rfc3339.parse(text) if text else None
    except ValueError as error:
        problem = f"give {name} in ISO 8601 with Z or an offset, {rfc3339.BOUNDS}: {quote(text)} is no such time"
        raise _invalid(problem) from error


def _wanted(asked: FactsQuery) -> "FactQuery":
    """Return what is asked for: one fact more than shown, so that it is known whether there is another page.

    Raises:
        RequestRefused: An instant is none.
    """
    from agent.facts.store import FactQuery  # noqa: PLC0415 - hubs without facts do without
    from agent.facts.tables import FactFilter  # noqa: PLC0415 - as above
    from agent.home.fact_texts import HUB_TENANT  # noqa: PLC0415 - as above

    as_of_ms, known_ms = _instant_of("as_of", asked.as_of), _instant_of("known_at", asked.known_at)
    if as_of_ms is None and not asked.with_ended:
        # What the hub believed then about that instant.
        as_of_ms = known_ms
    chosen = FactFilter(
        (HUB_TENANT,), subject=asked.subject.rstrip("/"), before=asked.before or "", after=asked.after or ""
    )
    return FactQuery(chosen, asked.limit + 1, as_of_ms, known_ms, asked.with_ended)


def _report(version: "FactVersion") -> FactReport:
    fact = version.fact
    return FactReport(
        id=fact.id,
        subject=fact.subject,
        zone=fact.zone,
        topic=fact.topic,
        text=fact.text,
        author=fact.author,
        valid_from=rfc3339.render(fact.valid_from_ms),
        valid_to=rfc3339.render_known(version.valid_to_ms),
        replaced_by=version.superseded_by,
        known_from=rfc3339.render(fact.known_from_ms),
    )
