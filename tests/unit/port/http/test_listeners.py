"""The TCP listeners: what cannot be opened is a fault and is tried again, interfaces come and go, limits hold."""

import asyncio
import contextlib
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from agent.config.port_tables import PortConfig
from agent.errors import ConfigInvalid, Defect
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local.routes import LocalRequest
from agent.port.http import endpoints, listeners
from agent.port.http.certificate import Certificate
from agent.port.http.gates import NetworkGate
from agent.port.http.interfaces import interface_address, interface_addresses, interfaces, ipv6_addresses
from agent.port.http.listeners import Listeners
from agent.port.http.server import application, runner_of

NAMES = frozenset({"localhost"})
ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def healthy(_: LocalRequest) -> bytes:
    return b"{}"


class Rig:
    """Listeners with one open route."""

    def __init__(self, directory: Path) -> None:
        self.faults: list[str] = []
        self.interfaces: dict[str, str] = {}
        self.certificate: Certificate | None = Certificate(
            PortConfig(),
            directory,
            names=lambda: ["localhost", "127.0.0.1"],
            clock=SystemClock(trust_wall_clock=True),
            disk=Disk(),
            worker=InlineWorker(),
            add_fault=self.faults.append,
        )
        self.idle_s_max = 60.0
        self.task: asyncio.Task[None] | None = None
        self.made: Listeners | None = None
        self.servers = 0
        self.defects: list[Exception] = []

    async def tls(self) -> ssl.SSLContext:
        if self.certificate is None:
            raise ConfigInvalid("let the agent read the key")
        return await self.certificate.context()

    async def make_runner(self) -> web.AppRunner:
        self.servers += 1
        # As long as the thread that imports it.
        await asyncio.sleep(0)
        if self.defects:
            raise self.defects.pop()
        gate = NetworkGate(None, NAMES)
        return runner_of(application({"get_liveness": healthy}, gate), idle_s_max=self.idle_s_max)

    def start(self, *listen: str, port: int = 0) -> Listeners:
        self.made = Listeners(
            PortConfig(listen=listen, port=port),
            make_runner=self.make_runner,
            tls=self.tls,
            add_fault=self.faults.append,
            addresses_of=lambda name: [self.interfaces[name]] if name in self.interfaces else [],
        )
        self.task = asyncio.get_running_loop().create_task(self.made.run())
        return self.made

    async def until(self, condition: Callable[[Listeners], object]) -> Listeners:
        assert self.task is not None
        assert self.made is not None
        async with asyncio.timeout(60):
            while not condition(self.made):
                assert not self.task.done()
                await asyncio.sleep(0.005)
        return self.made

    async def port(self) -> int:
        made = await self.until(lambda made: made.addresses)
        return int(made.addresses[0].rpartition(":")[2])


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(listeners, "RETRY_S", 0.02)
    made = Rig(tmp_path)
    yield made
    if made.task is not None:
        made.task.cancel()
        await asyncio.wait({made.task})


async def ask(host: str, port: int, *, data: bytes = ASK, tls: ssl.SSLContext | None = None, source: str = "") -> bytes:
    reader, writer = await asyncio.open_connection(
        host, port, ssl=tls, local_addr=(source, 0) if source else None, server_hostname="localhost" if tls else None
    )
    try:
        writer.write(data)
        return await reader.readline()
    finally:
        writer.close()


@pytest.mark.parametrize("turns", range(8))
async def test_connection_accepted_in_the_last_moment_is_closed(rig: Rig, turns: int) -> None:
    """Nobody complains of a socket that was left to the collector (`filterwarnings` of pytest)."""
    rig.start("127.0.0.1")
    port = await rig.port()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        assert rig.task is not None
        rig.task.cancel()
        await asyncio.wait({rig.task})
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
    gc.collect()


async def test_loopback_speaks_http(rig: Rig) -> None:
    rig.start("127.0.0.1")
    assert await ask("127.0.0.1", await rig.port()) == b"HTTP/1.1 200 OK\r\n"


