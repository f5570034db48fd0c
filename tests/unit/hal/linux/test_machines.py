"""Ten machines as their kernels show them: names, kinds and the primary sensor; then hot-plug storms and exchanges.

The trees are made up after Raspberry Pi OS and Debian 12 and 13; the shapes are those of the kernel's documents.
"""

import random
import shutil
from collections.abc import Callable

import pytest

from agent.config.primary import choose_primary
from hal.errors import SensorUnavailable
from hal.interface import SensorKind
from hal.linux import board as board_module
from tests.unit.hal.linux.conftest import Machine
from tests.unit.hal.linux.test_iio import BME280, BME680, SCD4X

T, H, P = SensorKind.TEMPERATURE, SensorKind.HUMIDITY, SensorKind.PRESSURE


def pi(machine: Machine, *, rpi_volt: bool = True) -> None:
    machine.hwmon(
        0, machine.device("virtual/thermal/thermal_zone0", subsystem="class/thermal"), name="cpu_thermal",
        temp1_input="48312",
    )  # fmt: skip
    if rpi_volt:
        firmware = machine.device("platform/soc/soc:firmware/raspberrypi-hwmon", subsystem="bus/platform")
        machine.hwmon(1, firmware, name="rpi_volt", in0_lcrit_alarm="0")
    machine.wireless("wlan0: 0000 54. -56. -256")


def pi3_os(machine: Machine) -> None:
    """A Pi 3 with Raspberry Pi OS: SHT31 by overlay, a probe on the boiler's pipe."""
    pi(machine)
    machine.hwmon(2, machine.i2c("0044", driver="sht3x"), name="sht3x", temp1_input="21340", humidity1_input="47210")
    machine.hwmon(
        3, machine.one_wire("28-00000a1b2c3d", temperature="55000"), name="w1_slave_temp", temp1_input="55000"
    )


def pi3_debian(machine: Machine) -> None:
    """The same with Debian 12, where the SHT31 is not described: the probe alone."""
    pi(machine, rpi_volt=False)
    machine.one_wire("28-00000a1b2c3d", temperature="55000")


def pi4_os(machine: Machine) -> None:
    """A Pi 4 with Raspberry Pi OS: BME680 by overlay, a DS3231 clock that measures itself."""
    pi(machine)
    machine.iio(0, machine.i2c("0077", driver="bme680_i2c"), **BME680)
    machine.hwmon(2, machine.i2c("0068", driver="rtc-ds1307"), name="ds3231", temp1_input="31250")


def pi4_debian(machine: Machine) -> None:
    """A Pi 4 with Debian 13: BME280 by new_device, an SCD41 nobody drives (the hub reads it itself)."""
    pi(machine, rpi_volt=False)
    machine.iio(0, machine.i2c("0076", driver="bmp280"), **BME280)
    machine.i2c("0062")


def pi5_os(machine: Machine) -> None:
    """A Pi 5 with Raspberry Pi OS: its own clock's battery, rp1_adc, NVMe, SCD41 by overlay."""
    pi(machine)
    machine.hwmon(2, machine.device("platform/axi/rp1_adc", subsystem="bus/platform"), name="rp1_adc",
                  in1_input="1800", temp1_input="52000")  # fmt: skip
    machine.hwmon(3, machine.device("pci0001:00/0001:01:00.0/nvme/nvme0", subsystem="class/nvme"), name="nvme",
                  temp1_input="39850", temp1_label="Composite")  # fmt: skip
    machine.write(machine.sys / "class" / "rtc" / "rtc0", name="rpi-rtc soc:rpi_rtc", battery_voltage="3012000")
    machine.iio(0, machine.i2c("0062", driver="scd4x"), **SCD4X)


def pi5_debian(machine: Machine) -> None:
    """A Pi 5 with Debian 13 and two SHT4x, one behind a multiplexer whose bus number was given out."""
    pi(machine, rpi_volt=False)
    machine.hwmon(1, machine.i2c("0044", driver="sht4x"), name="sht4x", temp1_input="20500", humidity1_input="44000")
    mux = machine.i2c("0070", driver="pca954x")
    adapter = machine.device(mux.relative_to(machine.sys / "devices").as_posix() + "/i2c-11", subsystem="bus/i2c")
    (mux / "channel-3").symlink_to(adapter)
    behind = machine.device(adapter.relative_to(machine.sys / "devices").as_posix() + "/11-0044", subsystem="bus/i2c")
    machine.hwmon(2, behind, name="sht4x", temp1_input="18250", humidity1_input="51000")


