"""Foreign clients against a hub's AURRA Home API: what its pages publish, with another base URL."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from agent.home.temperatures import to_fahrenheit
from tests.integration.api_rig import ApiRig, MadeClient, open_apis
from tests.integration.conftest import WAIT_S, until

requests = pytest.importorskip("requests")

ROOT = Path(__file__).parents[2]
SNIPPET = Path(__file__).parent / "clients" / "aurra_home.mjs"
DEVICE = "aurra_001"


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "aurra_home") as found:
        await until(lambda: found.home.thermostats.get("living").temperature_c is not None)
        # The first key takes a moment.
        async with asyncio.timeout(WAIT_S), found.session() as client:
            while True:
                async with client.get("/aurra-home/v1/auth/jwks.json") as response:
                    if (await response.json())["keys"]:
                        break
                await asyncio.sleep(0.02)
        yield found


@pytest.fixture
async def made(apis: ApiRig) -> MadeClient:
    return await apis.client("aurra_home")


class Snippet:
    """The published Python snippet: requests, JSON, no library of its own."""

    def __init__(self, base: str, made: MadeClient) -> None:
        self.base = base
        body = {"client_id": made.client_id, "client_secret": made.secret, "grant_type": "client_credentials"}
        response = requests.post(f"{base}/auth/token", json=body, timeout=WAIT_S)
        response.raise_for_status()
        self.headers = {"Authorization": f"Bearer {response.json()['access_token']}"}

    def get(self, path: str) -> dict[str, Any]:
        response = requests.get(f"{self.base}{path}", headers=self.headers, timeout=WAIT_S)
        response.raise_for_status()
        return response.json()

    def post(self, path: str, body: object = None) -> dict[str, Any]:
        response = requests.post(f"{self.base}{path}", headers=self.headers, json=body, timeout=WAIT_S)
        response.raise_for_status()
        return response.json()


def use(base: str, made: MadeClient) -> dict[str, Any]:
    client = Snippet(base, made)
    zone = f"/thermostat/{DEVICE}"
    block = {"label": "Night", "start": "22:00", "end": "04:00", "heat": 62, "cool": 80, "days": ["mon", "sun"]}
    reading = {"device_id": DEVICE, "timestamp": "2025-04-22T14:33:10Z", "amplitude": 0.5, "frequency": 60.0}
    energy = {"runtime_mins": 10, "voltage": 240.0, "current_amps": 8.5, "period_start": "2025-04-22T14:00:00Z"}
    alert = {"device_id": DEVICE, "issue": "Compressor wear", "confidence": 0.87, "action": "Inspect"}
    voice = {"device_id": DEVICE, "platform": "GoogleAssistant", "user_token": "ya29-token"}
    return {
        "status": client.get(f"{zone}/status"),
        "setpoint": client.post(f"{zone}/setpoint", {"temperature": 69, "mode": "heat"}),
        "schedule": client.post(f"{zone}/schedule", {"name": "Weekday", "blocks": [block]}),
        "sync": client.post(f"{zone}/schedule/sync"),
        "eco": client.post(f"{zone}/eco", {"enabled": True}),
        "vibration": client.post("/diagnostics/vibration", reading),
        "energy": client.post("/diagnostics/energy", {"device_id": DEVICE, **energy}),
        "prediction": client.get(f"/predictive/hvac/{DEVICE}/status"),
        "alert": client.post("/alerts", alert),
        "optimize": client.post("/climate/optimize", {"device_id": DEVICE, "mode": "efficiency"}),
        "voice": client.post("/integration/voice-assistant", voice),
    }


async def test_the_python_snippet_makes_all_twelve_calls(apis: ApiRig, made: MadeClient) -> None:
    found = await asyncio.to_thread(use, f"{apis.url}/aurra-home/v1", made)
    assert found["setpoint"]["success"] is True
    assert found["schedule"]["blocks_count"] == 1
    assert found["optimize"]["optimized_schedule"]["projected_savings"] == "0%"
    assert set(apis.home.thermostats.get("living").schedules) == {"Weekday"}


@pytest.mark.skipif(shutil.which("node") is None, reason="install Node.js: its fetch is the client")
async def test_the_javascript_snippet_makes_all_twelve_calls(apis: ApiRig, made: MadeClient) -> None:
    process = await asyncio.create_subprocess_exec(
        *("node", str(SNIPPET), f"{apis.url}/aurra-home/v1", made.client_id, made.secret, DEVICE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found = json.loads(out)
    created = {"schedule", "vibration", "energy", "alert"}
    assert {name: answer["status"] for name, answer in found.items()} == {
        name: HTTPStatus.CREATED if name in created else HTTPStatus.OK for name in found
    }
    assert len(found) == 11
    assert found["status"]["tier"] == "standard"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_authlibs_client_credentials_client_gets_a_token_and_uses_it(
    apis: ApiRig, made: MadeClient, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authlib = pytest.importorskip("authlib.integrations.requests_client")
    # Plain http on loopback: the port has no TLS there.
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    base = f"{apis.url}/aurra-home/v1"

    def use_authlib() -> tuple[int, Any, int]:
        with authlib.OAuth2Session(
            made.client_id, made.secret, token_endpoint_auth_method=method, scope="comfort:write"
        ) as session:
            session.fetch_token(f"{base}/auth/token", grant_type="client_credentials")
            changed = session.post(f"{base}/thermostat/living/setpoint", json={"temperature": 67, "mode": "heat"})
            return changed.status_code, changed.json(), session.post(f"{base}/alerts", json={}).status_code

    status, body, refused = await asyncio.to_thread(use_authlib)
    assert (status, body["success"]) == (200, True)
    assert to_fahrenheit(apis.home.thermostats.get("living").heat_setpoint_c) == 67
    # The token was asked for with one scope.
    assert refused == HTTPStatus.FORBIDDEN


async def test_the_offered_key_checks_a_token_in_another_library(apis: ApiRig, made: MadeClient) -> None:
    jose = pytest.importorskip("joserfc.jwt")
    jwk = pytest.importorskip("joserfc.jwk")
    body = {"client_id": made.client_id, "client_secret": made.secret, "grant_type": "client_credentials"}
    async with apis.session() as client:
        async with client.post("/aurra-home/v1/auth/token", json=body) as response:
            token = (await response.json())["access_token"]
        async with client.get("/aurra-home/v1/auth/jwks.json") as response:
            keys = jwk.KeySet.import_key_set(await response.json())
    claims = jose.decode(token, keys, algorithms=["RS256"]).claims
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (made.client_id, 3600)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="install curl and jq")
async def test_the_examples_of_the_page_work_as_they_are_copied(apis: ApiRig, made: MadeClient) -> None:
    section = (ROOT / "docs" / "apis.md").read_text().partition("## AURRA Home")[2].partition("\n## ")[0]
    blocks = [block for block in section.split("```")[1::2] if "climahub" not in block]
    # Each answer ends with its status.
    script = "set -e\n" + "".join(blocks).replace("curl -s ", "curl -s -w '\\n%{http_code}\\n' ", 99)
    script = script.replace(
        "curl -s -w '\\n%{http_code}\\n' -X POST \"$BASE/auth/token\"", 'curl -s -X POST "$BASE/auth/token"'
    )
    variables = {
        **os.environ,
        "BASE": f"{apis.url}/aurra-home/v1",
        "CLIENT_ID": made.client_id,
        "CLIENT_SECRET": made.secret,
    }
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script), env=variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    statuses = re.findall(r"^([1-5][0-9]{2})$", out.decode(), re.MULTILINE)
    assert statuses == ["200", "200", "201", "200", "200", "200", "201", "201", "200", "201", "200", "200"], (
        out.decode()
    )
    # Eco was on, and is off for the examples of the other APIs.
    eco = apis.home.thermostats.get("living").eco
    assert (eco.is_enabled, round(eco.heat_limit_c, 1)) == (False, 16.7)
