"""Any Linux machine as a board: what its kernel already measures, without further hardware.

Owns the one thread on which the kernel's files are read: a chip on a slow or broken bus blocks its reader, and the loop
must not wait for it. Writes nothing to the kernel but the relays' lines.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from hal.errors import HalError, SensorUnavailable
from hal.interface import HvacOutputs, Sensor, SensorKind, SensorNetwork
from hal.linux.gpio import GpioOutputs, RelayWiring
from hal.linux.hwmon import find_channels
from hal.linux.iio import find_unread
from hal.linux.power import find_power
from hal.linux.sysfs import Probe
from hal.linux.wireless import find_signals

_log = logging.getLogger(__name__)


class LinuxSensor:
    """One thing that the kernel measures."""

    def __init__(self, probe: Probe, executor: ThreadPoolExecutor) -> None:
        self._probe = probe
        self._executor = executor
        self._last: Future[float | HalError] | None = None

    @property
    def name(self) -> str:
        """Its name, such as "hwmon/cpu_thermal/temp1"."""
        return self._probe.name

    @property
    def kind(self) -> SensorKind:
        """What it measures."""
        return self._probe.kind

    async def read(self) -> float:
        """Read the kernel's file on the board's thread.

        A caller may give up waiting. The read itself goes on, and until it ends there is no second one: a hanging bus
        gathers no queue.

        Raises:
            SensorUnavailable: The kernel gives no value, or an earlier read still hangs.
            ReadingImplausible: The kernel's file holds no number.
        """
        if self._last is not None and not self._last.done():
            raise SensorUnavailable(f"{self.name}: an earlier read has not returned; this bus or another one hangs")
        self._last = self._executor.submit(self._outcome)
        outcome = await asyncio.shield(asyncio.wrap_future(self._last))
        if isinstance(outcome, HalError):
            raise outcome
        return outcome

    def _outcome(self) -> float | HalError:
        # An error is returned, so that nobody misses one whose caller has gone.
        try:
            return self._probe.read()
        except HalError as error:
            return error


class LinuxBoard:
    """This machine's own sensors, found once at the start, and its relays."""

    def __init__(
        self, *, sysfs_root: Path = Path("/sys"), proc_root: Path = Path("/proc"), wiring: RelayWiring | None = None
    ) -> None:
        """Look for sensors; names and labels are read at once, which touches no bus.

        Args:
            sysfs_root: Where the kernel shows its devices.
            proc_root: Where it shows its tables.
            wiring: The relays, where there are any.
        """
        self._outputs = GpioOutputs(wiring) if wiring else None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hal-linux")
        probes = (*find_channels(sysfs_root), *find_power(sysfs_root), *find_signals(sysfs_root, proc_root))
        self._sensors = tuple(LinuxSensor(probe, self._executor) for probe in probes)
        self._unsupported = tuple(find_unread(sysfs_root))
        for said in self._unsupported:
            _log.warning("%s", said)

    @property
    def name(self) -> str:
        """The kind of board."""
        return "linux"

    @property
    def sensors(self) -> Sequence[Sensor]:
        """Temperatures, humidities, mains and batteries, radio signals, in that order; by name within each."""
        return self._sensors

    @property
    def unsupported_sensors(self) -> Sequence[str]:
        """See `hal.interface.HasUnsupportedSensors`."""
        return self._unsupported

    @property
    def network(self) -> SensorNetwork | None:
        """None: there is no radio for sensors yet."""
        return None

    @property
    def outputs(self) -> HvacOutputs | None:
        """The relays, where the configuration has any."""
        return self._outputs

    async def close(self) -> None:
        """Switch the relays off and let the thread end; a read that hangs is not waited for."""
        if self._outputs is not None:
            self._outputs.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
