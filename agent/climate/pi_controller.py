"""The control law: a proportional-integral controller whose duty is delivered in pulses. Pure.

The controller computes the duty, the share of time that the equipment should be on. It adds up the output that is still
owed to that duty, in seconds of full output. The equipment goes on when one pulse is owed, and off when it is one pulse
ahead. So the average is right whatever minimum times, other zones or a power cut did meanwhile: only the actual output
counts.

At duty d a cycle takes 2 pulse / (d (1 - d)), and its on time is 2 pulse / (1 - d). Pulses are sized for the usual
duty, so that all cycles take `cycle_s`: the number of starts is known beforehand, and the temperature cannot lengthen a
pulse that it is itself moved by. Zones that share a heat source use it in turns. While one of them is on it does not
start, so their pulses are the shorter the more the others want: with all of them the source rests for 1 - sum of d of
the time, and starts once in a cycle. Signs are those of heating; for cooling the caller turns the error around.

A room whose temperature moves little in one cycle (a heated floor) would show a disturbance for hours before the
integral knows it. There the error also moves the edges of the pulses directly, like the band of a thermostat.

The walls of a room lag behind its air and take heat until they are as warm. After a setpoint was raised, after a
recovery, or on the evening of a sunny day, the duty that keeps the temperature differs for hours from the duty that
kept it before, and the integral is slower than that. The feed-forward duty makes up for it. A mean of the air
temperature over some hours serves as the wall temperature; ten minutes of an open window do not change it.
"""

from math import exp

import msgspec

PULSES_PER_CYCLE = 8.0
"""A cycle at half duty takes 8 pulses."""

FAR_K = 1.0
NEAR_K = 0.25
"""From an error of `FAR_K` on (a raised setpoint, an open window) the controller is stiff, until it is below
`NEAR_K`."""

INTEGRATED_K_MAX = 1.0
"""Larger errors are integrated as this one: a step of the setpoint reveals little of the duty that keeps it."""

FULL_DUTY = 0.98
NO_DUTY = 0.02
"""Duties beyond these are rounded to 1 and 0: their cycles would take most of a day."""

FIRST_PULSE_K = 0.75
"""A controller that begins with a room this far from its setpoint owes it one pulse at once."""

USUAL_DUTY_CYCLES = 3.0
"""The usual duty is the mean of this many cycles."""

USUAL_DUTY_MIN, USUAL_DUTY_MAX = 0.05, 0.95
"""Pulses are not sized for duties beyond these: the next one will be another."""

MODULATED_DUTY_MAX = 0.5
"""The duty of the longest pulses."""

OWED_PULSES_MAX = 3.0
"""More is neither owed nor ahead: what was missed for hours is known from the temperature."""

THERMAL_MASS_LAG_S = 5 * 3600.0
"""The walls of a house of medium weight follow the air over this time."""

THERMAL_MASS_MEMORY_S = THERMAL_MASS_LAG_S / 2
"""The wall temperature is forgotten when sensors or the hub, as far as the clocks tell, were off for longer."""

THERMAL_MASS_DUTY_MIN = -0.3
THERMAL_MASS_DUTY_MAX = 0.6
"""Bounds of the feed-forward duty: the measured temperature has priority."""

OVERSHOOT_K_MAX = 2.0
"""A room this far beyond its setpoint gets no feed-forward duty. Nearer it gets a part of it: the heat in its radiators
has carried it there, and it cools as soon as they are empty."""


NO_START_K = -100.0
"""Pulses begin at any error."""


