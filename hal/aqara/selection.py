"""Finds devices in a device list, and the address of the trait that somebody means. Pure.

Identifiers come from the list and from nowhere else: what is not in it is refused, never guessed.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from hal.aqara.device_list import BOOL, ENUM, NUMBERS, KnownDevice, KnownTrait, as_bool
from hal.errors import HalError


class NotInList(HalError):
    """The list has no such device or trait; it may be out of date."""


class Ambiguous(HalError):
    """Several devices or traits fit. The message names them."""


class ValueUnusable(HalError):
    """The trait cannot have this value, or cannot be set."""


class DeviceFilter(msgspec.Struct, frozen=True):
    """Which devices somebody asks for; empty members admit all.

    Attributes:
        room: The exact name of a space, in any case.
        type: An exact type code, in any case.
        trait: An exact trait code, in any case.
        name: A part of the id or name, in any case.
        is_online: `None` admits all.
    """

    room: str = ""
    type: str = ""
    trait: str = ""
    name: str = ""
    is_online: bool | None = None


def select(devices: Sequence[KnownDevice], wanted: DeviceFilter) -> Sequence[KnownDevice]:
    """Return the devices that a filter admits."""
    return [device for device in devices if _is_admitted(device, wanted)]


def _is_admitted(device: KnownDevice, wanted: DeviceFilter) -> bool:
    return (
        (not wanted.room or _same(device.room, wanted.room))
        and (not wanted.type or any(_same(each, wanted.type) for each in device.types))
        and (not wanted.trait or any(_same(each.trait_code, wanted.trait) for each in device.traits))
        and (
            not wanted.name
            or any(wanted.name.casefold() in text.casefold() for text in (device.device_id, device.name))
        )
        and wanted.is_online in {None, device.is_online}
    )


def find_device(devices: Sequence[KnownDevice], name: str) -> KnownDevice:
    """Return the device of an id, or of a name in any case.

    Raises:
        NotInList: There is none.
        Ambiguous: Several have this name.
    """
    found = [device for device in devices if device.device_id == name]
    found = found or [device for device in devices if _same(device.name, name)]
    if not found:
        raise NotInList(f"no device of the list is called {name}")
    if len(found) > 1:
        raise Ambiguous(f"give one of these ids: {', '.join(each.device_id for each in found)}; all are called {name}")
    return found[0]


def find_trait(device: KnownDevice, code: str, endpoint_id: int | None = None) -> KnownTrait:
    """Return the trait of a code, in any case.

    Args:
        device: Whose trait.
        code: Of the trait.
        endpoint_id: Where several endpoints have it.

    Raises:
        NotInList: The device has no such trait.
        Ambiguous: Several endpoints or functions have it.
    """
    found = [
        trait for trait in device.traits if _same(trait.trait_code, code) and endpoint_id in {None, trait.endpoint_id}
    ]
    if not found:
        raise NotInList(f"{device.name} has no trait {code} in the list")
    if len(found) > 1:
        places = ", ".join(f"{trait.endpoint_id} ({trait.function_code})" for trait in found)
        raise Ambiguous(f"give the endpoint of {code}: {device.name} has it on {places}")
    return found[0]


def read_value(trait: KnownTrait, text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what to send for a trait, of what somebody typed: a boolean, a number, or the value of an enum as a text.

    Raises:
        ValueUnusable: The trait cannot be set, or not to this.
    """
    if trait.is_writable is False:
        raise ValueUnusable(f"choose another trait: {trait.trait_code} can only be read")
    if trait.type == BOOL:
        found = {"on": True, "off": False}.get(text.lower(), as_bool(text))
        if found is None:
            raise ValueUnusable(f"give true or false for {trait.trait_code}")
        return found
    if trait.type == ENUM:
        by_name = {name.casefold(): value for value, name in trait.choices.items()}
        value = by_name.get(text.casefold(), text)
        if trait.choices and value not in trait.choices:
            known = ", ".join(f"{each} ({name})" for each, name in trait.choices.items())
            raise ValueUnusable(f"give one of {known} for {trait.trait_code}")
        return value
    if trait.type in NUMBERS:
        try:
            number = float(text)
        except ValueError:
            raise ValueUnusable(f"give a number for {trait.trait_code}") from None
        if not math.isfinite(number):
            raise ValueUnusable(f"give a number for {trait.trait_code}")
        return int(number) if number.is_integer() else number
    return text


def is_same_value(trait: KnownTrait, wanted: object) -> bool:
    """Tell whether a trait that was read back has the value that was asked for, in whatever form it came."""
    if isinstance(wanted, bool):
        return as_bool(trait.value) is wanted
    if isinstance(wanted, int | float):
        return isinstance(trait.value, int | float) and math.isclose(trait.value, wanted, abs_tol=1e-6)
    return str(trait.value) == str(wanted)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
