"""Channels of hardware monitoring chips, on made-up trees in the shape of /sys."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import SensorKind
from tests.unit.hal.linux.conftest import Machine, sources, value


async def test_a_temperature_is_millidegrees(machine: Machine, cpu: Path) -> None:
    board = machine.board()
    assert [(sensor.name, sensor.kind) for sensor in board.sensors] == [
        ("hwmon/cpu_thermal/temp1", SensorKind.TEMPERATURE)
    ]
    assert await value(board, "hwmon/cpu_thermal/temp1") == 48.312


async def test_below_zero_is_read(machine: Machine, cpu: Path) -> None:
    machine.write(cpu, temp1_input="-5500")
    assert await value(machine.board(), "hwmon/cpu_thermal/temp1") == -5.5


def test_labels_give_names_and_channels_come_in_the_order_of_their_numbers(machine: Machine) -> None:
    device = machine.device("platform/coretemp.0", subsystem="bus/platform")
    machine.hwmon(3, device, name="coretemp", temp1_input="1", temp1_label="Package id 0", temp2_input="1")
    machine.write(device / "hwmon" / "hwmon3", temp10_input="1", temp10_label="a/b", temp1_max="9", fan1_input="7")
    assert sources(machine.board()) == ["hwmon/coretemp/Package id 0", "hwmon/coretemp/temp2", "hwmon/coretemp/a_b"]


def test_equal_labels_are_told_apart_by_number(machine: Machine) -> None:
    device = machine.device("platform/nct", subsystem="bus/platform")
    machine.hwmon(0, device, name="nct", temp1_input="1", temp1_label="AUX", temp2_input="1", temp2_label="AUX")
    assert sources(machine.board()) == ["hwmon/nct/AUX-temp1", "hwmon/nct/AUX-temp2"]


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0), (7, 2)])
def test_chips_of_one_name_are_told_apart_by_address(machine: Machine, numbers: tuple[int, int]) -> None:
    for number, address in zip(numbers, ("0000:01:00.0", "0000:02:00.0"), strict=True):
        machine.device(f"pci0000:00/{address}", subsystem="bus/pci")
        disk = machine.device(f"pci0000:00/{address}/nvme/nvme{number}", subsystem="class/nvme")
        machine.hwmon(number, disk, name="nvme", temp1_input="1", temp1_label="Composite")
    assert sources(machine.board()) == [
        "hwmon/nvme@0000:01:00.0/Composite",
        "hwmon/nvme@0000:02:00.0/Composite",
    ]


def test_indistinguishable_chips_are_numbered(machine: Machine) -> None:
    device = machine.device("virtual/thermal/thermal_zone0", subsystem="class/thermal")
    for number in (0, 1):
        machine.hwmon(number, device, name="acpitz", temp1_input="1")
    assert sources(machine.board()) == [
        "hwmon/acpitz@thermal_zone0/temp1",
        "hwmon/acpitz@thermal_zone0/temp1#2",
    ]


def test_a_chip_without_a_device_is_virtual(machine: Machine) -> None:
    for number in (0, 1):
        machine.write(machine.sys / "class" / "hwmon" / f"hwmon{number}", name="vm", temp1_input="1")
    machine.write(machine.sys / "class" / "hwmon" / "hwmon2", name="empty")
    assert sources(machine.board()) == ["hwmon/vm@virtual/temp1", "hwmon/vm@virtual/temp1#2"]


def test_a_lone_thermometer_without_an_address_has_none_in_its_name(machine: Machine) -> None:
    machine.write(machine.sys / "class" / "hwmon" / "hwmon0", name="w1_slave_temp", temp1_input="20562")
    assert sources(machine.board()) == ["hwmon/w1_slave_temp/temp1"]


def test_an_old_driver_keeps_its_attributes_in_the_device(machine: Machine) -> None:
    device = machine.device("platform/old", subsystem="bus/platform")
    machine.hwmon(0, device)
    machine.write(device, name="old", temp1_input="20000")
    assert sources(machine.board()) == ["hwmon/old/temp1"]


def test_chip_without_name_or_temperature_is_ignored(machine: Machine) -> None:
    machine.hwmon(0, machine.device("platform/a", subsystem="bus/platform"), name="fans", fan1_input="1")
    machine.hwmon(1, machine.device("platform/b", subsystem="bus/platform"), temp1_input="1")
    assert sources(machine.board()) == ["hwmon/unnamed/temp1"]


SLAVES = ("28-0000000000aa", "28-0000000000bb")


WARM = {"28-0000000000aa": 21.0, "28-0000000000bb": 8.0}


def slave(machine: Machine, number: int, address: str) -> Path:
    device = machine.device(f"w1_bus_master1/{address}", subsystem="bus/w1")
    return machine.hwmon(number, device, name="w1_slave_temp", temp1_input=str(int(WARM[address] * 1000)))


def glitch(machine: Machine) -> None:
    """The bus loses its devices: the kernel removes them."""
    shutil.rmtree(machine.sys / "devices")
    for link in (machine.sys / "class" / "hwmon").iterdir():
        link.unlink()


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0), (5, 1), (1, 7)])
async def test_a_chip_that_comes_back_under_another_number_is_found_by_its_address(
    machine: Machine, numbers: tuple[int, int]
) -> None:
    for number, address in enumerate(SLAVES):
        slave(machine, number, address)
    board = machine.board()
    glitch(machine)
    for sensor in board.sensors:
        with pytest.raises(SensorUnavailable, match=r"the device is gone; .* found again by its address \(28-"):
            await sensor.read()
    for number, address in zip(numbers, SLAVES, strict=True):
        slave(machine, number, address)
    assert {sensor.name: await sensor.read() for sensor in board.sensors} == {
        f"w1-{address}/ds18b20/temperature": WARM[address] for address in SLAVES
    }
    await board.close()


async def test_missing_chip_is_never_replaced_by_another(machine: Machine) -> None:
    for number, address in enumerate(SLAVES):
        slave(machine, number, address)
    board = machine.board()
    glitch(machine)
    slave(machine, 0, SLAVES[1])
    first, second = board.sensors
    with pytest.raises(SensorUnavailable, match="the device is gone"):
        await first.read()
    assert await second.read() == 8.0
    await board.close()


async def test_different_chip_at_the_same_place_is_not_accepted(machine: Machine) -> None:
    board_device = machine.device("i2c-1/1-0044", subsystem="bus/i2c")
    machine.hwmon(0, board_device, name="sht3x", temp1_input="21340")
    board = machine.board()
    glitch(machine)
    machine.hwmon(0, machine.device("i2c-1/1-0045", subsystem="bus/i2c"), name="sht3x", temp1_input="70000")
    with pytest.raises(SensorUnavailable, match="the device is gone"):
        await value(board, "i2c-1-0044/sht3x/temperature")


async def test_indistinguishable_chips_are_unavailable_after_a_change(machine: Machine) -> None:
    def twins(*numbers: int) -> None:
        device = machine.device("virtual/thermal/thermal_zone0", subsystem="class/thermal")
        for number in numbers:
            machine.hwmon(number, device, name="acpitz", temp1_input=f"{number}000")

    twins(0, 1)
    board = machine.board()
    assert [await sensor.read() for sensor in board.sensors] == [0.0, 1.0]
    glitch(machine)
    twins(2, 3)
    for sensor in board.sensors:
        with pytest.raises(SensorUnavailable, match="2 chips named acpitz reappeared at thermal_zone0 and cannot be"):
            await sensor.read()
    await board.close()


def test_one_wire_sensor_keeps_its_name(machine: Machine) -> None:
    slave(machine, 0, SLAVES[1])
    assert sources(machine.board()) == [f"w1-{SLAVES[1]}/ds18b20/temperature"]


async def test_humidity_is_thousandths_of_a_percent(machine: Machine) -> None:
    device = machine.device("i2c-1/1-0044", subsystem="bus/i2c")
    machine.hwmon(
        0, device, name="sht3x", temp1_input="21340", humidity1_input="47210", humidity1_fault="0", temp2_input="1000"
    )
    board = machine.board()
    assert [(sensor.name, sensor.kind, await sensor.read()) for sensor in board.sensors] == [
        ("i2c-1-0044/sht3x/temperature", SensorKind.TEMPERATURE, 21.34),
        ("i2c-1-0044/sht3x/temperature2", SensorKind.TEMPERATURE, 1.0),
        ("i2c-1-0044/sht3x/humidity", SensorKind.HUMIDITY, 47.21),
    ]
    machine.write(device / "hwmon" / "hwmon0", humidity1_fault="1")
    with pytest.raises(SensorUnavailable, match=r"humidity1_fault: the chip reports a broken or missing sensor"):
        await value(board, "i2c-1-0044/sht3x/humidity")


async def test_voltages_currents_and_powers_stay_at_the_hub(machine: Machine) -> None:
    device = machine.device("i2c-1/1-0042", subsystem="bus/i2c")
    machine.hwmon(
        0, device, name="ina219", in0_input="12", in1_input="5012", curr1_input="-250", power1_input="1250000"
    )
    board = machine.board()
    assert sources(board) == []
    assert {each.channel.name: await each.read() for each in board.channels} == {
        "i2c-1-0042/ina219/voltage0": 0.012,
        "i2c-1-0042/ina219/voltage": 5.012,
        "i2c-1-0042/ina219/current": -0.25,
        "i2c-1-0042/ina219/power": 1.25,
    }
    await board.close()


async def test_fault_flag_makes_the_value_unavailable(machine: Machine, cpu: Path) -> None:
    machine.write(cpu, temp1_fault="1")
    with pytest.raises(SensorUnavailable, match=r"temp1_fault: the chip reports a broken or missing sensor; check"):
        await value(machine.board(), "hwmon/cpu_thermal/temp1")


async def test_cleared_fault_flag_is_ignored(machine: Machine, cpu: Path) -> None:
    machine.write(cpu, temp1_fault="0")
    assert await value(machine.board(), "hwmon/cpu_thermal/temp1") == 48.312


@pytest.mark.parametrize("text", ["", "warm", "12.5", "0x10", "9" * 19, "\udcff"])
async def test_text_in_place_of_a_number_is_implausible(machine: Machine, cpu: Path, text: str) -> None:
    (cpu / "temp1_input").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ReadingImplausible, match=r"temp1_input: found .*; expected a whole number"):
        await value(machine.board(), "hwmon/cpu_thermal/temp1")


async def test_a_device_that_went_is_unavailable_with_path_and_advice(machine: Machine, cpu: Path) -> None:
    board = machine.board()
    (cpu / "temp1_input").unlink()
    with pytest.raises(SensorUnavailable, match=r"hwmon0/temp1_input: No such file .*: the device is gone"):
        await value(board, "hwmon/cpu_thermal/temp1")


async def test_an_input_error_is_unavailable(machine: Machine, cpu: Path) -> None:
    # Reading one's own memory at address 0 is a real EIO.
    (cpu / "temp1_input").unlink()
    (cpu / "temp1_input").symlink_to("/proc/self/mem")
    with pytest.raises(SensorUnavailable, match=r"Input/output error: the bus to the device failed; check its wiring"):
        await value(machine.board(), "hwmon/cpu_thermal/temp1")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENODATA, "the driver has no value"),
        (errno.EAGAIN, "the device is busy"),
        (errno.ENXIO, "does not answer"),
        (errno.EOVERFLOW, "see the kernel's log"),
    ],
)
async def test_each_error_of_the_kernel_has_its_advice(
    machine: Machine, cpu: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    board = machine.board()

    # No file of a made-up tree can give these errors.
    def fail(path: Path, flags: int) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("hal.linux.sysfs.os.open", fail)
    with pytest.raises(SensorUnavailable, match=advice):
        await value(board, "hwmon/cpu_thermal/temp1")
