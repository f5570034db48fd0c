"""A recording as a board: each row's readings arrive at their recorded instant, like reports of relayed sensors.

Owns the position in the recording. Must never change, drop or invent a reading, nor read a clock of its own.
"""

import asyncio
import math
from collections.abc import Callable, Sequence

from hal.interface import HvacOutputs, Reading, RelayedSensor, Sensor
from hal.replay.recording import Recording

ROWS_A_CALL_MAX = 64
"""Overdue rows returned at once: a board that is behind catches up without blocking the event loop."""

_SLEEP_S_MAX = 3600.0
"""A long pause is slept in parts: a loop in virtual time treats a single distant timer as a stopped program."""


class ReplayNetwork:
    """The recorded sensors. Row *i* is due at `start_ms` plus its distance from the first row."""

    def __init__(
        self,
        recording: Recording,
        *,
        monotonic_ms: Callable[[], int],
        start_ms: int,
        on_value: Callable[[Reading], None] | None = None,
    ) -> None:
        self._recording = recording
        self._monotonic_ms = monotonic_ms
        self._start_ms = start_ms
        self._on_value = on_value
        self._next_row = 0
        self._confirmed_row = 0

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The relayed sensors of the map. Readings of the hub's own columns arrive too, with the device `HUB`."""
        return self._recording.sensors

    @property
    def is_finished(self) -> bool:
        """Whether every row was played."""
        return self._next_row >= len(self._recording.instants_ms)

    async def receive(self) -> Sequence[Reading]:
        """Wait for the next row with a reading and return it, together with the following overdue rows.

        Rows are returned in order, at most `ROWS_A_CALL_MAX` at once. After the last row this waits for ever.
        """
        # Consecutive overdue rows must not block the loop.
        await asyncio.sleep(0)
        while True:
            if self.is_finished:
                await asyncio.get_running_loop().create_future()
            wait_ms = self._due_ms(self._next_row) - self._monotonic_ms()
            if wait_ms > 0:
                await asyncio.sleep(min(wait_ms / 1000, _SLEEP_S_MAX))
            elif readings := self._take_overdue():
                return readings

    def drain(self) -> Sequence[Reading]:
        """Return nothing: unacknowledged rows are played again."""
        return ()

    def confirm(self) -> None:
        """Acknowledge all rows played so far: `restart` does not repeat them."""
        self._confirmed_row = self._next_row

    def restart(self, start_ms: int) -> None:
        """Go back to the first unacknowledged row, like a network that survives a crash of the agent.

        Args:
            start_ms: The recording's first instant on the new boot's monotonic clock; negative if it lies before it.
        """
        self._start_ms = start_ms
        self._next_row = self._confirmed_row

    def _due_ms(self, row: int) -> int:
        instants_ms = self._recording.instants_ms
        return self._start_ms + instants_ms[row] - instants_ms[0]

    def _take_overdue(self) -> list[Reading]:
        """Return the readings of the rows that are due now; may be empty."""
        now_ms = self._monotonic_ms()
        end_row = min(self._next_row + ROWS_A_CALL_MAX, len(self._recording.instants_ms))
        readings: list[Reading] = []
        while self._next_row < end_row and (at_ms := self._due_ms(self._next_row)) <= now_ms:
            readings += self._row(self._next_row, at_ms)
            self._next_row += 1
        if self._on_value:
            for reading in readings:
                self._on_value(reading)
        return readings

    def _row(self, row: int, at_ms: int) -> list[Reading]:
        return [
            Reading(channel.device, channel.column, channel.kind, values[row], at_ms)
            for channel, values in zip(self._recording.channels, self._recording.values, strict=True)
            if not math.isnan(values[row])
        ]


class ReplayBoard:
    """A hub whose readings come from a recording; it has no outputs and no polled sensors."""

    def __init__(
        self,
        recording: Recording,
        *,
        monotonic_ms: Callable[[], int],
        start_ms: int,
        on_value: Callable[[Reading], None] | None = None,
    ) -> None:
        """Start at the first row.

        Args:
            recording: A recording loaded by `hal.replay.load`.
            monotonic_ms: The boot's monotonic clock.
            start_ms: The recording's first instant on that clock.
            on_value: Called for each played reading, to verify that none is lost.
        """
        self._network = ReplayNetwork(recording, monotonic_ms=monotonic_ms, start_ms=start_ms, on_value=on_value)

    @property
    def name(self) -> str:
        """The kind of board."""
        return "replay"

    @property
    def sensors(self) -> Sequence[Sensor]:
        """None: a recording has no values between its rows."""
        return ()

    @property
    def network(self) -> ReplayNetwork:
        """The network that delivers all readings."""
        return self._network

    @property
    def outputs(self) -> HvacOutputs | None:
        """None."""
        return None

    @property
    def is_finished(self) -> bool:
        """Whether every row was played."""
        return self._network.is_finished

    def restart(self, start_ms: int) -> None:
        """Go back to the first unacknowledged row.

        Args:
            start_ms: The recording's first instant on the new boot's monotonic clock; negative if it lies before it.
        """
        self._network.restart(start_ms)

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""
