"""AURRA Home over a real hub: all twelve calls as the contract writes them, and who may make which."""

import asyncio
import hashlib
import hmac
import json
import logging
import re
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.apis.aurra_home import calls, optimization
from agent.apis.aurra_home.tokens import SIGN_INS
from agent.apis.face import CHANGES, SETTINGS
from agent.apis.webhooks.endpoints import NewEndpoint
from agent.apis.webhooks.signatures import WebhookApi
from agent.climate.holds import CLIENT_HOLDS_MAX
from agent.climate.model import HoldKind, Mode
from agent.climate.optimum_start import LearnedDynamics
from agent.climate.requests import FollowScheduleRequest, HoldRequest, SetRequest
from agent.foundation import rfc3339
from agent.home.temperatures import to_fahrenheit
from agent.local.routes import Role
from agent.maintenance.assessment import ZoneRecord
from agent.maintenance.drift import Drift, add_day
from agent.maintenance.indicators import Indicator, Measured
from agent.maintenance.service import FILE_NAME as MAINTENANCE_FILE
from agent.maintenance.service import MaintenanceFile
from agent.maintenance.signature import FREE_K, SIGNATURES
from tests.integration.api_rig import ApiRig, MadeClient, open_apis
from tests.integration.conftest import WAIT_S, until

PREFIX = "/aurra-home/v1"
ZONE = f"{PREFIX}/thermostat/living"

WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SCHEDULE: dict[str, Any] = {
    "name": "Winter",
    "blocks": [
        {"label": "Morning", "start": "06:00", "end": "09:00", "heat": 70, "cool": 78, "days": WEEK},
        {"label": "Day", "start": "09:00", "end": "17:00", "heat": 66, "cool": 80, "days": WEEK},
        {"label": "Evening", "start": "17:00", "end": "22:00", "heat": 71, "cool": 78, "days": WEEK},
        {"label": "Night", "start": "22:00", "end": "06:00", "heat": 62, "cool": 82, "days": WEEK},
    ],
}

Answered = tuple[int, Any, Mapping[str, str]]


class Aurra:
    """A client of the API."""

    def __init__(self, apis: ApiRig) -> None:
        self.apis = apis
        self.headers: dict[str, str] = {}

    async def sign_in(self, made: MadeClient, **further: str) -> Answered:
        body = {"client_id": made.client_id, "client_secret": made.secret, "grant_type": "client_credentials"}
        answered = await self.ask("POST", "/auth/token", body | further)
        if answered[0] == 200:
            self.headers = {"Authorization": f"Bearer {answered[1]['access_token']}"}
        return answered

    async def ask(self, method: str, path: str, body: object = None) -> Answered:
        given: dict[str, Any] = {} if body is None else {"json": body}
        async with (
            self.apis.session(self.headers) as client,
            client.request(method, PREFIX + path, **given) as response,
        ):
            return response.status, await response.json(), response.headers

    async def post(self, path: str, body: object = None) -> Answered:
        return await self.ask("POST", path, body)


async def signed_in(apis: ApiRig, name: str = "test", **wanted: object) -> Aurra:
    # The first key takes a moment.
    made = await apis.client("aurra_home", name, **wanted)
    client = Aurra(apis)
    async with asyncio.timeout(WAIT_S):
        while (await client.sign_in(made))[0] == 503:  # noqa: ASYNC110 - the client has no event for it
            await asyncio.sleep(0.02)
    return client


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "aurra_home") as found:
        await until(lambda: found.home.thermostats.get("living").temperature_c is not None)
        yield found


@pytest.fixture
async def aurra(apis: ApiRig) -> Aurra:
    return await signed_in(apis)


def code_of(answered: Answered) -> tuple[int, str]:
    return answered[0], answered[1]["error"]["code"]


async def test_a_token_is_what_the_contract_says(apis: ApiRig) -> None:
    client = await signed_in(apis)
    made = await apis.client("aurra_home", "other")
    status, body, headers = await client.sign_in(made)
    assert (status, set(body), body["token_type"], body["expires_in"]) == (
        200,
        {"access_token", "token_type", "expires_in"},
        "Bearer",
        3600,
    )
    assert headers["Cache-Control"] == "no-store"
    for wrong in ({"client_secret": "sk_live_x"}, {"client_id": "acc_x"}):
        answered = await Aurra(apis).sign_in(made, **wrong)
        assert answered[1] == {"error": {"code": "INVALID_CREDENTIALS", "message": "Bad client_id or client_secret"}}
        assert answered[0] == 401


async def test_status_is_in_whole_degrees_fahrenheit(aurra: Aurra) -> None:
    status, body, headers = await aurra.ask("GET", "/thermostat/living/status")
    room_c = aurra.apis.home.thermostats.get("living").temperature_c
    assert room_c is not None
    assert (status, body["temperature"]) == (200, round(room_c * 1.8 + 32))
    assert set(body) == {"temperature", "humidity", "mode", "eco_mode", "status"}
    assert (body["mode"], body["eco_mode"]) == ("heat", False)
    assert body["status"] in {"active", "idle"}
    assert headers["X-RateLimit-Tier"] == "standard"
    assert headers["X-RateLimit-Limit"] == "100"
    assert (await aurra.ask("GET", "/thermostat/aurra_001/status"))[1]["mode"] == "heat"


