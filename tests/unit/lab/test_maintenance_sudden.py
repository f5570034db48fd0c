"""The counts of sudden faults: in time to the minute, by kind, and false reports with how long they lasted."""

import pytest

from hal.sim.houses import HOUSES
from lab.comfort.equipment_faults import TOLD_WITHIN_MINUTES, EquipmentFault
from lab.maintenance import sudden
from lab.maintenance.sudden import Life, Trial, as_markdown


def test_faults_are_counted_by_kind_and_false_reports_over_the_time_without_a_fault() -> None:
    lives = [
        Life(
            "a", 365 * 1440, [30], [Trial(EquipmentFault.VALVE, TOLD_WITHIN_MINUTES), Trial(EquipmentFault.PUMP, None)]
        ),
        Life("b", 365 * 720, [], [Trial(EquipmentFault.VALVE, TOLD_WITHIN_MINUTES + 1)]),
    ]
    lines = as_markdown(lives).splitlines()
    assert "| valve stuck | 1 of 2 | 2 of 2 |" in lines
    assert "| pump dead | 0 of 1 | 0 of 1 |" in lines
    assert "| all | 1 of 3 | 2 of 3 |" in lines
    assert lines[-1] == "Reports without a fault: 1 in 1.50 zone-years; they lasted [30] min."


@pytest.mark.slow
def test_a_house_lives_through_each_fault_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudden, "HEALTHY_DAYS", 4)
    life = sudden.live(HOUSES["bare brick"], 1, 20)
    assert (life.zone_minutes, life.false_min) == (4 * 1440, [])
    assert [trial.fault for trial in life.trials] == list(EquipmentFault)
    assert all(30 < (trial.reported_min or 0) <= TOLD_WITHIN_MINUTES for trial in life.trials)
