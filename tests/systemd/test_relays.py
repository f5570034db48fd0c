"""Relays under a real systemd: who may reach the lines, and that they are off whatever ended the agent.

A container has no lines. A package of the name gpiod stands for the real one there, with its calls and their arguments
(tests/unit/hal/linux/test_gpio.py holds it to the real one's), and writes down who set which line to what.
"""

import os
from collections.abc import Iterator

import pytest

from tests.systemd.conftest import PROJECT
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

UNIT = "climahub"
CONFIG = "/etc/climahub/config.toml"
DROP_IN = "/etc/systemd/system/climahub.service.d/gpio.conf"
LOG = "/var/lib/climahub/lines.log"
GPIOD = """\
import os
from gpiod import line

class LineSettings:
    def __init__(self, direction=None, active_low=False, output_value=None, bias=None):
        assert direction is line.Direction.OUTPUT

def note(text):
    with open("/var/lib/climahub/lines.log", "a") as log:
        log.write(f"{os.getpid()} {text}\\n")

class LineRequest:
    def __init__(self, lines):
        self._values = dict.fromkeys(lines, line.Value.INACTIVE)
        note("off")

    def set_values(self, values):
        self._values |= values
        note("on" if line.Value.ACTIVE in self._values.values() else "off")

    def get_values(self, lines):
        return [self._values[number] for number in lines]

    def release(self):
        note("released")

def request_lines(path, config, consumer=None):
    (lines,) = config
    return LineRequest(lines)
"""
LINE = """\
import enum
Value = enum.Enum("Value", [("INACTIVE", 0), ("ACTIVE", 1)])
Direction = enum.Enum("Direction", [("AS_IS", 1), ("INPUT", 2), ("OUTPUT", 3)])
Bias = enum.Enum("Bias", [("AS_IS", 1), ("PULL_UP", 4), ("PULL_DOWN", 5)])
"""
RELAYS = """
relays = [{ name = "living", heat_line = 17 }]
[climate]
relay_min_on_s = 0
relay_min_off_s = 0
relay_starts_per_hour_max = 60
zones = [{ id = "living", sensors = ["hwmon/w1_slave_temp/temp1"] }]
"""


def pid(machine: Machine) -> str:
    return machine.show(UNIT, "MainPID")


def noted(machine: Machine) -> list[list[str]]:
    """Return who did what to the lines, in order."""
    path = machine.root / LOG.lstrip("/")
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def heats(machine: Machine) -> str:
    """Wait until the agent heats; return its process."""
    machine.wait(lambda: [pid(machine), "on"] in noted(machine), "the relay's pulling in")
    return pid(machine)


@pytest.fixture
def heated(machine: Machine) -> Iterator[Machine]:
    """Give the machine relays as docs/climate.md says, and a cold room."""
    packages = machine.run("sh", "-c", "echo /usr/lib/climahub/current/lib/python3.*/site-packages").strip()
    machine.run("mv", f"{packages}/gpiod", f"{packages}/gpiod.real")
    machine.write(f"{packages}/gpiod/__init__.py", GPIOD)
    machine.write(f"{packages}/gpiod/line.py", LINE)
    # As on Raspberry Pi OS, to whose members the lines belong.
    machine.run("groupadd", "--force", "gpio")
    machine.write(DROP_IN, (PROJECT / "systemd" / "climahub-gpio.conf").read_text())
    machine.write("/opt/sensors/class/hwmon/hwmon0/temp1_input", "12000\n")
    before = (machine.root / CONFIG.lstrip("/")).read_text()
    machine.write(CONFIG, before.replace('sysfs_root = "/opt/sensors"\n', f'sysfs_root = "/opt/sensors"{RELAYS}'))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    yield machine
    machine.run("systemctl", "stop", UNIT)
    machine.run("rm", "-rf", DROP_IN, LOG, f"{packages}/gpiod")
    machine.run("mv", f"{packages}/gpiod.real", f"{packages}/gpiod")
    machine.write(CONFIG, before)
    machine.write("/opt/sensors/class/hwmon/hwmon0/temp1_input", "20562\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", UNIT)


def test_unit_opens_only_the_gpio_lines(heated: Machine) -> None:
    assert heated.show(UNIT, "ActiveState") == "active"
    assert heated.show(UNIT, "PrivateDevices") == "no"
    assert heated.show(UNIT, "DevicePolicy") == "closed"
    assert "char-gpiochip rw" in heated.show(UNIT, "DeviceAllow")
    assert heated.show(UNIT, "SupplementaryGroups") == "gpio"
    groups = heated.run("grep", "^Groups:", f"/proc/{pid(heated)}/status").split()[1:]
    assert heated.run("getent", "group", "gpio").split(":")[2] in groups
    assert heated.run("systemd-analyze", "verify", f"{UNIT}.service") == ""


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_killed_or_hanging_agent_leaves_no_relay_on(heated: Machine, signal: str) -> None:
    dead = heats(heated)
    heated.run("systemctl", "kill", "-s", signal, "--kill-whom=main", UNIT)
    heated.wait(lambda: pid(heated) not in {dead, "0"}, "the restart")
    after = noted(heated)
    last = max(number for number, (process, _) in enumerate(after) if process == dead)
    assert after[last] == [dead, "on"]
    # Who comes next is neither the dead nor his successor.
    assert len(after) > last + 1, "nobody has switched off what the dead left on"
    sweeper = after[last + 1][0]
    assert sweeper not in {dead, pid(heated)}
    assert [did for process, did in after[last + 1 :] if process == sweeper][-2:] == ["off", "released"]
    heats(heated)


def test_stopped_agent_and_exec_stop_post_switch_relays_off(heated: Machine) -> None:
    stopped = heats(heated)
    heated.run("systemctl", "stop", UNIT)
    assert heated.show(UNIT, "Result") == "success"
    assert [did for process, did in noted(heated) if process == stopped][-2:] == ["off", "released"]
    assert noted(heated)[-1][0] != stopped
    assert noted(heated)[-1][1] == "released"
