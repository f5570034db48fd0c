"""A code, a token and a session in use are nowhere in plain text: not on the disk, in the log, nor in any answer."""

import asyncio
import logging
import re
from pathlib import Path

import aiohttp
import pytest

from agent.local.access import SESSION_COOKIE
from agent.local.routes import ROUTES, Role, Route
from tests.integration.conftest import WAIT_S
from tests.integration.port_rig import PortRig, open_port


def spellings(secret: str) -> set[bytes]:
    """Return what a secret may look like: as it is, without its prefix or dashes, in small letters, as hex."""
    bare = secret.removeprefix("climahub_").replace("-", "")
    found = {secret, secret.lower(), bare, bare.lower(), bare.upper(), bare.encode().hex()}
    return {each.encode() for each in found}


async def answers(client: aiohttp.ClientSession, path: str) -> bytes:
    """Return what a route says, with its headers; of a stream the beginning."""
    async with client.get(path) as response:
        headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
        if response.content_type == "text/event-stream":
            return headers.encode() + await response.content.readany()
        return headers.encode() + await response.read()


def files(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def readable(route: Route) -> bool:
    return route.method == "GET" and "{" not in route.path


async def use_everything(port: PortRig, client: aiohttp.ClientSession, code: str, token: str) -> None:
    """Use the secrets rightly, wrongly, and where they do not belong."""
    misplaced = [
        ("POST", "/v1/session", {"code": code, "more": code}),
        ("POST", "/v1/session", [code]),
        ("POST", "/v1/session", {"code": {"code": code}}),
        ("POST", f"/v1/codes/{code}", {}),
        ("POST", "/v1/tokens", {"name": token, "role": token, "days": 5}),
        ("POST", "/v1/tokens", {"name": "x", "role": "viewer", "days": token}),
    ]
    for method, path, body in misplaced:
        async with client.request(method, path, json=body) as response:
            await response.read()
    for text in (b"{" + code.encode(), b"\xff" + token.encode()):
        async with client.post("/v1/session", data=text, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 400
            answer = await response.read()
            assert not any(each in answer for each in spellings(code) | spellings(token))
    async with port.session() as script:
        for header in (f"Bearer {token}", f"Bearer {token}0", f"Basic {token}", token):
            async with script.get("/v1/status", headers={"Authorization": header}) as response:
                await response.read()
    async with port.session() as stranger:
        async with stranger.post("/v1/session", json={"code": code[:-1] + ("0" if code[-1] != "0" else "1")}) as wrong:
            assert wrong.status == 401
        async with stranger.get("/v1/status", headers={"Cookie": f"{SESSION_COOKIE}={code}"}) as wrong:
            assert wrong.status == 401


async def test_nothing_shows_a_code_a_token_or_a_session(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: dict[str, bytes] = {}
    async with open_port(tmp_path) as port, port.session() as client:
        old_code = await port.make_code()
        code = await port.make_code()
        async with client.post("/v1/session", json={"code": code}) as response:
            cookie = response.cookies[SESSION_COOKIE].value
            shown["sign-in"] = await response.read()
        async with client.post("/v1/tokens", json={"name": "metrics", "role": "viewer"}) as response:
            token = (await response.json())["token"]
        await use_everything(port, client, code, token)
        for route in filter(readable, ROUTES):
            async with asyncio.timeout(WAIT_S):
                shown[route.path] = await answers(client, route.path)
        for path in ("/v1/audit", "/v1/access", "/v1/tokens", "/v1/status"):
            assert b"problem" in shown[path] or b"tokens" in shown[path]
        repeated = "\n".join(
            map(repr, (port.hub.port.credentials.stored, port.hub.port.credentials.sessions.current(0)))
        )
        shown["values"] = repeated.encode()
        await port.hub.port.audit.flush()
        shown |= files(tmp_path)
    shown |= {f"after {place}": text for place, text in files(tmp_path).items()}
    shown["log"] = caplog.text.encode()
    assert any("credentials.json" in place for place in shown)
    assert any("audit.db" in place for place in shown)
    for secret in (code, old_code, token, cookie):
        assert [place for place, text in shown.items() if any(each in text for each in spellings(secret))] == []


def test_search_for_secrets_finds_planted_ones() -> None:
    text = b'{"code":"7h2k9qxm4tnaw0ce"}'
    assert any(each in text for each in spellings("7H2K-9QXM-4TNA-W0CE"))
    assert re.search(b"|".join(spellings("climahub_abc")), b"x abc y")


def test_every_document_of_the_port_is_searched() -> None:
    assert len(list(filter(readable, ROUTES))) > 15
    assert {route.role for route in filter(readable, ROUTES)} == set(Role)
