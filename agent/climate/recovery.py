"""The recovery of one zone: when it begins, which duty it prescribes, and what it teaches. No I/O, no clock.

It owns the active recovery and what has been learned about the zone. It never decides what is in force now: that is the
work of `effective_setpoint`.

A recovery begins when the time that full output needs, by the model of the zone, is all that is left, and a reserve for
what the model has been wrong by. From then on `recovery_steering` sets the duty, anew at each update of the model.
"""

from collections.abc import Collection, Sequence

import msgspec

from agent.climate import optimum_start, recovery_steering, zone_model
from agent.climate.effective_setpoint import EffectiveSetpoint, SetpointReason
from agent.climate.model import HEATING_MODES
from agent.climate.optimum_start import (
    LEAD_S_MAX,
    PACE_MAX,
    PACE_MIN,
    REACHED_K,
    WORTH_K,
    Coasting,
    LearnedDynamics,
    Recovery,
)
from agent.climate.settings import ZoneSettings
from agent.climate.zone_model import ZoneDynamics, ZoneEstimate
from agent.climate.zone_tracking import UPDATE_S, ZoneTracker
from agent.foundation.clock import Now

RESERVE_SPREADS = 1.5
"""The reserve of a recovery, in spreads of what the forecasts of this zone have been wrong by."""

RESERVE_SHARE_MIN = 0.25
"""The least reserve, as a share of the forecast: so much the weather changes within a night."""

COLDER_K = 3.0
"""By so much outdoors may get colder, or as much windier, until the zone is due: the lead is that under this load. It
matters where little of the output is left for a rise, as with heated floors and in storms."""

SHARED_LEAD = 1.5
"""Once a zone has begun, others on its source that are due at the same time begin up to this much earlier than alone:
what one source can give to all at once is not what it gives to each."""

START_S = UPDATE_S + 240.0
"""A recovery begins at the next update, and its output after the minimum off time."""

FAILED_K = 0.4
FAILED_ON_SHARE = 0.5
"""A recovery that ends this far below its target and asks for full output, after output for at least this share of the
time, was beyond the zone: neither an open window nor a closed valve was the reason."""

UNMEASURED_S_MAX = 1800.0
"""A longer time without a valid sensor ends a recovery."""

RECOVERABLE = frozenset({SetpointReason.SCHEDULE, SetpointReason.AWAY})
"""Setpoints that may be exceeded in time for the next ones. A hold and a boost are meant as they are."""


class UpcomingSetpoint(msgspec.Struct, frozen=True):
    """A heating setpoint that comes into force later: since when, and what it is, bounded by eco."""

    due_utc_ms: int
    target_c: float


class RecoveryPlan(msgspec.Struct, frozen=True):
    """What a recovery asks of the control law.

    Attributes:
        heat_setpoint_c: The present heating setpoint, the way to the next block included.
        duty: The duty of the recovery; `None` without one.
        held_duty: The duty that keeps the setpoint after it.
        structure_duty: The part of the duty that flows into the structure; `None` as long as no night has been learned.
    """

    heat_setpoint_c: float
    duty: float | None = None
    held_duty: float = 0.0
    structure_duty: float | None = None


