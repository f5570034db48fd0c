"""What heat does to a sensor: behind the emitter's lag, and only what differs from the usual."""

import pytest

from agent.climate import heat_trace
from agent.climate.heat_trace import FULL_K, HeatTrace

RADIATOR_S, FLOOR_S = 900.0, 3600.0


def heat(trace: HeatTrace, output: float, minutes: int, response_s: float = RADIATOR_S) -> HeatTrace:
    for _ in range(minutes):
        trace = heat_trace.advance(trace, output=output, response_s=response_s, dt_s=60.0)
    return trace


@pytest.mark.parametrize("output", [0.0, 0.3, 1.0])
def test_the_usual_output_does_nothing(output: float) -> None:
    steady = heat(HeatTrace(), output, 48 * 60)
    assert steady.emitted == pytest.approx(output)
    assert steady.sensor_k == pytest.approx(0.0, abs=0.02)


def test_more_heat_shows_after_the_lags_and_less_heat_takes_it_back() -> None:
    steady = heat(HeatTrace(), 0.4, 48 * 60)
    soon, later = heat(steady, 1.0, 6), heat(steady, 1.0, 45)
    assert soon.sensor_k < 0.02 * FULL_K
    assert 0.15 * FULL_K < later.sensor_k < 0.5 * FULL_K
    assert heat(later, 0.0, 60).sensor_k < -0.1 * FULL_K


def test_a_floor_shows_it_hours_later() -> None:
    steady = heat(HeatTrace(), 0.4, 14 * 24 * 60, FLOOR_S)
    assert heat(steady, 1.0, 45, FLOOR_S).sensor_k < 0.07 * FULL_K
    assert heat(steady, 1.0, 240, FLOOR_S).sensor_k > 0.2 * FULL_K
