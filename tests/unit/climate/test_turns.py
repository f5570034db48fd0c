"""Zones that share a heat source start one after the other, unless one cannot wait."""

import msgspec
import pytest

from agent.climate import coordinator
from agent.climate.coordinator import CoordinatorState, initial_state
from agent.climate.pi_controller import FULL_DUTY, PiState
from agent.climate.settings import HeatSourceKind, HeatSourceSettings
from agent.climate.zone_state import ZoneRequest
from hal.interface import HvacAction

from .home_bench import HEAT, OFF, home

CLIMATE = home(3, HeatSourceSettings(kind=HeatSourceKind.BOILER))
PULSE_S = CLIMATE.zones[0].law.pulse_s(0.2, 0.4)
WANTS = ZoneRequest(HEAT, 0.2, 0.1, False, "heating")


def state_of(pulses: tuple[float, ...], actions: tuple[HvacAction, ...]) -> CoordinatorState:
    state = initial_state(CLIMATE, 0)
    zones = [
        msgspec.structs.replace(zone, action=action, law=PiState(owed_s=owed * PULSE_S, usual_duty=0.2))
        for zone, owed, action in zip(state.zones, pulses, actions, strict=True)
    ]
    return msgspec.structs.replace(state, zones=tuple(zones))


def turns(state: CoordinatorState, requests: list[ZoneRequest]) -> list[tuple[HvacAction, bool]]:
    """Return what each zone does, and whether it waits for its turn."""
    actions = [coordinator._ZoneAction(request.action, request.reason) for request in requests]
    made = coordinator._take_turns(state, CLIMATE, requests, actions)
    return [(each.action, "waits for its turn" in each.reason) for each in made]


@pytest.mark.parametrize(
    ("pulses", "request_", "starts"),
    [
        (1.9, WANTS, False),
        (2.1, WANTS, True),
        (1.0, msgspec.structs.replace(WANTS, is_urgent=True), True),
        (1.0, msgspec.structs.replace(WANTS, duty=FULL_DUTY), True),
    ],
    ids=["due", "overdue", "urgent", "full duty"],
)
def test_zone_waits_for_its_turn_while_another_is_on(pulses: float, request_: ZoneRequest, *, starts: bool) -> None:
    state = state_of((0.0, pulses, 0.0), (HEAT, OFF, OFF))
    made = turns(state, [WANTS, request_, ZoneRequest(OFF, 0.2, 0.0, False, "idle")])
    assert made == [(HEAT, False), (HEAT, False) if starts else (OFF, True), (OFF, False)]


@pytest.mark.parametrize(("usual_duty", "starts"), [(0.45, False), (0.55, True)])
def test_zone_does_not_wait_where_the_others_want_all_of_the_source(usual_duty: float, *, starts: bool) -> None:
    """Eight rooms on one boiler in a storm: it never stopped, and each waited for two pulses all the same."""
    state = state_of((0.0, 1.5, 0.0), (HEAT, OFF, OFF))
    zones = [
        msgspec.structs.replace(zone, law=msgspec.structs.replace(zone.law, usual_duty=usual_duty))
        for zone in state.zones
    ]
    # The length of a pulse follows from the others' duties: 1.5 pulses are owed at each.
    pulse_s = CLIMATE.zones[0].law.pulse_s(usual_duty, 2.0 * usual_duty)
    zones[1] = msgspec.structs.replace(zones[1], law=msgspec.structs.replace(zones[1].law, owed_s=1.5 * pulse_s))
    request_ = msgspec.structs.replace(WANTS, duty=usual_duty)
    made = turns(
        msgspec.structs.replace(state, zones=tuple(zones)), [request_] * 2 + [ZoneRequest(OFF, 0.2, 0.0, False, "idle")]
    )
    assert made[1] == ((HEAT, False) if starts else (OFF, True))


def test_of_several_zones_that_are_due_the_neediest_starts() -> None:
    state = state_of((1.1, 1.3, 1.2), (OFF, OFF, OFF))
    assert turns(state, [WANTS] * 3) == [(OFF, True), (HEAT, False), (OFF, True)]


def test_zones_reckon_with_what_the_others_want_only_of_a_shared_source() -> None:
    state = state_of((0.0, 0.0, 0.0), (OFF, OFF, OFF))
    assert coordinator.others_duties(state, CLIMATE) == pytest.approx([0.4, 0.4, 0.4])
    assert coordinator.others_duties(state, home(3)) == [0.0, 0.0, 0.0]
