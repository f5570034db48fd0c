"""Sensors of the kernel's industrial I/O subsystem, which are not read yet: finds them, so that the hub can say so.

Facts: the kernel's Documentation/ABI/testing/sysfs-bus-iio: `name` is the chip's; a channel is `in_<type>_input`, or
`in_<type>_raw` with a scale. Reads nothing but names: reading a value would touch the bus.
"""

from collections.abc import Sequence
from pathlib import Path

from hal.linux.sysfs import directories, optional_text

_TYPES = (
    ("temp", "temperature"),
    ("humidityrelative", "humidity"),
    ("pressure", "pressure"),
    ("concentration_co2", "CO2"),
    ("resistance", "gas"),
)
"""What of a room such chips measure, by the kernel's name of it."""


def find_unread(sysfs_root: Path) -> Sequence[str]:
    """Return a sentence for each chip that measures something of a room and is not read."""
    said = []
    for directory in directories(sysfs_root / "bus" / "iio" / "devices"):
        measured = [
            word
            for kind, word in _TYPES
            if any((directory / f"in_{kind}_{form}").exists() for form in ("input", "raw"))
        ]
        if measured:
            chip = optional_text(directory / "name") or "unnamed"
            said.append(
                f"{chip} ({directory.name}) measures {', '.join(measured)}, but is not read: this version of the hub"
                " reads chips of the kernel's hwmon class only"
            )
    return said
