"""What a client of the Aqara Open API sees and sets, and that any data at all is answered."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.apis.aqara.face import AqaraFace
from agent.apis.aqara.view import HomeView, PowerMemory
from agent.apis.aqara.wire import REQUEST_TYPES, CommandItem, FailedItem
from agent.apis.assembly import ApiParts
from agent.apis.face import ApiClient, ApiProblem, ApiRequest, ProblemKind
from agent.climate.model import Mode
from agent.climate.requests import ClimateRequest, SetRequest
from agent.home.spaces import SpaceTree
from agent.local.routes import Caller, Role
from hal.interface import SensorKind
from tests.unit.home.home_bench import NOON_MS, HomeBench

ATTIC, CELLAR = "0x00158d0000000001", "0x00158d0000000002"


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    made = HomeBench(tmp_path, living_sensor="attic")
    for device, name in ((ATTIC, "attic"), (CELLAR, "cellar")):
        made.pairing.pair(device, name)
        made.report(SensorKind.TEMPERATURE, 19.0, device)
    return made


def client(*zones: str) -> ApiClient:
    return ApiClient("acc_1", "test", "aqara", (), "", zones)


def view(bench: HomeBench, *zones: str, power: PowerMemory | None = None) -> HomeView:
    return HomeView(
        bench.home,
        SpaceTree(),
        client(*zones),
        frost_c=6.0,
        names_follow_spaces=False,
        power=power or PowerMemory(),
        utc_ms=lambda: NOON_MS,
    )


def item(code: str, value: object, zone: str = "living") -> CommandItem:
    return CommandItem(zone, 2, "Output" if code == "OnOff" else "HeaterCooler", code, value)


def test_client_of_a_zone_sees_the_sensors_of_that_zone_only(bench: HomeBench) -> None:
    assert set(view(bench).device_ids) == {"hub.0", "living", "bath", ATTIC, CELLAR}
    assert set(view(bench, "living").device_ids) == {"living", ATTIC}
    assert set(view(bench, "bath").device_ids) == {"bath"}


def test_trait_that_does_not_take_its_value_has_failed(bench: HomeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def ignore(zone_id: str, requests: Sequence[ClimateRequest], *, by: str) -> Sequence[str]:
        return (zone_id,)

    monkeypatch.setattr(bench.home.thermostats, "apply_all", ignore)
    failed = view(bench).execute(item("HeatingTemperature", 23), "person")
    assert isinstance(failed, FailedItem)
    assert "is 20.0, something else holds it" in failed.message


def test_power_restores_the_mode_before_it(bench: HomeBench) -> None:
    power = PowerMemory()
    bench.home.thermostats.apply("living", SetRequest(mode=Mode.AUTO), by="person")
    assert view(bench, power=power).execute(item("OnOff", False), "person") is None
    assert bench.home.thermostats.get("living").mode is Mode.OFF
    assert view(bench, power=power).execute(item("OnOff", True), "person") is None
    assert bench.home.thermostats.get("living").mode is Mode.AUTO


def test_change_is_told_with_who_made_it(bench: HomeBench) -> None:
    bench.listen()
    view(bench).execute(item("HeatingTemperature", 23), "api:aqara/kitchen")
    assert {each.by for each in bench.heard} == {"api:aqara/kitchen"}


def face(bench: HomeBench) -> AqaraFace:
    parts = SimpleNamespace(
        home=bench.home,
        config=SimpleNamespace(
            climate=SimpleNamespace(frost_c=6.0), apis=SimpleNamespace(aqara_names_follow_spaces=False)
        ),
        clients=SimpleNamespace(find=lambda api, secret: client() if (api, secret) == ("aqara", "right") else None),
        clock=bench.clock,
    )
    return AqaraFace(cast("ApiParts", parts), bench.home.spaces)


def answer(made: AqaraFace, message: object) -> dict[str, Any]:
    body = json.dumps(message).encode()
    request = ApiRequest({}, {}, {}, body, client(), Caller("api:aqara/test", Role.SERVICE, ""), lambda *_: None)
    found = asyncio.run(made.answer_message(request))
    assert found.status == 200
    return {"code": found.document.code, "action": found.action} if hasattr(found.document, "code") else {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["deviceId", "endpointId", "functionCode", "traitCode", "value", "name", "spaceId", "deviceIds"]
            ),
            inner | st.sampled_from(["living", "HeaterCooler", "HeatingTemperature", "space-1", 2, 21]),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(kind=st.sampled_from(REQUEST_TYPES), data=JSON)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_data_is_answered_with_a_code(bench: HomeBench, kind: str, data: object) -> None:
    found = answer(face(bench), {"type": kind, "version": "v1", "msgId": "m", "data": data})
    assert found["code"] in {0, 400, 403, 404, 1000, 2030}
    assert found["action"] in {"", kind}


@pytest.mark.parametrize("header", ["", "right", "Bearer", "Bearer wrong", "Basic right"])
async def test_only_a_bearer_token_of_this_api_is_taken(bench: HomeBench, header: str) -> None:
    with pytest.raises(Exception, match="refused with 401"):
        await face(bench).authenticate({"Authorization": header})
    assert (await face(bench).authenticate({"Authorization": "bearer right"})).name == "test"


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_every_problem_is_a_message_of_the_api(bench: HomeBench, kind: ProblemKind) -> None:
    found = face(bench).refuse(ApiProblem(kind, cast("Any", 418), "what to do", 7))
    document = msgspec.to_builtins(found.document)
    assert document["type"] == "ErrorMessage"
    assert document["code"] != 0
    assert document["message"] == "what to do"
    assert found.headers["Retry-After"] == "7"
