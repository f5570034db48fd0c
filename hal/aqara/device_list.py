"""The device list of an Aqara endpoint, as `devices.json` holds it: read leniently, one bad device costs itself. Pure.

The published page leaves some spellings open. What readers in the field accept is accepted here: the state also as
`online`, `available` or `reachable`; functions also as `functionList`, traits as `properties`, codes as `code`.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any

import msgspec

from hal.aqara.json_array import DECODE_ERRORS, split_array

DEVICES_MAX = 2048
"""Devices of one endpoint; a large home has some 200."""

DEVICE_BYTES_MAX = 64 * 1024
"""Of one entry of the list; a device takes some 4 KiB."""

TRAITS_MAX = 512
"""Traits of one device; the largest of the catalogue have some 120."""

TEXT_CHARACTERS_MAX = 128
"""Of a name or an id; longer ones are cut for names, and refused for ids."""

INTEGER_MAX = 2**63 - 1
"""No quantity is a larger whole number."""

ENUM, BOOL = "Enum", "Bool"
NUMBERS = frozenset({"Integer", "Float"})

TRAIT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "OnOff": BOOL,
        "HeaterCoolerMode": ENUM,
        "HeatingTemperature": "Float",
        "CoolingTemperature": "Float",
        "SetTemperature": "Float",
        "AntiFreezeTemperature": "Float",
        "FanMode": ENUM,
        "FanSpeed": "Integer",
        "RockSetting": ENUM,
    }
)
"""The forms of writable traits that matter for climate, from the published table: for a list without `parameter`."""

POWER_TRAIT = "OnOff"
_STATE_KEYS = ("state", "online", "available", "reachable")
_NAME_KEYS = ("deviceName", "name", "nickName")


class KnownTrait(msgspec.Struct, frozen=True):
    """One trait of a device.

    Attributes:
        endpoint_id: Of the endpoint that has it.
        function_code: Of the function that has it.
        trait_code: Its own code.
        value: As it came: a text, a number, a boolean or `None`. Aqara has no other values.
        at_utc_ms: When it was measured; `None` where nobody said.
        type: "Bool", "Enum", "Float" and so on; empty where nobody said.
        unit: Of a number; may be empty.
        is_writable: Whether it can be set; `None` where nobody said.
        choices: The values of an enum, each with its name.
    """

    endpoint_id: int
    function_code: str
    trait_code: str
    value: Any
    at_utc_ms: int | None = None
    type: str = ""
    unit: str = ""
    is_writable: bool | None = None
    choices: Mapping[str, str] = MappingProxyType({})


class KnownDevice(msgspec.Struct, frozen=True):
    """One device.

    Attributes:
        device_id: Its id.
        name: For people; its id where it has none.
        types: Its type codes. The type is never guessed from the name.
        is_online: `None` where nobody said.
        space_id: Of the space that it is in; empty for none.
        room: The name of that space; empty for none.
        traits: Every trait, in the order of the list.
    """

    device_id: str
    name: str
    types: tuple[str, ...]
    is_online: bool | None
    space_id: str
    room: str
    traits: tuple[KnownTrait, ...]

    def is_on(self, endpoint_id: int) -> bool | None:
        """Return the power of an endpoint; `None` where it has no power trait."""
        for trait in self.traits:
            if trait.trait_code == POWER_TRAIT and trait.endpoint_id == endpoint_id:
                return as_bool(trait.value)
        return None

    def shown(self, trait: KnownTrait) -> Any:  # noqa: ANN401 - any JSON
        """Return the value of a trait as people are to see it: a level of what is switched off is 0."""
        is_level = trait.unit == "%" and trait.is_writable
        return 0 if is_level and self.is_on(trait.endpoint_id) is False else trait.value


def as_bool(value: object) -> bool | None:
    """Return a boolean that may have come as a text or a number; `None` for anything else."""
    text = str(value).lower()
    return True if text in {"true", "1"} else False if text in {"false", "0"} else None


def read_devices(document: bytes, *, trait_codes: Container[str] | None = None) -> tuple[tuple[KnownDevice, ...], int]:
    """Return the devices of a list, and how many entries were left out because they make no sense or are too long.

    Args:
        document: The JSON array. Its entries are decoded one after the other, none above `DEVICE_BYTES_MAX`.
        trait_codes: The traits that are kept; `None` for all.

    Raises:
        ValueError: It is no array, is cut off, or is longer than `DEVICES_MAX`.
    """
    devices = []
    left_out = 0
    for element in split_array(document, elements_max=DEVICES_MAX, element_bytes_max=DEVICE_BYTES_MAX):
        device = None if element is None else _read_device(_decode(element), trait_codes)
        if device is None:
            left_out += 1
        else:
            devices.append(device)
    return tuple(devices), left_out


def _decode(element: bytes) -> object:
    try:
        return msgspec.json.decode(element)
    except DECODE_ERRORS:
        return None


def _read_device(entry: object, trait_codes: Container[str] | None) -> KnownDevice | None:
    if not isinstance(entry, dict):
        return None
    device_id = _id(entry.get("deviceId"))
    if not device_id:
        return None
    name = next((text for key in _NAME_KEYS if (text := _text(entry.get(key)))), device_id)
    types = entry.get("deviceTypesList")
    space = entry.get("space")
    space = space if isinstance(space, dict) else {}
    states = (as_bool(entry[key]) for key in _STATE_KEYS if key in entry)
    return KnownDevice(
        device_id,
        name,
        tuple(filter(None, map(_text, types))) if isinstance(types, list) else (),
        next((state for state in states if state is not None), None),
        _id(space.get("spaceId")),
        _text(space.get("name")),
        tuple(islice(_read_traits(entry, trait_codes), TRAITS_MAX)),
    )


def _read_traits(device: Mapping[str, Any], trait_codes: Container[str] | None) -> Iterator[KnownTrait]:
    for endpoint in _objects(device, "endpoints"):
        endpoint_id = endpoint.get("endpointId")
        if not isinstance(endpoint_id, int) or isinstance(endpoint_id, bool):
            continue
        for function in _objects(endpoint, "functions", "functionList"):
            function_code = _id(function.get("functionCode", function.get("code")))
            for trait in _objects(function, "traits", "properties"):
                trait_code = _id(trait.get("traitCode", trait.get("code")))
                is_wanted = trait_codes is None or trait_code in trait_codes
                if function_code and trait_code and is_wanted:
                    yield _read_trait(endpoint_id, function_code, trait_code, trait)


def _read_trait(endpoint_id: int, function_code: str, trait_code: str, trait: Mapping[str, Any]) -> KnownTrait:
    parameter = trait.get("parameter")
    parameter = parameter if isinstance(parameter, dict) else {}
    choices = {
        _text(choice.get("value")): _text(choice.get("key"))
        for choice in _objects(parameter, "supportedValues", "supportedValue")
    }
    at_ms = trait.get("time")
    writable = parameter.get("writable")
    return KnownTrait(
        endpoint_id,
        function_code,
        trait_code,
        _value(trait.get("value")),
        at_ms if isinstance(at_ms, int) and not isinstance(at_ms, bool) else None,
        _text(parameter.get("type")) or TRAIT_TYPES.get(trait_code, ""),
        _text(parameter.get("unit")),
        writable if isinstance(writable, bool) else True if trait_code in TRAIT_TYPES else None,
        choices,
    )


def _value(value: object) -> str | float | bool | None:
    """Return a plain value as it came, but no whole number that a float cannot hold: arithmetic would fail on it."""
    if not isinstance(value, str | int | float):
        return None
    is_huge = isinstance(value, int) and abs(value) > INTEGER_MAX
    return None if is_huge else value


def _objects(holder: Mapping[str, Any], *keys: str) -> Sequence[Mapping[str, Any]]:
    for key in keys:
        found = holder.get(key)
        if isinstance(found, list):
            return [each for each in found if isinstance(each, dict)]
    return []


def _id(value: object) -> str:
    """Return an id or code; empty where it cannot be one, or cannot be printed."""
    is_usable = isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX and value.isprintable()
    return str(value) if is_usable else ""


def _text(value: object) -> str:
    """Return a text or a number as a short printable line."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    line = "".join(sign if sign.isprintable() else " " for sign in str(value))
    return line.strip()[:TEXT_CHARACTERS_MAX]
