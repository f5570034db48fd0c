"""BME680 and BME688: temperature, humidity, pressure and the resistance of a heated gas sensor.

Source: Bosch's datasheet BST-BME680-DS001, version 1.9: 3.2.1 (sequence of a forced measurement), 3.3 (compensation in
integers), 3.3.5 and 3.4.1 (heater: 320 °C for 150 ms, as the kernel's driver has it), 5.2 and 5.3 (registers: id 0xD0
is 0x61; 0xF0 is 1 for BME688); Bosch's BME68x API (BSD-3-Clause) for the gas resistance of BME688.

Each measurement heats the sensor: read every minute, not every second. No index is computed here.
"""

import struct

import msgspec

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import Chip, Exchange, Measurement, Transfer, lost_midway, read_register, write_register

_ID, _ID_VALUE, _VARIANT = 0xD0, 0x61, 0xF0
_CALIBRATION_1, _CALIBRATION_1_BYTES = 0x8A, 23
_CALIBRATION_2, _CALIBRATION_2_BYTES = 0xE1, 14
_CALIBRATION_HEATER, _CALIBRATION_HEATER_BYTES = 0x00, 5
_RES_HEAT_0, _GAS_WAIT_0, _CTRL_GAS_0, _CTRL_GAS_1, _CTRL_HUM, _CTRL_MEAS = 0x5A, 0x64, 0x70, 0x71, 0x72, 0x74
_FIELD, _FIELD_BYTES = 0x1D, 17
_HEATER_C = 320
_GAS_WAIT_148_MS = 0x65
"""37 steps of 4 ms (5.3.3.3)."""
_HEATER_ON, _ONE_SAMPLE = 0x00, 0x01
_RUN_GAS, _RUN_GAS_688 = 0x10, 0x20
_SAMPLES_2_4_FORCED = 0x4D
"""Temperature twice, pressure four times, forced mode (5.3.1.2, 5.3.1.3)."""
_MEASURE_S = 0.2
_LOOK_S = 0.01
_LOOKS_MAX = 10
_IS_NEW = 0x80
_GAS_VALID, _HEATER_STABLE = 0x20, 0x10
_GAS, _GAS_688 = 0x2A - _FIELD, 0x2C - _FIELD

_K1 = (2147483647,) * 5 + (
    *(2126008810, 2147483647, 2130303777, 2147483647, 2147483647, 2143188679),
    *(2136746228, 2147483647, 2126008810, 2147483647, 2147483647),
)
_K2 = (
    *(4096000000, 2048000000, 1024000000, 512000000, 255744255, 127110228, 64000000, 32258064),
    *(16016016, 8000000, 4000000, 2000000, 1000000, 500000, 250000, 125000),
)
"""Table 16 of the datasheet (3.4.1), by gas range."""


class Calibration(msgspec.Struct, frozen=True):
    """The calibration words: par_t1 to par_t3, par_p1 to par_p10, par_h1 to par_h7, par_g1 to par_g3, and the heater's.

    Attributes:
        heater: res_heat_range, res_heat_val, range_switching_error.
    """

    t: tuple[int, ...]
    p: tuple[int, ...]
    h: tuple[int, ...]
    g: tuple[int, ...]
    heater: tuple[int, int, int]
    is_688: bool = False


def calibration_of(first: bytes, second: bytes, heater: bytes, *, is_688: bool = False) -> Calibration:
    """Return the calibration.

    Args:
        first: Registers 0x8A to 0xA0.
        second: Registers 0xE1 to 0xEE; par_h1 and par_h2 share 0xE2.
        heater: Registers 0x00 to 0x04.
        is_688: By the variant register.
    """
    t2, t3, p1, p2, p3, p4, p5, p7, p6, p8, p9, p10 = struct.unpack("<hbxHhbxhhbbxxhhB", first)
    e1, e2, e3, h3, h4, h5, h6, h7, t1, g2, g1, g3 = struct.unpack("<BBBbbbBbHhbb", second)
    value, span, error = struct.unpack("<bxBxb", heater)
    return Calibration(
        t=(t1, t2, t3),
        p=(p1, p2, p3, p4, p5, p6, p7, p8, p9, p10),
        h=(e3 << 4 | e2 & 0xF, e1 << 4 | e2 >> 4, h3, h4, h5, h6, h7),
        g=(g1, g2, g3),
        heater=((span & 0x30) >> 4, value, error >> 4),
        is_688=is_688,
    )


