"""Finds out whether a silent sensor is dead: changes the duty, up and down, and watches for its report. Pure.

A sensor that reports on change is silent in a steady room, and silent when it is dead. What tells them apart is heat: a
room that gets more than what keeps its temperature gets warmer, one that gets less gets cooler, and a sensor that works
must report that. So after an unusual silence the duty moves away from what keeps the temperature, in turns: up until
the air must have moved by what a report takes, then down by as much. Either the sensor reports (the room is then warmer
or cooler by its threshold, and the control law goes on from there), or it is dead.

Weather, sun and people can hide one of the two: a room that is heated more while the sun goes keeps its temperature. So
they make the other one all the larger, and only a sensor that is silent in both is dead. By how much the air must have
moved says `heat_trace`, in a unit of its own; what that is in the room (the size of the emitter, the mass of the house,
the lag of the sensor) is learned from what each report has needed. A report after a silence in which the sensor was
dead teaches nothing: it differs from the one before by more than a threshold.

A room that cools because its sensor is dead is the worst that can happen. So the duty moves up first, and a room that
does not know whether it is warm is heated as much as it is not.
"""

import msgspec

from agent.climate.fusion import ZoneTemperature
from agent.climate.heat_trace import FULL_K, HeatTrace
from agent.climate.heating_effect import in_bounds

FIRST_CHANGE = 0.5
"""In the first turn the duty changes by this much: most sensors that work answer to it."""

CHANGE = 2.0
"""Then by this much: to full output, or to none. Less is lost in the pulses of the law, which owe and are owed for
hours, and a room drifts away by kelvins meanwhile; a turn ends before it is too warm or too cold."""

PATIENT_S = 3600.0
PATIENT_FACTOR = 2.5
PATIENT_DUTY = 0.85
"""Heat tells little about a floor, and about a room whose equipment is on for more than this share of the day: there
the probe begins so much later, all its turns are like the first one, and it needs so many times the swing."""

ABOVE_K = 0.3
"""A report this far above the setpoint: less heat is the right answer, and comes first."""

TURN_S_MAX = 5400.0
IDLE_TURN_S = 1800.0
IDLE_SHARE = 0.25
TURN_RESPONSE_S = 900.0
"""A turn with an emitter that answers within `TURN_RESPONSE_S` (longer with a slower one) ends after this time, and
after `IDLE_TURN_S` if it has moved less than this share of the limit: equipment that always runs heats no more."""

BOTH_TURNS = 2
"""One with more heat and one with less."""

CHANGES_MIN = 4.0
"""A sensor that works is silent while the air moves within a threshold around its last report: by twice the threshold.
What `heat_trace` says may be twice as much as that, where a sensor in a corner follows its room over half an hour."""

NEEDED_FACTOR = 1.3
"""A sensor that reported after a swing may need this many times as much in worse weather."""

FIRST_CHANGE_K = 0.5
CHANGE_K_MIN, CHANGE_K_MAX = 0.1, 1.0
CHANGE_WEIGHT = 0.125
"""The threshold of a sensor is the mean change between its last reports, within these bounds."""

REVIVED_CHANGES = 2.0
"""A report that differs from the one before by more thresholds than this was not brought by heat: the sensor was dead,
or reports were lost."""

SCALE_K = 0.3
SCALE_MAX = 10.0
SCALE_WEIGHT, SCALE_WEIGHT_DOWN = 1 / 16, 1 / 4
"""Over a rise of the trace by so much the change of the value shows how strong the equipment is: the scale follows
slowly, and sooner downwards, as the sun may have helped. Equipment that heats a room by kelvins within a turn moves it
by much more than a report takes."""

HALF_LIFE_S = 7 * 24 * 3600.0
"""What reports of the last weeks needed counts; what one strange day needed is forgotten."""

WARM_UP_S = 12 * 3600.0
"""Before this walls take heat that moves no air. What reports need is learned from then on, and counts after as long
again."""

UNKNOWN_K = 4.0
"""Until then: a swing that every sensor reports."""

OBSERVED_S_MIN = 72 * 3600.0
NEW_FACTOR = 1.5
"""Until three days were observed the room has not shown much of what it may need."""


