"""Events, probes and metrics of a running hub, over its own socket."""

import asyncio
import contextlib
import json
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.local.routes import Role
from agent.port.http import responses
from hal.interface import SensorKind
from tests.integration.conftest import Cloud, MakeHub, RunningHub, TestSensor, until
from tests.integration.port_rig import PortRig, open_port, radio_board


def thermometer() -> TestSensor:
    return TestSensor("T1", SensorKind.TEMPERATURE, lambda: 21.5)


@pytest.fixture
async def hub(cloud: Cloud, make_hub: MakeHub) -> RunningHub:
    running = make_hub(cloud.url, sensors=[thermometer()], serve=True)
    running.start()
    await until(running.hub.config.local_api.socket.exists)
    await until(lambda: running.status().outbox.accepted)
    return running


@pytest.fixture
async def session(hub: RunningHub) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(hub.hub.config.local_api.socket))
    async with aiohttp.ClientSession("http://hub", connector=connector) as made:
        yield made


def count_calls(port: PortRig, name: str) -> list[None]:
    """Have the builds of a document counted."""
    calls: list[None] = []
    build = port.hub.port.events._documents[name]

    def counted() -> object:
        calls.append(None)
        return build()

    port.hub.port.events._documents = {**port.hub.port.events._documents, name: counted}
    return calls


async def read_events(response: aiohttp.ClientResponse, last: str) -> Mapping[str, Any]:
    """Read until an event of a name has come; return the newest of each name, and `id`."""
    found: dict[str, Any] = {}
    name = ""
    async for line in response.content:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            found[name] = json.loads(value)
        elif field == "id":
            found["id"] = value
        elif not field and name == last:
            break
        elif not field:
            name = ""
    return found


async def test_a_client_sees_the_documents_and_then_what_changes(
    hub: RunningHub, session: aiohttp.ClientSession
) -> None:
    async with session.get("/v1/events") as response:
        assert response.content_type == "text/event-stream"
        first = await read_events(response, "resync")
        assert {"status", "climate", "zigbee", "verdict"} <= set(first)
        assert first["status"]["sensors"][0]["value"] == 21.5
        hub.report(23.0)
        status = first["status"]
        while status["outbox"]["committed"] == first["status"]["outbox"]["committed"]:
            status = (await read_events(response, "status"))["status"]
    await until(lambda: hub.hub.port.events.clients == 0)


async def test_a_client_that_returns_gets_no_resync(hub: RunningHub, session: aiohttp.ClientSession) -> None:
    async with session.get("/v1/events") as response:
        first = await read_events(response, "resync")
    hub.hub.port.events.publish("log", {"text": "missed"})
    async with session.get("/v1/events", headers={"Last-Event-ID": first["id"]}) as response:
        found = await read_events(response, "log")
    assert found["log"] == {"text": "missed"}
    assert "resync" not in found
    async with session.get("/v1/events", headers={"Last-Event-ID": "of-another-run:1"}) as response:
        assert "status" in await read_events(response, "resync")


async def test_the_probes_and_the_metrics(hub: RunningHub, session: aiohttp.ClientSession) -> None:
    async with session.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "alive"})
    async with session.get("/readyz") as response:
        assert (response.status, await response.json()) == (
            200,
            {"is_ready": True, "checks": {"control": "", "disk": "", "sensors": ""}},
        )
    async with session.get("/metrics") as response:
        assert response.content_type == "text/plain"
        assert 'climahub_sensor_temperature_celsius{device="",sensor="T1"} 21.5' in await response.text()
    hub.clock.skip(3600)
    async with session.get("/readyz") as response:
        assert response.status == 503
        assert (await response.json())["checks"]["sensors"].startswith("check the sensors (climahub status): ")


async def test_the_audit_trail_is_live_for_service_and_up(tmp_path: Path) -> None:
    async with (
        open_port(tmp_path) as port,
        port.session(Role.OWNER) as owner,
        port.session(Role.VIEWER) as viewer,
        owner.get("/v1/events") as seen,
        viewer.get("/v1/events") as hidden,
    ):
        await read_events(seen, "resync")
        await read_events(hidden, "resync")
        async with owner.post("/v1/climate/living", json={"do": "set", "mode": "off"}) as response:
            assert response.status == 200
        entry = (await read_events(seen, "audit"))["audit"]
        assert (entry["action"], entry["target"], entry["result"]) == ("change_climate", "/v1/climate/living", "200")
        found = await read_events(hidden, "climate")
        assert found["climate"]["zones"][0]["mode"] == "off"
        assert "audit" not in found


async def test_client_that_reads_nothing_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "UNREAD_S_MAX", 0.5)
    async with open_port(tmp_path) as port, port.session(Role.VIEWER) as client:
        host, tcp_port = port.url.removeprefix("http://").split(":")
        # With a small limit, the transport stops reading at once.
        reader, writer = await asyncio.open_connection(host, int(tcp_port), limit=1024)
        authorization = client.headers["Authorization"]
        writer.write(f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n\r\n".encode())
        await until(lambda: port.hub.port.events.clients == 1)
        events = port.hub.port.events
        while events.clients:
            events.publish("log", {"text": "x" * 50_000})
            await asyncio.sleep(0.01)
        assert not reader.at_eof()
        writer.close()


async def test_many_clients_cost_little_and_leave_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """200 clients, from four addresses: one address may have 64 connections."""
    async with open_port(tmp_path) as port, contextlib.AsyncExitStack() as stack:
        async with port.session(Role.VIEWER) as client:
            headers = client.headers
        events, opened = port.hub.port.events, []
        for source in range(1, 5):
            connector = aiohttp.TCPConnector(limit=0, local_addr=(f"127.0.0.{source}", 0))
            session = aiohttp.ClientSession(port.url, headers=headers, connector=connector)
            await stack.enter_async_context(session)
            opened += [await stack.enter_async_context(session.get("/v1/events")) for _ in range(50)]
        assert events.clients == len(opened) == 200
        for response in opened:
            await read_events(response, "resync")
        builds = count_calls(port, "status")
        began_s = asyncio.get_running_loop().time()
        await until(lambda: len(builds) >= 2)
        passed_s = asyncio.get_running_loop().time() - began_s
        assert len(builds) <= passed_s + 2, "each client had its own documents"
        events.publish("log", {"text": "for all"})
        for response in opened:
            assert (await read_events(response, "log"))["log"] == {"text": "for all"}
        caplog.clear()
        await stack.aclose()
        await until(lambda: events.clients == 0)
        assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


async def test_promtool_accepts_the_metrics_of_a_hub_with_zones_and_a_radio(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("install promtool (Debian: apt-get install prometheus)")
    async with open_port(tmp_path, make_board=radio_board) as port, port.session(Role.VIEWER) as client:
        await until(lambda: port.hub.reports.zigbee().sensors)
        await until(lambda: port.hub.reports.climate().zones[0].room_c is not None)
        async with client.get("/metrics") as response:
            text = await response.text()
    for name in ("climahub_zone_temperature_celsius", "climahub_zigbee_sensor_info", "process_resident_memory_bytes"):
        assert f"\n{name}" in text
    check = [promtool, "check", "metrics"]
    checked = await asyncio.to_thread(subprocess.run, check, input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
