"""Sensor fusion: one zone temperature from several sensors, each with its age and quality. Pure.

A sensor counts by its weight. An ageing reading counts less and less, and not at all once it is stale, suspect, bad or
outside the indoor range. Of sensors that disagree, the wrong one is left out if it can be told.

`SensorLookup` finds the readings: the sensors of the hub, and relayed sensors by name or device.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from agent.climate.sensor_rhythm import SilenceAllowance
from agent.foundation.median import median_high
from hal.interface import HUB, Quality, Reading, SensorKind, ZoneOutput

INDOOR_C_MIN = -15.0
INDOOR_C_MAX = 55.0
"""The range of plausible values in a building: an unheated attic in frost, a conservatory in July."""

DISAGREE_K = 4.0
"""Sensors of one zone that are farther apart than this do not measure the same room."""

CONTRADICTION_K = 6.0
"""The mean of two sensors that are farther apart than this is no temperature to control by."""

MAJORITY_MIN = 3
"""From this number of sensors on, the median tells which one is wrong."""


class SensorReading(msgspec.Struct, frozen=True):
    """The latest reading of a sensor.

    Attributes:
        value_c: Its value.
        at_ms: Its boot time.
        quality: The verdict of the plausibility check.
        silence_s_max: How long the sensor may be silent, as its radio knows; `None` if that is not known.
    """

    value_c: float
    at_ms: int
    quality: Quality = Quality.GOOD
    silence_s_max: float | None = None


def known_c(
    reading: SensorReading | None, *, now_ms: int, age_s_max: float, lowest_c: float, highest_c: float
) -> float | None:
    """Return the temperature of a single sensor; `None` without a good, plausible and recent reading.

    Args:
        reading: The latest of the sensor; `None` for none.
        now_ms: Boot time.
        age_s_max: Older readings do not count, unless the sensor may be silent for longer.
        lowest_c: Of what it measures: one that is cut or shorted lies outside.
        highest_c: Likewise.
    """
    if reading is None or reading.quality is not Quality.GOOD:
        return None
    if now_ms - reading.at_ms > max(age_s_max, reading.silence_s_max or 0.0) * 1000:
        return None
    return reading.value_c if lowest_c <= reading.value_c <= highest_c else None


class SensorSample(msgspec.Struct, frozen=True):
    """The latest reading of a sensor, as fusion takes it.

    Attributes:
        sensor: Its name, for people.
        value_c: The reading.
        age_s: Its age.
        quality: The verdict of the plausibility check.
        weight: How much it counts, above 0.
        last_valid_c: For a suspect sensor, its last valid value; else `None`. See `sensor_validation`.
        allowed: How long it may be silent; `None` for the limit of the zone.
    """

    sensor: str
    value_c: float
    age_s: float
    quality: Quality = Quality.GOOD
    weight: float = 1.0
    last_valid_c: float | None = None
    allowed: SilenceAllowance | None = None


class ZoneTemperature(msgspec.Struct, frozen=True):
    """The temperature of a zone.

    Attributes:
        value_c: `None` without a valid sensor, and if two sensors contradict each other.
        age_s: Of the newest sensor that counts.
        used: How many sensors count.
        coldest_c: The lowest valid value of the zone; without any, the lowest value of a suspect sensor. `None` without
            either.
        problem: The problems of the sensors, for people; empty without any.
        warmest_c: The highest valid value, including one that another zone's temperature speaks against: limits apply
            to the warmest sensor, not to the mean. `None` without any.
        values_c: The values of the sensors that count.
        names: The names of the sensors that count.
        quiet_for_s: For how long the silence of all sensors that count has been unusual, 0 while it is not; `None`
            unless all of them report on change. See `sensor_probe`.
        silent_s: Without a valid sensor: the age of the newest reading; 0 if the sensor is not silent.
        has_contradiction: A sensor contradicts another one, or its own value of a moment ago.
    """

    value_c: float | None
    age_s: float
    used: int
    coldest_c: float | None
    problem: str = ""
    warmest_c: float | None = None
    values_c: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    quiet_for_s: float | None = None
    silent_s: float = 0.0
    has_contradiction: bool = False


NO_READING = ZoneTemperature(None, 0.0, 0, None, "no sensor has reported yet")

MISSING_NAMES_MAX = 3
"""So many sensors that are awaited are named."""


def await_readings(names: Sequence[str]) -> ZoneTemperature:
    """Return the temperature of a zone of which no sensor has reported yet, with their names: one may be misspelt."""
    if not names:
        return NO_READING
    more = f" and {len(names) - MISSING_NAMES_MAX} more" if len(names) > MISSING_NAMES_MAX else ""
    text = f"{NO_READING.problem}: {', '.join(names[:MISSING_NAMES_MAX])}{more}"
    return msgspec.structs.replace(NO_READING, problem=text)


def rejection_reason(sample: SensorSample, stale_s: float) -> str:
    """Return why a sensor does not count, for people; empty if it counts."""
    if sample.quality is not Quality.GOOD:
        return f"{sample.sensor} is {sample.quality.value}"
    if not INDOOR_C_MIN <= sample.value_c <= INDOOR_C_MAX:
        return f"{sample.sensor} reports {sample.value_c:.1f} °C"
    if sample.age_s > _lost_s(sample, stale_s):
        return _silence_text(sample)
    if sample.last_valid_c is not None:
        return f"{sample.sensor} jumped from {sample.last_valid_c:.1f} to {sample.value_c:.1f} °C"
    return ""


def _lost_s(sample: SensorSample, stale_s: float) -> float:
    """Return the age from which on a sensor does not count."""
    return stale_s if sample.allowed is None else sample.allowed.lost_s


def _silence_text(sample: SensorSample) -> str:
    usual_s = 0.0 if sample.allowed is None else sample.allowed.usual_s
    usual = f" (usually at most {max(1.0, usual_s / 60):.0f} min)" if usual_s else ""
    return f"{sample.sensor} has been silent for {sample.age_s / 60:.0f} min{usual}"


def _ageing_share(sample: SensorSample, stale_s: float) -> float:
    """Return the share of its weight that a valid sensor keeps: all of it while its silence is usual."""
    lost_s, allowed = _lost_s(sample, stale_s), sample.allowed
    fresh_s = lost_s / 2.0
    if allowed is not None:
        fresh_s = max(fresh_s, allowed.usual_s) if allowed.quiet_s is None else allowed.quiet_s
    if sample.age_s <= fresh_s:
        return 1.0
    return max(0.01, (lost_s - sample.age_s) / max(1.0, lost_s - fresh_s))


def _quiet_for_s(used: Sequence[SensorSample]) -> float | None:
    quiet_for_s: float | None = None
    for sample in used:
        if sample.allowed is None or sample.allowed.quiet_s is None:
            return None
        own_s = max(0.0, sample.age_s - sample.allowed.quiet_s)
        quiet_for_s = own_s if quiet_for_s is None else min(quiet_for_s, own_s)
    return quiet_for_s


def _is_only_suspect(sample: SensorSample, stale_s: float) -> bool:
    """Return whether its jump is the only reason to reject a sensor."""
    return sample.last_valid_c is not None and not rejection_reason(
        msgspec.structs.replace(sample, last_valid_c=None), stale_s
    )


def fuse(samples: Sequence[SensorSample], *, stale_s: float, home_median_c: float | None = None) -> ZoneTemperature:
    """Return the temperature of a zone.

    Args:
        samples: One of each sensor of the zone that has ever reported.
        stale_s: The limit of sensors without an allowance: older readings do not count. From half of it on they count
            less.
        home_median_c: The median of all other zones. It tells which of two sensors that disagree is wrong.
    """
    if not samples:
        return NO_READING
    valid: list[SensorSample] = []
    problems: list[str] = []
    for sample in samples:
        if problem := rejection_reason(sample, stale_s):
            problems.append(problem)
        else:
            valid.append(sample)
    has_contradiction = any(_is_only_suspect(sample, stale_s) for sample in samples)
    if not valid:
        # A sensor that jumped down may be right: see `sensor_loss`.
        suspect_c = [sample.value_c for sample in samples if _is_only_suspect(sample, stale_s)]
        silent_s = min([sample.age_s if sample.age_s > _lost_s(sample, stale_s) else 0.0 for sample in samples])
        return ZoneTemperature(
            value_c=None,
            age_s=0.0,
            used=0,
            coldest_c=min(suspect_c, default=None),
            problem="; ".join(problems),
            silent_s=silent_s,
            has_contradiction=has_contradiction,
        )
    used = valid
    if len(valid) > 1:
        used, more = _drop_outliers(valid, home_median_c)
        problems += more
        has_contradiction = has_contradiction or bool(more)
    # A sensor that the majority contradicts is wrong. Of two sensors, the warmer one may be right all the same.
    warmest_c = max(sample.value_c for sample in (valid if len(valid) < MAJORITY_MIN else used))
    coldest_c = min(sample.value_c for sample in used)
    if len(used) < MAJORITY_MIN and warmest_c - coldest_c > CONTRADICTION_K and used is valid:
        return ZoneTemperature(None, 0.0, 0, coldest_c, "; ".join(problems), warmest_c, has_contradiction=True)
    total = weights = 0.0
    for sample in used:
        weight = sample.weight * _ageing_share(sample, stale_s)
        total += weight * sample.value_c
        weights += weight
    return ZoneTemperature(
        value_c=total / weights,
        age_s=min(sample.age_s for sample in used),
        used=len(used),
        coldest_c=coldest_c,
        problem="; ".join(problems),
        warmest_c=warmest_c,
        values_c=tuple([sample.value_c for sample in used]),
        names=tuple([sample.sensor for sample in used]),
        quiet_for_s=_quiet_for_s(used),
        has_contradiction=has_contradiction,
    )


def _drop_outliers(valid: list[SensorSample], home_median_c: float | None) -> tuple[list[SensorSample], list[str]]:
    """Return the samples without those that contradict the others, and the problems; the same list without outliers."""
    values = [sample.value_c for sample in valid]
    if max(values) - min(values) <= DISAGREE_K:
        return valid, []
    if len(valid) >= MAJORITY_MIN:
        reference_c = median_high(values)
    elif home_median_c is not None:
        reference_c = min(values, key=lambda value_c: abs(value_c - home_median_c))
    else:
        return valid, [f"{valid[0].sensor} and {valid[1].sensor} disagree by {max(values) - min(values):.1f} K"]
    problems = [
        f"{sample.sensor} contradicts the others: {sample.value_c:.1f} °C"
        for sample in valid
        if abs(sample.value_c - reference_c) > DISAGREE_K
    ]
    return [sample for sample in valid if abs(sample.value_c - reference_c) <= DISAGREE_K], problems


_Channel = tuple[str, str, SensorKind]
"""Device, sensor within the device, and kind."""

AllowedSilence = Callable[[str, SensorKind], float | None]
"""Returns how long a sensor may leave a kind unreported, by its device; `None` if that is not known."""


class SensorState(Protocol):
    """The state of one sensor channel."""

    @property
    def latest(self) -> Reading | None:
        """Its last reading, good or not."""
        ...


def rooms_for_outputs(
    zones: Iterable[tuple[ZoneOutput, Sequence[str], float | None]], devices: Mapping[str, str]
) -> dict[str, float]:
    """Return the temperature of each zone whose output is a device that may take it (`HvacDemand.room_c`).

    A device that measures its own zone gets none: it would only measure the value that it was given.

    Args:
        zones: The output of each such zone, the names of its sensors, and its temperature.
        devices: The devices of relayed sensors, by the names that people gave them.
    """
    return {
        output.name: value_c
        for output, sensors, value_c in zones
        if value_c is not None and output.device not in {devices.get(name, name) for name in sensors}
    }


class SensorLookup:
    """Finds the latest reading of each sensor that the configuration names."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        channels: Mapping[_Channel, SensorState],
        devices: Callable[[], Mapping[str, str]],
        allowed_silence_s: AllowedSilence | None = None,
    ) -> None:
        """Prepare.

        Args:
            names: The names in the configuration.
            channels: The state of every sensor channel: new ones come as sensors report, old ones make room for them.
            devices: Returns the devices of relayed sensors, by the names that people gave them.
            allowed_silence_s: As the radio has configured it; `None` without such a radio.
        """
        self._allowed_silence_s = allowed_silence_s
        self._names = tuple(dict.fromkeys(names))
        self._channels = channels
        self._devices = devices
        self._found: dict[str, _Channel] = {}
        self._channels_seen = -1
        self._devices_seen: Mapping[str, str] = {}

    def readings(self) -> Mapping[str, SensorReading]:
        """Return the latest temperature of each sensor that has reported one, by name."""
        devices = self._devices()
        if self._may_find_others(devices):
            self._find(devices)
        readings = {}
        for name, channel in self._found.items():
            reading = self._channels[channel].latest
            if reading is not None:
                limit = self._allowed_silence_s
                allowed_s = None if limit is None or channel[0] == HUB else limit(channel[0], channel[2])
                readings[name] = SensorReading(reading.value, reading.at_ms, reading.quality, allowed_s)
        return readings

    def missing(self) -> list[str]:
        """Return the names for which no sensor has reported yet."""
        return [name for name in self._names if name not in self._found]

    def _may_find_others(self, devices: Mapping[str, str]) -> bool:
        """Return whether a sensor may have reported for the first time, a name has changed or a channel is gone."""
        if len(self._channels) != self._channels_seen or devices != self._devices_seen:
            return True
        # A full table is as large as ever when a new channel has taken the place of an old one.
        return len(self._found) < len(self._names) or not self._channels.keys() >= set(self._found.values())

    def _find(self, devices: Mapping[str, str]) -> None:
        """Find the sensor of each name."""
        self._channels_seen = len(self._channels)
        self._devices_seen = devices
        self._found = {}
        for device, sensor, kind in self._channels:
            if kind is not SensorKind.TEMPERATURE:
                continue
            for name in self._names:
                if (device == HUB and sensor == name) or (device != HUB and device == devices.get(name, name)):
                    self._found[name] = (device, sensor, kind)
