"""A zone as a thermostat: the one form in which every API sees it. Pure, except that it reads the climate control."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from agent.climate.effective_setpoint import SetpointReason, active_holds
from agent.climate.model import Eco, Hold, Mode, Schedule
from agent.climate.optimum_start import LearnedDynamics
from agent.climate.requests import usable_modes
from hal.interface import HvacAction

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

UNDECIDED = "not decided yet"
"""The reason that a zone gives before its first decision."""


DOUBT_S = 120.0
"""A zone without a trustworthy temperature counts as offline after this time: a value that jumps is doubted until the
next one, a minute later, confirms it."""


class Thermostat(msgspec.Struct, frozen=True, kw_only=True):
    """One zone. Temperatures are in degrees Celsius, unrounded.

    Attributes:
        zone_id: Stable over restarts.
        name: For people.
        temperature_c: Measured; `None` without a trustworthy sensor.
        humidity_percent: Measured; `None` where none of its sensors measures it.
        mode: In force, a hold included.
        heat_setpoint_c: In force, bounded by eco.
        cool_setpoint_c: In force, bounded by eco.
        modes: Those that the equipment can carry out, "off" included.
        can_heat: The equipment heats.
        can_cool: The equipment cools.
        eco: Whether eco is on, and its limits.
        action: What the output does.
        is_online: Its temperature is known, or was until `DOUBT_S` ago, and its output responds.
        schedule: The name of the schedule that it follows; empty for none.
        schedules: All of them, by name.
        hold: The one that counts now; `None` while the schedule is followed.
        holds: All, planned ones included.
        setpoint_reason: Where the setpoints come from.
        label: The name of the schedule's block, or the id of the hold.
        until_utc_ms: When something else comes into force by itself; `None` for never, and while that is unknown.
        reason: Why it does what it does, for people.
        problem: What is wrong and what to do about it, for people; empty where nothing is.
        sensors: The names of its sensors, as configured.
        learned: How fast it warms and cools, as far as that has been learned.
    """

    zone_id: str
    name: str
    temperature_c: float | None
    humidity_percent: float | None
    mode: Mode
    heat_setpoint_c: float
    cool_setpoint_c: float
    modes: tuple[Mode, ...]
    can_heat: bool
    can_cool: bool
    eco: Eco
    action: HvacAction
    is_online: bool
    schedule: str
    schedules: Mapping[str, Schedule]
    hold: Hold | None
    holds: tuple[Hold, ...]
    setpoint_reason: SetpointReason
    label: str
    until_utc_ms: int | None
    reason: str
    problem: str
    sensors: tuple[str, ...]
    learned: LearnedDynamics = LearnedDynamics()


def read_thermostat(
    climate: "ClimateService", zone_id: str, humidity_percent: float | None = None, *, name: str = ""
) -> Thermostat:
    """Return the present state of a zone.

    Args:
        climate: The control.
        zone_id: One of its zones.
        humidity_percent: Measured in the zone.
        name: For people; empty for its id.

    Raises:
        KeyError: There is no such zone.
    """
    zone = climate.control.zones[zone_id]
    number = list(climate.control.zones).index(zone_id)
    now = climate.now()
    effective = zone.resolve_setpoint(now, climate.timezone())
    state, decision, settings = climate.control.state.zones[number], climate.control.last, zone.settings
    return Thermostat(
        zone_id=zone_id,
        name=name or zone_id,
        temperature_c=zone.temperature.value_c,
        humidity_percent=humidity_percent,
        mode=effective.mode,
        heat_setpoint_c=effective.setpoints.heat_setpoint_c,
        cool_setpoint_c=effective.setpoints.cool_setpoint_c,
        modes=usable_modes(can_heat=settings.can_heat, can_cool=settings.can_cool),
        can_heat=settings.can_heat,
        can_cool=settings.can_cool,
        eco=zone.program.eco,
        action=state.action,
        is_online=not climate.output_problem
        and (
            zone.temperature.value_c is not None
            or (state.lost_since_ms is not None and now.now_ms - state.lost_since_ms <= DOUBT_S * 1000)
        ),
        schedule=zone.program.schedule,
        schedules=zone.program.schedules,
        hold=next(iter(active_holds(zone.program, now)), None),
        holds=zone.program.holds,
        setpoint_reason=effective.reason,
        label=effective.label,
        until_utc_ms=effective.until_utc_ms,
        reason=decision.reasons[number] if decision else UNDECIDED,
        problem=state.problem or zone.temperature.problem or climate.output_problem,
        sensors=tuple(name for name, _ in settings.sensors),
        learned=zone.learned,
    )
