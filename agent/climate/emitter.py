"""The emitter of a zone as its pulses show it: how fast it moves the temperature, and what follows for the law. Pure.

In each cycle of the output the temperature goes up and down. What is left of that without the drift, over d (1 - d) of
the length of the cycle, is the rate at full output, as far as it counts for pulses: some kelvin an hour for radiators,
less than one for a heated floor. It is taken from one start to the next and averaged over some ten cycles, so neither
noise, coarse steps nor an open window determine it; noise and steps make it look larger, which makes the law softer.

The ripple of a cycle is that rate times d (1 - d) times its length; where zones share a heat source, cycles are shorter
and so is the ripple. The gain of the controller follows from it (a gain
times the ripple must be small against the duty, or the controller lengthens its own pulses), and the part of the error
that moves the edges of pulses. Without any cycle yet the settings remain as they are.

This file never widens what short-cycle protection allows, and never reports a fault of the equipment.
"""

import msgspec

from agent.climate.pi_controller import PiSettings

CYCLE_S_MIN, CYCLE_S_MAX = 600.0, 12 * 3600.0
"""Shorter cycles are tests of the outputs or minimum times, longer ones stand for a change of the weather."""

DUTY_MIN, DUTY_MAX = 0.08, 0.92
DRIFT_K_MAX = 0.6
"""A cycle in which the temperature ends farther from its beginning teaches nothing: a setpoint or a window moved it."""

CYCLES_MEAN = 10
"""The mean goes over this many cycles."""

CYCLES_MIN = 3
"""Fewer cycles change nothing."""

RATE_K_PER_H_MIN, RATE_K_PER_H_MAX = 0.1, 40.0

GAIN_RIPPLE = 0.2
"""The gain times the ripple of a cycle: from simple internal model control of an integrating process (Skogestad 2003),
whose gain is the reciprocal of rate and delay; the delay of pulses is a part of their cycle."""

FAR_GAIN_RIPPLE = 0.4
"""The same for a room that is far from its setpoint: a ripple of some kelvin must not make each pulse full output."""

GAIN_PER_K_MIN, GAIN_PER_K_MAX = 0.1, 0.8
CYCLE_SHORT_S = 900.0
"""No cycle is shortened below this, or below a third of its goal if that is less. None is lengthened: a sensor that
reports changes of some tenths does not show what a cycle does, and its rooms would get twice the ripple."""

PULSE_SHARE_MIN = 0.5
"""No pulse is shortened below this share: what a minimum on time gives must remain within what is owed."""

REPORTED_CHANGES = 2.0
"""A sensor that reports on change keeps cycles of so many of its thresholds: one that is silent because its room is
kept well cannot be told from a dead one."""

EDGE_PULSES_MAX = 1.0
"""Where the error moves the edges by more, as on floors, cycles are made by it, not by the length of a pulse."""

MODULATED_GAIN_FACTOR = 4.0
"""A valve that stays open has no ripple that limits the gain, only the lag of its emitter."""

OPEN_SHARE_LOW, OPEN_SHARE_HIGH = 0.6, 0.9
"""From this share of the time to that one a valve counts as one that stays open."""

OLD_VALUE_S = 1800.0
"""An error this old counts for half of what a new one does."""

SHARED_EDGE_SHARE = 0.3
"""Zones in turns move the edges of each other's pulses already."""

COOLING_START_RIPPLE = 0.3
COOLING_START_K_MAX = 0.3
"""Cooling begins only this share of its ripple above the setpoint, at most so far. It acts at once: in a steady cycle
it begins above it anyway, at half of the ripple. When the load falls, in the evening, no pulse cools a room that the
night cools by itself."""

RIPPLE_K_MIN = 0.1
"""No sensor shows less."""

FLOOR_RATE_K_PER_H_MAX, FLOOR_CYCLE_S_MIN = 0.9, 4500.0
"""A heated floor moves its room by 0.2 to 0.9 K an hour, in cycles of more than two hours (at most 0.3 starts an hour).
What moves it faster in shorter cycles, with the settings of a floor, is none."""

RADIATOR_RATE_K_PER_H_MAX = 12.0
"""Radiators reach some 10 K an hour in the smallest room; forced air has 15 to 30."""

AIR_RATE_K_PER_H_MIN = 1.5
"""Forced air has 6 K an hour and more; radiators have 0.5 to 3, floors less."""

TELLING_STEP_K_MAX = 0.3
"""The steps of a coarser sensor look like a fast emitter."""

WRONG_SETTINGS = {
    "floor": "radiators or air, not like a heated floor",
    "radiator": "forced air, not like radiators",
    "air": "radiators or a floor, not like forced air",
}