def zero2_os(machine: Machine) -> None:
    """A Zero 2 with a DHT22 on a GPIO line and a UPS HAT with a MAX17048."""
    pi(machine)
    machine.iio(0, machine.device("platform/dht11@4", subsystem="bus/platform"), name="dht11@4",
                in_temp_input="21000", in_humidityrelative_input="48000")  # fmt: skip
    gauge = machine.i2c("0036", driver="max17040")
    machine.write(gauge, name="max17048")
    supply = machine.supply("battery", type="Battery", capacity="87", voltage_now="4012000")
    (supply / "device").symlink_to(gauge)


def zero2_debian(machine: Machine) -> None:
    """A Zero 2 without any sensor."""
    pi(machine, rpi_volt=False)


def pc(machine: Machine) -> None:
    """A PC with Debian 12: only parts of the machine, on a battery; a chip on its board without a name for a room."""
    machine.hwmon(0, machine.device("platform/coretemp.0", subsystem="bus/platform"), name="coretemp",
                  temp1_input="51000", temp1_label="Package id 0")  # fmt: skip
    machine.hwmon(1, machine.device("pci0000:00/0000:00:1d.0/nvme/nvme0", subsystem="class/nvme"), name="nvme",
                  temp1_input="38850", temp1_label="Composite")  # fmt: skip
    machine.supply("AC", type="Mains", online="1")
    machine.supply("BAT0", type="Battery", capacity="87")


def pc_usb(machine: Machine) -> None:
    """The same PC with an I2C adapter on USB, whose bus number is given out, and a BME280 on it."""
    pc(machine)
    port = machine.device("pci0000:00/0000:00:14.0/usb1/1-1/1-1.2", subsystem="bus/usb")
    place = port.relative_to(machine.sys / "devices").as_posix()
    machine.device(f"{place}/1-1.2:1.0", subsystem="bus/usb")
    machine.device(f"{place}/1-1.2:1.0/i2c-14", subsystem="bus/i2c")
    chip = machine.device(f"{place}/1-1.2:1.0/i2c-14/14-0076", subsystem="bus/i2c")
    machine.iio(0, chip, **BME280)


