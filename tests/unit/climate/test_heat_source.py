"""Boiler or heat pump with stages, auxiliary heat, pump, fan and reversing valve."""

import msgspec
import pytest

from agent.climate.heat_source import (
    HeatSourceRequest,
    HeatSourceState,
    advance,
    assume_stopped,
    supplement_wait_ms,
    with_late_start,
)
from agent.climate.settings import HeatSourceKind, HeatSourceSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from hal.interface import HeatSourceDemand, HvacAction

HEAT, COOL, OFF = HvacAction.HEAT, HvacAction.COOL, HvacAction.OFF
PUMP = HeatSourceSettings(
    kind=HeatSourceKind.HEAT_PUMP,
    limits=ShortCycleLimits(300.0, 300.0, 6),
    stages=2,
    has_aux=True,
    stage2_after_s=600.0,
    aux_after_s=1800.0,
)


class Bench:
    def __init__(self, settings: HeatSourceSettings = PUMP) -> None:
        self.settings = settings
        self.now_ms = 10_000_000
        self.state: HeatSourceState = assume_stopped(0)

    def run(self, need: HeatSourceRequest, minutes: int = 1) -> HeatSourceDemand:
        for _ in range(minutes):
            self.now_ms += 60_000
            self.state, demand = advance(self.state, self.settings, need, now_ms=self.now_ms, dt_s=60.0)
        return demand


def test_heat_source_starts_at_stage_one_with_pump_and_fan() -> None:
    demand = Bench().run(HeatSourceRequest(HEAT, 0.5))
    assert demand == HeatSourceDemand(HEAT, stage=1, is_pump_on=True, is_fan_on=True)


def test_second_stage_starts_where_the_first_does_not_suffice() -> None:
    bench = Bench()
    assert bench.run(HeatSourceRequest(HEAT, 1.6), 10).stage == 2
    assert bench.run(HeatSourceRequest(HEAT, 0.5), 10).stage == 2
    assert bench.run(HeatSourceRequest(HEAT, 0.2), 10).stage == 1


def test_a_source_of_one_stage_has_no_second() -> None:
    assert Bench(msgspec.structs.replace(PUMP, stages=1)).run(HeatSourceRequest(HEAT, 5.0), 60).stage == 1


def test_auxiliary_heat_starts_where_the_heat_pump_does_not_suffice_or_fails() -> None:
    bench = Bench()
    assert not bench.run(HeatSourceRequest(HEAT, 2.1), 29).is_aux_on
    assert bench.run(HeatSourceRequest(HEAT, 2.1), 1).is_aux_on
    assert not bench.run(HeatSourceRequest(HEAT, 0.2), 10).is_aux_on
    assert Bench().run(HeatSourceRequest(HEAT, 0.5, is_failing=True)).is_aux_on


@pytest.mark.parametrize("action", [HEAT, COOL])
def test_zone_near_its_setpoint_never_starts_supplementary_heat(action: HvacAction) -> None:
    bench = Bench()
    for _ in range(120):
        demand = bench.run(HeatSourceRequest(action, 1.4))
        assert (demand.stage, demand.is_aux_on) == (1, False)
    # Nor one that is far off now and then.
    for _ in range(20):
        bench.run(HeatSourceRequest(action, 5.0), 9)
        demand = bench.run(HeatSourceRequest(action, 1.4))
        assert (demand.stage, demand.is_aux_on) == (1, False)


def test_the_second_stage_comes_before_auxiliary_heat() -> None:
    demand = Bench().run(HeatSourceRequest(HEAT, 1.9), 120)
    assert (demand.stage, demand.is_aux_on) == (2, False)


def test_a_second_stage_has_its_minimum_times_and_ends_with_the_source() -> None:
    bench = Bench()
    assert bench.run(HeatSourceRequest(HEAT, 5.0), 10).stage == 2
    assert [bench.run(HeatSourceRequest(HEAT, 0.1)).stage for _ in range(6)] == [2, 2, 2, 2, 1, 1]
    assert [bench.run(HeatSourceRequest(HEAT, 5.0)).stage for _ in range(11)] == [1] * 9 + [2, 2]
    # What is missing while it rests says nothing of what the first stage can do.
    assert bench.run(HeatSourceRequest(OFF, 5.0), 20).stage == 0
    assert [bench.run(HeatSourceRequest(HEAT, 5.0)).stage for _ in range(11)] == [1] * 9 + [2, 2]
    assert bench.run(HeatSourceRequest(OFF, 5.0)).stage == 0
    assert [bench.run(HeatSourceRequest(HEAT, 5.0)).stage for _ in range(11)] == [1] * 9 + [2, 2]


