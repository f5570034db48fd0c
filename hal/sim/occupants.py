"""The occupants of the simulated house: where they are, when they cook and shower, and the thermostat they have.

A week of habits, each day with its own delays. Pure in time: the same minute always has the same people. The occupants'
thermostat keeps the house warm while no hub controls it: plain hysteresis with a night setback, as a mechanical room
thermostat with a clock does it. It only heats.

Sources: a person at rest gives 80 W of sensible heat, 50 g of water and 18 l of carbon dioxide an hour (ASHRAE Handbook
Fundamentals 2017, chapter 18, table 1; EN 16798-1:2019, annex B). Cooking 2 kg, a shower 2.6 kg of water an hour
(CIBSE Guide A, moisture production in dwellings, as rates while it lasts).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from hal.interface import HvacAction
from hal.sim.numerics import Noise

PERSON_W: Final = 80.0
PERSON_MOISTURE_KG_S: Final = 0.050 / 3600
PERSON_CO2_M3_S: Final = 0.018 / 3600
DELAY_H: Final = 0.2
"""One standard deviation of the delay of a habit from day to day."""

STANDBY_W_PER_M2: Final = 1.0


class Habit(msgspec.Struct, frozen=True):
    """An activity at about the same hours each day.

    Attributes:
        zone: The room's number.
        from_h: Local hour at which it begins.
        to_h: Local hour at which it ends, at most 24.
        people: How many people are in the room.
        appliances_w: Heat of lamps and machines.
        moisture_kg_s: Water vapour in addition to that of the people.
    """

    zone: int
    from_h: float
    to_h: float
    people: float
    appliances_w: float = 0.0
    moisture_kg_s: float = 0.0


LIVING, KITCHEN, BEDROOM, BATHROOM = range(4)
_COOKING: Final = 2.0 / 3600
_SHOWER: Final = 2.6 / 3600

WORKDAY: Final = (
    Habit(BEDROOM, 0.0, 6.5, 2.0),
    Habit(BATHROOM, 6.5, 6.75, 1.0, 60.0, _SHOWER),
    Habit(KITCHEN, 6.75, 7.5, 2.0, 400.0, _COOKING / 4),
    Habit(KITCHEN, 18.0, 19.0, 1.0, 1200.0, _COOKING),
    Habit(LIVING, 17.5, 22.5, 2.0, 200.0),
    Habit(BATHROOM, 22.25, 22.5, 1.0, 60.0, _SHOWER / 2),
    Habit(BEDROOM, 22.75, 24.0, 2.0, 20.0),
)
DAY_OFF: Final = (
    Habit(BEDROOM, 0.0, 8.5, 2.0),
    Habit(BATHROOM, 8.5, 9.0, 1.0, 60.0, _SHOWER),
    Habit(KITCHEN, 9.0, 10.0, 2.0, 600.0, _COOKING / 2),
    Habit(LIVING, 10.0, 12.0, 2.0, 150.0),
    Habit(KITCHEN, 12.0, 13.0, 2.0, 1500.0, _COOKING),
    Habit(LIVING, 15.5, 23.0, 3.0, 250.0),
    Habit(BATHROOM, 23.0, 23.25, 1.0, 60.0, _SHOWER / 2),
    Habit(BEDROOM, 23.25, 24.0, 2.0, 20.0),
)
HABITS_A_DAY_MAX: Final = 16


class Occupants:
    """Returns the activities in each room by local time."""

    def __init__(self, noise: Noise, stream: int) -> None:
        self._noise = noise
        self._stream = stream
        self._day = -1
        self._habits: tuple[Habit, ...] = ()

    def at(self, local_s: float) -> list[Habit]:
        """Return the present habits.

        Args:
            local_s: Local time in seconds since 1970-01-01 00:00, a Thursday.
        """
        day, second = divmod(local_s, 86_400)
        if day != self._day:
            self._day = int(day)
            self._habits = self._plan(self._day)
        hour = second / 3600
        return [habit for habit in self._habits if habit.from_h <= hour < habit.to_h]

    def _plan(self, day: int) -> tuple[Habit, ...]:
        """Return the day's habits with this day's delays; what touches midnight stays there."""
        habits = DAY_OFF if (day + 3) % 7 >= 5 else WORKDAY  # noqa: PLR2004 - Saturday and Sunday, Monday being 0
        return tuple(
            Habit(
                habit.zone,
                habit.from_h + self._delay_h(day, i) if habit.from_h > 0.0 else 0.0,
                min(habit.to_h + self._delay_h(day, i), 24.0) if habit.to_h < 24.0 else 24.0,  # noqa: PLR2004 - midnight
                habit.people,
                habit.appliances_w,
                habit.moisture_kg_s,
            )
            for i, habit in enumerate(habits)
        )

    def _delay_h(self, day: int, number: int) -> float:
        return DELAY_H * self._noise.at(self._stream, day * HABITS_A_DAY_MAX + number)


DAY_C: Final = 20.5
NIGHT_C: Final = 17.5
HYSTERESIS_K: Final = 0.4
"""Half of the band between on and off; usual for bimetal thermostats."""

DAY_FROM_H: Final = 6.0
DAY_TO_H: Final = 22.5


class OccupantThermostat(msgspec.Struct, frozen=True):
    """A thermostat in every room, all with the same setpoints."""

    day_c: float = DAY_C
    night_c: float = NIGHT_C

    def decide(
        self, temperatures_c: Sequence[float], before: Sequence[HvacAction], *, local_hour: float
    ) -> list[HvacAction]:
        """Return what each room calls for, given what it called for before.

        Args:
            temperatures_c: Air temperature of each room; values beyond the rooms of `before` are ignored.
            before: The present calls.
            local_hour: 0 to 24.
        """
        wanted_c = self.day_c if DAY_FROM_H <= local_hour < DAY_TO_H else self.night_c
        calls = []
        for temperature_c, action in zip(temperatures_c, before, strict=False):
            band_k = HYSTERESIS_K if action is HvacAction.HEAT else -HYSTERESIS_K
            calls.append(HvacAction.HEAT if temperature_c < wanted_c + band_k else HvacAction.OFF)
        return calls