class ZoneRecovery:
    """Plans and follows the recoveries of one zone.

    Attributes:
        learned: About the zone.
        active: The active recovery; `None` without one.
        notice: For people: the last recovery could not be in time, and the setback that can; empty if it could.
    """

    def __init__(self, settings: ZoneSettings, learned: LearnedDynamics) -> None:
        self.active: Recovery | None = None
        self.notice = ""
        self._settings = settings
        self._unmeasured_s = 0.0
        self._coasting = Coasting()
        self._setpoint_c: float | None = None
        self._sensors: tuple[str, ...] = ()
        self._planned_at = -1
        self._duty = self._held_duty = 0.0
        # The final rise: its forecast until that has been compared, and the time of full output since it began.
        self._is_rising = False
        self._rise_s: float | None = None
        self._risen_s = 0.0
        self.learned = learned

    @property
    def learned(self) -> LearnedDynamics:
        """What is known about the zone."""
        return self._learned

    @learned.setter
    def learned(self, learned: LearnedDynamics) -> None:
        self._learned = learned
        is_possible = zone_model.is_possible(learned.model)
        self.tracker = ZoneTracker(*((learned.model, learned.windows) if is_possible else (ZoneDynamics(), 0)))

    def plan(
        self,
        now: Now,
        effective: EffectiveSetpoint,
        upcoming: Sequence[UpcomingSetpoint],
        *,
        value_c: float | None,
        dt_s: float,
        begun: Collection[int] = (),
    ) -> RecoveryPlan:
        """Return what the recovery asks for now, and what the structure takes; for the arguments see `_plan`."""
        plan = self._plan(now, effective, upcoming, value_c=value_c, dt_s=dt_s, begun=begun)
        estimate, dynamics = self.tracker.estimate, self.tracker.dynamics
        if estimate is None or self.tracker.windows == 0:
            return plan
        structure_duty = zone_model.structure_duty(estimate, dynamics, plan.heat_setpoint_c)
        return msgspec.structs.replace(plan, structure_duty=structure_duty)

    def _plan(
        self,
        now: Now,
        effective: EffectiveSetpoint,
        upcoming: Sequence[UpcomingSetpoint],
        *,
        value_c: float | None,
        dt_s: float,
        begun: Collection[int],
    ) -> RecoveryPlan:
        """Return what the recovery asks for now.

        Args:
            now: The present instant.
            effective: The setpoints in force.
            upcoming: The next setpoints in order, of the active schedule or at the end of an away.
            value_c: The temperature of the zone; `None` if unknown.
            dt_s: Since the last step.
            begun: When the recoveries are due that zones on the same source have begun.
        """
        setpoint_c, utc_ms = effective.setpoints.heat_setpoint_c, now.utc_ms
        self._unmeasured_s = 0.0 if value_c is not None else self._unmeasured_s + dt_s
        if value_c is not None:
            if effective.sensors != self._sensors:
                self._sensors = effective.sensors
                self.tracker.change_sensors()
            elif self._setpoint_c is not None and setpoint_c < self._setpoint_c - WORTH_K:
                self.tracker.begin_window(value_c)
            self._setpoint_c = setpoint_c
        if (
            utc_ms is None
            or self._unmeasured_s > UNMEASURED_S_MAX
            or effective.reason not in RECOVERABLE
            or not self._settings.has_optimum_start
            or effective.mode not in HEATING_MODES
        ):
            self.active = None
            return RecoveryPlan(setpoint_c)
        setpoint_c = max(setpoint_c, self._setback_c_min(upcoming, utc_ms))
        if self.active is not None and not _is_still_due(self.active, effective, upcoming, utc_ms):
            self.active = None
        estimate = self.tracker.estimate
        if self.active is None and estimate is not None and self._planned_at != self.tracker.updates:
            self._begin(effective, upcoming, estimate, utc_ms, begun)
        recovery = self.active
        if recovery is None:
            self._planned_at = self.tracker.updates
            return RecoveryPlan(setpoint_c)
        if estimate is not None and self._planned_at != self.tracker.updates:
            self._steer(recovery, effective, estimate, utc_ms)
        self._planned_at = self.tracker.updates
        way_c = max(setpoint_c, _way_c(recovery, effective, utc_ms))
        if recovery.reached_utc_ms is not None and utc_ms >= recovery.due_utc_ms:
            return RecoveryPlan(way_c)
        return RecoveryPlan(way_c, self._duty, self._held_duty)

    def _setback_c_min(self, upcoming: Sequence[UpcomingSetpoint], utc_ms: int) -> float:
        """Return the lowest setpoint from which a warmer one can be reached in time; minus infinity for any."""
        limit_c = self._learned.setback_c_min
        if limit_c is None or not self._settings.has_setback_limit:
            return float("-inf")
        soon = [ahead.target_c for ahead in upcoming if ahead.due_utc_ms - utc_ms <= LEAD_S_MAX * 1000]
        return min(limit_c, max(soon) - WORTH_K) if soon else float("-inf")

    def _begin(
        self,
        effective: EffectiveSetpoint,
        upcoming: Sequence[UpcomingSetpoint],
        estimate: ZoneEstimate,
        utc_ms: int,
        begun: Collection[int],
    ) -> None:
        """Begin the recovery of the first setpoint that can only just be reached in time, if there is one."""
        dynamics, learned = self.tracker.dynamics, self._learned
        setpoint_c = effective.setpoints.heat_setpoint_c
        for ahead in upcoming:
            left_s = (ahead.due_utc_ms - utc_ms) / 1000.0
            if left_s > LEAD_S_MAX:
                return
            target_c = _bounded_target_c(ahead.target_c, effective)
            if target_c < setpoint_c + WORTH_K or estimate.felt_c >= target_c - recovery_steering.ARRIVAL_K:
                continue
            colder = zone_model.under_colder_weather(estimate, dynamics, COLDER_K)
            lead_s = zone_model.lead_s(colder, dynamics, target_c - recovery_steering.ARRIVAL_K, LEAD_S_MAX)
            reserve = 1.0 + max(RESERVE_SHARE_MIN, RESERVE_SPREADS * learned.spread)
            if ahead.due_utc_ms in begun:
                reserve *= SHARED_LEAD
            if lead_s is not None and left_s - max(0.0, learned.lag_s) > lead_s * reserve + START_S:
                continue
            self.active = Recovery(
                ahead.target_c,
                ahead.due_utc_ms,
                start_c=estimate.sensor_c,
                start_duty=max(0.0, estimate.load_k_per_h / dynamics.gain_k_per_h),
                begun_utc_ms=utc_ms,
                setback_c=setpoint_c,
                expected_on_s=recovery_steering.expected_on_s(estimate, dynamics, target_c=target_c, left_s=left_s),
            )
            self._is_rising, self._rise_s = False, None
            self._steer(self.active, effective, estimate, utc_ms)
            return

    def _steer(self, recovery: Recovery, effective: EffectiveSetpoint, estimate: ZoneEstimate, utc_ms: int) -> None:
        """Set the duty of the recovery and the one that keeps the setpoint then."""
        left_s = (recovery.due_utc_ms - utc_ms) / 1000.0
        steering = recovery_steering.steer(
            estimate,
            self.tracker.dynamics,
            target_c=_bounded_target_c(recovery.target_c, effective) if left_s > 0 else recovery.target_c,
            left_s=left_s,
            pace=min(PACE_MAX, max(PACE_MIN, self._learned.pace)),
            is_rising=self._is_rising,
            lead_s_max=LEAD_S_MAX,
        )
        self._duty, self._held_duty = steering.duty, steering.held_duty
        if not self._is_rising and steering.rise_s is not None:
            self._is_rising, self._rise_s, self._risen_s = True, steering.rise_s, 0.0

    def _note(self, recovery: Recovery, value_c: float) -> None:
        """After a recovery that failed though the output was on, limit the setback and tell it; else relax it."""
        self.notice = ""
        estimate = self.tracker.estimate
        is_heated = self._duty >= 1.0 and recovery.on_s >= FAILED_ON_SHARE * recovery.s
        is_failed = is_heated and value_c < recovery.target_c - FAILED_K
        if value_c >= recovery.target_c - REACHED_K:
            self._learned = optimum_start.relax_setback(self._learned, recovery.setback_c)
        if estimate is None or not is_failed or self.tracker.windows < optimum_start.MODEL_WINDOWS_MIN:
            return
        found_c = zone_model.recoverable_c(
            estimate,
            self.tracker.dynamics,
            setback_c=max(recovery.setback_c, self._learned.setback_c_min or recovery.setback_c),
            target_c=recovery.target_c - recovery_steering.ARRIVAL_K,
            lead_s_max=LEAD_S_MAX,
        )
        what = f"from {recovery.setback_c:.1f} °C it cannot be {recovery.target_c:.1f} °C in time in this weather"
        if found_c is None:
            self.notice = f"check the flow temperature and the size of the heating of this zone: {what}"
            return
        self._learned = msgspec.structs.replace(self._learned, setback_c_min=found_c)
        if self._settings.has_setback_limit:
            self.notice = f"its setback is {found_c:.1f} °C for now (climate.setback_limit): {what}"
        else:
            self.notice = f"set this zone back to {found_c:.1f} °C at most, or set climate.setback_limit: {what}"

    def learn(
        self,
        now: Now,
        *,
        value_c: float | None,
        is_new: bool,
        duty: float,
        structure_c: float | None,
        dt_s: float,
        was_on: bool,
        level: float = 1.0,
    ) -> None:
        """Advance the model and the recovery of the zone, and learn from both.

        Args:
            now: The present instant.
            value_c: The temperature of the zone; `None` if unknown.
            is_new: A sensor has reported since the last step.
            duty: That keeps the present temperature, as far as the control knows.
            structure_c: The temperature of its walls, as far as the control knows.
            dt_s: Since the last step.
            was_on: Whether the output heated since then.
            level: The share of full output that it gave then.
        """
        tracker, windows = self.tracker, self.tracker.windows
        tracker.observe(
            value_c=value_c,
            is_new=is_new,
            output=level if was_on else 0.0,
            duty=duty,
            structure_c=structure_c,
            dt_s=dt_s,
        )
        if tracker.windows != windows:
            self._learned = msgspec.structs.replace(self._learned, model=tracker.dynamics, windows=tracker.windows)
        if value_c is None:
            return
        self._coasting, self._learned = optimum_start.advance_coasting(
            self._coasting, self._learned, value_c=value_c, dt_s=dt_s, is_on=was_on
        )
        if self.active is not None and now.utc_ms is not None:
            recovery = self.active
            if self._duty >= 1.0:
                self._risen_s += dt_s
            self.active, self._learned = optimum_start.advance_recovery(
                self.active, self._learned, value_c=value_c, utc_ms=now.utc_ms, dt_s=dt_s, was_on=was_on
            )
            has_arrived = self.active is None or self.active.reached_utc_ms is not None
            if self._rise_s is not None and recovery.reached_utc_ms is None and has_arrived:
                self._learned = optimum_start.learn_pace(self._learned, forecast_s=self._rise_s, taken_s=self._risen_s)
                self._rise_s = None
            if self.active is None:
                tracker.end_window(was_reached=value_c >= recovery.target_c - REACHED_K)
                self._note(recovery, value_c)