@pytest.mark.parametrize("before", [OFF, COOL])
def test_auxiliary_heat_starts_after_its_delay(before: HvacAction) -> None:
    bench = Bench()
    bench.run(HeatSourceRequest(before, 5.0), 120)
    assert not bench.run(HeatSourceRequest(HEAT, 5.0), 29).is_aux_on
    assert bench.run(HeatSourceRequest(HEAT, 5.0)).is_aux_on
    # Once it is on it brings the zone near.
    assert bench.run(HeatSourceRequest(HEAT, 0.4), 20).is_aux_on
    assert not bench.run(HeatSourceRequest(HEAT, 0.3)).is_aux_on


def test_auxiliary_heat_for_a_source_that_fails_ends_when_it_works_again() -> None:
    bench = Bench()
    assert bench.run(HeatSourceRequest(HEAT, 1.0, is_failing=True), 10).is_aux_on
    assert not bench.run(HeatSourceRequest(HEAT, 1.0)).is_aux_on


def test_auxiliary_heat_never_runs_while_cooling_or_without_a_call() -> None:
    bench = Bench()
    bench.run(HeatSourceRequest(HEAT, 3.0), 60)
    assert not bench.run(HeatSourceRequest(COOL, 3.0, is_failing=True)).is_aux_on
    assert not bench.run(HeatSourceRequest(OFF, 3.0, is_failing=True)).is_aux_on


@pytest.mark.parametrize("is_on_in_heating", [True, False])
def test_reversing_valve_follows_its_kind_and_keeps_its_position(is_on_in_heating: bool) -> None:
    bench = Bench(msgspec.structs.replace(PUMP, is_valve_on_in_heating=is_on_in_heating))
    assert bench.run(HeatSourceRequest(HEAT, 0.5)).is_valve_on is is_on_in_heating
    assert bench.run(HeatSourceRequest(OFF, 0.0), 20).is_valve_on is is_on_in_heating
    assert bench.run(HeatSourceRequest(COOL, 0.5)).is_valve_on is not is_on_in_heating


def test_the_reversing_valve_turns_before_the_start_and_not_as_it_stops() -> None:
    bench = Bench(msgspec.structs.replace(PUMP, is_valve_on_in_heating=True))
    assert bench.run(HeatSourceRequest(OFF, 0.0, next_action=HEAT)).is_valve_on
    bench.run(HeatSourceRequest(HEAT, 0.5), 10)
    assert bench.run(HeatSourceRequest(OFF, 0.0, next_action=COOL)).is_valve_on
    assert not bench.run(HeatSourceRequest(OFF, 0.0, next_action=COOL)).is_valve_on
    assert not bench.run(HeatSourceRequest(OFF, 0.0)).is_valve_on


def test_a_boiler_has_no_reversing_valve() -> None:
    bench = Bench(msgspec.structs.replace(PUMP, kind=HeatSourceKind.BOILER, is_valve_on_in_heating=True))
    assert not bench.run(HeatSourceRequest(HEAT, 0.5)).is_valve_on


def test_pump_and_fan_run_on() -> None:
    bench = Bench()
    bench.run(HeatSourceRequest(HEAT, 0.5), 10)
    demand = bench.run(HeatSourceRequest(OFF, 0.0))
    assert (demand.action, demand.stage, demand.is_pump_on, demand.is_fan_on) == (OFF, 0, True, True)
    demand = bench.run(HeatSourceRequest(OFF, 0.0))
    assert (demand.is_pump_on, demand.is_fan_on) == (True, False)
    assert not bench.run(HeatSourceRequest(OFF, 0.0), 4).is_pump_on


@pytest.mark.parametrize("helper", ["stage2", "aux"])
def test_second_stage_and_auxiliary_heat_that_come_on_late_run_for_their_minimum_too(helper: str) -> None:
    bench = Bench()
    while not getattr(bench.state, helper).is_on:
        bench.run(HeatSourceRequest(HEAT, 5.0))
    alone = msgspec.structs.replace(assume_stopped(0), **{helper: getattr(bench.state, helper)})
    late = with_late_start(alone, bench.now_ms + 250_000)
    assert supplement_wait_ms(alone, PUMP.limits, bench.now_ms + 300_000) == 0
    assert supplement_wait_ms(late, PUMP.limits, bench.now_ms + 300_000) == 250_000
