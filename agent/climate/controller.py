"""The control room without its loop: from readings and the time to what all outputs do. No I/O, no waiting, no clock.

`room` feeds it in the hub; a simulated year feeds it in seconds, with the very same code.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo

import msgspec

from agent.climate import coordinator, fusion, holds, recovery, schedule, sensor_validation, snapshot
from agent.climate.coordinator import ClimateDecision
from agent.climate.fusion import SensorSample, ZoneTemperature
from agent.climate.holds import EffectiveSetpoint, ZoneProgram
from agent.climate.model import Mode
from agent.climate.optimum_start import LEAD_S_MAX, LearnedDynamics, ramp_c, ramp_duty
from agent.climate.recovery import WORTH_K, Coasting, RecoveryProgress
from agent.climate.schedule import Schedule, Segment, Timeline
from agent.climate.sensor_loss import PeerZone
from agent.climate.sensor_validation import ValidationState
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.climate.zone import needs_heat
from agent.climate.zone_state import ZoneInputs
from agent.foundation.clock import Now
from hal.interface import HvacAction, Quality

UNLEARNED_MAX = 0.9
"""A zone that was measured for two and a half hours tells what others like it need."""


class SensorReading(msgspec.Struct, frozen=True):
    """The latest reading of a sensor."""

    value_c: float
    at_ms: int
    quality: Quality = Quality.GOOD


class ZoneController:
    """What is worked out for one zone and used until it no longer holds.

    Attributes:
        program: What the zone has been told; set it through `ClimateController.tell`.
        learned: What it has taught.
        room: Its temperature at the last step.
        in_force: What was in force at the last step.
        heat_setpoint_c: To which it was heated at the last step.
        feed_forward: The duty that a recovery needed beside that, at the last step.
        recovery: The recovery under way.
    """

    def __init__(self, settings: ZoneSettings, program: ZoneProgram, learned: LearnedDynamics) -> None:
        self.settings = settings
        self.program = program
        self.learned = learned
        self.room: ZoneTemperature = fusion.NO_READING
        self.in_force: EffectiveSetpoint | None = None
        self.heat_setpoint_c = 0.0
        self.feed_forward = 0.0
        self.recovery: RecoveryProgress | None = None
        self._unseen_s = 0.0
        self._calm = Coasting()
        self._plan: Timeline | None = None
        self._plan_of: tuple[Schedule, tzinfo] | None = None
        self._segment: Segment | None = None
        self._index = -1
        self._in_force_of: tuple[ZoneProgram, Segment | None, bool, tzinfo] | None = None

    def plan(self, now: Now, zone: tzinfo) -> Timeline | None:
        """Return the timeline of the schedule that is followed, worked out anew at each of its blocks."""
        followed, utc_ms = self.program.followed, now.utc_ms
        if followed is None or utc_ms is None:
            self._plan_of = self._segment = self._plan = None
            return None
        segment = self._segment
        is_current = self._plan_of is not None and self._plan_of[0] is followed and self._plan_of[1] == zone
        if not is_current or segment is None or not segment.start_utc_ms <= utc_ms < segment.end_utc_ms:
            self._plan = schedule.build_timeline(followed, utc_ms=utc_ms, zone=zone)
            self._plan_of = followed, zone
            self._index = self._plan.index_at(utc_ms)
            self._segment = self._plan.segments[self._index] if self._index >= 0 else None
        return self._plan

    def look(self, now: Now, zone: tzinfo) -> EffectiveSetpoint:
        """Return what is in force."""
        plan = self.plan(now, zone)
        known, utc_ms = self.in_force, now.utc_ms
        key = (self.program, self._segment, utc_ms is None, zone)
        if (
            known is None
            or self._in_force_of is None
            or any(ours is not theirs for ours, theirs in zip(key, self._in_force_of, strict=True))
            or (utc_ms is not None and known.until_utc_ms is not None and utc_ms >= known.until_utc_ms)
            or any(hold.end_boot or hold.end_utc_ms or hold.start_utc_ms for hold in self.program.holds)
        ):
            program = holds.tidied(self.program, now, plan)
            if program is not self.program:
                self.program = program
            known = self.in_force = holds.in_force(program, now, plan, zone)
            self._in_force_of = (program, self._segment, utc_ms is None, zone)
        return known

    def heat_ahead(self, now: Now, in_force: EffectiveSetpoint, dt_s: float) -> tuple[float, float]:
        """Return the heating setpoint of this moment, a coming block's ramp included, and the duty that it needs."""
        setpoint_c = in_force.setpoints.heat_setpoint_c
        value_c, utc_ms = self.room.value_c, now.utc_ms
        self._unseen_s = 0.0 if value_c is not None else self._unseen_s + dt_s
        if (
            utc_ms is None
            or self._unseen_s > self.settings.stale_s
            or in_force.why != "schedule"
            or not self.settings.has_optimum_start
            or in_force.mode not in {Mode.HEAT, Mode.AUTO}
            or self._plan is None
        ):
            self.recovery = None
            return setpoint_c, 0.0
        if self.recovery is not None and not self._is_still_due(self.recovery, in_force, utc_ms):
            self.recovery = None
        if value_c is None:
            # One reading that cannot be believed ends nothing.
            return setpoint_c, 0.0
        ramp = self._ramp_c(in_force, value_c, utc_ms)
        is_under_way = self.recovery is not None and self.recovery.recovery.reached_utc_ms is None
        is_beginning = self.recovery is None and ramp > setpoint_c
        return ramp, ramp_duty(self.learned) if is_under_way or is_beginning else 0.0

    def _ramp_c(self, in_force: EffectiveSetpoint, value_c: float, utc_ms: int) -> float:
        """Return the setpoint of the ramp to the next block; that in force where there is none yet or none any more."""
        setpoint_c = in_force.setpoints.heat_setpoint_c
        under_way = self.recovery
        if self._plan is None or (under_way is not None and utc_ms >= under_way.recovery.due_utc_ms):
            return setpoint_c
        ahead = self._ahead()
        if ahead is None or ahead.start_utc_ms - utc_ms > LEAD_S_MAX * 1000:
            return setpoint_c
        target_c = self._target_c(ahead)
        if target_c < setpoint_c + WORTH_K:
            return setpoint_c
        ramp = ramp_c(self.learned, target_c=target_c, due_in_s=(ahead.start_utc_ms - utc_ms) / 1000.0)
        # Never above the cooling setpoint of the present block: nothing may fight.
        ramp = min(ramp, in_force.setpoints.cool_setpoint_c - WORTH_K)
        return ramp if ramp > max(setpoint_c, value_c if under_way is None else ramp - 1.0) else setpoint_c

    def _ahead(self) -> Segment | None:
        """Return the next block of the schedule that is followed."""
        segments = self._plan.segments if self._plan is not None else ()
        return next(iter(segments[self._index + 1 : self._index + 2]), None)

    def _target_c(self, ahead: Segment) -> float:
        """Return to what a block is heated."""
        eco, target_c = self.program.eco, ahead.block.heat_setpoint_c
        return min(target_c, eco.heat_limit_c) if eco.is_enabled else target_c

    def _is_still_due(self, under_way: RecoveryProgress, in_force: EffectiveSetpoint, utc_ms: int) -> bool:
        """Return whether the block that a recovery is for still comes, or has come, as it was."""
        due_ms, target_c = under_way.recovery.due_utc_ms, under_way.recovery.target_c
        if utc_ms >= due_ms:
            return in_force.setpoints.heat_setpoint_c == target_c
        ahead = self._ahead()
        return ahead is not None and ahead.start_utc_ms == due_ms and self._target_c(ahead) == target_c

    def follow(self, now: Now, *, ramp: float, duty: float, dt_s: float, was_on: bool) -> None:
        """Note how a recovery goes and what the house does without heat."""
        value_c, utc_ms = self.room.value_c, now.utc_ms
        if value_c is None:
            return
        self._calm, self.learned = recovery.cooled(self._calm, self.learned, value_c=value_c, dt_s=dt_s, is_on=was_on)
        in_force = self.in_force
        if utc_ms is None or in_force is None:
            return
        if ramp > in_force.setpoints.heat_setpoint_c and (ahead := self._ahead()) is not None:
            self.recovery = recovery.coming(
                self.recovery,
                target_c=self._target_c(ahead),
                due_utc_ms=ahead.start_utc_ms,
                value_c=value_c,
                duty=duty,
            )
        if self.recovery is not None:
            self.recovery, self.learned = recovery.followed(
                self.recovery, self.learned, value_c=value_c, utc_ms=utc_ms, dt_s=dt_s, was_on=was_on
            )


