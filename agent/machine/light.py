"""What the status LED shows: one pattern for each state of the hub, the most urgent one first. Pure.

The table in docs/hardware.md is this one. A short flash every five seconds is a hub that is well: an LED that is dark
or on shows one that does not work.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from agent.machine.button import Hold

Pattern = tuple[tuple[bool, int], ...]
"""Whether the LED is on and for how many milliseconds, one after the other; then from the beginning."""


class Condition(Enum):
    """How the hub is."""

    WELL = 1
    ATTENTION = 2
    FAULT = 3
    ON_BATTERY = 4


FLASH_MS = 150
PAUSE_MS = 250
CYCLE_MS = 5_000

PAIRING: Pattern = ((True, 500), (False, 500))
RESET: Pattern = ((True, 900), (False, 100))
HELD: Pattern = ((True, 250),)
DARK: Pattern = ((False, 1_000),)


def flashes(count: int) -> Pattern:
    """Return so many short flashes every five seconds."""
    flash = ((True, FLASH_MS), (False, PAUSE_MS))
    rest_ms = CYCLE_MS - count * FLASH_MS - (count - 1) * PAUSE_MS
    return (*(flash * count)[:-1], (False, rest_ms))


_HELD: Mapping[Hold, Pattern] = MappingProxyType(
    {Hold.SHORT: HELD, Hold.PAIR: PAIRING, Hold.RESET: RESET, Hold.STUCK: DARK}
)


def pattern(hold: Hold, condition: Condition, *, is_reset_asked: bool, is_pairing: bool) -> Pattern:
    """Return what the LED shows.

    Args:
        hold: Of the button: while it is held, the LED shows what its release asks.
        condition: Of the hub; its number is that of the flashes.
        is_reset_asked: A reset waits for a person's confirmation.
        is_pairing: Sensors may join.
    """
    if hold is not Hold.RELEASED:
        return _HELD[hold]
    if is_reset_asked:
        return RESET
    return PAIRING if is_pairing else flashes(condition.value)
