"""One home behind every interface: what one changes, the others show at once, and know who it was."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from agent.home.changes import HomeChange
from agent.local.routes import Role
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.conftest import WAIT_S, until
from tests.integration.port_rig import open_port


async def climate_events(response: aiohttp.ClientResponse, heat_c: float) -> Mapping[str, Any]:
    """Read events until the zone "living" has a heating setpoint, and return the zone."""
    name = ""
    async for line in response.content:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        if field == "data" and name == "climate":
            zone: Mapping[str, Any] = next(each for each in json.loads(value)["zones"] if each["zone"] == "living")
            if zone["heat_setpoint_c"] == heat_c:
                return zone
    raise AssertionError("the stream has ended")


async def push(apis: ApiRig, secret: str, value_c: float) -> None:
    """Push a setpoint as an Amps client."""
    action = {"command": "heat", "parameters": {"target": {"value": value_c, "unit": "celsius"}}}
    async with (
        apis.session({"x-api-key": secret}) as client,
        client.post("/amps/hvac/living", json={"action": action}) as response,
    ):
        assert response.status == 202, await response.text()


async def test_a_change_through_an_api_is_on_the_page_at_once(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "amps") as apis, apis.port.session(Role.VIEWER) as page:
        made = await apis.client("amps", name="shutters")
        async with page.get("/v1/events") as events, asyncio.timeout(WAIT_S):
            await push(apis, made.secret, 22.5)
            zone = await climate_events(events, 22.5)
        assert zone["holds"][0]["id"] == apis.home.actions.latest("living").action_id  # type: ignore[union-attr]


async def test_a_change_on_the_page_is_in_the_api_at_once(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "amps") as apis, apis.port.session(Role.SERVICE) as page:
        made = await apis.client("amps")
        async with page.post("/v1/climate/living", json={"do": "hold", "heat_setpoint_c": 17.5}) as response:
            assert response.status == 200
        async with apis.session({"x-api-key": made.secret}) as client, client.get("/amps/hvac/living") as response:
            assert (await response.json())["data"]["state"]["heatSetpoint"] == 17.5


async def test_listeners_know_who_it_was(tmp_path: Path) -> None:
    heard: list[HomeChange] = []
    async with open_apis(tmp_path, "amps") as apis, apis.port.session(Role.SERVICE) as page:
        made = await apis.client("amps", name="shutters")
        apis.home.changes.on_change(heard.append)
        async with page.post("/v1/climate/living", json={"do": "eco", "is_enabled": True}):
            pass
        await push(apis, made.secret, 16.0)
        await until(lambda: any(each.kind == "action_settled" for each in heard))
    who = {each.kind.value: each.by for each in heard}
    assert (who["eco"], who["hold_begun"]) == ("test", "api:amps/shutters")


async def test_exact_setpoints_and_actions_outlive_the_process(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "amps") as apis:
        made = await apis.client("amps")
        await push(apis, made.secret, 70.0 - 48.9)
        await until(lambda: (done := apis.home.actions.latest("living")) and not done.is_pending)
    async with open_apis(tmp_path, "amps") as apis:
        assert apis.home.thermostats.get("living").heat_setpoint_c == 70.0 - 48.9
        (action,) = await apis.home.actions.page()
        assert action.state == "completed"


async def test_a_hub_without_apis_has_no_home(tmp_path: Path) -> None:
    """Nothing of it is imported or built until somebody changes a zone."""
    async with open_apis(tmp_path, "amps") as apis:
        assert "home" in apis.port.hub.home.loops()
    async with open_port(tmp_path) as port, port.session(Role.SERVICE) as page:
        assert port.hub.home.loops() == {}
        async with page.post("/v1/climate/living", json={"do": "hold", "heat_setpoint_c": 17.5}) as response:
            assert response.status == 200
        assert "actions" not in port.hub.home.loops()


async def test_steps_of_the_clock_end_no_hold_for_a_time_and_no_session_and_heating_goes_on(tmp_path: Path) -> None:
    day_ms = 86_400_000
    async with open_port(tmp_path) as rig, rig.session() as owner, rig.socket_session() as local:
        async with owner.post("/v1/session", json={"code": await rig.make_code()}) as response:
            assert response.status == 200
        hold = {"do": "hold", "heat_setpoint_c": 23, "for_s": 7200, "id": "mine"}
        async with local.post("/v1/climate/living", json=hold) as response:
            assert response.status == 200
        climate = rig.hub.climate
        assert climate is not None
        for step_ms in (day_ms, -day_ms, 3653 * day_ms, -3653 * day_ms):
            rig.clock.off_ms += step_ms
            rig.clock.skip(30)
            before_ms = rig.clock.monotonic_ms()
            climate._decision_due.set()
            await until(lambda: climate._driven_ms >= before_ms)  # noqa: B023 - within the turn
            async with local.get("/v1/climate") as response:
                zone = next(each for each in (await response.json())["zones"] if each["zone"] == "living")
            assert [each["id"] for each in zone["holds"]] == ["mine"]
            assert 6000 < zone["holds"][0]["left_s"] <= 7200
            assert zone["heat_setpoint_c"] == 23
            async with owner.get("/v1/session") as response:
                assert response.status == 200
            async with local.get("/v1/status") as response:
                outbox = (await response.json())["outbox"]
            assert (outbox["oldest_age_s"] or 0) < 3600, "readings of this boot wait as long as its own clock says"
