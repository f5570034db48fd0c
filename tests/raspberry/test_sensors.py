"""Sensors on the I2C bus of an emulated Raspberry Pi: the kernel's own drivers read them, the cloud gets the values.

The chips are QEMU's: TMP105 (hwmon, driver lm75), DPS310 (IIO) and the clock DS1338 (rtc-ds1307), on the BSC
controller by i2c-bcm2835. QEMU's DPS310 has constant registers; the TMP105 is warmed from outside.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.raspberry.conftest import install
from tests.raspberry.image import MODULES
from tests.raspberry.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_RASPBERRY" not in os.environ, reason="needs QEMU and a system for it: make raspberry"
)

BUS = 1
"""The bus on pins 3 and 5 of the header. The kernel numbers it by the aliases of the device tree."""
THERMOMETER = "thermometer"
DEVICES = (
    f"tmp105,bus=i2c-bus.{BUS},address=0x48,id={THERMOMETER}",
    f"dps310,bus=i2c-bus.{BUS},address=0x76",
    f"ds1338,bus=i2c-bus.{BUS},address=0x68",
)
NEW_DEVICES = (("tmp105", 0x48), ("dps310", 0x76), ("ds1338", 0x68))
"""As `i2c-sensor` and `i2c-rtc` of config.txt have the kernel know them."""
TEMPERATURE, PRESSURE = "i2c-1-0048/tmp105/temperature", "i2c-1-0076/dps310/pressure"
ROOM_C, LATER_C = 21.5, 20.25
CLOUD_S_MAX = 600
"""A reading each minute, sent within a minute, on a processor that is many times slower than the board's."""
PRESSURE_HPA = 929.47
"""What the driver makes of the constant registers of QEMU's DPS310 (hw/sensor/dps310.c)."""
PYTHON = "/opt/climahub/bin/python"
READINGS = "/run/readings.json"
CONFIG = f"""\
[cloud]
base_url = "http://127.0.0.1:8080"
[board]
name = "linux"
[sensors]
primary = {{ temperature = "{TEMPERATURE}" }}
[clock]
trust = "system"
"""
LOADER = """\
import ctypes, os, sys
FINIT_MODULE = 273  # linux/asm-generic/unistd.h
libc = ctypes.CDLL(None, use_errno=True)
for path in sys.argv[1:]:
    if libc.syscall(FINIT_MODULE, os.open(path, os.O_RDONLY), b"", 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
"""
READ_CLOCK = """\
import time
from agent.foundation.clock_sources import read_rtc_utc_ms
print(read_rtc_utc_ms(int(time.time() * 1000)))
"""
CLOCK_S_MAX = 60
"""The emulator is slow, not wrong by hours."""
CLOUD = f"""\
import asyncio, json, os, pathlib, uuid
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import open_cloud, serve

async def main():
    cloud = open_cloud(db=None, admin_token="", new_id=lambda: str(uuid.uuid4()), seed=1)
    key = pathlib.Path("/etc/climahub/api-key").read_text()
    cloud.admin.provision(NewDevice("hub", api_key=key))
    serving = asyncio.create_task(serve(cloud, port=8080, ready=print))
    while not serving.done():
        found = [[each.sensor_type, each.value] for each in cloud.admin.readings().readings]
        pathlib.Path("{READINGS}.new").write_text(json.dumps(found))
        os.replace("{READINGS}.new", "{READINGS}")
        await asyncio.sleep(1)
    serving.result()

asyncio.run(main())
"""
CLOUD_UNIT = f"""\
[Service]
ExecStart={PYTHON} /cloud.py
"""


@pytest.fixture(scope="module")
def machine(image: Path, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a board with the chips, tell the kernel of them, and start the cloud and the hub."""
    made = Machine(image, tmp_path_factory.mktemp("machine"), DEVICES)
    files = {
        "loader.py": LOADER,
        "cloud.py": CLOUD,
        "etc/systemd/system/cloud.service": CLOUD_UNIT,
        "etc/climahub/config.toml": CONFIG,
    }
    try:
        made.power_on(lambda archive: install(archive, project, files))
        made.run("python3", "-I", "-S", "/loader.py", *(f"/modules/{name}.ko" for name in MODULES))
        for name, address in NEW_DEVICES:
            made.write(f"/sys/bus/i2c/devices/i2c-{BUS}/new_device", f"{name} {address:#x}\n")
        warm(made, ROOM_C)
        made.run("systemctl", "start", "cloud", "climahub")
        yield made
    finally:
        made.power_off()


def received(machine: Machine) -> Mapping[str, list[float]]:
    """Return the values that the cloud has, by kind."""
    _, text, _ = machine.attempt("cat", READINGS)
    found: dict[str, list[float]] = {}
    for kind, value in json.loads(text or "[]"):
        found.setdefault(kind, []).append(value)
    return found


def warm(machine: Machine, celsius: float) -> None:
    """Give the thermometer a temperature, from outside the machine."""
    machine.set_property(f"/machine/peripheral/{THERMOMETER}", "temperature", round(celsius * 1000))


def test_values_of_the_chips_reach_the_cloud(machine: Machine) -> None:
    machine.wait(
        lambda: {"temperature", "pressure"} <= received(machine).keys(), CLOUD_S_MAX, "both kinds in the cloud"
    )
    assert set(received(machine)["temperature"]) == {ROOM_C}
    assert received(machine)["pressure"][-1] == pytest.approx(PRESSURE_HPA, abs=0.01)
    warm(machine, LATER_C)
    machine.wait(lambda: received(machine)["temperature"][-1] == LATER_C, CLOUD_S_MAX, f"{LATER_C} °C in the cloud")


def test_clock_of_the_board_gives_the_time(machine: Machine) -> None:
    """As after a power cut without a network: the hub takes the time of a clock with a battery."""
    read_ms = int(machine.run(PYTHON, "-c", READ_CLOCK))
    assert abs(read_ms / 1000 - time.time()) < CLOCK_S_MAX
