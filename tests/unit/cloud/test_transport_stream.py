"""The way of a download through the client: what reaches the wire, and what foreign answers become."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

import pytest

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import Endpoint
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.errors import CloudUnavailable, Refused, Throttled, Unauthorized
from agent.foundation.clock import SystemClock

SIGNED = "/k%2Fy%7E/a;b,c?X-Amz-Credential=A%2F2026%2Fus&sig=a+b%2Bc%20d/e%3D%3D&q=%2f"


@contextlib.asynccontextmanager
async def serving(answer: Callable[[int, list[bytes]], bytes]) -> AsyncIterator[tuple[CloudClient, list[list[bytes]]]]:
    """Serve raw answers, by port and request; yield a client, and the heads of its requests."""
    heads: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        heads.append(head)
        writer.write(answer(port, head))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clock = SystemClock(trust_wall_clock=True)
    async with new_session(tcp_connector(None), user_agent="t") as session:
        client = CloudClient(
            session,
            base_url=f"http://127.0.0.1:{port}",
            read_key=lambda: "cs_dev_" + "0" * 32,
            clock=clock,
            connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1)),
            ledger=QuotaLedger(None, "boot"),
            request_timeout_s=5,
            compress=False,
        )
        client.quotas[Endpoint.OTA_DOWNLOAD].load_history([])
        yield client, heads
    server.close()


async def body_of(client: CloudClient) -> bytes:
    async with client.updates.stream(Endpoint.OTA_DOWNLOAD, "/1.0.0", {"Range": "bytes=5-"}) as response:
        return await response.content.read()


async def test_signed_url_is_sent_byte_for_byte_and_without_the_key_to_other_hosts() -> None:
    def answer(port: int, head: list[bytes]) -> bytes:
        if b"/v1/ota/download/1.0.0" in head[0]:
            location = f"http://127.0.0.1:{port}{SIGNED}".encode()
            return (
                b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + location + b"\r\n\r\n"
            )
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile"

    async with serving(answer) as (client, heads):
        assert await body_of(client) == b"file"
    assert heads[1][0] == f"GET {SIGNED} HTTP/1.1".encode()
    assert b"Range: bytes=5-" in heads[1]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://h:99999/\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\n",
        b"HTTP/1.1 302 Found\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /v1/ota/download/1.0.0\r\n",
        b"HTTP/1.1 503 No\r\nRetry-After: Mon, 20 Nov 9999999999 12:00:00 GMT\r\n",
        b"HTTP/1.1 429 No\r\nRetry-After: -5\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 404 No\r\n",
        b"HTTP/1.1 401 No\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n",
        b"HTTP/9.9 banana\r\n",
    ],
)
async def test_any_download_response_raises_only_our_errors(head: bytes) -> None:
    def answer(_: int, __: list[bytes]) -> bytes:
        return head + b"Content-Length: 4\r\n\r\nbody"

    async with serving(answer) as (client, _):
        with pytest.raises((CloudUnavailable, Refused, Throttled, Unauthorized)):
            await body_of(client)
