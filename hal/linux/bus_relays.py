"""Relays on a device whose bus can hang: driven by a thread of its own, so that no other output waits for it."""

import logging
import time
from collections.abc import Callable, Sequence

from hal.errors import ActuatorFault
from hal.interface import HvacDemand, ZoneOutput
from hal.linux.bus_threads import DeviceThread
from hal.linux.output_lines import OutputLines, RelayWiring, open_lines
from hal.linux.relays import RelayOutputs, line_values
from hal.linux.resting_lines import LineRests

_log = logging.getLogger(__name__)


class BusRelays:
    """Relays on a device whose bus can hang, implementing `hal.interface.HvacOutputs` with a thread of its own."""

    def __init__(
        self,
        wiring: RelayWiring,
        open_lines: Callable[[RelayWiring], OutputLines] = open_lines,
        monotonic_ms: Callable[[], int] | None = None,
    ) -> None:
        """Store the wiring; the lines are requested with the first demand.

        Args:
            wiring: Assignment of lines to relays, with their minimum off times.
            open_lines: Requests the lines; replaced in tests.
            monotonic_ms: This boot's clock; by default Python's. The control counts a first demand from now.
        """
        self._wiring = wiring
        self._rests = LineRests(wiring.device, wiring.rests_s, monotonic_ms or _monotonic_ms)
        self._relays = RelayOutputs(wiring, lambda wiring: self._rests.keep(open_lines(wiring)))
        self._thread = DeviceThread(wiring.device, "hal-relays", ActuatorFault)

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones with a relay."""
        return self._relays.zones

    async def apply(self, demand: HvacDemand) -> None:
        """Set every line and read it back. Nothing is queued behind a bus that hangs.

        Raises:
            ActuatorFault: A line did not follow or must still rest, the lines cannot be requested, or the bus hangs.
        """
        self._rests.demand(line_values(self._wiring, demand))
        await self._thread.run(lambda: self._relays.set_lines(demand))

    async def close(self) -> None:
        """Switch all lines off and release them, unless the bus hangs: then the unit's ExecStopPost tries again."""
        try:
            await self._thread.run(self._relays.close)
        except ActuatorFault as error:
            _log.error("%s", error)
        finally:
            self._thread.close()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
