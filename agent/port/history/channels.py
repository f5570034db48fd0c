"""What the history records: the sensors' latest values, and each zone's temperature, setpoints and output. Pure.

A channel's id is a path: `zone/ZONE/QUANTITY` or `sensor/DEVICE/SENSOR/KIND`, with `hub` for the hub's own sensors. Ids
are an interface: they are on the disk, and in what the page remembers.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from agent.telemetry.intake import ChannelState
from hal.interface import UNITS, HvacAction, Quality, SensorKind

if TYPE_CHECKING:
    from agent.climate.controller import ClimateController

STALE_MS = 2_000_000
"""A value that is older is none: relayed sensors are set to report every 900 s at least, and one report may be lost."""

HUB_DEVICE = "hub"
"""Of the hub's own sensors, whose device has no name."""

_ZONE_UNITS: Mapping[str, str] = MappingProxyType(
    {"temperature": "°C", "heat_setpoint": "°C", "cool_setpoint": "°C", "output": ""}
)
_OUTPUT: Mapping[HvacAction, float] = MappingProxyType(
    {HvacAction.OFF: 0.0, HvacAction.HEAT: 1.0, HvacAction.COOL: -1.0}
)
"""A mean of these is the share of time for which the zone was heated."""

_NO_NAME = re.compile(r"[^A-Za-z0-9._:/-]")
"""A comma separates channels in a query."""


class HistoryChannel(msgspec.Struct, frozen=True):
    """One channel.

    Attributes:
        id: Its path.
        zone: The zone; empty for a sensor.
        device: The relayed sensor; "hub" for the hub's own, empty for a zone.
        sensor: The name within the device.
        quantity: The kind of the sensor; of a zone "temperature", "heat_setpoint", "cool_setpoint" or "output"
            (1 heating, -1 cooling; a mean is a share of the time).
    """

    id: str
    zone: str
    device: str
    sensor: str
    quantity: str
    unit: str


def channel_of(channel_id: str) -> HistoryChannel:
    """Return what an id says; also one that another release has written."""
    parts = channel_id.split("/")
    quantity = parts[-1]
    if parts[0] == "zone":
        return HistoryChannel(channel_id, "/".join(parts[1:-1]), "", "", quantity, _ZONE_UNITS.get(quantity, ""))
    unit = UNITS[SensorKind(quantity)] if quantity in set(SensorKind) else ""
    return HistoryChannel(channel_id, "", "/".join(parts[1:2]), "/".join(parts[2:-1]), quantity, unit)


def sensor_values(
    channels: Mapping[tuple[str, str, SensorKind], ChannelState], *, now_ms: int, stale_ms: int = STALE_MS
) -> dict[str, float | None]:
    """Return the latest value of each channel; none for one that is old, or whose last reading was implausible."""
    values: dict[str, float | None] = {}
    for (device, sensor, kind), state in channels.items():
        latest = state.latest
        is_usable = latest is not None and latest.quality is not Quality.BAD and now_ms - latest.at_ms <= stale_ms
        device_name = _NO_NAME.sub("_", device).replace("/", "_") or HUB_DEVICE
        name = f"sensor/{device_name}/{_NO_NAME.sub('_', sensor)}/{kind}"
        values[name] = latest.value if is_usable and latest is not None else None
    return values


def zone_values(control: "ClimateController | None") -> dict[str, float | None]:
    """Return what each zone measures, wants and does."""
    if control is None or control.last is None:
        return {}
    from agent.climate.model import COOLING_MODES, HEATING_MODES  # noqa: PLC0415 - a hub without zones does without

    values: dict[str, float | None] = {}
    for zone, state in zip(control.zones.values(), control.state.zones, strict=True):
        path, effective = f"zone/{zone.settings.zone_id}", zone.effective
        values[f"{path}/temperature"] = zone.temperature.value_c
        values[f"{path}/output"] = _OUTPUT[state.action]
        if effective is not None and effective.mode in HEATING_MODES:
            values[f"{path}/heat_setpoint"] = zone.heat_setpoint_c
        if effective is not None and effective.mode in COOLING_MODES:
            values[f"{path}/cool_setpoint"] = effective.setpoints.cool_setpoint_c
    return values
