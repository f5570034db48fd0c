"""The flow temperature follows the neediest zone, never above its maximum; zones get what they are owed."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import coordinator, emitter, flow_temperature, pi_controller
from agent.climate.effective_setpoint import EffectiveSetpoint, SetpointReason
from agent.climate.flow_temperature import FULL_LEVEL, LEVEL_MIN, ZoneNeed
from agent.climate.fusion import ZoneTemperature
from agent.climate.model import Mode, Setpoints
from agent.climate.pi_controller import PiState
from agent.climate.settings import (
    ClimateSettings,
    Emitter,
    FlowSettings,
    HeatSourceKind,
    HeatSourceSettings,
    ZoneSettings,
    pi_settings_for,
)
from agent.climate.zone_state import ZoneInputs
from agent.config import resolve_text
from hal.interface import HvacAction, HvacDemand

FLOW = FlowSettings(flow_c_max=55.0)
RADIATOR = pi_settings_for(Emitter.RADIATOR, is_shared=False, min_on_s=180.0)


def settle(*needs: ZoneNeed, level: float = 0.5) -> float:
    for _ in range(1000):
        level = flow_temperature.advance(level, needs, 10.0)
    return level


def test_the_level_is_what_the_neediest_zone_asks_for() -> None:
    assert settle(ZoneNeed(0.3, 0.0), ZoneNeed(0.6, 0.0)) == pytest.approx(0.6)
    assert settle(ZoneNeed(0.3, 120.0)) == pytest.approx(0.4)
    assert settle(ZoneNeed(0.05, 0.0)) == settle() == pytest.approx(LEVEL_MIN)


def test_a_zone_that_needs_all_gets_all_at_once_and_less_comes_slowly() -> None:
    assert flow_temperature.advance(0.2, [ZoneNeed(1.0, 0.0)], 10.0) == 1.0
    assert 0.9 < flow_temperature.advance(1.0, [ZoneNeed(0.4, 0.0)], 60.0) < FULL_LEVEL
    rising, falling = (flow_temperature.advance(0.5, [ZoneNeed(duty, 0.0)], 60.0) - 0.5 for duty in (0.7, 0.3))
    assert rising > -2.0 * falling > 0.0


@given(st.floats(0.0, 1.0), st.floats(25.0, 80.0), st.floats(1.0, 1.4))
def test_the_flow_is_never_above_its_maximum_nor_colder_than_the_room(
    level: float, flow_c_max: float, exponent: float
) -> None:
    settings = FlowSettings(flow_c_max=flow_c_max, exponent=exponent)
    made_c = flow_temperature.flow_c(settings, level)
    assert flow_temperature.ROOM_C <= made_c <= flow_c_max
    assert made_c <= flow_temperature.flow_c(settings, min(1.0, level + 0.1))


def test_the_flow_at_full_level_is_the_maximum_and_half_the_output_needs_less() -> None:
    assert flow_temperature.flow_c(FLOW, 1.0) == 55.0
    assert flow_temperature.flow_c(FLOW, 0.5) == 42.5


@pytest.mark.parametrize(
    ("climate", "boiler", "flow_c"),
    [
        ("", "", 70.0),
        ('emitter = "floor"', "", 45.0),
        ('zones = [{ id = "a", sensors = ["x"] }, { id = "b", sensors = ["y"], emitter = "air" }]', "", 55.0),
        ('emitter = "floor"', "flow_c_max = 38", 38.0),
    ],
)
def test_the_maximum_is_that_of_the_most_sensitive_emitter_unless_named(
    climate: str, boiler: str, flow_c: float
) -> None:
    text = f"""[cloud]
