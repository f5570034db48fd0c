"""The published client of Aurra facts, unmodified, against a hub."""

import asyncio
import json
import os
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aurra import Aurra, exceptions

from agent.climate.model import Mode
from agent.climate.requests import SetRequest
from agent.home import fact_recorder
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.conftest import WAIT_S
from tests.integration.port_rig import open_port

T = TypeVar("T")

APIS_PAGE = Path(__file__).parents[2] / "docs" / "apis.md"

UNKNOWN = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "aurra_facts") as rig:
        yield rig


async def client_of(rig: ApiRig, name: str = "test", **wanted: object) -> Aurra:
    made = await rig.client("aurra_facts", name, **wanted)
    return Aurra(api_key=made.secret, base_url=f"{rig.url}/aurra", timeout=WAIT_S)


async def call(function: Callable[..., T], *arguments: Any, **named: Any) -> T:  # noqa: ANN401
    """Run a call of the client, which blocks, on a thread of its own."""
    return await asyncio.to_thread(lambda: function(*arguments, **named))


async def test_a_memory_is_stored_listed_superseded_and_followed(apis: ApiRig) -> None:
    client = await client_of(apis)
    light = await call(client.memories.add, content="Anna likes light mode", topic="taste", importance_score=7)
    assert (light.status, light.auto_supersede) == ("success", None)
    dark = await call(client.memories.add, content="Anna likes dark mode")
    done = await call(client.memories.supersede, light.memory_id, superseded_by=dark.memory_id)
    assert (done.status, done.memory_id, done.superseded_by) == ("superseded", light.memory_id, dark.memory_id)
    assert done.valid_to is not None
    assert done.valid_to.endswith("+00:00")
    (present,) = await call(client.memories.list, source="agent")
    assert (present["decision"], present["temporal"]["is_current"]) == ("Anna likes dark mode", True)
    assert len(await call(client.memories.list, include_superseded=True, source="agent")) == 2
    for asked in (light.memory_id, dark.memory_id):
        old, new = await call(client.memories.timeline, asked)
        assert (old.id, old.is_superseded, old.is_current, old.superseded_by) == (
            light.memory_id,
            True,
            False,
            dark.memory_id,
        )
        assert (new.id, new.is_current, new.valid_to) == (dark.memory_id, True, None)
        assert old.raw["importance_score"] == 7


async def test_the_four_views_through_the_client(apis: ApiRig) -> None:
    client = await client_of(apis)
    first = await call(client.memories.add, content="first")
    (memory,) = await call(client.memories.list, source="agent")
    before = memory["valid_from"]
    second = await call(client.memories.add, content="second")
    done = await call(client.memories.supersede, first.memory_id, superseded_by=second.memory_id)
    assert done.valid_to is not None

    async def seen(**instants: str) -> list[str]:
        return sorted(memory["decision"] for memory in await call(client.memories.list, source="agent", **instants))

    assert await seen() == ["second"]
    assert await seen(as_of=before) == ["first"]
    assert await seen(transaction_as_of=before) == ["first"]
    assert await seen(as_of=done.valid_to, transaction_as_of=before) == ["first"]
    assert await seen(as_of="2000-01-01T00:00:00Z") == []


async def test_a_memory_that_expires_has_no_successor(apis: ApiRig) -> None:
    client = await client_of(apis)
    made = await call(client.memories.add, content="the plumber comes on Monday")
    done = await call(client.memories.supersede, made.memory_id, valid_to="2199-01-01T00:00:00+00:00")
    assert (done.superseded_by, done.valid_to) == (None, "2199-01-01T00:00:00.000000+00:00")
    (entry,) = await call(client.memories.timeline, made.memory_id)
    assert (entry.is_current, entry.is_expired) == (True, False)