@pytest.mark.parametrize("value", [40, 61, 68, 70, 89])
async def test_a_setpoint_is_in_force_at_once_and_comes_back_exactly(aurra: Aurra, value: int) -> None:
    status, body, _ = await aurra.post("/thermostat/living/setpoint", {"temperature": value, "mode": "heat"})
    assert (status, body["success"]) == (200, True)
    assert body["applied_at"].endswith("Z")
    thermostat = aurra.apis.home.thermostats.get("living")
    assert to_fahrenheit(thermostat.heat_setpoint_c) == value
    assert thermostat.heat_setpoint_c == pytest.approx((value - 32) * 5 / 9, abs=1e-12)


async def test_a_setpoint_counts_until_the_next_block_of_a_schedule_and_over_an_away(aurra: Aurra) -> None:
    thermostats = aurra.apis.home.thermostats
    assert (await aurra.post("/thermostat/living/schedule", SCHEDULE))[0] == 201
    thermostats.apply("living", HoldRequest(HoldKind.AWAY), by="test")
    assert (await aurra.post("/thermostat/living/setpoint", {"temperature": 75, "mode": "heat"}))[0] == 200
    found = thermostats.get("living")
    assert to_fahrenheit(found.heat_setpoint_c) == 75
    assert [(hold.id, hold.kind, hold.until) for hold in found.holds] == [("aurra_home", "hold", "next_block")]
    # "off" counts although there is a hold.
    await aurra.post("/thermostat/living/setpoint", {"temperature": 75, "mode": "off"})
    assert thermostats.get("living").mode is Mode.OFF
    await aurra.post("/thermostat/living/setpoint", {"temperature": 66, "mode": "heat"})
    assert to_fahrenheit(thermostats.get("living").heat_setpoint_c) == 66


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"temperature": 39, "mode": "heat"}, "INVALID_TEMPERATURE"),
        ({"temperature": 91, "mode": "heat"}, "INVALID_TEMPERATURE"),
        ({"temperature": 70.5, "mode": "heat"}, "INVALID_REQUEST"),
        ({"temperature": "70", "mode": "heat"}, "INVALID_REQUEST"),
        ({"temperature": True, "mode": "heat"}, "INVALID_REQUEST"),
        ({"temperature": 70, "mode": "warm"}, "INVALID_REQUEST"),
        ({"temperature": 70}, "INVALID_REQUEST"),
        ({"mode": "heat"}, "INVALID_REQUEST"),
        ([], "INVALID_REQUEST"),
        (None, "INVALID_REQUEST"),
    ],
)
async def test_what_is_no_setpoint_changes_nothing(aurra: Aurra, body: object, code: str) -> None:
    before = aurra.apis.home.thermostats.get("living").heat_setpoint_c
    assert code_of(await aurra.post("/thermostat/living/setpoint", body)) == (400, code)
    assert aurra.apis.home.thermostats.get("living").heat_setpoint_c == before


async def test_a_setpoint_that_is_refused_leaves_the_mode_and_holds_for_people(aurra: Aurra) -> None:
    thermostats = aurra.apis.home.thermostats
    assert (await aurra.post("/thermostat/living/schedule", SCHEDULE))[0] == 201
    thermostats.apply("living", SetRequest(mode=Mode.OFF), by="page")
    for number in range(CLIENT_HOLDS_MAX):
        planned = HoldRequest(heat_setpoint_c=20.0, start="23:59", id=f"planned {number}")
        thermostats.apply("living", planned, by="page")
    answered = await aurra.post("/thermostat/living/setpoint", {"temperature": 70, "mode": "heat"})
    assert answered[0] == 400
    assert "12 holds" in answered[1]["error"]["message"]
    assert thermostats.get("living").mode is Mode.OFF
    thermostats.apply("living", HoldRequest(HoldKind.BOOST, mode=Mode.HEAT, heat_setpoint_c=22.0), by="page")
    assert thermostats.get("living").heat_setpoint_c == 22.0


async def test_schedules_by_name_are_replaced_and_sync_brings_the_last_into_force(aurra: Aurra) -> None:
    thermostats = aurra.apis.home.thermostats
    assert (await aurra.post("/thermostat/living/schedule", SCHEDULE))[1] == {
        "success": True,
        "name": "Winter",
        "blocks_count": 4,
    }
    summer = SCHEDULE | {"name": "Summer", "blocks": SCHEDULE["blocks"][:1]}
    assert (await aurra.post("/thermostat/living/schedule", summer))[0] == 201
    again = SCHEDULE | {"blocks": SCHEDULE["blocks"][:2]}
    assert (await aurra.post("/thermostat/living/schedule", again))[1]["blocks_count"] == 2
    found = thermostats.get("living")
    assert (set(found.schedules), found.schedule) == ({"Winter", "Summer"}, "Winter")
    assert len(found.schedules["Winter"].blocks) == 2
    thermostats.apply("living", FollowScheduleRequest("Summer"), by="page")
    status, body, _ = await aurra.post("/thermostat/living/schedule/sync")
    assert (status, body["synced"], thermostats.get("living").schedule) == (200, True, "Winter")
    assert body["synced_at"].endswith("Z")


