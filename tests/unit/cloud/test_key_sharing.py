"""A key that another hub may use: noticed by answers that this hub's own requests do not explain, and by them only."""

import asyncio
import random
from dataclasses import dataclass

import pytest

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import QUOTAS, Endpoint
from agent.cloud.key_sharing import KEPT_MS, WINDOWS_MIN, KeySharing
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.errors import Throttled
from tests.fuzz.cloud_rig import KEY

HERE = Endpoint.COMMANDS_PENDING
QUOTA = QUOTAS[HERE]
WINDOW_MS = QUOTA.window_s * 1000


@dataclass
class Bench:
    now_ms: int = 1_000_000

    def __post_init__(self) -> None:
        self.sharing = KeySharing(lambda: self.now_ms)

    def throttled(self, *, used: int = 2, answered: bool = True, after_ms: int = WINDOW_MS) -> str:
        self.now_ms += after_ms
        if answered:
            self.sharing.record_answer()
        self.sharing.record_throttling(HERE, used=used, quota=QUOTA)
        return self.sharing.evidence


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_answers_that_own_requests_do_not_explain_are_evidence(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    assert [bench.throttled(used=used) for used in (2, 5)] == ["", ""]
    text = "GET /v1/commands/pending was answered 429 with at most 5 requests of this hub in the window"
    assert [bench.throttled(), bench.throttled()][0] == text
    assert sum("another hub may use" in record.getMessage() for record in caplog.records) == 1
    bench.now_ms += KEPT_MS
    assert bench.sharing.evidence == ""


def test_a_quota_that_this_hub_has_used_itself_is_none(bench: Bench) -> None:
    assert [bench.throttled(used=QUOTA.limit // 2 + 1) for _ in range(9)] == [""] * 9


def test_one_window_counts_once(bench: Bench) -> None:
    bench.throttled()
    assert [bench.throttled(after_ms=1000) for _ in range(9)] == [""] * 9


def test_a_cloud_that_throttles_everybody_is_no_evidence(bench: Bench) -> None:
    assert [bench.throttled(answered=False) for _ in range(9)] == [""] * 9


class Clock:
    """Time in the test's hand."""

    boot_id = "boot"

    def __init__(self) -> None:
        self.now_ms = 10 * KEPT_MS

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return None


async def serve_few(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer commands, and refuse settings as a cloud does whose quota somebody else has used."""
    request = await reader.readuntil(b"\r\n\r\n")
    if b"/v1/settings" in request:
        writer.write(b"HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    else:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{"commands":[]}')
    await writer.drain()
    writer.close()


async def test_client_compares_what_the_cloud_refuses_with_its_own_account() -> None:
    clock, keys = Clock(), [KEY]
    server = await asyncio.start_server(serve_few, "127.0.0.1", 0)
    async with server, new_session(tcp_connector(None), user_agent="t") as session:
        client = CloudClient(
            session,
            base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            read_key=lambda: keys[0],
            clock=clock,
            connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1)),
            ledger=QuotaLedger(None, clock.boot_id),
            request_timeout_s=5,
            compress=False,
        )
        for _ in range(WINDOWS_MIN):
            assert client.key_sharing.evidence == ""
            clock.now_ms += 2 * WINDOW_MS
            await client.commands.get_pending_commands()
            with pytest.raises(Throttled):
                await client.settings.get_settings()
        assert client.key_sharing.evidence.startswith("GET /v1/settings was answered 429 with at most 1 requests")
        keys[0] = f"{KEY[:-1]}Z"
        client.reload_key()
        assert client.key_sharing.evidence == "", "of the new key nothing is known"
