"""Chips on an emulated I2C bus, as their datasheets describe them. Standard library only: umockdev's side has it too.

`EmulatedBus.transfer` is what `hal.linux.i2c.bus.I2cPort.transfer` is: one transaction. Faults are planted in
`EmulatedBus.fault` and counted in bytes on the bus, so that a cable can be pulled at each of them.
"""

import errno
import os
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

Words = tuple[int, ...]


class EmulatedChip(Protocol):
    """What a chip does with the bytes of one message; may raise `OSError`."""

    def write(self, data: bytes) -> None: ...

    def read(self, count: int) -> bytes: ...


def refusal() -> OSError:
    return OSError(errno.ENXIO, os.strerror(errno.ENXIO))


def crc8(data: bytes, initial: int = 0xFF) -> int:
    """CRC-8 with polynomial 0x31, by the table's definition and not as `sensirion.py` has it."""
    register = initial
    for bit in (byte >> shift & 1 for byte in data for shift in range(7, -1, -1)):
        register = ((register << 1) & 0xFF) ^ (0x31 if (register >> 7) ^ bit else 0)
    return register


class RegisterChip:
    """Registers of one byte that count up while they are read."""

    def __init__(self, registers: Mapping[int, bytes]) -> None:
        self.registers = bytearray(256)
        for first, data in registers.items():
            self.registers[first : first + len(data)] = data
        self.pointer = 0
        self.written: list[tuple[int, int]] = []

    def write(self, data: bytes) -> None:
        self.pointer = data[0]
        for value in data[1:]:
            self.written.append((self.pointer, value))
            self.registers[self.pointer] = value
            self.pointer += 1

    def read(self, count: int) -> bytes:
        return bytes(self.registers[(self.pointer + at) & 0xFF] for at in range(count))


