"""Reading attributes of the kernel's sysfs and proc files, with error messages that name the remedy.

Everything here blocks and belongs on a thread. Facts: the kernel's Documentation/filesystems/sysfs.rst (one value in
one file of at most a page) and errno(3).
"""

import errno
import os
import re
from pathlib import Path

from hal.errors import ReadingImplausible, SensorUnavailable

ATTRIBUTE_BYTES_MAX = 4096
"""A sysfs attribute is at most one page; a longer file is no attribute."""

FOUND_CHARS_MAX = 40

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")

_ADVICE = {
    errno.ENOENT: "the device is gone; plug it in or check its wiring",
    errno.ENODEV: "the device is gone; plug it in or check its wiring",
    errno.ENXIO: "the device does not answer; check its connection and power",
    errno.EIO: "the bus to the device failed; check its wiring",
    errno.ETIMEDOUT: "the device did not answer in time; check its wiring",
    errno.EREMOTEIO: "the device did not answer on its bus; check its wiring and address",
    errno.ENODATA: "the driver has no value; the channel may be switched off or not connected",
    errno.EAGAIN: "the device is busy; no action is needed if this passes",
    errno.EBUSY: "the device is busy; no action is needed if this passes",
    errno.EACCES: "the agent's user has no read permission; grant it with a udev rule",
    errno.EPERM: "the agent's user has no read permission; grant it with a udev rule",
}


def read_text(path: str | Path) -> str:
    """Return an attribute's text without surrounding white space.

    Raises:
        SensorUnavailable: The file cannot be read; the message has the path, the kernel's reason and the remedy.
    """
    try:
        # Without the layers of `Path.open`, which cost more than the file: each sensor is read once a minute for ever.
        # For the same reason whoever reads a file again and again gives its path as a string.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(file, ATTRIBUTE_BYTES_MAX)
        finally:
            os.close(file)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "see the kernel's log (dmesg)")
        raise SensorUnavailable(f"{path}: {error.strerror}: {advice}") from error
    return content.decode("utf-8", errors="replace").strip()


def read_integer(path: str | Path) -> int:
    """Return an attribute's whole number.

    Raises:
        SensorUnavailable: As `read_text`.
        ReadingImplausible: The attribute holds something else.
    """
    text = read_text(path)
    if not _INTEGER.fullmatch(text):
        raise ReadingImplausible(f'{path}: found "{text[:FOUND_CHARS_MAX]}"; expected a whole number')
    return int(text)


def read_number(path: str | Path) -> float:
    """Return an attribute's number, which may have decimals.

    Raises:
        SensorUnavailable: As `read_text`.
        ReadingImplausible: The attribute holds something else.
    """
    text = read_text(path)
    if not _DECIMAL.fullmatch(text):
        raise ReadingImplausible(f'{path}: found "{text[:FOUND_CHARS_MAX]}"; expected a number')
    return float(text)


def optional_text(path: str | Path) -> str:
    """Return an attribute's text, or "" if it cannot be read; for names and labels."""
    try:
        return read_text(path)
    except SensorUnavailable:
        return ""


def directories(parent: Path) -> list[Path]:
    """Return the subdirectories by name; none without the parent: not every machine has each class."""
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []
