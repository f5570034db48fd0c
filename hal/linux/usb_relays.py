"""Relays on a USB board of the kind "USBRelayN" (USB 16c0:05df, made by dcttech and others), through hidraw.

The protocol is that of the public tool usbrelay (darrylb123/usbrelay, libusbrelay.c): an output report of 8 bytes, 0xFF
to switch on or 0xFD to switch off and the relay's number from 1; feature report 1 returns the board's own serial and in
byte 7 the state of the relays. Vendor and product are shared by many devices (V-USB), so the product's name decides.

A board keeps its relays when the process dies, unlike a GPIO line; the unit switches them off afterwards. Never writes
to a device that is no such board.
"""

import fcntl
import os
from collections.abc import Mapping
from errno import EIO
from pathlib import Path

from hal.errors import ActuatorFault
from hal.linux.output_lines import OutputLines, RelayWiring

PRODUCT = "USBRelay"
ON, OFF = 0xFF, 0xFD
REPORT_BYTES = 9
"""With the report's number before its 8 bytes."""
STATE_REPORT, STATE_BYTE = 1, 7
HIDIOCGFEATURE = 3 << 30 | REPORT_BYTES << 16 | ord("H") << 8 | 0x07
"""linux/hidraw.h: _IOC(_IOC_WRITE|_IOC_READ, 'H', 0x07, len)."""

ADVICE = "check the board's plug; climahub finds it again at the same USB port"


class UsbRelayLines:
    """The relays of one board."""

    def __init__(self, wiring: RelayWiring, fd: int) -> None:
        """Take an open device."""
        self._lines = wiring.lines
        self._fd = fd

    def set(self, values: Mapping[int, bool]) -> None:
        """Switch the relays that are not as they should be, off before on: a board that was unplugged forgets them."""
        before = self.get()
        for line, is_on in sorted(values.items(), key=lambda each: each[1]):
            if before[line] is not is_on:
                os.write(self._fd, bytes([0, ON if is_on else OFF, line]).ljust(REPORT_BYTES, b"\0"))

    def get(self) -> Mapping[int, bool]:
        """Read all relays back."""
        report = bytearray([STATE_REPORT]).ljust(REPORT_BYTES, b"\0")
        if fcntl.ioctl(self._fd, HIDIOCGFEATURE, report) <= STATE_BYTE:
            raise OSError(EIO, "the board's answer is too short")
        return {line: bool(report[STATE_BYTE] >> (line - 1) & 1) for line in self._lines}

    def close(self) -> None:
        """Release the board; the relays keep their state."""
        os.close(self._fd)

    def advice(self, error: OSError) -> str:  # noqa: ARG002 - as in `OutputLines`
        """See `OutputLines`."""
        return ADVICE


def open_usb_relays(wiring: RelayWiring, sysfs_root: Path = Path("/sys"), dev_root: Path = Path("/dev")) -> OutputLines:
    """Open the board at a USB port; its relays stay as they are until the first `set`.

    Raises:
        ActuatorFault: There is no such board, or it cannot be opened; the message names the remedy.
    """
    path = dev_root / _find(wiring, sysfs_root)
    try:
        return UsbRelayLines(wiring, os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except PermissionError as error:
        advice = "install systemd/62-climahub-usb-relay.rules; for the service, systemd/climahub-usb-relay.conf as well"
        raise ActuatorFault(f"{wiring.device}: this user has no permission to open {path}; {advice}") from error
    except OSError as error:
        raise ActuatorFault(f"{wiring.device}: {path} cannot be opened ({error.strerror}); {ADVICE}") from error


def _find(wiring: RelayWiring, sysfs_root: Path) -> str:
    """Return the name of the hidraw device of the board at a USB port."""
    port = wiring.device.split("/")[0].removeprefix("usb-")
    usb = sysfs_root / "bus/usb/devices" / port
    try:
        product = (usb / "product").read_text().strip()
    except OSError as error:
        raise ActuatorFault(f"{wiring.device}: nothing is plugged in at USB port {port}; {ADVICE}") from error
    if not product.startswith(PRODUCT):
        raise ActuatorFault(f"plug the relay board in at USB port {port}, or name its port: {product!r} is there")
    relays = product.removeprefix(PRODUCT)
    missing = [line for line in wiring.lines if relays.isdecimal() and line > int(relays)]
    if missing:
        numbers = ", ".join(map(str, missing))
        raise ActuatorFault(f"{wiring.device} has no relay {numbers}, only 1 to {relays}; check board.linux")
    found = sorted(path.name for path in usb.glob(f"{port}:*/*/hidraw/hidraw*"))
    if not found:
        raise ActuatorFault(f"{wiring.device}: the kernel offers no hidraw device for it; load the module usbhid")
    return found[0]
