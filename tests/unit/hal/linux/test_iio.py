"""Channels of industrial I/O chips: units by the document and by the driver that breaks it, identity by address."""

import shutil

import pytest

from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import HasUnsupportedSensors, SensorKind
from hal.linux.board import LinuxBoard
from tests.unit.hal.linux.conftest import Machine, sources, value


async def values(board: LinuxBoard) -> dict[str, float]:
    found = {reader.channel.name: round(await reader.read(), 6) for reader in board.channels}
    await board.close()
    return found


BME280 = {
    "name": "bme280",
    "in_temp_input": "20940",
    "in_humidityrelative_input": "42402",
    "in_pressure_input": "100.234",
}
BME680 = {
    "name": "bme680",
    "in_temp_input": "20940",
    "in_humidityrelative_input": "42.402",
    "in_pressure_input": "100.234000000",
    "in_resistance_input": "105432",
}
SCD4X = {
    "name": "scd41",
    "in_temp_raw": "27000",
    "in_temp_offset": "-16852",
    "in_temp_scale": "2.670288",
    "in_humidityrelative_raw": "29491",
    "in_humidityrelative_scale": "1.525878",
    "in_concentration_co2_raw": "812",
    "in_concentration_co2_scale": "0.0001",
}


async def test_bme280_by_the_documented_units(machine: Machine) -> None:
    machine.iio(0, machine.i2c("0076", driver="bmp280"), **BME280)
    board = machine.board()
    assert [(each.channel.bus, each.channel.address, each.channel.driver) for each in board.channels] == (
        [("i2c-1", "0076", "bmp280")] * 3
    )
    assert await values(board) == {
        "i2c-1-0076/bme280/humidity": 42.402,
        "i2c-1-0076/bme280/pressure": 1002.34,
        "i2c-1-0076/bme280/temperature": 20.94,
    }


async def test_bme680_gives_percent_where_the_document_wants_thousandths(machine: Machine) -> None:
    machine.iio(0, machine.i2c("0077", driver="bme680_i2c"), **BME680)
    assert await values(machine.board()) == {
        "i2c-1-0077/bme680/humidity": 42.402,
        "i2c-1-0077/bme680/pressure": 1002.34,
        "i2c-1-0077/bme680/gas_resistance": 105432.0,
        "i2c-1-0077/bme680/temperature": 20.94,
    }


async def test_raw_values_have_offset_and_scale(machine: Machine) -> None:
    machine.iio(3, machine.i2c("0062", driver="scd4x"), **SCD4X)
    assert await values(machine.board()) == {
        "i2c-1-0062/scd41/co2": 812.0,
        "i2c-1-0062/scd41/humidity": 44.999668,
        "i2c-1-0062/scd41/temperature": 27.098083,
    }


async def test_types_share_a_scale_and_have_numbers_and_directions(machine: Machine) -> None:
    machine.iio(
        0, machine.i2c("0048"), name="ads1015", in_voltage0_raw="100", in_voltage1_raw="50", in_voltage_scale="2"
    )
    machine.iio(1, machine.i2c("0053"), name="adxl345", in_accel_x_raw="10", in_accel_scale="0.5", in_rot_x_raw="1")
    machine.iio(2, machine.i2c("0023"), name="bh1750", in_illuminance_raw="1200", in_illuminance_scale="0.833333")
    machine.iio(
        4, machine.i2c("005a"), name="mlx90614", in_temp_ambient_raw="10", in_temp_object_raw="20", in_temp_scale="1000"
    )
    assert await values(machine.board()) == {
        "i2c-1-0048/ads1015/voltage": 0.2,
        "i2c-1-0048/ads1015/voltage1": 0.1,
        "i2c-1-0053/adxl345/acceleration-x": 5.0,
        "i2c-1-0023/bh1750/illuminance": 999.9996,
        "i2c-1-005a/mlx90614/temperature-ambient": 10.0,
        "i2c-1-005a/mlx90614/temperature-object": 20.0,
    }


