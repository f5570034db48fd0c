"""The technician's port under a real systemd: a console on a serial line, the journal in a bundle, the announcement."""

import os
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.systemd.conftest import PROJECT
from tests.systemd.machine import WAIT_S, Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

CLIMAHUB = "/usr/bin/climahub"
CONSOLE = "climahub-console@ttyTEST"
CONFIG = "/etc/climahub/config.toml"
LAN = "climatest0"
DROP_IN = "/etc/systemd/system/climahub.service.d/journal.conf"

CABLE = """\
import os, pty, select, sys, time
near, far = pty.openpty()
if os.path.lexists("/dev/ttyTEST"):
    os.remove("/dev/ttyTEST")
os.symlink(os.ttyname(far), "/dev/ttyTEST")
os.write(1, b"plugged in\\n")
while True:
    ready, _, _ = select.select([0, near], [], [])
    if 0 in ready:
        typed = os.read(0, 1024)
        if not typed:
            break
        os.write(near, typed)
    if near in ready:
        try:
            os.write(1, os.read(near, 1024))
        except OSError:
            # The console has hung up the line, and its successor has not opened it yet.
            time.sleep(0.05)
"""

ASK_BUNDLE = """\
import io, json, shutil, socket, subprocess, sys, tarfile, http.client, zipfile
connection = http.client.HTTPConnection("hub")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/climahub/status.sock")
connection.request("GET", "/v1/support-bundle")
data = connection.getresponse().read()
if data.startswith(b"PK"):
    archive = zipfile.ZipFile(io.BytesIO(data))
    files = {each.rpartition("/")[2]: archive.read(each) for each in archive.namelist()}
else:
    data = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    archive = tarfile.open(fileobj=io.BytesIO(data))
    files = {each.name.rpartition("/")[2]: archive.extractfile(each).read() for each in archive}
print(files.get("journal.txt", b"").decode())
"""


