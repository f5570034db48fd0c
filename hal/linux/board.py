"""Board of a Linux machine: the sensors the kernel already has, and relays on GPIO lines.

Owns the one thread that reads the kernel's files: a chip on a slow or broken bus blocks its reader, and the event loop
must not wait for it. Never writes to the kernel except to the relays' lines.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from hal.errors import HalError, SensorUnavailable, driver_errors_translated
from hal.interface import HvacOutputs, Led, Sensor, SensorKind, SensorNetwork
from hal.linux.gpio import GpioOutputs, RelayWiring
from hal.linux.host_sensors import find_power, find_signals
from hal.linux.hwmon import find_channels, find_unsupported
from hal.linux.led import SysfsLed
from hal.linux.sysfs import Probe

_log = logging.getLogger(__name__)


class LinuxSensor:
    """One channel of the kernel, implementing `hal.interface.Sensor`."""

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

        A caller may give up waiting. The read continues, and no second read starts before it ends: a hanging bus builds
        up no queue.

        Raises:
            SensorUnavailable: The kernel has no value, the driver failed, or an earlier read still hangs.
            ReadingImplausible: The kernel's file holds no number.
        """
        if self._last is not None and not self._last.done():
            raise SensorUnavailable(f"{self.name}: an earlier read has not returned; a bus hangs (this one or another)")
        self._last = self._executor.submit(self._outcome)
        outcome = await asyncio.shield(asyncio.wrap_future(self._last))
        if isinstance(outcome, HalError):
            raise outcome
        return outcome

    def _outcome(self) -> float | HalError:
        # The error is returned: an exception of a read whose caller gave up would be logged as never retrieved.
        try:
            with driver_errors_translated(self.name):
                return self._probe.read()
        except HalError as error:
            return error


class LinuxBoard:
    """The sensors of this machine, detected once at start-up, and its relays."""

    def __init__(
        self,
        *,
        sysfs_root: Path = Path("/sys"),
        proc_root: Path = Path("/proc"),
        wiring: RelayWiring | None = None,
        led: str | None = None,
    ) -> None:
        """Detect the sensors. This reads names and labels only, which accesses no bus.

        Args:
            sysfs_root: Mount point of sysfs.
            proc_root: Mount point of procfs.
            wiring: Wiring of the relays; `None` without relays.
            led: Name of the LED by which the hub is found; `None` without one.
        """
        self._outputs = GpioOutputs(wiring) if wiring else None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hal-linux")
        self._led = None if led is None else SysfsLed(sysfs_root, led, self._executor)
        probes = (*find_channels(sysfs_root), *find_power(sysfs_root), *find_signals(sysfs_root, proc_root))
        self._sensors = tuple(LinuxSensor(probe, self._executor) for probe in probes)
        self._unsupported = tuple(find_unsupported(sysfs_root))
        for sentence in self._unsupported:
            _log.warning("%s", sentence)

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
    def led(self) -> Led | None:
        """See `hal.interface.HasLed`."""
        return self._led

    @property
    def network(self) -> SensorNetwork | None:
        """Always `None`: the Zigbee radio is separate from the board."""
        return None

    @property
    def outputs(self) -> HvacOutputs | None:
        """The relays; `None` if none are configured."""
        return self._outputs

    async def close(self) -> None:
        """Switch the relays off and end the thread without waiting for a hanging read."""
        if self._outputs is not None:
            self._outputs.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
