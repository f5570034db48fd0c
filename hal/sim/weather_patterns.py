"""Five kinds of weather, and a series of one of them that is known in advance, so that an oracle may look ahead.

Same laws as `weather` (day and night, sunshine by astronomy and clouds, slow random processes), other parameters. A
series depends on the pattern and the seed alone.

Sources: means and spreads are those of German test reference years (DWD/BBSR 2017, regions 4, 12 and 13: a mild January
day 5 to 8 °C, design days of -10 to -14 °C, clear days with a swing of 12 to 16 K, hot summer weeks of 24 to 27 °C on
average). Wind: infiltration grows with the wind's speed to the power of 1.3 (EN 16798-7:2017, B.3.3.2: n = 0.667 of the
pressure, which grows with the square).
"""

from datetime import UTC, datetime
from math import cos, exp, pi, sqrt
from typing import Final

import msgspec

from hal.sim.numerics import rng_for
from hal.sim.weather import DAY_S, HOUR_S, LONGITUDE_DEG, WARMEST_SOLAR_HOUR, Sunshine, sunshine

SAMPLE_S: Final = 600
FRONT_MEMORY_S: Final = 2.0 * DAY_S
CLOUD_MEMORY_S: Final = 8.0 * HOUR_S
WIND_MEMORY_S: Final = 6.0 * HOUR_S
WIND_FACTOR_MIN: Final = 0.3


class WeatherPattern(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of weather.

    Attributes:
        name: For tables.
        month: When it begins, for the sun's way.
        mean_c: Mean temperature.
        front_k: Standard deviation of its change from day to day.
        swing_k: Half of the difference between day and night under a clear sky.
        overcast_swing_k: Likewise under a covered one.
        clouds: The mean covered share.
        cloud_deviation: Its standard deviation.
        wind_factor: Mean infiltration against that in calm air.
        wind_deviation: Its standard deviation.
    """

    name: str
    month: int
    mean_c: float
    front_k: float
    swing_k: float
    overcast_swing_k: float = 1.0
    clouds: float
    cloud_deviation: float
    wind_factor: float = 1.0
    wind_deviation: float = 0.1

    @property
    def start_utc_ms(self) -> int:
        """When it begins: midnight UTC on the tenth of its month."""
        return int(datetime(2026, self.month, 10, tzinfo=UTC).timestamp() * 1000)


MILD: Final = WeatherPattern(
    name="mild", month=1, mean_c=6.5, front_k=2.5, swing_k=3.0, clouds=0.7, cloud_deviation=0.35
)
COLD_CLEAR: Final = WeatherPattern(
    name="cold clear", month=1, mean_c=-4.0, front_k=2.0, swing_k=6.5, clouds=0.1, cloud_deviation=0.15
)
COLD_WINDY: Final = WeatherPattern(
    name="cold windy",
    month=1,
    mean_c=-3.0,
    front_k=3.0,
    swing_k=3.0,
    clouds=0.95,
    cloud_deviation=0.1,
    wind_factor=1.8,
    wind_deviation=0.5,
)
SPRING_SUN: Final = WeatherPattern(
    name="spring sun", month=4, mean_c=8.0, front_k=2.5, swing_k=6.0, clouds=0.25, cloud_deviation=0.3
)
SUMMER_HEAT: Final = WeatherPattern(
    name="summer heat", month=7, mean_c=25.5, front_k=2.0, swing_k=6.0, clouds=0.2, cloud_deviation=0.25
)
PATTERNS: Final = (MILD, COLD_CLEAR, COLD_WINDY, SPRING_SUN, SUMMER_HEAT)


class Outdoors(msgspec.Struct, frozen=True):
    """Outdoor conditions for ten minutes.

    Attributes:
        outside_c: Air temperature.
        wind_factor: Infiltration against that in calm air.
        sun: Radiation.
    """

    outside_c: float
    wind_factor: float
    sun: Sunshine


def weather_series(pattern: WeatherPattern, *, seed: int, days: float) -> tuple[Outdoors, ...]:
    """Return the weather of some days from the pattern's start, a sample for each `SAMPLE_S`."""
    rng = rng_for(seed, f"weather {pattern.name}")
    count = int(days * DAY_S // SAMPLE_S) + 1
    kept = [exp(-SAMPLE_S / memory_s) for memory_s in (FRONT_MEMORY_S, CLOUD_MEMORY_S, WIND_MEMORY_S)]
    fresh = [sqrt(1.0 - share * share) for share in kept]
    front, cloud, wind = (rng.gauss(0.0, 1.0) for _ in kept)
    start_s = pattern.start_utc_ms / 1000
    series = []
    for number in range(count):
        at_s = start_s + number * SAMPLE_S
        clouds = min(1.0, max(0.0, pattern.clouds + pattern.cloud_deviation * cloud))
        swing_k = pattern.overcast_swing_k + (pattern.swing_k - pattern.overcast_swing_k) * (1.0 - clouds)
        solar_day = at_s / DAY_S + LONGITUDE_DEG / 360
        daily_k = swing_k * cos(2 * pi * (solar_day - WARMEST_SOLAR_HOUR / 24))
        outside_c = pattern.mean_c + pattern.front_k * front + daily_k
        wind_factor = max(WIND_FACTOR_MIN, pattern.wind_factor + pattern.wind_deviation * wind)
        series.append(Outdoors(outside_c, wind_factor, sunshine(at_s, clouds)))
        front = kept[0] * front + fresh[0] * rng.gauss(0.0, 1.0)
        cloud = kept[1] * cloud + fresh[1] * rng.gauss(0.0, 1.0)
        wind = kept[2] * wind + fresh[2] * rng.gauss(0.0, 1.0)
    return tuple(series)
