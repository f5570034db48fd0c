"""Cycles show the rate at full output; gain, length of cycles and edges of pulses follow from it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import emitter, pi_controller
from agent.climate.emitter import CycleState, advance, forget_cycle, tune
from agent.climate.settings import Emitter, Equipment, pi_settings_for
from tests.unit.climate.single_zone_home import House, SingleZoneHome

RADIATOR = pi_settings_for(Emitter.RADIATOR, is_shared=False, min_on_s=180.0)
FLOOR = pi_settings_for(Emitter.FLOOR, is_shared=False, min_on_s=180.0)


def cycle(state: CycleState, values_c: tuple[float, ...], *, on: int, dt_s: float = 600.0) -> CycleState:
    """Return the state after a start and the values of one cycle, with the output on for the first steps."""
    for number, value_c in enumerate(values_c):
        state = advance(state, value_c=value_c, dt_s=dt_s, was_on=number < on, is_start=number == 0)
    return state


SAW = (20.0, 20.2, 20.4, 20.2)
"""On for two of four steps of ten minutes: 0.4 K up and down; 2.4 K an hour at full output."""


def learned(values_c: tuple[float, ...] = SAW, *, on: int = 2, count: int = 12, dt_s: float = 600.0) -> CycleState:
    state = CycleState()
    for _ in range(count):
        state = cycle(state, values_c, on=on, dt_s=dt_s)
    return state


def test_rate_is_the_ripple_of_a_cycle_over_the_time_that_makes_it() -> None:
    assert learned().rate_k_per_h == pytest.approx(0.4 / (0.25 * 2400.0 / 3600.0))


def test_rate_is_unknown_until_three_cycles_have_shown_it() -> None:
    assert [learned(count=count).known_rate_k_per_h is not None for count in (3, 4)] == [False, True]


def test_drift_is_no_ripple() -> None:
    state, offset_k = CycleState(), 0.0
    for _ in range(6):
        state = cycle(state, tuple(offset_k + value_c for value_c in (20.0, 20.3, 20.4, 20.3)), on=2)
        offset_k += 0.3
    assert state.rate_k_per_h == pytest.approx((0.4 - 0.3) / (0.25 * 2400.0 / 3600.0))


@pytest.mark.parametrize(
    ("values_c", "on", "dt_s"),
    [
        ((20.0, 22.0), 1, 200.0),
        ((20.0, 20.2, 20.4, 20.2), 4, 600.0),
        ((20.0, 21.0, 25.0, 21.0), 2, 4 * 3600.0),
    ],
    ids=["too short", "always on", "too long"],
)
def test_odd_cycles_teach_nothing(values_c: tuple[float, ...], on: int, dt_s: float) -> None:
    assert learned(values_c, on=on, dt_s=dt_s).cycles == 0


def test_cycle_that_ends_far_from_its_beginning_teaches_nothing() -> None:
    state = cycle(CycleState(), SAW, on=2)
    assert advance(state, value_c=20.7, dt_s=600.0, was_on=True, is_start=True).cycles == 0


def test_forgotten_cycle_teaches_nothing_and_keeps_what_was_learned() -> None:
    state = forget_cycle(cycle(learned(), (20.0, 29.0), on=1))
    assert advance(state, value_c=None, dt_s=60.0, was_on=True, is_start=True) == state
    assert state == CycleState(rate_k_per_h=state.rate_k_per_h, cycles=10, cycle_s=state.cycle_s)
    assert cycle(state, SAW, on=2).rate_k_per_h == state.rate_k_per_h


def test_settings_remain_until_something_was_learned() -> None:
    assert tune(RADIATOR, None, 0.3) is RADIATOR
    assert tune(RADIATOR, 3.0, None) is RADIATOR


def test_gain_falls_with_the_ripple() -> None:
    gains = [tune(RADIATOR, rate, 0.5).gain_per_k for rate in (0.5, 3.0, 6.0, 40.0)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] == emitter.GAIN_PER_K_MAX
    assert gains[-1] == emitter.GAIN_PER_K_MIN
    assert gains[1] == pytest.approx(emitter.GAIN_RIPPLE / (3.0 * 0.25 * 2400.0 / 3600.0))


def test_room_with_a_large_ripple_is_not_heated_in_pulses_of_full_output() -> None:
    """A bathroom that moves by 3 K in each cycle was far from its setpoint in each, and swung by as much."""
    assert tune(RADIATOR, 1.0, 0.5).ramp_gain_per_k == pytest.approx(0.8)
    assert tune(RADIATOR, 6.0, 0.5).ramp_gain_per_k == pytest.approx(emitter.FAR_GAIN_RIPPLE / 1.0)
    assert tune(RADIATOR, 12.0, 0.5).ramp_gain_per_k == pytest.approx(emitter.FAR_GAIN_RIPPLE / 2.0)


def test_fast_rooms_get_shorter_cycles_within_bounds() -> None:
    assert tune(RADIATOR, 6.0, 0.5).cycle_s == RADIATOR.cycle_s
    assert tune(RADIATOR, 20.0, 0.5).cycle_s == pytest.approx(2.0 / (20.0 * 0.25) * 3600.0)
    assert tune(RADIATOR, 40.0, 0.5).cycle_s == RADIATOR.cycle_s / 3.0


def test_a_sensor_that_does_not_show_the_ripple_lengthens_no_cycle() -> None:
    assert tune(RADIATOR, 0.1, 0.5).cycle_s == RADIATOR.cycle_s


def test_radiators_that_are_configured_as_a_floor_get_cycles_of_their_own() -> None:
    """Found outside: radiators with the settings of a floor lost the whole gain."""
    assert tune(FLOOR, 0.3, 0.5).cycle_s == FLOOR.cycle_s
    assert tune(FLOOR, 6.0, 0.5).cycle_s == pytest.approx(0.6 / (6.0 * 0.25) * 3600.0)


def test_zones_in_turns_have_shorter_pulses_less_ripple_and_so_a_higher_gain() -> None:
    """Two floors on one boiler followed a storm with the gain of cycles three times as long as theirs."""
    alone, shared = tune(FLOOR, 0.6, 0.5), tune(FLOOR, 0.6, 0.5, others_duty=0.6)
    ripple_k = 0.6 * 2.0 * FLOOR.pulse_s_min / 3600.0
    assert shared.gain_per_k == pytest.approx(min(emitter.GAIN_PER_K_MAX, emitter.GAIN_RIPPLE / ripple_k))
    assert shared.gain_per_k > 2.0 * alone.gain_per_k


def test_edges_move_by_the_same_share_of_a_pulse_for_each_ripple_and_less_where_zones_take_turns() -> None:
    tuned = tune(RADIATOR, 3.0, 0.5)
    ripple_k = 3.0 * 0.25 * 2400.0 / 3600.0
    assert tuned.edge_s_per_k * ripple_k == pytest.approx(RADIATOR.edge_pulses * tuned.pulse_s(0.5))
    shared = tune(RADIATOR, 3.0, 0.5, others_duty=0.2)
    ripple_k = 3.0 * 2.0 * RADIATOR.pulse_s(0.5, 0.2) / 3600.0
    assert shared.edge_s_per_k * ripple_k == pytest.approx(0.3 * RADIATOR.edge_pulses * tuned.pulse_s(0.5, 0.2))


def test_cooling_begins_a_share_of_its_ripple_above_the_setpoint_and_heating_at_any_error() -> None:
    """Found on the houses: a split unit cooled rooms in the evening that the night cooled on, to 1.2 K below."""
    assert tune(RADIATOR, 3.0, 0.5).start_k == RADIATOR.start_k == pi_controller.NO_START_K
    ripple_k = 0.6 * 0.25 * 2400.0 / 3600.0
    cooled = tune(RADIATOR, 0.6, 0.5, is_cooling=True)
    assert cooled.start_k == pytest.approx(emitter.COOLING_START_RIPPLE * ripple_k)
    assert tune(RADIATOR, 30.0, 0.5, is_cooling=True).start_k == emitter.COOLING_START_K_MAX


def shares(settings: pi_controller.PiSettings, *, on: int = 2, dt_s: float = 600.0, count: int = 40) -> list[float]:
    """Return the share of a pulse after each cycle, at the duty that the cycles have."""
    state, known = CycleState(), []
    for _ in range(count):
        for number, value_c in enumerate(SAW):
            state = advance(
                state,
                value_c=value_c,
                dt_s=dt_s,
                was_on=number < on,
                is_start=number == 0,
                settings=settings,
                usual_duty=on / len(SAW),
            )
        known.append(state.pulse_share)
    return known


def shorten(state: CycleState, *, change_k: float | None = None) -> pi_controller.PiSettings:
    return emitter.shorten_pulses(RADIATOR, state, duty=0.5, change_k=change_k)


def test_pulses_are_shortened_until_cycles_are_as_long_as_the_goal_for_starts() -> None:
    """Found on the houses: lag and sensors that report changes made cycles of 40 min last 60 to 73."""
    longer = shares(RADIATOR, dt_s=720.0)
    assert longer[0] == 1.0
    assert longer == sorted(longer, reverse=True)
    shortened = shorten(CycleState(pulse_share=0.8))
    assert shortened.pulse_s(0.5) == pytest.approx(0.8 * RADIATOR.pulse_s(0.5))
    assert shortened.pulse_s(0.05) == pytest.approx(0.8 * RADIATOR.pulse_s(0.05))
    assert shares(RADIATOR, dt_s=6000.0)[-1] == pytest.approx(emitter.PULSE_SHARE_MIN, abs=0.02)
    assert shorten(CycleState(pulse_share=0.0)).cycle_s == RADIATOR.cycle_s / 2.0


@pytest.mark.parametrize(
    ("change_k", "rate_k_per_h", "share"),
    [(None, 2.4, 0.5), (0.1, 2.4, 0.5), (0.15, 2.4, 0.75), (0.2, 2.4, 1.0), (0.5, 2.4, 1.0), (0.1, 0.0, 1.0)],
)
def test_pulses_are_not_shortened_until_a_sensor_that_reports_on_change_is_silent(
    change_k: float | None, rate_k_per_h: float, share: float
) -> None:
    """A pulse of 300 s moves the room by 0.4 K up and down. Otherwise dead sensors were found after up to 305 min."""
    state = CycleState(rate_k_per_h=rate_k_per_h, pulse_share=0.5)
    assert shorten(state, change_k=change_k).cycle_s == pytest.approx(share * RADIATOR.cycle_s)


def test_pulses_are_not_lengthened_and_become_whole_again() -> None:
    assert shares(RADIATOR, dt_s=500.0)[-1] == 1.0
    assert shorten(CycleState()) is RADIATOR
    state = msgspec.structs.replace(learned(), pulse_share=0.5, s=1200.0, on_s=600.0, start_c=20.0)
    after = advance(
        state, value_c=20.0, dt_s=10.0, was_on=True, is_start=True, settings=RADIATOR, usual_duty=0.5
    ).pulse_share
    assert after == pytest.approx(0.5 + (1.0 - 0.5) / emitter.CYCLES_MEAN)


def test_what_other_rules_make_says_nothing_about_pulses() -> None:
    """A minimum on time makes its own cycles; those of a floor are made by the error, and in turns by other zones."""
    assert shares(msgspec.structs.replace(RADIATOR, min_on_s=1500.0), dt_s=720.0)[-1] == 1.0
    assert shares(FLOOR, dt_s=6 * 3600.0 / 2.0)[-1] == 1.0
    assert learned(dt_s=720.0).pulse_share == 1.0


def test_short_cycles_make_pulses_whole_again_though_they_show_no_rate() -> None:
    state = CycleState(s=500.0, on_s=250.0, start_c=20.0, low_c=20.0, high_c=21.0, pulse_share=0.5)
    after = advance(state, value_c=20.0, dt_s=10.0, was_on=True, is_start=True, settings=RADIATOR, usual_duty=0.5)
    assert (after.pulse_share > 0.5, after.cycles) == (True, 0)


def test_zone_starts_as_often_as_its_goal_though_its_emitter_lags() -> None:
    home = SingleZoneHome(House(20.0, 5000.0, slab_j_per_k=6e5))
    home.run(36)
    cycle_state = home.control.state.zones[0].cycle
    assert cycle_state.pulse_share < 1.0
    assert cycle_state.cycle_s == pytest.approx(RADIATOR.cycle_s, rel=0.06)


@pytest.mark.parametrize(
    ("kind", "rate", "cycle_s", "step_k", "is_told"),
    [
        ("floor", 1.2, 3000.0, 0.1, True),
        ("floor", 0.9, 3000.0, 0.1, False),
        ("floor", 1.2, 4500.0, 0.1, False),
        ("floor", 1.2, 0.0, 0.1, False),
        ("floor", 1.2, 3000.0, 0.5, False),
        ("radiator", 12.1, 2400.0, 0.1, True),
        ("radiator", 12.0, 2400.0, 0.1, False),
        ("air", 1.4, 900.0, 0.1, True),
        ("air", 1.5, 900.0, 0.1, False),
        ("", 1.2, 3000.0, 0.1, False),
    ],
)
def test_wrong_emitter_is_told_with_the_remedy(
    kind: str, rate: float, cycle_s: float, step_k: float, *, is_told: bool
) -> None:
    state = CycleState(rate_k_per_h=rate, cycles=emitter.CYCLES_MEAN, cycle_s=cycle_s)
    text = emitter.wrong_setting(kind, state, step_k=step_k)
    assert text.startswith(f"check `emitter` in the configuration ({kind})") is is_told
    assert bool(text) is is_told
    few = msgspec.structs.replace(state, cycles=emitter.CYCLES_MEAN - 1)
    assert not emitter.wrong_setting(kind, few, step_k=step_k)


@pytest.mark.parametrize(
    ("slab_j_per_k", "kind", "text"),
    [
        (6e4, Emitter.FLOOR, "check `emitter` in the configuration (floor): this zone warms like radiators or air"),
        pytest.param(
            6e4,
            Emitter.AIR,
            "check `emitter` in the configuration (air): this zone warms like radiators or a floor",
            marks=pytest.mark.no_cover,
        ),
        pytest.param(6e4, Emitter.RADIATOR, "", marks=pytest.mark.no_cover),
        pytest.param(8e6, Emitter.FLOOR, "", marks=pytest.mark.no_cover),
    ],
)
def test_wrong_emitter_of_a_house_is_in_the_reason_of_its_zone(slab_j_per_k: float, kind: Emitter, text: str) -> None:
    home = SingleZoneHome(House(20.0, 5000.0, slab_j_per_k=slab_j_per_k), kind)
    home.run(72)
    home.restart()
    home.run(0.1)
    assert ("check `emitter`" in home.reason) is bool(text)
    assert text in home.reason


def test_length_of_cycles_is_learned_with_the_rate_and_kept() -> None:
    state = learned()
    assert state.cycle_s == pytest.approx(2400.0)
    assert forget_cycle(state).cycle_s == state.cycle_s
    assert advance(learned(count=3), value_c=20.0, dt_s=13 * 3600.0, was_on=False, is_start=False).cycle_s > 0.0


@given(
    st.lists(st.tuples(st.floats(-30, 50), st.floats(0, 600), st.booleans(), st.booleans()), max_size=80),
    st.sampled_from(list(Emitter)),
    st.sampled_from([None, *Equipment]),
    st.floats(0.0, 1.0),
)
def test_settings_are_bounded_for_any_history(
    steps: list[tuple[float, float, bool, bool]], kind: Emitter, equipment: Equipment | None, duty: float
) -> None:
    settings = pi_settings_for(kind, is_shared=False, min_on_s=0.0, equipment=equipment)
    state = CycleState()
    for value_c, dt_s, was_on, is_start in steps:
        state = advance(
            state,
            value_c=value_c,
            dt_s=dt_s,
            was_on=was_on,
            is_start=is_start,
            settings=settings,
            usual_duty=duty,
        )
        assert state.cycles <= emitter.CYCLES_MEAN
        assert emitter.PULSE_SHARE_MIN <= state.pulse_share <= 1.0
        assert state.s is None or state.s <= emitter.CYCLE_S_MAX + 600.0
    tuned = tune(settings, state.known_rate_k_per_h, duty)
    assert min(settings.cycle_s / 3.0, emitter.CYCLE_SHORT_S) - 1e-6 <= tuned.cycle_s <= settings.cycle_s
    assert 0.05 <= tuned.gain_per_k <= 0.8
    assert tuned.edge_s_per_k >= 0.0


def test_learned_cycles_survive_the_disk() -> None:
    state = learned()
    assert msgspec.json.decode(msgspec.json.encode(state), type=CycleState) == state
