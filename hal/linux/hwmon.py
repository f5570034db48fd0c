"""Channels of the kernel's hardware monitoring chips: temperature and humidity. Never writes to a chip.

Facts: the kernel's Documentation/hwmon/sysfs-interface.rst: `name` is the chip's name, `tempN_input` is in
millidegrees Celsius, `humidityN_input` in thousandths of a percent of relative humidity, `…N_label` exists where the
board's maker named the channel, `…N_fault` is 1 for a broken or missing sensor.

A channel's name holds the chip's bus address where that is needed. Each read checks that the directory still belongs
to that chip: after a bus glitch the kernel removes devices and adds them again under other `hwmonN` numbers. The chip
is then found by its address. Must never report one chip's value under another chip's name.

Chips of the kernel's industrial I/O subsystem are detected and reported, but not read (Documentation/ABI/testing/
sysfs-bus-iio: `name` is the chip's name; a channel is `in_<type>_input`, or `in_<type>_raw` with a scale). Detection
reads names only: reading a value would access the bus.
"""

import errno
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hal.channels import Channel, Quantity
from hal.errors import SensorUnavailable
from hal.linux.sysfs import directories, optional_text, read_integer

_MILLI = 1000
_UNNAMED = "unnamed"

_ONE_WIRE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{12}")
"""The kernel's name of a 1-Wire device: family and serial number, unique in the world."""


class _Attribute(msgspec.Struct, frozen=True):
    """One kind of channel and the prefix of its attributes."""

    prefix: str
    quantity: Quantity


_QUANTITIES = (_Attribute("temp", Quantity.TEMPERATURE), _Attribute("humidity", Quantity.HUMIDITY))


class _Place(msgspec.Struct, frozen=True):
    """One `tempN` or `humidityN` of a chip, with everything its name is made of.

    Attributes:
        hwmon: The chip's directory in the class, `hwmonN`; later it may belong to another chip.
        directory: Directory of its attributes, with links resolved: on a bus the path holds the device's address, so
            it cannot belong to another chip between the check and the read.
        attribute: Its attributes' common part, such as "temp1".
        chip: The chip's name.
        address: Bus address; the same over boots and glitches.
        label: May be empty.
    """

    hwmon: Path
    directory: Path
    attribute: str
    chip: str
    address: str
    label: str

    def is_same(self, other: "_Place") -> bool:
        """Return whether both are the same channel of a chip, at whatever path."""
        mine = (self.chip, self.address, self.attribute, self.label)
        return mine == (other.chip, other.address, other.attribute, other.label)

    def is_still(self, now: "_Place") -> bool:
        """Return whether the channel now at this path is still the same one.

        A name or label that cannot be read at the moment (busy bus) is no difference.
        """
        place = (self.directory, self.address, self.attribute)
        return (
            place == (now.directory, now.address, now.attribute)
            and now.chip in {self.chip, _UNNAMED}
            and now.label in {self.label, ""}
        )


def find_channels(sysfs_root: Path) -> list[Channel]:
    """Return a channel for each temperature, then one for each humidity.

    A channel is named `hwmon/<chip>/<label>`, or `hwmon/<chip>/tempN` without a label. `hwmonN` numbers change from
    boot to boot and are not used. Chips of the same name are distinguished by their device's address
    (`hwmon/nvme@0000:01:00.0/Composite`), channels of the same label by their number (`hwmon/nct6775/AUX-temp3`). A
    1-Wire name always holds the address: a second sensor hidden by a glitch at start-up must not rename the first.
    """
    return [channel for attribute in _QUANTITIES for channel in _found(sysfs_root, attribute)]


def _found(sysfs_root: Path, quantity: _Attribute) -> Iterator[Channel]:
    channels = sorted(_all_channels(sysfs_root, quantity), key=_order)
    chips = Counter(chip for chip, _ in {(channel.chip, channel.directory) for channel in channels})
    labels = Counter((channel.directory, channel.label) for channel in channels)
    taken: Counter[str] = Counter()
    for channel in channels:
        is_alone = chips[channel.chip] == 1 and not _ONE_WIRE.fullmatch(channel.address)
        chip = channel.chip if is_alone else f"{channel.chip}@{channel.address}"
        label = channel.label
        if not label or labels[channel.directory, label] > 1:
            label = f"{label}-{channel.attribute}".lstrip("-")
        name = f"hwmon/{chip}/{label}"
        taken[name] += 1
        # Two chips of the same name at the same address remain: only their order distinguishes them.
        source = name if taken[name] == 1 else f"{name}#{taken[name]}"
        yield Channel(
            source,
            quantity.quantity,
            _Reader(sysfs_root, quantity, channel).read,
            address=channel.address,
            chip=channel.chip,
            driver="hwmon",
        )


