"""The protocol that Sensirion's chips share: commands and words of 16 bits, each word with a checksum.

Source: datasheet SHT3x-DIS (version 7, 4.1 to 4.12): commands are two bytes, high byte first; each word is followed by
CRC-8 with polynomial 0x31 and initial value 0xFF, and the checksum of 0xBEEF is 0x92. The other chips' datasheets say
the same. They refuse (NACK) a read while nothing is there to be read, and SCD30 knows no repeated start, so a command
and its answer are two transfers.
"""

from collections.abc import Sequence

from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import Exchange, Transfer

_POLYNOMIAL = 0x31
_WORD_BYTES = 3
"""With the checksum."""


def crc8(data: bytes, initial: int = 0xFF) -> int:
    """Return the CRC-8 with polynomial 0x31."""
    crc = initial
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ _POLYNOMIAL if crc & 0x80 else crc << 1
            crc &= 0xFF
    return crc


def command(code: int, *arguments: int, code_bytes: int = 2) -> bytes:
    """Return a command with its arguments, each with its checksum."""
    data = code.to_bytes(code_bytes, "big")
    for argument in arguments:
        value = argument.to_bytes(2, "big")
        data += value + bytes([crc8(value)])
    return data


def words(data: bytes, initial: int = 0xFF) -> Sequence[int]:
    """Return the words of an answer.

    Raises:
        SensorUnavailable: A checksum is wrong.
    """
    found = []
    for at in range(0, len(data), _WORD_BYTES):
        value, checksum = data[at : at + 2], data[at + 2]
        if crc8(value, initial) != checksum:
            raise SensorUnavailable(
                f"check the cable, its length and the pull-up resistors: the checksum of word {at // _WORD_BYTES} is"
                f" {checksum:#04x} and should be {crc8(value, initial):#04x}"
            )
        found.append(int.from_bytes(value, "big"))
    return found


def ask(code: int, words_count: int, *, wait_s: float, code_bytes: int = 2) -> Exchange[Sequence[int]]:
    """Send a command, wait, and return the words of its answer.

    Raises:
        SensorUnavailable: A checksum is wrong.
    """
    yield Transfer(command(code, code_bytes=code_bytes), wait_s=wait_s)
    answer = yield Transfer(read_bytes=words_count * _WORD_BYTES)
    return words(answer)
