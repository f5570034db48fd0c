"""The Aqara Open API of a real hub: curl as published, a client that follows the skill's rules, and another hub."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.apis.face import CHANGES, SETTINGS
from agent.climate.model import HoldKind, Mode
from agent.climate.requests import EcoRequest, HoldRequest, PutScheduleRequest, decode
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.aqara_skill_client import SkillClient, SkillError
from tests.integration.conftest import until

PATH = "/aqara/open/api"
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "aqara") as rig:
        await until(lambda: rig.home.thermostats.get("living").temperature_c is not None)
        yield rig


@pytest.fixture
async def token(apis: ApiRig) -> str:
    return (await apis.client("aqara")).secret


@pytest.fixture
def skill(apis: ApiRig, token: str, tmp_path: Path) -> SkillClient:
    return SkillClient(apis.url + PATH, token, tmp_path / "devices.json")


async def curl(url: str, token: str, body: str) -> dict[str, Any]:
    """Send a request as the published page does."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-X", "POST", url, "-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {token}",
        "-d", body, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return json.loads(output)


async def send(apis: ApiRig, token: str, body: object) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        apis.session({"Authorization": f"Bearer {token}", "Content-Type": "application/json"}) as client,
        client.post(PATH, data=data) as response,
    ):
        return response.status, await response.json()


def message(kind: str, data: object = None) -> dict[str, Any]:
    return {"type": kind, "version": "v1", "msgId": "msg-1", "data": data}


async def test_an_answer_outlives_a_power_cut(apis: ApiRig, token: str) -> None:
    _, answered = await send(apis, token, message("ExecuteTraitRequest", [ITEM | {"value": 22.5}]))
    assert answered["code"] == 0
    assert apis.program("living").setpoints.heat_setpoint_c == 22.5
    assert apis.written_program("living") == apis.program("living")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_every_curl_line_of_the_page_is_answered(apis: ApiRig, token: str) -> None:
    url = apis.url + PATH
    listed = await curl(url, token, '{"type":"GetAllDevicesWithSpaceRequest","version":"v1","msgId":"msg-1700000000"}')
    assert (listed["type"], listed["code"], listed["message"]) == ("GetAllDevicesWithSpaceResponse", 0, None)
    assert listed["msgId"] == "msg-1700000000"
    assert [device["deviceId"] for device in listed["data"]] == ["hub.0", "living", "bedroom"]
    types = await curl(url, token, json.dumps(message("GetDeviceTypeInfosRequest")))
    assert {"deviceType": "Thermostat", "name": "Thermostat"} in types["data"]
    made = await curl(
        url, token, json.dumps(message("CreateSpaceRequest", {"name": "House", "spatialMarking": "home"}))
    )
    space = {"spaceId": made["data"], "name": "Home"}
    assert (await curl(url, token, json.dumps(message("UpdateSpaceRequest", space))))["data"] == ""
    placed = {"spaceId": made["data"], "deviceIds": ["living"]}
    assert (await curl(url, token, json.dumps(message("AssociateDevicesToSpaceRequest", placed))))["data"] == []
    spaces = await curl(url, token, json.dumps(message("GetSpacesRequest")))
    assert spaces["data"] == [
        {"spaceId": made["data"], "parentSpaceId": None, "name": "Home", "spatialMarking": "home", "children": []}
    ]
    item = {
        "deviceId": "living",
        "endpointId": 2,
        "functionCode": "HeaterCooler",
        "traitCode": "HeatingTemperature",
        "value": 21.3,
    }
    assert (await curl(url, token, json.dumps(message("ExecuteTraitRequest", [item]))))["data"] == []
    assert apis.home.thermostats.get("living").heat_setpoint_c == 21.3


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_examples_of_the_page_work_as_they_stand(apis: ApiRig, token: str) -> None:
    section = (ROOT / "docs" / "apis.md").read_text().partition("## Aqara Open API")[2].partition("\n## ")[0]
    commands = re.findall(r"^curl .*?'$", section, re.MULTILINE | re.DOTALL)
    variables = {**os.environ, "AQARA_ENDPOINT_URL": apis.url + PATH, "AQARA_OPEN_API_TOKEN": token}
    answers: dict[str, dict[str, Any]] = {}
    for command in commands:
        space = answers["CreateSpaceResponse"]["data"] if "SPACE" in command else ""
        process = await asyncio.create_subprocess_shell(
            command.replace("SPACE", space), env=variables, stdout=asyncio.subprocess.PIPE
        )
        answer = json.loads((await process.communicate())[0])
        assert answer["code"] == 0, answer
        answers[answer["type"]] = answer
    assert len(answers) == 7
    assert answers["ExecuteTraitResponse"]["data"] == []


