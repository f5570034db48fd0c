"""The open, relative index of the air's freshness from a heated gas sensor (BME680, BME688). Pure.

Formula: x = ln(R_gas / ohm) + 0.03 h, with h the absolute humidity in g/m³; the ceiling is the highest recent x;
freshness = 100 % exp(2 (x - ceiling)), at most 100 %; index = 500 (1 - freshness / 100 %), 0 is the best air that this
sensor has met. The form with the logarithm, the humidity's slope of 0.03 and the square is that of
github.com/thstielow/raspi-bme680-iaq; the absolute humidity is by Magnus' formula (WMO-No. 8, annex 4.B). It is
relative to the room's own best air and is no measure of Bosch's BSEC, which may not be redistributed.

The ceiling rises slowly, so that one wrong value does not set it, and falls slowly, because sensors age. It is not
trusted before a day has passed: only then has the room had fresh air, most likely.
"""

import math

import msgspec

HUMIDITY_SLOPE = 0.03
"""Of ln(ohm), for each g/m³."""

BURN_IN_S = 600.0
"""After its heater was off the sensor drifts: five minutes by Bosch's example, ten by the source of the formula."""

GAP_S_MAX = 600.0
"""After so long without a measurement the heater was off."""

RISE_S = 1800.0
"""Time constant with which the ceiling follows cleaner air."""

FALL_PER_DAY = 0.05
"""Of ln(ohm): a sensor that ages by a third is followed within a week."""

CERTAIN_S = 86_400.0
"""For how long the sensor must have measured before its index is certain."""

INDEX_MAX = 500.0
"""The cloud's scale of `iaq`: 0 is clean."""

LN_OHM_MAX = 30.0
"""No sensor has more: a baseline beyond it is damaged."""


class AirBaseline(msgspec.Struct, frozen=True):
    """What is known of one gas sensor, over restarts.

    Attributes:
        ceiling: ln(ohm) in the best air, at 0 g/m³.
        observed_s: For how long it has measured, up to `CERTAIN_S`.
    """

    ceiling: float
    observed_s: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether it can be that of a sensor."""
        return 0 < self.ceiling < LN_OHM_MAX and 0 <= self.observed_s <= CERTAIN_S

    @property
    def is_certain(self) -> bool:
        """Whether a day has passed."""
        return self.observed_s >= CERTAIN_S


class AirState(msgspec.Struct, frozen=True):
    """One gas sensor now.

    Attributes:
        baseline: `None` before its first measurement.
        at_ms: Boot time of the last measurement; `None` before the first.
        warm_s: For how long its heater has been in use.
        freshness_percent: Of the last measurement; `None` while it warms up.
    """

    baseline: AirBaseline | None = None
    at_ms: int | None = None
    warm_s: float = 0.0
    freshness_percent: float | None = None

    @property
    def index(self) -> float | None:
        """The index, from 0 to 500; `None` while the sensor warms up."""
        return None if self.freshness_percent is None else INDEX_MAX * (1 - self.freshness_percent / 100)


def absolute_humidity_g_m3(temperature_c: float, humidity_percent: float) -> float:
    """Return the water in the air."""
    vapour_pa = humidity_percent / 100 * 611.2 * math.exp(17.62 * temperature_c / (243.12 + temperature_c))
    return 2.16679 * vapour_pa / (273.15 + temperature_c)


def advance(state: AirState, *, at_ms: int, gas_ohm: float, temperature_c: float, humidity_percent: float) -> AirState:
    """Return the state after a measurement.

    Args:
        state: Before it.
        at_ms: Boot time.
        gas_ohm: More than 0.
        temperature_c: Of the sensor, which is that of the humidity.
        humidity_percent: Beside it.
    """
    passed_s = 0.0 if state.at_ms is None else (at_ms - state.at_ms) / 1000
    is_gap = state.at_ms is None or not 0 <= passed_s <= GAP_S_MAX
    warm_s = 0.0 if is_gap else min(state.warm_s + passed_s, BURN_IN_S)
    if warm_s < BURN_IN_S:
        return AirState(state.baseline, at_ms, warm_s)
    level = math.log(gas_ohm) + HUMIDITY_SLOPE * absolute_humidity_g_m3(temperature_c, humidity_percent)
    baseline = _followed(state.baseline or AirBaseline(level), level, passed_s)
    freshness = 100 * math.exp(2 * min(0.0, level - baseline.ceiling))
    return AirState(baseline, at_ms, warm_s, freshness)


def _followed(baseline: AirBaseline, level: float, passed_s: float) -> AirBaseline:
    ceiling = baseline.ceiling - FALL_PER_DAY * passed_s / CERTAIN_S
    if level > ceiling:
        ceiling += (level - ceiling) * min(1.0, passed_s / RISE_S)
    return AirBaseline(ceiling, min(CERTAIN_S, baseline.observed_s + passed_s))
