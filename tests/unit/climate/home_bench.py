"""A home that is decided for minute by minute, with the safety oracle checking every decision."""

import msgspec

from agent.climate import output_test
from agent.climate.coordinator import ClimateDecision, CoordinatorState, decide, initial_state
from agent.climate.effective_setpoint import EffectiveSetpoint, SetpointReason
from agent.climate.fusion import ZoneTemperature
from agent.climate.model import Mode, Setpoints
from agent.climate.output_test import OutputTest
from agent.climate.settings import ClimateSettings, HeatSourceSettings, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.climate.zone_state import ZoneInputs
from hal.interface import HvacAction
from lab.simulation.safety_oracle import SafetyOracle

HEAT, COOL, OFF = HvacAction.HEAT, HvacAction.COOL, HvacAction.OFF
LIMITS = ShortCycleLimits(180.0, 180.0, 6)
USUAL = Setpoints(20.0, 26.0)


def home(count: int = 1, heat_source: HeatSourceSettings | None = None, *, can_cool: bool = True) -> ClimateSettings:
    zones = tuple(ZoneSettings(zone_id=f"z{i}", can_cool=can_cool, limits=LIMITS) for i in range(count))
    return ClimateSettings(zones=zones, heat_source=heat_source or HeatSourceSettings())


def inputs(
    value_c: float | None,
    mode: Mode = Mode.HEAT,
    setpoints: Setpoints = USUAL,
    coldest_c: float | None = None,
    others_c: tuple[float, ...] = (),
    needing_heat_c: tuple[float, ...] = (),
    active_c: tuple[float, ...] = (),
) -> ZoneInputs:
    temperature = (
        ZoneTemperature(None, 0.0, 0, None, "it is silent")
        if value_c is None
        else ZoneTemperature(value_c, 0.0, 1, value_c, warmest_c=value_c)
    )
    effective = EffectiveSetpoint(mode, setpoints, SetpointReason.DEFAULT, "", None, False, (), "no schedule")
    cold_c = value_c if coldest_c is None else coldest_c
    return ZoneInputs(
        temperature,
        effective,
        setpoints.heat_setpoint_c,
        coldest_c=cold_c,
        others_c=others_c,
        active_c=active_c,
        needing_heat_c=needing_heat_c,
    )


class Bench:
    """A home that is decided for, minute by minute, with the oracle watching."""

    def __init__(self, climate: ClimateSettings, *, last: HvacAction = HEAT) -> None:
        self.climate = climate
        self.now_ms = start_ms = 1_000_000
        self.state: CoordinatorState = msgspec.structs.replace(initial_state(climate, start_ms), direction=last)
        self.test: OutputTest | None = None
        self.oracle = SafetyOracle(climate)
        self.oracle.record_kill(start_ms)

    def step(self, *zones: ZoneInputs, dt_s: float = 60.0) -> ClimateDecision:
        self.now_ms += round(dt_s * 1000)
        made = decide(self.state, self.climate, zones, self.now_ms, output_test.active(self.test, self.now_ms))
        self.state = made.state
        rooms = {
            zone.zone_id: given.temperature.value_c
            for zone, given in zip(self.climate.zones, zones, strict=True)
            if given.temperature.value_c is not None
        }
        extremes = {
            zone.zone_id: (given.temperature.coldest_c, given.temperature.warmest_c)
            for zone, given in zip(self.climate.zones, zones, strict=True)
            if given.temperature.coldest_c is not None and given.temperature.warmest_c is not None
        }
        self.oracle.check_demand(made.demand, self.now_ms, rooms, extremes)
        assert self.oracle.broken == {}, self.oracle.examples
        return made

    def run(self, *zones: ZoneInputs, minutes: int) -> ClimateDecision:
        for _ in range(minutes):
            made = self.step(*zones)
        return made
