"""Exercise of valves and pump in summer, so that they do not stick: which valve is open now, without heat. Pure.

See docs/decisions/0015-exercise.md. Must never ask for heat, open two valves, or stand in the way of any request.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import msgspec

from agent.climate import short_cycle_protection
from agent.climate.coordinator import ClimateDecision, CoordinatorState
from agent.climate.model import COOLING_MODES, Mode
from agent.climate.output_test import OutputTest
from agent.climate.settings import ClimateSettings, HeatSourceKind
from agent.foundation.clock import Now
from hal.interface import HvacAction

INTERVAL_MS = 7 * 86_400_000
"""A home without any demand for so long is out of its heating season; then each valve is moved this often. Makers of
thermostats move valves weekly to every second week."""

LENGTH_MS = 300_000
"""A thermal actuator opens within three to five minutes."""

HOUR = 11
"""By the clock of the house: within the hour that begins now. Twelve valves have their turn in it."""

REASON = "exercise: the valve is open for some minutes, without heat"


class ExerciseState(msgspec.Struct, frozen=True):
    """The exercise of a home.

    Attributes:
        begun_utc_ms: When each valve was last exercised, by zone. Kept in `climate.json`.
        zone_id: The zone whose valve is open for it; empty for none.
        until_ms: Its end.
    """

    begun_utc_ms: Mapping[str, int] = {}
    zone_id: str = ""
    until_ms: int = 0


def step(
    state: ExerciseState,
    settings: ClimateSettings,
    before: CoordinatorState,
    made: ClimateDecision,
    *,
    modes: Collection[Mode],
    test: OutputTest | None,
    now: Now,
    timezone: tzinfo,
) -> tuple[ExerciseState, ClimateDecision]:
    """Return the exercise now, and the decision with its valve open and the pump on.

    Args:
        state: From the last step.
        settings: Of the home.
        before: The state of the home before this step.
        made: The decision of this step, without exercise.
        modes: In force in the zones.
        test: A test of the outputs.
        now: The present instant.
        timezone: Of the house.
    """
    if settings.heat_source.kind is HeatSourceKind.NONE:
        return state, made
    able: list[str] = []
    is_resting = before.last_on_ms is None or now.now_ms - before.last_on_ms >= INTERVAL_MS
    if is_resting and test is None and COOLING_MODES.isdisjoint(modes) and _is_idle(made):
        able = _movable(settings, before, state.zone_id, now.now_ms)
    after = advance(state, able=able, now=now, timezone=timezone)
    if after.zone_id != state.zone_id:
        made = _record(made, settings, after.zone_id or state.zone_id, is_begin=bool(after.zone_id))
    return after, _open(made, settings, after.zone_id) if after.zone_id else made


def advance(state: ExerciseState, *, able: Sequence[str], now: Now, timezone: tzinfo = UTC) -> ExerciseState:
    """Return the exercise now.

    Args:
        state: Before.
        able: The zones whose valves may be open now; none while anything asks.
        now: The present instant.
        timezone: Of the house.
    """
    if state.zone_id:
        if state.zone_id in able and now.now_ms < state.until_ms:
            return state
        return ExerciseState(state.begun_utc_ms)
    utc_ms = now.utc_ms
    if not able or utc_ms is None or datetime.fromtimestamp(utc_ms / 1000, timezone).hour != HOUR:
        return state
    for zone_id in able:
        if not 0 <= utc_ms - state.begun_utc_ms.get(zone_id, -INTERVAL_MS) < INTERVAL_MS:
            begun_utc_ms = {**state.begun_utc_ms, zone_id: utc_ms}
            return ExerciseState(begun_utc_ms, zone_id, now.now_ms + LENGTH_MS)
    return state


def _is_idle(made: ClimateDecision) -> bool:
    """Return whether nothing in the home asks for anything or still runs."""
    source = made.demand.heat_source
    if source is None or source.action is not HvacAction.OFF or source.is_pump_on:
        return False
    asked = any(request.action is not HvacAction.OFF for request in made.requests)
    return not asked and all(action is HvacAction.OFF for action in made.demand.zones.values())


def _movable(settings: ClimateSettings, before: CoordinatorState, exercised: str, now_ms: int) -> list[str]:
    """Return the zones whose relays may be switched on, and the one that is on already."""
    return [
        zone.zone_id
        for zone, state in zip(settings.zones, before.zones, strict=True)
        if zone.can_heat
        and (zone.zone_id == exercised or not short_cycle_protection.wait_to_start_ms(state.relay, zone.limits, now_ms))
    ]


def _record(made: ClimateDecision, settings: ClimateSettings, zone_id: str, *, is_begin: bool) -> ClimateDecision:
    """Return a decision whose relay of a zone was moved just now: it rests before it starts for a request.

    It counts as off, for the zone itself does nothing: learning, faults and the rest of the home must see no action,
    and no minimum on time may keep the valve open while another zone is heated.
    """
    now_ms = made.state.at_ms
    zones = list(made.state.zones)
    for number, zone in enumerate(settings.zones):
        relay = zones[number].relay
        if zone.zone_id == zone_id and not relay.is_on:
            starts_ms = (*relay.starts_ms, now_ms)[-zone.limits.starts_per_hour_max :] if is_begin else relay.starts_ms
            relay = msgspec.structs.replace(relay, changed_ms=now_ms, starts_ms=starts_ms)
            zones[number] = msgspec.structs.replace(zones[number], relay=relay)
    return msgspec.structs.replace(made, state=msgspec.structs.replace(made.state, zones=tuple(zones)))


def _open(made: ClimateDecision, settings: ClimateSettings, zone_id: str) -> ClimateDecision:
    """Return a decision in which the valve of a zone is open and the pump runs, without heat."""
    source = made.demand.heat_source
    if source is None:
        return made
    reasons = [
        REASON if zone.zone_id == zone_id else reason for zone, reason in zip(settings.zones, made.reasons, strict=True)
    ]
    demand = msgspec.structs.replace(
        made.demand,
        zones={**made.demand.zones, zone_id: HvacAction.HEAT},
        heat_source=msgspec.structs.replace(source, is_pump_on=True),
    )
    return msgspec.structs.replace(made, demand=demand, reasons=tuple(reasons))
