"""The port of a running hub over TCP: signing in, problem details, protecting headers, the page."""

import asyncio
import contextlib
import logging
import os
import pwd
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import aiohttp
import msgspec
import pytest
from aiohttp import web

from agent.local.port import PortReport
from agent.local.routes import Caller, Role
from agent.local.status import HubStatus
from agent.port.http.certificate import fingerprint
from agent.port.http.gates import SocketGate
from tests.integration import port_attack
from tests.integration.conftest import WAIT_S, until
from tests.integration.port_attack import Target
from tests.integration.port_rig import PortRig, open_port

CHANGE = {"do": "set", "mode": "off"}
BODY = msgspec.json.encode(CHANGE)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[PortRig]:
    async with open_port(tmp_path) as rig:
        yield rig


async def test_loopback_requires_sign_in_too(port: PortRig) -> None:
    async with port.session() as client, client.get("/v1/status") as response:
        assert response.status == 401
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="climahub"'
        assert await response.json(content_type=None) == {
            "type": "urn:climahub:problem:sign_in",
            "title": "Sign in",
            "status": 401,
            "detail": "sign in first, with the code that `sudo climahub port code` shows on the hub",
            "error": "sign_in",
        }
    async with port.socket_session() as client, client.get("/v1/status") as response:
        assert response.status == 200


async def test_invalid_http_gets_a_problem_document_and_no_log_lines(
    port: PortRig, caplog: pytest.LogCaptureFixture
) -> None:
    host, tcp_port = port.url.removeprefix("http://").split(":")
    expecting = b"GET /v1/status HTTP/1.1\r\nHost: hub\r\nExpect: "
    for sent, status in (
        (b"\x16\x03\x01\x02", b"1.0 400"),
        (b"GET /v1/status?" + b"x" * 9000, b"1.0 400"),
        (b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"1.0 400"),
        (expecting + b"xxx", b"1.1 417"),
        (expecting + b"\xed\xb0\x80", b"1.1 417"),
    ):
        reader, writer = await asyncio.open_connection(host, int(tcp_port))
        writer.write(sent + b"\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/" + status)
        assert b"Content-Type: application/problem+json" in head
        assert b"X-Content-Type-Options: nosniff" in head
        assert msgspec.json.decode(body)["error"] == "not_understood"
        assert b"xxx" not in body
    # The hub does other things meanwhile, and says so.
    told = [record for record in caplog.records if not record.name.startswith("agent.") or "port" in record.name]
    assert [record for record in told if record.levelno >= logging.INFO] == []


async def test_role_opens_its_routes_only(port: PortRig) -> None:
    async with port.session(Role.VIEWER) as client:
        async with client.get("/v1/status") as response:
            assert msgspec.json.decode(await response.read(), type=HubStatus).board == "sim"
        async with client.post("/v1/climate/living", json=CHANGE) as response:
            assert (response.status, (await response.json(content_type=None))["error"]) == (403, "forbidden")
    async with port.session(Role.SERVICE) as client:
        async with client.post("/v1/climate/nowhere", json=CHANGE) as response:
            assert response.status == 404
            assert (await response.json(content_type=None))["detail"].startswith("name another zone")
        async with client.get("/v1/zigbee/backup") as response:
            assert response.status == 403


