"""No exception of a library leaves the client: what aiohttp, yarl, socket, ssl and codecs raise is told as ours."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import KEY_REFUSALS_MAX, Connectivity
from agent.cloud.contract import Endpoint
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.errors import ClimahubError, CloudUnavailable, Unauthorized
from tests.fuzz.cloud_rig import KEY, CloudRig, LoopClock, cloud_rig, downloaded


async def asked(base_url: str, *, headers: dict[str, str] | None = None) -> list[ClimahubError]:
    """Ask for the settings and for a download; return what was raised."""
    clock = LoopClock(asyncio.get_running_loop())
    errors = []
    async with new_session(tcp_connector(None), user_agent="t") as session:
        client = CloudClient(
            session,
            base_url=base_url,
            read_key=lambda: KEY,
            clock=clock,
            connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1)),
            ledger=QuotaLedger(None, clock.boot_id),
            request_timeout_s=5,
            compress=False,
        )
        try:
            await client.settings.get_settings()
        except ClimahubError as error:
            errors.append(error)
        try:
            async with client.updates.stream(Endpoint.OTA_DOWNLOAD, "/1.0.0", headers or {}):
                pass
        except ClimahubError as error:
            errors.append(error)
    return errors


async def test_key_that_was_replaced_meanwhile_is_tried_at_once() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    clock, keys = LoopClock(asyncio.get_running_loop()), [KEY]
    connectivity = Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1))
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, new_session(tcp_connector(None), user_agent="t") as session:
        client = CloudClient(
            session,
            base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            read_key=lambda: keys[0],
            clock=clock,
            connectivity=connectivity,
            ledger=QuotaLedger(None, clock.boot_id),
            request_timeout_s=5,
            compress=False,
        )
        for _ in range(KEY_REFUSALS_MAX - 1):
            connectivity.record_key_refusal(Endpoint.COMMANDS_PENDING, "401")
        keys[0] = f"{KEY[:-1]}Z"
        with pytest.raises(Unauthorized):
            await client.settings.get_settings()
        assert connectivity.wait_ms(Endpoint.SETTINGS_GET) == 0, "the next probe would be minutes away"
        assert connectivity.wait_ms(Endpoint.TELEMETRY) == 0


@pytest.mark.parametrize(
    "base_url",
    [
        "https://" + "a" * 64 + ".example",
        "https://a..b",
        "https://\udcff.example",
        "http://127.0.0.1:70000",
        "http://[::1",
    ],
)
async def test_unresolvable_host_name_is_a_transient_error(base_url: str) -> None:
    errors = await asked(base_url)
    assert [type(error) for error in errors] == [CloudUnavailable] * 2
    for error in errors:
        str(error).encode()


@pytest.fixture
def rig() -> Iterator[CloudRig]:
    with cloud_rig() as made:
        yield made


def test_redirect_to_an_unresolvable_name_is_a_transient_error(rig: CloudRig) -> None:
    location = "https://" + "a" * 64 + ".example/x"
    with pytest.raises(CloudUnavailable):
        rig.ask("download", f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 x\r\nRetry-After: Mon, 20 Nov 9999999999 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 x\r\nRetry-After: Sun, 29 Mar 2026 12:00:00 GMT\r\nDate: 20 Nov 2026 12:00 +9999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: Mon, 20 Nov 9999999999 12:00:00 GMT\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=rot13\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 308 x\r\nLocation: //\xff:99999/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/9.9 abc\r\n\r\n",
        b"\x00" * 100,
        b"",
    ],
)
@pytest.mark.parametrize("call", ["settings", "download", "telemetry"])
def test_response_that_is_not_http_is_a_transient_error(rig: CloudRig, call: str, answer: bytes) -> None:
    if call == "download" and b"200 OK" in answer and (b"charset" in answer or b"Date" in answer):
        return
    with pytest.raises(CloudUnavailable):
        rig.ask(call, answer)


@pytest.mark.parametrize("tag", ['"a\r\nb"', '"\0"'])
def test_unsendable_request_header_is_a_transient_error(rig: CloudRig, tag: str) -> None:
    with pytest.raises(CloudUnavailable):
        rig.run(lambda client: downloaded(client, tag), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
