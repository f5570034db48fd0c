"""The recovery of one zone: when it begins, what it asks of the control law, and what it teaches. No I/O, no clock.

It owns the active recovery and what has been learned about the zone. It never decides what is in force now: that is the
work of `effective_setpoint`.
"""

import msgspec

from agent.climate import optimum_start
from agent.climate.effective_setpoint import EffectiveSetpoint, SetpointReason
from agent.climate.model import HEATING_MODES
from agent.climate.optimum_start import LEAD_S_MAX, WORTH_K, Coasting, LearnedDynamics, Recovery
from agent.climate.settings import ZoneSettings
from agent.foundation.clock import Now


class UpcomingSetpoint(msgspec.Struct, frozen=True):
    """A heating setpoint that comes into force later: since when, and what it is, bounded by eco."""

    due_utc_ms: int
    target_c: float


class RecoveryPlan(msgspec.Struct, frozen=True):
    """What a recovery asks of the control law.

    Attributes:
        heat_setpoint_c: The present heating setpoint, the ramp to the next block included.
        feed_forward: The extra duty of the ramp.
    """

    heat_setpoint_c: float
    feed_forward: float = 0.0


class ZoneRecovery:
    """Plans and follows the recoveries of one zone.

    Attributes:
        learned: About the zone.
        active: The active recovery; `None` without one.
    """

    def __init__(self, settings: ZoneSettings, learned: LearnedDynamics) -> None:
        self.learned = learned
        self.active: Recovery | None = None
        self._settings = settings
        self._unmeasured_s = 0.0
        self._coasting = Coasting()

    def plan(
        self,
        now: Now,
        effective: EffectiveSetpoint,
        upcoming: UpcomingSetpoint | None,
        *,
        value_c: float | None,
        dt_s: float,
    ) -> RecoveryPlan:
        """Return what the recovery asks for now.

        Args:
            now: The present instant.
            effective: The setpoints in force.
            upcoming: The next setpoint of the active schedule; `None` without one.
            value_c: The temperature of the zone; `None` if unknown.
            dt_s: Since the last step.
        """
        setpoint_c, utc_ms = effective.setpoints.heat_setpoint_c, now.utc_ms
        self._unmeasured_s = 0.0 if value_c is not None else self._unmeasured_s + dt_s
        if (
            utc_ms is None
            or self._unmeasured_s > self._settings.stale_s
            or effective.reason is not SetpointReason.SCHEDULE
            or not self._settings.has_optimum_start
            or effective.mode not in HEATING_MODES
        ):
            self.active = None
            return RecoveryPlan(setpoint_c)
        if self.active is not None and not _is_still_due(self.active, effective, upcoming, utc_ms):
            self.active = None
        if value_c is None:
            # A short loss of the sensor does not end a recovery.
            return RecoveryPlan(setpoint_c)
        ramp_c = self._ramp_c(effective, upcoming, value_c, utc_ms)
        is_active = self.active is not None and self.active.reached_utc_ms is None
        is_beginning = self.active is None and ramp_c > setpoint_c
        return RecoveryPlan(ramp_c, optimum_start.ramp_duty(self.learned) if is_active or is_beginning else 0.0)

    def _ramp_c(
        self, effective: EffectiveSetpoint, upcoming: UpcomingSetpoint | None, value_c: float, utc_ms: int
    ) -> float:
        """Return the setpoint of the ramp to the next block; the setpoint in force outside the ramp."""
        setpoint_c = effective.setpoints.heat_setpoint_c
        recovery = self.active
        if upcoming is None or (recovery is not None and utc_ms >= recovery.due_utc_ms):
            return setpoint_c
        due_in_ms = upcoming.due_utc_ms - utc_ms
        if due_in_ms > LEAD_S_MAX * 1000 or upcoming.target_c < setpoint_c + WORTH_K:
            return setpoint_c
        ramp_c = optimum_start.ramp_setpoint_c(self.learned, target_c=upcoming.target_c, due_in_s=due_in_ms / 1000.0)
        # Never above the cooling setpoint of the present block: heating and cooling must not compete.
        ramp_c = min(ramp_c, effective.setpoints.cool_setpoint_c - WORTH_K)
        return ramp_c if ramp_c > max(setpoint_c, value_c if recovery is None else ramp_c - 1.0) else setpoint_c

    def learn(
        self,
        now: Now,
        effective: EffectiveSetpoint | None,
        upcoming: UpcomingSetpoint | None,
        *,
        value_c: float | None,
        ramp_c: float,
        duty: float,
        dt_s: float,
        was_on: bool,
    ) -> None:
        """Advance the recovery and the coasting of the zone, and learn from both.

        Args:
            now: The present instant.
            effective: The setpoints in force; `None` before the first step.
            upcoming: As for `plan`.
            value_c: The temperature of the zone; `None` if unknown.
            ramp_c: The setpoint of the last plan.
            duty: That keeps the present temperature.
            dt_s: Since the last step.
            was_on: Whether the output heated since then.
        """
        utc_ms = now.utc_ms
        if value_c is None:
            return
        self._coasting, self.learned = optimum_start.advance_coasting(
            self._coasting, self.learned, value_c=value_c, dt_s=dt_s, is_on=was_on
        )
        if utc_ms is None or effective is None:
            return
        if ramp_c > effective.setpoints.heat_setpoint_c and upcoming is not None:
            due_utc_ms = upcoming.due_utc_ms
            if self.active is None or self.active.due_utc_ms != due_utc_ms:
                self.active = Recovery(upcoming.target_c, due_utc_ms, start_c=value_c, start_duty=duty)
        if self.active is not None:
            self.active, self.learned = optimum_start.advance_recovery(
                self.active, self.learned, value_c=value_c, utc_ms=utc_ms, dt_s=dt_s, was_on=was_on
            )


def _is_still_due(
    recovery: Recovery, effective: EffectiveSetpoint, upcoming: UpcomingSetpoint | None, utc_ms: int
) -> bool:
    """Return whether the block of a recovery is unchanged, be it ahead or in force."""
    if utc_ms >= recovery.due_utc_ms:
        return effective.setpoints.heat_setpoint_c == recovery.target_c
    return upcoming == UpcomingSetpoint(recovery.due_utc_ms, recovery.target_c)
