"""A Zigbee stick and an endpoint at once, as one network of relayed sensors. Decides nothing.

Each part fails alone: a token that has expired keeps no report of the radio back. A device that both know counts as the
first one's.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from hal.errors import NetworkLost
from hal.interface import Reading, RelayedSensor, SensorKind, SensorNetwork
from hal.radio import BinaryState, HasBinarySensors, HasLinks, LimitsSilence, MeasuresPower, PowerState, SensorLink

RETRY_S = 5.0
"""Pause before a part that is lost is received again. It restarts itself, with growing pauses of its own."""


class ClosableNetwork(SensorNetwork, Protocol):
    """A network that holds something open."""

    async def close(self) -> None:
        """Release it."""
        ...


class CombinedNetwork:
    """Several networks.

    Attributes:
        parts: The networks, the one with a radio first.
    """

    def __init__(self, *parts: ClosableNetwork) -> None:
        """Combine networks."""
        self.parts: Sequence[ClosableNetwork] = parts
        self._linked = [part for part in parts if isinstance(part, HasLinks)]
        self._limiting = [part for part in parts if isinstance(part, LimitsSilence)]
        self._binary = [part for part in parts if isinstance(part, HasBinarySensors)]
        self._metering = [part for part in parts if isinstance(part, MeasuresPower)]
        self._receiving: dict[int, asyncio.Task[Sequence[Reading]]] = {}
        self._problems: dict[int, str] = {}

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The sensors of all parts."""
        found: dict[str, RelayedSensor] = {}
        for part in self.parts:
            for sensor in part.sensors:
                found.setdefault(sensor.device, sensor)
        return tuple(found.values())

    @property
    def links(self) -> Sequence[SensorLink]:
        """The links of all parts that have some."""
        found: dict[str, SensorLink] = {}
        for part in self._linked:
            for link in part.links:
                found.setdefault(link.device, link)
        return tuple(found.values())

    @property
    def binary_states(self) -> Sequence[BinaryState]:
        """The contacts and motion sensors of all parts that have some."""
        return [state for part in self._binary for state in part.binary_states]

    @property
    def power_states(self) -> Sequence[PowerState]:
        """What the plugs of all parts that have some draw."""
        return [state for part in self._metering for state in part.power_states]

    def allowed_silence_s(self, device: str, kind: SensorKind) -> float | None:
        """See `hal.radio.LimitsSilence`."""
        known = (part.allowed_silence_s(device, kind) for part in self._limiting)
        return next((each for each in known if each is not None), None)

    @property
    def problem(self) -> str:
        """Why some parts give no reports; empty where all do."""
        return "; ".join(self._problems.values())

    async def receive(self) -> Sequence[Reading]:
        """Wait for readings of any part. A part that is lost is received again after a pause.

        Raises:
            NetworkLost: No part gives reports.
        """
        loop = asyncio.get_running_loop()
        while True:
            for number, part in enumerate(self.parts):
                if number not in self._receiving:
                    pause_s = RETRY_S if number in self._problems else 0.0
                    self._receiving[number] = loop.create_task(_receive(part, pause_s))
            try:
                await asyncio.wait(self._receiving.values(), return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Cancelled in the wait, none may go on; what they have received is for `drain`.
                if not any(each.done() for each in self._receiving.values()):
                    self._cancel()
            number = next(number for number, each in self._receiving.items() if each.done())
            try:
                readings = self._receiving.pop(number).result()
            except NetworkLost as error:
                self._problems[number] = str(error)
                if len(self._problems) == len(self.parts):
                    raise NetworkLost(self.problem) from error
                continue
            self._problems.pop(number, None)
            return readings

    def _cancel(self) -> None:
        for each in self._receiving.values():
            each.cancel()
        self._receiving.clear()

    def drain(self) -> Sequence[Reading]:
        """Return the readings received so far."""
        received: list[Reading] = []
        for each in self._receiving.values():
            if each.done() and not each.cancelled() and each.exception() is None:
                received += each.result()
        self._cancel()
        return [*received, *(reading for part in self.parts for reading in part.drain())]

    def confirm(self) -> None:
        """Acknowledge them to all parts."""
        for part in self.parts:
            part.confirm()

    async def close(self) -> None:
        """Release all parts, whatever one of them does."""
        self._cancel()
        results = await asyncio.gather(*(part.close() for part in self.parts), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


async def _receive(part: SensorNetwork, pause_s: float) -> Sequence[Reading]:
    await asyncio.sleep(pause_s)
    return await part.receive()
