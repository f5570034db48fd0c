"""The sensors of an Aqara endpoint: what a device list says that is new, and which sensors are online. Pure.

A list is the state of all devices, polled again and again. A value whose time has not changed is no new reading. The
rhythm of a sensor is that of its own times; what the endpoint calls offline is offline.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from hal import availability
from hal.aqara.device_list import KnownDevice, KnownTrait
from hal.availability import ReportingRhythm
from hal.interface import Reading, RelayedSensor, SensorKind
from hal.radio import SensorLink

DEVICE_PREFIX = "aqara:"
"""Of `Reading.device`: keeps the ids of an endpoint apart from addresses."""

SENSORS_MAX = 256
"""Sensors of one endpoint that are relayed, as many as a hub relays."""

FUTURE_MS_MAX = 60_000
"""A time of the endpoint that lies further ahead is wrong; the value counts as measured when it was fetched."""

REPEAT_MS = 900_000
"""How often a value without a time is reported that does not change: as often as Zigbee sensors report at least."""

KINDS: Mapping[str, SensorKind] = MappingProxyType(
    {
        "CurrentTemperature": SensorKind.TEMPERATURE,
        "CurrentHumidity": SensorKind.HUMIDITY,
        "CurrentPressure": SensorKind.PRESSURE,
        "BatPercentRemaining": SensorKind.BATTERY_LEVEL,
        "WiFiRSSI": SensorKind.SIGNAL_STRENGTH,
    }
)
"""The traits that are relayed. `AirQuality` is a level and no index, so it is none of them."""

_MEASURING = frozenset({SensorKind.TEMPERATURE, SensorKind.HUMIDITY, SensorKind.PRESSURE})
"""A device without one of these is no sensor: a lamp with a battery is not relayed."""

_PRESSURE_HPA = ((30.0, 120.0, 10.0), (300.0, 1200.0, 1.0), (30_000.0, 120_000.0, 0.01))
"""Ranges of a value in kPa, hPa and Pa, and what makes it hPa. The trait table says kPa, real devices give all three;
no air pressure below 30 kPa, at the height of airliners, is measured in a building."""


def pressure_hpa(value: float) -> float | None:
    """Return an air pressure in hPa by its magnitude; `None` where no unit fits."""
    return next((value * factor for least, most, factor in _PRESSURE_HPA if least <= value <= most), None)


class _Value(msgspec.Struct, frozen=True):
    """One value of a device list, in the unit of its kind."""

    kind: SensorKind
    sensor: str
    value: float
    at_utc_ms: int | None


class _Known(msgspec.Struct, frozen=True):
    """What is known of one sensor.

    Attributes:
        sensor: As the hub relays it.
        is_sleepy: It has a battery.
        rhythm: Its usual silence.
        last_seen_ms: Its newest value, on the boot's monotonic clock; `None` for none in this boot.
        is_offline: The endpoint says so, or it was silent for too long.
        values: The last value of each kind, with when it was fetched and the instant of its reading.
        is_listed: The newest list has it.
    """

    sensor: RelayedSensor
    is_sleepy: bool = True
    rhythm: ReportingRhythm = ReportingRhythm()
    last_seen_ms: int | None = None
    is_offline: bool = False
    values: Mapping[SensorKind, tuple[_Value, int, int]] = MappingProxyType({})
    is_listed: bool = True


class AqaraSensors:
    """The sensors of one endpoint, over its device lists.

    Attributes:
        left_out: How many sensors the last list had beyond `SENSORS_MAX`.
    """

    def __init__(self, sensors: Sequence[RelayedSensor]) -> None:
        """Begin with the sensors that were known before; nothing is known of their values."""
        self._known = {each.device: _Known(each) for each in sensors[:SENSORS_MAX]}
        self._since_ms: int | None = None
        self.left_out = 0

    @property
    def sensors(self) -> tuple[RelayedSensor, ...]:
        """All of them, in the order in which they were found."""
        return tuple(each.sensor for each in self._known.values())

    def take(self, devices: Sequence[KnownDevice], *, now_ms: int, utc_ms: int | None) -> list[Reading]:
        """Return what a list says that is new, the oldest first.

        Args:
            devices: The list.
            now_ms: When it was fetched, on the boot's monotonic clock.
            utc_ms: The same in UTC; `None` while the time is unknown.
        """
        if self._since_ms is None:
            self._since_ms = now_ms
        readings: list[Reading] = []
        listed = set()
        self.left_out = 0
        for device in devices:
            values = list(_values(device))
            name = DEVICE_PREFIX + device.device_id
            if name in listed:
                continue
            if name not in self._known:
                if not any(each.kind in _MEASURING for each in values):
                    continue
                if len(self._known) >= SENSORS_MAX:
                    self.left_out += 1
                    continue
            listed.add(name)
            sensor = _sensor(device, values, self._known.get(name))
            known = self._known.get(name, _Known(sensor))
            self._known[name], new = _observe(known, sensor, device, values, now_ms, utc_ms)
            readings += new
        for name, known in self._known.items():
            if name not in listed:
                self._known[name] = msgspec.structs.replace(known, is_listed=False)
        return sorted(readings, key=lambda reading: reading.at_ms)

    def interrupted(self) -> None:
        """Take note that the endpoint does not answer: silence of its sensors means nothing until it does."""
        self._since_ms = None

    def links(self, now_ms: int) -> tuple[SensorLink, ...]:
        """Return whether each sensor is online.

        Args:
            now_ms: On the boot's monotonic clock.
        """
        return tuple(
            SensorLink(
                each.sensor.device,
                "Aqara",
                "",
                self._is_online(each, now_ms),
                each.is_sleepy,
                each.last_seen_ms,
                None,
                "" if each.is_listed else "look for it in the app of its endpoint: it is no longer in the device list",
            )
            for each in self._known.values()
        )

    def _is_online(self, known: _Known, now_ms: int) -> bool | None:
        return availability.is_online(
            known.rhythm,
            is_sleepy=known.is_sleepy,
            last_seen_ms=known.last_seen_ms,
            listening_since_ms=self._since_ms,
            was_offline=known.is_offline or not known.is_listed,
            now_ms=now_ms,
        )


def _values(device: KnownDevice) -> Iterator[_Value]:
    """Yield one value of each kind that a device has, that of the first endpoint."""
    found = set()
    for trait in device.traits:
        kind = KINDS.get(trait.trait_code)
        value = None if kind is None or kind in found else _number(kind, trait)
        if kind is not None and value is not None:
            found.add(kind)
            yield _Value(kind, f"{trait.endpoint_id}/{trait.function_code}", value, trait.at_utc_ms)


def _number(kind: SensorKind, trait: KnownTrait) -> float | None:
    value = trait.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return pressure_hpa(float(value)) if kind is SensorKind.PRESSURE else float(value)


def _sensor(device: KnownDevice, values: Sequence[_Value], known: _Known | None) -> RelayedSensor:
    """Return a device as a relayed sensor. A kind stays although the newest list has no value of it."""
    kinds = dict.fromkeys([*(known.sensor.kinds if known else ()), *(each.kind for each in values)])
    return RelayedSensor(DEVICE_PREFIX + device.device_id, device.name, tuple(kinds))


def _observe(
    known: _Known,
    sensor: RelayedSensor,
    device: KnownDevice,
    values: Sequence[_Value],
    now_ms: int,
    utc_ms: int | None,
) -> tuple[_Known, list[Reading]]:
    """Return what is known of a sensor after a list, and its new readings."""
    known = msgspec.structs.replace(known, sensor=sensor, is_listed=True, is_offline=device.is_online is False)
    if known.is_offline:
        return known, []
    readings = []
    kept = dict(known.values)
    for each in values:
        before, reported_ms, last_ms = kept.get(each.kind, (None, 0, None))
        is_repeated = each.at_utc_ms is None and now_ms - reported_ms >= REPEAT_MS
        if before == each and not is_repeated:
            continue
        at_ms = _instant_ms(each.at_utc_ms, now_ms, utc_ms)
        if last_ms is not None and at_ms <= last_ms:
            # Another value, and no later time: no two readings may share an instant.
            at_ms = now_ms
            if now_ms <= last_ms:
                continue
        kept[each.kind] = each, now_ms, at_ms
        readings.append(Reading(sensor.device, each.sensor, each.kind, each.value, at_ms))
    # An endpoint that gives no times vouches for its sensors by `online`.
    seen_ms = max(
        (reading.at_ms for reading in readings),
        default=now_ms if device.is_online and all(each.at_utc_ms is None for each in values) else None,
    )
    rhythm = known.rhythm
    if seen_ms is not None and known.last_seen_ms is not None and seen_ms > known.last_seen_ms:
        rhythm = availability.update_rhythm(rhythm, seen_ms - known.last_seen_ms, is_sleepy=known.is_sleepy)
    last_seen_ms = max((each for each in (seen_ms, known.last_seen_ms) if each is not None), default=None)
    is_sleepy = SensorKind.BATTERY_LEVEL in sensor.kinds
    return (
        msgspec.structs.replace(
            known, rhythm=rhythm, last_seen_ms=last_seen_ms, values=MappingProxyType(kept), is_sleepy=is_sleepy
        ),
        readings,
    )


def _instant_ms(at_utc_ms: int | None, now_ms: int, utc_ms: int | None) -> int:
    """Return an instant of the endpoint on the boot's clock; that of the fetch where its time is unknown or wrong."""
    if at_utc_ms is None or utc_ms is None or not 0 < at_utc_ms <= utc_ms + FUTURE_MS_MAX:
        return now_ms
    return min(now_ms, now_ms - (utc_ms - at_utc_ms))
