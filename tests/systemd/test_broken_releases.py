"""Releases that cannot work, properly signed, under a real systemd: the hub is back on the old one by itself."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from agent import __version__
from agent.ota import bundle_builder, bundle_format
from lab.simulation.rollout import PRIVATE_KEY, public_key_pem
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

CLIMAHUB = "/usr/bin/climahub"
DROP_IN = "/etc/systemd/system/climahub.service.d/release.conf"
HASTE = "[Service]\nTimeoutStartSec=15\nWatchdogSec=10\nRestartSec=100ms\n"

NOTIFY = """
import os, socket, time
def say(text):
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(text.encode(), "\\0" + address[1:] if address.startswith("@") else address)
"""

BROKEN = {
    "import error": "import a_module_that_was_forgotten\n",
    "syntax error": "def broken(:\n",
    "crash": "import ctypes\nctypes.string_at(0)\n",
    "never ready": "import time\ntime.sleep(1000)\n",
    "wedged": NOTIFY + "say('READY=1')\nwhile True: time.sleep(1000)\n",
    "late crash": NOTIFY + "say('READY=1')\nfor _ in range(3): say('WATCHDOG=1'); time.sleep(1)\nos.abort()\n",
}


def bundle(version: str, sequence: int, tree: Mapping[str, bytes]) -> bytes:
    payload = bundle_builder.pack(tree)
    manifest = bundle_builder.build_app_manifest(
        tree, payload, bundle_builder.BundleTarget(version, sequence, ("hub",))
    )
    unsigned = bundle_format.encode_unsigned(manifest)
    return (
        bundle_format.encode_signed(PRIVATE_KEY, bundle_format.parse(unsigned[bundle_format.PRELUDE_BYTES :]).payload)
        + payload
    )


def installed(machine: Machine, name: str, data: bytes) -> None:
    (machine.root / "root" / name).write_bytes(data)
    machine.run(CLIMAHUB, "update", "install", f"/root/{name}")


def account(machine: Machine) -> Mapping[str, Any]:
    path = machine.root / "var/lib/climahub/launcher.json"
    found: Mapping[str, Any] = json.loads(path.read_text()) if path.exists() else {"trial": ""}
    return found


def status(machine: Machine) -> Mapping[str, Any]:
    """Return what the hub says of its updates; nothing while it does not answer."""
    text = machine.run("sh", "-c", f"{CLIMAHUB} update status --json 2>/dev/null || true")
    found: Mapping[str, Any] = json.loads(text) if text.strip() else {}
    return found


@pytest.fixture(scope="module")
def hub(machine: Machine) -> Iterator[Machine]:
    """The machine with a key to trust and no patience; afterwards it runs again what the package has installed."""
    machine.write("/etc/climahub/update-keys/test.pub", public_key_pem().decode())
    config = machine.root / "etc/climahub/config.toml"
    if "[ota]" not in config.read_text():
        config.write_text(config.read_text() + '[ota]\nmaintenance_window = "always"\ntrial_s = 6\n')
    machine.write(DROP_IN, HASTE)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "climahub")
    machine.wait(lambda: status(machine).get("launcher") == 1, "the hub's local API")
    yield machine
    machine.run("systemctl", "stop", "climahub")
    machine.run("sh", "-c", f"rm -rf {DROP_IN} /var/lib/climahub/slots /var/lib/climahub/launcher.json*")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "climahub")
    machine.wait(lambda: status(machine).get("slot") == "base", "the hub's local API")


@pytest.mark.parametrize(("sequence", "name"), list(enumerate(BROKEN, start=10)), ids=list(BROKEN))
def test_broken_release_is_rolled_back_automatically(hub: Machine, sequence: int, name: str) -> None:
    version = f"{sequence}.0.0"
    installed(hub, f"{sequence}.bundle", bundle(version, sequence, {"__main__.py": BROKEN[name].encode()}))
    hub.wait(lambda: account(hub)["trial"], "the trial")
    began_s = time.monotonic()
    hub.wait(lambda: status(hub).get("failed") == version, "the way back")
    print(f"{name}: back after {time.monotonic() - began_s:.1f} s")  # noqa: T201 - the issue asks for the times
    found = status(hub)
    assert (found["slot"], found["state"], found["floor"]) == ("base", "failed", 0)
    assert hub.show("climahub", "ActiveState") == "active"


def test_a_good_release_is_committed(hub: Machine) -> None:
    """This very project, as the container has it installed, from a slot, under the version of a later release."""
    (packages,) = (hub.root / "usr/lib/climahub/current/lib").glob("python3*/site-packages")
    tree = {
        str(path.relative_to(packages)): path.read_bytes()
        for path in packages.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.relative_to(packages).parts[0].startswith("pip")
    }
    tree |= {
        name: data.replace(__version__.encode(), b"99.0.0")
        for name, data in tree.items()
        if name == "agent/__init__.py" or re.fullmatch(r"climahub-[^/]+\.dist-info/METADATA", name)
    }
    tree["__main__.py"] = bundle_builder.ENTRY_SOURCE
    installed(hub, "good.bundle", bundle("99.0.0", 99, tree))
    hub.wait(lambda: account(hub)["trial"], "the trial")
    began_s = time.monotonic()
    hub.wait(lambda: status(hub).get("state") == "completed", "the commit")
    print(f"a good release: committed after {time.monotonic() - began_s:.1f} s, 6 of them on trial")  # noqa: T201
    found = status(hub)
    assert (found["slot"], found["good"], found["floor"]) == ("a", "a", 99)
