"""A Zigbee stick under a real systemd: the confined agent opens its port, pairs and relays, and so it does restored."""

import json
import os
import shutil
import subprocess
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
SENSORS = ("attic", "kitchen")
"""Of the hub that moves."""
HOUSE = "".join(
    f'[[device]]\nname = "{name}"\nmodel = "climate"\nvalues = {{ temperature_c = 19.5 }}\n'
    for name in ("bedroom", *SENSORS)
)
FLASH = f"{STICK}.sensors"
"""What the sensors remember of their network: they stay where they are when a hub is replaced."""
BACKUP = "/root/hub.backup"
PHRASE = "/root/phrase"


def plug_in(machine: Machine, *options: str) -> None:
    """Start an emulated stick on the machine, whose port belongs to the group that udev gives serial ports."""
    machine.write(f"{STICK}.toml", HOUSE)
    emulated = ("ncp", "--pty", f"{STICK}.port", "--devices", f"{STICK}.toml", "--control", f"{STICK}.orders")
    machine.run("systemd-run", "--unit=stick", "--quiet", CLIMAHUB, *emulated, "--sensors", FLASH, *options)
    machine.wait(lambda: (machine.run("sh", "-c", f"ls {STICK}.orders || true")).strip(), "the stick")
    machine.run("chown", "root:dialout", f"{STICK}.port")
    machine.run("chmod", "660", f"{STICK}.port")


@pytest.fixture
def stick(machine: Machine, packages: Mapping[str, Path]) -> Iterator[Machine]:
    """The machine with an emulated stick in it."""
    install_package(machine, packages["climahub-lab"])
    plug_in(machine, "--state", f"{STICK}.state")
    config = (machine.root / CONFIG.lstrip("/")).read_text()
    machine.write(CONFIG, f'{config}\n[zigbee]\nport = "{STICK}.port"\nchannel = 15\nreport_interval_s_min = 0\n')
    yield machine
    machine.write(CONFIG, config)
    machine.run("rm", "-f", DROP_IN)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "climahub")
    machine.run("sh", "-c", "systemctl stop stick || true")
    machine.run("dpkg", "--remove", "climahub-lab")


def radio(machine: Machine) -> dict[str, str]:
    asking = f"{CLIMAHUB} zigbee status >/dev/null 2>&1 && echo answered || true"
    machine.wait(lambda: machine.run("sh", "-c", asking), "the hub's answer")
    answered: dict[str, str] = json.loads(machine.run(CLIMAHUB, "zigbee", "status", "--json"))["radio"]
    return answered


def pair(machine: Machine, cloud: Cloud, name: str) -> None:
    machine.write(f"/root/{name}.key", cloud.provision(name, "sensor"), 0o600)
    pairing = f"{CLIMAHUB} zigbee pair --name {name} --key-file /root/{name}.key --seconds 60"
    press = f"until {CLIMAHUB} ncp say {STICK}.orders press {name}; do sleep 0.2; done"
    told = machine.run("sh", "-c", f"({press}) >/dev/null & {pairing}")
    assert f"{name}: paired" in told


def measure(machine: Machine, cloud: Cloud, value: float) -> None:
    """Let each sensor measure a value, and wait until the cloud has it from each."""
    for name in SENSORS:
        machine.run(CLIMAHUB, "ncp", "say", f"{STICK}.orders", "set", name, f"temperature_c={value}")
    for name in SENSORS:
        machine.wait(
            lambda name=name: value in {each["value"] for each in cloud.list_readings(name)},  # type: ignore[misc]
            f"{value} of {name} at the cloud",
        )


def members(machine: Machine) -> list[dict[str, object]]:
    """Return what identifies each paired sensor, and how far it has got."""
    listed = json.loads(machine.run(CLIMAHUB, "zigbee", "list", "--json"))["sensors"]
    return [{key: each[key] for key in ("device", "name", "sensor_id", "stage")} for each in listed]


def test_the_drop_in_opens_the_port_and_a_sensor_is_relayed(stick: Machine, cloud: Cloud) -> None:
    stick.run("systemctl", "restart", "climahub")
    stick.wait(lambda: radio(stick)["state"] == "lost", "the refusal of a port that the agent may not open")
    stick.write(DROP_IN, (PROJECT / "systemd" / "zigbee.conf").read_text())
    stick.run("systemctl", "daemon-reload")
    stick.run("systemctl", "restart", "climahub")
    stick.wait(lambda: radio(stick)["state"] == "up", "the radio")
    pair(stick, cloud, "bedroom")
    assert cloud.readings("bedroom")
    assert stick.run("stat", "-c", "%U", "/var/lib/climahub/zigbee-network.json").strip() == "climahub"


@pytest.fixture
def blank(machine: Machine, packages: Mapping[str, Path], tmp_path: Path) -> Iterator[Machine]:
    """A machine with the package and nothing of a hub; switched off, for two hubs never run with one key."""
    root = tmp_path / "blank"
    subprocess.run(["cp", "-a", os.environ["CLIMAHUB_ROOTFS"], str(root)], check=True)
    made = Machine(root)
    yield made
    made.power_off()
    shutil.rmtree(root, ignore_errors=True)
    machine.power_on()


def test_a_blank_machine_becomes_the_hub_that_was_backed_up_and_no_sensor_is_paired_again(
    stick: Machine, blank: Machine, cloud: Cloud, packages: Mapping[str, Path]
) -> None:
    stick.write(DROP_IN, (PROJECT / "systemd" / "zigbee.conf").read_text())
    stick.run("systemctl", "daemon-reload")
    stick.run("systemctl", "restart", "climahub")
    stick.wait(lambda: radio(stick)["state"] == "up", "the radio")
    for name in SENSORS:
        pair(stick, cloud, name)
    measure(stick, cloud, 20.25)
    stick.write(PHRASE, "correct horse battery", 0o600)
    stick.run(CLIMAHUB, "backup", BACKUP, "--passphrase-file", PHRASE)
    before = members(stick)
    stick.run("systemctl", "stop", "climahub", "stick")
    stick.power_off()

    blank.power_on()
    install_package(blank, packages["climahub"])
    install_package(blank, packages["climahub-lab"])
    for path in (BACKUP, PHRASE, FLASH):
        (blank.root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(stick.root / path.lstrip("/"), blank.root / path.lstrip("/"))
    shutil.copytree(stick.root / "opt/sensors", blank.root / "opt/sensors")
    plug_in(blank, "--seed", "99")
    said = blank.run(CLIMAHUB, "restore", BACKUP, "--passphrase-file", PHRASE)
    assert "restored: this machine is the hub" in said
    blank.run("systemctl", "start", "climahub")
    blank.wait(lambda: radio(blank)["state"] == "up", "the radio of the restored hub")
    measure(blank, cloud, 20.75)
    assert members(blank) == before
    assert {each["stage"] for each in before} == {"relaying"}
    assert "joined" not in blank.run("journalctl", "-u", "climahub", "--no-pager", "-o", "cat")
    assert blank.run("stat", "-c", "%a %U", "/var/lib/climahub/zigbee-network.json").strip() == "600 climahub"
