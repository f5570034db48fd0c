"""When devices come and go, without the noise of a start: after one, no sensor has reported yet. Pure.

A device that was there at the start counts as online until it has had the time to report. So a restart of the agent
tells nobody that the whole home went away and came back.
"""

from collections.abc import Mapping

START_S = 2000.0
"""How long a device may take to report after a start: 900 s between reports, one of which may be lost
(`agent.climate.service.MISSING_SENSOR_S`)."""


class Availability:
    """What is known of each device: online, offline, or not heard of since the start."""

    def __init__(self, present: Mapping[str, bool], now_ms: int) -> None:
        """Begin.

        Args:
            present: Whether each device has reported that there is at the start.
            now_ms: Boot time.
        """
        self._started_ms = now_ms
        self._known: dict[str, bool | None] = {device: is_online or None for device, is_online in present.items()}

    def advance(self, present: Mapping[str, bool], now_ms: int) -> list[tuple[str, bool | None, bool | None]]:
        """Return what has changed: device, before, after. Before is `None` for a new one, after for one that is gone.

        Args:
            present: Whether each device is online now.
            now_ms: Boot time.
        """
        is_starting = now_ms - self._started_ms < START_S * 1000
        changed: list[tuple[str, bool | None, bool | None]] = []
        for device_id, is_online in sorted(present.items()):
            is_new = device_id not in self._known
            before = self._known.get(device_id)
            if before is None and not is_new and not is_online and is_starting:
                continue
            # At the start every device is assumed to be online.
            assumed = None if is_new else before is not False
            if assumed is not is_online:
                changed.append((device_id, assumed, is_online))
            self._known[device_id] = is_online
        gone = sorted(self._known.keys() - present.keys())
        return changed + [(device_id, self._known.pop(device_id), None) for device_id in gone]
