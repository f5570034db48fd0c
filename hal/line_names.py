"""Names of output lines that are on a board of their own: an I2C expander or a USB relay board. Pure.

A name is an address, never a number that the kernel hands out: `i2c-1-0020/pcf8574/3`, `usb-1-1.2/usbrelay/1`. A
line of the GPIO chip has no name; it is a number.
"""

import re

import msgspec

LINES_OF = {"pcf8574": range(8), "mcp23017": range(16), "usbrelay": range(1, 9)}
"""The lines of each kind of board. An expander's count from 0 (P0; GPA0 to GPA7, GPB0 to GPB7), as in its datasheet; a
relay board's from 1, as they are printed on it."""

_EXPANDER = re.compile(r"i2c-(\d{1,3})-00([0-7][0-9a-f])/(pcf8574|mcp23017)/(\d{1,2})")
_USB = re.compile(r"usb-(\d{1,3}-\d{1,2}(?:\.\d{1,2}){0,5})/(usbrelay)/(\d{1,2})")
EXAMPLES = '"i2c-1-0020/mcp23017/0" or "usb-1-1.2/usbrelay/1"'


class LineName(msgspec.Struct, frozen=True):
    """A line on a board of its own.

    Attributes:
        bus_address: Where the board is: "i2c-1-0020", "usb-1-1.2".
        chip: What it is, by `LINES_OF`.
        number: The line on it.
    """

    bus_address: str
    chip: str
    number: int

    @property
    def device(self) -> str:
        """The board without the line: "i2c-1-0020/pcf8574"."""
        return f"{self.bus_address}/{self.chip}"


def parse_line_name(text: str) -> LineName:
    """Return the line that a name stands for.

    Raises:
        ValueError: It is no such name; the message says what is wrong with it.
    """
    found = _EXPANDER.fullmatch(text) or _USB.fullmatch(text)
    if found is None:
        raise ValueError(f"no line is called {text[:60]!r}; a name is like {EXAMPLES}")
    chip, number = found.groups()[-2:]
    lines = LINES_OF[chip]
    if int(number) not in lines:
        raise ValueError(f"{chip} has the lines {lines[0]} to {lines[-1]}, not {int(number)}")
    return LineName(text.split("/", 1)[0], chip, int(number))


def i2c_address(bus_address: str) -> tuple[int, int]:
    """Return bus and address of "i2c-1-0020"."""
    _, bus, address = bus_address.split("-")
    return int(bus), int(address, 16)
