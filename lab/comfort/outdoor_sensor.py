"""The outdoor sensor of a simulated house: in the shade of the north wall, or where the sun heats it or it is broken.

Owns what it reports; the weather is the house's.
"""

from enum import StrEnum
from typing import Final

from hal.sim.house_model import HouseModel
from hal.sim.numerics import Noise
from hal.sim.sensor_habits import HabitualSensor, SensorHabit

NAME: Final = "outdoors"

HABIT: Final = SensorHabit(name=NAME, lag_s=900.0, step_k=0.1, noise_k=0.05, interval_s=300.0)
"""A closed plastic case follows the air over a quarter of an hour."""

SHADE_K_M2_PER_W: Final = 0.01
SUN_K_M2_PER_W: Final = 0.035
"""By so much a case is warmer than the air for each W/m2 on its wall: a light one under the eaves of a north wall, and
a dark one on a south wall, which shows near 40 °C in the sun of spring."""

TOO_WARM_K: Final = 12.0
FAILS_DAY: Final = 3
"""What breaks does so at this day's noon."""


class Placement(StrEnum):
    """Where it is, or what becomes of it."""

    NONE = "none"
    EXACT = "exact"
    """The true air, each minute."""
    SHADE = "shade"
    SUN = "sun"
    LOST = "lost"
    STUCK = "stuck"
    TOO_WARM = "too warm"
    """Another sensor at the same name, in a stairwell."""


class OutdoorSensor:
    """Looked at once a minute."""

    def __init__(self, placement: Placement, *, seed: int) -> None:
        self._placement = placement
        self._is_sunny = placement is Placement.SUN
        self._sensor = HabitualSensor(HABIT, noise=Noise(seed), seed=seed, name=NAME)
        self._stuck_c: float | None = None

    def advance(self, house: HouseModel) -> float | None:
        """Return the value that arrives in this minute; `None` for none."""
        placement = self._placement
        if placement in {Placement.NONE, Placement.EXACT}:
            return house.outside_c if placement is Placement.EXACT else None
        wall_k = SUN_K_M2_PER_W * house.sun.on_wall(-1.0, 0.0)
        eaves_k = SHADE_K_M2_PER_W * house.sun.on_wall(1.0, 0.0)
        sun_k = wall_k if self._is_sunny else eaves_k
        value_c = self._sensor.advance(house.minute, house.outside_c + sun_k, 0.0)
        if value_c is None or house.minute < FAILS_DAY * 1440 - 720:
            return value_c
        match placement:
            case Placement.LOST:
                return None
            case Placement.STUCK:
                self._stuck_c = value_c if self._stuck_c is None else self._stuck_c
                return self._stuck_c
            case Placement.TOO_WARM:
                return value_c + TOO_WARM_K
        return value_c