async def test_any_other_address_speaks_tls_and_only_tls(rig: Rig) -> None:
    rig.start("0.0.0.0")
    port = await rig.port()
    assert rig.made is not None
    assert rig.made.addresses == [f"https://0.0.0.0:{port}"]
    assert rig.certificate is not None
    trusting = ssl.create_default_context(cadata=rig.certificate._store.value.certificate)
    assert await ask("127.0.0.1", port, tls=trusting) == b"HTTP/1.1 200 OK\r\n"
    assert b"200" not in await ask("127.0.0.1", port)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask("127.0.0.1", port, tls=old)


async def test_a_port_that_is_taken_is_a_fault_with_a_remedy_and_is_tried_again(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        rig.start("127.0.0.1", "::1", port=port)
        made = await rig.until(lambda made: made.addresses)
        assert made.addresses == [f"http://[::1]:{port}"]
        assert made.problems == [
            "the port cannot be opened on 127.0.0.1: choose another port.port: another program listens there"
        ]
    await rig.until(lambda made: len(made.addresses) == 2)
    assert made.problems == []
    assert len(rig.faults) == 1


async def test_an_address_of_another_machine_does_not_stop_the_others(rig: Rig) -> None:
    rig.start("127.0.0.1", "203.0.113.7")
    made = await rig.until(lambda made: made.problems)
    assert "correct port.listen: this machine does not have that address" in made.problems[0]
    assert len(made.addresses) == 1


async def test_without_a_certificate_only_plain_listeners_open(rig: Rig) -> None:
    rig.certificate = None
    rig.start("127.0.0.1", "127.0.0.2", "0.0.0.0")
    made = await rig.until(lambda made: made.problems)
    assert made.problems == ["the port cannot be opened on 0.0.0.0: let the agent read the key"]
    assert [each.startswith("http://127.0.0.") for each in made.addresses] == [True, True]


async def test_an_interface_that_appears_later_is_found_and_one_that_goes_is_closed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[str] = []
    bind = listeners.bind

    def on_loopback(endpoint: endpoints.Endpoint, port: int) -> socket.socket:
        # Only loopback is sure to exist here; SO_BINDTODEVICE itself is tried in tests/systemd.
        bound.append(endpoint.device)
        return bind(endpoints.Endpoint(endpoint.address, "lo", is_tls=endpoint.is_tls), port)

    monkeypatch.setattr(listeners, "bind", on_loopback)
    rig.start("127.0.0.1", "usb0")
    await rig.until(lambda made: len(made.addresses) == 1)
    rig.interfaces["usb0"] = "127.0.0.9"
    made = await rig.until(lambda made: len(made.addresses) == 2)
    port = int(made.addresses[1].rpartition(":")[2])
    assert await ask("127.0.0.9", port) == b"HTTP/1.1 200 OK\r\n"
    assert "usb0" in bound
    rig.interfaces.clear()
    await rig.until(lambda made: len(made.addresses) == 1)
    with pytest.raises(ConnectionError):
        await ask("127.0.0.9", port)
    assert rig.faults == []


def test_the_address_of_an_interface_comes_from_the_kernel() -> None:
    assert interface_address("lo") == "127.0.0.1"
    assert interface_address("nosuch0") is None
    assert interface_address("x" * 60) is None
    assert interface_addresses("lo") == ["127.0.0.1"]
    assert interface_addresses("nosuch0") == []


TABLE = """\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000000000fffe000001 02 40 20 80     eth0
20010db8000000000000000000000007 02 40 00 80     eth0
20010db8000000000000000000000008 02 40 00 01     eth0
20010db8000000000000000000000009 02 40 00 c0     eth0
fe800000000000000000000000000001 03 40 20 80     usb0
nonsense
"""


def test_ipv6_addresses_are_the_lasting_ones_that_others_reach() -> None:
    assert list(ipv6_addresses(TABLE, "eth0")) == ["2001:db8::7", "fe80::ff:fe00:1%eth0"]
    assert list(ipv6_addresses(TABLE, "usb0")) == ["fe80::1%usb0"]
    assert list(ipv6_addresses(TABLE, "lo")) == []
    assert list(ipv6_addresses("", "eth0")) == []
    assert "lo" in interfaces()


async def test_a_connection_that_fails_by_a_defect_costs_no_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rig.start("127.0.0.1")
    port = await rig.port()
    with monkeypatch.context() as broken:
        broken.setattr(listeners, "keep_alive", lambda _: 1 / 0)
        with contextlib.suppress(ConnectionError):
            assert await ask("127.0.0.1", port) == b""
    assert await ask("127.0.0.1", port) == b"HTTP/1.1 200 OK\r\n"
    await rig.until(lambda made: not made.connections)
    assert made.addresses


async def test_a_source_with_too_many_connections_is_refused_and_others_are_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "CONNECTIONS_MAX", 12)
    rig.start("127.0.0.1")
    port = await rig.port()
    held = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.5", 0)) for _ in range(3)]
    for _, writer in held:
        writer.write(b"GET")
    with contextlib.suppress(ConnectionError):
        assert await ask("127.0.0.1", port, source="127.0.0.5") == b""
    assert await ask("127.0.0.1", port, source="127.0.0.6") == b"HTTP/1.1 200 OK\r\n"
    for _, writer in held:
        writer.close()
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ConnectionError):
                if await ask("127.0.0.1", port, source="127.0.0.5") == b"HTTP/1.1 200 OK\r\n":
                    break
            await asyncio.sleep(0)


