"""GPIO lines for a container, which has none, and a cold room on a relay.

A package of the name gpiod stands for the real one there, with its calls and their arguments
(tests/unit/hal/linux/test_gpio.py holds it to the real one's), and writes down who set which line to what, and when.
"""

from typing import NamedTuple

from tests.systemd.conftest import PROJECT
from tests.systemd.machine import Machine

CONFIG = "/etc/climahub/config.toml"
DROP_INS = "/etc/systemd/system/climahub.service.d"
DROP_IN = f"{DROP_INS}/gpio.conf"
LIBRARY = "/opt/lines"
"""Not in the package's environment: an upgrade makes that anew."""
LOG = "/var/lib/climahub/lines.log"
THERMOMETER = "/opt/sensors/class/hwmon/hwmon0/temp1_input"
GPIOD = """\
import os
import time
from gpiod import line

class LineSettings:
    def __init__(self, direction=None, active_low=False, output_value=None, bias=None):
        assert direction is line.Direction.OUTPUT

def note(text):
    with open("/var/lib/climahub/lines.log", "a") as log:
        log.write(f"{time.monotonic()} {os.getpid()} {text}\\n")

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


class Note(NamedTuple):
    """What a process did to the line, and when in seconds of the monotonic clock."""

    at_s: float
    process: str
    did: str


def notes(machine: Machine) -> list[Note]:
    """Return what was done to the line, in order."""
    path = machine.root / LOG.lstrip("/")
    lines = path.read_text().splitlines() if path.exists() else []
    return [Note(float(at_s), process, did) for at_s, process, did in (line.split() for line in lines)]


def add_relay(machine: Machine) -> str:
    """Give the machine a relay as docs/climate.md says, and a cold room; return the configuration before."""
    machine.write(f"{LIBRARY}/gpiod/__init__.py", GPIOD)
    machine.write(f"{LIBRARY}/gpiod/line.py", LINE)
    # As on Raspberry Pi OS, to whose members the lines belong.
    machine.run("groupadd", "--force", "gpio")
    machine.write(DROP_IN, (PROJECT / "systemd" / "climahub-gpio.conf").read_text())
    machine.write(f"{DROP_INS}/lines.conf", f"[Service]\nEnvironment=PYTHONPATH={LIBRARY}\n")
    machine.write(THERMOMETER, "12000\n")
    before = (machine.root / CONFIG.lstrip("/")).read_text()
    machine.write(CONFIG, before.replace('sysfs_root = "/opt/sensors"\n', f'sysfs_root = "/opt/sensors"{RELAYS}'))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "climahub")
    return before
