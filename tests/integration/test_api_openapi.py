"""Each API against its own OpenAPI document, by schemathesis: no 500, no undocumented status, no other answer."""

# ruff: noqa: ANN401 (JSON, and the cases of schemathesis)

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from agent.apis.catalog import APIS
from agent.apis.face import Limit, LimitUse
from agent.apis.rate_limit import RateLimits
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.test_api_aurra_home import SCHEDULE, signed_in

FEW = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)

REQUESTS = 80
"""Of an API, shared by its calls, and of each of right and wrong requests: some ten seconds."""

HEAT = {"command": "heat", "parameters": {"target": {"value": 21, "unit": "celsius"}}}
NOON = "2026-04-22T12:00:00Z"
ENERGY = {"runtime_mins": 42, "voltage": 238.5, "current_amps": 12.3}
LIVING = {"device_id": "living"}
ALERT = {"issue": "bearing wear", "confidence": 0.87, "action": "replace the fan", "priority": "high", **LIVING}
TRAIT = {"endpointId": 2, "functionCode": "HeaterCooler", "traitCode": "HeatingTemperature", "value": 21.5}


def message(name: str, data: object = None) -> object:
    return {"type": f"{name}Request", "version": "v1", "msgId": "1", "data": data}


def examples_of(known: Mapping[str, Any]) -> Mapping[str, list[tuple[str, Any, str]]]:
    """Return, of each API, calls with their body and what must come: what chance does not hit often enough."""
    space = {"spaceId": known.get("spaceId")}
    aqara_messages = {
        "GetAllDevicesWithSpace": None,
        "GetDeviceTypeInfos": None,
        "GetSpaces": None,
        "ExecuteTrait": [{"deviceId": "living", **TRAIT}, {"deviceId": "none", **TRAIT}],
        "CreateSpace": {"name": "Hall"},
        "UpdateSpace": {**space, "name": "Salon"},
        "AssociateDevicesToSpace": {**space, "deviceIds": ["living"]},
    }
    return {
        "aurra_home": [
            ("set_setpoint", {"temperature": 70, "mode": "heat"}, "200"),
            ("set_setpoint", {"temperature": 700, "mode": "heat"}, "400"),
            ("give_token", {"client_id": "acc_x", "client_secret": "x", "grant_type": "client_credentials"}, "401"),
            ("get_keys", None, "200"),
            ("get_status", None, "200"),
            ("put_schedule", SCHEDULE, "201"),
            ("sync_schedule", None, "200"),
            ("set_eco", {"enabled": True, "heat_limit": 62, "cool_limit": 78}, "200"),
            ("add_vibration", {**LIVING, "timestamp": NOON, "amplitude": 0.42, "frequency": 58.7}, "201"),
            ("add_energy", {**LIVING, "period_start": NOON, **ENERGY}, "201"),
            ("get_prediction", None, "200"),
            ("create_alert", ALERT, "201"),
            ("optimize", {**LIVING, "mode": "balanced", "apply_immediate": False}, "200"),
            ("link_voice", {**LIVING, "platform": "Alexa", "user_token": "x"}, "200"),
        ],
        "amps": [
            ("list_devices", None, "200"),
            ("get_device", None, "200"),
            ("push", {"action": {**HEAT, "start": "2h", "end": "3h"}}, "202"),
            ("push", {"action": HEAT}, "409"),
            ("push", {"action": {"command": "heat"}}, "400"),
            ("push", {"action": {"command": "defrost"}}, "422"),
            ("list_actions", {"limit": 1}, "200"),
            ("list_actions", {"limit": "many"}, "400"),
            ("get_action", None, "200"),
            ("cancel_action", None, "200"),
        ],
        "aqara": [
            *(("answer_message", message(*each), f"200 {each[0]}Response 0") for each in aqara_messages.items()),
            (
                "answer_message",
                message("ExecuteTrait", [{"deviceId": "none", **TRAIT}]),
                "200 ExecuteTraitResponse 2030",
            ),
            ("answer_message", message("CreateSpace", {"name": ""}), "200 ErrorMessage 400"),
            ("answer_message", message("CreateAutomation"), "200 ErrorMessage 1000"),
            ("answer_message", {"type": "GetSpacesRequest", "msgId": ""}, "200 ErrorMessage 1000"),
        ],
        "aurra_facts": [
            ("add_memory", {"content": "The filter is clean", "auto_supersede": True}, "200"),
            ("list_memories", {"limit": 2, "include_superseded": True}, "200"),
            ("list_memories", {"limit": "many"}, "422"),
            ("show_settings", None, "200"),
            ("show_plan", None, "200"),
            ("answer_question", {"question": "The filter?", "include_proof_tree": True}, "200"),
            ("supersede_memory", {"valid_to": "2037-01-01T00:00:00Z"}, "200"),
            ("show_timeline", None, "200"),
            ("show_audit", None, "200"),
            ("change_settings", {"min_confidence": 0.9}, "200"),
            ("change_settings", {"min_confidence": "much"}, "422"),
        ],
    }


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(_: RateLimits, __: str, limits: list[Limit]) -> tuple[list[LimitUse], None]:
        return [LimitUse(each, 1, 60) for each in limits], None

    monkeypatch.setattr(RateLimits, "count", count)


