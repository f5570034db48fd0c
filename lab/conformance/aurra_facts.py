"""The contract of the Aurra memory API: facts with validity, as its published client 0.8.1 uses it."""

import uuid
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from lab.conformance.lines import Contract, Mismatch, NotTried, Origin
from lab.conformance.server import Reply, Server, check_fields, check_one_of, check_type

AURRA_FACTS = Contract("aurra_facts", "Aurra facts")

NOWHERE = "/memories/00000000-0000-4000-8000-000000000000"

line = AURRA_FACTS.line


async def _call(server: Server, method: str, path: str, body: object = None) -> Reply:
    if not server.access.secret:
        raise NotTried("give an API key: without one only the first line can be checked")
    return await server.call(method, path, body, headers={"Authorization": f"Bearer {server.access.secret}"})


def _refused(reply: Reply, *statuses: int) -> None:
    reply.expect(*statuses)
    detail = reply.at("detail")
    if not isinstance(detail, str | dict):
        raise Mismatch(f"expected detail as text or an object, found {detail!r}"[:200])


async def _add(server: Server, text: str) -> str:
    reply = (await _call(server, "POST", "/agent/memories", {"content": text, "topic": "Conformance"})).expect(200)
    check_type("memory_id", reply.at("memory_id"), str)
    memory_id, date = str(reply.at("memory_id")), reply.headers.get("Date", "")

    async def end() -> None:
        if memory_id in server.found.get("superseded", ()):
            return
        # The server's own time: a fact that has ended counts no more, though it stays in the history.
        valid_to = (parsedate_to_datetime(date) + timedelta(seconds=1)).isoformat()
        (await _call(server, "POST", f"/memories/{memory_id}/supersede", {"valid_to": valid_to})).expect(200)

    server.undo_later(f'the fact "{text}"', end)
    return memory_id


@line("1", "a call without a key is refused with 401 and `Not authenticated`")
async def no_key(server: Server) -> None:
    reply = (await server.call("GET", "/plan/status")).expect(401)
    check_one_of("detail", reply.at("detail"), ("Not authenticated",))


@line("3.8", "the plan says what was used, what is left, and whether writes are blocked")
async def plan(server: Server) -> None:
    reply = (await _call(server, "GET", "/plan/status")).expect(200)
    fields: dict[str, tuple[type, ...]] = {
        "plan_tier": (str,), "writes_used": (int,), "writes_limit": (int,), "writes_remaining": (int,),
        "in_grace_period": (bool,), "blocked": (bool,),
    }  # fmt: skip
    check_fields(reply.document, fields, where="plan")
    left = reply.at("writes_limit") - reply.at("writes_used")
    check_one_of("writes_remaining", reply.at("writes_remaining"), (left,))


@line("3.7", "the settings have their fields")
async def settings(server: Server) -> None:
    reply = (await _call(server, "GET", "/agent/settings")).expect(200)
    fields: dict[str, tuple[type, ...]] = {
        "auto_supersede_default": (bool,), "excluded_categories": (list,), "min_confidence": (float, int),
        "classifier_model": (str,),
    }  # fmt: skip
    check_fields(reply.document, fields, where="settings")


@line("3.7", "a min_confidence below 0.85 is refused with 400", origin=Origin.CLIENTS)
async def low_confidence(server: Server) -> None:
    _refused(await _call(server, "PATCH", "/agent/settings", {"min_confidence": 0.5}), 400)


@line("3.1", "a fact without content and messages is refused")
async def empty_fact(server: Server) -> None:
    _refused(await _call(server, "POST", "/agent/memories", {"topic": "Conformance"}), 400, 422)


@line("1", "a body that is no JSON is refused with 400")
async def unparsable(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.access.secret}", "Content-Type": "application/json"}
    _refused(await server.call("POST", "/agent/memories", data=b"{", headers=headers), 400, 422)


@line("1", "an unknown memory is refused with 404")
async def unknown_memory(server: Server) -> None:
    for path in (f"{NOWHERE}/timeline", f"{NOWHERE}/audit"):
        _refused(await _call(server, "GET", path), 404)


@line("3.2", "the list has memories")
async def listed(server: Server) -> None:
    reply = (await _call(server, "GET", "/agent/memories?limit=5")).expect(200)
    check_type("memories", reply.at("memories"), list)


