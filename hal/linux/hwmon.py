"""Channels of the kernel's hardware monitoring chips: temperature and humidity. Finds them; never writes to one.

Facts: the kernel's Documentation/hwmon/sysfs-interface.rst: `name` is the chip's, `tempN_input` is in millidegrees
Celsius, `humidityN_input` in thousandths of a percent of relative humidity, `…N_label` stands where the board's maker
gave a meaning, `…N_fault` is 1 for a broken or missing sensor.

A name holds the chip's address where it needs one, so each read looks whether the directory still belongs to that chip:
a bus that glitches has its devices removed and found again under other `hwmonN` numbers. The chip is then looked up by
its address. Must never give one chip's value under another's name.
"""

import errno
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hal.errors import SensorUnavailable
from hal.interface import SensorKind
from hal.linux.sysfs import Probe, directories, optional_text, read_integer

_MILLI = 1000
_UNNAMED = "unnamed"

_ONE_WIRE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{12}")
"""Family and serial number of a 1-Wire device, unique in the world: the kernel's name of it."""


class _Quantity(msgspec.Struct, frozen=True):
    """One kind of channel: what its attributes begin with."""

    prefix: str
    kind: SensorKind


_QUANTITIES = (_Quantity("temp", SensorKind.TEMPERATURE), _Quantity("humidity", SensorKind.HUMIDITY))


class _Channel(msgspec.Struct, frozen=True):
    """One `tempN` or `humidityN` of a chip, and what it may be called.

    Attributes:
        hwmon: The chip's directory in the class, `hwmonN`; it may be another chip's later.
        directory: Where its attributes are, with links resolved: on a bus the path holds the device's address, so that
            it cannot come to mean another chip between a look and a read.
        attribute: Its attributes' common part, such as "temp1".
        chip: The chip's name.
        address: What stays the same over boots and glitches.
        label: May be empty.
    """

    hwmon: Path
    directory: Path
    attribute: str
    chip: str
    address: str
    label: str

    def is_same(self, other: "_Channel") -> bool:
        """Tell whether both are the same channel of a chip, wherever the kernel shows it."""
        mine = (self.chip, self.address, self.attribute, self.label)
        return mine == (other.chip, other.address, other.attribute, other.label)

    def is_still(self, now: "_Channel") -> bool:
        """Tell whether what is in its place now is still this channel.

        A name or label that cannot be read at the moment (a bus that is busy) says nothing against it.
        """
        place = (self.directory, self.address, self.attribute)
        return (
            place == (now.directory, now.address, now.attribute)
            and now.chip in {self.chip, _UNNAMED}
            and now.label in {self.label, ""}
        )


def find_channels(sysfs_root: Path) -> list[Probe]:
    """Return a probe for each temperature, then one for each humidity.

    A source is called `hwmon/<chip>/<label>`, or `hwmon/<chip>/tempN` where there is no label. `hwmonN` numbers change
    from boot to boot, so they are no part of a name; chips of the same name are told apart by their device's address
    (`hwmon/nvme@0000:01:00.0/Composite`), channels of the same label by their number (`hwmon/nct6775/AUX-temp3`). On
    1-Wire the address always stands: a second sensor that a glitch hides at the start must not rename the first.
    """
    return [probe for quantity in _QUANTITIES for probe in _probes(sysfs_root, quantity)]


def _probes(sysfs_root: Path, quantity: _Quantity) -> Iterator[Probe]:
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
        # Two chips of the same name at the same address are left: their order is all that tells them apart.
        source = name if taken[name] == 1 else f"{name}#{taken[name]}"
        yield Probe(source, quantity.kind, _Reader(sysfs_root, quantity, channel).read)


def _order(channel: _Channel) -> tuple[str, str, Path, int]:
    number = int(channel.attribute.lstrip("abcdefghijklmnopqrstuvwxyz"))
    return (channel.chip, channel.address, channel.directory, number)


def _all_channels(sysfs_root: Path, quantity: _Quantity) -> Iterator[_Channel]:
    for hwmon in directories(sysfs_root / "class" / "hwmon"):
        yield from _channels(hwmon, quantity)


def _channels(hwmon: Path, quantity: _Quantity) -> Iterator[_Channel]:
    pattern = re.compile(rf"({quantity.prefix}[0-9]+)_input")
    # Some old drivers keep their attributes in the device's directory (same document, "libsensors").
    for directory in (hwmon, hwmon / "device"):
        attributes = [match[1] for path in _files(directory) if (match := pattern.fullmatch(path.name))]
        if attributes:
            chip = _part(optional_text(directory / "name")) or _UNNAMED
            address, resolved = _address(hwmon / "device"), directory.resolve()
            for attribute in attributes:
                label = _part(optional_text(directory / f"{attribute}_label"))
                yield _Channel(hwmon, resolved, attribute, chip, address, label)
            return


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _address(device: Path) -> str:
    """Return what stays the same over boots: the address on the bus (PCI, I2C, 1-Wire) that the chip hangs on.

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
    """A name or label as a part of a source's name: the slash divides parts."""
    return text.replace("/", "_")


class _Reader:
    """Reads one channel, wherever the kernel shows it now."""

    def __init__(self, sysfs_root: Path, quantity: _Quantity, channel: _Channel) -> None:
        self._sysfs_root = sysfs_root
        self._quantity = quantity
        self._channel = channel

    def read(self) -> float:
        """Return the value in the unit of its kind.

        Raises:
            SensorUnavailable: The chip is gone, or gives no value.
            ReadingImplausible: It gives no number.
        """
        channel = self._channel = self._located()
        fault = channel.directory / f"{channel.attribute}_fault"
        if optional_text(fault) == "1":
            raise SensorUnavailable(f"{fault}: the chip reports a broken or missing sensor; check its wiring")
        return read_integer(channel.directory / f"{channel.attribute}_input") / _MILLI

    def _located(self) -> _Channel:
        """Return the channel where it is now.

        Raises:
            SensorUnavailable: The chip is not there, or two cannot be told apart.
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
                f"{path}: {len(found)} chips called {known.chip} came back at {known.address} and cannot be told apart;"
                " restart the agent"
            )
        raise SensorUnavailable(
            f"{path}: {os.strerror(errno.ENOENT)}: the device is gone; plug it in or check its wiring: it is found"
            f" again by its address ({known.address})"
        )
