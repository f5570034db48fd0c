"""climahub installed on a machine as docs/install.md says, beside a reference cloud on the same loopback."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.machine import Machine

PROJECT = Path(__file__).parents[2]
CONFIG = """\
[cloud]
base_url = "{url}"
commands_poll_interval_s = 3
commands_idle_poll_interval_s = 3
batch_linger_s = 1
[board]
name = "linux"
[board.linux]
sysfs_root = "/opt/sensors"
[port]
listen = ["127.0.0.1", "lo"]
port = 0
[clock]
trust = "system"
[log]
format = "journal"
"""


class Cloud:
    """The reference cloud, operated by its command line."""

    def __init__(self, directory: Path) -> None:
        """Serve, on a port of its own."""
        self._env = os.environ | {"CLIMAHUB_ADMIN_TOKEN": secrets.token_urlsafe(18)}
        command = [sys.executable, "-m", "agent", "cloud", "serve", "--port", "0"]
        self._process = subprocess.Popen(
            command, cwd=PROJECT, env=self._env, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        self.url = next(word for word in first.split() if word.startswith("http://")).rstrip(".,")
        self.key_file = directory / "hub.key"
        self._ask("provision", "hub", "--key-file", str(self.key_file))

    def provision(self, name: str, kind: str) -> str:
        """Make a device, a hub or a sensor, and return its key."""
        return str(self._json("provision", name, "--kind", kind)["api_key"])

    def new_key(self, name: str = "hub") -> str:
        """Have a new key made for a hub, and return it; the old one is worth nothing from then on."""
        key = str(self._json("new-key", name)["api_key"])
        if name == "hub":
            self.key_file.write_text(f"{key}\n")
        return key

    def command(self, type_: str) -> str:
        """Queue a command and return its id."""
        return str(self._json("command", "hub", type_)["command_id"])

    def state_of(self, command_id: str) -> str:
        """Return how a command ended, or "pending"."""
        return next(str(each["state"]) for each in self._json("commands", "hub") if each["command_id"] == command_id)

    def readings(self, device: str = "hub") -> int:
        """Return how many readings of a device have arrived."""
        return len(self.list_readings(device))

    def list_readings(self, device: str = "hub") -> list[dict[str, Any]]:
        """Return the readings of a device that have arrived, each with `at_ms` and `value`."""
        return [json.loads(line) for line in self._ask("readings", "--device", device, "--json").splitlines()]

    def serve_devices(self, state: str) -> None:
        """Serve requests of devices ("on"), or abort each one ("off"), as a cloud out of reach."""
        self._ask("listening", state)

    def readings_by_device(self) -> Mapping[str, int]:
        """Return how many readings of each device have arrived, by its name."""
        return Counter(line.split()[0] for line in self._ask("readings").splitlines())

    def end(self) -> None:
        """Stop serving."""
        self._process.terminate()
        self._process.communicate()

    def _json(self, *arguments: str) -> Any:  # noqa: ANN401 (any JSON)
        return json.loads(self._ask(*arguments, "--json"))

    def _ask(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "agent", "cloud", *arguments, "--url", self.url]
        return subprocess.run(command, cwd=PROJECT, env=self._env, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    served = Cloud(tmp_path_factory.mktemp("cloud"))
    yield served
    served.end()


@pytest.fixture(scope="session")
def machine(cloud: Cloud, packages: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = tmp_path_factory.mktemp("machine")
    subprocess.run(["cp", "-a", os.environ["CLIMAHUB_ROOTFS"], str(directory / "root")], check=True)
    made = Machine(directory / "root")
    try:
        made.power_on()
        install_package(made, packages["climahub"])
        configure(made, cloud)
        yield made
    finally:
        made.power_off()
        shutil.rmtree(directory / "root", ignore_errors=True)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The Debian packages of this tree, by name."""
    return build_packages(tmp_path_factory.mktemp("packages"))


def build_packages(output: Path) -> Mapping[str, Path]:
    """Build the Debian packages for this machine."""
    arch = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    command = [sys.executable, "-m", "debian.build", "--arch", arch, "--output", str(output)]
    subprocess.run(command, check=True, cwd=PROJECT)
    return {path.name.partition("_")[0]: path for path in output.glob("*.deb")}


def install_package(machine: Machine, package: Path) -> str:
    """Install a package without a network, as a stick or an operator's mirror brings it; return what dpkg printed."""
    shutil.copy(package, machine.root / "root")
    return machine.run("dpkg", "--install", f"/root/{package.name}")


def configure(machine: Machine, cloud: Cloud) -> None:
    """Write the configuration and the key as docs/install.md says, and start the service."""
    # A thermometer on a 1-Wire bus, as the kernel would show it: a container has no hardware.
    machine.write("/opt/sensors/class/hwmon/hwmon0/name", "w1_slave_temp\n")
    machine.write("/opt/sensors/class/hwmon/hwmon0/temp1_input", "20562\n")
    machine.write("/etc/climahub/config.toml", CONFIG.format(url=cloud.url))
    machine.write("/etc/climahub/api-key", cloud.key_file.read_text(), 0o600)
    # The unit's own times are made for years; a test has no two minutes to see a hang noticed, a busy one some.
    machine.write("/etc/systemd/system/climahub.service.d/haste.conf", "[Service]\nWatchdogSec=15\nRestartSec=1\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "climahub")
