"""Whether the heating of a zone has an effect, by what was learned of the zone. Pure; it never stops control.

A house that is slow, or whose equipment is too small, does not get warmer at full output either; and a floor shows
nothing for hours. What tells a fault from them is the load: the share of full output that the zone needs. It follows
from each stretch of hours: the mean output, less what the temperature rose by, as a share of the rise that full output
makes. It changes with weather, sun and people, over hours, and was seen before. Equipment that fails looks as if the
load had grown at once by all the output that is called for: the temperature falls while the output is as large as ever.

So a fault is a fall, still going on, that would need a load far above the largest one of the last days. A rise that
does not come is none: after some cool days the walls take all that a heated floor gives. Neither is a fall that is
sharper than the end of heating ever made it: only cold air from outside takes the warmth of a room within minutes.
Equipment that always runs without reaching the setpoint is judged by its own falls instead: one that is much steeper
than any before. Output counts as it reaches the room, behind the emitter's lag.

Where each pulse shows in the room within minutes, pulses that do not are a fault sooner, and one that does excludes it
(`pulse_response`).
"""

from collections.abc import Sequence
from math import exp

import msgspec

from agent.climate import pulse_response
from agent.climate.effect_marks import (
    MARK_S,
    EffectMark,
    Marks,
    bend_k_per_h,
    may_be_short,
    mean_emitted,
    slope_k_per_h,
    step_rate_k_per_h,
)
from agent.climate.pulse_response import PulseResponse

SMOOTHING_S = 1200.0
"""The temperature is smoothed over this time: a furnace moves it by some kelvin in each of its cycles."""

WINDOWS = (6, 8, 12, 16)
"""Stretches of one and a half to four hours are judged, in marks: a shorter one may be an open window or a stove."""

SLOW_WINDOWS = (12, 16)
"""Those of a heated floor."""

TEACHING_MARKS = 12
"""The load is learned from stretches of three hours."""

MARKS_MAX = max(WINDOWS) + 1
"""A load counts as seen when its mark is as old as this: a fault that begins must not teach itself."""

FALL_K_MIN = 0.35
"""A smaller fall may be a step of the sensor."""

VALUES_MIN = 3
"""It is seen in at least so many values: one step of a coarse sensor is none."""

EARLY_FALL_K_MIN = 0.08
"""So much of it lies in the first half: an open window makes it within minutes."""

RECENT_MARKS = 3
"""The fall goes on: the temperature is not above that of this many marks ago."""

BELOW_K_MIN = 0.3
"""Nearer to its setpoint a zone has no fault."""

EMITTED_MIN = 0.2
UNLEARNED_EMITTED_MIN = 0.9
"""With less output than this its absence shows too little, with and without a known load. A new hub may begin within a
setback: then the zone falls freely before it is heated, and only what it does at full output can be judged."""

LOAD_GROWTH = 0.25
DISTURBANCE_K = 0.6
"""A fault is a load above the largest one seen by more than it grows from one evening to the next, and by what sun,
people and the noise of the sensor do to the temperature within a stretch. These are kelvins, whatever its length and
the equipment: the stronger that is, the smaller is the share of its output that makes as much."""

LOAD_MAX = 2.5
FIRST_LOAD = 1.5
"""Before a load was learned."""

DAY_MARKS = 96
"""The largest load and the steepest fall are those of this day and the day before: the weather changes."""

FIRST_MARKS = 16
"""What was seen in the first four hours teaches nothing: a home may have been without heat before."""

USUAL_SHARE_MIN = 0.9
"""A fault shows with at least about the usual output: a zone that gets less of it may well become colder."""

LEARNED_MARKS_MIN = 64
"""The load is known after sixteen hours: a night is among them, or an evening."""

SHARP_S = 300.0
"""The temperature is looked at this often for sharp falls: those within twice this time."""

SHARP_FACTOR = 1.4
SHARP_NOISE_K = 0.2
"""A fall is sharper than the end of heating makes it from so many times the largest one of that kind, and this, on. In
its usual cycles equipment is often off for less than ten minutes, so a fault makes the room fall further than they do:
panels by 0.5 K after 0.28 K, a furnace by 1.4 K after 0.92 K. From 1.7 times on a window beside a split unit is taken
for a fault. Both values of a fall have a step and noise."""

SHARP_K_MIN = 0.4
"""A smaller one is not: half of what a tilted window makes in a large home at 0 °C outside (see `open_window`)."""