def _without(zone: int, known_c: Sequence[tuple[float, int]]) -> tuple[float, ...]:
    """Return temperatures without that of one zone."""
    return tuple([value_c for value_c, number in known_c if number != zone])


class ClimateController:
    """The whole home: give it readings and the time, get what the outputs do.

    Attributes:
        zones: One for each zone, by id.
        state: Of the home.
        validations: What each sensor said last that can be, by name.
        last: The last decision; `None` before the first.
    """

    def __init__(self, settings: ClimateSettings, found: ClimateSnapshot, now: Now) -> None:
        """Take up what was kept; everything counts as just stopped."""
        self.settings = settings
        self.state = snapshot.restore(found, settings, now)
        # Of another boot nobody knows how long ago it was.
        self.validations: dict[str, ValidationState] = dict(found.validations) if found.boot_id == now.boot_id else {}
        self.last: ClimateDecision | None = None
        self._begun_ms = now.now_ms
        is_measured, away_ms = snapshot.downtime_ms(found, now)
        # What the time of day will say of the absence, once it is known.
        self._left_utc_ms = None if is_measured or found.utc_ms is None else found.utc_ms + away_ms
        self._short_lives = found.short_runs + 1
        self.zones: dict[str, ZoneController] = {}
        for zone_settings in settings.zones:
            saved = found.zones.get(zone_settings.zone_id)
            program = saved.program if saved else snapshot.default_program(zone_settings)
            self.zones[zone_settings.zone_id] = ZoneController(
                zone_settings, program, saved.learned if saved else LearnedDynamics()
            )

    def step(self, now: Now, observed: Mapping[str, SensorReading], zone: tzinfo = UTC) -> ClimateDecision:
        """Decide.

        Args:
            now: Now.
            observed: The latest reading of each sensor that has any.
            zone: The house's time zone.
        """
        self._measure_absence(now)
        before = self.state
        dt_s = min(coordinator.DT_S_MAX, max(0.0, (now.now_ms - before.at_ms) / 1000.0))
        zones = tuple(self.zones.values())
        forces = [mind.look(now, zone) for mind in zones]
        self._fuse(zones, forces, observed, now.now_ms)
        coldest = [mind.room.coldest_c for mind in zones if mind.room.coldest_c is not None]
        coldest_c = min(coldest) if coldest else None
        values = [mind.room.value_c for mind in zones]
        is_needy = [
            mind.room.value_c is not None and needs_heat(was, mind.settings, in_force, mind.room.value_c)
            for mind, in_force, was in zip(zones, forces, before.zones, strict=True)
        ]
        known_c = sorted((value, i) for i, value in enumerate(values) if value is not None)
        active_c = [(value, i) for value, i in known_c if forces[i].mode is not Mode.OFF]
        needing_heat_c = [(value, i) for value, i in known_c if is_needy[i]]
        peers = {
            i: PeerZone(value, before.zones[i].mean_duty / (1.0 - before.zones[i].unlearned_share))
            for value, i in known_c
            if forces[i].mode in {Mode.HEAT, Mode.AUTO}
            and zones[i].settings.can_heat
            and before.zones[i].unlearned_share < UNLEARNED_MAX
        }
        inputs = []
        for i, (mind, in_force) in enumerate(zip(zones, forces, strict=True)):
            ramp, feed_forward = mind.heat_ahead(now, in_force, dt_s)
            mind.heat_setpoint_c, mind.feed_forward = ramp, feed_forward
            inputs.append(
                ZoneInputs(
                    mind.room,
                    in_force,
                    ramp,
                    feed_forward,
                    is_ramp=mind.recovery is not None,
                    coldest_c=coldest_c,
                    others_c=_without(i, known_c),
                    active_c=_without(i, active_c),
                    needing_heat_c=_without(i, needing_heat_c),
                    peers=tuple([peer for number, peer in peers.items() if number != i]),
                )
            )
        made = coordinator.decide(before, self.settings, inputs, now.now_ms)
        for mind, was, wanted in zip(zones, before.zones, inputs, strict=True):
            mind.follow(
                now,
                ramp=wanted.heat_setpoint_c,
                duty=was.law.integral,
                dt_s=dt_s,
                was_on=was.action is HvacAction.HEAT,
            )
        self.state, self.last = made.state, made
        return made

    def _measure_absence(self, now: Now) -> None:
        """Correct what was taken up without the time, as soon as the time is known."""
        if self._left_utc_ms is None or now.utc_ms is None:
            return
        more_ms = now.utc_ms - (now.now_ms - self._begun_ms) - self._left_utc_ms
        self._left_utc_ms = None
        if more_ms > 0:
            self.state = snapshot.extend_downtime(self.state, more_ms, self._begun_ms, now.now_ms)

    def _fuse(
        self,
        zones: tuple[ZoneController, ...],
        forces: list[EffectiveSetpoint],
        observed: Mapping[str, SensorReading],
        now_ms: int,
    ) -> None:
        """Work out every zone's temperature."""
        known = [mind.room.value_c for mind in zones]
        for i, (mind, in_force) in enumerate(zip(zones, forces, strict=True)):
            others = sorted(value for j, value in enumerate(known) if j != i and value is not None)
            home_median_c = others[len(others) // 2] if others else None
            samples = []
            for name, weight in mind.settings.sensors:
                reading = observed.get(name)
                if reading is not None:
                    siblings = [other for other, _ in mind.settings.sensors if other != name]
                    references_c = self._witnesses_c(siblings, observed, now_ms, mind.settings.stale_s)
                    if home_median_c is not None:
                        references_c.append(home_median_c)
                    samples.append(self._sample(name, weight, reading, references_c, now_ms))
            chosen = [sample for sample in samples if sample.sensor in in_force.sensors]
            room = fusion.fuse(chosen, stale_s=mind.settings.stale_s, home_median_c=home_median_c) if chosen else None
            if room is None or room.value_c is None:
                # The sensors of the active block say nothing: all others are better than none.
                room = fusion.fuse(samples, stale_s=mind.settings.stale_s, home_median_c=home_median_c)
            mind.room = room

    def _witnesses_c(
        self, names: list[str], observed: Mapping[str, SensorReading], now_ms: int, stale_s: float
    ) -> list[float]:
        """Return what those of some sensors say that are believed and not stale."""
        said = []
        for name in names:
            believed, reading = self.validations.get(name), observed.get(name)
            if believed is None or believed.is_suspect or reading is None or reading.quality is not Quality.GOOD:
                continue
            if now_ms - believed.at_ms <= stale_s * 1000:
                said.append(believed.value_c)
        return said

    def _sample(
        self, name: str, weight: float, reading: SensorReading, references_c: list[float], now_ms: int
    ) -> SensorSample:
        """Return a reading as it counts."""
        age_s = max(0, now_ms - reading.at_ms) / 1000.0
        believed = self.validations.get(name)
        if reading.quality is Quality.GOOD and (believed is None or believed.at_ms < reading.at_ms):
            believed = sensor_validation.validate(
                believed, value_c=reading.value_c, at_ms=reading.at_ms, references_c=references_c
            )
            if believed is not None:
                self.validations[name] = believed
        doubt_c = believed.value_c if believed is not None and believed.is_suspect else None
        return SensorSample(name, reading.value_c, age_s, reading.quality, weight, doubt_c)

    def set_program(self, zone_id: str, program: ZoneProgram) -> None:
        """Put a zone's new program in force."""
        self.zones[zone_id].program = program

    def take_up(self, zone_id: str, program: ZoneProgram, learned: LearnedDynamics) -> None:
        """Put in force what a zone had been told, and had taught, before the start."""
        mind = self.zones[zone_id]
        mind.program, mind.learned = program, learned

    def to_keep(self, now: Now) -> ClimateSnapshot:
        """Return what is to be written down."""
        return snapshot.take_snapshot(
            self.state,
            self.settings,
            {zone_id: mind.program for zone_id, mind in self.zones.items()},
            {zone_id: mind.learned for zone_id, mind in self.zones.items()},
            self.validations,
            now,
            0 if now.now_ms - self._begun_ms >= snapshot.SHORT_RUN_S * 1000 else self._short_lives,
        )
