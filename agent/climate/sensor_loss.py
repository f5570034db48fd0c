"""Fallback heating for a zone without a trustworthy sensor: a bounded duty, never cooling. Pure.

There are three reasons to heat: the duty that the zone needed recently, frost elsewhere in the home, and that frost in
this zone cannot be ruled out. Every duty is bounded, because nothing measures whether the room gets too warm. With an
outdoor sensor the first and the last one follow the weather.
"""

from collections.abc import Sequence

import msgspec

from agent.climate import pi_controller
from agent.climate.fusion import ZoneTemperature
from agent.climate.model import HEATING_MODES, Mode
from agent.climate.pi_controller import PiOutput, PiState
from agent.climate.settings import ZoneSettings
from agent.climate.zone_state import PeerZone, ZoneInputs, ZoneState
from agent.foundation.median import median_high

FROST_DUTY_MAX = 0.5
"""At a duty of about 0.9, emitters carry a room through the coldest day, some 33 K above the outside. Half of their
output keeps it 18 K above: safe from frost and, with frost outside, below 24 °C."""

FROST_DUTY_LATER = 0.35
"""The bound from the second day on, 12 K above the outside: a wrong frost alarm may last into mild weather."""

K_PER_DUTY = 33.0 / 0.9
"""By so much full output keeps a room above the outside, see `FROST_DUTY_MAX`."""

COOL_C = 15.0
"""With an outdoor sensor, a room whose own need is not known gets what usual emitters need for this temperature."""

WARM_SHARE_MIN = 0.5
"""However warm it seems outdoors, the duty is at least this share of what it is without an outdoor sensor: one that is
in the sun or indoors shows too much. A room that was never measured stays above 4 °C by that down to -2 °C outdoors."""

COLD_SHARE_MAX = 1.5
"""However cold it seems outdoors, a learned duty is raised to this share at most."""

LEARNED_COLD_K_MIN = 8.0
"""A duty that was learned while it was less cold outdoors than this below `MILD_C` does not tell how it follows the
weather: sun and people did as much."""

FROST_DAY_S = 24 * 3600.0

MILD_C = 20.0
"""In a home with this median, an unmeasured room does not freeze because another one does."""

FROST_SHARE = 0.65
"""The frost protection duty of an unmeasured room, as a share of the duty of heated rooms. With those at 20 °C it stays
above 4 °C down to 25 K of frost, whatever the size of the emitters, and never gets warmer than they are."""

DUTY_MEMORY_S = 14 * 24 * 3600.0
"""Over this time the learned duty of a room loses its meaning: autumn becomes winter."""

COOLS_K_PER_H = 1.0
"""No heated home cools faster, so a room that was at 20 °C when its sensor failed does not freeze for half a day.
Measured houses lose about half of that in frost (time constants of 40 to 60 h), leaky ones in wind this much."""

FIRST_READING_WAIT_S = 2 * 3600.0
"""A sensor that has never reported may yet be paired, or report soon: the zone waits for this time."""

KEEPS_DUTY_S = 12 * 3600.0
"""The duty of the last day keeps a room for so long, whatever the weather does; over the same time again it goes down
to `fallback_duty_max`. A room that needed half of its output would lose five kelvins in a day with a third of it."""

HOUR_S = 3600.0


class FallbackDuty(msgspec.Struct, frozen=True):
    """The duty of an unmeasured zone.

    Attributes:
        duty: 0 to 1.
        reason: Why, for people.
        is_urgent: It protects from frost.
        is_precautionary: The zone is heated because its temperature is unknown.
    """

    duty: float
    reason: str
    is_urgent: bool = False
    is_precautionary: bool = False


def median_duty(peers: Sequence[PeerZone]) -> float | None:
    """Return the typical duty of a heated room; `None` without any."""
    return median_high([peer.duty for peer in peers]) if peers else None


def frost_duty(settings: ZoneSettings, home_median_c: float, for_s: float = 0.0) -> float:
    """Return the duty that protects an unmeasured zone while another sensor of the home reports frost.

    Args:
        settings: Of the zone.
        home_median_c: The median of the measured zones. The colder the home, the higher the duty.
        for_s: How long the frost has lasted.
    """
    share = (MILD_C - home_median_c) / (MILD_C - settings.frost_c)
    duty_max = FROST_DUTY_MAX if for_s < FROST_DAY_S else FROST_DUTY_LATER
    return duty_max * min(1.0, max(0.0, share))