def quotient(dividend: int, divisor: int) -> int:
    """Divide as the datasheet's integers do: towards zero."""
    return abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)


def fine_temperature(raw: int, words: tuple[int, ...]) -> int:
    """Return `t_fine`, on which pressure and humidity depend."""
    t1, t2, t3 = words
    difference = (raw >> 3) - (t1 << 1)
    half = difference >> 1
    return ((difference * t2) >> 11) + ((((half * half) >> 12) * (t3 << 4)) >> 14)


def temperature_c(t_fine: int) -> float:
    """Return the temperature."""
    return ((t_fine * 5 + 128) >> 8) / 100


def pressure_pa(raw: int, t_fine: int, words: tuple[int, ...]) -> int:
    """Return the pressure in Pa; 0 where the calibration makes it impossible to say."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 = words
    fine = (t_fine >> 1) - 64000
    square = ((fine >> 2) * (fine >> 2)) >> 11
    offset = (((square * p6) >> 2) + ((fine * p5) << 1)) >> 2
    offset += p4 << 16
    slope = ((((((fine >> 2) * (fine >> 2)) >> 13) * (p3 << 5)) >> 3) + ((p2 * fine) >> 1)) >> 18
    divisor = ((32768 + slope) * p1) >> 15
    if not divisor:
        return 0
    pressure = (1048576 - raw - (offset >> 12)) * 3125
    pressure = quotient(pressure, divisor) << 1 if pressure >= 1 << 30 else quotient(pressure << 1, divisor)
    second = (p9 * (((pressure >> 3) * (pressure >> 3)) >> 13)) >> 12
    first = ((pressure >> 2) * p8) >> 13
    third = ((pressure >> 8) ** 3 * p10) >> 17
    return pressure + ((second + first + third + (p7 << 7)) >> 4)


def humidity_percent(raw: int, t_fine: int, words: tuple[int, ...]) -> float:
    """Return the relative humidity, from 0 to 100."""
    h1, h2, h3, h4, h5, h6, h7 = words
    centi_c = (t_fine * 5 + 128) >> 8
    offset = raw - h1 * 16 - (quotient(centi_c * h3, 100) >> 1)
    curve = quotient((centi_c * quotient(centi_c * h5, 100)) >> 6, 100)
    linear = offset * ((h2 * (quotient(centi_c * h4, 100) + curve + (1 << 14))) >> 10)
    factor = ((h6 << 7) + quotient(centi_c * h7, 100)) >> 4
    bend = (factor * (((linear >> 14) * (linear >> 14)) >> 10)) >> 1
    milli_percent = (((linear + bend) >> 10) * 1000) >> 12
    return min(max(milli_percent, 0), 100000) / 1000


def gas_ohm(raw: int, gas_range: int, switching_error: int) -> float:
    """Return the gas sensor's resistance of a BME680 (3.4.1)."""
    scale = ((1340 + 5 * switching_error) * _K1[gas_range]) >> 16
    divisor = (raw << 15) - 16777216 + scale
    return float((((_K2[gas_range] * scale) >> 9) + (divisor >> 1)) // divisor)


def gas_688_ohm(raw: int, gas_range: int) -> float:
    """Return the gas sensor's resistance of a BME688 (BME68x API, `calc_gas_resistance_high`)."""
    return 1e6 * (262144 >> gas_range) / (4096 + (raw - 512) * 3)


def heater_byte(target_c: int, ambient_c: float, calibration: Calibration) -> int:
    """Return what `res_heat_0` must hold for a temperature of the hotplate (3.3.5)."""
    g1, g2, g3 = calibration.g
    span, value, _ = calibration.heater
    slope = (g1 / 16 + 49) * (1 + (g2 / 32768 * 0.0005 + 0.00235) * target_c) + g3 / 1024 * ambient_c
    return min(max(int(3.4 * (slope * (4 / (4 + span)) / (1 + value * 0.002) - 25)), 0), 0xFF)


class Bme680(Chip):
    """One BME680 or BME688."""

    name = "bme680"
    addresses = (0x76, 0x77)
    quantities = (Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.PRESSURE, Quantity.GAS_RESISTANCE)
    overlay = "bme680"

    def __init__(self) -> None:
        """The calibration is read with the first measurement."""
        self._calibration: Calibration | None = None
        self._ambient_c = 25.0

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the id register."""
        return (yield read_register(_ID, 1))[0] == _ID_VALUE

    def measure(self) -> Exchange[Measurement]:
        """Measure once, with the heater."""
        calibration = yield from self._calibrated()
        yield write_register(_CTRL_GAS_0, _HEATER_ON)
        yield write_register(_RES_HEAT_0, heater_byte(_HEATER_C, self._ambient_c, calibration))
        yield write_register(_GAS_WAIT_0, _GAS_WAIT_148_MS)
        yield write_register(_CTRL_GAS_1, _RUN_GAS_688 if calibration.is_688 else _RUN_GAS)
        yield write_register(_CTRL_HUM, _ONE_SAMPLE)
        yield write_register(_CTRL_MEAS, _SAMPLES_2_4_FORCED, wait_s=_MEASURE_S)
        field = yield from self._field()
        if not (yield from self.identify()):
            raise lost_midway(self.name)
        t_fine = fine_temperature(int.from_bytes(field[5:8], "big") >> 4, calibration.t)
        self._ambient_c = temperature_c(t_fine)
        return {
            Quantity.TEMPERATURE: self._ambient_c,
            Quantity.HUMIDITY: humidity_percent(int.from_bytes(field[8:10], "big"), t_fine, calibration.h),
            Quantity.PRESSURE: pressure_pa(int.from_bytes(field[2:5], "big") >> 4, t_fine, calibration.p) / 100,
            Quantity.GAS_RESISTANCE: _gas(field, calibration),
        }

    def _calibrated(self) -> Exchange[Calibration]:
        if self._calibration is None:
            first = yield read_register(_CALIBRATION_1, _CALIBRATION_1_BYTES)
            second = yield read_register(_CALIBRATION_2, _CALIBRATION_2_BYTES)
            heater = yield read_register(_CALIBRATION_HEATER, _CALIBRATION_HEATER_BYTES)
            variant = (yield read_register(_VARIANT, 1))[0]
            if not (yield from self.identify()):
                raise lost_midway(self.name)
            self._calibration = calibration_of(first, second, heater, is_688=variant == 1)
        return self._calibration

    def _field(self) -> Exchange[bytes]:
        for _ in range(_LOOKS_MAX):
            field = yield read_register(_FIELD, _FIELD_BYTES)
            if field[0] & _IS_NEW:
                return field
            yield Transfer(wait_s=_LOOK_S)
        raise SensorUnavailable("disconnect its supply for a moment: it does not end measuring")


def _gas(field: bytes, calibration: Calibration) -> float:
    """Return the resistance; NaN where the heater missed its temperature: the other three values are right."""
    at = _GAS_688 if calibration.is_688 else _GAS
    raw, state = field[at] << 2 | field[at + 1] >> 6, field[at + 1]
    if state & (_GAS_VALID | _HEATER_STABLE) != _GAS_VALID | _HEATER_STABLE:
        return float("nan")
    if calibration.is_688:
        return gas_688_ohm(raw, state & 0xF)
    return gas_ohm(raw, state & 0xF, calibration.heater[2])
