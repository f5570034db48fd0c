"""Mornings of small houses: half an hour at most by the sensor, and the setpoint is kept afterwards."""

import pytest

from .recovery_houses import HOUSES, Bench, House

TRACED = "timber"
"""This house covers the code of learning; the coverage tracer makes a house several times slower."""


@pytest.mark.parametrize(
    "house",
    [
        pytest.param(house, id=house.name, marks=[] if house.name == TRACED else pytest.mark.no_cover)
        for house in HOUSES
        if house.name != "air"
    ],
)
def test_after_some_nights_the_zone_is_warm_on_time(house: House) -> None:
    mornings = list(Bench(house).mornings(7))[3:]
    assert sum(abs(morning.sensor_min) <= 30 for morning in mornings) >= len(mornings) - 1
    assert max(abs(morning.kept_k) for morning in mornings) <= 0.4
