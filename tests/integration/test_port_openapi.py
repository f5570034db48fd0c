"""The OpenAPI document of a running hub, and what its handlers really answer, held against it."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from agent.local.routes import ROUTES, Role
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port

STREAMS = {"/v1/events"}


def answer_schema(document: dict[str, Any], path: str, status: int) -> dict[str, Any]:
    """Return the schema of an answer, with the components that it refers to."""
    responses = document["paths"][path]["get"]["responses"]
    described = responses.get(str(status)) or document["components"]["responses"]["problem"]
    (content,) = described["content"].values()
    return {"components": document["components"], **content["schema"]}


async def filled(port: PortRig) -> None:
    """Wait until the documents have something in each list."""
    await until(lambda: port.hub.status().sensors)
    await until(lambda: port.hub.reports.climate().zones[0].room_c is not None)
    port.hub.faults.add("test", "a fault")


async def test_every_answer_of_a_hub_is_as_described(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session(Role.OWNER) as client:
        await filled(port)
        async with client.get("/v1/openapi.json") as response:
            document = await response.json()
        described = set(document["paths"])
        assert {"/v1/status", "/v1/climate", "/v1/zigbee", "/metrics", "/healthz"} <= described
        assert described <= {route.path for route in ROUTES}
        asked = 0
        for path, operations in document["paths"].items():
            if "get" not in operations or "{" in path or path in STREAMS:
                continue
            async with client.get(path) as response:
                if response.content_type in {"application/json", "application/problem+json"}:
                    validator = jsonschema_rs.validator_for(answer_schema(document, path, response.status))
                    problems = [
                        f"{path}{each.instance_path}: {each.message}"
                        for each in validator.iter_errors(await response.json())
                    ]
                    assert problems == []
                    asked += 1
                assert response.status < 500 or path in {"/readyz", "/v1/zigbee/backup"}, path
        assert asked >= 8


async def test_a_document_with_one_field_more_or_less_is_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    async with open_port(tmp_path) as port, port.session(Role.OWNER) as client:
        async with client.get("/v1/openapi.json") as response:
            document = await response.json()
        async with client.get("/v1/status") as response:
            status = await response.json()
    validator = jsonschema_rs.validator_for(answer_schema(document, "/v1/status", 200))
    assert validator.is_valid(status)
    del status["link"]["state"]
    assert not validator.is_valid(status)


@pytest.mark.parametrize("role", [None, Role.VIEWER])
async def test_the_description_is_for_those_who_have_signed_in(tmp_path: Path, role: Role | None) -> None:
    async with (
        open_port(tmp_path) as port,
        port.session(role) as client,
        client.get("/v1/openapi.json") as response,
    ):
        assert response.status == (401 if role is None else 200)
