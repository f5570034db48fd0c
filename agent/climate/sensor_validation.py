"""Rejects implausible jumps: control ignores a new value until it persists or another sensor confirms it. Pure.

The plausibility check of readings accepts three values in agreement, however far they jumped, because the cloud must
not lose data. Control must be stricter: a sensor that jumps to 47 °C would have its room cooled to the frost. And it
must not be too strict: a wrong first or last value must not lock out a sensor that is right.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from agent.climate.fusion import DISAGREE_K, INDOOR_C_MAX, INDOOR_C_MIN, SensorReading, SensorSample
from agent.climate.sensor_rhythm import SilenceAllowance
from hal.interface import Quality

JUMP_K = 4.0
"""The immediate effect of a touch, a draught or a coarse resolution."""

RATE_K_PER_H = 12.0
"""The fastest change in eight rooms recorded over four months: 0.2 °C a minute (Candanedo et al. 2017)."""

TOLERANCE_GROWTH_K_PER_H = 1.0
"""The accepted jump of a suspect sensor grows at this rate, so that a sensor that was moved for good is not locked out.
The rate is slow: meanwhile the room gets its usual heat, and a sensor that was moved within the home is valid again as
soon as it agrees with the home."""

CONFIRMED_MS = 3_600_000
"""Values that agree for this long are confirmed. Before that, a contradicting value needs to last only as long."""

HABITABLE_C_MIN = 10.0
HABITABLE_C_MAX = 28.0
"""The range of inhabited rooms: a persistent value within it is more likely right than wrong."""

STEADY_K = 2.0
"""Values within this distance of each other count as the same value."""

HOUR_MS = 3_600_000


class ValidationState(
    msgspec.Struct,
    frozen=True,
    rename={"is_suspect": "is_doubted", "candidate_c": "claim_c", "candidate_since_ms": "claim_ms"},
):
    """The validity of one sensor. `rename` keeps the names in `climate.json`.

    Attributes:
        value_c: Its last valid value.
        at_ms: The boot time of that value.
        is_suspect: It has jumped since.
        since_ms: Since when its values agree; `None` once they are confirmed.
        candidate_c: The value that a suspect sensor repeats; `None` for a valid sensor.
        candidate_since_ms: Since when it repeats that value.
    """

    value_c: float
    at_ms: int
    is_suspect: bool = False
    since_ms: int | None = None
    candidate_c: float | None = None
    candidate_since_ms: int = 0


def validate(
    state: ValidationState | None, *, value_c: float, at_ms: int, references_c: Sequence[float] = ()
) -> ValidationState | None:
    """Return the validity of a sensor after another good reading.

    Args:
        state: Before the reading; `None` for a sensor that has not reported yet.
        value_c: The reading. A value outside the indoor range changes nothing.
        at_ms: Its boot time. A reading that is not newer changes nothing.
        references_c: The median of all other zones, and the valid values of the zone's other sensors. A jump that comes
            near to one of them is valid.
    """
    if not INDOOR_C_MIN <= value_c <= INDOOR_C_MAX:
        return state
    if state is None:
        return ValidationState(value_c, at_ms, since_ms=at_ms)
    if at_ms <= state.at_ms:
        return state
    since_ms = state.since_ms
    rate_k_per_h = TOLERANCE_GROWTH_K_PER_H if state.is_suspect else RATE_K_PER_H
    is_possible = abs(value_c - state.value_c) <= JUMP_K + rate_k_per_h * (at_ms - state.at_ms) / HOUR_MS
    if is_possible or any(abs(value_c - reference_c) <= DISAGREE_K for reference_c in references_c):
        if since_ms is not None and at_ms - since_ms >= CONFIRMED_MS:
            since_ms = None
        return ValidationState(value_c, at_ms, since_ms=since_ms)
    candidate_c, candidate_since_ms = state.candidate_c, state.candidate_since_ms
    if candidate_c is None or abs(value_c - candidate_c) > STEADY_K:
        candidate_c, candidate_since_ms = value_c, at_ms
    persists_ms = at_ms - candidate_since_ms
    if _is_confirmed(state, value_c, persists_ms):
        return ValidationState(value_c, at_ms, since_ms=None if persists_ms >= CONFIRMED_MS else candidate_since_ms)
    return ValidationState(
        state.value_c,
        state.at_ms,
        is_suspect=True,
        since_ms=since_ms,
        candidate_c=candidate_c,
        candidate_since_ms=candidate_since_ms,
    )


def _is_confirmed(state: ValidationState, value_c: float, persists_ms: int) -> bool:
    """Return whether a jump has persisted for long enough to be valid."""
    is_habitable = HABITABLE_C_MIN <= value_c <= HABITABLE_C_MAX
    was_habitable = HABITABLE_C_MIN <= state.value_c <= HABITABLE_C_MAX
    if state.since_ms is None:
        return is_habitable and persists_ms >= CONFIRMED_MS
    if value_c > HABITABLE_C_MAX and was_habitable:
        # The room would be cooled because of it. Only `TOLERANCE_GROWTH_K_PER_H` may make it valid.
        return False
    return persists_ms >= max(1, min(CONFIRMED_MS, state.at_ms - state.since_ms))


def sample_zone(
    validations: Mapping[str, ValidationState],
    sensors: Sequence[tuple[str, float]],
    readings: Mapping[str, SensorReading],
    *,
    now_ms: int,
    stale_s: float,
    home_median_c: float | None,
    allowances: Mapping[str, SilenceAllowance] = MappingProxyType({}),
) -> tuple[list[SensorSample], dict[str, ValidationState]]:
    """Return one sample of each sensor of a zone that has reported, and the validations that have changed.

    Args:
        validations: Of all sensors, by name.
        sensors: The names and weights of the zone's sensors.
        readings: The latest reading of each sensor that has any, by name.
        now_ms: Boot time.
        stale_s: An older value of another sensor confirms nothing.
        home_median_c: The median of all other zones; `None` if it is unknown.
        allowances: How long each sensor may be silent, by name.
    """
    changed: dict[str, ValidationState] = {}
    samples = []
    for name, weight in sensors:
        reading = readings.get(name)
        if reading is None:
            continue
        state = changed.get(name) or validations.get(name)
        if reading.quality is Quality.GOOD and (state is None or state.at_ms < reading.at_ms):
            references_c = [] if home_median_c is None else [home_median_c]
            for other, _ in sensors:
                known = changed.get(other) or validations.get(other)
                if other != name and known is not None and _is_reference(known, readings.get(other), now_ms, stale_s):
                    references_c.append(known.value_c)
            state = validate(state, value_c=reading.value_c, at_ms=reading.at_ms, references_c=references_c)
            if state is not None:
                changed[name] = state
        last_valid_c = state.value_c if state is not None and state.is_suspect else None
        age_s = max(0, now_ms - reading.at_ms) / 1000.0
        samples.append(
            SensorSample(name, reading.value_c, age_s, reading.quality, weight, last_valid_c, allowances.get(name))
        )
    return samples, changed


def _is_reference(state: ValidationState, reading: SensorReading | None, now_ms: int, stale_s: float) -> bool:
    """Return whether a sensor's last valid value can confirm another sensor's jump."""
    is_good = reading is not None and reading.quality is Quality.GOOD
    return is_good and not state.is_suspect and now_ms - state.at_ms <= stale_s * 1000
