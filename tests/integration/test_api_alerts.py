"""Alerts of AURRA Home at a real hub: shown until somebody resolves them, over restarts; webhooks are told once."""

import asyncio
import json
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.apis.aurra_home.alerts import Alerts
from agent.apis.aurra_home.face import AurraHomeFace
from agent.apis.aurra_home.records import AlertRecord
from agent.apis.webhooks.endpoints import NewEndpoint
from agent.apis.webhooks.signatures import WebhookApi
from agent.local.routes import Role
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.conftest import until
from tests.integration.port_rig import open_port


def alerts_of(apis: ApiRig) -> Alerts:
    service = apis.port.hub.port.apis
    assert service is not None
    (face,) = (each for each in service.faces if isinstance(each, AurraHomeFace))
    return face.alerts


def shown(apis: ApiRig) -> list[str]:
    return [fault.text for fault in apis.port.hub.status().faults if "wear" in fault.text]


async def add(apis: ApiRig, number: int) -> None:
    made_ms = apis.port.hub.environment.clock.utc_ms()
    record = AlertRecord(f"alt_{number}", "living", "acc_1", "wear", 0.9, "replace", "high", False, made_ms, "anna")
    await alerts_of(apis).add(record)


async def command(apis: ApiRig, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "api", "alert", *words, "--socket", str(apis.port.socket)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_an_alert_is_a_problem_over_a_restart_until_it_is_resolved_and_is_told_once(tmp_path: Path) -> None:
    received: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        event = json.loads(await request.read())
        received.append(f"{event['event']} {event['data'].get('alert_id', '')}".strip())
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", receive)
    async with TestServer(application) as server:
        async with open_apis(tmp_path, "aurra_home") as apis:
            service = apis.port.hub.port.apis
            assert service is not None
            assert service.webhooks is not None
            url = str(server.make_url("/hook"))
            events = ("predictive.alert_created", "predictive.alert_resolved")
            await service.webhooks.add(NewEndpoint(url, WebhookApi.AURRA_HOME, events=events, is_private_allowed=True))
            await add(apis, 1)
            await add(apis, 2)
            await until(lambda: len(received) == 2)
            await apis.settle_webhooks()
        async with open_apis(tmp_path, "aurra_home") as apis:
            await until(lambda: len(shown(apis)) == 2)
            code, output, _ = await command(apis, "list")
            assert (code, [line.split(",")[0] for line in output.splitlines()]) == (0, ["alt_2: open", "alt_1: open"])
            code, output, errors = await command(apis, "resolve", "alt_1")
            assert (code, errors, output.startswith("alt_1: resolved 2")) == (0, "", True)
            assert shown(apis) == ["alert alt_2 of anna: living: wear; replace"]
            await until(lambda: len(received) == 3)
            await apis.settle_webhooks()
            await command(apis, "resolve", "alt_1")
            code, _, errors = await command(apis, "resolve", "alt_9")
            assert (code, "there is no alert" in errors) == (1, True)
        async with open_apis(tmp_path, "aurra_home") as apis:
            await until(lambda: bool(shown(apis)))
            await add(apis, 3)
            # An endpoint receives its events in order: a repetition would come before this one.
            await until(lambda: received[-1] == "predictive.alert_created" and len(received) > 3)
            assert shown(apis) == [
                "alert alt_2 of anna: living: wear; replace",
                "alert alt_3 of anna: living: wear; replace",
            ]
    created = "predictive.alert_created"
    assert received == [created, created, "predictive.alert_resolved alt_1", created]


async def test_who_looks_does_not_resolve_and_the_trail_has_who_did(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aurra_home") as apis:
        await add(apis, 1)
        path = "/v1/alerts/alt_1/resolve"
        async with apis.port.session(Role.VIEWER) as client:
            async with client.post(path) as response:
                assert response.status == 403
            async with client.get("/v1/alerts") as response:
                (found,) = (await response.json())["alerts"]
                assert (found["client"], found["is_resolved"], found["is_shown"]) == ("anna", False, True)
        async with apis.port.session(Role.SERVICE) as client:
            async with client.post(path) as response:
                assert (response.status, (await response.json())["resolved_by"]) == (200, "test")
            async with client.get("/v1/audit") as response:
                trail = (await response.json())["entries"]
        assert [each["target"] for each in trail if each["action"] == "resolve_alert"] == [path]


async def test_without_the_api_the_hub_says_which_key_to_set(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text="") as port, port.session(Role.SERVICE) as client:
        for method, path in (("GET", "/v1/alerts"), ("POST", "/v1/alerts/alt_1/resolve")):
            async with client.request(method, path) as response:
                answer = await response.json()
                assert (response.status, "set apis.aurra_home = true" in answer["detail"]) == (409, True)
