"""Relays on the lines of I2C expanders: PCF8574 and MCP23017, through smbus2 (`hal.linux.i2c.bus`).

An expander keeps its outputs when the process or the kernel dies, unlike a GPIO line. So the unit switches them off
afterwards (`climahub run --outputs-off`), and the wiring should have them off at power-on. Never forces an address
that a driver of the kernel has bound; never writes to another address than the configured one. One program drives an
expander: a PCF8574 is written as a whole.
"""

import errno
from collections.abc import Callable, Mapping
from pathlib import Path

from hal.errors import ActuatorFault
from hal.line_names import i2c_address
from hal.linux.i2c.bus import I2cPort, SmbusPort
from hal.linux.output_lines import OutputLines, RelayWiring

IODIR, GPIO, OLAT = 0x00, 0x12, 0x14
"""Registers of the MCP23017, port A; those of port B follow (datasheet DS20001952, table 3-1, IOCON.BANK = 0 as after
power-on). A transfer of a word reaches A, then B (section 3.2.1)."""


class _Expander:
    """What both kinds have in common: the levels of the lines, as a word."""

    def __init__(self, wiring: RelayWiring, bus: I2cPort, address: int) -> None:
        self._bus = bus
        self._address = address
        self._mask = sum(1 << line for line in wiring.lines)
        self._lines = wiring.lines
        self._is_active_low = wiring.is_active_low
        self._device = wiring.device
        self._levels = self._mask if wiring.is_active_low else 0

    def set(self, values: Mapping[int, bool]) -> None:
        """Switch lines. All are written anew: an expander that lost its supply has forgotten them."""
        for line, is_on in values.items():
            bit = 1 << line
            self._levels = self._levels & ~bit if is_on is self._is_active_low else self._levels | bit
        self._write()

    def get(self) -> Mapping[int, bool]:
        """Read the lines back at their pins."""
        levels = self._read()
        return {line: bool(levels >> line & 1) is not self._is_active_low for line in self._lines}

    def close(self) -> None:
        """Close the bus; the lines keep their state."""
        self._bus.close()

    def advice(self, error: OSError) -> str:
        """See `OutputLines`."""
        if error.errno == errno.EBUSY:
            return "a driver of the kernel has it; give its GPIO chip as board.linux.gpio_chip, or remove its overlay"
        if error.errno in {errno.ENXIO, errno.EREMOTEIO}:
            return "it does not answer; check its supply, its cable and the address that its jumpers give"
        return "check the cable and the other devices of the bus"

    def _write(self) -> None:
        raise NotImplementedError

    def _read(self) -> int:
        raise NotImplementedError


class Pcf8574Lines(_Expander):
    """Lines of a PCF8574: one byte, quasi-bidirectional (datasheet SCPS068, section 8.3).

    A line that is high is a weak source (100 uA) and an input; all are high after power-on. So its lines sink the
    current of relays that are active low, and lines of nobody are left high.
    """

    def _write(self) -> None:
        self._bus.transfer(self._address, bytes([0xFF & ~self._mask | self._levels]), 0)

    def _read(self) -> int:
        return self._bus.transfer(self._address, b"", 1)[0]


class Mcp23017Lines(_Expander):
    """Lines of an MCP23017: two ports of eight. After power-on all lines are inputs; those of others stay so."""

    def _write(self) -> None:
        # The latch before the direction: a line must not become an output with an old level.
        latch = self._registers(OLAT)
        self._set_registers(OLAT, latch & ~self._mask | self._levels)
        directions = self._registers(IODIR)
        if directions & self._mask:
            self._set_registers(IODIR, directions & ~self._mask)

    def _read(self) -> int:
        return self._registers(GPIO)

    def _registers(self, first: int) -> int:
        """Return a register of port A, and that of port B above it."""
        return int.from_bytes(self._bus.transfer(self._address, bytes([first]), 2), "little")

    def _set_registers(self, first: int, value: int) -> None:
        self._bus.transfer(self._address, bytes([first]) + value.to_bytes(2, "little"), 0)


def open_expander(wiring: RelayWiring, open_bus: Callable[[int], I2cPort] | None = None) -> OutputLines:
    """Open an expander; its lines stay as they are until the first `set`.

    Args:
        wiring: Of the expander.
        open_bus: Opens a bus by its number; smbus2 by default.

    Raises:
        ActuatorFault: There is no bus, or the package is not installed.
    """
    bus_address, chip = wiring.device.split("/")
    number, address = i2c_address(bus_address)
    bus = (open_bus or _open_port)(number)
    return (Pcf8574Lines if chip == "pcf8574" else Mcp23017Lines)(wiring, bus, address)


def _open_port(number: int) -> I2cPort:
    path = Path(f"/dev/i2c-{number}")
    try:
        return SmbusPort(path)
    except ImportError as error:
        raise ActuatorFault("I2C expanders need the Python package smbus2: pip install 'climahub[i2c]'") from error
    except FileNotFoundError as error:
        advice = "enable the bus (dtparam=i2c_arm=on in config.txt)"
        raise ActuatorFault(
            f"{path} does not exist; {advice}; the service sees it only with systemd/climahub-i2c.conf"
        ) from error
    except PermissionError as error:
        advice = "add the user to the group of that file; for the service, install systemd/climahub-i2c.conf"
        raise ActuatorFault(f"{path}: this user has no permission to open it; {advice}") from error
    except OSError as error:
        raise ActuatorFault(f"{path} cannot be opened ({error.strerror}); check the name of the line") from error
