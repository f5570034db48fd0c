"""Detectors of a sensor that is wrong although each single value could be true. Pure: no clock, no I/O.

Each detector sees the values of one sensor as measured, before any correction, and returns why it is doubted, in words
that begin with the remedy; empty while it is not. `hal.plausibility` judges single values before; sensors that are
compared with others are judged in `neighbours`.

No detector may lock a working sensor out: a doubt ends as soon as the value behaves again, and what no later value can
disprove ends by itself after `DOUBT_MS_MAX`.
"""

from collections import deque
from itertools import pairwise
from math import log
from typing import Final

DOUBT_MS_MAX: Final = 6 * 3_600_000
"""After this a value that stays where it jumped to is believed: somebody may have moved the sensor."""

POWER_UP_C: Final = 85.0
LOW_POWER_C: Final = 127.9375
"""DS18B20 data sheet, "Temperature Register": 85 °C after power-up. 127.94 °C: a conversion that ran out of power reads
as ones (Documentation/ABI/testing/sysfs-driver-w1_therm, `features`)."""

PIPE_C: Final = 70.0
"""What was this warm before may be at 85 °C: a pipe of a boiler."""

STEADY_GAP_MS: Final = 90_000
"""Only values that are not farther apart show how a change went on. Between two reports of five minutes a sensor in a
draught changes as completely as a broken one."""

JUMP_K_MIN: Final = 2.0
JUMP_SHARE: Final = 0.1
"""A thermometer in a room answers to any change of its air over minutes, so the largest change within a minute has a
neighbour of at least a quarter of it (time constant 40 s and longer). A change of this many kelvins between two values,
with less than this share of it before and after, is one of the electronics."""

ERRATIC_K: Final = 1.0
ERRATIC_READINGS: Final = 12
ERRATIC_TURNS_MIN: Final = 5
"""So many turns back and forth by so much, within so many readings: a loose contact. Air at a door does it once or
twice."""

WINDOW_READINGS: Final = 60
WINDOWS_MIN: Final = 4
WINDOWS_KEPT: Final = 14 * 24
KNOWN_MS_MIN: Final = 24 * 3_600_000
"""How often a sensor changes is counted over so many readings; the quietest of the last windows counts (two weeks, of a
sensor that is read each minute), and nothing before a day has been seen."""

QUIETER: Final = 2.0
"""A sensor may change half as often as it ever has, and repeat its value twice as often. The first counts where steps
are coarse: the value may rest in the middle of one. The second counts where the noise is larger than a step: of it, the
root of two is for a run at the most frequent value against a single repetition, the other root for less noise."""

FROZEN_EVIDENCE: Final = 14.0
"""Natural logarithm of the odds: once in a million readings of a sensor that is as quiet as `QUIETER` allows, which is
two years of one a minute. Sensors are not: chips with noise of 0.3 to 8 steps, in rooms that stand still for days, come
to 7 in some years (`tests/unit/sensors/test_doubts.py` has some weeks of them)."""

FROZEN_READINGS_MIN: Final = 10
"""The channel of a chip that is read most often has repeated its value so often, and each other one at least once."""

CHANGE_SHARE_MAX: Final = 0.95
"""A sensor that has changed with each reading so far is taken to repeat one in twenty."""

GRID: Final = 16
"""Steps in a kelvin of a DS18B20 or TMP102: their numbers have the bits of the value, so a stuck one shows."""

BITS: Final = range(4, 9)
"""1 K (bit 4 of the grid) to 16 K. A lesser one does no harm."""

BIT_JUMPS_MIN: Final = 3
BIT_TOLERANCE: Final = 0.1
BIT_NEIGHBOUR_SHARE: Final = 0.2
"""So many jumps by the weight of one bit, with a tenth of it more or less and a change of at most a fifth of it after
each, while the bit never changed. A true change by this much turns the bit in at least nine of ten cases. Shares from 0
to 0.9 find stuck bits equally soon (docs/sensors.md)."""


