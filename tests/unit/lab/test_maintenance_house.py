"""The fast model is held to a house in detail: hub's own control, minute by minute, and a source that loses 30 %."""

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from agent.climate.service import ClimateService
from agent.maintenance.assessment import Finding, FindingState, ZoneRecord, find, observe
from agent.maintenance.calibration import MODELS
from agent.maintenance.indicators import Indicator, Sample
from agent.maintenance_parts import zone_evidence
from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import TENTHS
from hal.sim.weather_patterns import COLD_CLEAR
from lab.comfort.control import HubControl, Situation
from lab.comfort.runner import DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome, Law, controller_for

LEARNING_DAYS, FAULT_DAYS = 24, 14


@pytest.mark.slow
def test_a_source_that_loses_a_third_of_its_power_is_found_in_a_house_that_the_hub_heats() -> None:
    case = Case(design=HOUSES["bare brick"], pattern=COLD_CLEAR, habit=TENTHS, seed=1, days=LEARNING_DAYS + FAULT_DAYS)
    control = controller_for(Law.HUB, case)
    assert isinstance(control, HubControl)
    home = ComfortHome(case, control)
    climate = cast("ClimateService", SimpleNamespace(control=control.controller))
    record, utc_ms = ZoneRecord(), 0

    def watch(house: HouseModel, situation: Situation, _: list[float]) -> None:
        nonlocal record, utc_ms
        (seen,) = zone_evidence(climate, {})
        utc_ms = case.pattern.start_utc_ms + situation.minute * 60_000
        sample = None if seen.room_c is None else Sample(seen.room_c, house.outside_c, seen.output, 60.0)
        record = observe(record, seen.sensors, sample, utc_ms)

    def found() -> Finding:
        return find(record, Indicator.WARMTH, MODELS[Indicator.WARMTH], utc_ms)

    home.run(case.warm_up_days * DAY_MINUTES, HEAT_SETPOINT_C)
    home.run(LEARNING_DAYS * DAY_MINUTES, HEAT_SETPOINT_C, watch)
    assert not found().is_fault
    design = home.house.design
    source = msgspec.structs.replace(design.source, sizing=design.source.sizing * 0.7)
    home.house.design = msgspec.structs.replace(design, source=source)
    home.run(FAULT_DAYS * DAY_MINUTES, HEAT_SETPOINT_C, watch)
    now = found()
    assert now.state in {FindingState.LIKELY, FindingState.NEEDED}
    assert 0.2 <= record.warmth.shift <= 0.4
    assert "more run time than usual for the same warmth" in now.evidence
