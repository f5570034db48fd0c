"""Attacks on the port of a hub over loopback, for the bench and for a small test: each until it is cancelled or done.

Connections come from many addresses of 127.0.0.0/8, so that the limit of one source does not end an attack early.
"""

import asyncio
import contextlib
import itertools
import json
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence

WRONG_CODE = "AAAA-BBBB-CCCC-{:04}"
DRIP_S = 1.0
"""A slow connection sends a byte so often."""


class Target:
    """Where the hub listens, and how its attackers connect."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        host, _, port = rest.rpartition(":")
        self.host, self.port = host, int(port)
        self.tls: ssl.SSLContext | None = None
        if scheme == "https":
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    async def connect(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, local_addr=(source, 0), ssl=self.tls)

    async def ask(self, source: str, head: str, body: str = "") -> tuple[int, bytes]:
        """Send one request on a connection of its own; return status and head of the answer, 0 where there is none."""
        try:
            reader, writer = await self.connect(source)
        except OSError:
            return 0, b""
        try:
            text = f"{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            if body:
                text += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{text}\r\n{body}".encode())
            answer = await reader.read()
            return int(answer[9:12] or 0), answer
        except (OSError, ValueError):
            return 0, b""
        finally:
            writer.close()


def sources(first: int, count: int) -> Iterator[str]:
    """Yield addresses of this machine, one after the other."""
    return itertools.cycle([f"127.0.{first}.{number}" for number in range(1, count + 1)])


async def sign_in(target: Target, code: str) -> str:
    """Return the cookie of a session."""
    status = 0
    # A busy machine may be slower than the hub's patience with a connection that sends nothing yet.
    while status == 0:
        status, answer = await target.ask("127.0.0.1", "POST /v1/session", json.dumps({"code": code}))
    if status != 200:
        raise RuntimeError(f"the right code is refused: {answer!r}")
    return answer.partition(b"Set-Cookie: ")[2].partition(b";")[0].decode()


class Slowloris:
    """Holds connections open with heads that never end, and opens each again when the hub closes it."""

    def __init__(self, target: Target, count: int) -> None:
        self._target = target
        self._count = count
        self.opened = self.closed_by_hub = self.answered = 0

    async def run(self) -> None:
        addresses = sources(1, 16)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._hold(next(addresses)))

    async def _hold(self, source: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await self._target.connect(source)
                self.opened += 1
                try:
                    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: ")
                    while not reader.at_eof():
                        writer.write(b"x")
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(DRIP_S):
                                self.answered += b"200 OK" in await reader.read(4096)
                    self.closed_by_hub += 1
                finally:
                    writer.close()
            await asyncio.sleep(DRIP_S / 10)


class Listeners:
    """Clients of the event stream, signed in."""

    def __init__(self, target: Target, count: int, cookie: str) -> None:
        self._target = target
        self._count = count
        self._cookie = cookie
        self.statuses: Counter[int] = Counter()
        self.bytes = 0

    async def run(self) -> None:
        addresses = sources(2, 16)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._listen(next(addresses)))

    async def _listen(self, source: str) -> None:
        try:
            reader, writer = await self._target.connect(source)
        except OSError:
            self.statuses[0] += 1
            return
        try:
            writer.write(f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nCookie: {self._cookie}\r\n\r\n".encode())
            head = await reader.readline()
            self.statuses[int(head[9:12] or 0)] += 1
            while chunk := await reader.read(65_536):
                self.bytes += len(chunk)
        except OSError:
            self.statuses[0] += 1
        finally:
            writer.close()


async def guess_codes(target: Target, count: int, at_once: int) -> Counter[int]:
    """Try wrong codes from many addresses; return how often each status was answered."""
    statuses: Counter[int] = Counter()
    numbers = iter(range(count))
    addresses = sources(3, 250)

    async def guess() -> None:
        for number in numbers:
            body = json.dumps({"code": WRONG_CODE.format(number)})
            status, _ = await target.ask(next(addresses), "POST /v1/session", body)
            statuses[status] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(guess())
    return statuses


async def end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel attacks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
