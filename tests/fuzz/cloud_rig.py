"""The real client of the cloud on a connection in memory, in virtual time; whoever answers is hostile."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import Endpoint
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session
from lab.simulation.virtual_loop import MemoryConnector, VirtualLoop

NOON_MS = 1_774_785_600_000
KEY = "cs_dev_" + "A1b2" * 8


class LoopClock:
    """The clocks of a boot that goes by the loop."""

    boot_id = "boot-1"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def monotonic_ms(self) -> int:
        return 3_700_000 + int(self._loop.time() * 1000)

    def utc_ms(self) -> int | None:
        return NOON_MS + self.monotonic_ms()


class Hostile(asyncio.Protocol):
    """Answers every request with the next bytes, and hangs up."""

    def __init__(self, next_answer: Callable[[bytes], bytes]) -> None:
        self._next_answer = next_answer
        self._transport: asyncio.Transport | None = None
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        if not end or len(body) < _length_of(head) or self._transport is None:
            return
        self._transport.write(self._next_answer(head))
        self._transport.close()
        self._transport = None


def _length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


Call = Callable[[CloudClient], Awaitable[Any]]

READING = ("temperature", 21.5, NOON_MS, None)


async def downloaded(client: CloudClient, tag: str = '"x"') -> int:
    """Download and return how many bytes came."""
    async with client.updates.stream(Endpoint.OTA_DOWNLOAD, "/1.0.0", {"If-Range": tag}) as response:
        return len(await response.content.read())


CALLS: dict[str, Call] = {
    "telemetry": lambda client: client.telemetry.post_telemetry([READING] * 5),
    "settings": lambda client: client.settings.get_settings(),
    "settings put": lambda client: client.settings.put_settings({"timezone": "UTC"}),
    "commands": lambda client: client.commands.get_pending_commands(),
    "ack": lambda client: client.commands.ack_command("id", "acked"),
    "offer": lambda client: client.updates.check_update("1.0.0"),
    "update status": lambda client: client.updates.post_update_status("1.0.0", "downloading"),
    "register": lambda client: client.provisioning.register_sensor("sk_sensor_x", "00:11"),
    "download": downloaded,
}


class CloudRig:
    """One client for all examples: its account of failures and quotas is new for each."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self._answer = b""

    def ask(self, call: str, answer: bytes) -> Any:  # noqa: ANN401
        """Make one request that is answered so; return what the client makes of it.

        Raises:
            ClimahubError: What it says is wrong.
        """
        return self.run(CALLS[call], answer)

    def run(self, call: Call, answer: bytes) -> Any:  # noqa: ANN401
        """Make one request of any kind; see `ask`."""
        return self.loop.run_until_complete(self._ask(call, answer))

    async def _ask(self, call: Call, answer: bytes) -> Any:  # noqa: ANN401
        clock = LoopClock(self.loop)
        connector = MemoryConnector(lambda: Hostile(lambda _: answer), random.Random(1), latency_s_max=0.001)
        async with new_session(connector, user_agent="t") as session:
            client = CloudClient(
                session,
                base_url="http://127.0.0.1:1",
                read_key=lambda: KEY,
                clock=clock,
                connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1)),
                ledger=QuotaLedger(None, clock.boot_id),
                request_timeout_s=5,
                compress=True,
            )
            return await call(client)

    def close(self) -> None:
        """Close the loop."""
        self.loop.close()


@contextlib.contextmanager
def cloud_rig() -> Iterator[CloudRig]:
    """Make a rig and close it."""
    rig = CloudRig()
    try:
        yield rig
    finally:
        rig.close()
