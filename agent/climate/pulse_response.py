"""Whether each pulse of heat shows in the room, where it always did: an air handler, a furnace, a split unit. Pure.

Owns what the pulses of a zone do to its temperature within minutes. Where they are learned to make a clear rise, some
without any are a fault of the equipment, long before the room is cold; and one that still makes it says that the
heating works, whatever a window lets out. Radiators and floors are too slow for that: nothing is said of them.
"""

import msgspec

PULSE_S_MIN = 240.0
"""A shorter pulse shows too little."""

SETTLE_S = 300.0
"""The rise is looked for until so long after the end of the pulse: sensor and air lag behind. Heat that comes again
earlier belongs to the same pulse."""

PULSE_S_MAX = 1200.0
"""Of a longer pulse only this much counts: later the room nears the temperature that full output keeps."""

TYPICAL_K_MIN = 0.6
"""A smaller rise may be noise of the sensor, which makes up to 0.3 K between two values."""

PULSES_MIN = 20
"""So many pulses are learned from before anything is said."""

TEACHING_PULSES = 60
"""The usual rise is the mean of about so many: the first ones of a fault change it little."""

FLAT_SHARE = 0.4
"""A pulse with less than this share of the usual rise has not been seen by the room."""

WORKS_SHARE = 0.5
"""One with this share of it has."""

WORKS_S = 2700.0
"""And it proves the heating for so long."""

FLAT_PULSES = 3
"""So many in a row are a fault: the defrosting of a heat pump and a door take away one, a lost report another."""

FALL_K = 0.2
"""The room has cooled by this from the first of them to the highest value of the last: one that the sun warms, or whose
sensor is stuck, has not. Between two pulses a room cools by more than this without any fault."""

TYPICAL_K_MAX = 8.0


class PulseResponse(msgspec.Struct, frozen=True):
    """What the pulses of a zone do to its temperature.

    Attributes:
        typical_k: The usual rise.
        pulses: How many taught it.
        last_c: The temperature at the last step; `None` before the first.
        start_c: That before the present pulse; `None` between two.
        highest_c: The highest one since.
        on_s: The heating since then.
        off_s: The time since the output went off.
        is_judged: The present pulse has been counted.
        flat: How many pulses in a row made no rise.
        first_c: The temperature before the first of them.
        flat_c: The highest temperature of the last of them.
        proven_s: For how long the last rise proves the heating.
    """

    typical_k: float = 0.0
    pulses: int = 0
    last_c: float | None = None
    start_c: float | None = None
    highest_c: float = 0.0
    on_s: float = 0.0
    off_s: float = 0.0
    is_judged: bool = False
    flat: int = 0
    first_c: float = 0.0
    flat_c: float = 0.0
    proven_s: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the pulses of this zone always show."""
        return self.pulses >= PULSES_MIN and self.typical_k >= TYPICAL_K_MIN

    @property
    def is_failing(self) -> bool:
        """Whether the last pulses had no effect."""
        return self.is_known and self.flat >= FLAT_PULSES and self.flat_c <= self.first_c - FALL_K

    @property
    def is_proven(self) -> bool:
        """Whether a pulse has shown a moment ago that the heating works."""
        return self.is_known and self.proven_s > 0.0


def advance(known: PulseResponse, *, value_c: float, is_heated: bool, dt_s: float) -> PulseResponse:
    """Return what is known after some time.

    Args:
        known: Before.
        value_c: The present temperature of the zone.
        is_heated: Whether its output was on.
        dt_s: The time.
    """
    proven_s = max(0.0, known.proven_s - dt_s)
    if known.start_c is None:
        start_c = known.last_c if is_heated else None
        return msgspec.structs.replace(
            known,
            last_c=value_c,
            start_c=start_c,
            highest_c=value_c,
            on_s=dt_s,
            off_s=0.0,
            is_judged=False,
            proven_s=proven_s,
        )
    on_s, off_s = (known.on_s + dt_s, 0.0) if is_heated else (known.on_s, known.off_s + dt_s)
    has_ended = off_s >= SETTLE_S
    after = msgspec.structs.replace(
        known,
        last_c=value_c,
        highest_c=max(known.highest_c, value_c),
        on_s=on_s,
        off_s=off_s,
        proven_s=proven_s,
        start_c=None if has_ended else known.start_c,
    )
    if known.is_judged or not (has_ended or on_s >= PULSE_S_MAX):
        return after
    return _judge(after, known.start_c) if on_s >= PULSE_S_MIN else after


def _judge(known: PulseResponse, start_c: float) -> PulseResponse:
    """Return what is known after a pulse."""
    rise_k = min(TYPICAL_K_MAX, max(0.0, known.highest_c - start_c))
    is_flat, is_first = rise_k < FLAT_SHARE * known.typical_k, known.flat == 0
    pulses = min(TEACHING_PULSES, known.pulses + 1)
    return msgspec.structs.replace(
        known,
        is_judged=True,
        typical_k=known.typical_k + (rise_k - known.typical_k) / pulses,
        pulses=pulses,
        flat=known.flat + 1 if is_flat else 0,
        first_c=start_c if is_first else known.first_c,
        flat_c=known.highest_c,
        proven_s=WORKS_S if rise_k >= WORKS_SHARE * known.typical_k else 0.0,
    )


def pause(known: PulseResponse) -> PulseResponse:
    """Return what stays known over a time that is not measured, and over a restart, in bounds."""
    return PulseResponse(
        typical_k=min(TYPICAL_K_MAX, max(0.0, known.typical_k)), pulses=min(TEACHING_PULSES, max(0, known.pulses))
    )
