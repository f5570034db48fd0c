"""Checks the plausibility of readings: range, impossible change, stuck value. One `PlausibilityCheck` for each series.

Pure: no clock, no I/O. It must never lock a sensor out: `CONFIRMATIONS` consecutive values that agree with each other
are accepted, however large the jump.
"""

from collections.abc import Mapping
from math import inf, isfinite
from types import MappingProxyType
from typing import Final

import msgspec

from hal.interface import UNITS, Quality, Reading, SensorKind

CONFIRMATIONS: Final = 3
"""Consecutive agreeing values after which a jump is accepted. Two could be one glitch read twice (a bus may repeat its
last answer); each further one costs a sample after every real step, such as a sensor carried outdoors."""

STUCK_READINGS_MIN: Final = 12
"""Minimum number of equal readings of a stuck sensor: two equal values a day apart are no evidence."""

_H_MS: Final = 3_600_000


class PlausibilityLimits(msgspec.Struct, frozen=True):
    """Limits of plausible values of one kind, in its unit.

    Attributes:
        low: Lowest plausible value.
        high: Highest plausible value.
        jump: Plausible change between two readings, however close together.
        rate_per_s: Additional plausible change for each second between two readings.
        stuck_after_ms: How long a value may stay exactly equal; `None` for a kind that may be constant.
        scale_low: At or below this value the sensor is at the end of its scale, where a constant value is plausible.
        scale_high: At or above this value, likewise.
        is_whole: Whether only whole numbers are plausible.
        tolerance: A value beyond `low` or `high` by no more than this stands for that limit, see `clamp_reading`.
    """

    low: float
    high: float
    jump: float = inf
    rate_per_s: float = 0.0
    stuck_after_ms: int | None = None
    scale_low: float = -inf
    scale_high: float = inf
    is_whole: bool = False
    tolerance: float = 0.0


LIMITS: Final[Mapping[SensorKind, PlausibilityLimits]] = MappingProxyType(
    {
        # Range: what consumer sensors are made for (BME280, SHT3x and SHT4x data sheets: -40 to 85 °C and beyond).
        # Change: 5 °C in a minute is a sensor carried from a room into frost; the fastest of eight rooms and the
        # outdoors, recorded over four months (Candanedo et al. 2017), is 0.2 °C a minute.
        # Stuck: the quietest of those rooms showed one value for 12.5 hours, so a day is more than a quiet house.
        SensorKind.TEMPERATURE: PlausibilityLimits(
            -40.0, 85.0, jump=3.0, rate_per_s=2.0 / 60, stuck_after_ms=24 * _H_MS, scale_low=-40.0, scale_high=85.0
        ),
        # Change: a shower raises a bathroom by 40 % in ten minutes (same recording), breath on the sensor by that at
        # once. Stuck: the recorded outdoor sensor rested at 99.9 % for 58 hours and at 1 % for hours, so the ends of
        # the scale do not count. Tolerance: the accuracy of such sensors near saturation (SHT3x and BME280 data sheets:
        # 3 % and 1 to 2 % of hysteresis and drift); in fog they read a little over 100.
        SensorKind.HUMIDITY: PlausibilityLimits(
            0.0, 100.0, 40.0, 40.0 / 60, stuck_after_ms=24 * _H_MS, scale_low=1.0, scale_high=99.0, tolerance=5.0
        ),
        # Range: BME280 and BMP3xx data sheets. Change: a slammed door or a gust is below 1 hPa, a thunderstorm's front
        # a few hPa in minutes. Stuck: weather never rests for a day at the 0.1 hPa that such sensors resolve.
        SensorKind.PRESSURE: PlausibilityLimits(
            300.0, 1100.0, jump=3.0, rate_per_s=1.0 / 60, stuck_after_ms=24 * _H_MS
        ),
        # Power is normally present without interruption, so no value of these two is ever stuck. A battery is replaced
        # in a minute, so no jump is impossible.
        SensorKind.POWER_AVAILABILITY: PlausibilityLimits(0.0, 1.0, is_whole=True),
        SensorKind.BATTERY_LEVEL: PlausibilityLimits(0.0, 100.0),
        # Range: the sensitivity limit of 802.15.4 and 802.11 receivers is above -120 dBm; +20 dBm is the transmitter
        # itself. A wired or undisturbed link may show one value for ever, a closed door changes it by tens at once.
        SensorKind.SIGNAL_STRENGTH: PlausibilityLimits(-120.0, 20.0),
        # The BSEC scale. A hair spray crosses all of it in one reading; an empty, aired house rests at the bottom.
        SensorKind.IAQ: PlausibilityLimits(0.0, 500.0, stuck_after_ms=72 * _H_MS, scale_low=50.0, scale_high=500.0),
    }
)
"""Plausibility limits of each kind, with reason and source beside each number."""

CHIP_TEMPERATURE: Final = PlausibilityLimits(-40.0, 125.0, stuck_after_ms=72 * _H_MS)
"""For the inside of a processor or a disk (hwmon) instead of `LIMITS[TEMPERATURE]`: it jumps by 20 °C within a second
of load, and may idle at one whole degree for a day or two. Range: the junction limits of commercial silicon."""


