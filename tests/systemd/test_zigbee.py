"""The drop-in for a Zigbee stick under a real systemd: the confined agent opens the port, pairs and relays."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.systemd.conftest import PROJECT, Cloud, install_package
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

CLIMAHUB = "/usr/bin/climahub"
CONFIG = "/etc/climahub/config.toml"
DROP_IN = "/etc/systemd/system/climahub.service.d/zigbee.conf"
STICK = "/opt/stick/stick"
HOUSE = '[[device]]\nname = "bedroom"\nmodel = "climate"\nvalues = { temperature_c = 19.5 }\n'


@pytest.fixture
def stick(machine: Machine, packages: Mapping[str, Path]) -> Iterator[Machine]:
    """The machine with an emulated stick in it, whose port belongs to the group that udev gives serial ports."""
    install_package(machine, packages["climahub-lab"])
    machine.write(f"{STICK}.toml", HOUSE)
    emulated = ("ncp", "--pty", f"{STICK}.port", "--devices", f"{STICK}.toml", "--control", f"{STICK}.orders")
    machine.run("systemd-run", "--unit=stick", "--quiet", CLIMAHUB, *emulated)
    machine.wait(lambda: (machine.run("sh", "-c", f"ls {STICK}.orders || true")).strip(), "the stick")
    machine.run("chown", "root:dialout", f"{STICK}.port")
    machine.run("chmod", "660", f"{STICK}.port")
    config = (machine.root / CONFIG.lstrip("/")).read_text()
    machine.write(CONFIG, f'{config}\n[zigbee]\nport = "{STICK}.port"\nchannel = 15\nreport_interval_s_min = 0\n')
    yield machine
    machine.write(CONFIG, config)
    machine.run("rm", "-f", DROP_IN)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "climahub")
    machine.run("systemctl", "stop", "stick")
    machine.run("dpkg", "--remove", "climahub-lab")


def radio(machine: Machine) -> dict[str, str]:
    asking = f"{CLIMAHUB} zigbee status >/dev/null 2>&1 && echo answered || true"
    machine.wait(lambda: machine.run("sh", "-c", asking), "the hub's answer")
    answered: dict[str, str] = json.loads(machine.run(CLIMAHUB, "zigbee", "status", "--json"))["radio"]
    return answered


def test_the_drop_in_opens_the_port_and_a_sensor_is_relayed(stick: Machine, cloud: Cloud) -> None:
    stick.run("systemctl", "restart", "climahub")
    stick.wait(lambda: radio(stick)["state"] == "lost", "the refusal of a port that the agent may not open")
    stick.write(DROP_IN, (PROJECT / "systemd" / "zigbee.conf").read_text())
    stick.run("systemctl", "daemon-reload")
    stick.run("systemctl", "restart", "climahub")
    stick.wait(lambda: radio(stick)["state"] == "up", "the radio")
    stick.write("/root/bedroom.key", cloud.provision("bedroom", "sensor"), 0o600)
    pairing = f"{CLIMAHUB} zigbee pair --name bedroom --key-file /root/bedroom.key --seconds 60"
    press = f"until {CLIMAHUB} ncp say {STICK}.orders press bedroom; do sleep 0.2; done"
    told = stick.run("sh", "-c", f"({press}) >/dev/null & {pairing}")
    assert "bedroom: paired" in told
    assert cloud.readings("bedroom")
    assert stick.run("stat", "-c", "%U", "/var/lib/climahub/zigbee-network.json").strip() == "climahub"
