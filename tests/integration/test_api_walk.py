"""Every call of every API, without a credential and with every wrong one: deny by default.

The expectation is written down here once more and not taken from the code that decides.
"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent import apis as apis_package
from agent.apis.catalog import APIS
from agent.apis.face import ApiRoute, Face
from agent.local.routes import Role
from tests.integration.api_rig import ApiRig, MadeClient, open_apis
from tests.integration.conftest import WAIT_S

OPEN = {
    ("aurra_home", "POST", "/auth/token"),
    ("aurra_home", "GET", "/auth/jwks.json"),
    *((name, "GET", "/openapi.json") for name in APIS),
}
"""What anybody may ask."""

BUILT = [name for name in APIS if (Path(apis_package.__file__).parent / name / "face.py").exists()]


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, *BUILT) as found:
        service = found.port.hub.port.apis
        assert service is not None
        # So many wrong credentials are limited: tests/unit/port/http/test_api_mount.py.
        service.limits.count_source = lambda *_: None  # type: ignore[method-assign]
        yield found


def faces(apis: ApiRig) -> list[Face]:
    service = apis.port.hub.port.apis
    assert service is not None
    return list(service.faces)


def attempts(secret: str) -> Iterator[dict[str, str]]:
    """Yield every way in which a client may show a secret."""
    yield {"Authorization": f"Bearer {secret}"}
    yield {"Authorization": "Basic " + base64.b64encode(f"acc_x:{secret}".encode()).decode()}
    yield {"Authorization": secret}
    yield {"x-api-key": secret}


async def status_of(apis: ApiRig, face: Face, route: ApiRoute, headers: Mapping[str, str]) -> int:
    path = face.prefix + re.sub(r"{\w+}", "living", route.path)
    async with apis.session(headers) as client, client.request(route.method, path, json={}) as response:
        assert response.content_type == "application/json"
        await response.json()
        return response.status


async def own_headers(apis: ApiRig, api: str, made: MadeClient) -> dict[str, str]:
    if api != "aurra_home":
        return {"Authorization": f"Bearer {made.secret}"}
    body = {"client_id": made.client_id, "client_secret": made.secret, "grant_type": "client_credentials"}
    async with asyncio.timeout(WAIT_S), apis.session() as client:
        while True:
            async with client.post("/aurra-home/v1/auth/token", json=body) as response:
                if response.status != 503:
                    return {"Authorization": f"Bearer {(await response.json())['access_token']}"}
            await asyncio.sleep(0.02)


async def test_nobody_gets_in_without_a_credential_or_with_that_of_another_api(apis: ApiRig) -> None:
    made = {name: await apis.client(name) for name in BUILT}
    own = {name: await own_headers(apis, name, made[name]) for name in BUILT}
    wrong = []
    for face in faces(apis):
        foreign = [{}, {"Authorization": "Bearer climahub_x"}, {"x-api-key": "climahub_x"}]
        for name in BUILT:
            if name != face.name:
                foreign += [*attempts(made[name].secret), own[name]]
        for route in face.routes:
            if (face.name, route.method, route.path) in OPEN:
                continue
            for headers in foreign:
                status = await status_of(apis, face, route, headers)
                if status != 401:
                    wrong.append((face.name, route.method, route.path, status))
    assert wrong == []


async def test_a_revoked_client_is_nobody_at_once(apis: ApiRig) -> None:
    for face in faces(apis):
        made = await apis.client(face.name)
        headers = await own_headers(apis, face.name, made)
        routes = [route for route in face.routes if (face.name, route.method, route.path) not in OPEN]
        assert await status_of(apis, face, routes[0], headers) != 401
        await apis.revoke(made)
        for route in routes:
            assert await status_of(apis, face, route, headers) == 401, (face.name, route.path)


async def test_what_is_open_is_written_down_here(apis: ApiRig) -> None:
    found = {(face.name, route.method, route.path) for face in faces(apis) for route in face.routes if route.is_open}
    assert found == {each for each in OPEN if each[0] in BUILT}


async def test_the_port_takes_no_credential_of_an_api_and_an_api_none_of_the_port(apis: ApiRig) -> None:
    for face in faces(apis):
        made = await apis.client(face.name)
        for headers in [*attempts(made.secret), await own_headers(apis, face.name, made)]:
            async with apis.session(headers) as client, client.get("/v1/status") as response:
                assert response.status == 401
    async with (
        apis.port.socket_session() as client,
        client.post("/v1/tokens", json={"name": "x", "role": "owner"}) as response,
    ):
        token = (await response.json())["token"]
    for face in faces(apis):
        route = next(each for each in face.routes if (face.name, each.method, each.path) not in OPEN)
        assert await status_of(apis, face, route, {"Authorization": f"Bearer {token}"}) == 401


async def test_a_technician_sees_when_each_client_asked_last(apis: ApiRig) -> None:
    async with apis.port.session(Role.SERVICE) as client:
        for face in faces(apis):
            made = await apis.client(face.name)
            found = [await client_report(client, made)]
            headers = await own_headers(apis, face.name, made)
            route = next(each for each in face.routes if (face.name, each.method, each.path) not in OPEN)
            await status_of(apis, face, route, headers)
            found += [await client_report(client, made)]
            assert found[0]["idle_s"] is None
            assert found[1]["idle_s"] >= 0
            assert made.secret not in str(found)


async def client_report(client: aiohttp.ClientSession, made: MadeClient) -> dict[str, Any]:
    async with client.get("/v1/api-clients") as response:
        (found,) = (each for each in (await response.json())["clients"] if each["client_id"] == made.client_id)
        return dict(found)


async def test_only_an_owner_makes_clients_and_a_secret_is_shown_once(apis: ApiRig) -> None:
    body = {"api": BUILT[0], "name": "new", "zones": ["living"], "days": 30}
    async with apis.port.socket_session() as client:
        # A token may not make a credential that outlives it.
        async with apis.port.session(Role.OWNER) as scripted, scripted.post("/v1/api-clients", json=body) as response:
            assert response.status == 403
        async with client.post("/v1/api-clients", json=body) as response:
            made = await response.json()
            assert (response.status, made["client"]["zones"]) == (200, ["living"])
        async with client.get("/v1/api-clients") as response:
            text = await response.text()
            assert made["client"]["client_id"] in text
            assert made["secret"] not in text
        async with client.post("/v1/api-clients", json=body) as response:
            assert response.status == 400
        async with client.delete(f"/v1/api-clients/{made['client']['client_id']}") as response:
            assert response.status == 200
        async with client.delete("/v1/api-clients/acc_unknown") as response:
            assert response.status == 404
    for path in (apis.port.directory / "state").iterdir():
        assert made["secret"].encode() not in path.read_bytes(), path.name
