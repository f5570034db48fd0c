"""The announcement of the port, by a real avahi on a private bus in a network of its own; avahi-browse reads it."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from agent.port.announcement import service
from agent.port.announcement.records import ServiceRecord
from agent.port.announcement.service import Announcement
from agent.port.http.endpoints import Endpoint
from agent.port.http.interfaces import interface_address, interfaces
from tests.integration.conftest import WAIT_S, until
from tests.integration.port_rig import open_port

pytest.importorskip("dbus_fast", reason="the D-Bus client is not installed")
for program in ("dbus-daemon", "avahi-daemon", "avahi-browse", "unshare", "ip"):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (apt-get install avahi-daemon avahi-utils)", allow_module_level=True)
if os.geteuid() != 0:
    pytest.skip("only root makes a network of its own for avahi", allow_module_level=True)

AVAHI = """\
set -e
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add cable type veth peer name laptop
ip link set laptop up
ip link set cable up
ip address add 192.0.2.20/24 dev cable
printf '[server]\\nhost-name=cellar\\nuse-ipv6=no\\nallow-interfaces=cable\\n' > /run/avahi.conf
exec avahi-daemon --no-drop-root --no-chroot --no-rlimits --no-proc-title -f /run/avahi.conf
"""
NAME = "climahub cellar"
RECORD = ServiceRecord("_climahub._tcp", 8480, "", ("version=1.2.3", "path=/", "fingerprint=AB:CD"))


class Avahi:
    """An avahi on a bus, with a network to itself."""

    def __init__(self, bus: str, directory: Path) -> None:
        self.bus = bus
        self.socket = directory / "avahi-runs"
        self._environ = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus}
        self._daemon: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._start)
        # 2 is AVAHI_SERVER_RUNNING: see avahi-common, defs.h.
        await until(lambda: "int32 2" in self._ask("GetState"))

    def _start(self) -> None:
        self._daemon = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", AVAHI], env=self._environ)
        self.socket.touch()

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait()

    def _ask(self, member: str) -> str:
        command = ["dbus-send", f"--bus={self.bus}", "--print-reply", "--dest=org.freedesktop.Avahi", "/"]
        asked = subprocess.run(
            [*command, f"org.freedesktop.Avahi.Server.{member}"], capture_output=True, text=True, check=False
        )
        return asked.stdout

    def browse(self, type_: str = "_climahub._tcp") -> list[list[str]]:
        """Return the resolved services of a type, as avahi-browse prints them."""
        assert self._daemon is not None
        command = ["nsenter", "--net", f"--target={self._daemon.pid}"]
        command += ["avahi-browse", "--resolve", "--parsable", "--terminate", "--no-db-lookup", type_]
        found = subprocess.run(command, env=self._environ, capture_output=True, text=True, check=False, timeout=WAIT_S)
        return [line.split(";") for line in found.stdout.splitlines() if line.startswith("=")]

    async def seen(self, type_: str = "_climahub._tcp") -> list[list[str]]:
        return await asyncio.to_thread(self.browse, type_)


@pytest.fixture
async def avahi(bus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Avahi]:
    monkeypatch.setattr(service, "LOOK_S", 0.05)
    monkeypatch.setattr(service, "RETRY_S", 0.05)
    made = Avahi(bus, tmp_path)
    await made.start()
    yield made
    made.stop()


@contextlib.asynccontextmanager
async def announced(avahi: Avahi, records: list[ServiceRecord], host: str = "cellar") -> AsyncIterator[None]:
    announcement = Announcement(host, services=lambda: list(records), bus_address=avahi.bus, avahi_socket=avahi.socket)
    task = asyncio.get_running_loop().create_task(announcement.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def found(avahi: Avahi, *, count: int = 1, type_: str = "_climahub._tcp") -> list[list[str]]:
    """Return what a browser in the network finds, once it is so much."""
    services: list[list[str]] = []
    async with asyncio.timeout(WAIT_S):
        while len(services := await avahi.seen(type_)) != count:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.05)
    return services


async def test_a_browser_in_the_network_finds_the_hub(avahi: Avahi) -> None:
    records = [RECORD]
    async with announced(avahi, records):
        [[_, device, family, name, type_, domain, host, address, port, txt]] = await found(avahi)
        assert (device, family, type_, domain) == ("cable", "IPv4", "_climahub._tcp", "local")
        assert name.replace("\\032", " ") == NAME
        assert (host, address, port) == ("cellar.local", "192.0.2.20", "8480")
        assert sorted(txt.split()) == ['"fingerprint=AB:CD"', '"path=/"', '"version=1.2.3"']
        # A listener that is opened later, or gone, is followed.
        records.append(ServiceRecord("_https._tcp", 8480, "", RECORD.txt))
        assert len(await found(avahi, type_="_https._tcp")) == 1
        records.pop()
        assert await found(avahi, count=0, type_="_https._tcp") == []
        assert len(await found(avahi)) == 1
    assert await found(avahi, count=0) == []


async def test_a_second_hub_with_the_same_name_gets_another(avahi: Avahi) -> None:
    other = msgspec.structs.replace(RECORD, port=9090)
    async with announced(avahi, [RECORD]), announced(avahi, [other]):
        names = {service[3].replace("\\032", " ").replace("\\035", "#") for service in await found(avahi, count=2)}
        assert names == {NAME, f"{NAME} #2"}


async def test_an_avahi_that_starts_again_is_told_again(avahi: Avahi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CHECK_LOOKS", 1)
    async with announced(avahi, [RECORD]):
        await found(avahi)
        avahi.stop()
        await avahi.start()
        assert len(await found(avahi)) == 1


async def test_without_avahi_nobody_is_asked_and_nothing_fails(
    bus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "LOOK_S", 0.01)
    monkeypatch.setattr(service, "RETRY_S", 0.01)
    made = Avahi(bus, tmp_path)
    asked: list[int] = []

    def services() -> list[ServiceRecord]:
        asked.append(1)
        return [RECORD]

    announcement = Announcement("cellar", services=services, bus_address=bus, avahi_socket=made.socket)
    task = asyncio.get_running_loop().create_task(announcement.run())
    await until(lambda: len(asked) > 3)
    assert caplog.text == ""
    made.socket.touch()
    with caplog.at_level("INFO"):
        await until(lambda: "the port is not announced" in caplog.text)
    so_far = len(asked)
    await until(lambda: len(asked) > so_far + 5)
    assert caplog.text.count("not announced") == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def own_interface() -> tuple[str, str]:
    """Return an interface of this machine that is no loopback, and its address."""
    for name in interfaces():
        address = interface_address(name)
        if address is not None and not ip_address(address).is_loopback:
            return name, address
    pytest.skip("this machine has no network")


async def test_a_hub_announces_what_it_listens_on(tmp_path: Path) -> None:
    name, lan = own_interface()
    async with open_port(tmp_path) as rig:
        assert "announcement" not in rig.hub.port.loops()
    async with open_port(tmp_path, port_text=f'port = 0\nlisten = ["127.0.0.1", "{lan}"]\n') as rig:
        assert "announcement" in rig.hub.port.loops()
        await until(lambda: len(rig.hub.port.listeners.addresses) == 2)
        [(endpoint, port)] = [each for each in rig.hub.port.listeners.open_endpoints if each[0].address == lan]
        assert endpoint == Endpoint(lan)
        services = rig.hub.port.services()
        assert {(each.type, each.port, each.device) for each in services} == {
            ("_climahub._tcp", port, name),
            ("_https._tcp", port, name),
        }
        assert f"fingerprint={rig.hub.port.certificate.fingerprint[:23]}" in services[0].txt
