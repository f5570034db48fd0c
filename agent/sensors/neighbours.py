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
"""Two sensors that have exchanged their values are this near to what the other had."""


class _Known:
    """The last two values of one sensor, and what is suspected of it."""

    __slots__ = ("at_ms", "before", "before_ms", "doubted_ms", "other", "reason", "same", "value")

    def __init__(self, value: float, at_ms: int) -> None:
        self.value = self.before = value
        self.at_ms = self.before_ms = at_ms
        self.other: _Known | None = None
        self.same = 0
        self.doubted_ms = 0
        self.reason = ""

    @property
    def is_jumped(self) -> bool:
        return abs(self.value - self.before) >= APART_K_MIN and self.at_ms - self.before_ms <= STEADY_GAP_MS


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
        known.before, known.before_ms = known.value, known.at_ms
        known.value, known.at_ms = value, at_ms
        if known.reason:
            self._review(known)
        elif known.other is not None:
            self._confirm(name, known)
        elif known.is_jumped:
            self._suspect(name, known)
        return known.reason

    def forget(self, name: str) -> None:
        """Forget a sensor that is gone."""
        self._known.pop(name, None)

    def _suspect(self, name: str, known: _Known) -> None:
        for other_name, other in self._known.items():
            if other is known or known.at_ms - other.at_ms > STEADY_GAP_MS:
                continue
            is_exchanged = (
                other.is_jumped
                and abs(known.value - other.before) <= EXCHANGED_K
                and abs(other.value - known.before) <= EXCHANGED_K
            )
            if is_exchanged:
                for each, partner, partner_name in ((known, other, other_name), (other, known, name)):
                    each.other, each.same, each.doubted_ms = partner, 0, known.at_ms
                    each.reason = (
                        f"look which is which (warm each with a hand): it and {partner_name} exchanged their values"
                        " within one reading"
                    )
                return
            if abs(known.value - other.value) <= SAME_K and abs(known.before - other.value) >= APART_K_MIN:
                known.other, known.same = other, 1

    def _confirm(self, name: str, known: _Known) -> None:
        other = known.other
        if other is None or abs(known.value - other.value) > SAME_K:
            known.other = None
            if known.is_jumped:
                self._suspect(name, known)
            return
        known.same += 1
        if known.same >= SAME_READINGS:
            known.doubted_ms = known.at_ms
            known.reason = (
                f"check the wires of this bus: since it jumped to {known.value:.1f} °C the sensor gives the same values"
                f" as {self._name_of(other)}"
            )

    def _review(self, known: _Known) -> None:
        """End a doubt that no longer holds."""
        other = known.other
        is_over = known.at_ms - known.doubted_ms >= DOUBT_MS_MAX
        if other is None or is_over:
            known.other, known.reason = None, ""
        elif known.same:
            if abs(known.value - other.value) > PARTED_K:
                known.other, known.reason = None, ""
        elif known.is_jumped and min(abs(known.value - other.value), abs(known.value - other.before)) <= EXCHANGED_K:
            # It has its own value back; the other ends its doubt at its own reading.
            known.other, known.reason = None, ""

    def _name_of(self, wanted: _Known) -> str:
        return next((name for name, known in self._known.items() if known is wanted), "another sensor")
