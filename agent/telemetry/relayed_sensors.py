"""Receives the reports of relayed sensors and checks them as the hub's own."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from agent.telemetry.intake import CHANNELS_MAX, Identities, Intake
from hal.bounded_table import BoundedTable
from hal.errors import NetworkLost
from hal.interface import HasParts, Quality, Reading, SensorKind, SensorNetwork
from hal.plausibility import PlausibilityCheck

_log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Pause before a lost network is read again. The network restarts itself, with growing pauses of its own."""


class RelayedSensorReceiver:
    """The loop that reads a network of sensors.

    Attributes:
        skipped: Readings of removed sensors, which are not taken in.
    """

    def __init__(
        self,
        network: SensorNetwork,
        *,
        intake: Intake,
        kinds: Callable[[], frozenset[SensorKind] | None],
        identities: Identities,
    ) -> None:
        """Prepare.

        Args:
            network: The radio, or a recording of one.
            intake: Where readings go.
            kinds: Returns the enabled kinds; `None` for all.
            identities: Tells which sensors have been removed.
        """
        self._network = network
        self._intake = intake
        self._kinds = kinds
        self._identities = identities
        self._checks = BoundedTable[tuple[str, SensorKind], PlausibilityCheck](CHANNELS_MAX)
        self._problem = ""
        self._combined = network if isinstance(network, HasParts) else None
        self.skipped = 0

    @property
    def problem(self) -> str:
        """Why no reports come, or none of a part of the network; empty while they do."""
        return self._problem or (self._combined.problem if self._combined else "")

    async def run(self) -> None:
        """Receive, until cancelled."""
        while True:
            try:
                readings = await self._network.receive()
            except NetworkLost as error:
                if not self._problem:
                    _log.warning("no reports from relayed sensors: %s", error)
                self._problem = str(error)
                await asyncio.sleep(RETRY_S)
                continue
            self._problem = ""
            # No await before all are offered: `Intake` confirms to the network what it holds, and this must be in it.
            self._offer(readings)

    def finish(self) -> None:
        """Take in what the network has delivered and `run` can no longer receive."""
        self._offer(self._network.drain())

    def _offer(self, readings: Sequence[Reading]) -> None:
        kinds = self._kinds()
        for reading in readings:
            if not self._identities.is_relayed(reading.device):
                self.skipped += 1
                continue
            self._intake.offer(self._checked(reading), is_reported=kinds is None or reading.kind in kinds)

    def _checked(self, reading: Reading) -> Reading:
        key = (reading.device, reading.kind)
        if reading.quality is not Quality.GOOD:
            # A value that the network itself doubts must not be the reference for later ones: a fresh check.
            quality, reason = PlausibilityCheck(reading.kind).check(reading.value, reading.at_ms)
            return (
                msgspec.structs.replace(reading, quality=quality, reason=reason) if quality is Quality.BAD else reading
            )
        check = self._checks.get(key)
        if check is None:
            check = PlausibilityCheck(reading.kind)
            self._checks.put(key, check)
        quality, reason = check.check(reading.value, reading.at_ms)
        if not reason:
            return reading
        return msgspec.structs.replace(reading, quality=quality, reason=reason)
