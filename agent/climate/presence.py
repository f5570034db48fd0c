"""Presence: a zone in which nobody is gets lower heating and higher cooling setpoints after a time. Pure.

A client of the local API reports who is there. Setpoints that a person has chosen for now (a hold, a boost, an away)
stay. Nothing is lowered below frost protection, and who comes back has the old setpoints at once.
"""

from math import inf

import msgspec

from agent.climate.effective_setpoint import EffectiveSetpoint, SetpointReason
from agent.climate.model import SETPOINT_C_MAX, Observation, Setpoints
from agent.climate.recovery import UpcomingSetpoint
from agent.climate.settings import ZoneSettings
from agent.foundation.clock import Now

LOWERED = frozenset({SetpointReason.SCHEDULE, SetpointReason.DEFAULT, SetpointReason.REMEMBERED})
"""The reasons for setpoints that nobody has chosen for now."""

WINDOW_S_MAX = 24 * 3600.0
"""A window that was reported open counts as open for this long: a client that has died must not leave a room cold."""

WINDOW = "the window"
"""The contact of a window that was reported, for people."""


def absent_for_s(observed: Observation, now: Now) -> float | None:
    """Return for how long nobody has been in a zone; `None` if somebody is, or if it is not known.

    What was reported before a reboot is older than any delay.
    """
    if not observed.is_absent:
        return None
    return (now.now_ms - observed.absent_ms) / 1000.0 if observed.absent_boot == now.boot_id else inf


def setback_k(observed: Observation, settings: ZoneSettings, now: Now) -> float:
    """Return by how much the setpoints of a zone are moved now; 0 while somebody is there."""
    absent_s = absent_for_s(observed, now)
    return 0.0 if absent_s is None or absent_s < settings.absence_delay_s else settings.absence_setback_k


def lower(effective: EffectiveSetpoint, observed: Observation, settings: ZoneSettings, now: Now) -> EffectiveSetpoint:
    """Return the setpoints in force in a zone, moved while nobody is there.

    Args:
        effective: Without regard to presence.
        observed: What was reported about the zone.
        settings: Of the zone.
        now: The present instant.
    """
    less_k = setback_k(observed, settings, now)
    if not less_k or effective.reason not in LOWERED:
        return effective
    heat_c, cool_c = effective.setpoints.heat_setpoint_c, effective.setpoints.cool_setpoint_c
    moved = Setpoints(
        lowered_c(heat_c, less_k, settings),
        max(cool_c, min(SETPOINT_C_MAX, cool_c + less_k)),
    )
    return msgspec.structs.replace(effective, setpoints=moved, text=f"{effective.text}, nobody there")


def lower_upcoming(
    upcoming: tuple[UpcomingSetpoint, ...], observed: Observation, settings: ZoneSettings, now: Now
) -> tuple[UpcomingSetpoint, ...]:
    """Return the setpoints to come, lowered while nobody is there: an empty zone is not heated for a block."""
    less_k = setback_k(observed, settings, now)
    if not less_k:
        return upcoming
    return tuple([UpcomingSetpoint(each.due_utc_ms, lowered_c(each.target_c, less_k, settings)) for each in upcoming])


def lowered_c(heat_c: float, less_k: float, settings: ZoneSettings) -> float:
    """Return a lowered heating setpoint: not below frost protection, and never above the one that it was."""
    return min(heat_c, max(settings.frost_c, heat_c - less_k))


def open_window(observed: Observation, now: Now) -> str:
    """Return the contact of a zone that was reported open; empty for none."""
    is_recent = now.boot_id == observed.window_boot and now.now_ms - observed.window_ms < WINDOW_S_MAX * 1000
    return WINDOW if observed.is_window_open and is_recent else ""


def observe(
    observed: Observation, now: Now, *, is_window_open: bool | None = None, is_present: bool | None = None
) -> Observation:
    """Return what is known after a report; `None` leaves a value as it is.

    Args:
        observed: Before.
        now: The present instant.
        is_window_open: A window of the zone is open.
        is_present: Somebody is in the zone, or at home. A second report of an absence does not begin it anew.
    """
    if is_window_open is not None:
        observed = msgspec.structs.replace(
            observed, is_window_open=is_window_open, window_ms=now.now_ms, window_boot=now.boot_id
        )
    if is_present is None or is_present is not observed.is_absent:
        return observed
    return msgspec.structs.replace(observed, is_absent=not is_present, absent_ms=now.now_ms, absent_boot=now.boot_id)
