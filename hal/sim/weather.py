"""Weather of the simulated house: sun, clouds, temperature, humidity and pressure of a central European place.

Everything slow is a first-order autoregressive process on an hourly grid, drawn in order from this file's own generator
and interpolated linearly; everything fast follows from the sun. The weather only advances, one call a grid step.

Sources: sun's declination, Cooper 1969; global radiation under a clear and a cloudy sky and its diffuse share, Kasten
and Czeplak 1980 (Solar Energy 24, 177-189); means and swings, rounded from the normals 1991-2020 of the German weather
service for Berlin (coldest month 1 °C, warmest 20 °C). Solar time is UTC plus longitude; the equation of time (16
minutes at most) is left out.
"""

from math import cos, exp, pi, radians, sin, sqrt
from random import Random
from typing import Final

import msgspec

DAY_S: Final = 86_400
HOUR_S: Final = 3_600
YEAR_DAYS: Final = 365.2425

LATITUDE_DEG: Final = 52.5
LONGITUDE_DEG: Final = 13.4
MEAN_C: Final = 10.3
SEASON_SWING_C: Final = 9.5
COLDEST_DAY: Final = 20.0
DAY_SWING_OVERCAST_C: Final = 1.0
DAY_SWING_CLEAR_C: Final = 5.5
WARMEST_SOLAR_HOUR: Final = 15.0
GROUND_REFLECTION: Final = 0.2


class Process(msgspec.Struct, frozen=True):
    """A stationary first-order autoregressive process: its mean, spread and memory, and the bounds it is held to."""

    mean: float
    deviation: float
    memory_s: float
    low: float
    high: float


# Lows and highs pass every few days; a front moves the temperature by some degrees and the pressure by some ten hPa.
FRONTS_C: Final = Process(0.0, 3.5, 2.5 * DAY_S, -14.0, 14.0)
PRESSURE_HPA: Final = Process(1013.25, 9.0, 3.0 * DAY_S, 955.0, 1055.0)
CLOUDS: Final = Process(0.65, 0.45, 8.0 * HOUR_S, 0.0, 1.0)
DEW_POINT_DEPRESSION_C: Final = Process(3.0, 2.0, 12.0 * HOUR_S, 0.2, 12.0)
_PROCESSES: Final = (FRONTS_C, PRESSURE_HPA, CLOUDS, DEW_POINT_DEPRESSION_C)


def sun_vector(utc_s: float) -> tuple[float, float, float]:
    """Return the direction to the sun as (north, east, up), a unit vector; up is the sine of its elevation."""
    days = utc_s / DAY_S
    declination = radians(23.45) * sin(2 * pi * (284 + days % YEAR_DAYS + 1) / YEAR_DAYS)
    hour_angle = 2 * pi * ((days + LONGITUDE_DEG / 360) % 1.0 - 0.5)
    latitude = radians(LATITUDE_DEG)
    sin_d, cos_d, cos_h = sin(declination), cos(declination), cos(hour_angle)
    return (
        cos(latitude) * sin_d - sin(latitude) * cos_d * cos_h,
        -cos_d * sin(hour_angle),
        sin(latitude) * sin_d + cos(latitude) * cos_d * cos_h,
    )


class Sunshine(msgspec.Struct, frozen=True):
    """The sun's radiation at one moment.

    Attributes:
        direct_w_per_m2: On a plane facing the sun.
        diffuse_w_per_m2: From the whole sky, on the horizontal.
        global_w_per_m2: Both, on the horizontal.
        north: The horizontal part of the direction to the sun, towards the north.
        east: Likewise towards the east.
    """

    direct_w_per_m2: float = 0.0
    diffuse_w_per_m2: float = 0.0
    global_w_per_m2: float = 0.0
    north: float = 0.0
    east: float = 0.0

    def on_wall(self, azimuth_north: float, azimuth_east: float) -> float:
        """Return W/m2 on an upright plane that looks towards (north, east): direct, half the sky, the ground."""
        facing = self.north * azimuth_north + self.east * azimuth_east
        indirect = 0.5 * (self.diffuse_w_per_m2 + GROUND_REFLECTION * self.global_w_per_m2)
        return indirect + self.direct_w_per_m2 * facing if facing > 0 else indirect


NIGHT: Final = Sunshine()


def sunshine(utc_s: float, clouds: float) -> Sunshine:
    """Return the radiation at an instant under a sky covered to the share `clouds`, 0 to 1."""
    north, east, up = sun_vector(utc_s)
    clear = 910.0 * up - 30.0
    if clear <= 0:
        return NIGHT
    total = clear * (1.0 - 0.75 * clouds**3.4)
    diffuse = total * (0.3 + 0.7 * clouds * clouds)
    return Sunshine((total - diffuse) / up, diffuse, total, north, east)


class Weather:
    """The weather from a start on; time advances only.

    Attributes:
        outside_c: Air temperature.
        dew_point_c: Dew point, never above `outside_c`.
        pressure_hpa: Air pressure at the station.
        clouds: The covered share of the sky.
        sun: The sun's radiation.
    """

    def __init__(self, rng: Random, *, start_utc_s: float) -> None:
        self._rng = rng
        self._hour = int(start_utc_s // HOUR_S)
        self._deviates = [rng.gauss(0.0, 1.0) for _ in _PROCESSES]
        self._here = self._levels()
        self._step_hour()
        self._ahead = self._levels()
        self.advance_to(start_utc_s)

    def advance_to(self, utc_s: float) -> None:
        """Set the attributes to those of an instant that is not before the last one."""
        while utc_s >= (self._hour + 1) * HOUR_S:
            self._hour += 1
            self._here = self._ahead
            self._step_hour()
            self._ahead = self._levels()
        share = utc_s / HOUR_S - self._hour
        fronts, pressure, clouds, depression = (
            a + (b - a) * share for a, b in zip(self._here, self._ahead, strict=True)
        )
        days = utc_s / DAY_S
        season = MEAN_C - SEASON_SWING_C * cos(2 * pi * (days % YEAR_DAYS - COLDEST_DAY) / YEAR_DAYS)
        swing = DAY_SWING_OVERCAST_C + (DAY_SWING_CLEAR_C - DAY_SWING_OVERCAST_C) * (1.0 - clouds)
        solar_day = days + LONGITUDE_DEG / 360
        daily = swing * cos(2 * pi * (solar_day - WARMEST_SOLAR_HOUR / 24))
        self.outside_c = season + fronts + daily
        # The water in the air hardly changes over a day: the dew point follows the seasons and fronts, not the sun.
        self.dew_point_c = min(season + fronts - depression, self.outside_c)
        self.pressure_hpa = pressure
        self.clouds = clouds
        self.sun = sunshine(utc_s, clouds)

    def _levels(self) -> tuple[float, ...]:
        """Return the processes' present values, within their bounds."""
        return tuple(
            min(max(process.mean + process.deviation * deviate, process.low), process.high)
            for process, deviate in zip(_PROCESSES, self._deviates, strict=True)
        )

    def _step_hour(self) -> None:
        """Draw each process's next hour: exact for a process with exponential memory."""
        for i, process in enumerate(_PROCESSES):
            decay = exp(-HOUR_S / process.memory_s)
            self._deviates[i] = decay * self._deviates[i] + sqrt(1.0 - decay * decay) * self._rng.gauss(0.0, 1.0)
