"""The same house with a boiler that modulates and with one that is switched: nearer its setpoint, at no more energy."""

from functools import wraps
from typing import Any

import pytest

from agent.climate.coordinator import ClimateDecision
from agent.foundation.clock import Now
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import TENTHS
from hal.sim.weather_patterns import MILD
from lab.comfort.control import HubControl, constant_program, modulating_settings_for
from lab.comfort.runner import HEAT_SETPOINT_C, Case, Law, run_constant
from lab.simulation.safety_oracle import SafetyOracle

CASE = Case(design=HOUSES["bare brick"], pattern=MILD, habit=TENTHS, seed=1, warm_up_days=1, days=1)


@pytest.mark.no_cover
def test_a_modulating_boiler_halves_the_error_at_no_more_energy_and_breaks_no_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = modulating_settings_for(CASE.design)
    program = constant_program(HEAT_SETPOINT_C, is_cooling=False)
    hub = HubControl(
        CASE.design,
        start_utc_ms=CASE.pattern.start_utc_ms,
        programs={room.name: program for room in CASE.design.rooms},
        settings=settings,
    )
    oracle, flows_c, step = SafetyOracle(settings), set[float](), hub.controller.step

    @wraps(step)
    def checked(now: Now, *given: Any, **named: Any) -> ClimateDecision:  # noqa: ANN401 - as it was called
        decision = step(now, *given, **named)
        oracle.check_demand(decision.demand, now.now_ms)
        if decision.demand.heat_source is not None and decision.demand.heat_source.flow_c is not None:
            flows_c.add(decision.demand.heat_source.flow_c)
        return decision

    monkeypatch.setattr(hub.controller, "step", checked)
    modulating, switched = run_constant(CASE, Law.HUB_FLOW, hub), run_constant(CASE, Law.HUB)
    assert modulating.error_k < 0.6 * switched.error_k
    assert modulating.corrected_kwh < 1.01 * switched.corrected_kwh
    assert modulating.starts_per_h < switched.starts_per_h
    assert oracle.summary() == []
    assert len(flows_c) > 10
    assert max(flows_c) <= CASE.design.source.flow_c
