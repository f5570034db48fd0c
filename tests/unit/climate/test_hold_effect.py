"""A hold takes effect or is refused with what to do first; a boost wins over eco."""

from datetime import UTC

import msgspec
import pytest

from agent.climate import effective_setpoint
from agent.climate.model import Eco, HoldKind, Mode, Setpoints, ZoneProgram
from agent.climate.requests import (
    ClimateRequest,
    EcoRequest,
    HoldRequest,
    HoldWithoutEffect,
    SetRequest,
    apply,
    check_effect,
)
from agent.foundation.clock import Now

NOW = Now("boot", 1_000_000, 1_768_392_000_000)
HOUR_MS = 3_600_000
COMFORT = ZoneProgram(setpoints=Setpoints(20.0, 24.0))
ECO = msgspec.structs.replace(COMFORT, eco=Eco(is_enabled=True, heat_limit_c=17.0, cool_limit_c=27.0))


def program_in(mode: Mode, program: ZoneProgram = COMFORT) -> ZoneProgram:
    return msgspec.structs.replace(program, mode=mode)


def requested(program: ZoneProgram, *requests: ClimateRequest) -> ZoneProgram:
    for request in requests:
        program = apply(program, request, NOW, UTC, new_id="h")
        check_effect(program, request, NOW, UTC, "bath")
    return program


def setpoints(program: ZoneProgram, *, after_ms: int = 0) -> Setpoints:
    now = Now("boot", NOW.now_ms + after_ms, (NOW.utc_ms or 0) + after_ms)
    return effective_setpoint.resolve(program, now, None).setpoints


def test_a_boost_wins_over_eco_for_its_time() -> None:
    boosted = requested(ECO, HoldRequest(kind=HoldKind.BOOST))
    assert setpoints(ECO) == Setpoints(17.0, 27.0)
    assert setpoints(boosted) == Setpoints(22.0, 27.0)  # 2 K more than without eco; cooling stays within eco.
    assert setpoints(boosted, after_ms=HOUR_MS) == Setpoints(17.0, 27.0)
    assert setpoints(requested(boosted, EcoRequest(is_enabled=False))) == Setpoints(22.0, 24.0)
    cooled = requested(program_in(Mode.AUTO, ECO), HoldRequest(kind=HoldKind.BOOST, cool_setpoint_c=21.0))
    assert setpoints(cooled) == Setpoints(17.0, 21.0)


def test_a_boost_in_eco_that_is_sent_again_does_not_add_up() -> None:
    assert setpoints(requested(ECO, *[HoldRequest(kind=HoldKind.BOOST)] * 3)).heat_setpoint_c == 22.0


@pytest.mark.parametrize(
    ("program", "request_", "words"),
    [
        (
            program_in(Mode.OFF),
            HoldRequest(kind=HoldKind.BOOST),
            "choose a mode for bath first: it is off, and no boost",
        ),
        (program_in(Mode.OFF), HoldRequest(kind=HoldKind.AWAY), "it is off, and no away"),
        (program_in(Mode.OFF), HoldRequest(heat_setpoint_c=23.0), "it is off, and no hold"),
        (program_in(Mode.COOL), HoldRequest(kind=HoldKind.BOOST), "give a cool setpoint, .* it does not heat"),
        (program_in(Mode.COOL), HoldRequest(heat_setpoint_c=23.0), "it does not heat"),
        (program_in(Mode.HEAT), HoldRequest(cool_setpoint_c=23.0), "give a heat setpoint, .* it does not cool"),
        (ECO, HoldRequest(heat_setpoint_c=21.0), r"switch eco off in bath first, or boost it: .* 17\.0 °C"),
        (program_in(Mode.COOL, ECO), HoldRequest(cool_setpoint_c=23.0), r"cools to at least 27\.0 °C"),
        (program_in(Mode.AUTO, ECO), HoldRequest(heat_setpoint_c=21.0, cool_setpoint_c=23.0), "switch eco off"),
    ],
)
def test_a_hold_that_would_change_nothing_is_refused(program: ZoneProgram, request_: HoldRequest, words: str) -> None:
    with pytest.raises(HoldWithoutEffect, match=words):
        requested(program, request_)


def test_a_hold_below_one_that_switches_off_is_refused() -> None:
    switched_off = HoldRequest(kind=HoldKind.AWAY, mode=Mode.OFF, id="away")
    with pytest.raises(HoldWithoutEffect, match="end the holds of bath first"):
        requested(COMFORT, switched_off, HoldRequest(heat_setpoint_c=22.0))


@pytest.mark.parametrize(
    ("program", "request_"),
    [
        (program_in(Mode.OFF), HoldRequest(mode=Mode.HEAT, heat_setpoint_c=22.0)),
        (COMFORT, HoldRequest(mode=Mode.OFF)),
        (COMFORT, HoldRequest(mode=Mode.COOL, heat_setpoint_c=21.0)),
        (program_in(Mode.OFF), HoldRequest(heat_setpoint_c=22.0, start="23:00")),
        (program_in(Mode.OFF), EcoRequest(is_enabled=True)),
        (program_in(Mode.COOL), HoldRequest(kind=HoldKind.AWAY)),
        (program_in(Mode.COOL), HoldRequest(kind=HoldKind.BOOST, cool_setpoint_c=21.0)),
        (ECO, HoldRequest(heat_setpoint_c=16.0)),
        (ECO, HoldRequest(kind=HoldKind.AWAY)),
        (program_in(Mode.COOL, ECO), HoldRequest(cool_setpoint_c=28.0)),
        (program_in(Mode.AUTO, ECO), HoldRequest(heat_setpoint_c=16.0, cool_setpoint_c=23.0)),
    ],
)
def test_a_hold_that_changes_something_now_or_later_is_accepted(program: ZoneProgram, request_: ClimateRequest) -> None:
    assert requested(program, request_) != program


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.COOL])
def test_who_chooses_a_mode_means_now_and_a_hold_with_another_one_ends(mode: Mode) -> None:
    held = requested(COMFORT, HoldRequest(heat_setpoint_c=22.0, mode=Mode.HEAT))
    after = requested(held, SetRequest(mode=mode))
    assert effective_setpoint.resolve(after, NOW, None).mode is mode
    assert after.holds == ()


def test_a_hold_of_the_chosen_mode_or_without_one_stays_as_do_planned_ones() -> None:
    held = requested(
        COMFORT, HoldRequest(heat_setpoint_c=22.0), HoldRequest(mode=Mode.COOL, for_s=60, id="c", start="23:00")
    )
    assert [hold.id for hold in requested(held, SetRequest(mode=Mode.HEAT)).holds] == ["h", "c"]
    assert requested(held, SetRequest(heat_setpoint_c=19.0)).holds == held.holds
