"""Channels of the kernel's hardware monitoring chips: temperature, humidity, voltage, current, power. Never writes.

Facts: the kernel's Documentation/hwmon/sysfs-interface.rst: `name` is the chip's name, `tempN_input` is in
millidegrees Celsius, `humidityN_input` in thousandths of a percent of relative humidity, `inN_input` in millivolts,
`currN_input` in milliamperes, `powerN_input` in microwatts; `…N_label` exists where the board's maker named the
channel, `…N_fault` is 1 for a broken or missing sensor.

A chip with a bus address of its own is named by it (`i2c-1-0044/sht3x/temperature`). Others, and the parts of the
machine itself, keep the names `hwmon/<chip>/<label>`: `hwmonN` numbers change from boot to boot and are not used.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hal.channels import Channel, Quantity
from hal.linux.attribute import AttributeReader, Place, attribute_names, chip_name, label_text
from hal.linux.device_address import NO_DEVICE, DeviceAddress, address_of, bus_name, driver_of
from hal.linux.sysfs import directories, optional_text, read_integer
from hal.machine_chips import MACHINE_CHIPS

ONE_WIRE_CHIP = "w1_slave_temp"
"""The name that the kernel's w1_therm gives to each thermometer (drivers/w1/slaves/w1_therm.c)."""


class _Attribute(msgspec.Struct, frozen=True):
    """One kind of channel, and how many units of its attribute make one of the channel's."""

    prefix: str
    quantity: Quantity
    divisor: float = 1000.0


_ATTRIBUTES = (
    _Attribute("temp", Quantity.TEMPERATURE),
    _Attribute("humidity", Quantity.HUMIDITY),
    _Attribute("in", Quantity.VOLTAGE),
    _Attribute("curr", Quantity.CURRENT),
    _Attribute("power", Quantity.POWER, 1_000_000.0),
)


class _Found(msgspec.Struct, frozen=True):
    """A channel of a chip before it is named."""

    place: Place
    device: Path


def find_channels(sysfs_root: Path) -> list[Channel]:
    """Return the temperatures, then the humidities, and so on; by chip and number within each."""
    return [channel for attribute in _ATTRIBUTES for channel in _channels(sysfs_root, attribute)]


def _channels(sysfs_root: Path, attribute: _Attribute) -> Iterator[Channel]:
    found = sorted(_all_found(sysfs_root, attribute), key=_order)
    names = _class_names([each.place for each in found])
    for each, aliases in zip(found, names, strict=True):
        place, device = each.place, each.device
        address = None if place.chip.lower().startswith(MACHINE_CHIPS) else address_of(device)
        is_own = len([other for other in found if other.place.is_same(place)]) == 1
        name = aliases[0]
        if address is not None and is_own:
            name = f"{address.prefix}/{chip_of(place.chip, address)}/{attribute.quantity}{_suffix(place.attribute)}"
        yield Channel(
            name,
            attribute.quantity,
            _reader(sysfs_root, attribute, place).read,
            bus=address.bus if address else "",
            address=address.address if address else "",
            chip=chip_of(place.chip, address),
            driver=driver_of(device) or "hwmon",
            aliases=aliases if name != aliases[0] else (),
        )


def _reader(sysfs_root: Path, attribute: _Attribute, place: Place) -> AttributeReader:
    def value(directory: Path, name: str) -> float:
        return read_integer(f"{directory}/{name}_input") / attribute.divisor

    return AttributeReader(place, value, lambda: [each.place for each in _all_found(sysfs_root, attribute)])


def chip_of(chip: str, address: DeviceAddress | None) -> str:
    """Return the chip's name; that of a 1-Wire thermometer by its family, for w1_therm calls all of them the same."""
    if chip != ONE_WIRE_CHIP or address is None:
        return chip
    return ONE_WIRE_FAMILIES.get(address.address[:2], chip)


ONE_WIRE_FAMILIES = {"10": "ds18s20", "22": "ds1822", "28": "ds18b20", "3b": "ds1825", "42": "ds28ea00"}
"""Thermometers by the family code of their address (drivers/w1/w1_family.h)."""


def _suffix(attribute: str) -> str:
    """Return the number of a channel, unless it is the first of its kind: chips with one channel call it number 1."""
    number = attribute.lstrip("abcdefghijklmnopqrstuvwxyz")
    return "" if number == "1" else number


def _class_names(places: Sequence[Place]) -> list[tuple[str, ...]]:
    """Return the names of channels in the hwmon class, the one in use first.

    Chips of the same name are distinguished by their device's address (`hwmon/nvme@0000:01:00.0/Composite`), channels
    of the same label by their number (`hwmon/nct6775/AUX-temp3`). A 1-Wire name always holds the address.
    """
    chips = Counter(chip for chip, _ in {(place.chip, place.directory) for place in places})
    labels = Counter((place.directory, place.label) for place in places)
    taken: Counter[str] = Counter()
    names: list[tuple[str, ...]] = []
    for place in places:
        label = place.label
        if not label or labels[place.directory, label] > 1:
            label = f"{label}-{place.attribute}".lstrip("-")
        addressed = f"hwmon/{place.chip}@{place.address}/{label}"
        is_alone = chips[place.chip] == 1 and (place.chip != ONE_WIRE_CHIP or place.address == NO_DEVICE)
        mine = (f"hwmon/{place.chip}/{label}", addressed) if is_alone else (addressed,)
        taken[mine[0]] += 1
        # Two chips of the same name at the same address remain: only their order distinguishes them.
        names.append(mine if taken[mine[0]] == 1 else (f"{mine[0]}#{taken[mine[0]]}",))
    return names


def _order(found: _Found) -> tuple[str, str, Path, int]:
    place = found.place
    number = int(place.attribute.lstrip("abcdefghijklmnopqrstuvwxyz"))
    return (place.chip, place.address, place.directory, number)


def _all_found(sysfs_root: Path, attribute: _Attribute) -> Iterator[_Found]:
    pattern = re.compile(rf"({attribute.prefix}[0-9]+)_input")
    for hwmon in directories(sysfs_root / "class" / "hwmon"):
        # Some old drivers keep their attributes in the device's directory (same document, "libsensors").
        for directory in (hwmon, hwmon / "device"):
            files = set(attribute_names(directory))
            attributes = [match[1] for name in files if (match := pattern.fullmatch(name))]
            if attributes:
                device, resolved = hwmon / "device", directory.resolve()
                chip, address = chip_name(directory), bus_name(device)
                for name in attributes:
                    label = optional_text(directory / f"{name}_label") if f"{name}_label" in files else ""
                    has_fault = f"{name}_fault" in files
                    yield _Found(Place(resolved, name, chip, address, label_text(label), has_fault), device)
                break
