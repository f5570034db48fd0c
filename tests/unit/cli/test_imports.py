"""What a command that asks the hub must not import, so that it answers at once on a small Pi: tests/bench/bench_cli.py
measures the time, which no test may."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.cli import exit_codes
from agent.local.climate import ClimateReport
from agent.local.hardware import LiveSensorsReport
from agent.local.status import HubStatus
from agent.local.zigbee import RadioReport, ZigbeeReport

HEAVY = {
    "aiohttp",
    "agent.app",
    "agent.cloud",
    "agent.config",
    "agent.daemon",
    "asyncio",
    "cryptography",
    "importlib.metadata",
    "logging",
    "rich",
    "sqlite3",
    "zoneinfo",
}

PROBE = """
import sys
from agent.cli import root
code = root.run(sys.argv[1:])
print("MODULES", *sys.modules)
raise SystemExit(code)
"""


@pytest.fixture
def hub(tmp_path: Path, status: HubStatus) -> Iterator[Path]:
    """Answer requests on a Unix socket, each with the document of its route."""
    documents = {
        b"/v1/status": msgspec.json.encode(status),
        b"/v1/climate": msgspec.json.encode(ClimateReport([], None, [], "UTC")),
        b"/v1/tests/sensors": msgspec.json.encode(LiveSensorsReport([])),
        b"/v1/zigbee": msgspec.json.encode(ZigbeeReport(RadioReport("none"), [], [], "")),
    }
    path = tmp_path / "status.sock"
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                body = documents[connection.recv(65_536).split()[1]]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    thread = threading.Thread(target=serve)
    thread.start()
    yield path
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.mark.parametrize("command", ["status", "climate", "sensors", "doctor --help"])
def test_a_command_that_asks_the_hub_imports_little(command: str, hub: Path) -> None:
    arguments = [*command.split(), "--socket", str(hub)]
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (exit_codes.OK, "")
    shown, _, modules = done.stdout.partition("MODULES")
    assert shown.strip()
    assert not HEAVY & set(modules.split())