def weather_share(learned_outdoor_c: float | None, outdoor_c: float | None) -> float:
    """Return which share of its learned duty a zone needs now; 1 if the weather is not known.

    Args:
        learned_outdoor_c: The outdoor temperature while the duty was learned.
        outdoor_c: The present one.
    """
    if learned_outdoor_c is None or outdoor_c is None or MILD_C - learned_outdoor_c < LEARNED_COLD_K_MIN:
        return 1.0
    return min(COLD_SHARE_MAX, max(WARM_SHARE_MIN, (MILD_C - outdoor_c) / (MILD_C - learned_outdoor_c)))


def usual_duty(outdoor_c: float | None) -> float:
    """Return the frost protection duty of a room with usual emitters, of which nothing else is known."""
    if outdoor_c is None:
        return FROST_DUTY_LATER
    return min(FROST_DUTY_MAX, max(WARM_SHARE_MIN * FROST_DUTY_LATER, (COOL_C - outdoor_c) / K_PER_DUTY))


def precautionary_duty(
    settings: ZoneSettings,
    others_c: Sequence[float],
    peers: Sequence[PeerZone],
    *,
    learned_duty: float | None = None,
    learned_for_s: float = 0.0,
    outdoor_c: float | None = None,
) -> float:
    """Return the frost protection duty of a zone in which frost cannot be ruled out.

    Args:
        settings: Of the zone.
        others_c: The known temperatures of the other zones.
        peers: The other zones that are heated and measured.
        learned_duty: The duty that the zone itself needed while it was measured; `None` if it was never learned.
        learned_for_s: The age of that duty.
        outdoor_c: The outdoor temperature; `None` if it is not known.
    """
    peer_duty = median_duty(peers)
    if peer_duty is not None:
        return min(FROST_DUTY_MAX, FROST_SHARE * peer_duty)
    if others_c:
        return frost_duty(settings, median_high(others_c), FROST_DAY_S)
    duty = usual_duty(outdoor_c)
    if learned_duty is None or learned_duty >= FROST_DUTY_LATER:
        return duty
    # Large emitters need less, also when it is cold.
    later_duty = max(learned_duty, min(FROST_DUTY_LATER, duty))
    return learned_duty + (later_duty - learned_duty) * min(1.0, learned_for_s / DUTY_MEMORY_S)


def default_duty(
    settings: ZoneSettings, others_c: Sequence[float], peers: Sequence[PeerZone], outdoor_c: float | None = None
) -> float:
    """Return the comfort duty of a zone that has never learned its own."""
    peer_duty = median_duty(peers)
    return precautionary_duty(settings, others_c, peers, outdoor_c=outdoor_c) if peer_duty is None else peer_duty


def precaution_delay_s(
    settings: ZoneSettings, last_known_c: float | None, *, mode: Mode, outdoor_c: float | None = None
) -> float:
    """Return the time without a sensor after which a zone may freeze.

    Args:
        settings: Of the zone.
        last_known_c: Its last known temperature; `None` for never.
        mode: In a mode without heating the zone gets no comfort duty meanwhile.
        outdoor_c: The outdoor temperature; `None` if it is not known.
    """
    if mode in HEATING_MODES:
        # The bound of the comfort duty may be too little from then on.
        is_cold = outdoor_c is not None and outdoor_c < settings.frost_c
        return min(KEEPS_DUTY_S, settings.fallback_s_max) if is_cold else settings.fallback_s_max
    if last_known_c is None:
        return FIRST_READING_WAIT_S
    return min(settings.fallback_s_max, max(0.0, last_known_c - settings.frost_c) / COOLS_K_PER_H * HOUR_S)