async def test_client_that_follows_the_rules_controls_a_zone(apis: ApiRig, skill: SkillClient) -> None:
    def use() -> None:
        assert [each["name"] for each in skill.devices(type="thermostat")] == ["living", "bedroom"]
        assert skill.devices(type="Thermo") == []
        assert skill.refreshes == 1
        assert skill.set("living", "HeatingTemperature", 21.5) == []
        assert skill.set("living", "HeaterCoolerMode", "12") == []
        assert skill.trait("living", "OnOff")["value"] is False
        assert skill.set("living", "OnOff", True) == []
        assert skill.trait("living", "HeaterCoolerMode")["value"] == "1"
        assert skill.trait("living", "HeatingTemperature")["value"] == 21.5
        floor = skill.call("CreateSpaceRequest", {"name": "Upstairs", "spatialMarking": "floor"})
        room = skill.call("CreateSpaceRequest", {"name": "Bedroom", "parentSpaceId": floor})
        assert skill.call("AssociateDevicesToSpaceRequest", {"spaceId": room, "deviceIds": ["bedroom"]}) == []
        skill.refresh()
        (bedroom,) = skill.devices(room="bedroom")
        assert bedroom["space"] == {
            "spaceId": room,
            "name": "Bedroom",
            "parentSpaceId": floor,
            "spatialMarking": None,
        }
        ((child,),) = [node["children"] for node in skill.call("GetSpacesRequest")]
        assert child["name"] == "Bedroom"

    await asyncio.to_thread(use)
    assert apis.home.thermostats.get("living").mode is Mode.HEAT


async def test_stale_identifier_is_answered_so_that_a_client_refreshes(skill: SkillClient) -> None:
    def use() -> None:
        devices = skill.refresh()
        for device in devices:
            device["deviceId"] = device["deviceId"].replace("living", "gone")
        skill.cache.write_text(json.dumps(devices))
        assert skill.set("living", "HeatingTemperature", 22.0) == []

    await asyncio.to_thread(use)
    assert skill.refreshes == 3


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"type": "QueryAutomationCapabilitiesRequest"}, 1000, "GetSpacesRequest"),
        ({"type": "getspacesrequest"}, 1000, "is not known here"),
        ({"version": "v2"}, 1000, 'version "v1"'),
        ({"source": "app"}, 1000, "unknown field"),
        ({"msgId": 7}, 1000, "msgId"),
        ({"msgId": ""}, 1000, "msgId"),
        ({"data": {"room": "x"}}, 400, "leave data out"),
        ({"type": "ExecuteTraitRequest", "data": None}, 400, "array"),
        ({"type": "ExecuteTraitRequest", "data": []}, 400, "1 to 128"),
        ({"type": "ExecuteTraitRequest", "data": [{}] * 129}, 400, "1 to 128"),
        ({"type": "CreateSpaceRequest", "data": {"name": ""}}, 400, "name"),
        ({"type": "CreateSpaceRequest", "data": {"name": "A", "colour": 1}}, 400, "colour"),
        ({"type": "UpdateSpaceRequest", "data": {"spaceId": "gone", "name": "A"}}, 404, "read the spaces again"),
        (
            {"type": "AssociateDevicesToSpaceRequest", "data": {"spaceId": "gone", "deviceIds": ["living"]}},
            404,
            "space",
        ),
        ({"type": "AssociateDevicesToSpaceRequest", "data": {"spaceId": "s", "deviceIds": []}}, 400, "1 to 128"),
    ],
)
async def test_protocol_errors_have_status_200_and_a_code(
    apis: ApiRig, token: str, changes: dict[str, Any], code: int, text: str
) -> None:
    status, answer = await send(apis, token, message("GetSpacesRequest") | changes)
    assert (status, answer["code"], answer["type"]) == (200, code, "ErrorMessage")
    assert text in answer["message"]
    assert answer["msgId"] == ("msg-1" if "msgId" not in changes else "UNKNOWN")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"type": "\xff"}', b"[" * 9, b'{"a":' * 5000])
async def test_what_is_no_message_is_answered_as_such(apis: ApiRig, token: str, body: bytes) -> None:
    status, answer = await send(apis, token, body)
    assert (status, answer["code"], answer["msgId"]) == (200, 1000, "UNKNOWN")


async def test_missing_wrong_revoked_and_foreign_tokens_are_refused(apis: ApiRig, tmp_path: Path) -> None:
    made = await apis.client("aqara", "revoked")
    await apis.revoke(made)
    for token in ("", "aqara_wrong", made.secret):
        status, answer = await send(apis, token, message("GetSpacesRequest"))
        assert (status, answer["code"]) == (401, 401)
        assert not token or token not in json.dumps(answer)


ITEM = {"deviceId": "living", "endpointId": 2, "functionCode": "HeaterCooler", "traitCode": "HeatingTemperature"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deviceId": "attic"}, 2030),
        ({"endpointId": 3}, 404),
        ({"functionCode": "Output"}, 404),
        ({"traitCode": "SetBack"}, 404),
        ({"traitCode": "CurrentTemperature"}, 403),
        ({"traitCode": "AntiFreezeTemperature"}, 403),
        ({"deviceId": "hub.0", "endpointId": 0, "functionCode": "BasicInformation", "traitCode": "Reachable"}, 403),
        ({"value": 40}, 400),
        ({"value": "warm"}, 400),
        ({"value": None}, 400),
        ({"endpointId": "2"}, 400),
        ({"endpointId": 10**30}, 400),
        ({"value": 10**400}, 400),
        ({"traitCode": "HeaterCoolerMode", "value": 10**400}, 400),
        ({"traitCode": "HeaterCoolerMode", "value": "3"}, 400),
        ({"traitCode": "HeaterCoolerMode", "value": True}, 400),
        ({"colour": 1}, 400),
    ],
)
async def test_item_that_fails_is_named_with_its_reason(
    apis: ApiRig, token: str, changes: dict[str, Any], code: int
) -> None:
    before = apis.home.thermostats.get("living")
    item = {**ITEM, "value": 21, **changes}
    _, answer = await send(apis, token, message("ExecuteTraitRequest", [item]))
    assert (answer["code"], answer["type"], answer["msgId"]) == (code, "ExecuteTraitResponse", "msg-1")
    (failed,) = answer["data"]
    assert failed["code"] == code
    assert failed["message"]
    assert failed["deviceId"] == item["deviceId"]
    assert apis.home.thermostats.get("living").heat_setpoint_c == before.heat_setpoint_c


