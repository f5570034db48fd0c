"""Whether a sensor's step can be a room's: a value that jumped is not heated or cooled by, until it is borne out. Pure.

The judge of readings takes three values in agreement for the truth, however far they jumped: what is told to the cloud
must not be locked out. A home must be more careful: a sensor that says 47 °C from one minute to the next would have its
room cooled to the frost. And no less careful the other way: a first or last value that was wrong must not lock a sensor
out that is right.
"""

from collections.abc import Sequence

import msgspec

from agent.climate.fusion import DISAGREE_K, INDOOR_C_MAX, INDOOR_C_MIN

JUMP_K = 4.0
"""What a touch, a draught or a coarse resolution does to a sensor at once."""

RATE_K_PER_H = 12.0
"""The fastest of eight rooms recorded over four months: 0.2 °C a minute (Candanedo et al. 2017)."""

TOLERANCE_GROWTH_K_PER_H = 1.0
"""A sensor that was moved for good must not be locked out: what is taken for possible grows by this. Slowly: meanwhile
the room has its usual heat, and a sensor that was moved within the home is believed as soon as it agrees with it."""

CONFIRMED_MS = 3_600_000
"""Values that agree for so long are firm. Before that, what contradicts them needs only to last as long as they did."""

HABITABLE_C_MIN = 10.0
HABITABLE_C_MAX = 28.0
"""What rooms have that people live in: who insists on such a value is more likely right than wrong."""

STEADY_K = 2.0
"""One who insists says the same all the time, give or take this."""

HOUR_MS = 3_600_000


class ValidationState(
    msgspec.Struct,
    frozen=True,
    rename={"is_suspect": "is_doubted", "candidate_c": "claim_c", "candidate_since_ms": "claim_ms"},
):
    """What a sensor said last that was believed.

    Attributes:
        value_c: That.
        at_ms: When, boot time.
        is_suspect: It has said something impossible since.
        since_ms: Since when what it says agrees; `None` once that is firm.
        candidate_c: What a doubted sensor insists on; `None` where it is not doubted.
        candidate_since_ms: Since when.
    """

    value_c: float
    at_ms: int
    is_suspect: bool = False
    since_ms: int | None = None
    candidate_c: float | None = None
    candidate_since_ms: int = 0


def validate(
    known: ValidationState | None, *, value_c: float, at_ms: int, references_c: Sequence[float] = ()
) -> ValidationState | None:
    """Return what is believed of a sensor after another good reading.

    Args:
        known: Before; `None` where it has said nothing yet.
        value_c: The reading; one that no room has changes nothing.
        at_ms: When it was taken; one that is not newer changes nothing.
        references_c: The middle of all other zones, and what the zone's other sensors say that are believed: a doubted
            sensor that comes near to any is believed again.
    """
    if not INDOOR_C_MIN <= value_c <= INDOOR_C_MAX:
        return known
    if known is None:
        return ValidationState(value_c, at_ms, since_ms=at_ms)
    if at_ms <= known.at_ms:
        return known
    since_ms = known.since_ms
    rate_k_per_h = TOLERANCE_GROWTH_K_PER_H if known.is_suspect else RATE_K_PER_H
    is_possible = abs(value_c - known.value_c) <= JUMP_K + rate_k_per_h * (at_ms - known.at_ms) / HOUR_MS
    if is_possible or any(abs(value_c - witness_c) <= DISAGREE_K for witness_c in references_c):
        if since_ms is not None and at_ms - since_ms >= CONFIRMED_MS:
            since_ms = None
        return ValidationState(value_c, at_ms, since_ms=since_ms)
    candidate_c, candidate_since_ms = known.candidate_c, known.candidate_since_ms
    if candidate_c is None or abs(value_c - candidate_c) > STEADY_K:
        candidate_c, candidate_since_ms = value_c, at_ms
    if _is_borne_out(known, value_c, at_ms - candidate_since_ms):
        return ValidationState(
            value_c, at_ms, since_ms=None if at_ms - candidate_since_ms >= CONFIRMED_MS else candidate_since_ms
        )
    return ValidationState(
        known.value_c,
        known.at_ms,
        is_suspect=True,
        since_ms=since_ms,
        candidate_c=candidate_c,
        candidate_since_ms=candidate_since_ms,
    )


def _is_borne_out(known: ValidationState, value_c: float, insists_ms: int) -> bool:
    """Return whether a doubted sensor has insisted for long enough."""
    is_liveable = HABITABLE_C_MIN <= value_c <= HABITABLE_C_MAX
    was_liveable = HABITABLE_C_MIN <= known.value_c <= HABITABLE_C_MAX
    if known.since_ms is None:
        return is_liveable and insists_ms >= CONFIRMED_MS
    if value_c > HABITABLE_C_MAX and was_liveable:
        # The room would be cooled by it: only time can tell, see `TOLERANCE_GROWTH_K_PER_H`.
        return False
    return insists_ms >= max(1, min(CONFIRMED_MS, known.at_ms - known.since_ms))
