"""A sensor that does not move while its room is heated is doubted; a coarse one in a slow house hardly ever is."""

import pytest

from agent.climate.fault_detection import StuckSensorState, detect_stuck_sensor
from agent.climate.settings import Emitter

from .small_house import House, Life

H_S = 3600.0
LIMIT_S = 2.5 * H_S


def after(hours: float, duty: float, usual_duty: float = 0.4, seen: StuckSensorState | None = None) -> StuckSensorState:
    """Return what is known after hours at a duty in which nothing moved."""
    seen = seen or StuckSensorState((19.0,), usual_duty=usual_duty)
    for minute in range(round(hours * 60)):
        is_heated = int((minute + 1) * duty) > int(minute * duty)
        seen = detect_stuck_sensor(
            seen, (19.0,), is_heated=is_heated, usual_duty=usual_duty, dt_s=60.0, excess_s_max=LIMIT_S
        )
    return seen


@pytest.mark.parametrize(
    ("hours", "duty", "is_stuck"), [(4.0, 1.0, False), (4.3, 1.0, True), (48.0, 0.4, False), (12.0, 0.7, True)]
)
def test_only_heat_beyond_the_usual_tells(hours: float, duty: float, *, is_stuck: bool) -> None:
    assert after(hours, duty).is_stuck is is_stuck


def test_any_movement_clears_it_and_counts_anew() -> None:
    seen = after(5.0, 1.0)
    assert seen.is_stuck
    assert seen.text == "may be stuck at 19.0 °C"
    moved = detect_stuck_sensor(seen, (19.01,), is_heated=True, usual_duty=0.5, dt_s=60.0, excess_s_max=LIMIT_S)
    assert moved == StuckSensorState((19.01,), usual_duty=0.5)
    # Silence is no movement.
    assert detect_stuck_sensor(seen, (), is_heated=True, usual_duty=0.5, dt_s=60.0, excess_s_max=LIMIT_S) == seen


@pytest.mark.parametrize(("outside_c", "frozen_c"), [(5.0, 19.6), (5.0, 18.9), (10.0, 19.0), (0.0, 4.0)])
def test_a_frozen_sensor_does_not_have_its_room_overheated(outside_c: float, frozen_c: float) -> None:
    """It was heated at 76 to 100 % for a day, to 28 and 30 °C; frost protection went on for ever."""
    life = Life(House(20.0, 1950.0, outside_c=outside_c))
    life.run(24.0)
    life.problems.clear()
    life.run(24.0, frozen_c)
    assert life.warmest_c < 25.0
    assert life.house.air_c == pytest.approx(19.5, abs=2.0)
    assert any("may be stuck" in problem for problem in life.problems)
    assert not any("check boiler" in problem for problem in life.problems)
    # It is believed as soon as it moves.
    life.run(24.0)
    assert life.house.air_c == pytest.approx(20.0, abs=0.5)
    assert life.control.state.zones[0].problem == ""


@pytest.mark.parametrize("resolution_k", [0.1, 0.5])
@pytest.mark.parametrize("emitter", [Emitter.FLOOR, Emitter.RADIATOR])
def test_a_coarse_sensor_in_a_slow_house_that_is_heated_up_is_believed(emitter: Emitter, resolution_k: float) -> None:
    slab = 8e6 if emitter is Emitter.FLOOR else 6e4
    life = Life(House(10.0, 2600.0, slab_j_per_k=slab, outside_c=-5.0), emitter, resolution_k)
    life.run(36.0)
    assert life.doubts == 0


def test_doubt_in_a_house_with_too_little_heat_is_short_and_costs_little() -> None:
    """On the coldest days full heat just keeps it from cooling, and a coarse sensor does not move."""
    doubted, plain = (
        Life(House(18.0, 1700.0, outside_c=-14.0), resolution_k=resolution) for resolution in (0.5, 0.001)
    )
    for life in (doubted, plain):
        life.run(96.0)
    assert 0 < doubted.doubts < 0.4 * 96 * 60
    assert plain.doubts == 0
    assert doubted.coldest_c > plain.coldest_c - 1.0


def test_a_frozen_sensor_is_doubted_over_restarts() -> None:
    life = Life(House(20.0, 1950.0, outside_c=5.0))
    life.run(24.0)
    for _ in range(24):
        life.run(1.0, 18.9)
        life.restart()
    assert life.warmest_c < 25.0
    assert life.control.state.zones[0].stuck_sensor.is_stuck
