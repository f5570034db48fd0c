"""Heating control without its loop: from readings and the time to the demand on all outputs. No I/O, no clock.

`service` runs it in the hub. Simulations run the same code, a year in seconds.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo

import msgspec

from agent.climate import (
    binary_sensors,
    coordinator,
    effective_setpoint,
    exercise,
    fusion,
    holds,
    outdoor,
    output_test,
    presence,
    schedule,
    sensor_probe,
    snapshot,
    stuck_relay,
    weather_compensation,
    zone_limits,
)
from agent.climate.binary_sensors import NO_BINARY_STATES, BinaryStates
from agent.climate.coordinator import ClimateDecision
from agent.climate.effective_setpoint import EffectiveSetpoint
from agent.climate.exercise import ExerciseState
from agent.climate.fusion import SensorReading, ZoneTemperature
from agent.climate.model import HEATING_MODES, DayException, Mode, Observation, Schedule, ZoneProgram
from agent.climate.notices import with_notices
from agent.climate.optimum_start import LearnedDynamics, Recovery
from agent.climate.output_test import OutputTest
from agent.climate.power_draw import NO_POWERS, Powers
from agent.climate.recovery import RecoveryPlan, UpcomingSetpoint, ZoneRecovery
from agent.climate.schedule import Segment, Timeline
from agent.climate.sensor_rhythm import SensorRhythms
from agent.climate.sensor_validation import ValidationState, sample_zone
from agent.climate.settings import ClimateSettings, ZoneSettings, with_start_goal
from agent.climate.snapshot import ClimateSnapshot
from agent.climate.zone import needs_heat
from agent.climate.zone_compensation import ZoneCompensation
from agent.climate.zone_state import PeerZone, ZoneInputs, ZoneState, of_others
from agent.foundation.clock import Now
from agent.foundation.median import median_high
from hal.interface import HvacAction
from hal.radio import PowerState

BLOCKS_AHEAD_MAX = 8
"""So many coming blocks are looked at: a schedule may rise in several steps."""

AHEAD_MS_MAX = 24 * 3_600_000
"""No recovery begins earlier than this before the setpoint that it is for."""


class ZoneController:
    """One zone: its program, what it has learned, and results that are reused until they no longer hold.

    Attributes:
        settings: Of the zone.
        program: Of the zone; set it through `ClimateController.set_program`.
        recovery_plan: Plans and follows recoveries, and learns about the zone.
        compensation: How its duty follows the weather.
        temperature: At the last step.
        effective: The setpoints in force at the last step.
        heat_setpoint_c: At the last step, the ramp of a recovery included.
        probes: What its floor and its pipes had at the last step.
        binary_states: What contacts and motion sensors said at the last step, by name.
        power: What the plug of its equipment reported last; `None` for nothing.
    """

    def __init__(self, settings: ZoneSettings, program: ZoneProgram, learned: LearnedDynamics) -> None:
        self.settings = settings
        self.program = program
        self.recovery_plan = ZoneRecovery(settings, learned)
        self.compensation = ZoneCompensation(settings, learned.weather)
        self.temperature: ZoneTemperature = fusion.NO_READING
        self.effective: EffectiveSetpoint | None = None
        self._resolved: EffectiveSetpoint | None = None
        self.heat_setpoint_c = 0.0
        self._upcoming_setpoints: tuple[UpcomingSetpoint, ...] = ()
        self._upcoming_of: tuple[Segment | None, ZoneProgram] | None = None
        self.probes = zone_limits.ProbeTemperatures()
        self.binary_states = NO_BINARY_STATES
        self.power: PowerState | None = None
        self._sensors = tuple(name for name, _ in settings.sensors)
        self._timeline: Timeline | None = None
        self._timeline_of: tuple[Schedule, tzinfo, tuple[DayException, ...]] | None = None
        self._segment: Segment | None = None
        self._index = -1
        self._effective_of: tuple[ZoneProgram, Segment | None, bool, tzinfo] | None = None

    @property
    def learned(self) -> LearnedDynamics:
        """What is learned about the zone."""
        return msgspec.structs.replace(self.recovery_plan.learned, weather=self.compensation.response)

    @learned.setter
    def learned(self, learned: LearnedDynamics) -> None:
        self.recovery_plan.learned, self.compensation = learned, ZoneCompensation(self.settings, learned.weather)

    @property
    def recovery(self) -> Recovery | None:
        """The active recovery."""
        return self.recovery_plan.active

    def timeline(self, now: Now, timezone: tzinfo) -> Timeline | None:
        """Return the timeline of the active schedule; it is built anew when a block starts."""
        active, utc_ms = self.program.active_schedule, now.utc_ms
        if active is None or utc_ms is None:
            self._timeline_of = self._segment = self._timeline = None
            return None
        segment = self._segment
        known = self._timeline_of
        exceptions = self.program.exceptions
        is_current = known is not None and known[0] is active and known[1] == timezone and known[2] == exceptions
        if not is_current or segment is None or not segment.start_utc_ms <= utc_ms < segment.end_utc_ms:
            self._timeline = schedule.build_timeline(active, utc_ms=utc_ms, timezone=timezone, exceptions=exceptions)
            self._timeline_of = active, timezone, exceptions
            self._index = self._timeline.index_at(utc_ms)
            self._segment = self._timeline.segments[self._index] if self._index >= 0 else None
        return self._timeline

    @property
    def thermometers(self) -> list[str]:
        """The names of its sensors that are neither contacts nor motion sensors, as far as these are known."""
        return [name for name in self._sensors if name not in self.binary_states]

    @property
    def detected(self) -> tuple[str, ...]:
        """What its contacts and motion sensors say, for people."""
        return binary_sensors.describe(self._sensors, self.binary_states)

    def observed(self, now: Now) -> Observation:
        """Return windows and presence in the zone, by clients and motion sensors."""
        reported = self.program.observed
        return (
            binary_sensors.observe(reported, self._sensors, self.binary_states, now) if self.binary_states else reported
        )

    def open_contact(self, now: Now) -> str:
        """Return the first contact of the zone that is open, for people; empty for none."""
        contact = binary_sensors.open_contact(self._sensors, self.binary_states) if self.binary_states else ""
        return contact or presence.open_window(self.program.observed, now)

    def resolve_setpoint(self, now: Now, timezone: tzinfo) -> EffectiveSetpoint:
        """Return the setpoints in force."""
        timeline = self.timeline(now, timezone)
        known, utc_ms = self._resolved, now.utc_ms
        key = (self.program, self._segment, utc_ms is None, timezone)
        if (
            known is None
            or self._effective_of is None
            or any(one is not other for one, other in zip(key, self._effective_of, strict=True))
            or (utc_ms is not None and known.until_utc_ms is not None and utc_ms >= known.until_utc_ms)
            or any(hold.end_boot or hold.end_utc_ms or hold.start_utc_ms for hold in self.program.holds)
        ):
            self.program = holds.tidy(self.program, now, timeline)
            known = self._resolved = effective_setpoint.resolve(self.program, now, timeline, timezone)
            self._effective_of = (self.program, self._segment, utc_ms is None, timezone)
        self.effective = presence.lower(known, self.observed(now), self.settings, now)
        return self.effective

    def plan_recovery(self, now: Now, effective: EffectiveSetpoint, dt_s: float, begun: set[int]) -> RecoveryPlan:
        """Return what the recovery for a coming block asks for; for `begun` see `ZoneRecovery.plan`."""
        ahead = presence.lower_upcoming(self._upcoming(now), self.observed(now), self.settings, now)
        plan = self.recovery_plan.plan(now, effective, ahead, value_c=self.temperature.value_c, dt_s=dt_s, begun=begun)
        self.heat_setpoint_c = plan.heat_setpoint_c
        return plan

    def learn(self, now: Now, state: ZoneState, dt_s: float) -> None:
        """Advance the model and the recovery of the zone, and learn from both.

        Args:
            now: The present instant.
            state: Of the zone, before this step.
            dt_s: Since the last step.
        """
        self.recovery_plan.learn(
            now,
            value_c=self.temperature.value_c,
            is_new=self.temperature.age_s <= dt_s,
            duty=max(state.law.integral, state.mean_duty),
            structure_c=state.thermal_mass_c,
            dt_s=dt_s,
            was_on=state.action is HvacAction.HEAT,
            level=state.level,
        )

    def _upcoming(self, now: Now) -> tuple[UpcomingSetpoint, ...]:
        """Return the heating setpoints that come next: of blocks, or at the end of a hold; bounded by eco."""
        if self.program.holds:
            return self._upcoming_after_hold(now)
        if self._upcoming_of != (self._segment, self.program):
            segments = self._timeline.segments if self._timeline is not None else ()
            eco = self.program.eco
            self._upcoming_setpoints = tuple(
                [
                    UpcomingSetpoint(
                        ahead.start_utc_ms,
                        min(ahead.block.heat_setpoint_c, eco.heat_limit_c)
                        if eco.is_enabled
                        else ahead.block.heat_setpoint_c,
                    )
                    for ahead in segments[self._index + 1 : self._index + 1 + BLOCKS_AHEAD_MAX]
                ]
            )
            self._upcoming_of = self._segment, self.program
        return self._upcoming_setpoints

    def _upcoming_after_hold(self, now: Now) -> tuple[UpcomingSetpoint, ...]:
        """Return the heating setpoint that follows those in force, if they end within a day."""
        effective, utc_ms = self.effective, now.utc_ms
        until_ms = None if effective is None else effective.until_utc_ms
        if until_ms is None or utc_ms is None or not 0 < until_ms - utc_ms <= AHEAD_MS_MAX:
            return ()
        then = Now(now.boot_id, now.now_ms + until_ms - utc_ms, until_ms)
        after = effective_setpoint.resolve(self.program, then, self._timeline)
        return (UpcomingSetpoint(until_ms, after.setpoints.heat_setpoint_c),) if after.mode in HEATING_MODES else ()


class ClimateController:
    """The whole home: readings and the time go in, the demand on the outputs comes out.

    Attributes:
        settings: Of the home.
        zones: The controllers of the zones, by id.
        state: Of the home.
        validations: The validity of each sensor, by name.
        rhythms: How each sensor reports.
        exercise: Of valves and pump.
        outdoor_c: The outdoor temperature at the last step; `None` if it is not known.
        outdoor_mean_c: Its mean of about a week; `None` before the first known one.
        outdoor_history: The outdoor temperature of some days.
        last: The last decision; `None` before the first.
    """

    def __init__(self, settings: ClimateSettings, saved: ClimateSnapshot, now: Now) -> None:
        """Restore a snapshot."""
        self.settings = settings = with_start_goal(settings)
        self.state = snapshot.restore(saved, settings, now)
        # After a reboot the age of the values is unknown.
        self.validations: dict[str, ValidationState] = dict(saved.validations) if saved.boot_id == now.boot_id else {}
        self.outdoor_c: float | None = None
        self.outdoor_mean_c = saved.outdoor_mean_c
        self.outdoor_history = weather_compensation.restore_history(saved.outdoor_history)
        self.rhythms = SensorRhythms(saved.rhythms)
        self.exercise = ExerciseState(dict(saved.exercised_utc_ms))
        self.last: ClimateDecision | None = None
        self._started_ms = now.now_ms
        is_measured, downtime_ms = snapshot.downtime_ms(saved, now)
        # The end of the last run, if the present downtime must be corrected once the time is known.
        self._ended_utc_ms = None if is_measured or saved.utc_ms is None else saved.utc_ms + downtime_ms
        self._short_runs = saved.short_runs + 1
        self.zones: dict[str, ZoneController] = {}
        for zone_settings in settings.zones:
            zone = saved.zones.get(zone_settings.zone_id)
            program = snapshot.restore_program(zone.program) if zone else snapshot.default_program(zone_settings)
            learned = zone.learned if zone else LearnedDynamics()
            self.zones[zone_settings.zone_id] = ZoneController(zone_settings, program, learned)

    def step(
        self,
        now: Now,
        readings: Mapping[str, SensorReading],
        timezone: tzinfo = UTC,
        *,
        test: OutputTest | None = None,
        binary_states: BinaryStates = NO_BINARY_STATES,
        powers: Powers = NO_POWERS,
    ) -> ClimateDecision:
        """Return the decision for now.

        Args:
            now: The present instant.
            readings: The latest reading of each sensor that has any, by name.
            timezone: Of the house.
            test: A test of the outputs, as long as it lasts.
            binary_states: What contacts and motion sensors say, by name.
            powers: What the equipment's plugs draw, by name.
        """
        self._correct_downtime(now)
        before = self.state
        dt_s = min(coordinator.DT_S_MAX, max(0.0, (now.now_ms - before.at_ms) / 1000.0))
        zones = tuple(self.zones.values())
        for zone in zones:
            zone.binary_states, zone.power = binary_states, powers.get(zone.settings.power_meter)
        in_force = [zone.resolve_setpoint(now, timezone) for zone in zones]
        self._measure(zones, in_force, readings, now.now_ms)
        self.outdoor_c = outdoor.known_outdoor_c(readings.get(self.settings.outdoor_sensor), now_ms=now.now_ms)
        self.outdoor_mean_c = outdoor.advance_mean(self.outdoor_mean_c, self.outdoor_c, dt_s)
        self.outdoor_history = history = weather_compensation.advance_history(
            self.outdoor_history, self.outdoor_c, dt_s=dt_s, utc_ms=now.utc_ms
        )
        inputs = self._build_inputs(zones, in_force, readings, now, dt_s, timezone)
        test = output_test.active(test, now.now_ms)
        decision = coordinator.decide(before, self.settings, inputs, now.now_ms, test)
        modes = [effective.mode for effective in in_force]
        self.exercise, decision = exercise.step(
            self.exercise, self.settings, before, decision, modes=set(modes), test=test, now=now, timezone=timezone
        )
        steps = zip(zones, modes, before.zones, decision.state.zones, decision.requests, strict=True)
        for zone, mode, state, after, wanted in steps:
            zone.compensation.learn(history, after, wanted, mode=mode, setpoint_c=zone.heat_setpoint_c, dt_s=dt_s)
            if after.window.is_open:
                # An open window teaches nothing about the zone.
                zone.recovery_plan.tracker.forget_night()
            else:
                zone.learn(now, state, dt_s)
        notices = [zone.recovery_plan.notice for zone in zones]
        self.state, self.last = decision.state, with_notices(decision, self.settings, notices)
        return self.last

    def _correct_downtime(self, now: Now) -> None:
        """Correct a state that was restored without the time, once the time is known."""
        if self._ended_utc_ms is None or now.utc_ms is None:
            return
        more_ms = now.utc_ms - (now.now_ms - self._started_ms) - self._ended_utc_ms
        self._ended_utc_ms = None
        if more_ms > 0:
            self.state = snapshot.extend_downtime(self.state, more_ms, self._started_ms, now.now_ms)

    def _measure(
        self,
        zones: Sequence[ZoneController],
        in_force: Sequence[EffectiveSetpoint],
        readings: Mapping[str, SensorReading],
        now_ms: int,
    ) -> None:
        """Update the temperature of each zone, and the validity of the sensors."""
        known = [zone.temperature.value_c for zone in zones]
        for i, (zone, effective) in enumerate(zip(zones, in_force, strict=True)):
            others = [value_c for j, value_c in enumerate(known) if j != i and value_c is not None]
            home_median_c = median_high(others) if others else None
            stale_s = zone.settings.stale_s
            self.rhythms.update(zone.settings.sensors, readings, stale_s=stale_s)
            samples, changed = sample_zone(
                self.validations,
                zone.settings.sensors,
                readings,
                now_ms=now_ms,
                stale_s=stale_s,
                home_median_c=home_median_c,
                allowances=self.rhythms.allowances,
            )
            self.validations |= changed
            chosen = [sample for sample in samples if sample.sensor in effective.sensors] if effective.sensors else []
            fused = fusion.fuse(chosen, stale_s=stale_s, home_median_c=home_median_c) if chosen else None
            if fused is None or fused.value_c is None:
                # No valid sensor of the active block: any other sensor of the zone is better than none.
                fused = fusion.fuse(samples, stale_s=stale_s, home_median_c=home_median_c)
            if not samples:
                fused = fusion.await_readings(zone.thermometers)
            zone.temperature = sensor_probe.exclude_dead(self.state.zones[i].sensor_probe, fused)

    def _build_inputs(
        self,
        zones: Sequence[ZoneController],
        in_force: Sequence[EffectiveSetpoint],
        readings: Mapping[str, SensorReading],
        now: Now,
        dt_s: float,
        timezone: tzinfo,
    ) -> list[ZoneInputs]:
        """Return the inputs of each zone."""
        states = self.state.zones
        coldest_c = min([known for zone in zones if (known := zone.temperature.coldest_c) is not None], default=None)
        known_c = sorted(
            [(zone.temperature.value_c, i) for i, zone in enumerate(zones) if zone.temperature.value_c is not None]
        )
        active_c = [(value_c, i) for value_c, i in known_c if in_force[i].mode is not Mode.OFF]
        needing_heat_c = [
            (value_c, i) for value_c, i in known_c if needs_heat(states[i], zones[i].settings, in_force[i], value_c)
        ]
        peers = [
            (PeerZone(value_c, need), i)
            for value_c, i in known_c
            if in_force[i].mode in HEATING_MODES and zones[i].settings.can_heat
            if (need := states[i].known_need) is not None
        ]
        is_dark = stuck_relay.is_dark(now, timezone)
        others_duties = coordinator.others_duties(self.state, self.settings)
        is_shared = coordinator.shares_source(self.settings)
        begun = {zone.recovery.due_utc_ms for zone in zones if is_shared and zone.recovery is not None}
        inputs = []
        for i, (zone, effective) in enumerate(zip(zones, in_force, strict=True)):
            plan = zone.plan_recovery(now, effective, dt_s, begun)
            zone.probes = zone_limits.known_probes(zone.settings, readings, now.now_ms)
            inputs.append(
                ZoneInputs(
                    zone.temperature,
                    effective,
                    plan.heat_setpoint_c,
                    recovery_duty=plan.duty,
                    held_duty=plan.held_duty,
                    structure_duty=plan.structure_duty,
                    is_ramp=zone.recovery is not None,
                    coldest_c=coldest_c,
                    others_c=of_others(i, known_c),
                    active_c=of_others(i, active_c),
                    needing_heat_c=of_others(i, needing_heat_c),
                    peers=of_others(i, peers),
                    others_duty=others_duties[i],
                    sharing=coordinator.others_effects(self.state, self.settings, i),
                    outdoor_c=self.outdoor_c,
                    is_dark=is_dark,
                    floor_c=zone.probes.floor_c,
                    supply_c=zone.probes.supply_c,
                    power=zone.power,
                    open_contact=zone.open_contact(now),
                    weather_duty=zone.compensation.duty(self.outdoor_history, now.utc_ms),
                )
            )
        return inputs

    def set_program(self, zone_id: str, program: ZoneProgram) -> None:
        """Put a program in force.

        Raises:
            KeyError: There is no such zone.
        """
        self.zones[zone_id].program = program

    def restore_zone(self, zone_id: str, program: ZoneProgram, learned: LearnedDynamics) -> None:
        """Put in force the program of a zone, and what was learned about it, from before the start."""
        zone = self.zones[zone_id]
        zone.program, zone.learned = snapshot.restore_program(program), learned

    def take_snapshot(self, now: Now) -> ClimateSnapshot:
        """Return what must survive a restart."""
        is_short_run = now.now_ms - self._started_ms < snapshot.SHORT_RUN_S * 1000
        taken = snapshot.take_snapshot(
            self.state,
            self.settings,
            {zone_id: zone.program for zone_id, zone in self.zones.items()},
            {zone_id: zone.learned for zone_id, zone in self.zones.items()},
            self.validations,
            self.rhythms.states,
            now,
            self._short_runs if is_short_run else 0,
        )
        return msgspec.structs.replace(
            taken,
            outdoor_mean_c=self.outdoor_mean_c,
            outdoor_history=self.outdoor_history,
            exercised_utc_ms=self.exercise.begun_utc_ms,
        )
