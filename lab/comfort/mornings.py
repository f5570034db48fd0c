"""Mornings after a setback: whether each room is back at its setpoint in time, by its sensor and by its true air.

Owns the schedule (21 °C from 06:00 to 22:00, 17 °C at night), the judgement of each morning, and the proof that the
house could have made it: full output from twelve hours before, in the same weather.
"""

from statistics import fmean
from typing import Final

import msgspec

from agent.climate.model import Block, Schedule, ZoneProgram
from hal.sim.house_model import HouseModel
from lab.comfort.control import HubControl, Situation
from lab.comfort.runner import DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome, StartCounter

SETBACK_C: Final = 17.0
DAY_BEGINS: Final = "06:00"
DUE_MINUTE: Final = 6 * 60
NIGHT_BEGINS: Final = "22:00"
NIGHT_MINUTE: Final = 22 * 60
LEAD_MINUTES_MAX: Final = 12 * 60
REACHED_K: Final = 0.25
"""This near counts as reached, see `agent.climate.optimum_start`."""
IN_TIME_MINUTES: Final = 10
GIVEN_UP_MINUTES: Final = 120
OVERSHOOT_MINUTES: Final = 180
"""For so long after the block's start the highest temperature counts."""

_WEEK: Final = Schedule(
    "week",
    (
        Block("Day", DAY_BEGINS, NIGHT_BEGINS, HEAT_SETPOINT_C, 28.0),
        Block("Night", NIGHT_BEGINS, DAY_BEGINS, SETBACK_C, 28.0),
    ),
)


class Morning(msgspec.Struct, frozen=True, kw_only=True):
    """One room on one morning.

    Attributes:
        day: Since the start.
        room: Its number.
        is_possible: Full output from twelve hours before would have made it.
        is_set_back: The room was below its day's setpoint at all.
        is_early_unheated: Without any output from twelve hours before, too, the room would have been at its setpoint
            earlier than ten minutes before the block's start: the sun heats it, so no law can be in time.
        sensed_min: Minutes after the block's start at which its sensor had reached the setpoint.
        true_min: Likewise by its true air.
        overshoot_k: How far its true air rose above the setpoint afterwards.
    """

    day: int
    room: int
    is_possible: bool
    is_set_back: bool
    is_early_unheated: bool = False
    sensed_min: float
    true_min: float
    overshoot_k: float


class MorningsResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some mornings.

    Attributes:
        mornings: All of them, of each room.
        faults: False faults reported in that time.
        lost_minutes: Minutes without a temperature though the sensors work.
        used_kwh: Fuel or electricity in that time.
        starts_per_h: Of what costs in that time: the shared source, else the mean of the rooms' own equipment.
    """

    mornings: tuple[Morning, ...]
    faults: int
    lost_minutes: int
    used_kwh: float
    starts_per_h: float

    @property
    def counted(self) -> list[Morning]:
        """The mornings that the house can make."""
        return [morning for morning in self.mornings if morning.is_possible and morning.is_set_back]

    def in_time(self, *, by_sensor: bool) -> int:
        """Return how many of them were reached within ten minutes, early or late."""
        return sum(
            abs(morning.sensed_min if by_sensor else morning.true_min) <= IN_TIME_MINUTES for morning in self.counted
        )

    def late_and_early(self) -> tuple[int, int, int]:
        """Return how many of them were late and early by the sensor, and how many of the early ones no law avoids."""
        late = sum(morning.sensed_min > IN_TIME_MINUTES for morning in self.counted)
        early = [morning for morning in self.counted if morning.sensed_min < -IN_TIME_MINUTES]
        return late, len(early), sum(morning.is_early_unheated for morning in early)

    @property
    def overshoot_k(self) -> float:
        """Their mean overshoot."""
        return fmean(morning.overshoot_k for morning in self.counted) if self.counted else 0.0


def setpoint_at(minute: int) -> float:
    """Return the setpoint of the schedule."""
    return HEAT_SETPOINT_C if DUE_MINUTE <= minute % DAY_MINUTES < NIGHT_MINUTE else SETBACK_C


def reaching_rooms(house: HouseModel, minutes: int, output: float = 1.0) -> list[bool]:
    """Return which rooms an output, full or none, brings to the day's setpoint by then; the house itself stays."""
    twin = house.copy()
    outputs = [output] * len(twin.design.rooms)
    for _ in range(minutes):
        twin.advance(outputs)
    return [value_c >= HEAT_SETPOINT_C - REACHED_K for value_c in twin.air_c]


