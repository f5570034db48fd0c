"""The humidity of a zone: from those of its sensors that measure humidity as well as temperature.

Control never uses it. It is for people and APIs.
"""

from collections.abc import Callable, Iterator, Mapping

from agent.climate.fusion import SensorState
from agent.climate.settings import ClimateSettings
from agent.foundation.median import median
from hal.interface import HUB, Quality, SensorKind

Channel = tuple[str, str, SensorKind]
"""Device, sensor and kind."""


class HumidityLookup:
    """Finds the humidity sensors of each zone."""

    def __init__(
        self,
        settings: ClimateSettings | None,
        *,
        channels: Mapping[Channel, SensorState],
        devices: Callable[[], Mapping[str, str]],
        now_ms: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            settings: Of the home; `None` where the hub drives nothing.
            channels: The state of every sensor channel. It grows as sensors report.
            devices: Returns the devices of relayed sensors, by the names that people gave them.
            now_ms: Returns boot time.
        """
        self._zones = {zone.zone_id: zone for zone in settings.zones} if settings else {}
        self._channels = channels
        self._devices = devices
        self._now_ms = now_ms
        self._found: list[Channel] = []
        self._channels_seen = -1

    def zone_percent(self, zone_id: str) -> float | None:
        """Return the median of the zone's valid values in percent; `None` without any.

        Raises:
            KeyError: There is no such zone.
        """
        zone = self._zones[zone_id]
        names, devices = [name for name, _ in zone.sensors], self._devices()
        oldest_ms = self._now_ms() - zone.stale_s * 1000
        values = [
            state.latest.value
            for device, sensor, state in self._humidity()
            if state.latest is not None
            and state.latest.quality is Quality.GOOD
            and state.latest.at_ms >= oldest_ms
            and any(_is_same_device(name, device, sensor, devices) for name in names)
        ]
        return median(values) if values else None

    def _humidity(self) -> Iterator[tuple[str, str, SensorState]]:
        if len(self._channels) != self._channels_seen:
            self._channels_seen = len(self._channels)
            self._found = [channel for channel in self._channels if channel[2] is SensorKind.HUMIDITY]
        for channel in self._found:
            yield channel[0], channel[1], self._channels[channel]


def _is_same_device(name: str, device: str, sensor: str, devices: Mapping[str, str]) -> bool:
    """Return whether a temperature sensor, by its configured name, and a humidity sensor are one device."""
    if device != HUB:
        return device == devices.get(name, name)
    return _chip(name) == _chip(sensor)


def _chip(sensor: str) -> tuple[str, str]:
    """Return the chip of one of the hub's own sensors: "hwmon/sht3x/temp1#2" is the second "hwmon/sht3x"."""
    name, _, number = sensor.partition("#")
    return name.rpartition("/")[0], number
