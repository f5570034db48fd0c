"""Finds the latest reading of each sensor that a zone names: one of the hub's, or a relayed one by name or device."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from agent.climate.controller import SensorReading
from hal.interface import HUB, Reading, SensorKind

_Key = tuple[str, str, SensorKind]


class SensorState(Protocol):
    """What is known of one sensor."""

    @property
    def latest(self) -> Reading | None:
        """Its last reading, good or not."""
        ...


class SensorLookup:
    """Looks sensors up by the names of the configuration."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        sources: Mapping[_Key, SensorState],
        devices: Callable[[], Mapping[str, str]],
    ) -> None:
        """Prepare.

        Args:
            names: Those that the configuration has.
            sources: What every sensor said last, by device, source and kind; it grows as sensors report.
            devices: The devices of relayed sensors, by the names that people gave them.
        """
        self._names = tuple(dict.fromkeys(names))
        self._sources = sources
        self._devices = devices
        self._keys: dict[str, _Key] = {}
        self._sources_seen = -1
        self._devices_seen: Mapping[str, str] = {}

    def latest(self) -> Mapping[str, SensorReading]:
        """Return the latest temperature of each sensor that has any."""
        devices = self._devices()
        if len(self._sources) != self._sources_seen or devices != self._devices_seen:
            self._find(devices)
        observed = {}
        for name, key in self._keys.items():
            reading = self._sources[key].latest
            if reading is not None:
                observed[name] = SensorReading(reading.value, reading.at_ms, reading.quality)
        return observed

    def unknown(self) -> list[str]:
        """Return the names that no sensor has answered to yet."""
        return [name for name in self._names if name not in self._keys]

    def _find(self, devices: Mapping[str, str]) -> None:
        """Work out which sensor each name means; again whenever a new one has spoken or a name has changed."""
        self._sources_seen = len(self._sources)
        self._devices_seen = devices
        self._keys = {}
        for device, source, kind in self._sources:
            if kind is not SensorKind.TEMPERATURE:
                continue
            for name in self._names:
                if (device == HUB and source == name) or (device != HUB and device == devices.get(name, name)):
                    self._keys[name] = (device, source, kind)