def modulate(
    state: PiState, settings: ZoneSettings, *, duty: float, dt_s: float, was_on: bool, level: float = 1.0
) -> PiOutput:
    """Return the pulses of a given duty. The integral is kept for the time when the zone has a sensor again."""
    # Without an error the controller is a mere modulator.
    output = pi_controller.advance(
        msgspec.structs.replace(state, integral=0.0, is_far=False),
        settings.law,
        error_k=0.0,
        dt_s=dt_s,
        was_on=was_on,
        feed_forward=duty,
        level=level,
    )
    return msgspec.structs.replace(output, state=msgspec.structs.replace(output.state, integral=state.integral))


def comfort_duty(
    settings: ZoneSettings,
    temperature: ZoneTemperature,
    *,
    recent_duty: float,
    lost_for_s: float,
    can_heat: bool,
    duty_max: float | None = None,
) -> FallbackDuty:
    """Return the comfort duty of an unmeasured zone.

    Args:
        settings: Of the zone.
        temperature: Names the problems of its sensors.
        recent_duty: The duty that it needed recently.
        lost_for_s: For how long it has had no valid sensor.
        can_heat: Its mode and its output allow heating.
        duty_max: Replaces `fallback_duty_max`.
    """
    if not can_heat:
        return FallbackDuty(0.0, f"off: no usable sensor ({temperature.problem})")
    if lost_for_s >= settings.fallback_s_max:
        hours = settings.fallback_s_max / HOUR_S
        return FallbackDuty(0.0, f"off: no usable sensor for {hours:.0f} h ({temperature.problem})")
    duty = min(recent_duty, settings.fallback_duty_max if duty_max is None else duty_max)
    if duty <= pi_controller.NO_DUTY:
        return FallbackDuty(0.0, f"idle: no usable sensor ({temperature.problem}), and no heat was needed recently")
    return FallbackDuty(duty, f"fallback heating at {duty:.0%}: no usable sensor ({temperature.problem})")


def choose_duty(
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
    *,
    now_ms: int,
    lost_for_s: float,
    frost_c: float | None = None,
    frost_for_s: float = 0.0,
) -> FallbackDuty:
    """Return the duty of a zone without a valid sensor.

    Args:
        state: Of the zone.
        settings: Of the zone.
        inputs: Of this step.
        now_ms: Boot time.
        lost_for_s: For how long the zone has had no valid sensor.
        frost_c: The value of the sensor that reports frost; `None` without frost.
        frost_for_s: How long the frost has lasted.
    """
    temperature = inputs.temperature
    is_hot = temperature.warmest_c is not None and temperature.warmest_c >= settings.over_c
    may_heat = settings.can_heat and not is_hot
    choice = _comfort(state, settings, inputs, lost_for_s, may_heat=may_heat)
    if frost_c is not None and settings.can_heat:
        duty = frost_duty(settings, _estimate_c(inputs, frost_c), frost_for_s)
        if duty > choice.duty:
            where = "elsewhere" if temperature.coldest_c is None else "possibly here"
            reason = (
                f"frost protection at {duty:.0%}: {frost_c:.1f} °C {where}, no usable sensor ({temperature.problem})"
            )
            choice = FallbackDuty(duty, reason, is_urgent=True)
    return _precaution(state, settings, inputs, choice, now_ms=now_ms, lost_for_s=lost_for_s, may_heat=may_heat)


def _stuck_duty(state: ZoneState) -> float | None:
    """Return the duty that a zone needed before its sensor got stuck; `None` if it is not stuck."""
    return state.stuck_sensor.usual_duty if state.stuck_sensor.is_stuck else None


