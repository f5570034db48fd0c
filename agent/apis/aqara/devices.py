"""The devices of the home as the Aqara Open API shows them: endpoints, functions and traits. Pure.

A trait stands on one endpoint of a device, and no two devices have one name: clients in the field refuse both as
ambiguous. A trait that was measured once keeps its place without a value, so that a client does not lose it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from agent.apis.aqara import traits
from agent.apis.aqara.assumptions import (
    AIR_QUALITY_LIMITS,
    FIRST_ENDPOINT,
    MODE_VALUES,
    PUBLIC_ENDPOINT,
    ROOT_ENDPOINT,
)
from agent.apis.aqara.commands import read_trait
from agent.apis.aqara.traits import TraitForm
from agent.apis.aqara.wire import Endpoint, Function, SpaceName, SpaceNode, Trait, TypeName, WireDevice
from agent.climate.model import SETPOINT_GAP_K_MIN
from agent.home.devices import DeviceKind, HomeDevice
from agent.home.spaces import Space, SpaceTree
from agent.home.thermostat import Thermostat
from hal.interface import SensorKind

HUB_TYPE, ZONE_TYPE = "Hub", "Thermostat"
_ROOT_TYPE, _PUBLIC_TYPE = "Root", "Public"


class _Unit(msgspec.Struct, frozen=True):
    """How one measured quantity is shown.

    Attributes:
        endpoint_id: The endpoint of its own that it has.
        name: Of that endpoint, and of the device type, for people.
        device_type: Of that endpoint.
        form: The trait.
        convert: Makes the value of the trait from that of the hub.
    """

    endpoint_id: int
    name: str
    device_type: str
    form: TraitForm
    convert: Callable[[float], float | str]


def _air_quality(index: float) -> str:
    return next((level for limit, level in AIR_QUALITY_LIMITS if index <= limit), "5")


def _rounded(value: float) -> float:
    return round(value, 2)


def _kpa(value_hpa: float) -> float:
    return round(value_hpa / 10, 3)


_UNITS: Mapping[SensorKind, _Unit] = MappingProxyType(
    {
        SensorKind.TEMPERATURE: _Unit(FIRST_ENDPOINT, "Temperature", "TemperatureSensor", traits.TEMPERATURE, _rounded),
        SensorKind.HUMIDITY: _Unit(FIRST_ENDPOINT + 1, "Humidity", "HumiditySensor", traits.HUMIDITY, _rounded),
        SensorKind.PRESSURE: _Unit(
            FIRST_ENDPOINT + 2, "Air pressure", "AtmosphericPressureSensor", traits.PRESSURE, _kpa
        ),
        SensorKind.IAQ: _Unit(FIRST_ENDPOINT + 3, "Air quality", "AirQualitySensor", traits.AIR_QUALITY, _air_quality),
    }
)
"""The quantities that have a trait; the others are shown otherwise or not at all."""


def type_names() -> tuple[TypeName, ...]:
    """Return every device type of this hub with its name."""
    names = {HUB_TYPE: "Hub", ZONE_TYPE: "Thermostat"} | {unit.device_type: unit.name for unit in _UNITS.values()}
    return tuple(TypeName(code, name) for code, name in names.items())


def writable_forms(thermostat: Thermostat) -> Sequence[TraitForm]:
    """Return the traits of a zone that can be set, with the modes that its equipment can carry out."""
    values = [MODE_VALUES[mode] for mode in thermostat.modes]
    choices = {value: name for value, name in traits.MODE.choices.items() if value in values}
    forms = [traits.ON_OFF, msgspec.structs.replace(traits.MODE, choices=choices)]
    forms += [traits.HEATING] if thermostat.can_heat else []
    return [*forms, traits.COOLING] if thermostat.can_cool else forms


def zone_endpoints(
    device: HomeDevice, thermostat: Thermostat, frost_c: float, utc_ms: int | None
) -> tuple[Endpoint, ...]:
    """Return the endpoints of a zone: what describes it, and the thermostat.

    Args:
        device: The zone.
        thermostat: The same as a thermostat.
        frost_c: Below this it is heated whatever its mode.
        utc_ms: The present time; `None` while it is unknown.
    """
    values: list[tuple[TraitForm, Any]] = [(form, read_trait(thermostat, form)) for form in writable_forms(thermostat)]
    temperature_c, humidity_percent = thermostat.temperature_c, thermostat.humidity_percent
    values.append((traits.ZONE_TEMPERATURE, None if temperature_c is None else _rounded(temperature_c)))
    if humidity_percent is not None:
        values.append((traits.ZONE_HUMIDITY, _rounded(humidity_percent)))
    if thermostat.can_heat and thermostat.can_cool:
        values.append((traits.DEADBAND, SETPOINT_GAP_K_MIN))
    if thermostat.can_heat:
        values.append((traits.FROST, frost_c))
    functions = _functions([(form, value, utc_ms) for form, value in values])
    return (_root(device, utc_ms), Endpoint(FIRST_ENDPOINT, "Thermostat", ZONE_TYPE, functions))


def measuring_endpoints(device: HomeDevice, utc_ms: int | None) -> tuple[Endpoint, ...]:
    """Return the endpoints of the hub or of a sensor: what describes it, its battery, and one for each quantity.

    Args:
        device: The hub or sensor.
        utc_ms: The present time; `None` while it is unknown.
    """
    endpoints = [_root(device, utc_ms)]
    if device.battery_percent is not None:
        battery = _functions([(traits.BATTERY, _rounded(device.battery_percent), utc_ms)])
        endpoints.append(Endpoint(PUBLIC_ENDPOINT, "Supply", _PUBLIC_TYPE, battery))
    for kind, unit in _UNITS.items():
        ages_s = [each.age_s for each in device.measurements if each.kind is kind and each.age_s is not None]
        if not ages_s:
            continue
        value = device.measured(kind)
        at_utc_ms = None if utc_ms is None else utc_ms - round(min(ages_s) * 1000)
        shown = [(unit.form, None if value is None else unit.convert(value), at_utc_ms)]
        endpoints.append(Endpoint(unit.endpoint_id, unit.name, unit.device_type, _functions(shown)))
    return tuple(endpoints)


def wire_device(device: HomeDevice, endpoints: tuple[Endpoint, ...], name: str, space: Space | None) -> WireDevice:
    """Return a device as it is on the wire.

    Args:
        device: The device.
        endpoints: Its endpoints.
        name: From `distinct_names`.
        space: Where it is; `None` for nowhere in particular.
    """
    types = [each.device_type for each in endpoints if each.device_type not in {_ROOT_TYPE, _PUBLIC_TYPE}]
    if device.kind is DeviceKind.HUB:
        types.insert(0, HUB_TYPE)
    return WireDevice(
        device_id=device.device_id,
        name=name,
        device_name=name,
        device_types_list=tuple(types),
        state=device.is_online,
        online=device.is_online,
        space=SpaceName(space.space_id, space.name, space.parent_id, space.marking) if space else None,
        endpoints=endpoints,
    )


def distinct_names(names: Mapping[str, str]) -> Mapping[str, str]:
    """Return the names of devices, by id; those that several devices have get the id behind them."""
    counts = Counter(name.casefold() for name in names.values())
    return {
        device_id: name if counts[name.casefold()] == 1 else f"{name} ({device_id})"
        for device_id, name in names.items()
    }


def space_nodes(tree: SpaceTree, visible: frozenset[str], parent_id: str | None = None) -> tuple[SpaceNode, ...]:
    """Return the spaces below one, each with all that is part of it.

    Args:
        tree: All spaces.
        visible: The ids of those that are shown.
        parent_id: The space; `None` for the top.
    """
    return tuple(
        SpaceNode(
            space.space_id, space.parent_id, space.name, space.marking, space_nodes(tree, visible, space.space_id)
        )
        for space in tree.children(parent_id)
        if space.space_id in visible
    )


def _root(device: HomeDevice, utc_ms: int | None) -> Endpoint:
    shown: list[tuple[TraitForm, Any, int | None]] = [(traits.REACHABLE, device.is_online, utc_ms)]
    if device.firmware:
        shown.append((traits.FIRMWARE, device.firmware, utc_ms))
    return Endpoint(ROOT_ENDPOINT, "Root", _ROOT_TYPE, _functions(shown))


def _functions(shown: Sequence[tuple[TraitForm, Any, int | None]]) -> tuple[Function, ...]:
    """Return values by function, in the order in which the functions come first."""
    found: dict[str, list[Trait]] = {}
    for form, value, at_utc_ms in shown:
        trait = Trait(form.code, value, None if value is None else at_utc_ms, form.parameter)
        found.setdefault(form.function, []).append(trait)
    return tuple(Function(code, tuple(each)) for code, each in found.items())