class _Night:
    """Watches one night and the morning after it."""

    def __init__(self, rooms: int, due: int) -> None:
        self.due = due
        self.is_possible = [False] * rooms
        self.is_early_unheated = [False] * rooms
        self._was_below = [False] * rooms
        self._sensed_c: list[float | None] = [None] * rooms
        self._sensed: list[int | None] = [None] * rooms
        self._true: list[int | None] = [None] * rooms
        self._highest_c = [0.0] * rooms

    def look(self, house: HouseModel, situation: Situation) -> None:
        """Take one minute."""
        reached_c = HEAT_SETPOINT_C - REACHED_K
        after = situation.minute - self.due
        for room, value_c in situation.reports.items():
            self._sensed_c[room] = value_c
        for room, air_c in enumerate(house.air_c):
            sensed_c = self._sensed_c[room]
            if air_c < reached_c and after <= 0:
                # It has not arrived yet, or it has left again.
                self._was_below[room], self._true[room] = True, None
            elif self._true[room] is None and air_c >= reached_c:
                self._true[room] = after
            if sensed_c is not None and sensed_c < reached_c and after <= 0:
                self._sensed[room] = None
            elif sensed_c is not None and self._sensed[room] is None and sensed_c >= reached_c:
                self._sensed[room] = after
            if 0 <= after <= OVERSHOOT_MINUTES:
                self._highest_c[room] = max(self._highest_c[room], air_c)

    def mornings(self) -> list[Morning]:
        """Return the judgement."""
        return [
            Morning(
                day=self.due // DAY_MINUTES,
                room=room,
                is_possible=self.is_possible[room],
                is_set_back=self._was_below[room],
                is_early_unheated=self.is_early_unheated[room],
                sensed_min=GIVEN_UP_MINUTES if sensed is None else sensed,
                true_min=GIVEN_UP_MINUTES if true is None else true,
                overshoot_k=max(0.0, self._highest_c[room] - HEAT_SETPOINT_C),
            )
            for room, (sensed, true) in enumerate(zip(self._sensed, self._true, strict=True))
        ]


def run_mornings(case: Case) -> MorningsResult:
    """Return what the hub makes of the mornings after the warm-up, in which it learns."""
    control = HubControl(
        case.design,
        start_utc_ms=case.pattern.start_utc_ms,
        programs={room.name: ZoneProgram(schedules={"week": _WEEK}, schedule="week") for room in case.design.rooms},
    )
    home = ComfortHome(case, control)
    rooms = len(case.design.rooms)
    home.run(case.warm_up_days * DAY_MINUTES - LEAD_MINUTES_MAX + DUE_MINUTE, setpoint_at)
    before_faults, before_lost = sum(control.faults.values()), sum(control.lost_minutes.values())
    used_j = home.house.consumed_j
    starts = StartCounter(rooms)

    def count(_: HouseModel, __: Situation, calls: list[float]) -> None:
        starts.count(calls)

    mornings: list[Morning] = []
    for day in range(case.warm_up_days, case.warm_up_days + case.days):
        due = day * DAY_MINUTES + DUE_MINUTE
        night = _Night(rooms, due)
        night.is_possible = reaching_rooms(home.house, LEAD_MINUTES_MAX)
        night.is_early_unheated = reaching_rooms(home.house, LEAD_MINUTES_MAX - IN_TIME_MINUTES - 1, output=0.0)

        def look(house: HouseModel, situation: Situation, calls: list[float], night: _Night = night) -> None:
            night.look(house, situation)
            starts.count(calls)

        home.run(due + OVERSHOOT_MINUTES - home.house.minute, setpoint_at, look)
        mornings += night.mornings()
        home.run(due + DAY_MINUTES - LEAD_MINUTES_MAX - home.house.minute, setpoint_at, count)
    begun = starts.zones / rooms if case.design.has_own_equipment else starts.source
    return MorningsResult(
        mornings=tuple(mornings),
        faults=sum(control.faults.values()) - before_faults,
        lost_minutes=sum(control.lost_minutes.values()) - before_lost,
        used_kwh=(home.house.consumed_j - used_j) / 3.6e6,
        starts_per_h=begun / (24.0 * case.days),
    )