async def test_sync_without_a_posted_schedule_is_refused(aurra: Aurra) -> None:
    answered = await aurra.post("/thermostat/living/schedule/sync")
    assert code_of(answered) == (400, "INVALID_REQUEST")
    assert "post a schedule first" in answered[1]["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("setpoint", {"temperature": 71, "mode": "heat"}),
        ("schedule", SCHEDULE),
        ("eco", {"enabled": True}),
    ],
)
async def test_an_answer_outlives_a_power_cut(aurra: Aurra, path: str, body: object) -> None:
    assert (await aurra.post(f"/thermostat/living/{path}", body))[0] in {200, 201}
    assert aurra.apis.written_program("living") == aurra.apis.program("living")


def with_block(**changes: object) -> dict[str, object]:
    return {"name": "X", "blocks": [{**SCHEDULE["blocks"][0], **changes}]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (with_block(heat=39), "INVALID_TEMPERATURE"),
        (with_block(cool=91), "INVALID_TEMPERATURE"),
        (with_block(heat=78), "INVALID_REQUEST"),
        (with_block(start="24:00"), "INVALID_REQUEST"),
        (with_block(start="6:00"), "INVALID_REQUEST"),
        (with_block(days=[]), "INVALID_REQUEST"),
        (with_block(days=["monday"]), "INVALID_REQUEST"),
        (SCHEDULE | {"name": ""}, "INVALID_REQUEST"),
        (SCHEDULE | {"name": "x" * 65}, "INVALID_REQUEST"),
        (SCHEDULE | {"blocks": []}, "INVALID_REQUEST"),
    ],
)
async def test_what_is_no_schedule_is_not_stored(aurra: Aurra, body: object, code: str) -> None:
    assert code_of(await aurra.post("/thermostat/living/schedule", body)) == (400, code)
    assert not aurra.apis.home.thermostats.get("living").schedules


async def test_eco_bounds_the_setpoint_and_has_the_documented_defaults(aurra: Aurra) -> None:
    status, body, _ = await aurra.post("/thermostat/living/eco", {"enabled": True})
    assert (status, body) == (200, {"success": True, "enabled": True, "heat_limit": 62, "cool_limit": 78})
    await aurra.post("/thermostat/living/setpoint", {"temperature": 70, "mode": "heat"})
    assert to_fahrenheit(aurra.apis.home.thermostats.get("living").heat_setpoint_c) == 62
    assert (await aurra.ask("GET", "/thermostat/living/status"))[1]["eco_mode"] is True
    body = (await aurra.post("/thermostat/living/eco", {"enabled": True, "heat_limit": 66}))[1]
    assert (body["heat_limit"], body["cool_limit"]) == (66, 78)
    await aurra.post("/thermostat/living/eco", {"enabled": False})
    assert to_fahrenheit(aurra.apis.home.thermostats.get("living").heat_setpoint_c) == 70
    assert code_of(await aurra.post("/thermostat/living/eco", {"enabled": 1})) == (400, "INVALID_REQUEST")
    assert code_of(await aurra.post("/thermostat/living/eco", {"enabled": True, "heat_limit": 20})) == (
        400,
        "INVALID_TEMPERATURE",
    )


VIBRATION = {"device_id": "living", "timestamp": "2025-04-22T14:33:10Z", "amplitude": 0.42, "frequency": 58.7}
ENERGY = {
    "device_id": "living",
    "runtime_mins": 42,
    "voltage": 238.5,
    "current_amps": 12.3,
    "period_start": "2025-04-22T14:00:00Z",
}


async def test_readings_are_kept_and_old_ones_are_not_watched(aurra: Aurra) -> None:
    for path, body in (("/diagnostics/vibration", VIBRATION), ("/diagnostics/energy", ENERGY)):
        status, answer, headers = await aurra.post(path, body)
        assert (status, answer["accepted"]) == (201, True)
        assert answer["reading_id"].startswith("rdg_")
        assert (headers["X-RateLimit-Endpoint"], headers["X-RateLimit-Limit"]) == ("diag", "60")
        assert headers["X-Climahub-Reason"].endswith("its time is more than 26 hours ago, or in the future")
        for name in body:
            if name != "duration_ms":
                less = {key: value for key, value in body.items() if key != name}
                assert code_of(await aurra.post(path, less)) == (400, "INVALID_REQUEST")
    assert code_of(await aurra.post("/diagnostics/vibration", VIBRATION | {"amplitude": 10.1}))[0] == 400
    assert code_of(await aurra.post("/diagnostics/vibration", VIBRATION | {"timestamp": "yesterday"}))[0] == 400
    status, answer, headers = await aurra.ask("GET", "/predictive/hvac/living/status")
    assert (status, answer) == (200, {"maintenance_needed": False, "prediction": None, "last_service": None})
    # The readings are of another year: they are kept and say nothing about the machine's present state.
    assert headers["X-Climahub-Reason"].endswith("run_time: still learning: 0 of 14 days of heating")