@line("3.1", "a fact is stored, and its id is a UUID", change=True)
async def new_fact(server: Server) -> None:
    memory_id = await _add(server, "The conformance check was here.")
    try:
        uuid.UUID(memory_id)
    except ValueError:
        raise Mismatch(f"expected memory_id as a UUID, found {memory_id!r}") from None
    server.found["memory"] = memory_id


def _memory(server: Server) -> str:
    return str(server.need("memory", "no fact was stored"))


@line("3.3", "superseding takes exactly one of superseded_by and valid_to", change=True, origin=Origin.ASSUMED)
async def ambiguous(server: Server) -> None:
    path = f"/memories/{_memory(server)}/supersede"
    both = {"superseded_by": _memory(server), "valid_to": "2030-01-01T00:00:00+00:00"}
    for body in (both, {}):
        _refused(await _call(server, "POST", path, body), 400, 422)


@line("3.3", "a fact is superseded by another: nothing is deleted, the old one ends", change=True)
async def supersede(server: Server) -> None:
    old, new = _memory(server), await _add(server, "The conformance check was here twice.")
    reply = (await _call(server, "POST", f"/memories/{old}/supersede", {"superseded_by": new})).expect(200)
    check_one_of("status", reply.at("status"), ("superseded",))
    check_one_of("superseded_by", reply.at("superseded_by"), (new,))
    datetime.fromisoformat(str(reply.at("valid_to")))
    server.found["newer"] = new
    server.found["superseded"] = {old}


def _newer(server: Server) -> str:
    return str(server.need("newer", "no fact was superseded"))


@line("3.4", "the timeline of any memory of a chain has the whole chain, the oldest first", change=True)
async def timeline(server: Server) -> None:
    chain = [_memory(server), _newer(server)]
    for asked in chain:
        reply = (await _call(server, "GET", f"/memories/{asked}/timeline")).expect(200)
        check_one_of("memory_id", reply.at("memory_id"), (asked,))
        check_one_of("chain_length", reply.at("chain_length"), (2,))
        check_one_of("timeline", [_id(each) for each in reply.at("timeline")], (chain,))


def _id(memory: dict[str, Any]) -> object:
    return memory.get("id")


@line("3.2", "superseded facts are listed only when asked for", change=True)
async def superseded_hidden(server: Server) -> None:
    old, new = _memory(server), _newer(server)
    for query, wanted in (("", {new}), ("&include_superseded=true", {old, new})):
        reply = (await _call(server, "GET", f"/agent/memories?limit=50{query}")).expect(200)
        found = {_id(each) for each in reply.at("memories")} & {old, new}
        if found != wanted:
            raise Mismatch(f"expected {len(wanted)} of the two facts with limit=50{query}, found {len(found)}")


@line("3.2", "as_of before a fact was true leaves it out", change=True)
async def as_of(server: Server) -> None:
    reply = await _call(server, "GET", "/agent/memories?limit=50&as_of=2001-01-01T00:00:00%2B00:00")
    found = {_id(each) for each in reply.expect(200).at("memories")}
    if found & {_memory(server), _newer(server)}:
        raise Mismatch("expected no fact of today as of 2001")


@line("3.5", "the audit has provenance and the history, beginning with its creation", change=True)
async def audit(server: Server) -> None:
    reply = (await _call(server, "GET", f"/memories/{_memory(server)}/audit")).expect(200)
    fields: dict[str, tuple[type, ...]] = {
        "memory_id": (str,), "memory": (dict,), "provenance": (dict,), "temporal": (dict,), "history": (list,),
    }  # fmt: skip
    check_fields(reply.document, fields, where="audit")
    check_one_of("history[0].event", reply.at("history", 0, "event"), ("created", "memory.created"))


@line("3.6", "a question is answered with the memories that it rests on", change=True)
async def query(server: Server) -> None:
    _newer(server)
    reply = (await _call(server, "POST", "/agent/query", {"question": "conformance check", "limit": 5})).expect(200)
    fields: dict[str, tuple[type, ...]] = {
        "question": (str,), "answer": (str,), "citations": (list,), "memories_searched": (int,), "search_type": (str,),
    }  # fmt: skip
    check_fields(reply.document, fields, where="answer")


@line("3.6", "a question is required")
async def no_question(server: Server) -> None:
    _refused(await _call(server, "POST", "/agent/query", {}), 400, 422)