class Cable:
    """A serial line of the machine, and the laptop's end of it."""

    def __init__(self, machine: Machine) -> None:
        self._process = machine.open("python3", "-c", CABLE)
        self._seen = ""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self.expect("plugged in")

    def expect(self, pattern: str) -> str:
        """Wait for a text; return everything up to its end."""
        assert self._process.stdout is not None
        end_s = time.monotonic() + WAIT_S
        while not (found := re.search(pattern, self._seen)):
            assert time.monotonic() < end_s, f"{pattern!r} never came; there was {self._seen!r}"
            self._seen += (self._process.stdout.read(65_536) or b"").decode(errors="replace")
            time.sleep(0.05)
        before, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return before

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\r")
        self._process.stdin.flush()

    def unplug(self) -> None:
        """Pull the plug."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def cable(machine: Machine) -> Iterator[Cable]:
    text = (PROJECT / "systemd" / "climahub-console@.service").read_text()
    # A container has no udev, so it has no unit of a device to be bound to.
    text = text.replace("BindsTo=dev-%i.device\n", "").replace("After=dev-%i.device ", "After=")
    assert "Unit]\n" in text
    assert "dev-%i.device climahub" not in text
    machine.write("/etc/systemd/system/climahub-console@.service", text)
    machine.run("systemctl", "daemon-reload")
    made = Cable(machine)
    machine.run("systemctl", "start", CONSOLE)
    yield made
    made.unplug()
    machine.run("systemctl", "stop", CONSOLE)
    machine.run("rm", "-f", "/etc/systemd/system/climahub-console@.service", "/dev/ttyTEST")
    machine.run("systemctl", "daemon-reload")


def test_a_person_uses_the_console_on_a_serial_line(machine: Machine, cable: Cable) -> None:
    code = machine.run(CLIMAHUB, "port", "code", "--role", "service", "--new").split()[1]
    cable.expect("code: ")
    cable.type(code)
    cable.expect("signed in as service")
    cable.expect("climahub> ")
    cable.type("status")
    assert "on board linux" in cable.expect("climahub> ")
    first = machine.show(CONSOLE, "MainPID")
    assert machine.run("stat", "-c", "%U", f"/proc/{first}").strip() == "climahub"
    cable.type("bye")
    cable.expect("signed out")
    # The next person finds a console, and nobody signed in.
    cable.expect("code: ")
    assert machine.show(CONSOLE, "MainPID") != first
    sessions = machine.run(CLIMAHUB, "port")
    assert "service from socket" not in sessions


def test_a_cable_that_is_unplugged_signs_out(machine: Machine, cable: Cable) -> None:
    code = machine.run(CLIMAHUB, "port", "code", "--role", "service", "--new").split()[1]
    cable.expect("code: ")
    cable.type(code)
    cable.expect("climahub> ")
    process = machine.show(CONSOLE, "MainPID")
    cable.unplug()
    machine.wait(lambda: machine.show(CONSOLE, "MainPID") != process, "the end of the console")
    machine.run("sh", "-c", f"! test -d /proc/{process}")


def journal_in_bundle(machine: Machine) -> str:
    return machine.run("python3", "-c", ASK_BUNDLE)


def test_the_drop_in_puts_the_journal_into_a_bundle_of_the_hub(machine: Machine) -> None:
    machine.wait(lambda: machine.show("climahub", "ActiveState") == "active", "the service")
    assert journal_in_bundle(machine).strip() == ""
    machine.write(DROP_IN, (PROJECT / "systemd" / "climahub-journal.conf").read_text())
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "climahub")
    try:
        machine.wait(lambda: "climahub" in journal_in_bundle(machine), "the journal in a bundle")
    finally:
        machine.run("rm", DROP_IN)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "climahub")


def ip(*words: str) -> None:
    """Change the network, which the machine shares with its host."""
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def lan(machine: Machine) -> Iterator[str]:
    """A network interface of the machine, on which avahi works; its name. The machine shares the host's network."""
    if not (machine.root / "usr/sbin/avahi-daemon").exists():
        pytest.skip("the root file system has no avahi: make it anew (rm -r build/rootfs)")
    config = (machine.root / CONFIG.lstrip("/")).read_text()
    ip("link", "add", LAN, "type", "veth", "peer", "name", f"{LAN}p")
    try:
        ip("link", "set", f"{LAN}p", "up")
        ip("link", "set", LAN, "up")
        ip("address", "add", "192.0.2.114/24", "dev", LAN)
        machine.write("/etc/avahi/avahi-daemon.conf", f"[server]\nuse-ipv6=no\nallow-interfaces={LAN}\n")
        machine.run("systemctl", "restart", "avahi-daemon")
        machine.write(CONFIG, config.replace('"lo"', f'"{LAN}"'))
        machine.run("systemctl", "restart", "climahub")
        yield LAN
    finally:
        machine.write(CONFIG, config)
        machine.run("systemctl", "restart", "climahub")
        machine.run("systemctl", "stop", "avahi-daemon.socket", "avahi-daemon")
        ip("link", "delete", LAN)


def test_the_hub_is_announced_from_within_its_confinement(machine: Machine, lan: str) -> None:
    """It asks the machine's avahi over the system bus, as the user that it is."""
    browse = ("avahi-browse", "--resolve", "--parsable", "--terminate", "_climahub._tcp")
    found: list[list[str]] = []

    def is_found() -> bool:
        printed = machine.run(*browse).splitlines()
        found[:] = [line.split(";") for line in printed if line.startswith("=")]
        return bool(found)

    machine.wait(is_found, "the announcement")
    [[_, device, family, *_, address, port, details]] = found
    assert (device, family, address) == (lan, "IPv4", "192.0.2.114")
    shown = machine.run(CLIMAHUB, "port")
    assert f"https://192.0.2.114:{port}" in shown
    [fingerprint] = re.findall(r'"fingerprint=([0-9A-F:]+)"', details)
    assert fingerprint in shown