async def test_what_one_client_posts_is_one_machine_of_its_zone(apis: ApiRig, aurra: Aurra) -> None:
    maintenance = apis.port.hub.maintenance
    assert maintenance
    assert maintenance.machines
    machines = maintenance.machines
    now = rfc3339.render_known(apis.port.clock.utc_ms())
    energy = ENERGY | {"period_start": now, "inrush_amps": 40.0}
    status, _, headers = await aurra.post("/diagnostics/energy", energy)
    assert (status, "X-Climahub-Reason" in headers) == (201, False)
    # Sent again, from another time, or of another zone's device: it counts once, not at all, and elsewhere.
    for body in (energy, energy | {"period_start": "2020-01-01T00:00:00Z"}, energy | {"device_id": "bedroom"}):
        assert (await aurra.post("/diagnostics/energy", body))[0] == 201
    other = await signed_in(apis, "other")
    assert (await other.post("/diagnostics/vibration", VIBRATION | {"timestamp": now}))[0] == 201
    living, bedroom, shaken = machines.records
    assert (living.zone_id, bedroom.zone_id, shaken.zone_id) == ("living", "bedroom", "living")
    assert living.source == bedroom.source != shaken.source
    assert [(each.channel, each.seen) for each in living.day] == [("current", 1), ("inrush", 1)]
    assert [(each.channel, each.seen) for each in shaken.day] == [("amplitude", 1)]
    reason = (await aurra.ask("GET", "/predictive/hvac/living/status"))[2]["X-Climahub-Reason"]
    for name in ("current", "low_current", "inrush", "vibration"):
        assert (
            f"{name}: machine of {'other' if name == 'vibration' else 'test'}: still learning: 0 of 14 days" in reason
        )
    # A technician answers it like a finding about the heating; of a machine that nobody posts there is none.
    answer = {"zone": "living", "indicator": "vibration", "answer": "serviced", "note": "new mounts"}
    async with apis.port.session(Role.SERVICE) as client:
        async with client.post("/v1/maintenance/answers", json=answer) as response:
            assert (response.status, (await response.json())["evidence"][:18]) == (200, "machine of other: ")
        async with client.post("/v1/maintenance/answers", json=answer | {"zone": "bedroom"}) as response:
            assert (response.status, (await response.json())["error"]) == (404, "not_found")


async def test_a_loss_of_heat_is_predicted_with_its_numbers_also_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    async with open_apis(tmp_path, "aurra_home") as apis:
        begun = apis.port.clock.utc_ms()
        assert begun is not None
    watched = MaintenanceFile({"living": ZoneRecord((("sim/temperature", ""),), warmth=ill(begun))})
    for name in (MAINTENANCE_FILE, f"{MAINTENANCE_FILE}.copy"):
        (state / name).write_bytes(msgspec.json.encode(watched))
    async with open_apis(tmp_path, "aurra_home") as apis:
        aurra = await signed_in(apis)
        status, answer, headers = await aurra.ask("GET", "/predictive/hvac/living/status")
        assert (status, answer["maintenance_needed"], answer["last_service"]) == (200, True, None)
        prediction = answer["prediction"]
        numbers = re.match(r"less heat from the same run time: needs (\d+) % more run time than", prediction["issue"])
        assert numbers is not None
        assert int(numbers[1]) == pytest.approx(100 * (1 / 0.7 - 1), abs=10)
        assert 0.72 <= prediction["confidence"] <= 1.0
        assert prediction["recommended_action"].startswith("check filter")
        assert headers["X-Climahub-Reason"].startswith("run_time: still learning")
        answer = (await aurra.ask("GET", "/predictive/hvac/bedroom/status"))[1]
        assert (answer["maintenance_needed"], answer["prediction"]) == (False, None)
        await shown_until_resolved(apis)


async def shown_until_resolved(apis: ApiRig) -> None:
    """See the hub's own alert as its problem, and resolve it as a person does."""
    hub = apis.port.hub

    def faults() -> list[str]:
        return [each.text for each in hub.status().faults if each.component == "maintenance"]

    await until(lambda: len(faults()) == 1)
    async with apis.port.session(Role.SERVICE) as client:
        async with client.get("/v1/alerts") as response:
            (alert,) = (await response.json())["alerts"]
        assert (alert["client"], alert["zone"], alert["is_shown"], alert["is_resolved"]) == (
            "hub",
            "living",
            True,
            False,
        )
        assert alert["issue"].startswith("less heat from the same run time: needs 42 % more run time")
        assert faults()[0].startswith(f"alert {alert['id']}: living: {alert['issue']}")
        async with client.post(f"/v1/alerts/{alert['id']}/resolve") as response:
            assert (await response.json())["resolved_by"] == "test"
        async with client.post("/v1/alerts/alt_9/resolve") as response:
            assert response.status == 404
    assert faults() == []
    await answered_by_a_technician(apis)