class CycleState(msgspec.Struct, frozen=True):
    """The present cycle of the output, and what all before it have shown. Kept in `climate.json`.

    Attributes:
        s: The length of the present cycle so far; `None` before the first start.
        on_s: The time of output in it.
        start_c: The temperature at its beginning.
        low_c: The lowest temperature in it.
        high_c: The highest one.
        rate_k_per_h: The mean rate at full output.
        cycles: How many cycles it is the mean of, at most `CYCLES_MEAN`.
        cycle_s: Their mean length; 0 in files of earlier releases.
        pulse_share: The share of a pulse by the settings that makes cycles as long as their goal; 1 before any cycle.
    """

    s: float | None = None
    on_s: float = 0.0
    start_c: float = 0.0
    low_c: float = 0.0
    high_c: float = 0.0
    rate_k_per_h: float = 0.0
    cycles: int = 0
    cycle_s: float = 0.0
    pulse_share: float = 1.0

    @property
    def known_rate_k_per_h(self) -> float | None:
        """The rate, once enough cycles have shown it."""
        return max(RATE_K_PER_H_MIN, self.rate_k_per_h) if self.cycles >= CYCLES_MIN else None


def advance(
    state: CycleState,
    *,
    value_c: float | None,
    dt_s: float,
    was_on: bool,
    is_start: bool,
    settings: PiSettings | None = None,
    usual_duty: float | None = None,
) -> CycleState:
    """Return the state after some time.

    Args:
        state: Before.
        value_c: The temperature now; `None` if it is unknown, or moved by something else than the output's cycles.
        dt_s: Since the last step.
        was_on: Whether the output was on since then.
        is_start: It was off before that, so a cycle begins.
        settings: Of the law whose pulses make the cycles; `None` if other rules make them.
        usual_duty: For which its pulses are sized.
    """
    if value_c is None:
        return forget_cycle(state)
    if is_start:
        state = _learn(state, value_c, settings, usual_duty, dt_s)
        return CycleState(
            dt_s, dt_s, value_c, value_c, value_c, state.rate_k_per_h, state.cycles, state.cycle_s, state.pulse_share
        )
    if state.s is None:
        return state
    if state.s > CYCLE_S_MAX:
        return forget_cycle(state)
    return CycleState(
        state.s + dt_s,
        state.on_s + (dt_s if was_on else 0.0),
        state.start_c,
        min(state.low_c, value_c),
        max(state.high_c, value_c),
        state.rate_k_per_h,
        state.cycles,
        state.cycle_s,
        state.pulse_share,
    )


def forget_cycle(state: CycleState) -> CycleState:
    """Return the state without the present cycle, because it is none of its own."""
    if state.s is None:
        return state
    return CycleState(
        rate_k_per_h=state.rate_k_per_h, cycles=state.cycles, cycle_s=state.cycle_s, pulse_share=state.pulse_share
    )


def _learn(
    state: CycleState, value_c: float, settings: PiSettings | None, usual_duty: float | None, dt_s: float
) -> CycleState:
    """Return the state after a cycle."""
    cycle_s = state.s
    if cycle_s is None or not 0.0 < cycle_s <= CYCLE_S_MAX:
        return state
    duty, drift_k = state.on_s / cycle_s, abs(value_c - state.start_c)
    if not DUTY_MIN <= duty <= DUTY_MAX or drift_k > DRIFT_K_MAX:
        return state
    if settings is not None and usual_duty is not None and state.on_s > settings.min_on_s + dt_s:
        share = _learn_pulse_share(state.pulse_share, cycle_s, duty, settings, usual_duty)
        state = msgspec.structs.replace(state, pulse_share=share)
    if cycle_s < CYCLE_S_MIN:
        return state
    ripple_k = state.high_c - state.low_c - drift_k
    rate = ripple_k / (duty * (1.0 - duty) * cycle_s / 3600.0)
    rate = min(RATE_K_PER_H_MAX, max(RATE_K_PER_H_MIN, rate))
    cycles = min(CYCLES_MEAN, state.cycles + 1)
    return msgspec.structs.replace(
        state,
        rate_k_per_h=state.rate_k_per_h + (rate - state.rate_k_per_h) / cycles,
        cycles=cycles,
        cycle_s=state.cycle_s + (cycle_s - state.cycle_s) / cycles,
    )


def _learn_pulse_share(share: float, cycle_s: float, duty: float, settings: PiSettings, usual_duty: float) -> float:
    """Return the share of a pulse after a cycle whose on time was longer than it had to be.

    A cycle takes 2 pulse / (d (1 - d)) as long as nothing else moves the edges of pulses. The lag of emitter and sensor
    and reports on change do: the law sees the error of a while ago, and lengthens each pulse by it.
    """
    if settings.edge_pulses > EDGE_PULSES_MAX:
        return share
    goal_s = settings.goal_pulse_s(min(DUTY_MAX, max(DUTY_MIN, usual_duty)))
    made_s = max(1.0, duty * (1.0 - duty) * cycle_s / 2.0)
    wanted = min(1.0, max(PULSE_SHARE_MIN, share * goal_s / made_s))
    share = min(1.0, max(PULSE_SHARE_MIN, share))
    return share + (wanted - share) / CYCLES_MEAN