async def test_the_audit_says_who_did_what(apis: ApiRig) -> None:
    client = await client_of(apis, "anna")
    made = await call(client.memories.add, content="a fact", topic="things")
    await call(client.memories.supersede, made.memory_id, valid_to="2199-01-01T00:00:00+00:00")
    audit = await call(client.memories.get_audit, made.memory_id)
    assert [(entry["event"], entry["by"]) for entry in audit["history"]] == [
        ("memory.created", "api:aurra_facts/anna"),
        ("memory.expired", "api:aurra_facts/anna"),
    ]
    assert audit["memory"] == {"summary": "a fact", "decision": "a fact", "topic": "things"}
    assert audit["provenance"]["source_type"] == "agent"
    assert audit["extraction"]["model"] is None


async def test_a_question_is_answered_by_quoting_facts(apis: ApiRig) -> None:
    client = await client_of(apis)
    old = await call(client.memories.add, content="The filter of the ventilation was changed in May")
    new = await call(client.memories.add, content="The filter of the ventilation was changed in October")
    await call(client.memories.add, content="Bert has a dog")
    await call(client.memories.supersede, old.memory_id, superseded_by=new.memory_id)
    result = await call(client.memories.query, "When was the ventilation filter changed?", include_proof_tree=True)
    assert result.answer == "The filter of the ventilation was changed in October"
    assert result.answer_with_citations == f"{result.answer} [mem-1]"
    assert result.search_type == "keyword"
    (citation,) = result.citations
    assert (citation.memory_id, citation.cited_by_llm, citation.similarity) == (new.memory_id, True, 1.0)
    proof = result.proof_tree
    assert proof is not None
    assert (proof.question, len(proof.answer_hash), proof.retrieval["memories_cited"]) == (result.question, 64, 1)
    (chain,) = proof.supersession_chains
    assert (chain.starting_memory_id, chain.current_truth_memory_id) == (new.memory_id, new.memory_id)
    assert [link.memory_id for link in chain.chain] == [old.memory_id, new.memory_id]
    nothing = await call(client.memories.query, "elephants?")
    assert (nothing.answer, nothing.citations) == ("No stored fact contains these words.", [])
    past = await call(client.memories.query, "dog", as_of="2000-01-01T00:00:00Z", sources=["agent"])
    assert past.answer.startswith("As of 2000-01-01T00:00:00")


async def test_settings_and_plan(apis: ApiRig) -> None:
    client, other = await client_of(apis), await client_of(apis, "other")
    settings = await call(client.settings.get)
    assert (settings.min_confidence, settings.excluded_categories) == (0.85, ["health_medical", "legal_status"])
    changed = await call(
        client.settings.update, min_confidence=0.9, auto_supersede_default=True, excluded_categories=["x"]
    )
    assert (changed.status, changed.min_confidence, changed.excluded_categories) == ("updated", 0.9, ["x"])
    assert (await call(client.settings.get)).auto_supersede_default is True
    assert (await call(other.settings.get)).auto_supersede_default is False
    made = await call(client.memories.add, content="no model is asked")
    assert (made.auto_supersede.ran, made.auto_supersede.supersession) == (False, None)
    assert "no model" in made.auto_supersede.skipped_reason
    plan = await call(client._http.get, "/plan/status")
    assert (plan["writes_used"], plan["writes_remaining"]) == (1, plan["writes_limit"] - 1)
    assert (plan["blocked"], plan["in_grace_period"], plan["plan_tier"]) == (False, False, "hub")


