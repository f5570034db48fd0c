"""The counts of sudden faults: in time to the minute, by kind, and false reports with how long they lasted."""

from typing import Any, cast

import pytest

from hal.sim.house_design import HouseDesign
from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from lab.comfort.control import Situation
from lab.comfort.equipment_faults import TOLD_WITHIN_MINUTES, EquipmentFault
from lab.comfort.runner import OnMinute
from lab.maintenance import sudden
from lab.maintenance.sudden import USED_MINUTES, Life, Trial, as_houses_markdown, as_markdown


def test_faults_are_counted_by_kind_and_false_reports_over_the_time_without_a_fault() -> None:
    lives = [
        Life(
            "a", 365 * 1440, [30], [Trial(EquipmentFault.VALVE, TOLD_WITHIN_MINUTES), Trial(EquipmentFault.PUMP, None)]
        ),
        Life("b", 365 * 720, [], [Trial(EquipmentFault.VALVE, TOLD_WITHIN_MINUTES + 1, heated_min=USED_MINUTES - 1)]),
    ]
    lines = as_markdown(lives).splitlines()
    assert "| valve stuck | 1 of 2 | 2 of 2 | 1 of 1 |" in lines
    assert "| pump dead | 0 of 1 | 0 of 1 | 0 of 1 |" in lines
    assert "| all | 1 of 3 | 2 of 3 | 1 of 2 |" in lines
    assert lines[-1] == (
        "Reports without a fault: 1 in 1.50 zone-years (below 3.2 a zone-year with a confidence of 95%); they lasted"
        " [30] min."
    )


def test_the_bound_of_a_count_is_that_of_the_tables() -> None:
    """Garwood's exact limits for Poisson counts, as in tables of radiation counting: 0, 1, 2 and 10 events."""
    bounds = [sudden.largest_mean(count) for count in (0, 1, 2, 10)]
    assert bounds == pytest.approx([2.996, 4.744, 6.296, 16.96], abs=0.005)


def test_each_round_has_other_weather_or_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def note(design: HouseDesign, number: int, _: int, *, has_pipe_sensors: bool, has_plugs: bool) -> Life:
        assert has_pipe_sensors is (design.name != "split timber")
        assert has_plugs is (design.name == "split timber")
        seen.append((design.name, number))
        return Life(design.name, 1, [], [])

    monkeypatch.setattr(sudden, "live", note)
    assert len(list(sudden.fleet(is_held_out=True, houses=("timber pump",), rounds=3, has_pipe_sensors=True))) == 3
    assert [name for name, _ in seen] == ["timber pump"] * 3
    assert len({number for _, number in seen}) == 3
    assert not list(sudden.fleet(is_held_out=True, houses=("split timber",), has_pipe_sensors=True)), "it has no pipe"
    assert len(list(sudden.fleet(is_held_out=True, houses=("split timber",), has_plugs=True))) == 1


def test_faults_are_counted_by_house_and_those_that_no_room_can_show_are_named() -> None:
    def late(fault: EquipmentFault, *, heated_min: int, missing_k: float) -> Trial:
        return Trial(fault, TOLD_WITHIN_MINUTES + 1, heated_min, missing_k, needed_k=0.86)

    trials = [
        Trial(EquipmentFault.VALVE, 60, 0),
        late(EquipmentFault.VALVE, heated_min=USED_MINUTES - 1, missing_k=0.0),
        late(EquipmentFault.SOURCE, heated_min=USED_MINUTES, missing_k=0.8),
        late(EquipmentFault.PUMP, heated_min=USED_MINUTES, missing_k=0.9),
    ]
    lines = as_houses_markdown([Life("a", 1, [], trials[:2]), Life("b", 1, [], []), Life("a", 1, [], trials[2:])])
    assert "| a | 1 of 2 | 0 of 1 | 0 of 1 | 4 of 4 | 1 | 1 | 1 |" in lines.splitlines()
    assert "| b | 0 of 0 | 0 of 0 | 0 of 0 | 0 of 0 | 0 | 0 | 0 |" in lines.splitlines()


