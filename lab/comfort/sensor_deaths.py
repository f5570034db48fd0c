"""Sensors that die in a house that the hub has learned: how long until it notices, and whether it doubts working ones.

Owns when a sensor dies and comes back. A dead sensor is noticed when its zone has no temperature.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from hal.sim.sensor_habits import MINUTE_S, SensorHabit
from lab.comfort.control import HubControl, Situation, constant_program
from lab.comfort.runner import COOL_SETPOINT_C, DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome

HOURS: Final = (3, 10, 17)
"""One death a day at these hours: in the night, in the sun, and in the evening."""

WATCHED_MINUTES: Final = 480
NOTICED_MINUTES_MAX: Final = 120
INTERVALS_MAX: Final = 3


class DeathResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the sensors of one house.

    Attributes:
        lost_minutes: Minutes in which a working sensor counted as lost, of all rooms.
        noticed_min: Minutes until each death of the first room's sensor was noticed; `None` if it was not.
        coldest_c: The lowest true temperature of that room meanwhile.
        warmest_c: The highest.
    """

    lost_minutes: int
    noticed_min: tuple[int | None, ...]
    coldest_c: float
    warmest_c: float


def minutes_allowed(habit: SensorHabit) -> int:
    """Return within how many minutes the death of a sensor is to be noticed: three of its own intervals, or 2 h."""
    silence_s = habit.silence_s
    if silence_s is None:
        return NOTICED_MINUTES_MAX
    return min(NOTICED_MINUTES_MAX, max(INTERVALS_MAX, round(INTERVALS_MAX * silence_s / MINUTE_S)))


class _Deafened(HubControl):
    """The hub's control, which hears nothing of the first room while its sensor is dead."""

    is_dead = False

    def decide(self, situation: Situation) -> list[float]:
        """See `HubControl.decide`."""
        if self.is_dead:
            reports = {room: value_c for room, value_c in situation.reports.items() if room}
            situation = msgspec.structs.replace(situation, reports=reports)
        return super().decide(situation)


def run_deaths(case: Case, hours: Sequence[int] = HOURS) -> DeathResult:
    """Return how deaths are noticed after the warm-up, one a day; `case.days` does not count."""
    setpoint_c = COOL_SETPOINT_C if case.is_cooling else HEAT_SETPOINT_C
    program = constant_program(setpoint_c, is_cooling=case.is_cooling)
    names = [room.name for room in case.design.rooms]
    control = _Deafened(case.design, start_utc_ms=case.pattern.start_utc_ms, programs=dict.fromkeys(names, program))
    case = msgspec.structs.replace(case, days=len(hours) + 1)
    home = ComfortHome(case, control)
    noticed: list[int | None] = []
    lost_minutes = 0
    true_c: list[float] = []
    for number, hour in enumerate(hours):
        died = (case.warm_up_days + number) * DAY_MINUTES + hour * 60
        home.run(died - home.house.minute, setpoint_c)
        lost_minutes += sum(control.lost_minutes.values())
        control.is_dead = True
        zone, minutes = control.controller.zones[names[0]], 0
        while minutes < WATCHED_MINUTES and zone.temperature.value_c is not None:
            home.run(1, setpoint_c)
            minutes += 1
            true_c.append(home.house.air_c[0])
        noticed.append(minutes if zone.temperature.value_c is None else None)
        control.is_dead = False
        while zone.temperature.value_c is None and home.house.minute < died + DAY_MINUTES // 2:
            home.run(1, setpoint_c)
        control.lost_minutes = dict.fromkeys(names, 0)
    return DeathResult(
        lost_minutes=lost_minutes, noticed_min=tuple(noticed), coldest_c=min(true_c), warmest_c=max(true_c)
    )
