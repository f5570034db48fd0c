"""The metering plugs on which the equipment of a simulated house hangs: what it draws, and what they report of it.

Owns power, its reports and the thermostats inside panels; heat is the house's. A room with equipment of its own has a
plug for it: a panel, of which every other one has a thermostat of its own near the setpoint, or a split unit, which
modulates and rests before it starts. Else all zones name the plug of the circulation pump, or of the furnace.
"""

from collections.abc import Sequence
from typing import Final

from hal.sim.emitters import EmitterKind, SourceKind
from hal.sim.house_model import HouseModel

STANDBY_W: Final = 1.5
SPLIT_STANDBY_W: Final = 15.0
"""Electronics, and those of a split unit with its crankcase heater."""

PUMP_W: Final = 30.0
SPLIT_REST_MINUTES: Final = 4
SPLIT_STEPS: Final = (0.3, 0.5, 0.8, 1.0)
STEP_MINUTES: Final = 20
"""An inverter goes through these shares of its power."""

OWN_SETPOINT_C: Final = 21.2
OWN_BAND_K: Final = 0.4
"""A thermostat inside a panel, which hardly ever agrees with the hub's sensor: off above the band, on below it."""

REPORT_MINUTES: Final = 2
READ_MINUTES: Final = 3
"""A plug reports each change, and each two minutes. One that reports changes only is asked by the hub after three."""

CHANGE_W: Final = 5.0
SILENT_FROM_MINUTE, SILENT_MINUTES = 10 * 60, 3 * 60
"""A plug that is out of the radio's reach each day."""


class Plugs:
    """The plugs of one house. One of three reports changes only, and one is gone for some hours each day."""

    def __init__(self, number: int, rooms: int) -> None:
        """Start with closed thermostats.

        Args:
            number: Of the house: decides which plug has which habit.
            rooms: How many there are.
        """
        self._number = number
        self._is_closed = [True] * rooms
        self._called_min = [0] * rooms
        self._reported_w = [-1.0] * rooms
        self._reported_minute = [0] * rooms
        self.reports: dict[int, float] = {}

    def advance(self, house: HouseModel, calls: Sequence[float]) -> list[float]:
        """Report what the equipment draws in a minute; return the calls that its own thermostats let through."""
        design, reported = house.design, {}
        passed = list(calls)
        air_c = house.air_c
        for room, call in enumerate(calls):
            self._called_min[room] = self._called_min[room] + 1 if call else 0
            if design.rooms[room].emitter is EmitterKind.PANEL and room % 2:
                limit_c = OWN_SETPOINT_C + (OWN_BAND_K if self._is_closed[room] else -OWN_BAND_K)
                self._is_closed[room] = air_c[room] < limit_c
                passed[room] = call if self._is_closed[room] else 0.0
        for room in range(len(calls)):
            watts = self._own_w(house, room, passed) if design.has_own_equipment else self._shared_w(house, passed)
            if self._is_reported(room, watts, house.minute):
                reported[room] = self._reported_w[room] = watts
                self._reported_minute[room] = house.minute
        self.reports = reported
        return passed

    def _own_w(self, house: HouseModel, room: int, calls: Sequence[float]) -> float:
        """Return what the panel or split unit of a room draws."""
        design = house.design.rooms[room]
        is_split, share = design.emitter is EmitterKind.AIR, abs(calls[room])
        idle_w = SPLIT_STANDBY_W if is_split else STANDBY_W
        if not share or room in house.blocked or not house.has_source or not house.has_pump:
            return idle_w
        if is_split:
            if self._called_min[room] <= SPLIT_REST_MINUTES:
                return idle_w
            share *= SPLIT_STEPS[house.minute // STEP_MINUTES % len(SPLIT_STEPS)]
        return idle_w + share * design.design_output_w / house.design.source.performance(house.outside_c)

    def _shared_w(self, house: HouseModel, calls: Sequence[float]) -> float:
        """Return what the pump draws, or the furnace, which stays off when its burner is locked out."""
        is_furnace = house.design.source.kind is SourceKind.FURNACE
        is_on = any(calls) and house.has_pump and (house.has_source or not is_furnace)
        return PUMP_W * (1 + (house.minute // STEP_MINUTES) % 2) if is_on else STANDBY_W

    def _is_reported(self, room: int, watts: float, minute: int) -> bool:
        """Return whether the plug of a room reports in a minute, by its habit."""
        habit = (self._number + room) % 3
        is_changed = abs(watts - self._reported_w[room]) >= CHANGE_W
        if habit == 1 and 0 <= minute % 1440 - SILENT_FROM_MINUTE < SILENT_MINUTES:
            return False
        return is_changed or minute - self._reported_minute[room] >= (REPORT_MINUTES if habit else READ_MINUTES)