base_url = "https://a.example"
[boiler]
driver = "otgw"
address = "/dev/ttyUSB0"
{boiler}
[climate]
heat_source = "boiler"
{climate}
"""
    config = resolve_text(text, file="test", directory=Path("/"), environ={}).config
    made = flow_temperature.flow_settings(config.boiler, config.climate)
    assert made is not None
    assert made.flow_c_max == flow_c
    without = msgspec.structs.replace(config.boiler, driver="none")
    assert flow_temperature.flow_settings(without, config.climate) is None


def test_a_zone_gets_the_heat_that_it_is_owed_at_any_level() -> None:
    """Of 0.3 of full output in pulses at 0.5, the output is on for 0.6 of the time."""
    state, is_on, on_s = PiState(integral=0.3, usual_duty=0.3), False, 0.0
    for _ in range(6000):
        made = pi_controller.advance(state, RADIATOR, error_k=0.0, dt_s=10.0, was_on=is_on, level=0.5)
        state, is_on = made.state, made.wants_on
        on_s += 10.0 if is_on else 0.0
    assert on_s / 60_000.0 == pytest.approx(0.6, abs=0.03)


def test_a_zone_whose_duty_is_the_level_stays_on() -> None:
    state, is_on, starts = PiState(integral=0.4, usual_duty=0.4), False, 0
    for _ in range(3000):
        made = pi_controller.advance(state, RADIATOR, error_k=0.0, dt_s=10.0, was_on=is_on, level=0.4)
        starts += made.wants_on and not is_on
        state, is_on = made.state, made.wants_on
    assert (is_on, starts) == (True, 1)


def test_a_valve_that_stays_open_allows_a_stiffer_law_the_less_the_older_the_temperature_is() -> None:
    gains = [
        emitter.modulate(RADIATOR, share=share, age_s=age_s).gain_per_k / RADIATOR.gain_per_k
        for share, age_s in ((0.3, 0.0), (1.0, 0.0), (1.0, 1800.0))
    ]
    assert gains == pytest.approx([1.0, emitter.MODULATED_GAIN_FACTOR, (1.0 + emitter.MODULATED_GAIN_FACTOR) / 2.0])


def zone(name: str) -> ZoneSettings:
    return ZoneSettings(zone_id=name, sensors=((name, 1.0),), law=RADIATOR)


HOME = ClimateSettings(
    zones=(zone("living"), zone("bath")),
    heat_source=HeatSourceSettings(kind=HeatSourceKind.BOILER, flow=FLOW),
)


@dataclass
class Home:
    """Two rooms of one capacity each, and a boiler whose output follows the level that its flow temperature makes."""

    settings: ClimateSettings = HOME
    rooms_c: list[float] = field(default_factory=lambda: [20.0, 20.0])
    flows_c: list[float] = field(default_factory=list)

    def run(self, hours: float, setpoints_c: tuple[float, float] = (21.0, 21.0)) -> list[HvacDemand]:
        """Return the demands of some hours at 0 °C outdoors: rooms need 0.5 and 0.25 of full output."""
        state = coordinator.initial_state(self.settings, 0)
        demands = []
        for step in range(1, round(hours * 360) + 1):
            now_ms = step * 10_000
            inputs = [
                ZoneInputs(
                    ZoneTemperature(room_c, 0.0, 1, room_c, "", room_c, names=(), values_c=()),
                    EffectiveSetpoint(
                        Mode.HEAT,
                        Setpoints(set_c, 28.0),
                        SetpointReason.DEFAULT,
                        "",
                        None,
                        is_eco=False,
                        sensors=(),
                        text="",
                    ),
                    set_c,
                )
                for room_c, set_c in zip(self.rooms_c, setpoints_c, strict=True)
            ]
            decision = coordinator.decide(state, self.settings, inputs, now_ms)
            state = decision.state
            demands.append(decision.demand)
            source = decision.demand.heat_source
            assert source is not None
            level = state.heat_source.level if source.action is HvacAction.HEAT else 0.0
            for number, (name, power) in enumerate((("living", 6.0), ("bath", 12.0))):
                heat = power * level if decision.demand.zones[name] is HvacAction.HEAT else 0.0
                self.rooms_c[number] += (heat - self.rooms_c[number] / 7.0) / 360.0
        return demands


def test_the_neediest_valve_stays_open_while_the_other_takes_pulses_and_both_rooms_are_kept() -> None:
    home = Home()
    home.run(24.0)
    demands = home.run(12.0)
    assert home.rooms_c == pytest.approx([21.0, 21.0], abs=0.3)
    shares = {
        name: sum(demand.zones[name] is HvacAction.HEAT for demand in demands) / len(demands)
        for name in ("living", "bath")
    }
    assert shares["living"] > 0.95
    assert 0.3 < shares["bath"] < 0.7


def test_flow_is_asked_for_while_the_boiler_heats_and_never_above_its_maximum() -> None:
    for demand in Home().run(6.0):
        source = demand.heat_source
        assert source is not None
        assert (source.flow_c is not None) == (source.action is HvacAction.HEAT)
        assert source.flow_c is None or flow_temperature.ROOM_C < source.flow_c <= FLOW.flow_c_max


def test_a_boiler_without_a_flow_temperature_is_asked_for_none() -> None:
    plain = msgspec.structs.replace(HOME, heat_source=HeatSourceSettings(kind=HeatSourceKind.BOILER))
    sources = [demand.heat_source for demand in Home(plain).run(2.0)]
    assert {source.flow_c for source in sources if source} == {None}