async def test_batch_in_which_one_item_works_is_a_success(apis: ApiRig, token: str) -> None:
    items = [{**ITEM, "value": 22}, {**ITEM, "value": 22, "deviceId": "attic"}, "no item"]
    _, answer = await send(apis, token, message("ExecuteTraitRequest", items))
    assert answer["code"] == 0
    assert [failed["deviceId"] for failed in answer["data"]] == ["attic", ""]
    assert apis.home.thermostats.get("living").heat_setpoint_c == 22


@pytest.mark.parametrize("value", [12, "12", 12.0])
async def test_enum_is_taken_as_text_or_number_and_answered_as_text(
    apis: ApiRig, token: str, skill: SkillClient, value: object
) -> None:
    item = {**ITEM, "traitCode": "HeaterCoolerMode", "value": value}
    assert (await send(apis, token, message("ExecuteTraitRequest", [item])))[1]["code"] == 0
    assert (await asyncio.to_thread(skill.trait, "living", "HeaterCoolerMode"))["value"] == "12"


@pytest.mark.parametrize("value", [False, "false", 0, "0"])
async def test_boolean_is_taken_in_every_form(apis: ApiRig, token: str, value: object) -> None:
    item = {**ITEM, "functionCode": "Output", "traitCode": "OnOff", "value": value}
    assert (await send(apis, token, message("ExecuteTraitRequest", [item])))[1]["code"] == 0
    assert apis.home.thermostats.get("living").mode is Mode.OFF


