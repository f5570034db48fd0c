"""The humidity of a zone: from those of its sensors that measure humidity as well as temperature.

Control never uses it. It is for people and APIs.
"""

from collections.abc import Callable, Mapping

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
            channels: The state of every sensor channel: new ones come as sensors report, old ones make room for them.
            devices: Returns the devices of relayed sensors, by the names that people gave them.
            now_ms: Returns boot time.
        """
        self._zones = {zone.zone_id: zone for zone in settings.zones} if settings else {}
        self._channels = channels
        self._devices = devices
        self._now_ms = now_ms

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
            for (device, sensor, kind), state in self._channels.items()
            if kind is SensorKind.HUMIDITY
            and state.latest is not None
            and state.latest.quality is Quality.GOOD
            and state.latest.at_ms >= oldest_ms
            and any(_is_same_device(name, device, sensor, devices) for name in names)
        ]
        return median(values) if values else None


def _is_same_device(name: str, device: str, sensor: str, devices: Mapping[str, str]) -> bool:
    """Return whether a temperature sensor, by its configured name, and a humidity sensor are one device."""
    if device != HUB:
        return device == devices.get(name, name)
    return _chip(name) == _chip(sensor)


def _chip(sensor: str) -> tuple[str, str]:
    """Return the chip of one of the hub's own sensors: "hwmon/sht3x/temp1#2" is the second "hwmon/sht3x"."""
    name, _, number = sensor.partition("#")
    return name.rpartition("/")[0], number
