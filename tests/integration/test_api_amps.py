"""Amps' HVAC API of a real hub, driven by curl as published: only the base URL and the key differ."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.apis.amps.assumptions import REQUESTS_PER_MINUTE_MAX
from agent.apis.amps.refusals import DEVICE_CODES, STATUSES
from agent.apis.face import CHANGES
from agent.foundation.text import CHARACTERS_MAX
from hal.interface import HvacAction, HvacDemand
from hal.sim.board import SimOutputs
from tests.integration.api_rig import TWO_ZONES, ApiRig, open_apis
from tests.integration.conftest import until

HEAT_21 = """{
    "action": {
      "command": "heat",
      "parameters": {
        "target": {
          "value": 21,
          "unit": "celsius"
        }
      }
    }
  }"""
"""The body of the published example of POST /hvac/{deviceId}."""


class Curl:
    """A client that knows nothing of the hub but its address and a key."""

    def __init__(self, rig: ApiRig, key: str) -> None:
        self.rig = rig
        self.key = key

    async def __call__(self, method: str, path: str, body: str = "", *, header: str = "") -> tuple[int, Any]:
        command = ["curl", "--silent", "--request", method, "--url", f"{self.rig.url}/amps{path}"]
        command += ["--header", header or f"x-api-key: {self.key}", "--write-out", "\n%{http_code}"]
        if body:
            command += ["--header", "content-type: application/json", "--data", body]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        document, _, status = output.decode().rpartition("\n")
        return int(status), json.loads(document)

    async def push(self, zone: str, command: str, **rest: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
        action = {name: rest.pop(name) for name in ("parameters", "start", "end") if name in rest}
        return await self("POST", f"/hvac/{zone}", json.dumps({"action": {"command": command, **action}, **rest}))

    async def action(self, action_id: str) -> Any:  # noqa: ANN401 - JSON
        status, answer = await self("GET", f"/actions/{action_id}")
        assert status == 200
        return answer["data"]

    async def settled(self, action_id: str) -> Any:  # noqa: ANN401 - JSON
        while (found := await self.action(action_id))["state"] == "acknowledged":  # noqa: ASYNC110 - a client polls
            await asyncio.sleep(0.01)
        return found


PROMPT = TWO_ZONES + "relay_min_on_s = 0\nrelay_min_off_s = 0\nheat_source_min_on_s = 0\nheat_source_min_off_s = 0\n"
"""Relays that switch as soon as they are asked."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "amps", config_text=PROMPT) as made:
        yield made


async def live(rig: ApiRig) -> Curl:
    return Curl(rig, (await rig.client("amps")).secret)


async def sandbox(rig: ApiRig) -> Curl:
    return Curl(rig, (await rig.client("amps", "sandbox", is_test=True)).secret)


def target(value: float) -> dict[str, Any]:
    return {"target": {"value": value, "unit": "celsius"}}


async def test_the_published_push_and_all_that_follows_from_it(rig: ApiRig) -> None:
    curl = await live(rig)
    assert curl.key.startswith("amps_sk_live_")
    status, answer = await curl("POST", "/hvac/living", HEAT_21)
    assert status == 202
    assert answer["success"] is True
    assert set(answer["meta"]) == {"requestId", "environment", "timestamp", "latencyMs"}
    assert answer["meta"]["environment"] == "live"
    data = answer["data"]
    assert set(data) == {
        "id", "deviceId", "deviceType", "command", "parameters", "state", "createdAt", "start", "links",
    }  # fmt: skip
    assert (data["deviceType"], data["state"], data["start"]) == ("hvac", "acknowledged", None)
    assert data["parameters"] == {"target": {"value": 21, "unit": "celsius"}}
    assert data["links"]["self"] == f"/actions/{data['id']}"
    assert data["createdAt"].endswith("Z")

    done = await curl.settled(data["id"])
    assert (done["state"], done["result"], done["errorCode"]) == ("completed", {"success": True}, None)
    assert set(done) >= {"updatedAt", "acknowledgedAt", "completedAt", "start", "end", "errorMessage"}
    status, device = await curl("GET", "/hvac/living")
    assert status == 200
    assert device["data"]["state"]["heatSetpoint"] == 21
    assert device["data"]["state"]["holdType"] == "permanent"
    assert device["data"]["lastAction"]["id"] == data["id"]
    assert device["data"]["commands"]["heat"]["execution"] == ["immediate", "scheduled", "windowed"]
    zone = rig.home.thermostats.get("living")
    assert (zone.heat_setpoint_c, zone.mode.value) == (21, "heat")

    status, released = await curl("POST", "/hvac/living", '{"action": {"command": "follow_schedule"}}')
    assert (status, released["data"]["parameters"]) == (202, None)
    await curl.settled(released["data"]["id"])
    _, device = await curl("GET", "/hvac/living")
    assert device["data"]["state"]["holdType"] == "follow_schedule"