def clamp_reading(reading: Reading) -> Reading:
    """Return a reading that is no farther beyond its limits than is tolerated, with the limit as its value."""
    limits = LIMITS[reading.kind]
    value = min(limits.high, max(limits.low, reading.value))
    if value == reading.value or not abs(value - reading.value) <= limits.tolerance:
        return reading
    return msgspec.structs.replace(reading, value=value)


PlausibilityVerdict = tuple[Quality, str]
"""A quality and, unless it is good, the reason for a technician."""

_GOOD: Final[PlausibilityVerdict] = (Quality.GOOD, "")


class PlausibilityCheck:
    """Checks the readings of one series in the order of their arrival.

    A late reading (older than the newest accepted one) is checked for range and change, and changes no state.

    Attributes:
        limits: Limits of plausible values.
    """

    __slots__ = (
        "_candidate",
        "_candidate_at_ms",
        "_candidate_count",
        "_last",
        "_last_at_ms",
        "_same_count",
        "_same_since_ms",
        "_unit",
        "limits",
    )

    def __init__(self, kind: SensorKind, limits: PlausibilityLimits | None = None) -> None:
        """Start without history: the first value in range is accepted.

        Args:
            kind: Kind of the series.
            limits: Limits instead of those in `LIMITS`.
        """
        self.limits = LIMITS[kind] if limits is None else limits
        unit = UNITS[kind]
        self._unit = f" {unit}" if unit else ""
        self._last: float | None = None
        self._last_at_ms = 0
        self._same_since_ms = 0
        self._same_count = 0
        self._candidate = 0.0
        self._candidate_at_ms = 0
        self._candidate_count = 0

    def check(self, value: float, at_ms: int) -> PlausibilityVerdict:
        """Return the quality of a value, and the reason unless it is good.

        Bad: not a number, outside the range, or a jump that `CONFIRMATIONS` readings have not confirmed yet. Suspect:
        exactly equal for longer than is plausible. Good: everything else.

        Args:
            value: In the unit of the kind; NaN and the infinities are allowed.
            at_ms: Time of the measurement, in milliseconds of any clock that does not step.
        """
        limits = self.limits
        tolerance = limits.tolerance
        if not limits.low - tolerance <= value <= limits.high + tolerance or (limits.is_whole and value % 1.0):
            return Quality.BAD, self._out_of_range(value)
        last = self._last
        if last is None:
            self._accept(value, at_ms)
            return _GOOD
        elapsed_ms = at_ms - self._last_at_ms
        change = value - last
        if change == 0.0:
            if elapsed_ms > 0:
                self._last_at_ms = at_ms
                self._same_count += 1
            self._candidate_count = 0
            return self._check_unchanged(value)
        allowed = limits.jump + limits.rate_per_s * abs(elapsed_ms) / 1000.0
        if -allowed <= change <= allowed:
            if elapsed_ms > 0:
                self._accept(value, at_ms)
            return _GOOD
        if self._is_confirmed(value, at_ms):
            self._accept(value, at_ms)
            return _GOOD
        return Quality.BAD, (
            f"jumped {abs(change):.4g}{self._unit} in {abs(elapsed_ms) / 1000:.4g} s; "
            f"at most {allowed:.3g}{self._unit} is plausible in that time"
        )

    def _accept(self, value: float, at_ms: int) -> None:
        """Use a changed value as the reference of the next one."""
        self._last = value
        self._last_at_ms = self._same_since_ms = at_ms
        self._same_count = 1
        self._candidate_count = 0

    def _check_unchanged(self, value: float) -> PlausibilityVerdict:
        """Return whether an unchanged value is stuck."""
        limits = self.limits
        same_ms = self._last_at_ms - self._same_since_ms
        if (
            limits.stuck_after_ms is None
            or same_ms < limits.stuck_after_ms
            or self._same_count < STUCK_READINGS_MIN
            or not limits.scale_low < value < limits.scale_high
        ):
            return _GOOD
        return Quality.SUSPECT, (
            f"has read exactly {value:.6g}{self._unit} for {same_ms / _H_MS:.0f} h; "
            f"a working sensor changes within {limits.stuck_after_ms / _H_MS:.0f} h"
        )

    def _is_confirmed(self, value: float, at_ms: int) -> bool:
        """Count a value that jumped together with the agreeing ones before it; return whether they suffice."""
        limits = self.limits
        if self._candidate_count and at_ms > self._candidate_at_ms:
            allowed = limits.jump + limits.rate_per_s * (at_ms - self._candidate_at_ms) / 1000.0
            agrees = abs(value - self._candidate) <= allowed
        else:
            agrees = False
        self._candidate = value
        self._candidate_at_ms = at_ms
        self._candidate_count = self._candidate_count + 1 if agrees else 1
        return self._candidate_count >= CONFIRMATIONS

    def _out_of_range(self, value: float) -> str:
        """Return the reason of a value outside the range of such sensors."""
        if not isfinite(value):
            return f"is not a number ({value})"
        limits = self.limits
        if limits.is_whole:
            return f"{value:.6g} is not one of the whole numbers {limits.low:g} to {limits.high:g}"
        return f"{value:.6g}{self._unit} is outside {limits.low:g} to {limits.high:g}{self._unit}"
