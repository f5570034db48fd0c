"""An event loop whose time runs faster than real time, and the machine clock that goes with it.

Time passes while the loop waits, and never beyond the next timer; it stands still while the loop works. So a request
between two tasks of this loop cannot time out because the machine is busy: the house then runs slower than requested.
Sockets, files and threads are real.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVarTuple

_Ts = TypeVarTuple("_Ts")

_SERVES_PEOPLE: ContextVar[bool] = ContextVar("serves_people", default=False)

UPTIME_S = 180.0
"""The machine's uptime when the demo begins: long enough for a free quota (`agent.cloud.quota`)."""


ROUNDING_S = 1e-6
"""More than the error of converting an instant."""


class PacedSelector(selectors.BaseSelector):
    """A selector that waits a fraction of the requested time, and counts the time that has passed.

    On `select(2)`: its timeouts are in microseconds, while those of `epoll(7)` end at whole milliseconds, a minute of a
    house that runs 60,000 times faster.
    """

    def __init__(self, speed: float, real_s: Callable[[], float]) -> None:
        """Begin at 0.

        Args:
            speed: How many seconds pass in a real one.
            real_s: A real clock.
        """
        self._inner = selectors.SelectSelector()
        self._speed = speed
        self._real_s = real_s
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, or until ``timeout`` paced seconds have passed."""
        began_s = self._real_s()
        ready = self._inner.select(None if timeout is None else timeout / self._speed)
        passed_s = (self._real_s() - began_s) * self._speed
        if timeout is not None and (passed_s > timeout or not ready):
            passed_s = max(0.0, timeout)
        self.now_s += passed_s
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 - as inherited
        """Watch a file."""
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401 - as inherited
        """Stop watching a file."""
        return self._inner.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return the watched files."""
        return self._inner.get_map()

    def close(self) -> None:
        """Release the files."""
        self._inner.close()


def people_context() -> Context:
    """Return a context in which the time of a `PacedLoop` is that of people: sleeping an hour takes an hour."""
    context = copy_context()
    context.run(_SERVES_PEOPLE.set, True)
    return context


class PacedLoop(asyncio.SelectorEventLoop):
    """An event loop in which sleeping an hour takes an hour divided by the speed, except in a `people_context`.

    A task and the callbacks that it makes inherit its context: timers of both kinds can be mixed in one loop.
    """

    def __init__(self, speed: float, real_s: Callable[[], float]) -> None:
        """Begin at time 0.

        Args:
            speed: How many seconds pass in a real one.
            real_s: A real clock.
        """
        self._paced = PacedSelector(speed, real_s)
        self._speed = speed
        super().__init__(self._paced)

    def house_s(self) -> float:
        """Return the paced seconds since the beginning, whoever asks."""
        return self._paced.now_s

    def time(self) -> float:
        """Return the paced seconds since the beginning; in a `people_context` those of people."""
        return self._paced.now_s / self._speed if _SERVES_PEOPLE.get() else self._paced.now_s

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call something at an instant of `time`."""
        # Rounded up: a callback that finds itself too early asks again at once, and time stands still meanwhile.
        paced_s = when * self._speed + ROUNDING_S if _SERVES_PEOPLE.get() else when
        return super().call_at(paced_s, callback, *args, context=context)


class PacedClock:
    """The clocks of a machine in paced time, implementing `agent.foundation.clock.Clock`; right from the start."""

    boot_id = "demo"

    def __init__(self, loop_s: Callable[[], float], start_utc_ms: int) -> None:
        """Set it.

        Args:
            loop_s: The time of the house: `PacedLoop.house_s`.
            start_utc_ms: UTC at the loop's time 0.
        """
        self._loop_s = loop_s
        self.zero_utc_ms = start_utc_ms - int(UPTIME_S * 1000)

    def monotonic_ms(self) -> int:
        """Return milliseconds since the machine's boot."""
        return int((self._loop_s() + UPTIME_S) * 1000)

    def utc_ms(self) -> int:
        """Return UTC in milliseconds since 1970."""
        return self.zero_utc_ms + self.monotonic_ms()
