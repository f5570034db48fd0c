"""The sky is where astronomy says, and the weather does not depend on who looks."""

from datetime import UTC, datetime
from itertools import pairwise
from math import asin, degrees, fsum
from random import Random

import pytest

from hal.sim.weather import LONGITUDE_DEG, NIGHT, PRESSURE_HPA, Weather, sun_vector, sunshine

HOUR_S = 3600


def utc_s(month: int, day: int, hour: float) -> float:
    return datetime(2026, month, day, tzinfo=UTC).timestamp() + hour * HOUR_S


def noon_s(month: int, day: int) -> float:
    return utc_s(month, day, 12 - LONGITUDE_DEG / 15)


@pytest.mark.parametrize(
    ("month", "day", "elevation_deg"), [(6, 21, 60.9), (12, 21, 14.1), (3, 21, 37.5), (9, 23, 37.5)]
)
def test_the_noon_sun_stands_at_its_height_in_the_south(month: int, day: int, elevation_deg: float) -> None:
    north, east, up = sun_vector(noon_s(month, day))
    assert degrees(asin(up)) == pytest.approx(elevation_deg, abs=1.5)
    assert east == pytest.approx(0.0, abs=1e-9)
    assert north < 0
    assert north**2 + east**2 + up**2 == pytest.approx(1.0)


def test_the_sun_rises_in_the_east_and_sets_in_the_west() -> None:
    assert sun_vector(noon_s(3, 21) - 5.5 * HOUR_S)[1] > 0.9
    assert sun_vector(noon_s(3, 21) + 5.5 * HOUR_S)[1] < -0.9


def test_the_night_is_dark_and_a_clear_summer_noon_is_bright() -> None:
    assert sunshine(utc_s(6, 21, 0), 0.0) is NIGHT
    noon = sunshine(noon_s(6, 21), 0.0)
    assert 700 < noon.global_w_per_m2 < 800
    assert noon.diffuse_w_per_m2 == pytest.approx(0.3 * noon.global_w_per_m2)
    assert NIGHT.on_wall(-1.0, 0.0) == 0.0


def test_an_overcast_sky_gives_a_quarter_of_the_light_and_no_beam() -> None:
    clear, overcast = sunshine(noon_s(6, 21), 0.0), sunshine(noon_s(6, 21), 1.0)
    assert overcast.global_w_per_m2 == pytest.approx(0.25 * clear.global_w_per_m2)
    assert overcast.direct_w_per_m2 == pytest.approx(0.0, abs=1e-9)


def test_half_a_sky_of_clouds_takes_little_light() -> None:
    clear, half = sunshine(noon_s(6, 21), 0.0), sunshine(noon_s(6, 21), 0.5)
    assert half.global_w_per_m2 == pytest.approx((1 - 0.75 * 0.5**3.4) * clear.global_w_per_m2)


def test_a_south_wall_gets_the_winter_sun_and_a_north_wall_only_the_sky() -> None:
    noon = sunshine(noon_s(12, 21), 0.0)
    assert noon.on_wall(-1.0, 0.0) > 2 * noon.global_w_per_m2
    assert noon.on_wall(1.0, 0.0) == pytest.approx(0.5 * noon.diffuse_w_per_m2 + 0.1 * noon.global_w_per_m2)


def test_weather_does_not_depend_on_queries() -> None:
    start_s = utc_s(1, 1, 0.3)
    often, once = (Weather(Random(3), start_utc_s=start_s) for _ in range(2))
    for minute in range(1, 3000):
        often.advance_to(start_s + minute * 60)
    once.advance_to(start_s + 2999 * 60)
    for name in ("outside_c", "dew_point_c", "pressure_hpa", "clouds", "sun"):
        assert getattr(often, name) == getattr(once, name)


def test_a_year_has_seasons_and_stays_within_bounds() -> None:
    start_s = utc_s(1, 1, 0)
    weather = Weather(Random(5), start_utc_s=start_s)
    temperatures, pressures = [], []
    for hour in range(365 * 24):
        weather.advance_to(start_s + hour * HOUR_S)
        temperatures.append(weather.outside_c)
        pressures.append(weather.pressure_hpa)
        assert weather.dew_point_c <= weather.outside_c
        assert 0.0 <= weather.clouds <= 1.0
    january, july = temperatures[: 31 * 24], temperatures[181 * 24 : 212 * 24]
    assert -4 < fsum(january) / len(january) < 5
    assert 16 < fsum(july) / len(july) < 24
    assert min(temperatures) > -30
    assert max(temperatures) < 42
    assert PRESSURE_HPA.low <= min(pressures) < 1000
    assert 1028 < max(pressures) <= PRESSURE_HPA.high
    assert max(abs(b - a) for a, b in pairwise(pressures)) < 8
    mean = fsum(pressures) / len(pressures)
    spread = fsum((p - mean) ** 2 for p in pressures)
    day_later = fsum((a - mean) * (b - mean) for a, b in zip(pressures, pressures[24:], strict=False))
    assert 0.55 < day_later / spread < 0.85  # exp(-1 day / 3 days) = 0.72