async def test_foreign_host_names_origins_and_content_types_are_refused(port: PortRig) -> None:
    async with port.session(Role.OWNER) as client:
        for headers, status in (
            ({"Host": "evil.example"}, 421),
            ({"Origin": "http://evil.example"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Content-Type": "text/plain"}, 415),
        ):
            async with client.post("/v1/climate/living", data=BODY, headers=headers) as response:
                assert response.status == status, headers


async def test_the_page_is_open_and_protected(port: PortRig) -> None:
    async with port.session() as client:
        for path, kind in (("/", "text/html"), ("/main.js", "text/javascript"), ("/texts/en.json", "text/plain")):
            async with client.get(path) as response:
                assert (response.status, response.content_type) == (200, kind)
                assert "'unsafe-inline'" not in response.headers["Content-Security-Policy"]
                assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Server"] == "climahub"
                etag = response.headers["ETag"]
            async with client.get(path, headers={"If-None-Match": etag}) as response:
                assert response.status == 304
        async with client.get("/nothing.js") as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_port_document_has_addresses_and_fingerprint(tmp_path: Path) -> None:
    async with open_port(tmp_path, port_text='listen = ["127.0.0.1", "0.0.0.0"]\nport = 0\n') as rig:
        await until(lambda: len(rig.hub.port.listeners.addresses) == 2)
        async with rig.socket_session() as client, client.get("/v1/port") as response:
            report = msgspec.json.decode(await response.read(), type=PortReport)
        plain, *others = report.addresses
        assert plain.startswith("http://127.0.0.1:")
        assert any(each.startswith("https://127.0.0.1:") for each in others)
        assert not any("0.0.0.0" in each for each in others)
        url = next(each for each in others if each.startswith("https://127.0.0.1:"))
        host, _, port = url.removeprefix("https://").partition(":")
        shown = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
        assert fingerprint(shown) == report.fingerprint
        trusting = ssl.create_default_context(cadata=shown)
        async with aiohttp.ClientSession() as client, client.get(f"{url}/healthz", ssl=trusting) as response:
            assert response.status == 200


async def test_errors_of_the_router_are_problem_documents(port: PortRig) -> None:
    async with port.session(Role.OWNER) as client:
        for method, path, status in (("GET", "/v1/x/y/z", 404), ("DELETE", "/v1/status", 405)):
            async with client.request(method, path) as response:
                assert (response.status, (await response.json(content_type=None))["status"]) == (status, status)
                assert response.content_type == "application/problem+json"
                assert response.headers["Cache-Control"] == "no-store"


async def test_what_answers_get_answers_head(port: PortRig) -> None:
    """As `curl -I` and monitors ask."""
    async with port.session(Role.OWNER) as client:
        for path in ("/healthz", "/", "/main.js"):
            async with client.head(path) as head:
                assert await head.read() == b""
            # On the same connection: whatever came with the first response would be read as the second.
            async with client.get(path) as got:
                assert (head.status, head.content_type) == (got.status, got.content_type), path
                assert head.headers["Content-Length"] == got.headers["Content-Length"]
                assert head.headers["Content-Security-Policy"] == got.headers["Content-Security-Policy"]
        for path in ("/v1/status", "/v1/events", "/v1/support-bundle"):
            async with client.head(path) as head:
                assert (head.status, await head.read()) == (200, b"")
            assert port.hub.port.events.clients == 0
        for path, status in (("/v1/climate/living", 405), ("/v1/nothing", 404)):
            async with client.head(path) as head:
                assert (head.status, await head.read()) == (status, b"")
    async with port.session() as client, client.head("/v1/status") as response:
        assert response.status == 401


async def test_the_audit_trail_names_the_user_of_the_socket(port: PortRig) -> None:
    async with port.socket_session() as client:
        async with client.post("/v1/climate/living", data=BODY) as response:
            assert response.status == 200
        async with client.get("/v1/audit") as response:
            entry = (await response.json())["entries"][0]
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert (entry["name"], entry["origin"], entry["action"], entry["result"]) == (
        user, "socket", "change_climate", "200",
    )  # fmt: skip


async def test_a_stream_on_the_socket_ends_with_the_session_that_was_sent_along(port: PortRig) -> None:
    cookie = await port_attack.sign_in(Target(port.url), await port.make_code(Role.VIEWER))
    async with (
        port.socket_session() as client,
        client.get("/v1/events", headers={"Cookie": cookie}) as response,
    ):
        assert response.status == 200
        port.hub.port.credentials.sign_out(cookie.partition("=")[2])
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(aiohttp.ClientError):
                await response.read()


@pytest.mark.parametrize(
    ("uid", "name"), [(0, "root"), (65_534, "another user of this machine"), (4_000_000_000, "user 4000000000")]
)
def test_a_user_is_named_as_the_kernel_tells(uid: int, name: str) -> None:
    near, far = socket.socketpair()

    class End:
        family = socket.AF_UNIX

        def getsockopt(self, *_: int) -> bytes:
            return struct.pack("=iII", 1, uid, uid)

    request = mock.Mock(spec=web.Request, cookies={}, headers={})
    request.transport.get_extra_info.return_value = End()
    assert SocketGate().admit(request, None) == Caller(name, Role.OWNER, "socket")
    request.transport.get_extra_info.return_value = near
    assert SocketGate().admit(request, None).name == pwd.getpwuid(os.geteuid()).pw_name
    near.close()
    far.close()


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes(port: PortRig) -> None:
    """It held a connection for 30 s."""
    async with port.session(Role.OWNER) as client:
        authorization = client.headers["Authorization"]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port.url.rpartition(":")[2]))
    writer.write(
        f"POST /v1/climate/living HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
        "Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 "), "not 408 after a silence"
    writer.close()
    await writer.wait_closed()


async def test_a_large_body_and_a_compressed_one_are_refused(port: PortRig) -> None:
    async with port.session(Role.OWNER) as client:
        headers = {"Content-Type": "application/json"}
        async with client.post("/v1/climate/living", data=b"x" * 70_000, headers=headers) as response:
            assert response.status == 413
        async with client.post("/v1/climate/living", data=b"[" * 1000, headers=headers, compress="gzip") as response:
            assert response.status == 400
        with pytest.raises(aiohttp.ClientError):
            async with client.get("/v1/status", headers={"X-Long": "x" * 10_000}) as response:
                response.raise_for_status()
