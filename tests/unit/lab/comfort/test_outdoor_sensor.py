"""The outdoor sensor of a simulated house: what it reports where it is, and that the hub takes it."""

import pytest

from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import TENTHS
from hal.sim.weather_patterns import SPRING_SUN, weather_series
from lab.comfort.outdoor_sensor import FAILS_DAY, TOO_WARM_K, OutdoorSensor, Placement
from lab.comfort.runner import DAY_MINUTES, Case, ComfortHome, Law, controller_for

MINUTES = FAILS_DAY * DAY_MINUTES


def errors_k(placement: Placement) -> list[tuple[int, float]]:
    """Return the minute and the error of each report of three days in spring."""
    weather = weather_series(SPRING_SUN, seed=1, days=FAILS_DAY)
    house = HouseModel(HOUSES["timber boiler"], weather, seed=1, start_c=20.0)
    sensor, reports = OutdoorSensor(placement, seed=1), []
    for _ in range(MINUTES):
        value_c = sensor.advance(house)
        if value_c is not None:
            reports.append((house.minute, value_c - house.outside_c))
        house.advance([0.0])
    return reports


def test_in_the_shade_it_shows_the_air_within_a_three_kelvins() -> None:
    reports = errors_k(Placement.SHADE)
    assert len(reports) >= MINUTES // 5
    assert max(abs(error_k) for _, error_k in reports) < 3.0


def test_on_a_south_wall_the_sun_heats_it() -> None:
    by_minute = errors_k(Placement.SUN)
    assert max(error_k for _, error_k in by_minute) > 10.0
    assert all(error_k < 3.0 for minute, error_k in by_minute if minute % DAY_MINUTES < 4 * 60)


def test_what_breaks_does_so_on_the_third_day() -> None:
    noon = MINUTES - DAY_MINUTES // 2
    shade, lost, warm = (errors_k(each) for each in (Placement.SHADE, Placement.LOST, Placement.TOO_WARM))
    assert lost == [report for report in shade if report[0] < noon]
    late = [error_k for minute, error_k in shade if minute >= noon]
    assert [error_k for minute, error_k in warm if minute >= noon] == pytest.approx(
        [error_k + TOO_WARM_K for error_k in late]
    )
    assert errors_k(Placement.NONE) == []
    assert errors_k(Placement.EXACT) == [(minute, 0.0) for minute in range(MINUTES)]


def test_a_stuck_one_repeats_its_value() -> None:
    weather = weather_series(SPRING_SUN, seed=1, days=FAILS_DAY)
    house = HouseModel(HOUSES["timber boiler"], weather, seed=1, start_c=20.0)
    sensor, values = OutdoorSensor(Placement.STUCK, seed=1), []
    for _ in range(MINUTES):
        value_c = sensor.advance(house)
        if value_c is not None and house.minute >= MINUTES - DAY_MINUTES // 2:
            values.append(value_c)
        house.advance([0.0])
    assert len(set(values)) == 1


@pytest.mark.parametrize("outdoor", [Placement.SHADE, Placement.NONE])
def test_the_hub_knows_what_it_shows(outdoor: Placement) -> None:
    case = Case(design=HOUSES["timber boiler"], pattern=SPRING_SUN, habit=TENTHS, seed=1, outdoor=outdoor)
    control = controller_for(Law.HUB, case)
    home = ComfortHome(case, control)
    home.run(120, 21.0)
    known_c = control.controller.outdoor_c  # type: ignore[attr-defined]
    if outdoor is Placement.NONE:
        assert known_c is None
    else:
        assert known_c == pytest.approx(home.house.outside_c, abs=2.0)
