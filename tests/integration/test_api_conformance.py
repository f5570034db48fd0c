"""The hub against the contracts of its APIs, as anybody would check it: every line is kept, assumed ones too."""

from pathlib import Path

import pytest

from agent.apis.catalog import APIS
from lab.cli.api_check import CONTRACTS
from lab.conformance.lines import Outcome, as_text
from lab.conformance.runner import check_server
from lab.conformance.server import Access
from tests.integration.api_rig import open_apis

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
