"""Planted faults of equipment are reported in time, and a healthy house has none before."""

import pytest

from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import TENTHS
from hal.sim.weather_patterns import COLD_CLEAR
from lab.comfort.equipment_faults import TOLD_WITHIN_MINUTES, EquipmentFault, run_fault
from lab.comfort.runner import Case


@pytest.mark.parametrize("fault", list(EquipmentFault))
def test_a_fault_in_a_cold_week_is_reported_within_three_hours(fault: EquipmentFault) -> None:
    case = Case(design=HOUSES["bare brick"], pattern=COLD_CLEAR, habit=TENTHS, seed=1)
    result = run_fault(case, fault)
    assert result.false_before == 0
    assert result.told_after_min is not None
    assert result.told_after_min <= TOLD_WITHIN_MINUTES
    assert result.fallen_k > 0.5