async def test_each_error_is_the_exception_of_the_client(apis: ApiRig) -> None:
    client = await client_of(apis)
    made = await call(client.memories.add, content="a fact")
    wrong = Aurra(api_key="aurra_wrong", base_url=f"{apis.url}/aurra")
    refused: list[tuple[type[Exception], int, str, Callable[[], object]]] = [
        (exceptions.AurraAuthError, 401, "Not authenticated", wrong.settings.get),
        (exceptions.AurraNotFoundError, 404, "no such fact", lambda: client.memories.timeline(UNKNOWN)),
        (exceptions.AurraNotFoundError, 404, "no such fact", lambda: client.memories.get_audit("no-id")),
        (
            exceptions.AurraValidationError,
            400,
            "runs no model",
            lambda: client.memories.add([{"role": "user", "content": "hi"}], session_id="s"),
        ),
        (
            exceptions.AurraValidationError,
            400,
            "either superseded_by or valid_to",
            lambda: client.memories.supersede(made.memory_id, superseded_by=UNKNOWN, valid_to="2199-01-01T00:00:00Z"),
        ),
        (exceptions.AurraValidationError, 400, "0.85", lambda: client.settings.update(min_confidence=0.5)),
        (
            exceptions.AurraValidationError,
            400,
            "1 to 10",
            lambda: client.memories.add(content="x", importance_score=11),
        ),
        (exceptions.AurraError, 422, "as_of", lambda: client.memories.list(as_of="yesterday")),
        (exceptions.AurraError, 422, "question", lambda: client._http.post("/agent/query", json={})),
        (
            exceptions.AurraValidationError,
            400,
            "none replaces itself",
            lambda: replace(client, made.memory_id),
        ),
    ]
    for kind, status, text, function in refused:
        with pytest.raises(kind, match=text) as caught:
            await call(function)
        error = caught.value
        assert type(error) is kind
        assert isinstance(error, exceptions.AurraError)
        assert error.status_code == status
        assert error.response_body is not None
        assert isinstance(error.response_body["detail"], str)


def replace(client: Aurra, memory_id: str) -> object:
    return client.memories.supersede(memory_id, superseded_by=memory_id)


async def test_too_many_writes_are_the_rate_limit_of_the_client(apis: ApiRig) -> None:
    apis.port.clock.stand_still()
    client = await client_of(apis)
    for _ in range(30):
        await call(client.memories.add, content="a fact")
    with pytest.raises(exceptions.AurraRateLimitError, match="wait"):
        await call(client.memories.add, content="one too many")
    assert await call(client.memories.list, limit=1)


async def test_a_client_reads_and_changes_nothing_of_another(apis: ApiRig) -> None:
    anna, bert = await client_of(apis, "anna"), await client_of(apis, "bert")
    hers = await call(anna.memories.add, content="Anna's secret")
    his = await call(bert.memories.add, content="Bert's fact", tenant_id="x")
    assert [memory["decision"] for memory in await call(bert.memories.list, source="agent")] == []
    assert [memory["decision"] for memory in await call(bert.memories.list, tenant_id="x")] == ["Bert's fact"]
    assert (await call(bert.memories.query, "secret")).citations == []
    for function in (
        lambda: bert.memories.timeline(hers.memory_id),
        lambda: bert.memories.get_audit(hers.memory_id),
        lambda: bert.memories.supersede(hers.memory_id, valid_to="2199-01-01T00:00:00Z"),
        lambda: bert.memories.supersede(his.memory_id, superseded_by=hers.memory_id),
        lambda: bert.memories.supersede(hers.memory_id, superseded_by=his.memory_id),
    ):
        with pytest.raises(exceptions.AurraNotFoundError):
            await call(function)


async def test_the_deprecated_importance_still_works(apis: ApiRig) -> None:
    client = await client_of(apis)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        await call(client.memories.add, content="a fact", importance="high")
    body = {"content": "by word", "importance": "low", "topic": "t", "source": "s"}
    await call(client._http.post, "/agent/memories", json=body)
    listed = await call(client.memories.list, include_superseded=True)
    assert {memory["importance_score"] for memory in listed if memory["company_id"] != "hub"} == {8, 2}


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aurra_facts") as rig:
        made = await rig.client("aurra_facts")
        client = Aurra(api_key=made.secret, base_url=f"{rig.url}/aurra")
        await call(client.memories.add, content="durable")
        await call(client.settings.update, min_confidence=0.99)
    async with open_apis(tmp_path, "aurra_facts") as rig:
        client = Aurra(api_key=made.secret, base_url=f"{rig.url}/aurra")
        assert [memory["decision"] for memory in await call(client.memories.list, source="agent")] == ["durable"]
        assert (await call(client.settings.get)).min_confidence == 0.99