async def answered_by_a_technician(apis: ApiRig) -> None:
    """Answer that the zone was serviced: the day is AURRA Home's `last_service`, and the baseline begins anew."""
    aurra = await signed_in(apis, name="second")
    body = {"zone": "living", "indicator": "warmth", "answer": "serviced", "note": "new filter"}
    path = "/v1/maintenance/answers"
    async with apis.port.session(Role.VIEWER) as client, client.post(path, json=body) as response:
        assert response.status == 403
    async with apis.port.session(Role.SERVICE) as client:
        for wrong, status in (({"answer": "well"}, 400), ({"zone": "attic"}, 404), ({"note": "x" * 301}, 400)):
            async with client.post(path, json=body | wrong) as response:
                assert response.status == status
        async with client.post(path, json=body) as response:
            made = await response.json()
            assert (response.status, made["by"], len(made["features"])) == (200, "test", 4)
            assert made["confidence"] >= 0.72
            assert "learned anew" in made["effect"]
        async with client.get(path) as response:
            assert (await response.json())["answers"] == [made]
        async with client.get("/v1/maintenance") as response:
            (finding, _) = (await response.json())["zones"][0]["findings"]
        assert (finding["state"], finding["answer"], finding["answered_by"]) == ("unknown", "serviced", "test")
        async with client.get("/v1/audit") as response:
            trail = (await response.json())["entries"]
    assert path in [each["target"] for each in trail if each["action"] == "answer_maintenance"]
    status, answer, _ = await aurra.ask("GET", "/predictive/hvac/living/status")
    assert (status, answer) == (200, {"maintenance_needed": False, "prediction": None, "last_service": made["at"][:10]})
    answers = ["maintenance", "export", "--socket", str(apis.port.socket)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *answers, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert json.loads(output) == made


def ill(now_ms: int) -> Drift:
    """Return the drift of a zone that has lost 30 % of its heat for a month, after two of usual behaviour."""
    drift = Drift()
    for day in range(90, 0, -1):
        output = (18.0 - FREE_K) / (40.0 if day > 30 else 28.0)
        measured = Measured(output, 18.0 + day % 2, 0.0)
        drift = add_day(drift, measured, now_ms - day * 86_400_000, SIGNATURES[Indicator.WARMTH])
    return drift


ALERT = {"device_id": "living", "issue": "bearing wear", "confidence": 0.87, "action": "replace the fan"}


async def test_an_alert_from_the_threshold_on_is_shown_at_the_hub(aurra: Aurra) -> None:
    hub = aurra.apis.port.hub
    status, low, _ = await aurra.post("/alerts", ALERT | {"confidence": 0.71})
    assert (status, low["shown"]) == (201, False)
    assert all("bearing wear" not in each.text for each in hub.status().faults)
    status, high, _ = await aurra.post("/alerts", ALERT | {"confidence": 0.72})
    assert (status, high["shown"], high["alert_id"][:4]) == (201, True, "alt_")
    assert any("living: bearing wear; replace the fan" in each.text for each in hub.status().faults)
    assert code_of(await aurra.post("/alerts", ALERT | {"issue": "x" * 257})) == (400, "INVALID_REQUEST")
    assert code_of(await aurra.post("/alerts", ALERT | {"priority": "urgent"})) == (400, "INVALID_REQUEST")


async def test_only_enterprise_may_dispatch(aurra: Aurra) -> None:
    assert code_of(await aurra.post("/alerts", ALERT | {"dispatch": True})) == (403, "INSUFFICIENT_SCOPE")
    enterprise = await signed_in(aurra.apis, name="big", tier="enterprise")
    status, _, headers = await enterprise.post("/alerts", ALERT | {"dispatch": True})
    assert (status, headers["X-RateLimit-Tier"], headers["X-RateLimit-Limit"]) == (201, "enterprise", "500")


async def test_optimize_invents_nothing(aurra: Aurra) -> None:
    constant = (await aurra.post("/climate/optimize", {"device_id": "living"}))[1]["optimized_schedule"]
    assert [(each["start"], each["end"], each["heat"]) for each in constant["blocks"]] == [("00:00", "00:00", 68)]
    assert constant["projected_savings"] == "0%"
    await aurra.post("/thermostat/living/schedule", SCHEDULE)
    status, body, headers = await aurra.post("/climate/optimize", {"device_id": "living"})
    assert (status, body["requires_approval"]) == (200, True)
    assert body["optimized_schedule"]["projected_savings"] == "0%"
    assert body["optimized_schedule"]["blocks"] == SCHEDULE["blocks"]
    assert "has not learned yet" in headers["X-Climahub-Reason"]


async def test_a_simulation_holds_up_no_write_of_the_hub(aurra: Aurra, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    propose = optimization.propose

    def record(*what: Any, **named: Any) -> Any:  # noqa: ANN401
        threads.append(threading.current_thread().name)
        return propose(*what, **named)

    monkeypatch.setattr(calls, "propose", record)
    assert (await aurra.post("/climate/optimize", {"device_id": "living"}))[0] == 200
    (thread,) = threads
    assert thread.startswith("apis"), "the worker named storage is that of control"


async def test_optimize_applies_only_when_asked(aurra: Aurra) -> None:
    climate = aurra.apis.port.hub.climate
    assert climate is not None
    await aurra.post("/thermostat/living/schedule", SCHEDULE)
    climate.control.zones["living"].learned = LearnedDynamics(2.0, 0.4, 600.0, 5)
    body = (await aurra.post("/climate/optimize", {"device_id": "living", "mode": "efficiency"}))[1]
    proposed = body["optimized_schedule"]
    assert int(proposed["projected_savings"].removesuffix("%")) > 0
    thermostats = aurra.apis.home.thermostats
    assert thermostats.get("living").schedule == "Winter"
    # What was returned can be posted as it is.
    posted = {"name": proposed["name"], "blocks": proposed["blocks"]}
    assert (await aurra.post("/thermostat/living/schedule", posted))[0] == 201
    await aurra.post("/thermostat/living/schedule", SCHEDULE)
    applied = {"device_id": "living", "mode": "efficiency", "apply_immediate": True}
    assert (await aurra.post("/climate/optimize", applied))[1]["requires_approval"] is False
    assert thermostats.get("living").schedule == "Winter (efficiency)"


async def test_a_voice_link_says_what_is_missing_and_keeps_no_token(aurra: Aurra) -> None:
    body = {"device_id": "living", "platform": "Alexa", "user_token": "voice-secret-1"}
    status, answer, _ = await aurra.post("/integration/voice-assistant", body)
    assert (status, answer["success"]) == (200, True)
    assert "through the cloud of its maker" in answer["message"]
    assert code_of(await aurra.post("/integration/voice-assistant", body | {"platform": "HomeKit"})) == (
        503,
        "SERVICE_UNAVAILABLE",
    )
    assert code_of(await aurra.post("/integration/voice-assistant", body | {"platform": "Siri"}))[0] == 400
    for path in (aurra.apis.port.directory / "state").iterdir():
        assert b"voice-secret-1" not in path.read_bytes()


async def test_every_call_needs_a_token_and_its_scope(apis: ApiRig) -> None:
    bare = Aurra(apis)
    reader = await signed_in(apis, name="reader", scopes=("energy:read",))
    for method, path, scope in CALLS:
        assert code_of(await bare.ask(method, path)) == (401, "UNAUTHORIZED"), path
        answered = await reader.ask(method, path)
        if scope:
            assert code_of(answered) == (403, "INSUFFICIENT_SCOPE"), path
        else:
            assert answered[0] == 200


CALLS = [
    ("GET", "/thermostat/living/status", ""),
    ("POST", "/thermostat/living/setpoint", "comfort:write"),
    ("POST", "/thermostat/living/schedule", "comfort:write"),
    ("POST", "/thermostat/living/schedule/sync", "comfort:write"),
    ("POST", "/thermostat/living/eco", "comfort:write"),
    ("POST", "/diagnostics/vibration", "diagnostics:read"),
    ("POST", "/diagnostics/energy", "diagnostics:read"),
    ("GET", "/predictive/hvac/living/status", "diagnostics:read"),
    ("POST", "/alerts", "alerts:write"),
    ("POST", "/climate/optimize", "comfort:write"),
    ("POST", "/integration/voice-assistant", "comfort:write"),
]


async def test_a_token_may_have_less_than_its_client(apis: ApiRig, aurra: Aurra) -> None:
    made = await apis.client("aurra_home", "narrow", scopes=("comfort:write", "alerts:write"))
    await aurra.sign_in(made, scope="alerts:write")
    assert code_of(await aurra.post("/thermostat/living/schedule/sync")) == (403, "INSUFFICIENT_SCOPE")
    assert (await aurra.post("/alerts", ALERT))[0] == 201
    assert code_of(await aurra.sign_in(made, scope="alerts:write diagnostics:read")) == (403, "INSUFFICIENT_SCOPE")


async def test_a_zone_that_a_client_may_not_see_does_not_exist_for_it(apis: ApiRig) -> None:
    client = await signed_in(apis, zones=("bedroom",))
    assert (await client.ask("GET", "/thermostat/bedroom/status"))[0] == 200
    bodies: dict[str, object] = {
        "/thermostat/living/setpoint": {"temperature": 70, "mode": "heat"},
        "/thermostat/living/schedule": SCHEDULE,
        "/thermostat/living/eco": {"enabled": True},
        "/diagnostics/vibration": VIBRATION,
        "/diagnostics/energy": ENERGY,
        "/alerts": ALERT,
        "/climate/optimize": {"device_id": "living"},
        "/integration/voice-assistant": {"device_id": "living", "platform": "Alexa", "user_token": "x"},
    }
    for method, path, _ in CALLS:
        answered = await client.ask(method, path, bodies.get(path))
        assert code_of(answered) == (404, "DEVICE_NOT_FOUND"), path
        unknown = await client.ask(method, path.replace("living", "attic"), _renamed(bodies.get(path)))
        # An unknown zone and a hidden one are the same.
        assert (answered[0], answered[1]) == (unknown[0], unknown[1]), path
    assert (await client.ask("GET", "/thermostat/aurra_001/status"))[0] == 404


def _renamed(body: object) -> object:
    return body | {"device_id": "attic"} if isinstance(body, dict) and "device_id" in body else body


async def test_revoking_a_client_ends_its_tokens_at_once(apis: ApiRig, aurra: Aurra) -> None:
    made = await apis.client("aurra_home", "gone")
    await aurra.sign_in(made)
    assert (await aurra.ask("GET", "/thermostat/living/status"))[0] == 200
    await apis.revoke(made)
    assert code_of(await aurra.ask("GET", "/thermostat/living/status")) == (401, "UNAUTHORIZED")
    assert code_of(await aurra.sign_in(made)) == (401, "INVALID_CREDENTIALS")


async def test_a_token_ends_after_an_hour_and_not_when_somebody_sets_the_clock(aurra: Aurra) -> None:
    clock = aurra.apis.port.clock
    clock.off_ms = 2 * 86_400_000
    assert (await aurra.ask("GET", "/thermostat/living/status"))[0] == 200
    clock.skip(3600)
    assert code_of(await aurra.ask("GET", "/thermostat/living/status")) == (401, "UNAUTHORIZED")


async def test_two_buckets_and_their_numbers(aurra: Aurra) -> None:
    aurra.apis.port.clock.stand_still()
    for _ in range(60):
        status, _, headers = await aurra.post("/diagnostics/vibration", VIBRATION)
        assert status == 201
    assert headers["X-RateLimit-Remaining"] == "0"
    status, body, headers = await aurra.post("/diagnostics/vibration", VIBRATION)
    assert (status, body["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert 0 < body["error"]["retry_after"] <= 60
    assert headers["Retry-After"] == str(body["error"]["retry_after"])
    assert headers["X-RateLimit-Endpoint"] == "diag"
    # The tier's limit has 40 left.
    status, _, headers = await aurra.ask("GET", "/thermostat/living/status")
    assert (status, headers["X-RateLimit-Remaining"]) == (200, "39")
    assert "X-RateLimit-Endpoint" not in headers


async def test_what_writes_a_file_has_a_limit_of_its_own(aurra: Aurra) -> None:
    aurra.apis.port.clock.stand_still()
    for _ in range(CHANGES.requests_max):
        status, _, headers = await aurra.post("/alerts", {})
        assert status == 400
    assert headers["X-RateLimit-Remaining"] == "0"
    status, body, headers = await aurra.post("/alerts", {})
    assert (status, body["error"]["code"], headers["X-RateLimit-Tier"]) == (429, "RATE_LIMIT_EXCEEDED", "standard")
    assert (await aurra.ask("GET", "/thermostat/living/status"))[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/thermostat/living/setpoint", {"temperature": 68}),
        ("/thermostat/living/schedule/sync", {}),
        ("/thermostat/living/eco", {"enabled": True}),
        ("/climate/optimize", {"device_id": "living", "mode": "comfort"}),
    ],
)
async def test_what_sets_a_zone_has_a_limit_of_its_own(aurra: Aurra, path: str, body: dict[str, Any]) -> None:
    aurra.apis.port.clock.stand_still()
    for number in range(SETTINGS.requests_max):
        status, _, headers = await aurra.post("/thermostat/none/setpoint", {"temperature": 68, "mode": "heat"})
        assert (status, headers["X-RateLimit-Limit"]) == (404, "100" if number < SETTINGS.requests_max - 1 else "60")
    status, answer, headers = await aurra.post(path, body)
    assert (status, answer["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert headers["Retry-After"] == str(answer["error"]["retry_after"])
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("60", "0")
    assert (await aurra.ask("GET", "/thermostat/living/status"))[0] == 200


async def test_signatures_have_a_limit_for_each_client(aurra: Aurra) -> None:
    """One client that asks for a token all the time costs the hub no more, and others nothing."""
    aurra.apis.port.clock.stand_still()
    made, other = await aurra.apis.client("aurra_home", "eager"), await aurra.apis.client("aurra_home", "other")
    for _ in range(SIGN_INS.requests_max):
        assert (await aurra.sign_in(made))[0] == 200
    status, body, headers = await aurra.sign_in(made)
    assert (status, body["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert headers["Retry-After"] == "60"
    assert (await aurra.sign_in(other))[0] == 200
    aurra.apis.port.clock.skip(60)
    assert (await aurra.sign_in(made))[0] == 200


async def test_a_restart_keeps_credentials_tokens_records_and_limits(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aurra_home") as apis:
        aurra = await signed_in(apis)
        apis.port.clock.stand_still()
        headers = aurra.headers
        for _ in range(60):
            await aurra.post("/diagnostics/vibration", VIBRATION)
        await aurra.post("/thermostat/living/setpoint", {"temperature": 71, "mode": "heat"})
    async with open_apis(tmp_path, "aurra_home") as apis:
        aurra = Aurra(apis)
        aurra.headers = headers
        async with asyncio.timeout(WAIT_S):
            while (found := await aurra.ask("GET", "/thermostat/living/status"))[0] == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert found[0] == 200
        assert to_fahrenheit(apis.home.thermostats.get("living").heat_setpoint_c) == 71
        assert (await aurra.post("/diagnostics/vibration", VIBRATION))[0] == 429
        stored = (tmp_path / "state" / "aurra-home-readings.json").read_bytes()
        assert stored.count(b'"reading_id"') == 60


async def test_errors_under_the_prefix_have_the_envelope(aurra: Aurra) -> None:
    assert code_of(await aurra.ask("GET", "/nothing")) == (404, "INVALID_REQUEST")
    assert code_of(await aurra.ask("DELETE", "/thermostat/living/status")) == (405, "INVALID_REQUEST")
    assert code_of(await aurra.post("/alerts", ALERT | {"more": "x" * 40_000})) == (413, "INVALID_REQUEST")
    assert code_of(await aurra.ask("GET", "/auth/token")) == (405, "INVALID_REQUEST")


async def test_changes_of_clients_are_in_the_audit_trail_and_readings_are_not(aurra: Aurra) -> None:
    await aurra.post("/thermostat/living/eco", {"enabled": True})
    await aurra.post("/diagnostics/vibration", VIBRATION)
    entries = await aurra.apis.port.hub.port.audit.entries(entries_max=50)
    found = [(each.entry.name, each.entry.action) for each in entries]
    assert ("api:aurra_home/test", "set_eco") in found
    assert not [action for _, action in found if action == "add_vibration"]


async def test_what_people_do_shows_at_once(aurra: Aurra) -> None:
    aurra.apis.home.thermostats.apply("living", SetRequest(mode=Mode.OFF), by="page")
    assert (await aurra.ask("GET", "/thermostat/living/status"))[1]["mode"] == "off"


async def test_a_page_of_another_site_gets_nothing_with_a_stolen_token(apis: ApiRig, aurra: Aurra) -> None:
    async with aiohttp.ClientSession(apis.url, headers=aurra.headers) as client:
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            async with client.get(f"{ZONE}/status", headers=headers) as response:
                assert response.status in {403, 421}
                assert (await response.json())["error"]["code"] == "INVALID_REQUEST"


async def test_webhooks_are_signed_and_tell_what_has_changed(apis: ApiRig, aurra: Aurra) -> None:
    received: list[tuple[bytes, str]] = []

    async def receive(request: web.Request) -> web.Response:
        received.append((await request.read(), request.headers["X-AURRA-Signature"]))
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", receive)
    service = apis.port.hub.port.apis
    assert service is not None
    assert service.webhooks is not None
    async with TestServer(application) as server:
        wanted = NewEndpoint(str(server.make_url("/hook")), WebhookApi.AURRA_HOME, is_private_allowed=True)
        endpoint = await service.webhooks.add(wanted)
        await aurra.post("/thermostat/living/setpoint", {"temperature": 71, "mode": "heat"})
        await aurra.post("/thermostat/living/eco", {"enabled": True, "heat_limit": 60})
        await aurra.post("/thermostat/living/schedule", SCHEDULE)
        await aurra.post("/alerts", ALERT | {"confidence": 0.5})
        await aurra.post("/alerts", ALERT)
        await until(lambda: any(b"alert_created" in body for body, _ in received))
    for body, signature in received:
        assert signature == "sha256=" + hmac.new(endpoint.secret.encode(), body, hashlib.sha256).hexdigest()
    found = [json.loads(body) for body, _ in received]
    assert all(each["timestamp"].endswith("Z") and each["data"]["device_id"] == "living" for each in found)
    told = [(each["event"], {**each["data"], "device_id": ""}) for each in found]
    changed = {"device_id": "", "old_temp": 68, "new_temp": 71, "mode": "heat"}
    assert told[0] == ("thermostat.temperature_change", changed)
    assert ("eco.mode_changed", {"device_id": "", "enabled": True, "heat_limit": 60, "cool_limit": 78}) in told
    assert ("schedule.updated", {"device_id": "", "schedule_name": "Winter", "blocks_count": 4}) in told
    alerts = [data for name, data in told if name == "predictive.alert_created"]
    assert alerts == [{**{key: ALERT[key] for key in ("issue", "confidence", "action")}, "device_id": ""}]


async def test_no_secret_and_no_token_is_shown_anywhere(
    apis: ApiRig, aurra: Aurra, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await apis.client("aurra_home", "secretive")
    await aurra.sign_in(made)
    token = aurra.headers["Authorization"].removeprefix("Bearer ")
    answers = [
        await aurra.ask("GET", f"/thermostat/{token}/status"),
        await aurra.post("/thermostat/living/setpoint", {"temperature": made.secret, "mode": "heat"}),
        await aurra.sign_in(made, grant_type=made.secret),
        await aurra.sign_in(made, scope=f"comfort:write {made.secret[:8]}"),
    ]
    aurra.headers = {"Authorization": f"Bearer {token}x"}
    answers.append(await aurra.ask("GET", "/thermostat/living/status"))
    await apis.port.hub.port.audit.flush()
    shown = {f"answer {number}": json.dumps(answer[1]) for number, answer in enumerate(answers)}
    shown["log"] = caplog.text
    async with apis.port.socket_session() as client:
        for path in ("/v1/api-clients", "/v1/audit", "/v1/status", "/v1/log"):
            async with client.get(path) as response:
                shown[path] = await response.text()
    for file in (apis.port.directory / "state").iterdir():
        shown[file.name] = file.read_bytes().decode(errors="replace")
    for secret in (made.secret, token, token.split(".")[2]):
        assert [place for place, text in shown.items() if secret in text] == []