async def test_the_list_of_devices(rig: ApiRig) -> None:
    status, answer = await (await live(rig))("GET", "/hvac?expedite=true")
    assert status == 200
    assert [each["id"] for each in answer["data"]["items"]] == ["living", "bedroom"]
    (device, _) = answer["data"]["items"]
    assert set(device) == {
        "id", "vendor", "sync", "metadata", "state", "commands", "conflictStrategies", "lastAction", "currentSchedule",
    }  # fmt: skip
    assert set(device["state"]) == {"temperature", "active", "heatSetpoint", "coolSetpoint", "holdType", "mode"}
    assert device["conflictStrategies"] == ["cancel_and_replace", "queue_after"]


async def test_scheduling_conflicts_and_cancelling(rig: ApiRig) -> None:
    curl = await live(rig)
    status, first = await curl.push("living", "heat", parameters=target(20), start="30m", end="1.5h")
    assert (status, first["data"]["state"]) == (202, "scheduled")
    assert first["data"]["end"] > first["data"]["start"]
    status, refused = await curl.push("living", "heat", parameters=target(22))
    assert (status, refused["error"]["code"]) == (409, "CONFLICT")
    details = refused["error"]["details"]
    assert (details["reason"], details["conflictingActionIds"]) == ("no_strategy_supplied", [first["data"]["id"]])
    assert details["strategies"] == ["cancel_and_replace", "queue_after"]
    assert details["deviceCapabilities"]["commands"]["heat"]
    assert refused["meta"]["path"] == "/hvac/living"

    status, queued = await curl.push("living", "heat", parameters=target(22), onConflict="queue_after")
    assert (status, queued["data"]["start"]) == (202, first["data"]["end"])
    status, replaced = await curl.push("living", "idle", start="2h", onConflict="cancel_and_replace")
    assert status == 202
    assert (await curl.action(first["data"]["id"]))["state"] == "cancelled"

    action = f"/actions/{replaced['data']['id']}"
    status, cancelled = await curl("POST", f"{action}/cancel")
    assert (status, cancelled["data"]["state"], cancelled["data"]["completedAt"]) == (200, "cancelled", None)
    status, again = await curl("POST", f"{action}/cancel")
    assert (status, again["error"]["code"]) == (409, "ACTION_NOT_CANCELLABLE")
    assert "'cancelled'" in again["error"]["message"]


async def test_the_history_is_paged(rig: ApiRig) -> None:
    curl, ids = await live(rig), []
    for value in (18, 19, 20, 21, 22):
        _, made = await curl.push("living", "heat", parameters=target(value))
        ids.append(made["data"]["id"])
        await curl.settled(ids[-1])
    seen, cursor = [], ""
    while True:
        _, page = await curl("GET", f"/actions?limit=2{cursor}")
        seen += [each["id"] for each in page["data"]["items"]]
        if not page["meta"]["hasMore"]:
            break
        cursor = f"&cursor={page['meta']['nextCursor']}"
    assert seen == ids[::-1]
    assert page["meta"]["nextCursor"] is None
    for query in ("limit=0", "limit=101", "limit=x", "cursor=action_none"):
        status, refused = await curl("GET", f"/actions?{query}")
        assert (status, refused["error"]["code"]) == (400, "VALIDATION_ERROR")
    _, others = await curl("GET", "/actions?deviceId=bedroom")
    assert others["data"]["items"] == []