class SensorProbe(msgspec.Struct, frozen=True):
    """The probe of a zone's sensors. Kept in `climate.json`.

    Attributes:
        is_dead: The sensors did not report in spite of it. Only a report ends that.
        needed_k: The swing, up and down, after which they reported before; in the unit of `heat_trace`.
        change_k: The change that they report.
        observed_s: For how long that was observed, up to `OBSERVED_S_MIN`.
        age_s: The age of the last report.
        value_c: Its value.
        low_k: The lowest one since then.
        high_k: The highest one.
        rise_k: The largest rise since then.
        fall_k: The largest fall.
        turn_k: The trace from which the present turn moves it.
        turn_s: How long it has lasted.
        turns: How many came before it in this silence.
        is_upward: It is one with more heat.
        scale: By how many kelvins the room moves, at least, when the trace moves by one; never below 1.
        from_c: The value at the report from which the present rise of the trace began; `None` before the first one.
        from_k: The trace then.
        needed_s: Of earlier releases, which learned seconds of full output; kept for them.
    """

    is_dead: bool = False
    needed_k: float = 0.0
    change_k: float = FIRST_CHANGE_K
    observed_s: float = 0.0
    age_s: float = 0.0
    value_c: float = 0.0
    low_k: float = 0.0
    high_k: float = 0.0
    rise_k: float = 0.0
    fall_k: float = 0.0
    turn_k: float = 0.0
    turn_s: float = 0.0
    turns: int = 0
    is_upward: bool = True
    scale: float = 1.0
    from_c: float | None = None
    from_k: float = 0.0
    needed_s: float = 0.0

    def restored(self) -> "SensorProbe":
        """Return it after a restart: what a damaged file says of the sensor is kept in bounds."""
        return msgspec.structs.replace(
            self,
            needed_k=in_bounds(self.needed_k, 2.0 * FULL_K),
            change_k=min(CHANGE_K_MAX, max(CHANGE_K_MIN, self.change_k)),
            observed_s=in_bounds(self.observed_s, OBSERVED_S_MIN),
            scale=min(SCALE_MAX, max(1.0, self.scale)),
            # The trace begins anew.
            from_c=None,
        )

    def duty_change(self, *, is_patient: bool) -> float:
        """Return by how much the present turn changes the duty."""
        change = CHANGE if self.turns and not is_patient else FIRST_CHANGE
        return change if self.is_upward else -change

    @property
    def has_risen(self) -> bool:
        """Whether the heat of a turn was so much that a sensor that works should have reported it."""
        return self.rise_k >= self.limit_k

    @property
    def swing_k(self) -> float:
        """By how much the value must have gone up and down since the last report."""
        return min(self.rise_k, self.fall_k)

    @property
    def limit_k(self) -> float:
        """The swing after which a sensor that has not reported is dead."""
        if self.observed_s < 2.0 * WARM_UP_S:
            return UNKNOWN_K
        limit_k = max(CHANGES_MIN * self.change_k / self.scale, NEEDED_FACTOR * self.needed_k)
        return limit_k if self.observed_s >= OBSERVED_S_MIN else NEW_FACTOR * limit_k


def may_heat(*, quiet_for_s: float, error_k: float, law_duty: float, cools_k_per_h: float) -> bool:
    """Return whether a turn may heat more: not a room that needs no heat, as long as it cannot have cooled so far.

    Args:
        quiet_for_s: For how long the silence has been unusual.
        error_k: The distance from the setpoint at the last report, positive if heat is needed.
        law_duty: The duty that keeps the temperature.
        cools_k_per_h: A home cools no faster.
    """
    return law_duty > 0.0 or error_k > -ABOVE_K or error_k + quiet_for_s / 3600.0 * cools_k_per_h > 0.0


def advance(
    probe: SensorProbe,
    trace: HeatTrace,
    *,
    age_s: float,
    value_c: float,
    is_quiet: bool,
    error_k: float,
    may_heat: bool,
    is_patient: bool,
    dt_s: float,
    response_s: float,
    turn_s_min: float = 0.0,
) -> SensorProbe:
    """Return the probe after some time.

    Args:
        probe: Before.
        trace: What the heat does now.
        age_s: The age of the last report.
        value_c: Its value.
        is_quiet: The silence is unusual.
        error_k: The distance from the setpoint at the last report, positive if heat is needed.
        may_heat: See the function.
        is_patient: See `PATIENT_FACTOR`.
        dt_s: The time.
        response_s: The time in which the emitter shows whether it works.
        turn_s_min: The shortest turn. With one, no sensor is dead before a turn up and one down are over.
    """
    now_k = trace.sensor_k
    observed_s = min(OBSERVED_S_MIN, probe.observed_s + dt_s)
    if age_s < probe.age_s + dt_s / 2.0:
        return _learn(probe, now_k, age_s=age_s, value_c=value_c, observed_s=observed_s)
    if probe.is_dead:
        return msgspec.structs.replace(probe, age_s=age_s)
    low_k, high_k = min(probe.low_k, now_k), max(probe.high_k, now_k)
    after = msgspec.structs.replace(
        probe,
        needed_k=probe.needed_k * (1.0 - min(1.0, dt_s / HALF_LIFE_S)),
        observed_s=observed_s,
        age_s=age_s,
        low_k=low_k,
        high_k=high_k,
        rise_k=max(probe.rise_k, now_k - low_k),
        fall_k=max(probe.fall_k, high_k - now_k),
    )
    if not is_quiet:
        return msgspec.structs.replace(after, turn_k=now_k, turn_s=0.0, turns=0, is_upward=error_k > -ABOVE_K)
    limit_k = after.limit_k * (PATIENT_FACTOR if is_patient else 1.0)
    if after.swing_k >= limit_k and (turn_s_min <= 0.0 or after.turns >= BOTH_TURNS):
        return msgspec.structs.replace(after, is_dead=True)
    if after.turn_s + dt_s < turn_s_min:
        return msgspec.structs.replace(after, turn_s=after.turn_s + dt_s)
    return _turn(after, now_k, limit_k=limit_k, may_heat=may_heat, dt_s=dt_s, response_s=response_s)