def power_up_reason(value: float, before: float | None) -> str:
    """Return why a value of a DS18B20 is none.

    Args:
        value: In degrees Celsius.
        before: The last one that was different; `None` without any.
    """
    if value == POWER_UP_C and (before is None or before < PIPE_C):
        return "check the sensor's supply wire: it has lost power, 85.00 °C is its value before it has measured"
    if abs(value - LOW_POWER_C) < 1.0 / GRID:
        return "give the sensor a supply wire (3 wires instead of 2): 127.94 °C means too little power to measure"
    return ""


class JumpDetector:
    """Finds a room thermometer that jumps within one reading, and stays there."""

    __slots__ = ("_after", "_at_ms", "_before", "_change", "_is_doubted", "_is_pending", "_jumped_ms", "_value")

    def __init__(self) -> None:
        """Know nothing yet."""
        self._value: float | None = None
        self._at_ms = 0
        self._change: float | None = None
        self._before = self._after = 0.0
        self._jumped_ms = 0
        self._is_pending = self._is_doubted = False

    def observe(self, value: float, at_ms: int) -> str:
        """Return why the sensor is doubted after one more value."""
        last, change_before = self._value, self._change
        is_steady = at_ms - self._at_ms <= STEADY_GAP_MS
        self._value, self._at_ms = value, at_ms
        if last is None:
            return ""
        change = abs(value - last)
        self._change = change if is_steady else None
        if self._is_doubted:
            return self._still(value, at_ms)
        if self._is_pending:
            self._is_pending = False
            if is_steady and change <= JUMP_SHARE * abs(self._after - self._before):
                self._is_doubted = True
                return self._reason()
        if change < JUMP_K_MIN or not is_steady or change_before is None or change_before > JUMP_SHARE * change:
            return ""
        self._before, self._after, self._jumped_ms, self._is_pending = last, value, at_ms, True
        return ""

    def _still(self, value: float, at_ms: int) -> str:
        is_back = abs(value - self._before) < abs(value - self._after)
        self._is_doubted = not is_back and at_ms - self._jumped_ms < DOUBT_MS_MAX
        return self._reason() if self._is_doubted else ""

    def _reason(self) -> str:
        return (
            "check the sensor's plug and wires: its value jumped from"
            f" {self._before:.1f} to {self._after:.1f} °C between two readings and stays there; air in a room does not"
        )


class ErraticDetector:
    """Finds a thermometer whose value goes back and forth, as with a loose contact."""

    __slots__ = ("_at_ms", "_is_doubted", "_turns", "_value")

    def __init__(self) -> None:
        """Know nothing yet."""
        self._value: float | None = None
        self._at_ms = 0
        self._turns: deque[int] = deque(maxlen=ERRATIC_READINGS)
        self._is_doubted = False

    def observe(self, value: float, at_ms: int) -> str:
        """Return why the sensor is doubted after one more value."""
        last, self._value = self._value, value
        is_steady = at_ms - self._at_ms <= STEADY_GAP_MS
        self._at_ms = at_ms
        if last is None:
            return ""
        change = value - last
        if not is_steady:
            self._turns.clear()
        if -ERRATIC_K < change < ERRATIC_K:
            if self._turns:
                self._turns.append(0)
                self._settle()
        else:
            self._turns.append(1 if change > 0 else -1)
            self._settle()
        return "check the sensor's plug and wires: its value jumps back and forth" if self._is_doubted else ""

    def _settle(self) -> None:
        moves = [turn for turn in self._turns if turn]
        turns = sum(a != b for a, b in pairwise(moves))
        if not moves:
            self._turns.clear()
        # Once doubted, it is until no such move is left.
        self._is_doubted = turns >= ERRATIC_TURNS_MIN or (self._is_doubted and bool(moves))


