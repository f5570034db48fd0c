"""The outputs of the radio between the two threads: demands come from the agent's, states from the radio's.

Never waits. The newest demand replaces the one before.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from hal.line_names import LineName
from hal.radio import RadioOutput, RadioStatus, SensorLink
from hal.zigbee.output_line import (
    DEMAND_S_MAX,
    LineAnswer,
    LineState,
    LineTiming,
    current_demand,
    fault,
    timing_of,
    with_answer,
    with_demand,
)

RADIO_S_MAX = 20.0
"""A radio that is away for longer than this fails all its outputs. A restart takes some seconds."""


class LineUse(msgspec.Struct, frozen=True):
    """A configured line.

    Attributes:
        line: Its name.
        drives: A zone, or a part of the heat source.
        rest_s: The minimum off time of that, in seconds.
    """

    line: LineName
    drives: str
    rest_s: float = 0.0

    @property
    def timing(self) -> LineTiming:
        """The patience with the line."""
        return timing_of(self.line, self.rest_s)


class _Demand(msgspec.Struct, frozen=True):
    """What the control demands of one line.

    Attributes:
        is_on: On, or open.
        since_ms: Since when.
        room_c: The temperature of its room; `None` if it is not known, or not for this line.
    """

    is_on: bool
    since_ms: int
    room_c: float | None = None


class OutputTable:
    """Demands and states of all configured lines.

    Attributes:
        uses: The configured lines.
    """

    def __init__(self, uses: Sequence[LineUse], monotonic_ms: Callable[[], int]) -> None:
        """Start without a demand."""
        self.uses = {str(use.line): use for use in uses}
        self._monotonic_ms = monotonic_ms
        self._states = dict.fromkeys(self.uses, LineState(counted_ms=monotonic_ms()))
        self._demands: Mapping[str, _Demand] = {}
        self._demanded_ms = 0
        self._wakes: Mapping[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._down_ms: int | None = monotonic_ms()

    def demand(self, is_on: Mapping[str, bool], room_c: Mapping[str, float]) -> None:
        """Demand a state of each line, and wake the radio for those that change. Called by the agent."""
        now_ms, before = self._monotonic_ms(), self._demands
        demands = {}
        for line, wanted in is_on.items():
            old = before.get(line)
            since_ms = old.since_ms if old is not None and old.is_on is wanted else now_ms
            demands[line] = _Demand(wanted, since_ms, room_c.get(line))
        self._demands, self._demanded_ms = demands, now_ms
        for line, demand in demands.items():
            if demand.since_ms == now_ms:
                self._wake(line)

    def _wake(self, line: str) -> None:
        loop, wake = self._loop, self._wakes.get(line)
        if loop is not None and wake is not None:
            # The loop of a radio that has ended is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(wake.set)

    def state(self, line: str) -> LineState:
        """Return what is known of a line, under the demand as it counts now."""
        demand = self._demands.get(line)
        if demand is None:
            return self._states[line]
        now_ms = self._monotonic_ms()
        wanted = current_demand(demand.is_on, self._demanded_ms, now_ms)
        return with_demand(self._states[line], wanted, demand.since_ms if wanted is demand.is_on else now_ms)

    def report(self, radio: RadioStatus, links: Mapping[str, SensorLink]) -> list[RadioOutput]:
        """Return what is known of all lines.

        Args:
            radio: The radio's status.
            links: The members of the network, by device.
        """
        return [self._report(use, radio, links.get(use.line.radio_device)) for use in self.uses.values()]

    def _report(self, use: LineUse, radio: RadioStatus, link: SensorLink | None) -> RadioOutput:
        line = str(use.line)
        state, now_ms = self.state(line), self._monotonic_ms()
        problem = _missing(line, link)
        if not problem and self._down_ms is not None and now_ms - self._down_ms > RADIO_S_MAX * 1000:
            # Before anything about the device: without its radio every device is silent.
            problem = radio.problem or "see `climahub zigbee status`: the radio is still starting"
        problem = problem or fault(state, line, use.timing, now_ms)
        alone = False if use.line.chip == "valve" else state.goes_off_alone
        return RadioOutput(line, use.drives, state.wanted, state.is_on, alone, problem)

    def wanted(self, line: str) -> bool | None:
        """Return what is demanded of a line; `None` if nothing is."""
        return self.state(line).wanted if line in self.uses else None

    def room_c(self, line: str) -> float | None:
        """Return the temperature of a line's room; `None` if it is not known, or the control is silent."""
        demand = self._demands.get(line)
        if demand is None or self._monotonic_ms() - self._demanded_ms > DEMAND_S_MAX * 1000:
            return None
        return demand.room_c

    def answered(self, line: str, answer: LineAnswer, *, to: bool | None) -> None:
        """Record the answer to a command or a read, made for the demand ``to``. Called by the radio."""
        state = self.state(line)
        # A newer demand is no failure of the device.
        self._states[line] = with_answer(state, answer, self._monotonic_ms(), is_report=state.wanted is not to)

    def reported(self, line: str, answer: LineAnswer) -> None:
        """Record what a device has reported by itself, and have it corrected. Called on the radio's loop."""
        if line in self._states:
            self._states[line] = with_answer(self.state(line), answer, self._monotonic_ms(), is_report=True)
            if (wake := self._wakes.get(line)) is not None:
                wake.set()

    def begin(self) -> None:
        """Let the radio's loop be woken. Called on it."""
        self._wakes = {line: asyncio.Event() for line in self.uses}
        self._loop = asyncio.get_running_loop()
        self._down_ms = None

    def end(self) -> None:
        """Record that the radio serves no output any more. Called on its loop."""
        self._down_ms = self._monotonic_ms()

    async def changed(self, line: str, timeout_s: float) -> None:
        """Wait until a demand or a report changes a line, at most for a time."""
        wake = self._wakes[line]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await wake.wait()
        wake.clear()


def _missing(line: str, link: SensorLink | None) -> str:
    """Return why there is no such line, remedy first; empty if there is one."""
    if link is None:
        return f"pair the device of {line} (climahub zigbee pair): it is not in this hub's network"
    if not link.is_interviewed or line in link.outputs:
        return ""
    if not link.outputs:
        return f"name another device than that of {line}: it has nothing to switch"
    return f"name {' or '.join(link.outputs)} in place of {line}: its device has no such output"
