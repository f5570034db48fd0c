"""One attribute of a chip, read wherever the kernel has put the chip now.

The directory of an attribute, with links resolved, holds the address of the chip, and the chip's name stands beside
it: both are right, or the attribute is looked up again by its address. Must never return one chip's value as another's.
"""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hal.errors import SensorUnavailable
from hal.linux.sysfs import optional_text

UNNAMED = "unnamed"


class Place(msgspec.Struct, frozen=True):
    """An attribute and everything that identifies it.

    Attributes:
        directory: With links resolved; the number in it may belong to another chip later where it holds no address.
        attribute: The part that is common to its files, such as "temp1".
        chip: The chip's name.
        address: Bus address; the same over boots and glitches.
        label: May be empty.
        has_fault: The file `…_fault` exists.
    """

    directory: Path
    attribute: str
    chip: str
    address: str
    label: str = ""
    has_fault: bool = False

    def is_same(self, other: "Place") -> bool:
        """Return whether both are the same attribute of a chip, at whatever path."""
        mine = (self.chip, self.address, self.attribute, self.label)
        return mine == (other.chip, other.address, other.attribute, other.label)

    def is_still_there(self) -> bool:
        """Return whether this path still is this attribute. A name that cannot be read (busy bus) is no difference."""
        chip = optional_text(f"{self.directory}/name")
        label = optional_text(f"{self.directory}/{self.attribute}_label") if self.label else ""
        return chip.replace("/", "_") in {self.chip, ""} and label.replace("/", "_") in {self.label, ""}


class AttributeReader:
    """Reads one attribute."""

    def __init__(
        self, place: Place, value_of: Callable[[Path, str], float], find: Callable[[], Sequence[Place]]
    ) -> None:
        """Read nothing yet.

        Args:
            place: Where it is.
            value_of: Reads the value from a directory, given the attribute.
            find: Returns the present places of all attributes of this sort.
        """
        self._place = place
        self._value_of = value_of
        self._find = find

    def read(self) -> float:
        """Return the value.

        Raises:
            SensorUnavailable: The chip is gone or has no value.
            ReadingImplausible: The attribute holds no number.
        """
        place = self._place
        if place.is_still_there():
            try:
                return self._value(place)
            except SensorUnavailable as error:
                if not _is_gone(error):
                    raise
        place = self._place = self._found_again()
        return self._value(place)

    def _value(self, place: Place) -> float:
        fault = f"{place.directory}/{place.attribute}_fault"
        if place.has_fault and optional_text(fault) == "1":
            raise SensorUnavailable(f"{fault}: the chip reports a broken or missing sensor; check its wiring")
        return self._value_of(place.directory, place.attribute)

    def _found_again(self) -> Place:
        known = self._place
        found = [each for each in self._find() if known.is_same(each)]
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


def _is_gone(error: SensorUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in {errno.ENOENT, errno.ENODEV}


def chip_name(directory: Path) -> str:
    """Return the name of the chip of a directory, without slashes: these separate the parts of a channel's name."""
    return label_text(optional_text(directory / "name")) or UNNAMED


def label_text(text: str) -> str:
    """Return a name or label without slashes."""
    return text.replace("/", "_")


def attribute_names(directory: Path) -> Sequence[str]:
    """Return the names of the files of a directory, in no order; none where it cannot be listed."""
    try:
        return os.listdir(directory)  # noqa: PTH208 - one system call, and names are all that is needed
    except OSError:
        return ()