class Liveliness:
    """How often the value of one channel changes, and how improbable it is that it does not now."""

    __slots__ = ("_changes", "_count", "_shares", "_since_ms", "_value", "_weight", "at_ms", "is_frozen", "run")

    def __init__(self) -> None:
        """Know nothing yet.

        `run` is how many readings in a row have repeated the value, `at_ms` the time of the last one. `is_frozen` is
        set from outside: the present run is no measure of how quiet the sensor can be.
        """
        self._value: float | None = None
        self._since_ms: int | None = None
        self.is_frozen = False
        self._count = self._changes = 0
        self._shares: deque[float] = deque(maxlen=WINDOWS_KEPT)
        self._weight = 0.0
        self.run = 0
        self.at_ms = 0

    def observe(self, value: float, at_ms: int) -> None:
        """Take one more value."""
        self.at_ms = at_ms
        if value == self._value:
            self.run += 1
            return
        if self._since_ms is None:
            self._since_ms = at_ms
        if not self.is_frozen and self.evidence < FROZEN_EVIDENCE:
            self._count += self.run + 1
            self._changes += 1
        self._value, self.run, self.is_frozen = value, 0, False
        if self._count >= WINDOW_READINGS:
            self._shares.append(self._changes / self._count)
            self._count = self._changes = 0
            if len(self._shares) >= WINDOWS_MIN and at_ms - self._since_ms >= KNOWN_MS_MIN:
                share = min(CHANGE_SHARE_MAX, *self._shares)
                self._weight = -log(min(1.0 - share / QUIETER, QUIETER * (1.0 - share)))

    @property
    def evidence(self) -> float:
        """The natural logarithm of the odds that a working sensor does not repeat its value so often."""
        return self._weight * self.run


def frozen_reason(channels: "list[Liveliness]") -> str:
    """Return why a chip is doubted whose channels repeat their values.

    Args:
        channels: Of one chip; those that have changed lately speak for it.
    """
    runs = [channel.run for channel in channels if channel.evidence or not channel.run]
    if not runs or not min(runs) or max(runs) < FROZEN_READINGS_MIN:
        return ""
    if sum(channel.evidence for channel in channels) < FROZEN_EVIDENCE:
        return ""
    return (
        f"take the sensor's power away for a moment, or replace it: its last {max(runs) + 1} readings are exactly the"
        " same"
    )


class StuckBitDetector:
    """Finds a bit that never changes in the numbers of a sensor with a grid of 1/16 K.

    Between two numbers nearly a kelvin apart, such as those of a sensor in sun and clouds, the bit may stay as it is,
    too. Air takes minutes for such a change, and goes on meanwhile: a jump counts only if the next change is small.
    """

    __slots__ = ("_at_ms", "_jumped", "_jumps", "_number")

    def __init__(self) -> None:
        """Know nothing yet."""
        self._number: int | None = None
        self._at_ms = 0
        self._jumped: int | None = None
        self._jumps = [0] * len(BITS)

    def observe(self, value: float, at_ms: int) -> str:
        """Return why the sensor is doubted after one more value."""
        number = round(value * GRID)
        last, self._number = self._number, number
        is_steady = at_ms - self._at_ms <= STEADY_GAP_MS
        self._at_ms = at_ms
        if last is None:
            return ""
        step, jumped, self._jumped = abs(number - last), self._jumped, None
        if jumped is not None and is_steady and step <= BIT_NEIGHBOUR_SHARE * (1 << BITS[jumped]):
            self._jumps[jumped] += 1
        change = number ^ last
        if change:
            for index, bit in enumerate(BITS):
                weight = 1 << bit
                if change & weight:
                    self._jumps[index] = 0
                elif is_steady and abs(step - weight) <= BIT_TOLERANCE * weight:
                    self._jumped = index
        for index, bit in enumerate(BITS):
            if self._jumps[index] >= BIT_JUMPS_MIN:
                kelvin = (1 << bit) / GRID
                return f"replace the sensor: the bit worth {kelvin:g} K is stuck, so some readings are off by that"
        return ""


def is_on_grid(value: float) -> bool:
    """Return whether a value can be of a sensor with a grid of 1/16 K; drivers cut it to thousandths."""
    return abs(value * GRID - round(value * GRID)) <= GRID * 0.0006
