"""`climahub facts` and its routes against a real hub: what it shows, what it refuses, and service visits."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.apis.aurra_facts.face import AurraFactsFace
from agent.climate.model import Mode
from agent.climate.requests import SetRequest
from agent.facts.model import FactDraft, Tenant
from agent.facts.service import FactService
from agent.facts.tables import SubjectEnd
from agent.local.routes import Role
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.port_rig import PortRig, open_port

VISITS = "/v1/facts/visits"


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "aurra_facts") as rig:
        yield rig


async def ask(port: PortRig, method: str, path: str, role: Role = Role.SERVICE, **given: Any) -> tuple[int, Any]:  # noqa: ANN401
    async with port.session(role) as client, client.request(method, path, **given) as response:
        return response.status, await response.json()


def facts_of(rig: ApiRig) -> FactService:
    service = rig.port.hub.port.apis
    assert service is not None
    (face,) = (each for each in service.faces if isinstance(each, AurraFactsFace))
    return face.facts


async def command(rig: ApiRig, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "facts", *words, "--socket", str(rig.port.socket)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def texts(rig: ApiRig, query: str) -> list[str]:
    status, answer = await ask(rig.port, "GET", f"/v1/facts?{query}", Role.VIEWER)
    assert status == 200, answer
    return [fact["text"] for fact in answer["facts"]]


async def test_a_visit_has_its_time_and_its_author_and_replaces_the_one_before(apis: ApiRig) -> None:
    first = {"text": "changed the filter", "zone": "living", "at": "2026-01-02T10:00:00+01:00"}
    status, made = await ask(apis.port, "POST", VISITS, json=first)
    assert (status, made["subject"], made["zone"], made["valid_to"]) == (200, "living/visit", "living", None)
    assert (made["valid_from"], made["author"]) == ("2026-01-02T09:00:00Z", "test")
    assert made["text"] == "living: was last serviced on 2026-01-02: changed the filter"
    again = await ask(apis.port, "POST", VISITS, json=first)
    assert again == (200, made)
    status, second = await ask(apis.port, "POST", VISITS, json={"text": "bled the radiator", "zone": "living"})
    assert status == 200
    assert await texts(apis, "subject=living/visit") == [second["text"]]
    assert await texts(apis, "subject=living/visit&with_ended=true") == [second["text"], made["text"]]
    assert await texts(apis, "subject=living/visit&as_of=2026-01-03T00:00:00Z") == [made["text"]]
    assert await texts(apis, "subject=living/visit&known_at=2026-01-03T00:00:00Z") == []
    assert await texts(apis, "subject=bedroom/visit") == []
    _, trail = await ask(apis.port, "GET", "/v1/audit")
    assert [(each["name"], each["count"]) for each in trail["entries"] if each["action"] == "record_visit"] == [
        ("test", 3)
    ]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"text": " "}, 400, "say what was done"),
        ({"text": "x" * 301}, 400, "it may have 300 characters"),
        ({"text": "x", "zone": "attic"}, 404, "name a zone of this hub"),
        ({"text": "x", "at": "yesterday"}, 400, "give at in ISO 8601"),
        ({"text": "x", "at": "2026-01-02"}, 400, "give at in ISO 8601"),
        ({"text": "x", "at": "2150-01-01T00:00:00Z"}, 400, "give a time in the past"),
        ({"text": "x", "at": "2020-01-01T00:00:00Z"}, 400, "the last visit was at 2026-01-02T00:00:00Z"),
    ],
)
async def test_a_visit_that_cannot_be_is_refused(apis: ApiRig, body: dict[str, str], status: int, reason: str) -> None:
    await ask(apis.port, "POST", VISITS, json={"text": "first", "at": "2026-01-02T00:00:00Z"})
    found, answer = await ask(apis.port, "POST", VISITS, json=body)
    assert (found, reason in answer["detail"]) == (status, True), answer
    assert len(await texts(apis, "subject=hub.0/visit&with_ended=1")) == 1


async def test_facts_are_paged_and_a_wrong_query_is_refused(apis: ApiRig) -> None:
    for day in range(1, 6):
        body = {"text": f"visit {day}", "at": f"2026-01-0{day}T00:00:00Z"}
        assert (await ask(apis.port, "POST", VISITS, json=body))[0] == 200
    found, cursor = [], ""
    while True:
        query = f"/v1/facts?subject=hub.0&with_ended=true&limit=2{cursor}"
        _, page = await ask(apis.port, "GET", query, Role.VIEWER)
        found += page["facts"]
        if page["next_before"] is None:
            break
        cursor = f"&before={page['next_before']}"
    assert [fact["text"][-1] for fact in found] == ["5", "4", "3", "2", "1"]
    assert await texts(apis, f"subject=hub.0&with_ended=1&after={found[2]['id']}") == [
        each["text"] for each in found[:2]
    ]
    for query in ("before=x", "as_of=soon", "known_at=2026-01-01", "limit=0", "limit=1001"):
        status, answer = await ask(apis.port, "GET", f"/v1/facts?{query}", Role.VIEWER)
        assert (status, answer["error"]) == (400, "invalid"), query


async def test_what_was_known_is_shown_as_it_held_then(apis: ApiRig) -> None:
    facts = facts_of(apis)
    hub = Tenant("hub")
    begun = FactDraft("cannot be reached", subject="attic/fault")
    await facts.use(lambda store, utc_ms: store.record(hub, [begun], utc_ms=utc_ms))
    assert await texts(apis, "subject=attic&known_at=2150-01-01T00:00:00Z") == [begun.text]
    await facts.use(lambda store, utc_ms: store.record(hub, [SubjectEnd(begun.subject, utc_ms)], utc_ms=utc_ms))
    assert await texts(apis, "subject=attic&known_at=2150-01-01T00:00:00Z") == []
    assert await texts(apis, "subject=attic&known_at=2150-01-01T00:00:00Z&with_ended=true") == [begun.text]


async def test_facts_of_a_client_are_shown_to_nobody_at_the_hub(apis: ApiRig) -> None:
    await facts_of(apis).use(lambda store, utc_ms: store.add(Tenant("acc_1"), FactDraft("a secret"), utc_ms=utc_ms))
    assert "a secret" not in await texts(apis, "with_ended=true")


async def test_without_facts_the_hub_says_which_key_to_set(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        for method, path in (("GET", "/v1/facts"), ("POST", VISITS)):
            status, answer = await ask(port, method, path, json={"text": "x"})
            assert (status, "set apis.aurra_facts = true" in answer["detail"]) == (409, True)


async def test_the_command_lists_follows_exports_and_records(apis: ApiRig) -> None:
    for words in (
        ("changed the filter", "--zone", "living", "--at", "2026-01-02"),
        ("bled the radiator", "--zone", "living", "--at", "2026-01-03T12:00"),
    ):
        code, output, errors = await command(apis, "visit", *words)
        assert (code, errors) == (0, "")
        assert "was last serviced on 2026-01-0" in output
    apis.home.thermostats.apply("living", SetRequest(mode=Mode.OFF), by="page")
    code, output, errors = await command(apis, "list", "--subject", "living/visit")
    assert (code, errors, len(output.splitlines())) == (0, "", 1)
    assert "  holds " in output
    assert "bled the radiator" in output
    _, output, _ = await command(apis, "timeline", "living/visit")
    assert [line.rpartition(": ")[2].partition(" (")[0] for line in output.splitlines()] == [
        "changed the filter",
        "bled the radiator",
    ]
    _, output, _ = await command(apis, "export", "--subject", "living/visit")
    assert [json.loads(line)["valid_to"] is None for line in output.splitlines()] == [True, False]
    _, output, _ = await command(apis, "list", "--as-of", "2026-01-02T18:00", "--json")
    assert ["changed the filter" in fact["text"] for fact in json.loads(output)["facts"]] == [True]
    code, _, errors = await command(apis, "visit", "x", "--at", "soon")
    assert (code, "2026-11-01" in errors) == (2, True)
    assert (await command(apis, "list", "--subject", "attic"))[2] == "the hub knows no such fact\n"