async def test_device_list_has_both_spellings_and_what_a_trait_can_be(apis: ApiRig, skill: SkillClient) -> None:
    hub, living, _ = await asyncio.to_thread(skill.refresh)
    for device in (hub, living):
        assert device["state"] is device["online"] is True
        assert device["name"] == device["deviceName"]
        codes = [
            trait["traitCode"]
            for endpoint in device["endpoints"]
            for function in endpoint["functions"]
            for trait in function["traits"]
        ]
        assert len(codes) == len(set(codes))
    assert hub["deviceTypesList"][0] == "Hub"
    assert living["deviceTypesList"] == ["Thermostat"]
    heating = skill.trait("living", "HeatingTemperature")
    assert heating["parameter"] == {
        "type": "Float",
        "readable": True,
        "writable": True,
        "subscribable": True,
        "min": 4.0,
        "max": 35.0,
        "step": 0.5,
        "unit": "℃",
    }
    mode = skill.trait("living", "HeaterCoolerMode")["parameter"]
    assert [(each["key"], each["value"]) for each in mode["supportedValues"]] == [
        ("Cool", "0"),
        ("Heat", "1"),
        ("Auto", "2"),
        ("Off", "12"),
    ]
    measured = skill.trait("living", "CurrentTemperature")
    shown_c = apis.home.thermostats.get("living").temperature_c
    assert measured["value"] == pytest.approx(shown_c, abs=0.2)


async def test_setpoint_of_a_zone_with_a_schedule_holds_until_the_next_block(apis: ApiRig, token: str) -> None:
    schedule = decode(
        b'{"do": "put_schedule", "schedule": {"name": "Week", "blocks": ['
        b'{"label": "Day", "start": "06:00", "end": "22:00", "heat_setpoint_c": 20, "cool_setpoint_c": 26},'
        b'{"label": "Night", "start": "22:00", "end": "06:00", "heat_setpoint_c": 17, "cool_setpoint_c": 28}]}}'
    )
    assert isinstance(schedule, PutScheduleRequest)
    apis.home.thermostats.apply("living", schedule, by="test")
    assert (await send(apis, token, message("ExecuteTraitRequest", [{**ITEM, "value": 23}])))[1]["data"] == []
    living = apis.home.thermostats.get("living")
    assert living.heat_setpoint_c == 23
    assert living.hold is not None
    assert living.hold.until == "next_block"


async def test_setpoint_that_eco_bounds_is_refused_and_changes_nothing(apis: ApiRig, token: str) -> None:
    apis.home.thermostats.apply("living", EcoRequest(is_enabled=True), by="test")
    before = apis.home.thermostats.get("living")
    _, answer = await send(apis, token, message("ExecuteTraitRequest", [{**ITEM, "value": 23}]))
    assert answer["code"] == 400
    assert "switch eco off" in answer["data"][0]["message"]
    assert apis.home.thermostats.get("living").holds == before.holds


async def test_setpoint_ends_a_boost(apis: ApiRig, token: str) -> None:
    apis.home.thermostats.apply("living", HoldRequest(kind=HoldKind.BOOST, heat_setpoint_c=25), by="test")
    assert (await send(apis, token, message("ExecuteTraitRequest", [{**ITEM, "value": 19}])))[1]["data"] == []
    assert apis.home.thermostats.get("living").heat_setpoint_c == 19


async def test_client_of_one_zone_sees_no_other(apis: ApiRig) -> None:
    token = (await apis.client("aqara", zones=("bedroom",))).secret
    full = (await apis.client("aqara", "full")).secret
    _, made = await send(apis, full, message("CreateSpaceRequest", {"name": "Living room"}))
    placed = {"spaceId": made["data"], "deviceIds": ["living"]}
    await send(apis, full, message("AssociateDevicesToSpaceRequest", placed))
    _, listed = await send(apis, token, message("GetAllDevicesWithSpaceRequest"))
    assert [device["deviceId"] for device in listed["data"]] == ["bedroom"]
    assert (await send(apis, token, message("GetSpacesRequest")))[1]["data"] == []
    _, answer = await send(apis, token, message("ExecuteTraitRequest", [{**ITEM, "value": 23}]))
    assert answer["code"] == 2030
    for kind, data in (("CreateSpaceRequest", {"name": "A"}), ("UpdateSpaceRequest", {"spaceId": "s", "name": "A"})):
        assert (await send(apis, token, message(kind, data)))[1]["code"] == 403


