"""The simulated radio as the agent sees it: waits on the event loop for the next report, hands over what is there."""

import asyncio
from collections.abc import Callable, Sequence

from hal.interface import Reading, RelayedSensor
from hal.sim.radio import Radio
from hal.sim.sensors import HandedOut


class SimNetwork:
    """The world's relayed sensors, implementing `hal.interface.SensorNetwork`."""

    def __init__(
        self,
        radio: Radio,
        *,
        monotonic_ms: Callable[[], int],
        advance_to: Callable[[int], None],
        on_handed_out: HandedOut | None,
    ) -> None:
        """Listen from now on.

        Args:
            radio: The world's radio.
            monotonic_ms: This boot's clock.
            advance_to: Brings the world to an instant of its time.
            on_handed_out: Told of every value that is handed over.
        """
        self._radio = radio
        self._monotonic_ms = monotonic_ms
        self._advance_to = advance_to
        self._on_handed_out = on_handed_out
        self._sensors = tuple(device.sensor for device in radio.devices)

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The relayed sensors; they never change."""
        return self._sensors

    @property
    def reports_dropped(self) -> int:
        """How many reports the radio's full buffer lost because nobody fetched them."""
        return self._radio.reports_dropped

    @property
    def readings_garbled(self) -> int:
        """How many readings were refused because they were no numbers."""
        return self._radio.readings_garbled

    async def receive(self) -> Sequence[Reading]:
        """Wait for reports and return the readings of all that have come, oldest first."""
        radio = self._radio
        while True:
            world_ms = self._monotonic_ms() + radio.world_offset_ms
            self._advance_to(world_ms)
            if radio.waiting:
                break
            await asyncio.sleep((radio.due_ms - world_ms) / 1000)
        readings = [reading for report in radio.waiting for reading in report]
        radio.waiting.clear()
        if self._on_handed_out is not None:
            for reading in readings:
                self._on_handed_out(reading.device, reading.source, reading.kind, reading.value, reading.at_ms)
        return readings

    def confirm(self) -> None:
        """Do nothing: a report on the air is sent once, and no radio can be asked for it again."""