def wrong_setting(kind: str, state: CycleState, *, step_k: float) -> str:
    """Return that the zone has another emitter than configured, and the remedy, for people; empty if it may have it.

    Args:
        kind: The configured emitter; empty if it is not known.
        state: What the cycles have shown of it.
        step_k: The smallest step that the sensor has shown.
    """
    if kind not in WRONG_SETTINGS or state.cycles < CYCLES_MEAN or step_k > TELLING_STEP_K_MAX:
        return ""
    rate = state.rate_k_per_h
    is_wrong = {
        "floor": rate > FLOOR_RATE_K_PER_H_MAX and 0.0 < state.cycle_s < FLOOR_CYCLE_S_MIN,
        "radiator": rate > RADIATOR_RATE_K_PER_H_MAX,
        "air": rate < AIR_RATE_K_PER_H_MIN,
    }[kind]
    if not is_wrong:
        return ""
    return f"check `emitter` in the configuration ({kind}): this zone warms like {WRONG_SETTINGS[kind]}"


def tune(
    settings: PiSettings,
    rate_k_per_h: float | None,
    duty: float | None,
    others_duty: float = 0.0,
    *,
    is_cooling: bool = False,
) -> PiSettings:
    """Return the settings for what was learned; the same object if nothing was.

    Args:
        settings: By kind of emitter and equipment.
        rate_k_per_h: The rate at full output; `None` if unknown.
        duty: The usual one; `None` if unknown.
        others_duty: That of the zones that share the heat source.
        is_cooling: The output cools.
    """
    if rate_k_per_h is None or duty is None:
        return settings
    goal_s = cycle_s = settings.cycle_s
    ripple_k_per_s = rate_k_per_h * duty * (1.0 - duty) / 3600.0
    if ripple_k_per_s * goal_s > settings.ripple_k_max:
        cycle_s = max(settings.ripple_k_max / ripple_k_per_s, min(CYCLE_SHORT_S, goal_s / 3.0))
    # Zones in turns have shorter pulses: 2 pulse / (d (1 - d)) is the length of their cycle.
    pulse_s = settings.pulse_s(duty, others_duty, cycle_s)
    ripple_k = max(RIPPLE_K_MIN, rate_k_per_h * 2.0 * pulse_s / 3600.0)
    gain_per_k = min(GAIN_PER_K_MAX, max(GAIN_PER_K_MIN, GAIN_RIPPLE / ripple_k))
    edge_pulses = settings.edge_pulses * (SHARED_EDGE_SHARE if others_duty > 0.0 else 1.0)
    return msgspec.structs.replace(
        settings,
        gain_per_k=gain_per_k,
        cycle_s=cycle_s,
        ramp_gain_per_k=max(gain_per_k, min(settings.ramp_gain_per_k, FAR_GAIN_RIPPLE / ripple_k)),
        edge_s_per_k=edge_pulses * pulse_s / ripple_k,
        start_k=min(COOLING_START_K_MAX, COOLING_START_RIPPLE * ripple_k) if is_cooling else settings.start_k,
    )


def shorten_pulses(
    settings: PiSettings, state: CycleState, *, duty: float | None, change_k: float | None
) -> PiSettings:
    """Return the settings with pulses that make cycles as long as their goal; the same object if they do already.

    Args:
        settings: With the goal.
        state: What the cycles have shown.
        duty: The usual one; `None` if unknown.
        change_k: The threshold of a sensor that reports on change; `None` for one with an interval.
    """
    share = max(PULSE_SHARE_MIN, state.pulse_share)
    if change_k is not None:
        ripple_k = state.rate_k_per_h * 2.0 * settings.pulse_s(duty or 0.0) / 3600.0
        share = max(share, REPORTED_CHANGES * change_k / max(RIPPLE_K_MIN, ripple_k))
    if share >= 1.0:
        return settings
    return msgspec.structs.replace(settings, cycle_s=settings.cycle_s * share, pulse_s_min=settings.pulse_s_min * share)


def modulate(settings: PiSettings, *, share: float, age_s: float) -> PiSettings:
    """Return the settings for a zone that a modulating boiler heats.

    Args:
        settings: For pulses at full output.
        share: The share of the time for which its valve is open at the present level.
        age_s: Of its temperature.
    """
    weight = min(1.0, max(0.0, (share - OPEN_SHARE_LOW) / (OPEN_SHARE_HIGH - OPEN_SHARE_LOW)))
    factor = 1.0 + weight * (MODULATED_GAIN_FACTOR - 1.0) / (1.0 + age_s / OLD_VALUE_S)
    gain_per_k = settings.gain_per_k * factor
    return msgspec.structs.replace(
        settings, gain_per_k=gain_per_k, ramp_gain_per_k=max(gain_per_k, settings.ramp_gain_per_k)
    )