class PiSettings(msgspec.Struct, frozen=True):
    """The parameters of the controller.

    Attributes:
        gain_per_k: Duty for each kelvin of error.
        integral_s: In this time a constant error adds its proportional part once more.
        cycle_s: The length of a cycle, unless `pulse_s_min` makes it longer.
        pulse_s_min: The shortest pulse, a little less than half of the minimum on time. An eighth of the cycle keeps
            all pulses alike, so that equipment with little to do starts seldom.
        deadband_k: Smaller errors are not integrated.
        ramp_gain_per_k: Replaces `gain_per_k` while the setpoint moves or is far off: a soft controller keeps a
            temperature with even pulses, a stiff one arrives in time.
        thermal_mass_gain_per_k: Feed-forward duty for each kelvin that the walls are behind the setpoint.
        edge_s_per_k: Full output that each kelvin of error adds to what is owed, where a pulse begins or ends.
        edge_pulses: What the ripple of one cycle adds, in pulses, once that is known (`emitter.tune`).
        ripple_k_max: A cycle that moves the temperature by more is shortened, once that is known (`emitter.tune`).
        start_k: A smaller error begins no pulse: see `emitter.tune`.
        response_s: In this time the emitter shows whether it works. Control does not use it.
        min_on_s: The equipment is never on for less, whatever pulses ask for.
    """

    gain_per_k: float
    integral_s: float
    cycle_s: float
    pulse_s_min: float = 80.0
    deadband_k: float = 0.05
    ramp_gain_per_k: float = 0.45
    thermal_mass_gain_per_k: float = 0.0
    edge_s_per_k: float = 0.0
    edge_pulses: float = 1.0
    ripple_k_max: float = 2.0
    start_k: float = NO_START_K
    response_s: float = 900.0
    min_on_s: float = 0.0

    def pulse_s(self, duty: float, others_duty: float = 0.0, cycle_s: float | None = None) -> float:
        """Return the length of a pulse at a duty, with what other zones want of a shared heat source.

        Args:
            duty: The usual one.
            others_duty: That of the others.
            cycle_s: In place of the settings' own.
        """
        return max(self.pulse_s_min, self.goal_pulse_s(duty, others_duty, cycle_s))

    def goal_pulse_s(self, duty: float, others_duty: float = 0.0, cycle_s: float | None = None) -> float:
        """Return the length of a pulse that the goal for starts asks for, however short; see `pulse_s`."""
        rest = max(0.0, 1.0 - duty - others_duty)
        return 4.0 * duty * rest * (cycle_s or self.cycle_s) / PULSES_PER_CYCLE


class PiState(msgspec.Struct, frozen=True):
    """The state of the controller.

    Attributes:
        integral: The duty that keeps the temperature, as far as it is known; 0 to 1.
        owed_s: Seconds of full output that are owed to the duty; negative if the output is ahead.
        is_far: The error has been beyond `FAR_K` and is not below `NEAR_K` yet.
        usual_duty: The recent duty, as far as pulses delivered it; `None` before the first pulse.
    """

    integral: float = 0.0
    owed_s: float = 0.0
    is_far: bool = False
    usual_duty: float | None = None


class PiOutput(msgspec.Struct, frozen=True):
    """The next state, the duty (0 to 1), and whether the equipment should be on."""

    state: PiState
    duty: float
    wants_on: bool


def pulse_length_s(
    state: PiState, settings: PiSettings, duty: float, others_duty: float = 0.0, level: float = 1.0
) -> float:
    """Return the length of the present pulses, in seconds of full output.

    Args:
        state: Of the controller.
        settings: Of the controller.
        duty: Counts until the usual duty is known.
        others_duty: The sum of the usual duties of the zones that share the heat source.
        level: The share of full output that the equipment gives while it is on.
    """
    usual_duty = duty if state.usual_duty is None else state.usual_duty
    if level < 1.0:
        # At a level near the duty the output need not be switched at all: longer pulses leave it on.
        share = min(MODULATED_DUTY_MAX, max(USUAL_DUTY_MIN, usual_duty / level))
        return level * settings.pulse_s(share, others_duty)
    return settings.pulse_s(min(USUAL_DUTY_MAX, max(USUAL_DUTY_MIN, usual_duty)), others_duty)


