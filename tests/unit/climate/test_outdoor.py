"""The outdoor temperature: only a good, plausible and recent reading gives it."""

import pytest

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import DEFAULT_SETPOINTS
from agent.climate.outdoor import AGE_S_MAX, OUTDOOR_C_MAX, OUTDOOR_C_MIN, advance_mean, known_outdoor_c
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import Quality

NOW_MS = 10 * 3_600_000


@pytest.mark.parametrize("value_c", [OUTDOOR_C_MIN, -3.2, OUTDOOR_C_MAX])
def test_a_good_and_recent_reading_is_the_outdoor_temperature(value_c: float) -> None:
    assert known_outdoor_c(SensorReading(value_c, NOW_MS - 60_000), now_ms=NOW_MS) == value_c


@pytest.mark.parametrize(
    "reading",
    [
        None,
        SensorReading(OUTDOOR_C_MIN - 0.1, NOW_MS),
        SensorReading(OUTDOOR_C_MAX + 0.1, NOW_MS),
        SensorReading(float("nan"), NOW_MS),
        SensorReading(3.0, NOW_MS, Quality.SUSPECT),
        SensorReading(3.0, NOW_MS - round(AGE_S_MAX * 1000) - 1),
    ],
)
def test_any_other_is_not(reading: SensorReading | None) -> None:
    assert known_outdoor_c(reading, now_ms=NOW_MS) is None


def test_control_knows_it_and_heats_without_it() -> None:
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="a", sensors=(("a", 1.0),)),), outdoor_sensor="outside")
    control = ClimateController(settings, ClimateSnapshot(), Now("boot", NOW_MS, None))
    readings = {"a": SensorReading(DEFAULT_SETPOINTS.heat_setpoint_c - 3.0, NOW_MS)}
    control.step(Now("boot", NOW_MS, None), readings)
    assert control.outdoor_c is None
    control.step(Now("boot", NOW_MS + 1000, None), readings | {"outside": SensorReading(-4.0, NOW_MS)})
    assert control.outdoor_c == -4.0
    restored = ClimateController(
        settings, control.take_snapshot(Now("boot", NOW_MS + 1000, None)), Now("next", 0, None)
    )
    assert (restored.outdoor_c, restored.outdoor_mean_c) == (None, -4.0)


def test_the_mean_follows_the_weather_of_a_week() -> None:
    assert advance_mean(None, None, 60.0) is None
    mean_c = advance_mean(None, 10.0, 60.0)
    assert mean_c == 10.0
    assert advance_mean(mean_c, None, 60.0) == 10.0
    for _ in range(7 * 24):
        mean_c = advance_mean(mean_c, 0.0, 3600.0)
    assert mean_c == pytest.approx(10.0 / 2.718, rel=0.01)