class WordRegisterChip:
    """Registers of two bytes; reading on gives the same one again."""

    def __init__(self, registers: Mapping[int, int]) -> None:
        self.registers = dict(registers)
        self.pointer = 0
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pointer = data[0]
        if len(data) > 1:
            self.written.append(data)
            self.registers[self.pointer] = int.from_bytes(data[1:3], "big")

    def read(self, count: int) -> bytes:
        data = self.registers.get(self.pointer, 0xFFFF).to_bytes(2, "big")
        return (data * (count // 2 + 1))[:count]


class SensirionChip:
    """Commands and words with checksums. What is not known is refused, and a read where nothing is to be read."""

    def __init__(self, answers: Mapping[bytes, Words], *, initial: int = 0xFF) -> None:
        self.answers = dict(answers)
        self.initial = initial
        self.pending = b""
        self.written: list[bytes] = []
        self.bad_checksum_at: int | None = None

    def write(self, data: bytes) -> None:
        self.written.append(data)
        code = self.code_of(data)
        if code is None:
            raise refusal()
        found = self.answer(code)
        if found is None:
            raise refusal()
        self.pending = b"".join(self.with_checksum(word) for word in found)
        if self.bad_checksum_at is not None and self.pending:
            at = self.bad_checksum_at % len(self.pending)
            self.pending = self.pending[:at] + bytes([self.pending[at] ^ 0x01]) + self.pending[at + 1 :]

    def code_of(self, data: bytes) -> bytes | None:
        for size in (2, 1):
            if data[:size] in self.answers:
                return data[:size]
        return None

    def answer(self, code: bytes) -> Words | None:
        return self.answers[code]

    def with_checksum(self, word: int) -> bytes:
        data = word.to_bytes(2, "big")
        return data + bytes([crc8(data, self.initial)])

    def read(self, count: int) -> bytes:
        if not self.pending:
            raise refusal()
        data, self.pending = self.pending, b""
        return data[:count] + b"\xff" * (count - len(data))


class PeriodicChip(SensirionChip):
    """Measures by itself once it is started; one measurement is read once. While it measures, it refuses the start."""

    def __init__(
        self, answers: Mapping[bytes, Words], *, start: bytes, ready: bytes, read: bytes, refuses_start: bool
    ) -> None:
        super().__init__(answers)
        self.start, self.ready_code, self.read_code, self.refuses_start = start, ready, read, refuses_start
        self.is_measuring = False
        self.is_ready = False

    def answer(self, code: bytes) -> Words | None:
        if code == self.start:
            if self.is_measuring and self.refuses_start:
                return None
            self.is_measuring = True
            return ()
        if code == self.ready_code:
            return (1 if self.is_ready else 0,)
        if code == self.read_code:
            if not self.is_ready:
                return None
            self.is_ready = False
        return super().answer(code)

    def let_measure(self) -> None:
        self.is_ready = self.is_measuring


class LineExpander:
    """A PCF8574: any byte written to it switches its lines, which may be relays. No reader may ever write to it."""

    def __init__(self) -> None:
        self.lines = 0xFF
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.lines = data[-1]

    def read(self, count: int) -> bytes:
        return bytes([self.lines]) * count


class EmulatedBus:
    """Chips by address, and a fault.

    Faults: `None`; an `errno` for each transfer (`ETIMEDOUT` where a line is held low); or
    `("pulled", n)`: the cable comes off after n bytes: what is still read is 0xFF, and afterwards nobody answers.
    """

    def __init__(self, chips: Mapping[int, EmulatedChip]) -> None:
        self.chips = dict(chips)
        self.fault: int | tuple[str, int] | None = None
        self.bytes_done = 0
        self.closed = 0
        self.transfers: list[tuple[int, bytes, int]] = []

    def transfer(self, address: int, write: bytes, read_bytes: int) -> bytes:
        self.transfers.append((address, bytes(write), read_bytes))
        if isinstance(self.fault, int):
            raise OSError(self.fault, os.strerror(self.fault))
        self._start(address)
        if write:
            if self._passes(len(write)) < len(write):
                raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
            self.chips[address].write(bytes(write))
        if not read_bytes:
            return b""
        self._start(address)
        data = self.chips[address].read(read_bytes)
        passed = self._passes(read_bytes)
        return data[:passed] + b"\xff" * (read_bytes - passed)

    def _start(self, address: int) -> None:
        if address not in self.chips or self._is_pulled():
            raise refusal()
        if self._passes(1) < 1:
            raise refusal()

    def _is_pulled(self) -> bool:
        return isinstance(self.fault, tuple) and self.bytes_done >= self.fault[1]

    def _passes(self, count: int) -> int:
        """Count bytes on the bus; return how many of them the chip and the controller still share."""
        before, self.bytes_done = self.bytes_done, self.bytes_done + count
        return min(count, max(0, self.fault[1] - before)) if isinstance(self.fault, tuple) else count

    def close(self) -> None:
        self.closed += 1


BMP280_T, BMP280_P = (27504, 26435, -1000), (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
BMP280_ADC_T, BMP280_ADC_P = 519888, 415148
"""The example of the datasheet BST-BMP280-DS001, 3.12: 25.08 °C and 100653 Pa."""

BME280_H = (75, 362, 0, 313, 50, 30)
BME280_ADC_H = 27000


def twenty_bits(raw: int) -> bytes:
    return (raw << 4).to_bytes(3, "big")


def bme280() -> RegisterChip:
    h1, h2, h3, h4, h5, h6 = BME280_H
    return RegisterChip(
        {
            0x88: struct.pack("<HhhHhhhhhhhhxB", *BMP280_T, *BMP280_P, h1),
            0xE1: struct.pack("<hBbBbb", h2, h3, h4 >> 4, (h4 & 0xF) | (h5 & 0xF) << 4, h5 >> 4, h6),
            0xD0: b"\x60",
            0xF7: twenty_bits(BMP280_ADC_P) + twenty_bits(BMP280_ADC_T) + BME280_ADC_H.to_bytes(2, "big"),
        }
    )


BME680_T, BME680_P = (26041, 26469, 3), (36673, -10515, 88, 7310, -129, 30, 46, -3177, -2379, 30)
BME680_H, BME680_G, BME680_HEATER = (676, 1029, 0, 45, 20, 120, -100), (-30, -24754, 18), (1, 48, 0)
BME680_ADC_T, BME680_ADC_P, BME680_ADC_H = 501240, 353485, 19019
"""A chip's words as its owner published them (github.com/pimoroni/bme680-python, issue 11)."""


def bme680(*, variant: int = 0, gas_raw: int = 420, gas_range: int = 5, gas_state: int = 0x30) -> RegisterChip:
    (t1, t2, t3), (p1, p2, p3, p4, p5, p6, p7, p8, p9, p10) = BME680_T, BME680_P
    (h1, h2, h3, h4, h5, h6, h7), (g1, g2, g3), (span, value, error) = BME680_H, BME680_G, BME680_HEATER
    field = bytearray(17)
    field[0] = 0x80
    field[2:5], field[5:8] = twenty_bits(BME680_ADC_P), twenty_bits(BME680_ADC_T)
    field[8:10] = BME680_ADC_H.to_bytes(2, "big")
    at = 15 if variant else 13
    field[at : at + 2] = bytes([gas_raw >> 2, (gas_raw & 0x3) << 6 | gas_state | gas_range])
    return RegisterChip(
        {
            0x8A: struct.pack("<hbxHhbxhhbbxxhhB", t2, t3, p1, p2, p3, p4, p5, p7, p6, p8, p9, p10),
            0xE1: struct.pack(
                "<BBBbbbBbHhbb", h2 >> 4, (h2 & 0xF) << 4 | h1 & 0xF, h1 >> 4, h3, h4, h5, h6, h7, t1, g2, g1, g3
            ),
            0x00: struct.pack("<bxBxb", value, span << 4, error << 4),
            0xD0: b"\x61",
            0xF0: bytes([variant]),
            0x1D: bytes(field),
        }
    )


def sht3x() -> SensirionChip:
    """Half of the full scale: 42.5 °C and 50 %."""
    return SensirionChip({b"\xf3\x2d": (0x8010,), b"\x24\x00": (0x8000, 0x8000)})


def sht4x() -> SensirionChip:
    return SensirionChip({b"\x89": (0x1234, 0x5678), b"\xfd": (0x6666, 0x72B0)})


def shtc3() -> SensirionChip:
    """A quarter of the full scale: -1.25 °C and 25 %."""
    return SensirionChip({b"\x35\x17": (), b"\xef\xc8": (0x0887,), b"\x78\x66": (0x4000, 0x4000), b"\xb0\x98": ()})


def scd4x() -> PeriodicChip:
    """The example of the datasheet, 3.5.2: 500 ppm, 25 °C, 37 %."""
    return PeriodicChip(
        {b"\x21\xac": (), b"\xe4\xb8": (), b"\xec\x05": (0x01F4, 0x6667, 0x5EB9)},
        start=b"\x21\xac",
        ready=b"\xe4\xb8",
        read=b"\xec\x05",
        refuses_start=True,
    )


def scd30() -> PeriodicChip:
    """The example of the interface description, 1.4.5: 439.09 ppm, 27.2 °C, 48.8 %."""
    return PeriodicChip(
        {
            b"\x00\x10": (),
            b"\x02\x02": (),
            b"\x03\x00": (0x43DB, 0x8C2E, 0x41D9, 0xE7FF, 0x4243, 0x3A1B),
            b"\xd1\x00": (0x0342,),
        },
        start=b"\x00\x10",
        ready=b"\x02\x02",
        read=b"\x03\x00",
        refuses_start=False,
    )


def htu21() -> SensirionChip:
    """The examples of the datasheet's page on checksums: 0x683A is 24.7 °C, 0x4E85 (humidity: status 0x2) 32.3 %."""
    return SensirionChip(
        {b"\xfc\xc9": (0x1500, 0xFFB5), b"\xf3": (0x683A & ~0x3,), b"\xf5": (0x4E85 & ~0x3 | 0x2,)}, initial=0
    )


def sgp40() -> SensirionChip:
    return SensirionChip({b"\x20\x2f": (0x3220,), b"\x26\x0f": (0x7D00,)})


def ens160() -> RegisterChip:
    return RegisterChip({0x00: b"\x60\x01", 0x10: b"\x00", 0x20: bytes([0x82, 2, 0x5E, 0x01, 0xBC, 0x02])})


def tmp102() -> WordRegisterChip:
    """25 °C is 0x190 (datasheet, table 8-2), left aligned."""
    return WordRegisterChip({0: 0x1900, 1: 0x60A0, 2: 0x4B00, 3: 0x5000})


def lm75() -> WordRegisterChip:
    return WordRegisterChip({0: 0x1980, 1: 0x0000, 2: 0x4B00, 3: 0x5000})


def max17048() -> RegisterChip:
    return RegisterChip({0x02: b"\xc3\x50" + b"\x57\x80", 0x08: b"\x00\x12"})


def ina219() -> WordRegisterChip:
    """12 V (3000 steps of 4 mV, ready bit set) and -20 mV."""
    return WordRegisterChip({0: 0x399F, 1: (-2000) & 0xFFFF, 2: 3000 << 3 | 0x2})


def ready(chip: EmulatedChip) -> EmulatedChip:
    """Return a chip that has something to read."""
    if isinstance(chip, PeriodicChip):
        chip.is_measuring = chip.is_ready = True
    if isinstance(chip, RegisterChip) and chip.registers[0] == 0x60:
        chip.registers[0x10] = 2
    return chip


class Pcf8574:
    """An expander with one byte of outputs; `shorted` lines are low whatever is written (datasheet SCPS068)."""

    def __init__(self) -> None:
        self.latch = 0xFF
        self.shorted = 0
        self.told: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)
        self.latch = data[-1]

    def read(self, count: int) -> bytes:
        return bytes([self.latch & ~self.shorted]) * count


class Mcp23017:
    """An expander with two ports; lines are inputs with pull-ups after power-on (datasheet DS20001952)."""

    IODIR, GPIO, OLAT = 0x00, 0x12, 0x14

    def __init__(self) -> None:
        self.registers = bytearray(0x16)
        self.set(self.IODIR, 0xFFFF)
        self.shorted = 0
        self.told: list[bytes] = []
        self._at = 0

    def set(self, first: int, value: int) -> None:
        self.registers[first : first + 2] = value.to_bytes(2, "little")

    def get(self, first: int) -> int:
        return int.from_bytes(self.registers[first : first + 2], "little")

    def write(self, data: bytes) -> None:
        self._at = data[0]
        if len(data) > 1:
            self.told.append(data)
            self.registers[self._at : self._at + len(data) - 1] = data[1:]

    def read(self, count: int) -> bytes:
        inputs = self.get(self.IODIR)
        self.set(self.GPIO, (self.get(self.OLAT) & ~inputs | inputs) & ~self.shorted)
        return bytes(self.registers[self._at : self._at + count])


EXPANDERS: dict[str, Callable[[], "Pcf8574 | Mcp23017"]] = {"pcf8574": Pcf8574, "mcp23017": Mcp23017}
"""What is no sensor: relays hang on it."""

ALL: dict[str, tuple[int, Callable[[], EmulatedChip]]] = {
    "bme280": (0x76, bme280),
    "bme680": (0x77, bme680),
    "sht3x": (0x44, sht3x),
    "sht4x": (0x45, sht4x),
    "shtc3": (0x70, shtc3),
    "scd4x": (0x62, scd4x),
    "scd30": (0x61, scd30),
    "htu21": (0x40, htu21),
    "sgp40": (0x59, sgp40),
    "ens160": (0x53, ens160),
    "tmp102": (0x48, tmp102),
    "lm75": (0x4F, lm75),
    "max17048": (0x36, max17048),
    "ina219": (0x42, ina219),
}
"""Each chip with an address, made new by the call."""