SHARP_K_MAX = 8.0

OPEN_WINDOW_K = 99.0
"""What counts as the fall while a window is known to be open: more than any other."""

TURN_K = 0.3
"""The window of a zone that has risen by this since a sharp fall is closed again."""

FALL_MARKS = 8
HALF = 0.5
SCARCE_LOAD = 0.8
"""From this load on, equipment may run all the time and not reach the setpoint."""

SCARCE_LOAD_MAX = 1.5
"""No weather asks for more than this share of what equipment gives that is half as large as it should be: a larger load
is that of a fault."""

STEEPER = 2.0
"""Such a zone's fall is a fault from so many times the steepest one before on."""

UNHEATED_SHARE = 0.4
"""And its fall is at least this share of what its load does to it without any heat: in a storm the rooms of one heat
pump get less of it each, and fall more steeply than in the days before, though not nearly as if it stood still."""

SHARED_LOAD_GROWTH = 0.4
SHARED_UNHEATED_SHARE = 0.6
SHARED_BEND_SHARE = 0.7
"""Where others draw from the same source, a zone may get less of it than before: the load that it seems to have grows
by more, and its fall is a fault only if it is steeper in itself, and steeper than before by this share of its load."""

STORM_K_MAX = 1.5
"""A room that is farther below its setpoint is not excused by a storm."""

STEEPEST_K_PER_H_MIN = 0.12
"""A smaller steepest fall counts as this."""

RATE_K_PER_H = 0.8
"""What full output would do to a room with a radiator that loses nothing, over hours. A house of heavy walls does half
of it, a light one twice: the larger of the two costs time, the smaller would cost false faults."""

SLOW_RATE_K_PER_H = 0.35
"""Likewise with a heated floor."""

RATE_MARKS = 8
RATE_EMITTED_MIN = 0.4
RATE_K_PER_H_MAX = 8.0
RATE_KEPT = exp(-MARK_S / (7 * 86_400.0))
"""A rise within two hours, as a share of the output in it, shows what full output does at least; it is forgotten over a
week. With less output the sun would have too large a part in it."""

STEPS_MAX = 24
"""The mean of so many notes counts, four to eight in each step of the output: one may have the sun in it."""

SLOW_RESPONSE_S = 1800.0
"""An emitter that shows later than this whether it works is a floor."""


SLOW_LAG_S = 2.5 * 3600.0
"""The lag of a heated screed: what it gives follows what it gets over hours."""


class HeatingEffect(msgspec.Struct, frozen=True):
    """What is known of the effect of a zone's heating. Kept in `climate.json`, its notes apart.

    Attributes:
        marks: The latest notes, oldest first, at most `MARKS_MAX`.
        s: The time since the last one.
        emitted: The output that reaches the room now, 0 to 1.
        emitted_s: Its integral since the last note.
        smooth_c: The temperature without the ripple of the cycles; `None` before the first value.
        recent_c: The temperatures of the last ten minutes.
        recent_s: The time since the last of them.
        fall_k: The largest fall within ten minutes since the last note.
        sharpest_k: The largest one that the end of heating has made; 0 before any.
        load: The largest load of this day.
        load_before: That of the day before.
        steepest_k_per_h: The steepest fall of this day at more than half output.
        steepest_before_k_per_h: That of the day before.
        usual: The mean output of about a day.
        rate_k_per_h: What full output does to the room at least, without losses; 0 for unknown.
        step_rate_k_per_h: What full output does to the room over two hours, from steps of its output; 0 for unknown.
        steps: How many notes have taught that.
        learned: How many notes have taught the load.
        is_failing: A fault was found, and the temperature has not risen since.
        lowest_c: The lowest temperature since then.
        pulses: What its pulses do to its temperature within minutes.
    """

    marks: tuple[EffectMark, ...] = ()
    s: float = 0.0
    emitted: float = 0.0
    emitted_s: float = 0.0
    smooth_c: float | None = None
    recent_c: tuple[float, ...] = ()
    recent_s: float = 0.0
    fall_k: float = 0.0
    sharpest_k: float = 0.0
    load: float = 0.0
    load_before: float = 0.0
    steepest_k_per_h: float = 0.0
    steepest_before_k_per_h: float = 0.0
    usual: float = 0.0
    rate_k_per_h: float = 0.0
    step_rate_k_per_h: float = 0.0
    steps: int = 0
    learned: int = 0
    is_failing: bool = False
    lowest_c: float = 0.0
    pulses: PulseResponse = PulseResponse()

    @property
    def is_scarce(self) -> bool:
        """Whether the equipment is known to be too small for the weather: it may run for days without a rise."""
        return self.learned >= LEARNED_MARKS_MIN and SCARCE_LOAD <= max(self.load, self.load_before) <= SCARCE_LOAD_MAX


