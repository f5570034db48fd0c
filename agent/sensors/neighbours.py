"""Finds thermometers of the hub that answer for one another: one with its neighbour's value, or two exchanged. Pure.

Only what happens within one reading shows it, and only where two sensors differ: two that measure the same can answer
for one another without harm. A doubt ends when the values part again, and by itself after `DOUBT_MS_MAX`.
"""

from typing import Final

from agent.sensors.doubts import DOUBT_MS_MAX, STEADY_GAP_MS

APART_K_MIN: Final = 1.0
"""Sensors that were nearer to one another show nothing."""

SAME_K: Final = 0.13
"""Two steps of a DS18B20: the neighbour was read a moment earlier or later."""

SAME_READINGS: Final = 3
PARTED_K: Final = 0.5

EXCHANGED_K: Final = 0.3
DRIFT_FACTOR: Final = 1.5
"""Of two sensors that have exchanged their values, one is this near to what the other had, and as much farther as that
moved in the reading before, with some more."""


class _Known:
    """The last two values of one sensor, and what is suspected of it.

    `drift` is what it moved by in the reading before the last; `gap` how near it has been to `other` since its last
    reading, whichever of the two was read first.
    """

    __slots__ = ("at_ms", "before", "before_ms", "doubted_ms", "drift", "gap", "other", "reason", "same", "value")

    def __init__(self, value: float, at_ms: int) -> None:
        self.value = self.before = value
        self.at_ms = self.before_ms = at_ms
        self.drift = self.gap = 0.0
        self.other: _Known | None = None
        self.same = 0
        self.doubted_ms = 0
        self.reason = ""

    @property
    def is_jumped(self) -> bool:
        return abs(self.value - self.before) >= APART_K_MIN and self.at_ms - self.before_ms <= STEADY_GAP_MS

    def take(self, value: float, at_ms: int) -> None:
        self.drift = self.value - self.before
        self.before, self.before_ms = self.value, self.at_ms
        self.value, self.at_ms = value, at_ms

    def follow(self, other: "_Known | None", gap: float = 0.0) -> None:
        self.other, self.gap, self.same, self.reason = other, gap, 0, ""

    def has_exchanged_with(self, other: "_Known") -> bool:
        """Return whether it has the value that the other had, and the other is nearer to what this one had, or past it.

        One of the two may have moved meanwhile: a pipe warms up by 9 K a minute, and begins to at any time.
        """
        jump = self.value - self.before
        way = self.before - other.before
        tolerance = EXCHANGED_K + DRIFT_FACTOR * abs(other.drift)
        # What goes on as it went before is no jump.
        course = EXCHANGED_K + DRIFT_FACTOR * (abs(self.drift) if self.drift * jump > 0.0 else 0.0)
        is_told_apart = abs(way) >= APART_K_MIN + tolerance + course
        is_crossed = (other.value - other.before) * way > way * way / 2.0
        return is_told_apart and is_crossed and abs(self.value - other.before) <= tolerance


class NeighbourDetector:
    """Compares the thermometers of one hub."""

    def __init__(self) -> None:
        """Know no sensor yet."""
        self._known: dict[str, _Known] = {}

    def observe(self, name: str, value: float, at_ms: int) -> str:
        """Return why a sensor is doubted after one more of its values, as measured."""
        known = self._known.get(name)
        if known is None:
            self._known[name] = _Known(value, at_ms)
            return ""
        gap, was_doubted = known.gap, bool(known.reason)
        known.take(value, at_ms)
        if known.other is not None:
            self._review(known, gap)
        if known.other is None and known.is_jumped and not was_doubted:
            self._suspect(name, known)
        self._compare(known)
        return known.reason

    def forget(self, name: str) -> None:
        """Forget a sensor that is gone."""
        self._known.pop(name, None)

    def _suspect(self, name: str, known: _Known) -> None:
        """Look for a sensor that this one may answer for, or has exchanged its value with."""
        for other_name, other in self._known.items():
            if other is known or known.at_ms - other.at_ms > STEADY_GAP_MS:
                continue
            if other.is_jumped and (known.has_exchanged_with(other) or other.has_exchanged_with(known)):
                for each, partner, partner_name in ((known, other, other_name), (other, known, name)):
                    each.follow(partner)
                    each.doubted_ms = known.at_ms
                    each.reason = (
                        f"look which is which (warm each with a hand): it and {partner_name} exchanged their values"
                        " within one reading"
                    )
                return
            if abs(known.value - other.value) <= SAME_K and abs(known.before - other.value) >= APART_K_MIN:
                known.follow(other, abs(known.value - other.value))

    def _compare(self, known: _Known) -> None:
        """Compare the others with the new value of one: each may have been read a moment before it."""
        for other in self._known.values():
            if other is known:
                continue
            gap = abs(other.value - known.value)
            if other.other is known:
                other.gap = min(other.gap, gap)
            elif (
                other.other is None
                and other.is_jumped
                and 0 <= known.at_ms - other.at_ms <= STEADY_GAP_MS
                and gap <= SAME_K
                and abs(other.before - known.value) >= APART_K_MIN
            ):
                other.follow(known, gap)

    def _review(self, known: _Known, gap: float) -> None:
        """Go on with a suspicion or a doubt, or end it.

        Args:
            known: With its new value.
            gap: How near its last value was to the other's.
        """
        other = known.other
        if other is None or (known.reason and known.at_ms - known.doubted_ms >= DOUBT_MS_MAX):
            known.follow(None)
            return
        known.gap = abs(known.value - other.value)
        if known.same:
            if gap > (PARTED_K if known.reason else SAME_K):
                known.follow(None)
                return
        elif known.reason:
            # It has its own value back; the other ends its doubt at its own reading.
            if known.is_jumped and min(abs(known.value - other.value), abs(known.value - other.before)) <= EXCHANGED_K:
                known.follow(None)
            return
        elif gap > SAME_K or (known.is_jumped and known.gap >= APART_K_MIN):
            known.follow(None)
            return
        known.same += 1
        if known.same >= SAME_READINGS and not known.reason:
            known.doubted_ms = known.at_ms
            known.reason = (
                f"check the wires of this bus: since it jumped the sensor gives the same values as"
                f" {self._name_of(other)}"
            )

    def _name_of(self, wanted: _Known) -> str:
        return next((name for name, known in self._known.items() if known is wanted), "another sensor")