async def test_a_hub_without_the_api_opens_nothing(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        assert port.hub.port.apis is None
        assert not list((port.directory / "state").glob("*facts*"))


def test_a_hub_without_the_api_imports_nothing_of_it() -> None:
    code = "import sys, agent.app; print([name for name in sys.modules if name.startswith('agent.facts')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


async def test_the_hub_writes_down_what_changes_and_who_changed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_recorder, "START_S", 0.0)
    monkeypatch.setattr(fact_recorder, "COMMIT_INTERVAL_S", 0.0)
    async with open_apis(tmp_path, "aurra_facts") as rig:
        client, narrow = await client_of(rig), await client_of(rig, "narrow", zones=("bedroom",))
        rig.home.thermostats.apply("living", SetRequest(mode=Mode.HEAT, heat_setpoint_c=21.5), by="anna")

        async def found(text: str) -> list[dict[str, Any]]:
            memories = await call(client.memories.list, limit=100, source="hub")
            return [memory for memory in memories if text in memory["decision"]]

        while not await found("living: setpoints: heat to 21.5 °C"):  # noqa: ASYNC110 - the hub writes when it can
            await asyncio.sleep(0.05)
        (setpoints,) = await found("living: setpoints: heat to 21.5 °C")
        assert setpoints["source_citation"] == {"type": "hub", "channel": "anna"}
        assert setpoints["company_id"] == "hub"
        assert await found("runs the firmware")
        answer = await call(client.memories.query, "What are the setpoints of the living room?", sources=["hub"])
        assert "living: setpoints: heat to 21.5 °C" in answer.answer
        with pytest.raises(exceptions.AurraError, match="a fact of its own") as refused:
            await call(client.memories.supersede, setpoints["id"], valid_to="2199-01-01T00:00:00Z")
        assert refused.value.status_code == 403
        listed = await call(narrow.memories.list, limit=100, include_superseded=True)
        assert {memory["decision"].split(":")[0] for memory in listed} == {"bedroom", "hub"}
        for function in (narrow.memories.timeline, narrow.memories.get_audit):
            with pytest.raises(exceptions.AurraNotFoundError):
                await call(function, setpoints["id"])
        with pytest.raises(exceptions.AurraNotFoundError):
            await call(narrow.memories.supersede, setpoints["id"], valid_to="2199-01-01T00:00:00Z")


async def test_the_example_of_the_page_runs_as_it_stands(apis: ApiRig) -> None:
    made = await apis.client("aurra_facts")
    (example,) = [
        block.split("```")[0] for block in APIS_PAGE.read_text().split("```python\n") if "from aurra import" in block
    ]
    example = example.replace("aurra_...", made.secret).replace("http://127.0.0.1:8480", apis.url)
    printed = await call(run, [sys.executable, "-c", example])
    assert "Anna likes light mode False" in printed
    assert "Anna likes dark mode True" in printed


async def test_the_curl_lines_of_the_page_run_as_they_stand(apis: ApiRig) -> None:
    made = await apis.client("aurra_facts")
    lines = [line for line in APIS_PAGE.read_text().splitlines() if line.startswith("curl") and "/aurra/" in line]
    assert len(lines) == 9
    memory_id = ""
    for line in lines:
        printed = await call(
            run,
            ["bash", "-c", line],
            {"KEY": made.secret, "URL": apis.url, "ID": memory_id, "PATH": os.environ["PATH"]},
        )
        document = json.loads(printed)
        assert "detail" not in document, line
        memory_id = document.get("memory_id", memory_id)


def run(command: list[str], environ: dict[str, str] | None = None) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
