"""The kernel's own driver of the BME280 and the hub's reader, on the same registers: they agree within a digit.

The driver runs in Debian's kernel on an emulated x86 machine, on the kernel's emulated chip (i2c-stub). `make chip-vm`
makes the machine and sets `CLIMAHUB_I2C_VM`.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from hal.channels import Quantity
from hal.linux.i2c.bme280 import Bme280
from hal.linux.i2c.bus import I2cBus
from tests import emulated_chips
from tests.raspberry.cpio import Archive

INIT = Path(__file__).with_name("init.sh")
ADDRESS = 0x76
DATA = 0xF7
LIFE_S_MAX = 300.0
"""Ten seconds of a processor in software; builders have other work, and a nested KVM may not boot at all."""

RAW = {
    "datasheet": (emulated_chips.BMP280_ADC_P, emulated_chips.BMP280_ADC_T, emulated_chips.BME280_ADC_H),
    "frost": (460_000, 395_000, 31_000),
    "heat": (330_000, 640_000, 22_000),
    "dry": (415_148, 519_888, 15_000),
    "wet": (415_148, 519_888, 40_000),
}
"""What the chip measures: raw pressure, temperature and humidity."""


@pytest.fixture(scope="session")
def image() -> Path:
    if "CLIMAHUB_I2C_VM" not in os.environ:
        pytest.skip("needs an emulated x86 machine with Debian's kernel: run `make chip-vm`")
    return Path(os.environ["CLIMAHUB_I2C_VM"])


def chip(name: str) -> emulated_chips.RegisterChip:
    made = emulated_chips.bme280()
    pressure, temperature, humidity = RAW[name]
    data = [*emulated_chips.twenty_bits(pressure), *emulated_chips.twenty_bits(temperature)]
    made.registers[DATA : DATA + 8] = bytes([*data, *humidity.to_bytes(2, "big")])
    return made


@pytest.fixture(scope="session")
def by_kernel(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], str]:
    """Return what the kernel's driver reads: by registers and attribute."""
    start = tmp_path_factory.mktemp("i2c-vm") / "start.cpio"
    with start.open("wb") as out:
        out.write((image / "system.cpio").read_bytes())
        with Archive(out) as archive:
            archive.file("init", INIT.read_bytes(), 0o755)
            for name in RAW:
                # What the last image has set in the data must go; the rest of the emulated chip is zero.
                set_ = [(place, value) for place, value in enumerate(chip(name).registers) if value or place >= DATA]
                archive.file(
                    f"registers/{name}", "".join(f"{place:#04x} {value:#04x}\n" for place, value in set_).encode()
                )
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-nodefaults", "-nographic"]
    system = [
        "-kernel",
        str(image / "kernel"),
        "-initrd",
        str(start),
        "-append",
        "console=ttyS0 quiet loglevel=0 panic=-1",
    ]
    done = subprocess.run(
        [*command, "-serial", "stdio", "-no-reboot", *system],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIFE_S_MAX,
        check=True,
    )
    said = done.stdout.decode(errors="replace")
    assert "ALL READ" in said, said
    assert "NOT SET" not in said, said
    # The first line begins with the firmware's control characters.
    return {(name, attribute): value for name, attribute, value in re.findall(r"READ (\S+) (\S+) (\S+)\r?\n", said)}


def test_driver_reads_the_example_of_the_datasheet(by_kernel: Mapping[tuple[str, str], str]) -> None:
    assert by_kernel["datasheet", "in_temp_input"] == "25080"
    assert float(by_kernel["datasheet", "in_pressure_input"]) == pytest.approx(100.653, abs=0.001)
    assert len({value for (_, attribute), value in by_kernel.items() if attribute == "in_temp_input"}) == len(
        {raw[1] for raw in RAW.values()}
    )


@pytest.mark.parametrize("name", RAW)
def test_driver_and_reader_agree_on_the_same_registers(by_kernel: Mapping[tuple[str, str], str], name: str) -> None:
    bus = I2cBus("i2c-1", lambda: emulated_chips.EmulatedBus({ADDRESS: chip(name)}), lambda _: None)
    own = bus.run(ADDRESS, Bme280().measure(), "bme280")
    # Units: Documentation/ABI/testing/sysfs-bus-iio. The driver cuts humidity off after the thousandth of a percent.
    found = {attribute: float(value) for (image, attribute), value in by_kernel.items() if image == name}
    assert found["in_temp_input"] == pytest.approx(1000 * own[Quantity.TEMPERATURE], abs=1e-6)
    assert found["in_humidityrelative_input"] == pytest.approx(1000 * own[Quantity.HUMIDITY], abs=1.0)
    assert 10 * found["in_pressure_input"] == pytest.approx(own[Quantity.PRESSURE], abs=1e-6)