def advance(
    effect: HeatingEffect,
    *,
    value_c: float,
    setpoint_c: float,
    is_heated: bool,
    dt_s: float,
    response_s: float,
    pulse_rate_k_per_h: float = 0.0,
    sharing: Sequence[HeatingEffect] = (),
) -> HeatingEffect:
    """Return what is known after some time.

    Args:
        effect: Before.
        value_c: The present temperature of the zone.
        setpoint_c: Its heating setpoint.
        is_heated: Whether its output was on.
        dt_s: The time.
        response_s: In this time the emitter shows whether it works.
        pulse_rate_k_per_h: The rate at which full output warms the zone within a pulse; 0 for not known.
        sharing: What is known of the zones that share its heat source.
    """
    output = 1.0 if is_heated else 0.0
    lag_s = SLOW_LAG_S if response_s > SLOW_RESPONSE_S else response_s
    emitted = output + (effect.emitted - output) * exp(-dt_s / lag_s)
    s, emitted_s = effect.s + dt_s, effect.emitted_s + emitted * dt_s
    effect = _watch_falls(effect, value_c, dt_s)
    pulses = pulse_response.advance(effect.pulses, value_c=value_c, is_heated=is_heated, dt_s=dt_s)
    effect = msgspec.structs.replace(effect, pulses=pulses)
    before_c = effect.smooth_c
    smooth_c = value_c if before_c is None else value_c + (before_c - value_c) * exp(-dt_s / SMOOTHING_S)
    if effect.marks and s < MARK_S:
        return msgspec.structs.replace(effect, s=s, emitted=emitted, emitted_s=emitted_s, smooth_c=smooth_c)
    marks = (*effect.marks, EffectMark(smooth_c, emitted_s / s if s else emitted, value_c, fall_k=effect.fall_k))
    is_slow = response_s > SLOW_RESPONSE_S
    learned_rate = max(effect.rate_k_per_h * RATE_KEPT, _rate_at_least(marks))
    rate = max(SLOW_RATE_K_PER_H if is_slow else RATE_K_PER_H, learned_rate, effect.step_rate_k_per_h)
    load = _load(effect, marks, rate)
    marks = (*marks[:-1], msgspec.structs.replace(marks[-1], load=load))
    known = msgspec.structs.replace(
        effect,
        marks=marks[-MARKS_MAX:],
        s=0.0,
        emitted=emitted,
        emitted_s=0.0,
        smooth_c=smooth_c,
        fall_k=0.0,
        rate_k_per_h=learned_rate,
    )
    if effect.is_failing:
        return msgspec.structs.replace(known, lowest_c=min(effect.lowest_c, value_c))
    lengths = () if pulses.is_proven else SLOW_WINDOWS if is_slow else WINDOWS
    is_below = smooth_c <= setpoint_c - BELOW_K_MIN
    may_be_storm = smooth_c > setpoint_c - STORM_K_MAX
    storm_rate_k_per_h = pulse_rate_k_per_h if may_be_storm else 0.0
    # A source that heats floors is seldom at its limit, and the fall of a floor has no bend.
    others = tuple([each.marks for each in sharing]) if may_be_storm and not is_slow else ()
    if (pulses.is_failing and smooth_c < setpoint_c) or (
        is_below and any(_is_fault(known, length, rate, storm_rate_k_per_h, others) for length in lengths)
    ):
        return msgspec.structs.replace(known, is_failing=True, lowest_c=value_c)
    return _learn(_learn_rate(known), marks[0]) if len(marks) > MARKS_MAX else known


def pause(effect: HeatingEffect, *, is_window: bool = False) -> HeatingEffect:
    """Return what stays known over a time without a temperature, or with a window open: a fault stays one."""
    fall_k = OPEN_WINDOW_K if is_window else 0.0
    return msgspec.structs.replace(
        effect,
        marks=(),
        s=0.0,
        emitted_s=0.0,
        smooth_c=None,
        recent_c=(),
        fall_k=fall_k,
        pulses=pulse_response.pause(effect.pulses),
    )


