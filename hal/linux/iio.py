"""Channels of the kernel's industrial I/O chips: climate, gas, light, voltage, acceleration. Never writes.

Facts: the kernel's Documentation/ABI/testing/sysfs-bus-iio: `name` is the chip's name; `in_<type>_input` is a value
with its unit, `in_<type>_raw` one that is (raw + offset) x scale. Temperature is in millidegrees Celsius, humidity in
thousandths of a percent, pressure in kilopascals, voltage in millivolts, concentration in percent of volume,
resistance in ohms, illuminance in lux, acceleration in m/s².

One driver breaks that document: bme680 gives its humidity in percent (drivers/iio/chemical/bme680_core.c). The driver's
name decides, never the size of a value.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hal.channels import Channel, Quantity
from hal.linux.attribute import AttributeReader, Place, attribute_names, chip_name
from hal.linux.device_address import address_of, bus_name, driver_of
from hal.linux.sysfs import directories, read_number

_CHANNEL = re.compile(r"in_([a-z]+?)([0-9]*)(?:_(co2|x|y|z|ambient|object))?_(input|raw)")


class _Type(msgspec.Struct, frozen=True):
    """A type of channel: its quantity, and by what its value in the ABI's unit is multiplied."""

    quantity: Quantity
    factor: float = 1.0


_TYPES = {
    "temp": _Type(Quantity.TEMPERATURE, 0.001),
    "humidityrelative": _Type(Quantity.HUMIDITY, 0.001),
    "pressure": _Type(Quantity.PRESSURE, 10.0),
    "concentration_co2": _Type(Quantity.CO2, 10_000.0),
    "resistance": _Type(Quantity.GAS_RESISTANCE),
    "illuminance": _Type(Quantity.ILLUMINANCE),
    "voltage": _Type(Quantity.VOLTAGE, 0.001),
    "accel": _Type(Quantity.ACCELERATION),
}

_PERCENT_CHIPS = ("bme680", "bme688")
"""Chips whose driver gives humidity in percent."""

_ESTIMATED_CO2_CHIPS = ("ccs811", "ens160", "sgp30")
"""Their drivers give a CO2 that is estimated from other gases (drivers/iio/chemical); that is no CO2."""


class _Channel(msgspec.Struct, frozen=True):
    """One channel of a chip."""

    place: Place
    type: str
    form: str
    suffix: str


def find_iio_channels(sysfs_root: Path) -> list[Channel]:
    """Return a channel for each supported type of each chip, by chip, address and type.

    A chip without an address on a bus is named `iio/<chip>`, two of the same name by their devices (`iio/dht11@4`).
    """
    found = sorted(
        _all_channels(sysfs_root), key=lambda each: (each.place.chip, each.place.address, each.place.attribute)
    )
    chips = Counter(chip for chip, _ in {(each.place.chip, each.place.directory) for each in found})
    return [_named(sysfs_root, each, is_alone=chips[each.place.chip] == 1) for each in found]


def _named(sysfs_root: Path, found: _Channel, *, is_alone: bool) -> Channel:
    place, kind = found.place, _TYPES[found.type]
    address = address_of(place.directory)
    chip = place.chip if address or is_alone else f"{place.chip}@{place.address}"
    return Channel(
        f"{address.prefix if address else 'iio'}/{chip}/{kind.quantity}{found.suffix}",
        kind.quantity,
        AttributeReader(
            place,
            lambda directory, name: _value(directory, name, found) * _factor(kind, place.chip),
            lambda: [each.place for each in _all_channels(sysfs_root)],
        ).read,
        bus=address.bus if address else "",
        address=address.address if address else "",
        chip=place.chip,
        driver=driver_of(place.directory.parent) or "iio",
    )


def _factor(kind: _Type, chip: str) -> float:
    return 1.0 if kind.quantity is Quantity.HUMIDITY and chip in _PERCENT_CHIPS else kind.factor


def _value(directory: Path, name: str, found: _Channel) -> float:
    """Return a value in the unit of the ABI."""
    if found.form == "input":
        return read_number(f"{directory}/{name}_input")
    # A scale or offset belongs to one channel or to all of its type.
    offset = _of_type(directory, name, found, "offset", 0.0)
    scale = _of_type(directory, name, found, "scale", 1.0)
    return (read_number(f"{directory}/{name}_raw") + offset) * scale


def _of_type(directory: Path, name: str, found: _Channel, what: str, default: float) -> float:
    for stem in (name, f"in_{found.type}", f"in_{found.type.partition('_')[0]}"):
        path = directory / f"{stem}_{what}"
        if path.exists():
            return read_number(path)
    return default


def _all_channels(sysfs_root: Path) -> Iterator[_Channel]:
    for link in directories(sysfs_root / "bus" / "iio" / "devices"):
        files = set(attribute_names(link))
        chip, directory = chip_name(link), link.resolve()
        address = bus_name(directory.parent) if directory != link else "virtual"
        for name in sorted(files):
            match = _CHANNEL.fullmatch(name)
            if match is None:
                continue
            kind, number, modifier, form = match[1], match[2], match[3] or "", match[4]
            stem = name.rpartition("_")[0]
            kind, modifier = (f"{kind}_co2", "") if modifier == "co2" else (kind, modifier)
            is_known = kind in _TYPES and not (kind == "concentration_co2" and chip in _ESTIMATED_CO2_CHIPS)
            if is_known and not (form == "raw" and f"{stem}_input" in files):
                suffix = number.lstrip("0") + (f"-{modifier}" if modifier else "")
                yield _Channel(Place(directory, stem, chip, address), kind, form, suffix)


def find_unsupported(sysfs_root: Path) -> list[str]:
    """Return a sentence for each chip whose CO2 is not used."""
    return [
        f"connect a sensor that measures CO2 (SCD4x): {chip} ({link.name}) estimates it from other gases; not used"
        for link in directories(sysfs_root / "bus" / "iio" / "devices")
        if (chip := chip_name(link)) in _ESTIMATED_CO2_CHIPS
    ]
