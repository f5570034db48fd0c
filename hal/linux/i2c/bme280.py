"""BME280: temperature, humidity and pressure, measured once on request.

Source: Bosch's datasheet BST-BME280-DS002, version 1.23: 4.2.2 (calibration words), 4.2.3 (compensation in integers,
with a resolution of 0.01 °C, 1/256 Pa and 1/1024 %), 5.3 (registers: id 0xD0 is 0x60; a burst reads one consistent
measurement), 5.4.3 to 5.4.5 (forced mode; `ctrl_hum` counts with the next writing of `ctrl_meas`), 9.1 (at most 9.3 ms
with one sample each). Temperature and pressure are those of BMP280: its datasheet BST-BMP280-DS001, 3.12, has numbers.
"""

import struct

import msgspec

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import (
    Chip,
    Exchange,
    Measurement,
    Transfer,
    lost_midway,
    read_register,
    write_register,
)

_ID, _ID_VALUE = 0xD0, 0x60
_CALIBRATION, _CALIBRATION_BYTES = 0x88, 26
_CALIBRATION_HUMIDITY, _CALIBRATION_HUMIDITY_BYTES = 0xE1, 7
_CTRL_HUM, _STATUS, _CTRL_MEAS = 0xF2, 0xF3, 0xF4
_ONE_SAMPLE = 0x01
_ONE_SAMPLE_EACH_FORCED = 0x25
_MEASURE_S = 0.0093
_STATUS_TO_HUMIDITY_BYTES = 12
"""From `status` 0xF3 to the last byte of the humidity 0xFE."""
_DATA = 4
"""Where the pressure is in these."""
_IS_MEASURING = 0x08
_NO_TEMPERATURE, _NO_HUMIDITY = 0x80000, 0x8000
_LOOKS_MAX = 3


class Calibration(msgspec.Struct, frozen=True):
    """The calibration words: `t` is dig_T1 to dig_T3, `p` dig_P1 to dig_P9, `h` dig_H1 to dig_H6 (table 16)."""

    t: tuple[int, ...]
    p: tuple[int, ...]
    h: tuple[int, ...]


def calibration_of(low: bytes, high: bytes) -> Calibration:
    """Return the calibration.

    Args:
        low: Registers 0x88 to 0xA1.
        high: Registers 0xE1 to 0xE7; dig_H4 and dig_H5 share 0xE5.
    """
    found = struct.unpack("<HhhHhhhhhhhhxB", low)
    h2, h3, e4, e5, e6, h6 = struct.unpack("<hBbBbb", high)
    return Calibration(found[:3], found[3:12], (found[12], h2, h3, e4 * 16 + (e5 & 0xF), e6 * 16 + (e5 >> 4), h6))


def fine_temperature(raw: int, words: tuple[int, ...]) -> int:
    """Return `t_fine`, on which the other two depend."""
    t1, t2, t3 = words
    linear = (((raw >> 3) - (t1 << 1)) * t2) >> 11
    from_t1 = (raw >> 4) - t1
    return linear + ((((from_t1 * from_t1) >> 12) * t3) >> 14)


def temperature_c(t_fine: int) -> float:
    """Return the temperature."""
    return ((t_fine * 5 + 128) >> 8) / 100


def pressure_pa(raw: int, t_fine: int, words: tuple[int, ...]) -> float:
    """Return the pressure in Pa; 0 where the calibration makes it impossible to say."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = words
    fine = t_fine - 128000
    offset = fine * fine * p6 + ((fine * p5) << 17) + (p4 << 35)
    divisor = (((1 << 47) + ((fine * fine * p3) >> 8) + ((fine * p2) << 12)) * p1) >> 33
    if not divisor:
        return 0.0
    pressure = (((1048576 - raw) << 31) - offset) * 3125 // divisor
    square = (p9 * (pressure >> 13) * (pressure >> 13)) >> 25
    return (((pressure + square + ((p8 * pressure) >> 19)) >> 8) + (p7 << 4)) / 256


def humidity_percent(raw: int, t_fine: int, words: tuple[int, ...]) -> float:
    """Return the relative humidity, from 0 to 100."""
    h1, h2, h3, h4, h5, h6 = words
    fine = t_fine - 76800
    measured = ((raw << 14) - (h4 << 20) - h5 * fine + 16384) >> 15
    factor = (((((fine * h6) >> 10) * (((fine * h3) >> 11) + 32768)) >> 10) + 2097152) * h2 + 8192
    value = measured * (factor >> 14)
    value -= ((((value >> 15) * (value >> 15)) >> 7) * h1) >> 4
    return (min(max(value, 0), 419430400) >> 12) / 1024


class Bme280(Chip):
    """One BME280."""

    name = "bme280"
    addresses = (0x76, 0x77)
    quantities = (Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.PRESSURE)
    overlay = "bme280"

    def __init__(self) -> None:
        """The calibration is read with the first measurement."""
        self._calibration: Calibration | None = None

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the id register."""
        return (yield read_register(_ID, 1))[0] == _ID_VALUE

    def measure(self) -> Exchange[Measurement]:
        """Measure once."""
        calibration = yield from self._calibrated()
        yield write_register(_CTRL_HUM, _ONE_SAMPLE)
        yield write_register(_CTRL_MEAS, _ONE_SAMPLE_EACH_FORCED, wait_s=_MEASURE_S)
        data = yield from self._data()
        if not (yield from self.identify()):
            raise lost_midway(self.name)
        pressure = int.from_bytes(data[_DATA : _DATA + 3], "big") >> 4
        temperature = int.from_bytes(data[_DATA + 3 : _DATA + 6], "big") >> 4
        humidity = int.from_bytes(data[_DATA + 6 :], "big")
        if temperature == _NO_TEMPERATURE or humidity == _NO_HUMIDITY:
            raise SensorUnavailable("check its supply: it was reset while it measured")
        t_fine = fine_temperature(temperature, calibration.t)
        return {
            Quantity.TEMPERATURE: temperature_c(t_fine),
            Quantity.HUMIDITY: humidity_percent(humidity, t_fine, calibration.h),
            Quantity.PRESSURE: pressure_pa(pressure, t_fine, calibration.p) / 100,
        }

    def _calibrated(self) -> Exchange[Calibration]:
        if self._calibration is None:
            low = yield read_register(_CALIBRATION, _CALIBRATION_BYTES)
            high = yield read_register(_CALIBRATION_HUMIDITY, _CALIBRATION_HUMIDITY_BYTES)
            if not (yield from self.identify()):
                raise lost_midway(self.name)
            self._calibration = calibration_of(low, high)
        return self._calibration

    def _data(self) -> Exchange[bytes]:
        for _ in range(_LOOKS_MAX):
            data = yield read_register(_STATUS, _STATUS_TO_HUMIDITY_BYTES)
            if not data[0] & _IS_MEASURING:
                return data
            yield Transfer(wait_s=_MEASURE_S)
        raise SensorUnavailable("disconnect its supply for a moment: it does not end measuring")