async def test_case_a11_humidity_of_hwmon_and_chips_of_iio_without_a_device(machine: Machine) -> None:
    machine.write(
        machine.sys / "class" / "hwmon" / "hwmon1", name="sht3x", temp1_input="21340", humidity1_input="47210"
    )
    machine.write(machine.sys / "bus" / "iio" / "devices" / "iio:device0", **BME280)
    board = machine.board()
    assert {(each.name, each.kind): await each.read() for each in board.sensors} == {
        ("iio/bme280/temperature", SensorKind.TEMPERATURE): 20.94,
        ("iio/bme280/humidity", SensorKind.HUMIDITY): 42.402,
        ("iio/bme280/pressure", SensorKind.PRESSURE): pytest.approx(1002.34),
        ("hwmon/sht3x/temp1", SensorKind.TEMPERATURE): 21.34,
        ("hwmon/sht3x/humidity1", SensorKind.HUMIDITY): 47.21,
    }
    await board.close()


def test_chips_on_no_bus_are_told_apart_by_their_device(machine: Machine) -> None:
    machine.iio(0, machine.device("platform/dht11@4", subsystem="bus/platform"), name="dht11", in_temp_input="1")
    assert sources(machine.board()) == ["iio/dht11/temperature"]
    machine.iio(1, machine.device("platform/dht11@11", subsystem="bus/platform"), name="dht11", in_temp_input="1")
    assert sources(machine.board()) == ["iio/dht11@dht11@11/temperature", "iio/dht11@dht11@4/temperature"]


async def test_co2_that_is_estimated_is_not_used_and_named(machine: Machine) -> None:
    machine.iio(0, machine.i2c("005a"), name="ccs811", in_concentration_co2_raw="1", in_resistance_raw="1000")
    board = machine.board()
    assert [each.channel.name for each in board.channels] == ["i2c-1-005a/ccs811/gas_resistance"]
    assert isinstance(board, HasUnsupportedSensors)
    assert list(board.unsupported_sensors) == [
        "connect a sensor that measures CO2 (SCD4x): ccs811 (iio:device0) estimates it from other gases; not used"
    ]
    await board.close()


async def test_text_is_implausible(machine: Machine) -> None:
    machine.iio(0, machine.i2c("0076"), name="bme280", in_pressure_input="nan")
    with pytest.raises(ReadingImplausible, match='in_pressure_input: found "nan"; expected a number'):
        await value(machine.board(), "i2c-1-0076/bme280/pressure")


def unplug(machine: Machine, *addresses: str) -> None:
    for link in (machine.sys / "bus" / "iio" / "devices").iterdir():
        if link.resolve().parent.name in {f"1-{address}" for address in addresses}:
            shutil.rmtree(link.resolve())
            link.unlink()


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0), (4, 0), (1, 7)])
async def test_a_chip_is_found_under_another_number_and_never_read_as_another(
    machine: Machine, numbers: tuple[int, int]
) -> None:
    cold = {**BME280, "in_temp_input": "8000"}
    machine.iio(0, machine.i2c("0076"), **BME280)
    machine.iio(1, machine.i2c("0077"), **cold)
    board = machine.board()
    readers = {reader.channel.name: reader for reader in board.channels}
    warm, other = (readers[f"i2c-1-00{place}/bme280/temperature"] for place in ("76", "77"))
    unplug(machine, "0076", "0077")
    machine.iio(numbers[1], machine.i2c("0077"), **cold)
    with pytest.raises(SensorUnavailable, match=r"the device is gone; .* found again by its address \(1-0076\)"):
        await warm.read()
    assert await other.read() == 8.0
    machine.iio(numbers[0], machine.i2c("0076"), **BME280)
    assert (await warm.read(), await other.read()) == (20.94, 8.0)
    await board.close()


async def test_another_chip_at_the_same_address_is_not_read_in_its_place(machine: Machine) -> None:
    machine.iio(0, machine.i2c("0076"), **BME280)
    board = machine.board()
    unplug(machine, "0076")
    machine.iio(0, machine.i2c("0076"), **{**BME680, "in_temp_input": "30000"})
    with pytest.raises(SensorUnavailable, match="the device is gone"):
        await value(board, "i2c-1-0076/bme280/temperature")
