"""The hub against the contracts of its APIs, as anybody would check it: every line is kept, assumed ones too."""

from pathlib import Path

import pytest

from agent.apis.catalog import APIS
from agent.climate.model import Mode
from agent.climate.requests import EcoRequest, SetRequest
from agent.home.actions import ActionState
from lab.cli.api_check import CONTRACTS
from lab.conformance.lines import Outcome, as_text
from lab.conformance.runner import check_server
from lab.conformance.server import Access
from tests.integration.api_rig import ApiRig, MadeClient, open_apis

DEVICES = {"aurra_home": "living"}
"""Where the API cannot list its devices."""


def test_there_is_a_contract_for_each_api() -> None:
    assert set(CONTRACTS) == set(APIS)


@pytest.mark.parametrize("name", CONTRACTS)
async def test_the_hub_keeps_every_line(tmp_path: Path, name: str) -> None:
    async with open_apis(tmp_path, name) as apis:
        made = await apis.client(name)
        access = Access(made.secret, client_id=made.client_id, device=DEVICES.get(name, ""), may_change=True)
        contract = CONTRACTS[name]
        results = await check_server(contract, apis.url + APIS[name].prefix, access)
    assert {each.outcome for each in results} == {Outcome.KEPT}, as_text(contract, results)


async def check(apis: ApiRig, made: MadeClient, name: str) -> list[str]:
    """Check a hub with changes, and return what stays on it."""
    access = Access(made.secret, client_id=made.client_id, device=DEVICES.get(name, ""), may_change=True)
    left: list[str] = []
    await check_server(CONTRACTS[name], apis.url + APIS[name].prefix, access, on_left=left.append)
    return left


async def test_what_the_api_can_take_back_is_taken_back_and_the_rest_is_listed(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aurra_home", "amps") as apis:
        thermostats = apis.home.thermostats
        thermostats.apply("living", SetRequest(mode=Mode.AUTO), by="page")
        thermostats.apply("living", EcoRequest(is_enabled=True), by="page")
        left = await check(apis, await apis.client("aurra_home"), "aurra_home")
        after = thermostats.get("living")
        assert (after.mode, after.eco.is_enabled) == (Mode.AUTO, True)
        assert len(left) == 4
        assert "the schedule Conformance, which the device follows now: choose its own again" in left
        assert await check(apis, await apis.client("amps"), "amps") == []
        action = apis.home.actions.latest("living")
        assert action is not None
        assert action.state is ActionState.CANCELLED


async def test_a_second_check_of_spaces_and_facts_leaves_nothing_more(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aqara", "aurra_facts") as apis:
        made = await apis.client("aqara")
        assert len(await check(apis, made, "aqara")) == 2
        assert await check(apis, made, "aqara") == []
        made = await apis.client("aurra_facts")
        assert await check(apis, made, "aurra_facts") == []
        headers = {"Authorization": f"Bearer {made.secret}"}
        later = "/aurra/agent/memories?as_of=2100-01-01T00:00:00Z"
        async with apis.session(headers) as client, client.get(later) as response:
            memories = (await response.json())["memories"]
    assert not [each for each in memories if "conformance" in each["content"].lower()]