def advance(
    state: PiState,
    settings: PiSettings,
    *,
    error_k: float,
    dt_s: float,
    was_on: bool,
    feed_forward: float = 0.0,
    is_ramp: bool = False,
    others_duty: float = 0.0,
    level: float = 1.0,
) -> PiOutput:
    """Return the next state and output.

    Args:
        state: From the last step.
        settings: Of the controller.
        error_k: Setpoint minus temperature.
        dt_s: Since the last step, at least 0.
        was_on: Whether the equipment has actually been on since the last step.
        feed_forward: Known duty, added to the controller's own.
        is_ramp: Whether the setpoint moves.
        others_duty: See `pulse_length_s`.
        level: The share of full output that the equipment has given while it was on.
    """
    integral = state.integral
    is_far = error_k >= (NEAR_K if state.is_far else FAR_K)
    gain_per_k = settings.ramp_gain_per_k if is_ramp or is_far else settings.gain_per_k
    raw = gain_per_k * error_k + integral + feed_forward
    duty = min(1.0, max(0.0, raw))
    # Anti-windup: no integration further out while the duty is at its bound, nor while owed output is not delivered.
    pushes_out = (raw > 1.0 and error_k > 0.0) or (raw < 0.0 and error_k < 0.0)
    pulse_s = pulse_length_s(state, settings, duty, others_duty, level)
    is_starved = state.owed_s > 2.0 * pulse_s and error_k > 0.0 and not was_on
    # The distance from a moving setpoint says nothing about the duty that keeps a temperature.
    if abs(error_k) > settings.deadband_k and not pushes_out and not is_starved and not is_ramp:
        counted_k = min(INTEGRATED_K_MAX, max(-INTEGRATED_K_MAX, error_k))
        integral += settings.gain_per_k * counted_k * dt_s / settings.integral_s
        integral = min(1.0, max(0.0, integral))
    owed_max_s = OWED_PULSES_MAX * pulse_s
    owed_s = min(owed_max_s, max(-owed_max_s, state.owed_s + (duty - (level if was_on else 0.0)) * dt_s))
    if duty >= FULL_DUTY:
        return PiOutput(PiState(integral, max(owed_s, 0.0), is_far, state.usual_duty), 1.0, wants_on=True)
    if duty <= NO_DUTY:
        return PiOutput(PiState(integral, min(owed_s, 0.0), is_far, state.usual_duty), 0.0, wants_on=False)
    if state.usual_duty is None and error_k >= FIRST_PULSE_K:
        owed_s = max(owed_s, pulse_s)
    usual_duty = duty if state.usual_duty is None else state.usual_duty
    usual_duty += (duty - usual_duty) * min(1.0, dt_s / (USUAL_DUTY_CYCLES * settings.cycle_s))
    due_s = owed_s + settings.edge_s_per_k * error_k
    wants_on = due_s > -pulse_s if was_on else due_s >= pulse_s
    if wants_on and not was_on and error_k < settings.start_k:
        # What waits for the temperature is one pulse, not a longer one.
        owed_s, wants_on = min(owed_s, pulse_s), False
    return PiOutput(PiState(integral, owed_s, is_far, usual_duty), duty, wants_on)


def advance_thermal_mass(thermal_mass_c: float | None, value_c: float, dt_s: float) -> float:
    """Return the temperature of the walls after some time.

    Args:
        thermal_mass_c: Before; `None` for unknown, which counts as the air temperature.
        value_c: The air temperature.
        dt_s: The time, at least 0.
    """
    if thermal_mass_c is None:
        return value_c
    return value_c + (thermal_mass_c - value_c) * exp(-dt_s / THERMAL_MASS_LAG_S)


def shift_thermal_mass(thermal_mass_c: float | None, before_c: float | None, value_c: float) -> float | None:
    """Return the temperature of the walls when other sensors take over: as far from the new air temperature as before.

    Args:
        thermal_mass_c: Before; `None` for unknown.
        before_c: The air temperature by the sensors that counted until now; `None` for unknown.
        value_c: The air temperature by those that count now.
    """
    return thermal_mass_c if thermal_mass_c is None or before_c is None else thermal_mass_c + value_c - before_c


def thermal_mass_duty(behind_k: float, gain_per_k: float, *, error_k: float) -> float:
    """Return the feed-forward duty for the walls; negative if they help.

    Args:
        behind_k: Distance of the walls from the setpoint, positive if they need heat (in cooling: cold).
        gain_per_k: Duty for each kelvin.
        error_k: Distance of the air from the setpoint, with the same sign.
    """
    duty = min(THERMAL_MASS_DUTY_MAX, max(THERMAL_MASS_DUTY_MIN, gain_per_k * behind_k))
    if duty <= 0.0 or error_k >= 0.0:
        return duty
    return duty * max(0.0, 1.0 + error_k / OVERSHOOT_K_MAX)
