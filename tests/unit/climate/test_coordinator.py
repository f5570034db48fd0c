"""The home as a whole: heat source, direction, hand-over. No sequence of requests breaks a safety rule."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.climate import coordinator, fusion, pi_controller
from agent.climate.coordinator import CoordinatorState, initial_state
from agent.climate.emitter import CycleState
from agent.climate.model import Mode, Setpoints
from agent.climate.pi_controller import PiState
from agent.climate.settings import ClimateSettings, HeatSourceKind, HeatSourceSettings
from agent.climate.short_cycle_protection import ShortCycleLimits, ShortCycleState
from agent.climate.zone_state import ZoneInputs, ZoneRequest
from hal.interface import HvacAction

from .home_bench import COOL, HEAT, OFF, Bench, home, inputs


def test_the_heat_source_runs_while_any_zone_is_on_and_to_the_end_of_its_minimum_time() -> None:
    heat_source = HeatSourceSettings(kind=HeatSourceKind.BOILER, limits=ShortCycleLimits(900.0, 600.0, 3))
    bench = Bench(home(2, heat_source))
    made = bench.run(inputs(15.0), inputs(25.0), minutes=5)
    assert made.demand.zones == {"z0": OFF, "z1": OFF}
    assert "boiler: minimum off time" in made.reasons[0]
    assert made.held == (True, False)
    made = bench.run(inputs(15.0), inputs(25.0), minutes=6)
    assert made.demand.zones == {"z0": HEAT, "z1": OFF}
    assert made.held == (False, False)
    assert made.demand.heat_source is not None
    assert made.demand.heat_source.action is HEAT
    made = bench.run(inputs(22.0), inputs(25.0), minutes=8)
    assert made.demand.zones == {"z0": HEAT, "z1": OFF}
    assert "boiler: minimum on time" in made.reasons[0]
    assert made.held == (True, False)
    made = bench.run(inputs(22.0), inputs(25.0), minutes=8)
    assert made.demand.heat_source is not None
    assert (made.demand.heat_source.action, made.demand.heat_source.is_pump_on) == (OFF, True)
    made = bench.run(inputs(22.0), inputs(25.0), minutes=6)
    assert made.demand.heat_source is not None
    assert not made.demand.heat_source.is_pump_on


@pytest.mark.parametrize(("room_c", "minutes"), [(30.0, 4), (16.1, 4), (16.0, 0)])
def test_cooling_runs_on_for_the_second_stages_minimum_unless_a_room_is_at_its_limit(
    room_c: float, minutes: int
) -> None:
    bench = Bench(home(1, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, stages=2)), last=COOL)
    for _ in range(60):
        asked = bench.step(inputs(30.0, Mode.COOL)).demand.heat_source
        assert asked is not None
        if asked.stage == 2:
            break
    went_on = 0
    for _ in range(10):
        made = bench.step(inputs(room_c, Mode.OFF if room_c > 16.0 else Mode.COOL, Setpoints(5.0, 10.0)))
        assert made.demand.heat_source is not None
        went_on += made.demand.heat_source.action is COOL
    assert went_on == minutes


@pytest.mark.parametrize("helper", ["stage2", "aux"])
@pytest.mark.parametrize(("room_c", "minutes"), [(16.0, 4), (30.0, 0)])
def test_the_heat_source_runs_on_for_its_supplements_unless_a_room_is_at_its_limit(
    helper: str, room_c: float, minutes: int
) -> None:
    """Found by review: the second stage ran for 10 of 300 s when its zone was switched off."""
    heat_source = HeatSourceSettings(
        kind=HeatSourceKind.HEAT_PUMP, stages=2 if helper == "stage2" else 1, has_aux=helper == "aux", aux_after_s=900.0
    )
    bench = Bench(home(1, heat_source))
    for _ in range(60):
        asked = bench.step(inputs(16.0)).demand.heat_source
        assert asked is not None
        if asked.stage == 2 or asked.is_aux_on:
            break
    assert asked is not None
    assert asked.stage == 2 or asked.is_aux_on
    went_on, stage = 0, asked.stage
    off = inputs(room_c, Mode.OFF if room_c < 30.0 else Mode.HEAT)
    for _ in range(10):
        made = bench.step(off)
        assert made.demand.heat_source is not None
        went_on += made.demand.heat_source.action is HEAT
        if made.demand.heat_source.action is HEAT:
            assert made.demand.heat_source.stage == stage
            assert "minimum on time of the second stage or auxiliary heat" in made.reasons[0]
    assert went_on == minutes


def test_a_room_at_its_limit_ends_supplements_but_no_minimum_on_time_of_the_heat_source() -> None:
    bench = Bench(home(1, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, stages=2, stage2_after_s=0.0)))
    asked = None
    while asked is None or asked.action is OFF:
        asked = bench.step(inputs(15.0)).demand.heat_source
    assert asked.stage == 2
    sources = [bench.step(inputs(30.0)).demand.heat_source for _ in range(6)]
    assert [heat_source.action for heat_source in sources if heat_source] == [HEAT] * 4 + [OFF] * 2


def test_it_counts_how_often_an_output_was_switched_on() -> None:
    bench = Bench(home(1, HeatSourceSettings()))
    was_on, starts = False, 0
    for minute in range(240):
        action = bench.step(inputs(15.0 if minute // 40 % 2 else 26.0)).demand.zones["z0"]
        starts, was_on = starts + (action is not OFF and not was_on), action is not OFF
    assert starts > 1
    assert bench.state.zones[0].starts == starts


def test_a_failure_starts_auxiliary_heat_only_if_no_zone_gets_warmer() -> None:
    """Found by review: a zone that failed and was switched off had the auxiliary run for all others for ever."""
    heat_source = HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, has_aux=True, aux_error_k=9.0)
    bench = Bench(home(2, heat_source))
    cold, off = inputs(15.0), inputs(15.0, Mode.OFF)
    healthy = inputs(17.0)
    asked: list[bool] = []

    def run(*zones: ZoneInputs, minutes: int) -> int:
        asked.clear()
        for _ in range(minutes):
            made = bench.step(*zones).demand.heat_source
            assert made is not None
            asked.append(made.is_aux_on)
        return sum(asked)

    assert run(cold, off, minutes=13 * 60) > 30
    assert bench.state.zones[0].heating_monitor.is_failing
    run(cold, healthy, minutes=20)
    assert run(cold, healthy, minutes=60) == 0
    assert bench.state.zones[0].heating_monitor.is_failing
    run(off, healthy, minutes=5)
    assert not bench.state.zones[0].heating_monitor.is_failing
    assert run(off, healthy, minutes=30) == 0


@pytest.mark.parametrize("is_on_in_heating", [True, False])
@pytest.mark.parametrize("rest_s", [0.0, 600.0])
def test_the_reversing_valve_has_turned_before_the_compressor_starts(rest_s: float, *, is_on_in_heating: bool) -> None:
    """Found by review: it turned in the very switching that started the compressor."""
    heat_source = HeatSourceSettings(
        kind=HeatSourceKind.HEAT_PUMP,
        limits=ShortCycleLimits(0.0, 0.0, 6),
        changeover_s=rest_s,
        is_valve_on_in_heating=is_on_in_heating,
    )
    bench = Bench(msgspec.structs.replace(home(1, heat_source)), last=OFF)
    valve, was_on, starts = False, False, 0
    for hour in range(4):
        for _ in range(60):
            made = bench.step(
                inputs(29.0 if hour % 2 else 15.0, Mode.COOL if hour % 2 else Mode.HEAT)
            ).demand.heat_source
            assert made is not None
            is_on = made.action is not OFF
            if is_on:
                assert made.is_valve_on == valve
                assert made.is_valve_on == ((made.action is HEAT) == is_on_in_heating)
            starts += is_on and not was_on
            valve, was_on = made.is_valve_on, is_on
    assert starts == 4


def test_a_boiler_waits_for_no_reversing_valve() -> None:
    bench = Bench(home(1, HeatSourceSettings(kind=HeatSourceKind.BOILER, is_valve_on_in_heating=True)))
    assert bench.run(inputs(15.0), minutes=10).demand.zones == {"z0": HEAT}


def test_zones_take_turns_so_that_the_source_runs_on() -> None:
    heat_source = HeatSourceSettings(kind=HeatSourceKind.BOILER, limits=ShortCycleLimits(60.0, 300.0, 6))
    bench = Bench(home(2, heat_source))
    starts = {"source": 0, "zones": 0}
    turns = set()
    was = (False, False, False)
    for _ in range(600):
        # Each needs about half of the time: in turns, the source hardly ever stops.
        made = bench.step(inputs(18.6), inputs(18.9))
        on = tuple(action is HEAT for action in made.demand.zones.values())
        now = (*on, any(on))
        starts["source"] += now[2] and not was[2]
        starts["zones"] += (now[0] and not was[0]) + (now[1] and not was[1])
        turns |= {reason.split("; ")[-1] for reason in made.reasons}
        bench.state = msgspec.structs.replace(
            bench.state,
            zones=tuple(
                msgspec.structs.replace(zone, law=msgspec.structs.replace(zone.law, integral=0.0), cycle=CycleState())
                for zone in bench.state.zones
            ),
        )
        was = now  # type: ignore[assignment] # three of them
    assert "takes over from the others" in turns
    assert starts["source"] * 2 < starts["zones"]


def hand_over(
    state: CoordinatorState,
    climate: ClimateSettings,
    requests: list[ZoneRequest],
    directions: list[HvacAction],
    now_ms: int,
) -> list[HvacAction]:
    """Return the actions of zones that are off, after the hand-over."""
    zones = [
        msgspec.structs.replace(zone, direction=direction)
        for zone, direction in zip(state.zones, directions, strict=True)
    ]
    actions = [coordinator._ZoneAction(OFF, request.reason) for request in requests]
    return [each.action for each in coordinator._hand_over(state, climate, zones, requests, actions, now_ms)]


@pytest.mark.parametrize(("other", "taken"), [(OFF, COOL), (HEAT, OFF)])
def test_no_zone_takes_over_a_heat_source_that_another_needs_for_the_opposite(
    other: HvacAction, taken: HvacAction
) -> None:
    climate = home(2, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP))
    state = initial_state(climate, 0)
    rested = msgspec.structs.replace(state.zones[1], direction=COOL)
    running = msgspec.structs.replace(state.heat_source, stage1=ShortCycleState(is_on=True, changed_ms=0))
    state = msgspec.structs.replace(state, direction=COOL, zones=(state.zones[0], rested), heat_source=running)
    requests = [ZoneRequest(other, 1.0, 1.0, True, "frost"), ZoneRequest(OFF, 0.5, 0.1, False, "idle")]
    assert hand_over(state, climate, requests, [HEAT, COOL], 10**6) == [OFF, taken]


@pytest.mark.parametrize(
    ("is_ramp", "pulses", "taken"),
    [(False, -0.7, HEAT), (False, -0.9, OFF), (True, 0.0, OFF), (True, 0.4, OFF), (True, 0.6, HEAT)],
)
def test_zone_on_a_ramp_takes_over_only_for_its_owed_time(pulses: float, taken: HvacAction, *, is_ramp: bool) -> None:
    climate = home(2, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP))
    state = initial_state(climate, 0)
    running = msgspec.structs.replace(state.heat_source, stage1=ShortCycleState(is_on=True, changed_ms=0))
    requests = [ZoneRequest(OFF, 0.0, 0.0, False, "idle"), ZoneRequest(OFF, 0.5, 0.1, False, "idle")]
    owed = PiState(owed_s=pulses * climate.zones[1].law.pulse_s(0.5))
    zone = msgspec.structs.replace(state.zones[1], is_ramp=is_ramp, law=owed)
    given_state = msgspec.structs.replace(state, direction=HEAT, zones=(state.zones[0], zone), heat_source=running)
    assert hand_over(given_state, climate, requests, [HEAT] * len(requests), 10**6) == [OFF, taken]


@pytest.mark.parametrize(
    ("owed_s", "rested_s", "is_running", "taker"),
    [
        ((50.0, 90.0, 20.0), (999.0, 999.0, 999.0), True, 1),
        ((50.0, 90.0, 20.0), (999.0, 179.0, 999.0), True, 0),
        ((50.0, 90.0, 20.0), (999.0, 180.0, 999.0), True, 1),
        ((50.0, 90.0, 20.0), (99.0, 99.0, 99.0), True, None),
        ((50.0, 90.0, 20.0), (999.0, 999.0, 999.0), False, None),
    ],
)
def test_neediest_rested_zone_takes_over_a_running_source(
    owed_s: tuple[float, ...], rested_s: tuple[float, ...], is_running: bool, taker: int | None
) -> None:
    climate = home(3, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP))
    state, now_ms = initial_state(climate, 0), 10**6
    zones = tuple(
        msgspec.structs.replace(
            zone,
            relay=ShortCycleState(is_on=False, changed_ms=now_ms - round(rest_s * 1000)),
            law=msgspec.structs.replace(zone.law, owed_s=owed),
        )
        for zone, owed, rest_s in zip(state.zones, owed_s, rested_s, strict=True)
    )
    running = msgspec.structs.replace(state.heat_source, stage1=ShortCycleState(is_on=is_running, changed_ms=0))
    state = msgspec.structs.replace(state, direction=HEAT, zones=zones, heat_source=running)
    requests = [ZoneRequest(OFF, 0.5, 0.1, False, "idle")] * 3
    actions = hand_over(state, climate, requests, [HEAT] * 3, now_ms)
    assert actions == [HEAT if number == taker else OFF for number in range(3)]


@pytest.mark.parametrize(("value_c", "mode", "minutes"), [(15.0, Mode.HEAT, 6), (30.0, Mode.COOL, 11)])
def test_with_an_unknown_direction_only_cooling_waits_for_the_rest(value_c: float, mode: Mode, minutes: int) -> None:
    """A hub without its state file that crashes every nine minutes would rest for ten after each start, for ever."""
    climate = home(heat_source=HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP))
    bench = Bench(climate, last=initial_state(climate, 0).direction)
    made = bench.run(inputs(value_c, mode), minutes=minutes - 2)
    assert made.demand.zones == {"z0": OFF}
    made = bench.run(inputs(value_c, mode), minutes=2)
    assert made.demand.zones == {"z0": HEAT if mode is Mode.HEAT else COOL}


def test_heating_only_home_needs_no_rest_after_an_unknown_direction() -> None:
    assert initial_state(home(can_cool=False), 0).direction is HEAT


def test_a_late_decision_reverses_no_running_heat_source() -> None:
    """The outputs were on until now: the rest begins now, not at the last decision."""
    bench = Bench(home(2, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, limits=ShortCycleLimits(0.0, 0.0, 6))))
    assert bench.run(inputs(15.0), inputs(25.0), minutes=20).demand.zones == {"z0": HEAT, "z1": OFF}
    cool = inputs(30.0, Mode.COOL)
    assert bench.step(inputs(25.0), cool, dt_s=700.0).demand.zones == {"z0": OFF, "z1": OFF}
    assert bench.step(inputs(25.0), cool, dt_s=599.0).demand.zones == {"z0": OFF, "z1": OFF}
    assert bench.step(inputs(25.0), cool, dt_s=1.0).demand.zones == {"z0": OFF, "z1": COOL}


@pytest.mark.parametrize(
    ("mode", "value_c", "thermal_mass_c", "duty"),
    [
        (Mode.HEAT, 20.0, 17.0, 0.36),
        (Mode.HEAT, 20.0, 23.0, 0.0),
        (Mode.COOL, 26.0, 29.0, 0.36),
        (Mode.COOL, 26.0, 23.0, 0.0),
        (Mode.OFF, 20.0, 17.0, 0.0),
        (Mode.HEAT, None, 17.0, 0.0),
    ],
)
def test_cold_thermal_mass_raises_the_duty(
    mode: Mode, value_c: float | None, thermal_mass_c: float, duty: float
) -> None:
    bench = Bench(home())
    zone = msgspec.structs.replace(bench.state.zones[0], thermal_mass_c=thermal_mass_c)
    bench.state = msgspec.structs.replace(bench.state, zones=(zone,))
    made = bench.step(inputs(value_c, mode))
    assert made.requests[0].duty == pytest.approx(duty, abs=0.01)
    # They go on following the air, whatever the zone does.
    after_c = made.state.zones[0].thermal_mass_c
    assert after_c == (
        thermal_mass_c
        if value_c is None
        else pytest.approx(thermal_mass_c + (value_c - thermal_mass_c) / 300, abs=0.001)
    )


def test_a_late_decision_shortens_no_pause_between_heating_and_cooling_in_auto() -> None:
    """Its output was on until now: the radiators are as hot as they get."""
    bench = Bench(home(1, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, limits=ShortCycleLimits(0.0, 0.0, 6))))
    assert bench.run(inputs(15.0, Mode.AUTO), minutes=10).demand.zones == {"z0": HEAT}
    hot = inputs(29.0, Mode.AUTO)
    assert bench.step(hot, dt_s=2400.0).demand.zones == {"z0": OFF}
    assert bench.run(hot, minutes=29).demand.zones == {"z0": OFF}
    assert bench.run(hot, minutes=10).demand.zones == {"z0": COOL}


def test_a_decision_that_comes_hours_late_counts_as_ten_minutes() -> None:
    bench = Bench(
        home(1, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, stages=2, limits=ShortCycleLimits(0.0, 0.0, 6)))
    )
    bench.run(inputs(15.0), minutes=4)
    before = bench.state.zones[0]
    made = bench.step(inputs(15.0), dt_s=36_000.0)
    assert made.demand.heat_source is not None
    assert (made.demand.heat_source.action, made.demand.heat_source.stage) == (HEAT, 1)
    after = bench.state.zones[0]
    assert after.mean_duty - before.mean_duty == pytest.approx(600.0 / 86_400.0, rel=0.01)
    assert after.heating_monitor.on_s - before.heating_monitor.on_s == 600.0


@pytest.mark.parametrize("can_heat", [False, True])
def test_a_zone_that_has_just_changed_to_cooling_takes_over_no_heat(*, can_heat: bool) -> None:
    """Found by review: its controller was set for heating until a moment ago, and its duty is one of cooling now."""
    climate = home(2, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, limits=ShortCycleLimits(0.0, 0.0, 6)))
    heats, cools = climate.zones
    zones = (heats, msgspec.structs.replace(cools, can_heat=can_heat))
    bench = Bench(msgspec.structs.replace(climate, zones=zones))
    mild = inputs(26.5)
    assert bench.run(inputs(15.0), mild, minutes=10).demand.zones == {"z0": HEAT, "z1": OFF}
    made = bench.step(inputs(23.0), inputs(26.5, Mode.COOL), dt_s=10.0)
    assert made.requests[1].action is OFF
    assert made.requests[1].duty > pi_controller.NO_DUTY
    assert made.demand.zones == {"z0": OFF, "z1": OFF}


@pytest.mark.parametrize(
    ("mode", "runs_at_c", "idles_at_c", "limit_c", "setpoints"),
    [
        (Mode.HEAT, 15.0, 25.0, 30.0, Setpoints(31.0, 36.0)),
        (Mode.COOL, 32.0, 22.0, 16.0, Setpoints(10.0, 15.0)),
    ],
)
def test_a_room_at_its_limit_takes_over_nothing(
    mode: Mode, runs_at_c: float, idles_at_c: float, limit_c: float, setpoints: Setpoints
) -> None:
    """Found by review: between two pulses it wanted nothing, so that its limit was not looked at."""
    action = HEAT if mode is Mode.HEAT else COOL
    bench = Bench(
        home(2, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, limits=ShortCycleLimits(0.0, 0.0, 6))), last=action
    )
    zones = tuple(msgspec.structs.replace(zone, direction=action) for zone in bench.state.zones)
    bench.state = msgspec.structs.replace(bench.state, zones=zones)
    made = bench.run(inputs(runs_at_c, mode), inputs(limit_c, Mode.OFF), minutes=15)
    assert made.demand.zones == {"z0": action, "z1": OFF}
    made = bench.step(inputs(idles_at_c, mode), inputs(limit_c, mode, setpoints), dt_s=10.0)
    assert made.demand.zones == {"z0": OFF, "z1": OFF}


values = st.one_of(st.none(), st.floats(-5.0, 45.0))


def drawn_inputs(
    value_c: float | None, mode: Mode, heat_c: float, gap_k: float, apart_k: float, *, is_torn: bool, is_ramp: bool
) -> ZoneInputs:
    """Return a zone with two sensors that are apart, at a setpoint or on the way to one."""
    made = inputs(value_c, mode, Setpoints(heat_c, heat_c + gap_k), coldest_c=value_c)
    temperature = made.temperature
    if value_c is not None:
        temperature = msgspec.structs.replace(
            temperature, value_c=None if is_torn else value_c, warmest_c=value_c + apart_k
        )
    return msgspec.structs.replace(
        made, temperature=temperature, is_ramp=is_ramp, recovery_duty=0.7 if is_ramp else None
    )


zone_inputs = st.builds(
    drawn_inputs,
    values,
    st.sampled_from(Mode),
    st.floats(5.0, 25.0),
    st.floats(1.0, 10.0),
    st.sampled_from([0.0, 0.0, 4.0, 30.0]),
    is_torn=st.booleans(),
    is_ramp=st.booleans(),
)
sources = st.builds(
    lambda kind, min_on, min_off, starts, stages, aux, after_s, valve: HeatSourceSettings(
        kind=kind,
        limits=ShortCycleLimits(min_on, min_off, starts),
        stages=stages,
        has_aux=aux,
        # Soon enough to be met by sequences as short as these.
        stage2_after_s=after_s,
        aux_after_s=after_s,
        is_valve_on_in_heating=valve,
    ),
    st.sampled_from(HeatSourceKind),
    st.sampled_from([0.0, 60.0, 300.0, 900.0]),
    st.sampled_from([0.0, 60.0, 300.0, 900.0]),
    st.integers(1, 6),
    st.sampled_from([1, 2]),
    st.booleans(),
    st.sampled_from([0.0, 120.0, 900.0]),
    st.booleans(),
)


@settings(max_examples=150)
@given(
    heat_source=sources,
    steps=st.lists(
        st.tuples(
            st.lists(zone_inputs, min_size=3, max_size=3),
            st.sampled_from([1.0, 10.0, 60.0, 200.0, 700.0, 4000.0]),
            # Minimum times and pulses take more steps than hypothesis draws.
            st.integers(1, 30),
        ),
        max_size=60,
    ),
)
def test_no_sequence_of_requests_breaks_a_rule(
    heat_source: HeatSourceSettings, steps: list[tuple[list[ZoneInputs], float, int]]
) -> None:
    every, heats, cools = home(3, heat_source).zones
    able = (every, msgspec.structs.replace(heats, can_cool=False), msgspec.structs.replace(cools, can_heat=False))
    bench = Bench(ClimateSettings(zones=able, heat_source=heat_source))
    for zones, dt_s, count in steps:
        for _ in range(count):
            made = bench.step(*zones, dt_s=dt_s)
            assert all(made.reasons)


def test_a_zone_whose_sensor_has_never_reported_is_idle_at_first() -> None:
    bench = Bench(home())
    nothing = msgspec.structs.replace(inputs(None), temperature=fusion.NO_READING, coldest_c=None)
    made = bench.run(nothing, minutes=30)
    assert made.demand.zones == {"z0": OFF}
    assert made.reasons[0].startswith("idle: no usable sensor")