def _order(channel: _Place) -> tuple[str, str, Path, int]:
    number = int(channel.attribute.lstrip("abcdefghijklmnopqrstuvwxyz"))
    return (channel.chip, channel.address, channel.directory, number)


def _all_channels(sysfs_root: Path, quantity: _Attribute) -> Iterator[_Place]:
    for hwmon in directories(sysfs_root / "class" / "hwmon"):
        yield from _channels(hwmon, quantity)


def _channels(hwmon: Path, quantity: _Attribute) -> Iterator[_Place]:
    pattern = re.compile(rf"({quantity.prefix}[0-9]+)_input")
    # Some old drivers keep their attributes in the device's directory (same document, "libsensors").
    for directory in (hwmon, hwmon / "device"):
        attributes = [match[1] for path in _files(directory) if (match := pattern.fullmatch(path.name))]
        if attributes:
            chip = _part(optional_text(directory / "name")) or _UNNAMED
            address, resolved = _address(hwmon / "device"), directory.resolve()
            for attribute in attributes:
                label = _part(optional_text(directory / f"{attribute}_label"))
                yield _Place(hwmon, resolved, attribute, chip, address, label)
            return


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _address(device: Path) -> str:
    """Return the chip's address on its bus (PCI, I2C, 1-Wire), which is the same over boots.

    A chip may belong to a device of a class (`nvme0`), whose number changes too; then a parent has the address.
    """
    if not device.exists():
        return "virtual"
    path = device.resolve()
    for parent in (path, *path.parents):
        subsystem = parent / "subsystem"
        if subsystem.is_symlink() and subsystem.resolve().parent.name == "bus":
            return parent.name
    return path.name


def _part(text: str) -> str:
    """Return a name or label with its slashes replaced: the slash separates the parts of a channel's name."""
    return text.replace("/", "_")


class _Reader:
    """Reads one channel at its present path."""

    def __init__(self, sysfs_root: Path, quantity: _Attribute, channel: _Place) -> None:
        self._sysfs_root = sysfs_root
        self._quantity = quantity
        self._channel = channel

    def read(self) -> float:
        """Return the value in the unit of its kind.

        Raises:
            SensorUnavailable: The chip is gone or has no value.
            ReadingImplausible: The attribute holds no number.
        """
        channel = self._channel = self._located()
        fault = channel.directory / f"{channel.attribute}_fault"
        if optional_text(fault) == "1":
            raise SensorUnavailable(f"{fault}: the chip reports a broken or missing sensor; check its wiring")
        return read_integer(channel.directory / f"{channel.attribute}_input") / _MILLI

    def _located(self) -> _Place:
        """Return the channel with its present path.

        Raises:
            SensorUnavailable: The chip is gone, or two chips cannot be distinguished.
        """
        known = self._channel
        for channel in _channels(known.hwmon, self._quantity):
            if known.is_still(channel):
                return known
        found = [each for each in _all_channels(self._sysfs_root, self._quantity) if known.is_same(each)]
        if len(found) == 1:
            return found[0]
        path = known.directory / f"{known.attribute}_input"
        if found:
            raise SensorUnavailable(
                f"{path}: {len(found)} chips named {known.chip} reappeared at {known.address} and cannot be"
                " distinguished; restart the agent"
            )
        raise SensorUnavailable(
            f"{path}: {os.strerror(errno.ENOENT)}: the device is gone; plug it in or check its wiring: it is found"
            f" again by its address ({known.address})"
        )


_IIO_TYPES = (
    ("temp", "temperature"),
    ("humidityrelative", "humidity"),
    ("pressure", "pressure"),
    ("concentration_co2", "CO2"),
    ("resistance", "gas"),
)
"""IIO channel types that measure room conditions: the kernel's name, and ours."""


def find_unsupported(sysfs_root: Path) -> Sequence[str]:
    """Return a sentence for each IIO chip that measures room conditions and is not read."""
    sentences = []
    for directory in directories(sysfs_root / "bus" / "iio" / "devices"):
        measured = [
            word
            for kind, word in _IIO_TYPES
            if any((directory / f"in_{kind}_{form}").exists() for form in ("input", "raw"))
        ]
        if measured:
            chip = optional_text(directory / "name") or "unnamed"
            sentences.append(
                f"{chip} ({directory.name}) measures {', '.join(measured)}, but is not supported: this version of the"
                " hub reads chips of the kernel's hwmon class only"
            )
    return sentences
