"""What strangers and other clients send to the Aurra facts API: nothing crosses, every refusal is JSON with text."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent.apis.aurra_facts.face import SETTINGS_FILE, AurraFactsFace
from agent.climate.model import Mode
from agent.climate.requests import SetRequest
from agent.errors import ReadFailed
from agent.facts import search
from agent.foundation import durable_file
from agent.foundation.disk import Disk
from agent.home.devices import HUB_ID, DeviceKind, HomeDevice
from agent.home.fact_texts import HUB_TENANT, facts_of_device
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.conftest import WAIT_S

CALLS = [
    ("POST", "/agent/memories"),
    ("GET", "/agent/memories"),
    ("POST", "/agent/query"),
    ("POST", "/memories/00000000-0000-7000-8000-000000000000/supersede"),
    ("GET", "/memories/00000000-0000-7000-8000-000000000000/timeline"),
    ("GET", "/memories/00000000-0000-7000-8000-000000000000/audit"),
    ("GET", "/agent/settings"),
    ("PATCH", "/agent/settings"),
    ("GET", "/plan/status"),
]


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "aurra_facts", "aqara") as rig:
        yield rig


async def detail_of(response: aiohttp.ClientResponse) -> str:
    document = await response.json()
    assert set(document) == {"detail"}
    assert isinstance(document["detail"], str)
    return document["detail"]


@pytest.mark.parametrize("kind", ["none", "wrong", "other API", "revoked", "no bearer", "empty"])
async def test_no_call_answers_without_a_key_of_this_api(apis: ApiRig, kind: str) -> None:
    made = await apis.client("aurra_facts")
    other = await apis.client("aqara")
    headers = {
        "none": {},
        "wrong": {"Authorization": f"Bearer {made.secret}x"},
        "other API": {"Authorization": f"Bearer {other.secret}"},
        "revoked": {"Authorization": f"Bearer {made.secret}"},
        "no bearer": {"Authorization": made.secret},
        "empty": {"Authorization": "Bearer "},
    }[kind]
    if kind == "revoked":
        await apis.revoke(made)
    async with apis.session(headers) as client:
        for method, path in CALLS:
            async with client.request(method, f"/aurra{path}", json={}) as response:
                assert response.status == 401, path
                assert await response.json() == {"detail": "Not authenticated"}


async def test_what_is_no_request_is_refused_in_words(apis: ApiRig) -> None:
    made = await apis.client("aurra_facts")
    bodies: list[tuple[bytes, int]] = [
        (b"", 400),
        (b"{", 400),
        (b"[" * 10_000, 422),
        (b'{"content": ' + b"[" * 5000 + b"]" * 5000 + b"}", 422),
        (b'{"content": "\\ud800"}', 400),
        (b'{"content": 5}', 422),
        (b'"text"', 422),
        (b'{"content": "' + b"x" * 5000 + b'"}', 400),
        (b'{"content": "' + b"x" * 40_000 + b'"}', 413),
        (b'{"content": "x", "topic": "\\n"}', 400),
        (b'{"content": "x", "tenant_id": "' + b"t" * 65 + b'"}', 400),
    ]
    async with apis.session({"Authorization": f"bearer {made.secret}"}) as client:
        for body, status in bodies:
            async with client.post("/aurra/agent/memories", data=body) as response:
                assert (response.status, body[:30]) == (status, body[:30])
                assert await detail_of(response)


async def test_paths_and_methods_that_are_not_of_the_api_are_refused_in_its_shape(apis: ApiRig) -> None:
    made = await apis.client("aurra_facts")
    async with apis.session({"Authorization": f"Bearer {made.secret}"}) as client:
        for method, path, status in (
            ("DELETE", "/agent/memories", 405),
            ("DELETE", "/memories/00000000-0000-7000-8000-000000000000", 404),
            ("GET", "/v1/status", 404),
            ("GET", "/memories/..%2f..%2fv1/audit", 404),
            ("GET", "/memories/%00/timeline", 404),
            ("GET", "", 404),
        ):
            async with client.request(method, f"/aurra{path}") as response:
                assert (response.status, path) == (status, path)
                assert await detail_of(response)


async def test_a_hub_that_does_not_know_the_time_answers_that_it_does_not(apis: ApiRig) -> None:
    made = await apis.client("aurra_facts")
    async with apis.session({"Authorization": f"Bearer {made.secret}"}) as client:

        async def status() -> int:
            async with client.get("/aurra/agent/memories") as response:
                if response.status != 200:
                    await detail_of(response)
                return response.status

        assert await status() == 200
        apis.port.clock.is_synchronised = False
        assert await status() == 503


async def test_settings_that_have_not_been_read_are_not_answered_as_the_defaults(tmp_path: Path) -> None:
    """A disk that does not give the file: neither are the defaults shown, nor is the file written over."""
    (tmp_path / "state").mkdir()
    kept = tmp_path / "state" / SETTINGS_FILE
    read = Disk.read
    is_failing = True

    def fail(self: Disk, path: Path, *, bytes_max: int) -> bytes | None:
        if is_failing and path.name.startswith(SETTINGS_FILE):
            raise ReadFailed(f"{path} cannot be read (Input/output error); check the disk with fsck")
        return read(self, path, bytes_max=bytes_max)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Disk, "read", fail)
        patch.setattr(durable_file, "READ_RETRY_S", 0.01)
        patch.setattr(durable_file, "READS_MAX", 10**9)
        async with open_apis(tmp_path, "aurra_facts") as rig:
            made = await rig.client("aurra_facts")
            content = json.dumps({"clients": {made.client_id: {"min_confidence": 0.97}}})
            kept.write_text(content)
            async with rig.session({"Authorization": f"Bearer {made.secret}"}) as client:
                for method, body in (("GET", None), ("PATCH", {"min_confidence": 0.9})):
                    async with client.request(method, "/aurra/agent/settings", json=body) as response:
                        assert response.status == 503
                        assert "check the disk" in await detail_of(response)
                assert kept.read_text() == content
                is_failing = False

                async def settings() -> tuple[int, object]:
                    async with client.get("/aurra/agent/settings") as response:
                        return response.status, (await response.json()).get("min_confidence")

                async with asyncio.timeout(WAIT_S):
                    while (found := await settings())[0] == 503:  # noqa: ASYNC110 - the disk has no event for it
                        await asyncio.sleep(0.02)
                assert found == (200, 0.97)


async def test_a_client_of_one_zone_learns_nothing_about_devices_of_others(apis: ApiRig) -> None:
    window = HomeDevice(
        device_id="00124b0000000001", kind=DeviceKind.SENSOR, name="Bedroom window", is_online=False, last_seen_s=9999.0
    )
    hub = HomeDevice(device_id=HUB_ID, kind=DeviceKind.HUB, name="hub", is_online=True, firmware="9.9.9")
    service = apis.port.hub.port.apis
    assert service is not None
    face = next(face for face in service.faces if isinstance(face, AurraFactsFace))
    await face.facts.use(
        lambda store, utc_ms: store.record(
            HUB_TENANT, [*facts_of_device(window, utc_ms), *facts_of_device(hub, utc_ms)], utc_ms=utc_ms
        )
    )
    ids: dict[str, str] = {}
    for zones in ((), ("bedroom",)):
        made = await apis.client("aurra_facts", "narrow" if zones else "wide", zones=zones)
        async with apis.session({"Authorization": f"Bearer {made.secret}"}) as client:
            async with client.get("/aurra/agent/memories?limit=100&include_superseded=true") as response:
                seen = {each["decision"]: each["id"] for each in (await response.json())["memories"]}
            async with client.post("/aurra/agent/query", json={"question": "window firmware?"}) as response:
                answer = await response.text()
            ids = ids if zones else seen
            assert ("Bedroom window" in answer) == (not zones)
            assert "9.9.9" in answer
            about_sensor = [fact_id for text, fact_id in ids.items() if "Bedroom window" in text]
            assert about_sensor
            assert bool(set(about_sensor) & set(seen.values())) == (not zones)
            assert "hub: runs the firmware 9.9.9." in seen
            for fact_id in about_sensor:
                for call in ("timeline", "audit"):
                    async with client.get(f"/aurra/memories/{fact_id}/{call}") as response:
                        assert response.status == (404 if zones else 200), call
                body = {"valid_to": "2030-01-01T00:00:00Z"}
                async with client.post(f"/aurra/memories/{fact_id}/supersede", json=body) as response:
                    assert response.status == (404 if zones else 403)


async def test_a_long_question_holds_up_no_write_of_the_hub(apis: ApiRig, monkeypatch: pytest.MonkeyPatch) -> None:
    is_asked, is_released = threading.Event(), threading.Event()
    order: list[str] = []

    def ask(*_: object, **__: object) -> list[object]:
        is_asked.set()
        is_released.wait(WAIT_S)
        order.append("question")
        return []

    monkeypatch.setattr(search, "rank", ask)
    made = await apis.client("aurra_facts")
    async with apis.session({"Authorization": f"Bearer {made.secret}"}) as client, asyncio.TaskGroup() as group:
        question = group.create_task(client.post("/aurra/agent/query", json={"question": "why?"}))
        await asyncio.to_thread(is_asked.wait, WAIT_S)
        apis.home.thermostats.apply("living", SetRequest(mode=Mode.HEAT, heat_setpoint_c=23.5), by="anna")
        await apis.home.thermostats.save()
        order.append("saved")
        is_released.set()
        assert (await question).status == 200
    assert order == ["saved", "question"]
