"""Signing in on a real hub: with a code that is made over the Unix socket, by cookie and by token, over TCP."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.commands.service import CommandService
from agent.local.routes import Role
from tests.integration.conftest import WAIT_S
from tests.integration.port_rig import open_port


async def sign_in(client: aiohttp.ClientSession, code: str) -> dict[str, Any]:
    async with client.post("/v1/session", json={"code": code}) as response:
        document: dict[str, Any] = await response.json()
        return {**document, "status": response.status}


async def status_of(client: aiohttp.ClientSession, path: str = "/v1/status", method: str = "GET") -> int:
    async with client.request(method, path, json={} if method == "POST" else None) as response:
        return response.status


async def test_a_person_signs_in_with_the_code_and_out_again(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        assert await status_of(client) == 401
        assert (await sign_in(client, "0000-0000-0000-0000"))["error"] == "no_code"
        code = await port.make_code()
        assert (await sign_in(client, "0000-0000-0000-0000"))["error"] == "wrong_code"
        signed_in = await sign_in(client, code.lower())
        assert signed_in == {"role": "owner", "name": "session 1", "expires_s": 1800, "status": 200}
        assert await status_of(client) == 200
        async with client.get("/v1/session") as response:
            assert (await response.json())["role"] == "owner"
        async with client.get("/v1/audit") as response:
            newest = (await response.json())["entries"][0]
            assert (newest["name"], newest["action"], newest["origin"]) == ("session 1", "sign_in", "127.0.0.1")
        assert await status_of(client, "/v1/session", "DELETE") == 200
        assert await status_of(client) == 401


async def test_the_poll_for_commands_learns_at_once_that_a_person_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[CommandService] = []

    def look(service: CommandService) -> None:
        looks.append(service)

    monkeypatch.setattr(CommandService, "look_at_interval", look)
    async with open_port(tmp_path) as port, port.session() as client:
        assert await status_of(client) == 401
        await sign_in(client, await port.make_code())
        looks.clear()
        assert await status_of(client) == 200
        assert looks == [port.hub.commands]


async def test_the_cookie_is_for_browsers_only(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        code = await port.make_code()
        async with client.post("/v1/session", json={"code": code}) as response:
            cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie


async def test_a_second_sign_in_of_a_browser_ends_its_first_session(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        code = await port.make_code()
        for _ in range(3):
            await sign_in(client, code)
        async with client.get("/v1/access") as response:
            assert [each["id"] for each in (await response.json())["sessions"]] == [3]


async def test_role_opens_its_routes(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        await sign_in(client, await port.make_code(Role.VIEWER))
        assert await status_of(client) == 200
        assert await status_of(client, "/v1/audit") == 403
        assert await status_of(client, "/v1/codes/owner", "POST") == 403


async def test_a_new_code_ends_the_sessions_of_the_old_one(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        code = await port.make_code()
        await sign_in(client, code)
        async with client.post("/v1/codes/owner", json={}) as response:
            assert (response.status, (await response.json())["error"]) == (409, "exists")
        async with port.session() as other:
            await sign_in(other, code)
            async with client.post("/v1/codes/owner", json={"replace": True}) as response:
                made = await response.json()
            assert made["sessions_ended"] == 1
            assert await status_of(other) == 401
            assert (await sign_in(other, code))["error"] == "wrong_code"
            assert (await sign_in(other, made["code"]))["role"] == "owner"
        # Who has made it goes on: the page must show the code.
        assert await status_of(client) == 200


async def test_a_script_uses_a_token_and_may_not_make_codes(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        async with (
            port.socket_session() as local,
            local.post("/v1/tokens", json={"name": "backup", "role": "owner", "days": 1}) as response,
        ):
            token = (await response.json())["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        assert await status_of(client) == 200
        assert await status_of(client, "/v1/codes/owner", "POST") == 403
        another = {"name": "longer", "role": "owner", "days": 366}
        async with client.post("/v1/tokens", json=another) as response:
            assert response.status == 403
            assert (await response.json())["detail"] == (
                "use sudo, or sign in as owner on the page: this caller may not make a token"
            )
        async with client.get("/v1/tokens") as response:
            (shown,) = (await response.json())["tokens"]
        assert (shown["name"], shown["role"], shown["is_expired"]) == ("backup", "owner", False)
        assert shown["used"]
        assert await status_of(client, "/v1/tokens/backup", "DELETE") == 200
        assert await status_of(client) == 401


async def test_owner_ends_sessions_and_sees_failed_sign_ins(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client, port.session() as other:
        code = await port.make_code()
        await sign_in(other, "0000-0000-0000-0000")
        await sign_in(client, code)
        await sign_in(other, code)
        await sign_in(other, "1111-1111-1111-1111")
        async with client.get("/v1/access") as response:
            access = await response.json()
        assert [each["role"] for each in access["codes"]] == ["owner"]
        assert [each["id"] for each in access["sessions"]] == [1, 2]
        assert [(each["origin"], each["tries"]) for each in access["refused"]] == [("127.0.0.1", 1)]
        assert await status_of(client, "/v1/sessions/2", "DELETE") == 200
        for unknown in ("2", "x", "9" * 5000):
            assert await status_of(client, f"/v1/sessions/{unknown}", "DELETE") == 404
        assert await status_of(other) == 401
        assert await status_of(client, "/v1/sessions", "DELETE") == 200
        assert await status_of(client) == 401


async def test_wrong_codes_are_throttled(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        port.clock.stand_still()
        code = await port.make_code()
        answers = [await sign_in(client, "0000-0000-0000-0000") for _ in range(33)]
        statuses = [each["status"] for each in answers]
        assert statuses[:30] == [401] * 30
        assert 429 in statuses[30:]
        assert answers[-1]["retry_after_s"] == 1
        assert answers[-1]["detail"] == "wait 1 s before the next try: there were too many wrong ones"
        port.clock.skip(1)
        assert (await sign_in(client, code))["status"] == 200


async def test_events_end_with_the_session_and_do_not_keep_it(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        await sign_in(client, await port.make_code())
        port.clock.skip(29 * 60)
        async with client.get("/v1/events") as events:
            assert events.status == 200
            async with client.get("/v1/session") as response:
                assert (await response.json())["expires_s"] <= 60
            port.clock.skip(60)
            with pytest.raises(aiohttp.ClientPayloadError):
                async with asyncio.timeout(WAIT_S):
                    await events.read()
        assert await status_of(client, "/v1/events") == 401


async def test_a_new_code_ends_the_streams_of_the_old_one(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        await sign_in(client, await port.make_code())
        async with client.get("/v1/events") as events:
            await port.make_code()
            with pytest.raises(aiohttp.ClientPayloadError):
                async with asyncio.timeout(WAIT_S):
                    await events.read()


async def test_a_session_that_is_sent_along_over_the_socket_ends_when_only_a_page_asks(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.socket_session() as client:
        async with client.post("/v1/session", json={"code": await port.make_code()}) as response:
            cookie = response.headers["Set-Cookie"].partition(";")[0]
        client.headers["Cookie"] = cookie
        for _ in range(2):
            port.clock.skip(15 * 60)
            await status_of(client, "/v1/session")
        assert await status_of(client) == 401


async def test_the_audit_trail_is_live_for_service_and_hidden_from_viewers(tmp_path: Path) -> None:
    async with (
        open_port(tmp_path) as port,
        port.session(Role.SERVICE) as service,
        port.session(Role.VIEWER) as viewer,
        service.get("/v1/events") as shown,
        viewer.get("/v1/events") as hidden,
    ):
        await port.make_code()
        port.hub.port.events.publish("log", {"text": "the end"})
        found = []
        for events in (shown, hidden):
            text = b""
            async with asyncio.timeout(WAIT_S):
                while b"the end" not in text:
                    text += await events.content.readany()
            found.append(b"event: audit\n" in text and b'"action":"make_code"' in text)
        assert found == [True, False]


async def test_reading_a_secret_is_in_the_audit_trail(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.socket_session() as client:
        await status_of(client, "/v1/zigbee/backup")
        await status_of(client, "/v1/status")
        async with client.get("/v1/audit") as response:
            actions = [each["action"] for each in (await response.json())["entries"]]
        assert actions == ["back_up_network"]


@pytest.mark.parametrize("query", ["before=x", "limit=-1", "limit=1.5", f"before={'9' * 40}"])
async def test_a_page_of_the_audit_trail_is_asked_for_by_number(tmp_path: Path, query: str) -> None:
    async with open_port(tmp_path) as port, port.socket_session() as client:
        async with client.get(f"/v1/audit?{query}") as response:
            assert (response.status, (await response.json())["error"]) == (400, "invalid")
        async with client.get("/v1/audit?limit=1&before=5") as response:
            assert response.status == 200