MACHINES: list[tuple[Callable[[Machine], None], set[str], dict[SensorKind, str]]] = [
    (
        pi3_os,
        {"hwmon/cpu_thermal/temp1", "i2c-1-0044/sht3x/temperature", "i2c-1-0044/sht3x/humidity",
         "w1-28-00000a1b2c3d/ds18b20/temperature", "wireless/wlan0"},
        {T: "i2c-1-0044/sht3x/temperature", H: "i2c-1-0044/sht3x/humidity"},
    ),
    (
        pi3_debian,
        {"hwmon/cpu_thermal/temp1", "w1-28-00000a1b2c3d/ds18b20/temperature", "wireless/wlan0"},
        {T: "w1-28-00000a1b2c3d/ds18b20/temperature"},
    ),
    (
        pi4_os,
        {"hwmon/cpu_thermal/temp1", "i2c-1-0077/bme680/temperature", "i2c-1-0077/bme680/humidity",
         "i2c-1-0077/bme680/pressure", "i2c-1-0077/bme680/gas_resistance", "i2c-1-0068/ds3231/temperature",
         "wireless/wlan0"},
        {T: "i2c-1-0077/bme680/temperature", H: "i2c-1-0077/bme680/humidity", P: "i2c-1-0077/bme680/pressure"},
    ),
    (
        pi4_debian,
        {"hwmon/cpu_thermal/temp1", "i2c-1-0076/bme280/temperature", "i2c-1-0076/bme280/humidity",
         "i2c-1-0076/bme280/pressure", "wireless/wlan0"},
        {T: "i2c-1-0076/bme280/temperature", H: "i2c-1-0076/bme280/humidity", P: "i2c-1-0076/bme280/pressure"},
    ),
    (
        pi5_os,
        {"hwmon/cpu_thermal/temp1", "hwmon/rp1_adc/temp1", "hwmon/rp1_adc/in1", "hwmon/nvme/Composite",
         "rtc/rpi-rtc/voltage", "i2c-1-0062/scd41/temperature", "i2c-1-0062/scd41/humidity", "i2c-1-0062/scd41/co2",
         "wireless/wlan0"},
        {T: "i2c-1-0062/scd41/temperature", H: "i2c-1-0062/scd41/humidity"},
    ),
    (
        pi5_debian,
        {"hwmon/cpu_thermal/temp1", "i2c-1-0044/sht4x/temperature", "i2c-1-0044/sht4x/humidity",
         "i2c-1-0070-ch3-0044/sht4x/temperature", "i2c-1-0070-ch3-0044/sht4x/humidity", "wireless/wlan0"},
        {T: "i2c-1-0044/sht4x/temperature", H: "i2c-1-0044/sht4x/humidity"},
    ),
    (
        zero2_os,
        {"hwmon/cpu_thermal/temp1", "iio/dht11@4/temperature", "iio/dht11@4/humidity", "i2c-1-0036/max17048/battery",
         "i2c-1-0036/max17048/voltage", "wireless/wlan0"},
        {T: "iio/dht11@4/temperature", H: "iio/dht11@4/humidity"},
    ),
    (zero2_debian, {"hwmon/cpu_thermal/temp1", "wireless/wlan0"}, {}),
    (
        pc,
        {"hwmon/coretemp/Package id 0", "hwmon/nvme/Composite", "power_supply/mains", "power_supply/BAT0"},
        {},
    ),
    (
        pc_usb,
        {"hwmon/coretemp/Package id 0", "hwmon/nvme/Composite", "power_supply/mains", "power_supply/BAT0",
         "usb-1-1.2-0076/bme280/temperature", "usb-1-1.2-0076/bme280/humidity", "usb-1-1.2-0076/bme280/pressure"},
        {T: "usb-1-1.2-0076/bme280/temperature", H: "usb-1-1.2-0076/bme280/humidity",
         P: "usb-1-1.2-0076/bme280/pressure"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "names", "primary"), MACHINES, ids=lambda each: getattr(each, "__name__", ""))
async def test_channels_and_primary_sensors_of_ten_machines(
    machine: Machine, make: Callable[[Machine], None], names: set[str], primary: dict[SensorKind, str]
) -> None:
    make(machine)
    board = machine.board()
    assert {each.channel.name for each in board.channels} == names
    chosen = choose_primary([(each.name, each.kind) for each in board.sensors], primary={}, disabled=())
    assert {kind: name for kind, name in chosen.sensors.items() if kind in {T, H, P}} == primary
    for each in board.channels:
        await each.read()
    await board.close()


WARM = {f"28-00000000000{digit}": 10.0 + number for number, digit in enumerate("0123456789")}
ROOMS = {f"00{place:02x}": 30.0 + place / 4 for place in range(0x70, 0x78)}


class Bus:
    """Thermometers that come and go on a made-up machine, each with a value of its own."""

    def __init__(self, machine: Machine, rng: random.Random) -> None:
        self.machine, self.rng = machine, rng
        self.present: set[str] = set()

    def plug(self) -> None:
        """Give every device a new number, as after a glitch; some stay away."""
        shutil.rmtree(self.machine.sys / "devices", ignore_errors=True)
        for links in ("class/hwmon", "bus/iio/devices", "bus/w1/devices"):
            shutil.rmtree(self.machine.sys / links, ignore_errors=True)
        numbers = list(range(40))
        self.rng.shuffle(numbers)
        self.present = {each for each in (*WARM, *ROOMS) if self.rng.random() < 0.7}
        for address in sorted(self.present):
            if address in WARM:
                milli, master = str(int(WARM[address] * 1000)), self.rng.choice((1, 2))
                device = self.machine.one_wire(
                    address, master, **({"temperature": milli} if address < "28-000000000005" else {})
                )
                self.machine.hwmon(numbers.pop(), device, name="w1_slave_temp", temp1_input=milli)
            else:
                values = {**BME280, "in_temp_input": str(int(ROOMS[address] * 1000))}
                self.machine.iio(numbers.pop(), self.machine.i2c(address), **values)

    def truth(self, name: str) -> float | None:
        """Return what a channel must read; `None` while its chip is away."""
        device = name.partition("/")[0].removeprefix("w1-").removeprefix("i2c-1-")
        return {**WARM, **ROOMS}[device] if device in self.present else None


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_exchanges_gives_the_right_chip_or_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Each value is a chip's own: whoever reads another chip under its name is found out."""
    monkeypatch.setattr(board_module, "RESCAN_S", 0.0)
    bus = Bus(machine, random.Random(seed))
    bus.plug()
    board = machine.board()
    for turn in range(12):
        bus.plug()
        if turn % 3 == 0:
            await board.search()
        for sensor in board.sensors:
            if sensor.kind is T:
                expected = bus.truth(sensor.name)
                try:
                    value: float | None = await sensor.read()
                except SensorUnavailable:
                    value = None
                assert value == expected, (sensor.name, turn)
    assert {each.name for each in board.sensors if each.kind is T} == {
        *(f"w1-{address}/ds18b20/temperature" for address in WARM),
        *(f"i2c-1-{address}/bme280/temperature" for address in ROOMS),
    }
    await board.close()