async def test_who_comes_when_all_is_full_takes_the_place_of_the_oldest_who_has_not_signed_in(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "CONNECTIONS_MAX", 4)
    made = rig.start("127.0.0.1")
    port = await rig.port()
    held = []
    for number in range(4):
        held.append(await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.0.{number + 5}", 0)))
        await rig.until(lambda made: len(made._plain._strangers) == len(held))
    made.know(next(iter(made._plain._strangers)))
    assert await ask("127.0.0.1", port) == b"HTTP/1.1 200 OK\r\n"
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            assert await held[1][0].read() == b""
    for number in (0, 2, 3):
        held[number][1].write(ASK)
        assert await held[number][0].readline() == b"HTTP/1.1 200 OK\r\n"
    for _, writer in held:
        writer.close()
    await rig.until(lambda made: not made.connections)
    assert made._plain._strangers == {}


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost", b"\x16\x03\x01\x02"])
async def test_whoever_sends_no_whole_head_in_time_is_disconnected(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, listen: str, sent: bytes
) -> None:
    monkeypatch.setattr(listeners, "HANDSHAKE_S_MAX", 0.1)
    rig.idle_s_max = 0.1
    made = rig.start(listen)
    port = await rig.port()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            assert b"200" not in await reader.read()
        writer.close()
        while made.connections:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)


async def test_the_server_is_made_once_by_the_first_visitor_of_any_listener(rig: Rig) -> None:
    rig.start("127.0.0.1", "::1")
    made = await rig.until(lambda made: len(made.addresses) == 2)
    assert rig.servers == 0
    ports = [port for _, port in made.open_endpoints]
    hosts = [endpoint.address for endpoint, _ in made.open_endpoints]
    answers = await asyncio.gather(
        *(ask(host, port) for host, port in zip(hosts, ports, strict=True) for _ in range(3))
    )
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert rig.servers == 1


async def test_a_server_that_cannot_be_imported_is_a_fault_and_is_tried_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "RETRY_S", 0.01)
    rig.defects = [Defect("install climahub again"), ImportError("no module")]
    rig.start("127.0.0.1")
    assert (await ask("127.0.0.1", await rig.port())).startswith(b"HTTP/1.1 200")
    assert rig.faults == ["ImportError: no module", "install climahub again"]


async def test_listeners_can_be_started_again(rig: Rig) -> None:
    for _ in range(3):
        rig.start("127.0.0.1")
        assert await ask("127.0.0.1", await rig.port()) == b"HTTP/1.1 200 OK\r\n"
        assert rig.task is not None
        rig.task.cancel()
        await asyncio.wait({rig.task})