def in_bounds(value: float, most: float) -> float:
    """Return a number of a file that may be damaged, from 0 to the most that it can be."""
    return min(most, max(0.0, value))


def restore(saved: HeatingEffect) -> HeatingEffect:
    """Return what is known after a restart: the latest notes are gone; numbers of a damaged file are kept in bounds."""
    return HeatingEffect(
        load=in_bounds(saved.load, LOAD_MAX),
        load_before=in_bounds(saved.load_before, LOAD_MAX),
        steepest_k_per_h=in_bounds(saved.steepest_k_per_h, RATE_K_PER_H_MAX),
        steepest_before_k_per_h=in_bounds(saved.steepest_before_k_per_h, RATE_K_PER_H_MAX),
        usual=in_bounds(saved.usual, 1.0),
        rate_k_per_h=in_bounds(saved.rate_k_per_h, RATE_K_PER_H_MAX),
        step_rate_k_per_h=in_bounds(saved.step_rate_k_per_h, RATE_K_PER_H_MAX),
        steps=min(STEPS_MAX, max(0, saved.steps)),
        sharpest_k=in_bounds(saved.sharpest_k, SHARP_K_MAX),
        learned=max(0, saved.learned),
        is_failing=saved.is_failing,
        lowest_c=saved.lowest_c,
        pulses=pulse_response.pause(saved.pulses),
    )


def clear(effect: HeatingEffect) -> HeatingEffect:
    """Return what is known of a zone that is not to be heated, or that has got warmer after a fault."""
    return msgspec.structs.replace(pause(effect), is_failing=False) if effect.marks or effect.is_failing else effect


def _rate_at_least(marks: tuple[EffectMark, ...]) -> float:
    if len(marks) <= RATE_MARKS or (emitted := mean_emitted(marks, RATE_MARKS)) < RATE_EMITTED_MIN:
        return 0.0
    return min(RATE_K_PER_H_MAX, slope_k_per_h(marks, RATE_MARKS) / emitted)


def _learn_rate(effect: HeatingEffect) -> HeatingEffect:
    """Return the effect with what a step of the output has shown, if the latest notes have one."""
    rate = step_rate_k_per_h(effect.marks)
    if rate <= 0.0:
        return effect
    steps = min(STEPS_MAX, effect.steps + 1)
    mean = effect.step_rate_k_per_h + (min(RATE_K_PER_H_MAX, rate) - effect.step_rate_k_per_h) / steps
    return msgspec.structs.replace(effect, step_rate_k_per_h=mean, steps=steps)


def _load(effect: HeatingEffect, marks: tuple[EffectMark, ...], rate_k_per_h: float) -> float | None:
    """Return the load that explains the last stretch, if the heating works; `None` without one that teaches it."""
    if len(marks) <= TEACHING_MARKS or _may_be_window(effect, marks, TEACHING_MARKS):
        return None
    return min(LOAD_MAX, mean_emitted(marks, TEACHING_MARKS) - slope_k_per_h(marks, TEACHING_MARKS) / rate_k_per_h)


def _watch_falls(effect: HeatingEffect, value_c: float, dt_s: float) -> HeatingEffect:
    """Return the effect with the largest fall within ten minutes since the last note."""
    if effect.recent_c and (recent_s := effect.recent_s + dt_s) < SHARP_S:
        return msgspec.structs.replace(effect, recent_s=recent_s)
    fall_k = max([effect.fall_k, *(before_c - value_c for before_c in effect.recent_c)])
    return msgspec.structs.replace(effect, recent_c=(*effect.recent_c, value_c)[-2:], recent_s=0.0, fall_k=fall_k)


def _may_be_window(effect: HeatingEffect, marks: tuple[EffectMark, ...], length: int) -> bool:
    """Return whether a window may be open, or was in the last stretch: a sharp fall was, until the zone has risen.

    An emitter that gets no heat any more cools down slowly, whether it was switched off or has failed.
    """
    if effect.learned < LEARNED_MARKS_MIN:
        return False
    usual_k = max(SHARP_K_MIN, SHARP_FACTOR * effect.sharpest_k + SHARP_NOISE_K)
    lowest_c = None
    for number, mark in enumerate(marks, 1 - len(marks)):
        if mark.fall_k > usual_k:
            if number > -length:
                return True
            lowest_c = mark.value_c
        elif lowest_c is not None:
            lowest_c = min(lowest_c, mark.value_c) if mark.value_c < lowest_c + TURN_K else None
    return lowest_c is not None


