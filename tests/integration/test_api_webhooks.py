"""Webhooks of a real hub: registered by its command line, received by a server of an integrator on this machine."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from agent.apis.webhooks.service import WebhookService
from agent.local.routes import Role
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.conftest import until


class Integrator:
    """A server that keeps what it receives, and answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 204
        self.received: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=self.status)

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.received]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Integrator]:
    """Run a server of an integrator until the block ends."""
    made = Integrator()
    application = web.Application()
    application.router.add_post("/hooks", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"{site.name}/hooks"
    yield made
    await runner.cleanup()


@pytest.fixture
async def integrator() -> AsyncIterator[Integrator]:
    async with receiving() as made:
        yield made


def svix_accepts(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Verify as svix documents it for receivers without its library."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = b".".join([headers["svix-id"].encode(), headers["svix-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return headers["svix-signature"] == f"v1,{expected}"


async def command(rig: ApiRig, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "api", "webhook", *words, "--socket", str(rig.port.socket)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def registered(rig: ApiRig, url: str, *words: str, api: str = "amps") -> tuple[str, str]:
    """Register an endpoint; return its id and its secret."""
    code, output, errors = await command(rig, "add", url, "--api", api, "--allow-private", *words)
    assert code == 0, errors
    found = dict(line.split() for line in output.splitlines())
    return found["id"], found["secret"]


async def pushed(rig: ApiRig, key: str, **body: object) -> str:
    document = {"action": {"command": "idle"}, **body}
    async with (
        rig.session({"x-api-key": key}) as client,
        client.post("/amps/hvac/living", data=msgspec.json.encode(document)) as response,
    ):
        assert response.status == 202
        return str((await response.json())["data"]["id"])


async def test_an_action_is_told_signed_and_once(tmp_path: Path, integrator: Integrator) -> None:
    async with open_apis(tmp_path, "amps") as rig:
        _, secret = await registered(rig, integrator.url)
        key = (await rig.client("amps")).secret
        action_id = await pushed(rig, key)
        await until(lambda: integrator.received)
        ((headers, body),) = integrator.received
        assert svix_accepts(secret, headers, body)
        assert not svix_accepts(secret, headers, body + b" ")
        assert headers["content-type"] == "application/json"
        (document,) = integrator.bodies()
        async with rig.session({"x-api-key": key}) as client, client.get(f"/amps/actions/{action_id}") as response:
            assert document == (await response.json())["data"]
        assert (document["state"], headers["x-amps-event"]) == ("completed", "push.completed")


async def test_what_fails_is_sent_again_with_its_id_and_after_a_restart(tmp_path: Path, integrator: Integrator) -> None:
    integrator.status = 500
    async with open_apis(tmp_path, "amps") as rig:
        await registered(rig, integrator.url)
        key = (await rig.client("amps")).secret
        await pushed(rig, key)
        await until(lambda: integrator.received)
        code, output, _ = await command(rig, "list")
        assert (code, "1 waiting" in output) == (0, True)
    integrator.status = 204
    count = len(integrator.received)
    async with open_apis(tmp_path, "amps") as rig:
        await until(lambda: len(integrator.received) > count)
    assert len({headers["svix-id"] for headers, _ in integrator.received}) == 1


async def test_an_action_whose_event_was_lost_is_told_after_a_restart_and_only_once(
    tmp_path: Path, integrator: Integrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_apis(tmp_path, "amps") as rig:
        await registered(rig, integrator.url)
        key = (await rig.client("amps")).secret
        await pushed(rig, key)
        await until(lambda: integrator.received)
        await rig.settle_webhooks()
        # A power cut between the end of the action and the queue.
        monkeypatch.setattr(WebhookService, "offer", lambda service, events: None)
        await pushed(rig, key, action={"command": "follow_schedule"})
        await until(lambda: (last := rig.home.actions.latest("living")) is not None and last.state == "completed")
    monkeypatch.undo()
    for _ in range(2):
        async with open_apis(tmp_path, "amps") as rig:
            await until(lambda: len(integrator.received) >= 2)
            await pushed(rig, key)
            await until(lambda: len(integrator.received) >= 3)
            await rig.settle_webhooks()
            integrator.received.pop()
    assert [document["command"] for document in integrator.bodies()] == ["idle", "follow_schedule"]


async def test_events_of_twins_go_to_sandbox_endpoints_only(tmp_path: Path, integrator: Integrator) -> None:
    async with open_apis(tmp_path, "amps") as rig:
        await registered(rig, integrator.url)
        _, secret = await registered(rig, integrator.url, "--sandbox")
        key = (await rig.client("amps", is_test=True)).secret
        await pushed(rig, key, sandbox={"forceState": "failed", "errorCode": "DEVICE_OFFLINE"})
        await until(lambda: integrator.received)
        ((headers, body),) = integrator.received
        assert svix_accepts(secret, headers, body)
        assert headers["x-amps-event"] == "push.failed"
        assert integrator.bodies()[0]["errorCode"] == "DEVICE_OFFLINE"


async def test_the_command_line(tmp_path: Path, integrator: Integrator) -> None:
    async with open_apis(tmp_path, "amps") as rig:
        assert "there is no webhook" in (await command(rig, "list"))[1]
        code, _, errors = await command(rig, "add", integrator.url, "--api", "amps")
        assert (code, "--allow-private" in errors) == (1, True)
        code, _, errors = await command(rig, "add", "https://example.com/", "--api", "amps", "--event", "none")
        assert (code, "push.completed" in errors) == (1, True)
        webhook_id, secret = await registered(rig, integrator.url, "--event", "push.failed")
        code, output, _ = await command(rig, "list")
        assert (integrator.url in output, "push.failed" in output, secret in output) == (True, True, False)
        code, output, _ = await command(rig, "test", webhook_id)
        assert (code, "it has arrived: it answered 204 No Content" in output) == (0, True)
        integrator.status = 500
        code, output, _ = await command(rig, "test", webhook_id)
        assert (code, "it has not arrived: " in output) == (1, True)
        integrator.status = 204
        assert "0 deliveries" in (await command(rig, "retry", webhook_id))[1]
        assert "is removed" in (await command(rig, "remove", webhook_id))[1]
        code, _, errors = await command(rig, "test", webhook_id)
        assert (code, "there is no webhook" in errors) == (1, True)


async def test_only_owners_see_webhooks_and_the_page_shows_no_secret(tmp_path: Path, integrator: Integrator) -> None:
    async with open_apis(tmp_path, "amps") as rig:
        _, secret = await registered(rig, integrator.url)
        for role in (None, Role.VIEWER, Role.SERVICE):
            async with rig.port.session(role) as client, client.get("/v1/webhooks") as response:
                assert response.status in {401, 403}
        async with rig.port.session(Role.OWNER) as client:
            async with client.get("/v1/webhooks") as response:
                text = await response.text()
                assert (response.status, integrator.url in text, secret in text) == (200, True, False)
            body = {"url": "https://example.com/", "api": "amps"}
            async with client.post("/v1/webhooks", json=body) as response:
                # A token may not make a secret that outlives it.
                assert response.status == 403


async def test_a_hub_without_apis_has_no_webhooks(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aqara") as rig:
        code, _, errors = await command(rig, "add", "https://example.com/", "--api", "amps")
        assert (code, "switch an API with webhooks on" in errors) == (1, True)
        assert not (tmp_path / "state" / "webhooks.json").exists()


async def test_a_change_by_hand_is_told_in_the_manner_of_aurra_home(tmp_path: Path, integrator: Integrator) -> None:
    async with open_apis(tmp_path, "aurra_home") as rig:
        _, secret = await registered(rig, integrator.url, api="aurra_home")
        async with rig.port.socket_session() as client:
            request = {"do": "hold", "heat_setpoint_c": 22.5}
            async with client.post("/v1/climate/living", json=request) as response:
                assert response.status == 200
        await until(lambda: integrator.received)
        ((headers, body),) = integrator.received
        expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        assert headers["x-aurra-signature"] == f"sha256={expected}"
        (document,) = integrator.bodies()
        assert set(document) == {"event", "timestamp", "data"}
        assert document["event"] == "thermostat.temperature_change"
        assert (document["data"]["device_id"], document["data"]["new_temp"]) == ("living", 72)
