"""A person's test of outputs replaces requests and nothing else: every protection stays in force."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.climate.model import Mode
from agent.climate.output_test import OutputTest
from agent.climate.settings import HeatSourceKind, HeatSourceSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from hal.interface import HvacAction

from .home_bench import COOL, HEAT, OFF, Bench, home, inputs

FAR_MS = 10**12
BOILER = HeatSourceSettings(kind=HeatSourceKind.BOILER, limits=ShortCycleLimits(300.0, 300.0, 6))


def test_a_test_switches_a_zone_on_that_needs_no_heat_and_leaves_the_others_alone() -> None:
    bench = Bench(home(2))
    bench.run(inputs(25.0), inputs(25.0), minutes=10)
    bench.test = OutputTest({"z0": HEAT}, FAR_MS)
    made = bench.step(inputs(25.0), inputs(25.0))
    assert made.demand.zones == {"z0": HEAT, "z1": OFF}
    assert made.reasons[0] == "heat: hardware test"
    bench.test = None
    made = bench.run(inputs(25.0), inputs(25.0), minutes=3)
    assert made.demand.zones == {"z0": OFF, "z1": OFF}


def test_output_test_ends_by_itself() -> None:
    bench = Bench(home())
    bench.run(inputs(25.0), minutes=10)
    bench.test = OutputTest({"z0": HEAT}, bench.now_ms + 300_000)
    assert [bench.step(inputs(25.0)).demand.zones["z0"] for _ in range(6)] == [HEAT] * 4 + [OFF] * 2


def test_minimum_times_hold() -> None:
    bench = Bench(home())
    bench.test = OutputTest({"z0": HEAT}, FAR_MS)
    made = bench.step(inputs(25.0))
    assert made.demand.zones == {"z0": OFF}
    assert made.reasons[0] == "heat: hardware test; minimum off time, 2 min to go"
    bench.run(inputs(25.0), minutes=3)
    bench.test = OutputTest({"z0": OFF}, FAR_MS)
    made = bench.step(inputs(15.0))
    assert (made.demand.zones["z0"], made.reasons[0]) == (HEAT, "off: hardware test; minimum on time, 60 s to go")
    assert bench.run(inputs(15.0), minutes=2).demand.zones == {"z0": OFF}


def test_an_override_switches_at_once_and_only_the_zones_relay() -> None:
    bench = Bench(home(2))
    bench.oracle.check_demand = lambda *_: None  # type: ignore[method-assign] # it knows of no override
    bench.test = OutputTest({"z0": HEAT}, FAR_MS, is_limit_overridden=True)
    made = bench.step(inputs(25.0), inputs(15.0))
    assert made.demand.zones == {"z0": HEAT, "z1": OFF}
    assert "minimum off time" in made.reasons[1]
    bench.test = OutputTest({"z0": OFF}, FAR_MS, is_limit_overridden=True)
    assert bench.step(inputs(25.0), inputs(15.0), dt_s=1.0).demand.zones["z0"] is OFF


def test_no_override_reaches_the_heat_source() -> None:
    bench = Bench(home(1, BOILER))
    bench.test = OutputTest({"z0": HEAT}, FAR_MS, is_limit_overridden=True)
    made = bench.step(inputs(25.0))
    assert made.demand.zones == {"z0": OFF}
    assert "boiler: minimum off time" in made.reasons[0]


def test_a_hot_room_is_not_heated_for_a_test() -> None:
    bench = Bench(home())
    bench.run(inputs(25.0), minutes=10)
    bench.test = OutputTest({"z0": HEAT}, FAR_MS)
    made = bench.step(inputs(30.1))
    assert (made.demand.zones["z0"], made.reasons[0]) == (OFF, "off: 30.1 °C, the limit is 30.0")


def test_frost_protection_continues_during_commissioning() -> None:
    bench = Bench(home(2))
    bench.run(inputs(25.0), inputs(25.0), minutes=10)
    bench.test = OutputTest({"z0": HEAT, "z1": OFF}, FAR_MS)
    made = bench.run(inputs(20.0), inputs(5.0), minutes=4)
    assert made.demand.zones == {"z0": HEAT, "z1": HEAT}
    assert made.reasons[1].startswith("frost protection")


def test_a_test_never_cools_beside_a_heated_room() -> None:
    bench = Bench(home(2))
    bench.run(inputs(18.0), inputs(25.0), minutes=10)
    bench.test = OutputTest({"z1": COOL}, FAR_MS)
    made = bench.step(inputs(18.0), inputs(25.0))
    assert made.demand.zones == {"z0": HEAT, "z1": OFF}
    assert made.reasons[1] == "cool: hardware test; heating is active, so cooling must wait"


def test_output_without_the_function_is_unchanged() -> None:
    bench = Bench(home(can_cool=False))
    bench.test = OutputTest({"z0": COOL, "nowhere": HEAT}, FAR_MS)
    assert "hardware test" not in bench.step(inputs(25.0)).reasons[0]


def test_a_test_calls_for_no_second_stage_nor_auxiliary_heat() -> None:
    pump = HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, stages=2, has_aux=True)
    bench = Bench(home(1, pump))
    bench.test = OutputTest({"z0": HEAT}, FAR_MS)
    for _ in range(90):
        asked = bench.step(inputs(10.0, Mode.OFF)).demand.heat_source
        assert asked is not None
        assert (asked.stage <= 1, asked.is_aux_on) == (True, False)


_ACTIONS = st.sampled_from([None, HEAT, COOL, OFF])
_STEPS = st.lists(
    st.tuples(_ACTIONS, _ACTIONS, st.sampled_from([4.0, 18.0, 22.0, 27.0, 31.0]), st.sampled_from(list(Mode))),
    max_size=120,
)


@pytest.mark.parametrize("kind", list(HeatSourceKind))
@settings(max_examples=60)
@given(steps=_STEPS)
def test_no_sequence_of_tests_breaks_a_safety_rule(
    kind: HeatSourceKind, steps: list[tuple[HvacAction | None, HvacAction | None, float, Mode]]
) -> None:
    bench = Bench(home(2, HeatSourceSettings(kind=kind), can_cool=kind is not HeatSourceKind.BOILER))
    for first, second, value_c, mode in steps:
        wanted = {zone: action for zone, action in (("z0", first), ("z1", second)) if action is not None}
        bench.test = OutputTest(wanted, bench.now_ms + 130_000) if wanted else None
        bench.step(inputs(value_c, mode), inputs(20.0, mode))
