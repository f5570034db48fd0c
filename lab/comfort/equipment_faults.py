"""Real faults of equipment, planted into a house that the hub has learned: how long until it reports them.

Owns when and what fails. The hub's report is the problem of a zone, as people see it.
"""

from enum import StrEnum
from typing import Final

import msgspec

from hal.sim.house_model import HouseModel
from lab.comfort.control import HubControl
from lab.comfort.runner import DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome, Law, controller_for

TOLD_WITHIN_MINUTES: Final = 180
WATCHED_MINUTES: Final = 720
NEW_PROBLEM: Final = "does not get warmer"


class EquipmentFault(StrEnum):
    """What fails."""

    VALVE = "valve stuck"
    SOURCE = "boiler off"
    PUMP = "pump dead"

    def plant(self, house: HouseModel) -> None:
        """Let it fail in a house; the valve is that of the first room."""
        match self:
            case EquipmentFault.VALVE:
                house.blocked = frozenset({0})
            case EquipmentFault.SOURCE:
                house.has_source = False
            case EquipmentFault.PUMP:
                house.has_pump = False


class FaultResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a planted fault.

    Attributes:
        false_before: Problems reported before it was planted.
        told_after_min: Minutes until the first room's problem named it; `None` if it did not within the time watched.
        fallen_k: How far that room was below its setpoint then.
    """

    false_before: int
    told_after_min: int | None
    fallen_k: float


def run_fault(case: Case, fault: EquipmentFault, *, hour: int = 2) -> FaultResult:
    """Return what the hub reports of a fault that happens after the warm-up, at an hour of the day."""
    control = controller_for(Law.HUB, case)
    if not isinstance(control, HubControl):
        raise TypeError("only the hub reports faults")
    home = ComfortHome(case, control)
    home.run(case.warm_up_days * DAY_MINUTES + hour * 60, HEAT_SETPOINT_C)
    false_before = sum(control.faults.values())
    fault.plant(home.house)
    for minute in range(WATCHED_MINUTES):
        home.run(1, HEAT_SETPOINT_C)
        if NEW_PROBLEM in control.controller.state.zones[0].problem:
            return FaultResult(
                false_before=false_before,
                told_after_min=minute + 1,
                fallen_k=HEAT_SETPOINT_C - home.house.air_c[0],
            )
    return FaultResult(false_before=false_before, told_after_min=None, fallen_k=HEAT_SETPOINT_C - home.house.air_c[0])