def _comfort(
    state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, lost_for_s: float, *, may_heat: bool
) -> FallbackDuty:
    can_heat = may_heat and inputs.effective.mode in HEATING_MODES
    recent_duty, stuck_duty, last_known_c = _recent_duty(state, inputs), _stuck_duty(state), state.last_known_c
    was_never_measured = last_known_c is None and stuck_duty is None and recent_duty <= pi_controller.NO_DUTY
    needs_heat = last_known_c is not None and last_known_c < inputs.effective.setpoints.heat_setpoint_c
    if was_never_measured or needs_heat:
        share = 1.0 if was_never_measured else state.unlearned_share
        recent_duty += share * default_duty(settings, inputs.others_c, inputs.peers, inputs.outdoor_c)
    if was_never_measured and lost_for_s < FIRST_READING_WAIT_S:
        recent_duty = 0.0
    choice = comfort_duty(
        settings,
        inputs.temperature,
        recent_duty=recent_duty if stuck_duty is None else stuck_duty,
        lost_for_s=lost_for_s,
        can_heat=can_heat,
        duty_max=_comfort_duty_max(settings, state, inputs, lost_for_s) if stuck_duty is None else 1.0,
    )
    if not was_never_measured or not can_heat:
        return choice
    problem = inputs.temperature.problem
    if choice.duty > 0.0:
        reason = f"fallback heating at {choice.duty:.0%}: no usable sensor ({problem}), and its need was never learned"
        return FallbackDuty(choice.duty, reason, is_precautionary=True)
    if lost_for_s < FIRST_READING_WAIT_S:
        minutes = -(-(FIRST_READING_WAIT_S - lost_for_s) // 60)
        return FallbackDuty(
            0.0, f"idle: no usable sensor ({problem}), waiting for its first reading, {minutes:.0f} min to go"
        )
    return choice


def _recent_duty(state: ZoneState, inputs: ZoneInputs) -> float:
    """Return the duty that a zone has learned, as it is in the present weather."""
    return min(1.0, state.mean_duty * weather_share(state.learned_outdoor_c, inputs.outdoor_c))


def _comfort_duty_max(settings: ZoneSettings, state: ZoneState, inputs: ZoneInputs, lost_for_s: float) -> float:
    """Return the bound of the comfort duty: what the zone itself needed counts for half a day, then less and less."""
    share = min(1.0, max(0.0, 2.0 - lost_for_s / KEEPS_DUTY_S)) * (1.0 - state.unlearned_share)
    return settings.fallback_duty_max + max(0.0, _recent_duty(state, inputs) - settings.fallback_duty_max) * share


def _precaution(
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
    choice: FallbackDuty,
    *,
    now_ms: int,
    lost_for_s: float,
    may_heat: bool,
) -> FallbackDuty:
    """Return a choice, or a higher duty if frost cannot be ruled out."""
    temperature, stuck_duty = inputs.temperature, _stuck_duty(state)
    # A stuck sensor, or one of two that contradict each other, at least gives a possible temperature: see `frost_duty`.
    is_unknown = temperature.coldest_c is None or stuck_duty is not None
    delay_s = precaution_delay_s(settings, state.last_known_c, mode=inputs.effective.mode, outdoor_c=inputs.outdoor_c)
    if not may_heat or not is_unknown or lost_for_s < delay_s:
        return choice
    learned_for_s = None if state.learned_at_ms is None else (now_ms - state.learned_at_ms) / 1000.0
    learned_duty = stuck_duty
    if learned_duty is None and learned_for_s is not None:
        learned_duty = _recent_duty(state, inputs) + state.unlearned_share * FROST_DUTY_LATER
    duty = precautionary_duty(
        settings,
        inputs.others_c,
        inputs.peers,
        learned_duty=learned_duty,
        learned_for_s=learned_for_s or 0.0,
        outdoor_c=inputs.outdoor_c,
    )
    if duty <= max(choice.duty, pi_controller.NO_DUTY):
        return choice
    reason = (
        f"frost precaution at {duty:.0%}: no usable sensor for {lost_for_s / HOUR_S:.0f} h ({temperature.problem}), so"
        " the temperature is unknown"
    )
    return FallbackDuty(duty, reason, is_urgent=True, is_precautionary=True)


def _estimate_c(inputs: ZoneInputs, frost_c: float) -> float:
    """Return an estimate of the temperature near an unmeasured zone, for frost protection.

    It is the median of the other zones, else the zone's own warmest value, at most `MILD_C`. A sensor of the zone that
    may be right counts as much as that.
    """
    own_c, warmest_c = inputs.temperature.coldest_c, inputs.temperature.warmest_c
    if inputs.others_c:
        beside_c: float | None = median_high(inputs.others_c)
    else:
        beside_c = None if warmest_c is None else min(warmest_c, MILD_C)
    if own_c is None or beside_c is None:
        return next((known_c for known_c in (own_c, beside_c) if known_c is not None), frost_c)
    return (own_c + beside_c) / 2.0
