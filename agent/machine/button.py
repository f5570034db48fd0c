"""What a person asks with the hub's button: hold it, then release it. Pure.

Acts on the release only, so a person who has held it too long holds on, and nothing happens. A button that is stuck,
or was held over a restart, asks nothing. Must never ask for what cannot be undone: a reset waits for a confirmation.
"""

from enum import Enum

import msgspec

DEBOUNCE_MS = 50
"""A level counts once it has lasted this long: contacts bounce for 10 ms, old ones for 20."""

PAIR_MS = 3_000
RESET_MS = 10_000

STUCK_MS = 30_000
"""Nobody holds a button this long on purpose."""

GAP_MS_MAX = 2_000
"""The button is read four times a second while it is held. After a longer gap its state in between is unknown."""


class Request(Enum):
    """What a person asks."""

    PAIR = "pair"
    RESET = "reset"


class Hold(Enum):
    """How long the button has been held, as far as it matters."""

    RELEASED = 0
    SHORT = 1
    PAIR = 2
    RESET = 3
    STUCK = 4


class ButtonState(msgspec.Struct, frozen=True):
    """What is remembered from look to look.

    Attributes:
        level: The last level seen.
        level_since_ms: Since when it has been that level; `None` before the first look.
        looked_ms: The last look.
        held_since_ms: Since when it has been held; `None` while it is released.
        is_armed: It has been seen released since the start, or since nobody knew what it did.
        is_stuck: It has been held for longer than anybody would; until it is released.
    """

    level: bool = False
    level_since_ms: int | None = None
    looked_ms: int | None = None
    held_since_ms: int | None = None
    is_armed: bool = False
    is_stuck: bool = False


def hold(state: ButtonState) -> Hold:
    """Return how long the button has been held at the last look."""
    if state.is_stuck:
        return Hold.STUCK
    if state.held_since_ms is None or state.looked_ms is None or not state.is_armed:
        return Hold.RELEASED
    held_ms = state.looked_ms - state.held_since_ms
    return Hold.RESET if held_ms >= RESET_MS else Hold.PAIR if held_ms >= PAIR_MS else Hold.SHORT


def is_settled(state: ButtonState) -> bool:
    """Return whether nothing happens without another change of the level: nobody has to look before that."""
    if state.level_since_ms is None or state.looked_ms is None:
        return False
    if state.is_stuck and state.level:
        return True
    return not state.level and state.held_since_ms is None and state.looked_ms - state.level_since_ms >= DEBOUNCE_MS


def advance(state: ButtonState, *, is_pressed: bool, at_ms: int) -> tuple[ButtonState, Request | None]:
    """Return the next state, and what the person asks with this release.

    Args:
        state: After the look before.
        is_pressed: The level now; it may bounce.
        at_ms: Boot time.
    """
    is_gap = state.looked_ms is not None and not is_settled(state) and at_ms - state.looked_ms > GAP_MS_MAX
    if state.level_since_ms is None or is_gap:
        # How long it has been in this state is unknown, so it has to be released first.
        return ButtonState(is_pressed, at_ms, at_ms), None
    since_ms = state.level_since_ms if is_pressed == state.level else at_ms
    looked = msgspec.structs.replace(state, level=is_pressed, level_since_ms=since_ms, looked_ms=at_ms)
    if at_ms - since_ms < DEBOUNCE_MS:
        return looked, None
    if is_pressed:
        held_since_ms = since_ms if state.held_since_ms is None else state.held_since_ms
        is_stuck = state.is_stuck or at_ms - held_since_ms >= STUCK_MS
        return msgspec.structs.replace(looked, held_since_ms=held_since_ms, is_stuck=is_stuck), None
    released = msgspec.structs.replace(looked, held_since_ms=None, is_armed=True, is_stuck=False)
    if state.held_since_ms is None or not state.is_armed or state.is_stuck:
        return released, None
    held_ms = since_ms - state.held_since_ms
    if held_ms >= STUCK_MS or held_ms < PAIR_MS:
        return released, None
    return released, Request.RESET if held_ms >= RESET_MS else Request.PAIR