def _turn(
    probe: SensorProbe, now_k: float, *, limit_k: float, may_heat: bool, dt_s: float, response_s: float
) -> SensorProbe:
    """Return the probe in its present turn, or at the beginning of the next one."""
    # What the emitter still held when the turn began does not count.
    turn_k = min(probe.turn_k, now_k) if probe.is_upward else max(probe.turn_k, now_k)
    moved_k = abs(now_k - turn_k)
    turn_s = probe.turn_s + dt_s
    slowness = max(1.0, response_s / TURN_RESPONSE_S)
    is_idle = turn_s >= IDLE_TURN_S * slowness and moved_k < IDLE_SHARE * limit_k
    is_over = moved_k >= limit_k or turn_s >= TURN_S_MAX * slowness or is_idle
    if not is_over or not (may_heat or probe.is_upward):
        return msgspec.structs.replace(probe, turn_k=turn_k, turn_s=turn_s)
    return msgspec.structs.replace(
        probe, turn_k=now_k, turn_s=0.0, turns=probe.turns + 1, is_upward=not probe.is_upward
    )


def _learn(probe: SensorProbe, now_k: float, *, age_s: float, value_c: float, observed_s: float) -> SensorProbe:
    """Return the probe after a report."""
    moved_k, change_k, needed_k = abs(value_c - probe.value_c), probe.change_k, probe.needed_k
    if CHANGE_K_MIN / 2.0 <= moved_k <= REVIVED_CHANGES * change_k:
        change_k += CHANGE_WEIGHT * (moved_k - change_k)
        if observed_s >= WARM_UP_S:
            needed_k = max(needed_k, probe.swing_k)
    scale, from_c, from_k = probe.scale, probe.from_c, probe.from_k
    risen_k = now_k - from_k
    if from_c is not None and risen_k >= SCALE_K and not probe.is_dead:
        shown = min(SCALE_MAX, max(1.0, (value_c - from_c) / risen_k))
        scale += (SCALE_WEIGHT if shown > scale else SCALE_WEIGHT_DOWN) * (shown - scale)
    if from_c is None or probe.is_dead or not 0.0 < risen_k < SCALE_K:
        from_c, from_k = value_c, now_k
    return SensorProbe(
        needed_k=needed_k,
        change_k=min(CHANGE_K_MAX, max(CHANGE_K_MIN, change_k)),
        observed_s=observed_s,
        age_s=age_s,
        value_c=value_c,
        low_k=now_k,
        high_k=now_k,
        turn_k=now_k,
        scale=scale,
        from_c=from_c,
        from_k=from_k,
        needed_s=probe.needed_s,
    )


def exclude_dead(probe: SensorProbe, temperature: ZoneTemperature) -> ZoneTemperature:
    """Return the temperature of a zone; unknown if its sensors are dead and have not reported since."""
    if not probe.is_dead or not temperature.quiet_for_s or temperature.age_s < probe.age_s:
        return temperature
    problem = (
        f"{temperature.names[0]} has been silent for {temperature.age_s / 60:.0f} min, although the heat was changed to"
        " make it report"
    )
    return forget(temperature, problem)


def forget(temperature: ZoneTemperature, problem: str) -> ZoneTemperature:
    """Return an unknown temperature in place of that of silent sensors."""
    return ZoneTemperature(None, 0.0, 0, None, problem, temperature.warmest_c, silent_s=temperature.age_s)
