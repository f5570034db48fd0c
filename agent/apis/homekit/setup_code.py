"""The setup code, with which a person pairs the Home app: made on request, in memory only, for one pairing. Pure.

Must never be written anywhere. Whoever guesses has ten tries of a hundred million, then there is no code.
"""

import msgspec

from agent.foundation.secret_hash import RandomBytes

CODE_S_MAX = 3600.0
"""How long a code can be used: a technician makes it, and the owner of the home types it."""

WRONG_MAX = 10
"""Wrong codes; after them the code is void, and somebody at the hub makes another."""

STARTS_MAX = 12
STARTS_WINDOW_S = 60.0
"""Attempts to pair, right or wrong, in this time: each costs a small board a quarter of a second of its event loop."""

_DIGITS = 8
_TOO_SIMPLE = frozenset({"12345678", "87654321", *(str(digit) * _DIGITS for digit in range(10))})
"""Codes that the protocol forbids (HomeKit Accessory Protocol, R2, 4.2.1.2)."""


class SetupCode(msgspec.Struct, frozen=True):
    """A code and its use.

    Attributes:
        digits: As a person types it: "123-45-678". A secret.
        made_ms: Boot time.
        wrong: How many wrong codes were sent since then.
        window_ms: Boot time since which attempts are counted.
        starts: Attempts in the present window.
    """

    digits: str
    made_ms: int
    wrong: int = 0
    window_ms: int = 0
    starts: int = 0

    def __repr__(self) -> str:
        """Leave the code out: a representation may reach a log."""
        return f"SetupCode(wrong={self.wrong})"

    def left_s(self, now_ms: int) -> float:
        """Return how long it can still be used; 0 where it cannot."""
        if self.wrong >= WRONG_MAX:
            return 0.0
        return max(0.0, CODE_S_MAX - (now_ms - self.made_ms) / 1000)

    def admits(self, now_ms: int) -> bool:
        """Tell whether somebody may go on pairing with it."""
        is_crowded = self.starts > STARTS_MAX and now_ms - self.window_ms < STARTS_WINDOW_S * 1000
        return self.left_s(now_ms) > 0 and not is_crowded


def make_code(random_bytes: RandomBytes, now_ms: int) -> SetupCode:
    """Return a new code."""
    while True:
        # Of 2**128 numbers the first ones are more probable by one in 10**30.
        digits = f"{int.from_bytes(random_bytes(16)) % 10**_DIGITS:0{_DIGITS}}"
        if digits not in _TOO_SIMPLE:
            return SetupCode(f"{digits[:3]}-{digits[3:5]}-{digits[5:]}", now_ms)


def with_wrong(code: SetupCode) -> SetupCode:
    """Return the code after somebody has sent a wrong one."""
    return msgspec.structs.replace(code, wrong=code.wrong + 1)


def with_start(code: SetupCode, now_ms: int) -> SetupCode:
    """Return the code after somebody has begun to pair."""
    if now_ms - code.window_ms >= STARTS_WINDOW_S * 1000:
        return msgspec.structs.replace(code, window_ms=now_ms, starts=1)
    return msgspec.structs.replace(code, starts=code.starts + 1)