def name_known(values: Any, known: Mapping[str, Any]) -> None:
    """Put what the home has in place of what is made up, at any depth."""
    if isinstance(values, dict):
        for name, value in values.items():
            if name in known and value is not None:
                values[name] = known[name]
            else:
                name_known(value, known)
    elif isinstance(values, list):
        for each in values:
            name_known(each, known)


def outcome_of(response: Any) -> str:
    """Return what came: the status and, of Aqara, the code in the message."""
    document = response.json()
    if isinstance(document, dict) and "msgId" in document:
        assert document["code"] != 500, document
        return f"{response.status_code} {document['type']} {document['code']}"
    return str(response.status_code)


def check_all(name: str, document: Any, url: str, headers: Mapping[str, str], known: Mapping[str, Any]) -> set[str]:
    """Ask for every call with right and with wrong requests, and return which were."""

    def check(case: Any) -> str:
        response = case.call(base_url=url, headers=headers)
        status = response.status_code
        described = case.operation.definition.raw["responses"]
        assert str(status) in described or f"{status // 100}XX" in described, (case.operation.label, status)
        case.validate_response(response, checks=[response_schema_conformance, content_type_conformance])
        asked.add(case.operation.definition.raw["operationId"])
        return outcome_of(response)

    def check_any(case: Any, *, has_known: bool) -> None:
        if has_known:
            name_known(case.path_parameters, known)
            name_known(case.body, known)
        check(case)

    asked: set[str] = set()
    operations = {}
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        operations[operation.definition.raw["operationId"]] = operation
    examples = examples_of(known)[name]
    assert operations.keys() == {"get_document", *(called for called, _, _ in examples)}
    for called, body, outcome in examples:
        operation = operations[called]
        places = {each.name: known[each.name] for each in operation.path_parameters}
        sent = {"query": body} if operation.method == "get" else {"body": body, "media_type": "application/json"}
        sent = {} if body is None else sent
        assert check(operation.Case(path_parameters=places, **sent)) == outcome, (called, body)
    few = settings(FEW, max_examples=REQUESTS // len(operations))
    for operation in operations.values():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # A call without parameters and body has no wrong request.
            with contextlib.suppress(Unsatisfiable):
                few(given(case=operation.as_strategy(generation_mode=mode), has_known=st.booleans())(check_any))()
    return asked


async def aurra_home(apis: ApiRig) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    return (await signed_in(apis)).headers, {"device_id": "living"}


async def made(apis: ApiRig, name: str, path: str, body: object) -> tuple[Mapping[str, str], Any]:
    """Return the headers of a new client, and what it is answered."""
    headers = {"Authorization": f"Bearer {(await apis.client(name)).secret}"}
    async with apis.session(headers) as client, client.post(f"{APIS[name].prefix}{path}", json=body) as response:
        return headers, await response.json()


async def amps(apis: ApiRig) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    action = {"command": "idle", "start": "10h"}
    headers, answer = await made(apis, "amps", "/hvac/bedroom", {"action": action})
    return headers, {"device_id": "living", "action_id": answer["data"]["id"], "start": "2h", "end": "3h"}


async def aqara(apis: ApiRig) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    headers, answer = await made(apis, "aqara", "", message("CreateSpace", {"name": "Room"}))
    return headers, {"deviceId": "living", "deviceIds": ["living"], "spaceId": answer["data"], "name": "Room"}


async def aurra_facts(apis: ApiRig) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    headers, answer = await made(apis, "aurra_facts", "/agent/memories", {"content": "The filter was changed"})
    return headers, {"memory_id": answer["memory_id"], "valid_to": "2030-01-01T00:00:00Z"}


PREPARED: Mapping[str, Callable[[ApiRig], Any]] = {
    each.__name__: each for each in (aurra_home, amps, aqara, aurra_facts)
}
"""Returns the headers of a client and what the home has by then."""


async def document_of(apis: ApiRig, name: str) -> Any:
    async with apis.session() as client, client.get(f"{APIS[name].prefix}/openapi.json") as response:
        assert response.status == 200
        return await response.json()


def operations_of(document: Any) -> list[str]:
    return [each["operationId"] for path in document["paths"].values() for each in path.values()]


async def test_each_document_keeps_the_rules_and_has_every_call(tmp_path: Path) -> None:
    async with open_apis(tmp_path) as apis:
        service = apis.port.hub.port.apis
        assert service is not None
        for face in service.faces:
            document = await document_of(apis, face.name)
            OPENAPI_31_VALIDATOR.validate(document)
            assert document["servers"] == [{"url": face.prefix}]
            described = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
            assert described == {(each.method, each.path) for each in face.routes if each.path}
            assert len(set(operations_of(document))) == len(described)


async def test_the_seven_messages_of_aqara_are_told_apart_by_their_type(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aqara") as apis:
        document = await document_of(apis, "aqara")
    body = document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["discriminator"]["propertyName"] == "type"
    assert len(body["oneOf"]) == len(body["discriminator"]["mapping"]) == 7


@pytest.mark.slow
@pytest.mark.parametrize("name", APIS)
async def test_every_answer_is_described(tmp_path: Path, name: str) -> None:
    async with open_apis(tmp_path, name) as apis:
        headers, known = await PREPARED[name](apis)
        document = await document_of(apis, name)
        asked = await asyncio.to_thread(check_all, name, document, apis.url + APIS[name].prefix, headers, known)
    assert asked == set(operations_of(document))
