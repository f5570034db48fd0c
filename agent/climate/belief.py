"""Whether a sensor's step can be a room's: a value that jumped is not heated or cooled by, until it is borne out. Pure.

The judge of readings takes three values in agreement for the truth, however far they jumped: what is told to the cloud
must not be locked out. A home must be more careful: a sensor that says 47 °C from one minute to the next would have its
room cooled to the frost.
"""

import msgspec

from agent.climate.fusion import DISAGREE_K

JUMP_K = 4.0
"""What a touch, a draught or a coarse resolution does to a sensor at once."""

RATE_K_PER_H = 12.0
"""The fastest of eight rooms recorded over four months: 0.2 °C a minute (Candanedo et al. 2017)."""

FORGET_K_PER_H = 1.0
"""A sensor that was moved for good must not be locked out: what is taken for possible grows by this. Slowly: meanwhile
the room has its usual heat, and a sensor that was moved within the home is believed as soon as it agrees with it."""

H_MS = 3_600_000


class Belief(msgspec.Struct, frozen=True):
    """What a sensor said last that was believed.

    Attributes:
        value_c: That.
        at_ms: When, boot time.
        is_doubted: It has said something impossible since.
    """

    value_c: float
    at_ms: int
    is_doubted: bool = False


def heard(known: Belief | None, *, value_c: float, at_ms: int, house_c: float | None) -> Belief:
    """Return what is believed of a sensor after another good reading.

    Args:
        known: Before; `None` where it has said nothing yet.
        value_c: The reading.
        at_ms: When it was taken; one that is not newer changes nothing.
        house_c: The middle of all other zones: a doubted sensor that comes near to it is believed again.
    """
    if known is None:
        return Belief(value_c, at_ms)
    if at_ms <= known.at_ms:
        return known
    rate_k_per_h = FORGET_K_PER_H if known.is_doubted else RATE_K_PER_H
    is_possible = abs(value_c - known.value_c) <= JUMP_K + rate_k_per_h * (at_ms - known.at_ms) / H_MS
    if is_possible or (house_c is not None and abs(value_c - house_c) <= DISAGREE_K):
        return Belief(value_c, at_ms)
    return known if known.is_doubted else Belief(known.value_c, known.at_ms, is_doubted=True)
