"""Slopes and bends of a zone's notes, and what those of the zones on the same heat source say about them."""

import msgspec
import pytest

from agent.climate import coordinator, heating_effect
from agent.climate.coordinator import initial_state
from agent.climate.effect_marks import (
    EffectMark,
    Marks,
    bend_k_per_h,
    may_be_short,
    mean_emitted,
    slope_k_per_h,
    step_rate_k_per_h,
)
from agent.climate.heating_effect import MARKS_MAX, HeatingEffect
from agent.climate.settings import HeatSourceKind, HeatSourceSettings
from agent.climate.zone_state import ZoneState

from .home_bench import home

LENGTH = 6
RATE_K_PER_H = 0.8


def marks(slope: float, *, before: float = 0.0, emitted: float = 1.0, emitted_before: float = 1.0) -> Marks:
    """Return notes over four hours: one slope in K/h until the last hour and a half, another one in it."""
    bend = MARKS_MAX - 1 - LENGTH
    return tuple(
        EffectMark(
            value_c := 20.0 + before * min(0, n - bend) / 4.0 + slope * max(0, n - bend) / 4.0,
            emitted if n > bend else emitted_before,
            value_c,
        )
        for n in range(MARKS_MAX)
    )


def test_slope_and_output_are_those_of_the_last_marks() -> None:
    notes = marks(-0.4, before=0.2, emitted=0.9, emitted_before=0.1)
    assert slope_k_per_h(notes, LENGTH) == pytest.approx(-0.4)
    assert mean_emitted(notes, LENGTH) == pytest.approx(0.9)


def test_a_bend_is_what_neither_the_slope_before_nor_the_output_explains() -> None:
    assert bend_k_per_h(marks(-0.5, before=-0.5), LENGTH, RATE_K_PER_H) == pytest.approx(0.0)
    assert bend_k_per_h(marks(-0.5, before=0.1), LENGTH, RATE_K_PER_H) == pytest.approx(0.6)
    # With half of the output more it should have got warmer by 0.4 K/h.
    more = marks(-0.5, before=0.1, emitted_before=0.5)
    assert bend_k_per_h(more, LENGTH, RATE_K_PER_H) == pytest.approx(1.0)


@pytest.mark.parametrize(("count", "bend"), [(8, 0.0), (9, 0.5)])
def test_a_bend_needs_half_an_hour_before_the_stretch(count: int, bend: float) -> None:
    assert bend_k_per_h(marks(-0.5)[-count:], LENGTH, RATE_K_PER_H) == pytest.approx(bend)


@pytest.mark.parametrize(
    ("others", "is_short"),
    [
        ([], False),
        ([marks(0.0, emitted=0.5)], False),
        ([marks(0.0, emitted=0.5), marks(0.0, emitted=0.8)], True),
        ([marks(-0.6)], True),
        ([marks(0.25)], True),
        ([marks(0.35)], False),
        ([marks(0.0)[-LENGTH:]], False),
    ],
    ids=["alone", "idle", "one of two draws", "falls too", "rises", "rises much", "too few notes"],
)
def test_a_zone_may_get_less_while_others_draw_unless_they_get_warmer_by_it(
    others: list[Marks], *, is_short: bool
) -> None:
    assert may_be_short(marks(-0.5), others, LENGTH, RATE_K_PER_H) is is_short


def is_failing(
    fall_k_per_h: float,
    sharing: list[Marks],
    *,
    setpoint_c: float = 20.3,
    fall_before_k_per_h: float = 0.0,
    response_s: float = 900.0,
) -> bool:
    """Return whether a room that fell like this for an hour and a half at full output, in a storm, is a fault."""
    notes = marks(-fall_k_per_h, before=-fall_before_k_per_h)
    now_c = notes[-1].value_c - fall_k_per_h / 4.0
    known = HeatingEffect(
        marks=notes, s=900.0, emitted=1.0, emitted_s=900.0, smooth_c=now_c, load=0.97, load_before=0.63,
        steepest_k_per_h=0.17, steepest_before_k_per_h=0.11, usual=0.62, rate_k_per_h=0.58, learned=300,
    )  # fmt: skip
    return heating_effect.advance(
        known,
        value_c=now_c,
        setpoint_c=setpoint_c,
        is_heated=True,
        dt_s=60.0,
        response_s=response_s,
        sharing=[HeatingEffect(marks=each) for each in sharing],
    ).is_failing


def test_a_room_that_falls_in_a_storm_while_others_draw_from_its_source_is_no_fault() -> None:
    assert is_failing(0.5, [])
    assert not is_failing(0.5, [marks(0.0)])
    # A sharp bend is none either, if the fall is not that of a zone without heat.
    assert not is_failing(0.45, [marks(0.0)], fall_before_k_per_h=-0.3)
    # It may be the source that fails, in all zones at once: then the fall is that of all the heat.
    assert is_failing(0.9, [marks(-0.9)])
    # The others get warmer by what this one's valve lets through no more.
    assert is_failing(0.5, [marks(0.6)])
    assert is_failing(0.5, [marks(0.0, emitted=0.4)])


def test_a_room_far_below_its_setpoint_is_judged_as_if_it_had_its_source_alone() -> None:
    assert is_failing(0.5, [marks(0.0)], setpoint_c=21.0)


def test_the_fall_of_a_floor_needs_no_bend() -> None:
    assert is_failing(0.35, [marks(0.0)], fall_before_k_per_h=0.35, response_s=3600.0)
    assert not is_failing(0.35, [marks(0.0)], fall_before_k_per_h=0.35)


def test_only_the_other_zones_of_a_source_that_is_switched_share_it() -> None:
    settings = home(3, HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP))
    state = initial_state(settings, 0)
    effects = [HeatingEffect(learned=n) for n in range(3)]
    state = msgspec.structs.replace(
        state, zones=tuple(with_effect(zone, effect) for zone, effect in zip(state.zones, effects, strict=True))
    )
    assert coordinator.others_effects(state, settings, 1) == (effects[0], effects[2])
    assert coordinator.others_effects(state, home(3), 1) == ()


def with_effect(zone: ZoneState, effect: HeatingEffect) -> ZoneState:
    monitor = msgspec.structs.replace(zone.heating_monitor, effect=effect)
    return msgspec.structs.replace(zone, heating_monitor=monitor)


def step(*, before: float, after: float, emitted_before: float, emitted: float) -> Marks:
    """Return notes over four hours: slopes in K/h and outputs of the two hours before a step and of those after it."""
    return tuple(
        EffectMark(
            value := 18.0 + (before if n < 9 else after) * (n - 8) / 4.0, emitted_before if n < 9 else emitted, value
        )
        for n in range(MARKS_MAX)
    )


@pytest.mark.parametrize(
    ("emitted", "after", "rate"), [(1.0, 0.9, 1.5), (0.3, 0.9, 0.0), (1.0, -0.9, -0.3)], ids=["step", "none", "fault"]
)
def test_a_step_of_the_output_shows_what_full_output_does(emitted: float, after: float, rate: float) -> None:
    notes = step(before=-0.6, after=after, emitted_before=0.0, emitted=emitted)
    assert step_rate_k_per_h(notes) == pytest.approx(rate)
    assert step_rate_k_per_h(notes[1:]) == 0.0
