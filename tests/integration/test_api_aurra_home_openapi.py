"""AURRA Home against its own OpenAPI document, by schemathesis: no 500, no undocumented status, no other answer."""

# ruff: noqa: ANN401 (JSON, and the cases of schemathesis)

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from agent.apis.aurra_home import face
from agent.apis.face import Limit
from agent.port.http import api_mount
from tests.integration.api_rig import open_apis
from tests.integration.test_api_aurra_home import signed_in

EXAMPLES = 25
"""Of each call, and of each of right and wrong requests."""

FEW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "TIERS", {"standard": Limit("standard", 10**9)})
    monkeypatch.setattr(face, "DIAGNOSTICS", Limit("diagnostics", 10**9))
    monkeypatch.setattr(api_mount, "OPEN_LIMIT", Limit("open", 10**9))


def check_all(document: dict[str, Any], url: str, headers: dict[str, str]) -> set[tuple[str, int]]:
    """Ask for every call with right and with wrong requests, and return which statuses came."""
    found: set[tuple[str, int]] = set()

    def check(case: Any) -> None:
        for values in (case.path_parameters, case.body):
            if isinstance(values, dict) and isinstance(values.get("device_id"), str):
                values["device_id"] = "living"
        response = case.call(base_url=url, headers=headers)
        status = response.status_code
        described = case.operation.definition.raw["responses"]
        assert str(status) in described or f"{status // 100}XX" in described, (case.operation.label, status)
        case.validate_response(response, checks=[response_schema_conformance, content_type_conformance])
        found.add((case.operation.definition.raw["operationId"], status))

    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # A call without parameters and body has no wrong request.
            with contextlib.suppress(Unsatisfiable):
                FEW(given(case=operation.as_strategy(generation_mode=mode))(check))()
    return found


@pytest.mark.slow
async def test_every_answer_is_described(tmp_path: Path) -> None:
    async with open_apis(tmp_path, "aurra_home") as apis:
        aurra = await signed_in(apis)
        document = (await aurra.ask("GET", "/openapi.json"))[1]
        url = f"{apis.url}/aurra-home/v1"
        found = await asyncio.to_thread(check_all, document, url, aurra.headers)
        assert {name for name, _ in found} == set(document_operations(document))
        # Both sides were reached.
        assert {200, 400} <= {status for name, status in found if name == "set_setpoint"}
        assert {201, 400} <= {status for name, status in found if name == "create_alert"}


def document_operations(document: dict[str, Any]) -> list[str]:
    return [each["operationId"] for path in document["paths"].values() for each in path.values()]
