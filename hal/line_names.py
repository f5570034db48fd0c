"""Names of output lines that are on a board of their own or on a paired device of the radio. Pure.

A name is an address, never a number that the kernel hands out: `i2c-1-0020/pcf8574/3`, `usb-1-1.2/usbrelay/1`,
`zigbee-00124b0012345678/switch/1`. A line of the GPIO chip has no name; it is a number.
"""

import re

import msgspec

_ENDPOINTS = range(1, 241)
"""Of a Zigbee device (specification, section 2.1.2)."""

LINES_OF = {
    "pcf8574": range(8),
    "mcp23017": range(16),
    "usbrelay": range(1, 9),
    "switch": _ENDPOINTS,
    "valve": _ENDPOINTS,
}
"""The lines of each kind of board. An expander's count from 0 (P0; GPA0 to GPA7, GPB0 to GPB7), as in its datasheet; a
relay board's from 1, as they are printed on it. A Zigbee plug or relay is a switch, a radiator valve a valve, by its
endpoint."""

_EXPANDER = re.compile(r"i2c-(\d{1,3})-00([0-7][0-9a-f])/(pcf8574|mcp23017)/(\d{1,2})")
_USB = re.compile(r"usb-(\d{1,3}-\d{1,2}(?:\.\d{1,2}){0,5})/(usbrelay)/(\d{1,2})")
_ZIGBEE = re.compile(r"zigbee-([0-9a-f]{16})/(switch|valve)/(\d{1,3})")
EXAMPLES = '"i2c-1-0020/mcp23017/0", "usb-1-1.2/usbrelay/1" or "zigbee-00124b0012345678/switch/1"'


class LineName(msgspec.Struct, frozen=True):
    """A line on a board of its own, or on a paired device.

    Attributes:
        bus_address: Where the board is: "i2c-1-0020", "usb-1-1.2", "zigbee-00124b0012345678".
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

    @property
    def radio_device(self) -> str:
        """The paired device that it is on, as `Reading.device`; empty for a board."""
        return f"0x{self.bus_address[7:]}" if self.bus_address.startswith("zigbee-") else ""

    def __str__(self) -> str:
        """Return its name."""
        return f"{self.device}/{self.number}"


def is_valve_name(text: str) -> bool:
    """Return whether a name is that of a radiator valve."""
    found = _ZIGBEE.fullmatch(text)
    return found is not None and found[2] == "valve"


def radio_line(device: str, kind: str, endpoint: int) -> str:
    """Return the name of the line that a paired device has on an endpoint; ``kind`` is "switch" or "valve"."""
    return f"zigbee-{device[2:]}/{kind}/{endpoint}"


def parse_line_name(text: str) -> LineName:
    """Return the line that a name stands for.

    Raises:
        ValueError: It is no such name; the message says what is wrong with it.
    """
    found = _EXPANDER.fullmatch(text) or _USB.fullmatch(text) or _ZIGBEE.fullmatch(text)
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