async def test_keys(rig: ApiRig) -> None:
    curl = await live(rig)
    status, _ = await curl("GET", "/hvac", header=f"Authorization: Bearer {curl.key}")
    assert status == 200
    for header, code in (("Accept: */*", "UNAUTHORIZED"), ("x-api-key: amps_sk_live_no", "INVALID_API_KEY")):
        status, refused = await curl("GET", "/hvac", header=header)
        assert (status, refused["error"]["code"], refused["success"]) == (401, code, False)
        assert {"requestId", "timestamp", "latencyMs"} <= set(refused["meta"])
    status, refused = await curl("GET", "/batteries")
    assert (status, refused["error"]["code"]) == (404, "NOT_FOUND")
    status, refused = await curl("DELETE", "/hvac")
    assert (status, refused["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


async def test_an_expired_key(rig: ApiRig) -> None:
    curl = Curl(rig, (await rig.client("amps", days=1)).secret)
    assert (await curl("GET", "/hvac"))[0] == 200
    rig.port.clock.off_ms += 86_400_000
    status, refused = await curl("GET", "/hvac")
    assert (status, refused["error"]["code"]) == (401, "EXPIRED_TOKEN")


async def test_what_the_frame_refuses_has_the_path_too(rig: ApiRig) -> None:
    curl = await live(rig)
    bodies = {413: '"' + "x" * 40_000 + '"'}
    for code, client, method, path in (
        (401, Curl(rig, ""), "GET", "/hvac"),
        (401, Curl(rig, "wrong"), "GET", "/nowhere"),
        (404, curl, "GET", "/nowhere/else"),
        (404, curl, "GET", ""),
        (405, curl, "DELETE", "/hvac/living"),
        (413, curl, "POST", "/hvac/living"),
    ):
        status, refused = await client(method, path, bodies.get(code, ""))
        assert (status, refused["meta"]["path"]) == (code, path)
        assert set(refused["meta"]) == {"requestId", "timestamp", "path", "latencyMs"}
    # Cut, and readable.
    _, refused = await curl("GET", "/" + "%0a%E2%80%AE" + "x" * 300)
    assert refused["meta"]["path"].startswith("/ \\u202exxx")
    assert len(refused["meta"]["path"]) == CHARACTERS_MAX


async def test_a_key_sees_its_zones_only(rig: ApiRig) -> None:
    every, one = await live(rig), Curl(rig, (await rig.client("amps", "one", zones=("bedroom",))).secret)
    _, made = await every.push("living", "heat", parameters=target(20))
    _, answer = await one("GET", "/hvac")
    assert [each["id"] for each in answer["data"]["items"]] == ["bedroom"]
    for method, path in (("GET", "/hvac/living"), ("POST", "/hvac/living")):
        status, refused = await one(method, path, HEAT_21 if method == "POST" else "")
        assert (status, refused["error"]["code"]) == (404, "DEVICE_NOT_FOUND")
    for path in (f"/actions/{made['data']['id']}", "/actions/action_none"):
        status, refused = await one("GET", path)
        assert (status, refused["error"]["code"]) == (404, "ACTION_NOT_FOUND")
    status, refused = await one("POST", f"/actions/{made['data']['id']}/cancel")
    assert (status, refused["error"]["code"]) == (404, "ACTION_NOT_FOUND")
    assert (await one("GET", "/actions"))[1]["data"]["items"] == []


async def test_a_burst_is_told_when_to_come_back(rig: ApiRig) -> None:
    rig.port.clock.stand_still()
    made = await rig.client("amps")
    async with rig.session({"x-api-key": made.secret}) as session:
        for _ in range(REQUESTS_PER_MINUTE_MAX):
            async with session.get("/amps/actions") as response:
                assert response.status == 200
        async with session.get("/amps/actions") as response:
            document = await response.json()
            assert (response.status, document["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
            assert document["meta"]["path"] == "/actions"
            assert 1 <= int(response.headers["Retry-After"]) <= 60
            assert response.headers["X-RateLimit-Remaining"] == "0"


async def test_pushes_and_cancels_wear_the_card_and_have_a_limit_of_their_own(rig: ApiRig) -> None:
    rig.port.clock.stand_still()
    made = await rig.client("amps")
    async with rig.session({"x-api-key": made.secret}) as session:
        for _ in range(CHANGES.requests_max):
            async with session.post("/amps/actions/action_none/cancel") as response:
                assert response.status == 404
        async with session.post("/amps/hvac/living", json={}) as response:
            document = await response.json()
            assert (response.status, document["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
        async with session.get("/amps/actions") as response:
            assert response.status == 200


class Relays:
    """Every demand that reaches the outputs of the hub."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.demands: list[HvacDemand] = []
        apply = SimOutputs.apply

        async def watched(outputs: SimOutputs, demand: HvacDemand) -> None:
            self.demands.append(demand)
            await apply(outputs, demand)

        monkeypatch.setattr(SimOutputs, "apply", watched)

    @property
    def heated(self) -> set[str]:
        return {
            zone for demand in self.demands for zone, action in demand.zones.items() if action is not HvacAction.OFF
        }

    async def next_demand(self) -> None:
        count = len(self.demands)
        await until(lambda: len(self.demands) > count)


@pytest.mark.slow  # two decisions of the climate control
async def test_test_keys_drive_a_twin_and_no_relay(rig: ApiRig, monkeypatch: pytest.MonkeyPatch) -> None:
    relays, real, curl = Relays(monkeypatch), await live(rig), await sandbox(rig)
    assert curl.key.startswith("amps_sk_test_")
    for zone in ("living", "bedroom"):
        await real.settled((await real.push(zone, "idle"))[1]["data"]["id"])
    await relays.next_demand()
    relays.demands.clear()
    before = [(each.heat_setpoint_c, each.mode, each.hold) for each in rig.home.thermostats.all()]
    status, made = await curl.push("living", "heat", parameters=target(35))
    assert (status, made["meta"]["environment"]) == (202, "sandbox")
    action_id = made["data"]["id"]
    assert (await curl.settled(action_id))["state"] == "completed"
    _, twin = await curl("GET", "/hvac/living")
    assert (twin["data"]["state"]["heatSetpoint"], twin["data"]["state"]["active"]) == (35, True)
    await relays.next_demand()
    assert relays.heated == set()
    assert [(each.heat_setpoint_c, each.mode, each.hold) for each in rig.home.thermostats.all()] == before
    assert (await real("GET", f"/actions/{action_id}"))[0] == 404
    assert action_id not in [each["id"] for each in (await real("GET", "/actions"))[1]["data"]["items"]]
    # The same push with a live key switches the relay: the watch above would have seen it.
    await real.push("living", "heat", parameters=target(35))
    await until(lambda: relays.heated == {"living"})


async def test_the_sandbox_forces_every_refusal_and_every_failure(rig: ApiRig) -> None:
    curl = await sandbox(rig)
    for code, expected in STATUSES.items():
        forced = {"forceState": "refused", "errorCode": code}
        status, refused = await curl.push("living", "heat", parameters=target(20), sandbox=forced)
        assert (status, refused["error"]["code"]) == (expected, code)
        assert refused["error"]["details"]["deviceCapabilities"]["supportedActions"]
    # The next minute, since pushes have a limit.
    rig.port.clock.skip(60)
    for code in DEVICE_CODES:
        forced = {"forceState": "failed", "errorCode": code}
        _, made = await curl.push("living", "heat", parameters=target(20), sandbox=forced)
        failed = await curl.settled(made["data"]["id"])
        assert (failed["state"], failed["errorCode"], failed["result"]["success"]) == ("failed", code, False)
        assert failed["errorMessage"] == DEVICE_CODES[code]
    status, refused = await curl.push("living", "idle", sandbox={"forceState": "failed", "errorCode": "NONE"})
    assert (status, refused["error"]["details"]["parameter"]) == (400, "sandbox.errorCode")


async def test_live_keys_ignore_the_sandbox_object(rig: ApiRig) -> None:
    curl = await live(rig)
    _, made = await curl.push("living", "idle", sandbox={"forceState": "refused", "errorCode": "CONFLICT"})
    assert (await curl.settled(made["data"]["id"]))["state"] == "completed"


async def test_actions_outlive_a_restart_in_both_environments(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "amps") as rig:
        clients = [await live(rig), await sandbox(rig)]
        made = [(await each.push("living", "heat", parameters=target(20), start="1h"))[1] for each in clients]
    async with open_apis(tmp_path, "amps") as rig:
        for client, answer in zip(clients, made, strict=True):
            curl = Curl(rig, client.key)
            assert (await curl.action(answer["data"]["id"]))["state"] == "scheduled"
            assert len((await curl("GET", "/actions"))[1]["data"]["items"]) == 1


async def test_degrees_fahrenheit_where_the_owner_has_switched_them_on(tmp_path: Path) -> None:
    body = '{"action": {"command": "heat", "parameters": {"target": {"value": 69.5, "unit": "fahrenheit"}}}}'
    async with open_apis(tmp_path, "amps") as rig:
        status, refused = await (await live(rig))("POST", "/hvac/living", body)
        assert (status, refused["error"]["code"]) == (422, "UNSUPPORTED_UNIT")
        assert refused["error"]["details"]["supportedUnits"] == ["celsius"]
    async with open_apis(tmp_path, "amps", "amps_fahrenheit") as rig:
        curl = Curl(rig, (await rig.client("amps", "fahrenheit")).secret)
        _, made = await curl("POST", "/hvac/living", body)
        done = await curl.settled(made["data"]["id"])
        assert done["parameters"] == {"target": {"value": 69.5, "unit": "fahrenheit"}}
        _, device = await curl("GET", "/hvac/living")
        assert device["data"]["state"]["heatSetpoint"] == round((69.5 - 32) * 5 / 9, 4)


async def test_the_examples_of_the_documentation(rig: ApiRig) -> None:
    page = (Path(__file__).parents[2] / "docs" / "apis.md").read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines() if "$AMPS_URL" in line]
    assert len(lines) == 8
    environ = {"AMPS_URL": f"{rig.url}/amps", "AMPS_KEY": (await rig.client("amps")).secret, "PATH": os.environ["PATH"]}
    action, statuses = "", []
    for line in lines:
        # The actions of the examples before have come to their end.
        await until(lambda: (last := rig.home.actions.latest("living")) is None or last.state != "acknowledged")
        command = line.replace("ACTION", action) + " --write-out '\\n%{http_code}'"
        process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE, env=environ)
        body, _, status = (await process.communicate())[0].decode().rpartition("\n")
        statuses.append(int(status))
        action = json.loads(body)["data"].get("id", action)
    assert statuses == [200, 200, 202, 202, 202, 200, 200, 200]


async def test_revoking_a_client_cancels_what_it_has_scheduled(rig: ApiRig) -> None:
    made = await rig.client("amps")
    _, pushed = await Curl(rig, made.secret).push("living", "heat", parameters=target(34), start="1h")
    await rig.revoke(made)
    other = Curl(rig, (await rig.client("amps", "other")).secret)
    while (found := await other.action(pushed["data"]["id"]))["state"] == "scheduled":  # noqa: ASYNC110 - a client polls
        await asyncio.sleep(0.01)
    assert found["state"] == "cancelled"
