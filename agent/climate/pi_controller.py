"""The control law: a proportional-integral controller whose duty is made of whole switchings. Pure.

The controller says which share of the time the equipment should be on. What is owed to that share is summed up, in
seconds of full output; the equipment goes on when it is owed a pulse and off when it has had one too many. So the
average is right whatever minimum times, other zones or a power cut did in between: the law counts what was really on.

At duty d a cycle takes 2 pulse / (d (1 - d)), and its on time is 2 pulse / (1 - d). Signs are those of heating; for
cooling the caller turns the error around.
"""

import msgspec

PULSES_PER_CYCLE = 8.0
"""A cycle at half duty takes 8 pulses."""

FAR_K = 1.0
NEAR_K = 0.25
"""So far off (a person has turned it up, a window was open) the law is stiff, until it is so near."""

INTEGRATED_K_MAX = 1.0
"""Larger errors count as so much to the integral: a step says little of what keeps the temperature."""

FULL_DUTY = 0.98
NO_DUTY = 0.02
"""Duties nearer to always and never than this are taken as such: their cycles would take most of a day."""


class PiSettings(msgspec.Struct, frozen=True):
    """How the law acts.

    Attributes:
        gain_per_k: Duty for each kelvin of error.
        integral_s: The time in which a constant error adds as much again.
        cycle_s: The length of a cycle, as long as its pulse is not below `pulse_s_min`.
        pulse_s_min: The smallest pulse: half of the minimum on time or a little less. An eighth of the cycle keeps all
            pulses alike, so that equipment which is little needed starts seldom.
        deadband_k: Errors below it are not integrated.
        ramp_gain_per_k: In place of `gain_per_k` while the setpoint moves or is far off: to keep a temperature a soft
            law makes even pulses, to arrive in time a stiff one is needed.
        thermal_mass_gain_per_k: Duty for each kelvin that the walls are behind the setpoint; see `walls`.
    """

    gain_per_k: float
    integral_s: float
    cycle_s: float
    pulse_s_min: float = 80.0
    deadband_k: float = 0.05
    ramp_gain_per_k: float = 0.45
    thermal_mass_gain_per_k: float = 0.0

    def pulse_s(self, duty: float) -> float:
        """Return how much is owed before it is switched, at a duty."""
        return max(self.pulse_s_min, 4.0 * duty * (1.0 - duty) * self.cycle_s / PULSES_PER_CYCLE)


class PiState(msgspec.Struct, frozen=True):
    """What the law remembers.

    Attributes:
        integral: Duty that keeps the temperature, as far as it is known; 0 to 1.
        owed_s: Seconds of full output that are owed to the duty; negative where it has had more.
        is_far: It has been far off and is not near yet.
    """

    integral: float = 0.0
    owed_s: float = 0.0
    is_far: bool = False


class PiOutput(msgspec.Struct, frozen=True):
    """The next state, the duty (0 to 1), and whether the equipment should be on."""

    state: PiState
    duty: float
    wants_on: bool


def step(
    state: PiState,
    settings: PiSettings,
    *,
    error_k: float,
    dt_s: float,
    was_on: bool,
    feed_forward: float = 0.0,
    is_ramp: bool = False,
) -> PiOutput:
    """Return what to do now.

    Args:
        state: From the last step.
        settings: How to act.
        error_k: Setpoint minus temperature.
        dt_s: Since the last step, at least 0.
        was_on: Whether the equipment was really on since the last step.
        feed_forward: Duty that is known to be needed beside what the law finds out.
        is_ramp: Whether the setpoint moves.
    """
    integral = state.integral
    is_far = error_k >= (NEAR_K if state.is_far else FAR_K)
    gain_per_k = settings.ramp_gain_per_k if is_ramp or is_far else settings.gain_per_k
    raw = gain_per_k * error_k + integral + feed_forward
    duty = min(1.0, max(0.0, raw))
    # Anti-windup: no integration further out while the duty is at its end already, nor for what was owed and not given.
    pushes_out = (raw > 1.0 and error_k > 0.0) or (raw < 0.0 and error_k < 0.0)
    pulse_s = settings.pulse_s(duty)
    is_starved = state.owed_s > 2.0 * pulse_s and error_k > 0.0 and not was_on
    if abs(error_k) > settings.deadband_k and not pushes_out and not is_starved:
        counted_k = min(INTEGRATED_K_MAX, max(-INTEGRATED_K_MAX, error_k))
        learning_per_k = settings.ramp_gain_per_k if is_ramp else settings.gain_per_k
        integral += learning_per_k * counted_k * dt_s / settings.integral_s
        integral = min(1.0, max(0.0, integral))
    owed_s = state.owed_s + (duty - (1.0 if was_on else 0.0)) * dt_s
    if duty >= FULL_DUTY:
        return PiOutput(PiState(integral, min(max(owed_s, 0.0), settings.cycle_s), is_far), 1.0, wants_on=True)
    if duty <= NO_DUTY:
        return PiOutput(PiState(integral, max(min(owed_s, 0.0), -settings.cycle_s), is_far), 0.0, wants_on=False)
    owed_s = min(settings.cycle_s, max(-settings.cycle_s, owed_s))
    wants_on = owed_s > -pulse_s if was_on else owed_s >= pulse_s
    return PiOutput(PiState(integral, owed_s, is_far), duty, wants_on)
