"""Temperatures of the kernel's hardware monitoring chips. Finds them; never writes to one.

Facts: the kernel's Documentation/hwmon/sysfs-interface.rst: `name` is the chip's, `tempN_input` is in millidegrees
Celsius, `tempN_label` stands where the board's maker gave a meaning, `tempN_fault` is 1 for a broken or missing sensor.
"""

import re
from collections import Counter
from pathlib import Path

import msgspec

from hal.errors import SensorUnavailable
from hal.interface import SensorKind
from hal.linux.probe import Probe, directories, optional_text, read_integer

_INPUT = re.compile(r"temp([0-9]+)_input")
_MILLIDEGREES = 1000


class _Channel(msgspec.Struct, frozen=True):
    """One `tempN` of a chip, and what it may be called."""

    directory: Path
    number: int
    chip: str
    address: str
    label: str


def find_temperatures(sysfs_root: Path) -> list[Probe]:
    """Return a probe for each temperature channel.

    A source is called `hwmon/<chip>/<label>`, or `hwmon/<chip>/tempN` where there is no label. `hwmonN` numbers change
    from boot to boot, so they are no part of a name; chips of the same name are told apart by their device's address
    (`hwmon/nvme@0000:01:00.0/Composite`), channels of the same label by their number (`hwmon/nct6775/AUX-temp3`).
    """
    channels = [
        channel for directory in directories(sysfs_root / "class" / "hwmon") for channel in _channels(directory)
    ]
    channels.sort(key=lambda channel: (channel.chip, channel.address, channel.directory, channel.number))
    chips = Counter(chip for chip, _ in {(channel.chip, channel.directory) for channel in channels})
    labels = Counter((channel.directory, channel.label) for channel in channels)
    taken: Counter[str] = Counter()
    probes = []
    for channel in channels:
        chip = channel.chip if chips[channel.chip] == 1 else f"{channel.chip}@{channel.address}"
        label = channel.label
        if not label or labels[channel.directory, label] > 1:
            label = f"{label}-temp{channel.number}".lstrip("-")
        name = f"hwmon/{chip}/{label}"
        taken[name] += 1
        # Two chips of the same name at the same address are left: their order is all that tells them apart.
        source = name if taken[name] == 1 else f"{name}#{taken[name]}"
        probes.append(_probe(source, channel))
    return probes


def _channels(hwmon: Path) -> list[_Channel]:
    # Some old drivers keep their attributes in the device's directory (same document, "libsensors").
    for directory in (hwmon, hwmon / "device"):
        numbers = sorted(int(match[1]) for path in _files(directory) if (match := _INPUT.fullmatch(path.name)))
        if numbers:
            chip = _part(optional_text(directory / "name")) or "unnamed"
            address = _address(hwmon / "device")
            return [
                _Channel(directory, number, chip, address, _part(optional_text(directory / f"temp{number}_label")))
                for number in numbers
            ]
    return []


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _address(device: Path) -> str:
    """Return what stays the same over boots: the address on the bus (PCI, I2C, platform) that the chip hangs on.

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


def _probe(source: str, channel: _Channel) -> Probe:
    value = channel.directory / f"temp{channel.number}_input"
    fault = channel.directory / f"temp{channel.number}_fault"

    def read() -> float:
        if optional_text(fault) == "1":
            raise SensorUnavailable(f"{fault}: the chip reports a broken or missing sensor; check its wiring")
        return read_integer(value) / _MILLIDEGREES

    return Probe(source, SensorKind.TEMPERATURE, read)