def _bounded_target_c(target_c: float, effective: EffectiveSetpoint) -> float:
    """Return a target below the cooling setpoint of the present block: heating and cooling must not compete."""
    return min(target_c, effective.setpoints.cool_setpoint_c - WORTH_K)


def _way_c(recovery: Recovery, effective: EffectiveSetpoint, utc_ms: int) -> float:
    """Return the setpoint on the way: a straight line, so that a second stage helps only what falls behind."""
    whole_ms = recovery.due_utc_ms - recovery.begun_utc_ms
    share = min(1.0, (utc_ms - recovery.begun_utc_ms) / whole_ms) if whole_ms > 0 else 1.0
    target_c = recovery.target_c
    if utc_ms < recovery.due_utc_ms:
        target_c = _bounded_target_c(target_c, effective)
    return recovery.start_c + (target_c - recovery.start_c) * max(0.0, share)


def _is_still_due(
    recovery: Recovery, effective: EffectiveSetpoint, upcoming: Sequence[UpcomingSetpoint], utc_ms: int
) -> bool:
    """Return whether the block of a recovery is unchanged, be it ahead or in force; a clock set back may put it off."""
    if utc_ms >= recovery.due_utc_ms:
        return effective.setpoints.heat_setpoint_c == recovery.target_c
    if recovery.due_utc_ms - utc_ms > LEAD_S_MAX * 1000:
        return False
    return UpcomingSetpoint(recovery.due_utc_ms, recovery.target_c) in upcoming