def test_a_floor_needs_a_smaller_fall_than_radiators_do() -> None:
    assert sudden.needed_k(HOUSES["floor pump"]) == pytest.approx(0.6 + 0.25 * 0.35 * 3.0)
    assert sudden.needed_k(HOUSES["bare brick"]) == pytest.approx(0.6 + 0.25 * 0.8 * 3.0)


class StandingReport:
    """A house and its control: a report stands at the beginning, and each fault is reported ten minutes after it.

    Attributes:
        case, controller, state, zones, house: Itself, so that it answers as all of them do.
        has_source: As of the house.
        planted_minute: When the source failed; `None` while it works.
    """

    def __init__(self, stands_minutes: int) -> None:
        self.minute = 0
        self.planted_minute: int | None = None
        self.house = self.controller = self.state = self.case = self
        self.zones = (self,)
        self.blocked, self.has_pump = frozenset[int](), True
        self.design, self.air_c = HOUSES["bare brick"], [20.0]
        self._stands_minutes = stands_minutes

    @property
    def has_source(self) -> bool:
        return self.planted_minute is None

    @has_source.setter
    def has_source(self, works: bool) -> None:
        self.planted_minute = None if works else self.minute

    @property
    def is_full(self) -> bool:
        return self.minute % 2 == 0

    @property
    def is_unheated(self) -> bool:
        is_found = self.planted_minute is not None and self.minute >= self.planted_minute + 10
        return is_found or self.minute < self._stands_minutes

    def copy(self) -> "StandingReport":
        twin = StandingReport(0)
        twin.air_c = self.air_c.copy()
        return twin

    def advance(self, calls: list[float]) -> None:
        self.air_c[0] += calls[0]

    def run(self, minutes: int, _: float, on_minute: OnMinute | None = None) -> None:
        self.minute += minutes
        if on_minute is not None:
            on_minute(cast("HouseModel", self), cast("Situation", None), [1.0])


@pytest.mark.parametrize(
    ("stands_minutes", "reported_min", "heated_min"), [(0, 10, 5), (300, 10, 5), (100_000, None, 90)]
)
def test_a_report_that_stands_is_none_of_the_next_fault(
    stands_minutes: int, reported_min: int | None, heated_min: int
) -> None:
    home: Any = StandingReport(stands_minutes)
    trial = sudden.try_fault(home, home, EquipmentFault.SOURCE, 60)
    missing_k = float(min(TOLD_WITHIN_MINUTES, reported_min or TOLD_WITHIN_MINUTES))
    assert trial == Trial(EquipmentFault.SOURCE, reported_min, heated_min, missing_k, needed_k=1.2)


@pytest.mark.slow
def test_a_house_lives_through_each_fault_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudden, "HEALTHY_DAYS", 4)
    life = sudden.live(HOUSES["bare brick"], 1, 20)
    assert (life.zone_minutes, life.false_min) == (4 * 1440, [])
    assert [trial.fault for trial in life.trials] == list(EquipmentFault)
    assert all(30 < (trial.reported_min or 0) <= TOLD_WITHIN_MINUTES for trial in life.trials)


@pytest.mark.slow
def test_a_floor_with_a_thermometer_on_its_pipe_shows_a_stuck_valve_and_a_dead_pump_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its room shows no fault in that time, and its pipe no burner that is off while the pump runs."""
    monkeypatch.setattr(sudden, "HEALTHY_DAYS", 4)
    life = sudden.live(HOUSES["floor pump"], 2, 20, has_pipe_sensors=True)
    assert life.false_min == []
    assert all(trial.missing_k < trial.needed_k for trial in life.trials)
    assert [trial.is_in_time for trial in life.trials] == [True, False, True]