def _is_fault(
    effect: HeatingEffect, length: int, rate_k_per_h: float, pulse_rate_k_per_h: float, others: tuple[Marks, ...]
) -> bool:
    """Return whether the last stretch shows a fault."""
    marks = effect.marks
    if len(marks) <= length or not effect.learned:
        # In its first hours of heating a home cools on, until emitters and walls are warm.
        return False
    start_c, middle_c, end_c = marks[-1 - length].value_c, marks[-1 - length // 2].value_c, marks[-1].value_c
    is_falling = end_c <= middle_c and marks[-1].raw_c <= marks[-1 - RECENT_MARKS].raw_c
    has_fallen = end_c <= start_c - FALL_K_MIN and middle_c <= start_c - EARLY_FALL_K_MIN
    if not (is_falling and has_fallen) or _may_be_window(effect, marks, length):
        return False
    if len({mark.raw_c for mark in marks[-1 - length :]}) < VALUES_MIN:
        return False
    emitted = mean_emitted(marks, length)
    is_learned = effect.learned >= LEARNED_MARKS_MIN
    if emitted < (max(EMITTED_MIN, USUAL_SHARE_MIN * effect.usual) if is_learned else UNLEARNED_EMITTED_MIN):
        return False
    earlier = [mark.load for mark in marks[:-length] if mark.load is not None]
    known = max(effect.load, effect.load_before, *earlier) if is_learned else FIRST_LOAD
    hours = length * MARK_S / 3600.0
    slope = (end_c - start_c) / hours
    is_short = may_be_short(marks, others, length, rate_k_per_h)
    growth = SHARED_LOAD_GROWTH if is_short else LOAD_GROWTH
    if emitted - slope / rate_k_per_h >= known + growth + DISTURBANCE_K / (rate_k_per_h * hours):
        return True
    steepest = max(STEEPEST_K_PER_H_MIN, effect.steepest_k_per_h, effect.steepest_before_k_per_h)
    load = min(known, SCARCE_LOAD_MAX)
    # Where the output was off for a part of the stretch, the zone falls by what it got less than its load.
    unmet = max(0.0, min(1.0, load) - emitted)
    share = SHARED_UNHEATED_SHARE if is_short else UNHEATED_SHARE
    fall_min = max(STEEPER * steepest, (unmet + share * load) * rate_k_per_h)
    # A heavy house falls like that for the first hour only, so it counts at the end of the stretch.
    recent_min = share * min(1.0, load) * pulse_rate_k_per_h
    is_unheated = -slope > fall_min and -slope_k_per_h(marks, RECENT_MARKS) > recent_min
    bend_min = SHARED_BEND_SHARE * min(1.0, load) * rate_k_per_h
    has_bend = not is_short or bend_k_per_h(marks, length, rate_k_per_h) >= bend_min
    return known >= SCARCE_LOAD and is_learned and emitted > HALF and is_unheated and has_bend


def _learn(effect: HeatingEffect, gone: EffectMark) -> HeatingEffect:
    """Return what is known after the oldest note has become history."""
    learned = effect.learned + 1
    usual = effect.usual + (gone.emitted - effect.usual) / min(learned, DAY_MARKS)
    sharpest_k = effect.sharpest_k * RATE_KEPT
    if effect.marks[0].emitted < gone.emitted:
        sharpest_k = max(sharpest_k, min(SHARP_K_MAX, effect.marks[0].fall_k))
    if learned <= FIRST_MARKS:
        return msgspec.structs.replace(effect, learned=learned, usual=usual, sharpest_k=sharpest_k)
    first = effect.marks[: FALL_MARKS + 1]
    fall = -slope_k_per_h(first, FALL_MARKS) if mean_emitted(first, FALL_MARKS) > HALF else 0.0
    seen = 0.0 if gone.load is None else gone.load
    is_new_day = learned % DAY_MARKS == 0
    return msgspec.structs.replace(
        effect,
        load=seen if is_new_day else max(seen, effect.load),
        load_before=effect.load if is_new_day else effect.load_before,
        steepest_k_per_h=fall if is_new_day else max(fall, effect.steepest_k_per_h),
        steepest_before_k_per_h=effect.steepest_k_per_h if is_new_day else effect.steepest_before_k_per_h,
        usual=usual,
        sharpest_k=sharpest_k,
        learned=learned,
    )