async def test_spaces_survive_a_restart_and_name_zones_where_the_owner_wants_it(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aqara") as apis:
        token = (await apis.client("aqara")).secret
        _, made = await send(apis, token, message("CreateSpaceRequest", {"name": "Salon"}))
        placed = {"spaceId": made["data"], "deviceIds": ["living", "bedroom"]}
        _, answer = await send(apis, token, message("AssociateDevicesToSpaceRequest", placed))
        assert answer["code"] == 0
    async with open_apis(tmp_path, "aqara", "aqara_names_follow_spaces") as apis:
        _, listed = await send(apis, token, message("GetAllDevicesWithSpaceRequest"))
        assert [device["name"] for device in listed["data"][1:]] == ["Salon (living)", "Salon (bedroom)"]


async def test_limit_is_answered_as_a_code_with_when_to_come_back(apis: ApiRig, token: str) -> None:
    apis.port.clock.stand_still()
    for _ in range(120):
        assert (await send(apis, token, message("GetSpacesRequest")))[1]["code"] == 0
    async with (
        apis.session({"Authorization": f"Bearer {token}"}) as client,
        client.post(PATH, json=message("GetSpacesRequest")) as response,
    ):
        assert (response.status, (await response.json())["code"]) == (200, 429)
        assert 0 < int(response.headers["Retry-After"]) <= 60


async def test_changes_of_spaces_have_a_limit_of_their_own(apis: ApiRig, token: str) -> None:
    apis.port.clock.stand_still()
    for _ in range(CHANGES.requests_max):
        assert (await send(apis, token, message("UpdateSpaceRequest", {"spaceId": "none"})))[1]["code"] != 429
    assert (await send(apis, token, message("CreateSpaceRequest", {"name": "one"})))[1]["code"] == 429
    assert (await send(apis, token, message("GetSpacesRequest")))[1]["code"] == 0


async def test_setting_traits_has_a_limit_of_its_own(apis: ApiRig, token: str) -> None:
    apis.port.clock.stand_still()
    command = message("ExecuteTraitRequest", [{"deviceId": "none", "endpointId": 1, "traitCode": "OnOff", "value": 1}])
    for _ in range(SETTINGS.requests_max):
        assert (await send(apis, token, command))[1]["code"] != 429
    status, answer, *_ = await send(apis, token, command)
    assert (status, answer["code"]) == (200, 429)
    assert (await send(apis, token, message("GetSpacesRequest")))[1]["code"] == 0


async def test_another_hub_reads_and_sets_this_one(apis: ApiRig, token: str, tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "AQARA_ENDPOINT_URL": apis.url + PATH,
        "AQARA_OPEN_API_TOKEN": token,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }

    async def climahub(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "aqara", *words, env=variables, cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    shown = await climahub("devices", "--type", "thermostat", "--name", "liv")
    assert shown.startswith("living  [Thermostat]  no space  online\n")
    assert await climahub("set", "living", "HeatingTemperature", "22.5") == "living: HeatingTemperature is 22.5 ℃\n"
    assert await climahub("set", "living", "HeaterCoolerMode", "off") == "living: HeaterCoolerMode is 12\n"
    living = apis.home.thermostats.get("living")
    assert (living.heat_setpoint_c, living.mode) == (22.5, Mode.OFF)
    assert await climahub("spaces") == "the endpoint has no space\n"


async def test_unknown_token_is_told_to_a_client(apis: ApiRig, tmp_path: Path) -> None:
    with pytest.raises(SkillError) as refused:
        await asyncio.to_thread(SkillClient(apis.url + PATH, "aqara_x", tmp_path / "d.json").refresh)
    assert refused.value.code == 401


async def test_the_audit_trail_names_devices_and_spaces_that_there_are(apis: ApiRig, token: str) -> None:
    invented = ITEM | {"deviceId": "invented", "value": 20}
    await send(apis, token, message("ExecuteTraitRequest", [ITEM | {"value": 22.5}, invented]))
    _, made = await send(apis, token, message("CreateSpaceRequest", {"name": "Salon"}))
    placed = {"spaceId": made["data"], "deviceIds": ["living", "bedroom", "invented"]}
    await send(apis, token, message("AssociateDevicesToSpaceRequest", placed))
    entries = await apis.port.hub.port.audit.entries(entries_max=10)
    found = {each.entry.action: each.entry.target for each in entries}
    assert found["ExecuteTraitRequest"] == f"{PATH} living"
    assert found["AssociateDevicesToSpaceRequest"] == f"{PATH} {made['data']}, living, bedroom"


async def test_names_follow_spaces_in_all_of_the_home(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aqara", "names_follow_spaces") as apis:
        token = (await apis.client("aqara")).secret
        _, made = await send(apis, token, message("CreateSpaceRequest", {"name": "Salon"}))
        placed = {"spaceId": made["data"], "deviceIds": ["living"]}
        await send(apis, token, message("AssociateDevicesToSpaceRequest", placed))
        _, listed = await send(apis, token, message("GetAllDevicesWithSpaceRequest"))
        assert [device["name"] for device in listed["data"][1:]] == ["Salon", "bedroom"]
        assert apis.home.thermostats.get("living").name == "Salon"
