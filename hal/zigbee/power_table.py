"""What plugs have reported about their loads, and which of them is to be asked. Knows no zigpy."""

from collections.abc import Callable, Sequence

from hal.radio import PowerState

ASK_S = 150.0
"""A plug is asked when it has been silent for so long, and again after so long: more than it may leave unreported."""


class PowerTable:
    """The last power of each plug, in this run of the hub."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        """Start with none.

        Args:
            monotonic_ms: This boot's clock.
        """
        self._monotonic_ms = monotonic_ms
        self._states: dict[str, PowerState] = {}
        self._asked_ms: dict[str, int] = {}

    def states(self) -> Sequence[PowerState]:
        """Return the last power of each plug that has reported any."""
        return tuple(self._states.values())

    def put(self, ieee: str, watts: float) -> None:
        """Record what a plug draws."""
        self._states[ieee] = PowerState(ieee, watts, self._monotonic_ms())

    def begin_ask(self, ieee: str) -> bool:
        """Return whether a plug is to be asked now; if so, record that it is."""
        now_ms, known = self._monotonic_ms(), self._states.get(ieee)
        contacts_ms = [self._asked_ms.get(ieee), None if known is None else known.heard_ms]
        if any(at_ms is not None and now_ms - at_ms < ASK_S * 1000 for at_ms in contacts_ms):
            return False
        self._asked_ms[ieee] = now_ms
        return True

    def forget(self, ieee: str) -> None:
        """Forget a plug that was removed."""
        self._states.pop(ieee, None)
        self._asked_ms.pop(ieee, None)
