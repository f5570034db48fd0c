"""Board of a Linux machine: the sensors the kernel already has, and relays on lines of any kind.

Reads on one thread for each bus: a chip on a slow or broken bus blocks its reader, and neither the event loop nor other
buses wait for it. What is connected later is found while the hub runs. Writes to the kernel
are those of the relays' lines and the features of 1-Wire thermometers, and no others.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.channels import BusScan, Channel, ChannelReader, ChannelSource, MachineScan, ReadsInTurn, Turn
from hal.combined_outputs import CombinedOutputs
from hal.errors import HalError, driver_errors_translated
from hal.interface import Button, HvacOutputs, Led, Sensor, SensorKind, SensorNetwork
from hal.linux.bus_relays import BusRelays
from hal.linux.bus_threads import MACHINE, BusThreads
from hal.linux.bus_turn import BusTurn
from hal.linux.device_address import gpio_chip_bus
from hal.linux.iio import find_unsupported
from hal.linux.inventory import CHANNELS_MAX, ChannelInventory
from hal.linux.kernel_channels import KernelChannels
from hal.linux.led import SysfsLed
from hal.linux.output_lines import RelayWiring
from hal.linux.relays import RelayOutputs
from hal.linux.uevents import Uevents

if TYPE_CHECKING:
    from hal.linux.bus_scan import MachineBuses
    from hal.linux.gpio_inputs import GpioButton

_log = logging.getLogger(__name__)

RESCAN_S = 45.0
"""How often new channels are looked for where the kernel reports nothing: a new sensor is read within a minute."""

SCAN_S_MAX = 15.0
"""How long a person waits who asks what answers on the buses. A healthy bus takes a tenth of a second."""

FIND_S_MAX = 5.0
"""How long a search of one bus is waited for, once: then the bus hangs. What it finds later counts with the next. A bus
whose search has ended late is slow: from then on a search of it has until the next one."""

_SEARCH, _SCAN = "a search for sensors", "a look at what answers"


class LinuxChannel:
    """One channel of this machine, implementing `hal.channels.ChannelReader`."""

    def __init__(self, channel: Channel, threads: BusThreads) -> None:
        """Read nothing yet."""
        self.channel = channel
        self._threads = threads

    @property
    def name(self) -> str:
        """Its name, such as "hwmon/cpu_thermal/temp1"."""
        return self.channel.name

    async def read(self) -> float:
        """Read the channel on the thread of its bus.

        A caller may give up waiting. The read continues, and the bus is not read again before it ends: a hanging bus
        builds up no queue.

        Raises:
            SensorUnavailable: The chip has no value, the driver failed, or an earlier read of the bus still hangs.
            ReadingImplausible: The chip's answer is no number.
        """
        (outcome,) = await BusTurn((self.channel,), self._threads, timeout_s=None).advance()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class LinuxSensor(LinuxChannel):
    """A channel that has a kind, implementing `hal.channels.ReadsInTurn`."""

    def __init__(self, channel: Channel, kind: SensorKind, threads: BusThreads) -> None:
        """Read nothing yet."""
        super().__init__(channel, threads)
        self.kind = kind

    def turn(self, sensors: Sequence[ReadsInTurn], *, timeout_s: float) -> Turn:
        """See `hal.channels.ReadsInTurn`."""
        return BusTurn([sensor.channel for sensor in sensors], self._threads, timeout_s=timeout_s)


class LinuxBoard:
    """The sensors of this machine, searched for at start-up and while it runs, and its relays."""

    def __init__(
        self,
        *,
        sysfs_root: Path = Path("/sys"),
        proc_root: Path = Path("/proc"),
        wirings: Sequence[RelayWiring] = (),
        led: str | None = None,
        button: "GpioButton | None" = None,
        sources: Sequence[ChannelSource] = (),
        named: Collection[str] = (),
        monotonic_ms: Callable[[], int] | None = None,
        uevents: Uevents | None = None,
        buses: "MachineBuses | None" = None,
    ) -> None:
        """Find what the kernel's drivers measure. This reads names and labels only, which accesses no bus.

        Args:
            sysfs_root: Mount point of sysfs.
            proc_root: Mount point of procfs.
            wirings: Wiring of the relays, by device.
            button: The hub's button; `None` without one.
            led: Name of the LED by which the hub is found; `None` without one.
            sources: Find further channels, first when `channels_changed` is called; the kernel's drivers come first.
            named: Names of sensors in the configuration, which may be those of an older version.
            buses: Tells what answers on the buses, for `scan_buses`; `None` where nobody may ask.
            monotonic_ms: The monotonic clock; without one, 1-Wire thermometers convert one after the other.
            uevents: Waits for devices that come and go; by default for those of the kernel.
        """
        self._relays = [
            BusRelays(each, monotonic_ms=monotonic_ms)
            if not each.is_on_gpio or gpio_chip_bus(each.device, sysfs_root)
            else RelayOutputs(each)
            for each in wirings
        ]
        parts = {wiring.device: relays for wiring, relays in zip(wirings, self._relays, strict=True)}
        self._outputs = CombinedOutputs(parts) if parts else None
        self._threads = BusThreads()
        self._buses = buses
        self._button = button
        self._led = None if led is None else SysfsLed(sysfs_root, led, self._threads.executor(MACHINE))
        kernel = KernelChannels(sysfs_root, proc_root, named=named, monotonic_ms=monotonic_ms)
        self._sources: Sequence[ChannelSource] = (kernel, *sources)
        self._searches: dict[tuple[int, str], Future[Sequence[Channel] | HalError]] = {}
        self._slow: AbstractSet[tuple[int, str]] = frozenset()
        self._buses_before: Sequence[tuple[int, str]] = ()
        self._is_changed = False
        self._left_out: AbstractSet[str] = frozenset()
        self._uevents = uevents or Uevents()
        self._inventory = ChannelInventory()
        self._readers: dict[str, LinuxChannel] = {}
        self._inventory.merge((0, MACHINE), kernel.find(MACHINE))
        self._follow_inventory()
        self._unsupported = tuple(find_unsupported(sysfs_root))
        for sentence in self._unsupported:
            _log.warning("%s", sentence)

    @property
    def name(self) -> str:
        """The kind of board."""
        return "linux"

    @property
    def sensors(self) -> Sequence[Sensor]:
        """The channels that have a kind: temperatures, humidities, mains and batteries, radio signals."""
        return tuple(reader for reader in self._readers.values() if isinstance(reader, LinuxSensor))

    @property
    def channels(self) -> Sequence[ChannelReader]:
        """See `hal.channels.FindsChannels`; one that is gone is still listed, and says so when it is read."""
        return tuple(self._readers.values())

    @property
    def gone(self) -> Collection[str]:
        """See `hal.channels.FindsChannels`."""
        return self._inventory.gone.keys()

    async def channels_changed(self) -> None:
        """See `hal.channels.FindsChannels`."""
        while not self._is_changed:
            await self._uevents.wait(RESCAN_S)
            await self.search()
        self._is_changed = False

    async def search(self) -> None:
        """See `hal.channels.FindsChannels`. A bus that hangs is left out, and keeps what was found on it."""
        buses = {number: source.buses() for number, source in enumerate(self._sources)}
        self._release_buses(buses)
        before, begun = self._searches.copy(), []
        for number, source in enumerate(self._sources):
            for bus in buses[number]:
                if (number, bus) not in self._searches and not self._threads.hanging(bus):
                    search = self._threads.submit(bus, lambda source=source, bus=bus: _found(source, bus))  # type: ignore[misc]
                    self._searches[number, bus] = search
                    begun.append(asyncio.wrap_future(search))
        if begun:
            await asyncio.wait(begun, timeout=FIND_S_MAX)
        is_changed = self._inventory.forget_buses(buses)
        self._slow = {key for key in self._slow if key[1] in buses[key[0]]}
        for key, search in list(self._searches.items()):
            if key in before or key not in self._slow:
                self._abandon(key[1], _SEARCH, search)
            if search.done():
                del self._searches[key]
                self._slow = self._slow | {key} if key in before else self._slow - {key}
                found = search.result() if _is_finished(search) else None
                if found is not None and not isinstance(found, HalError) and key[1] in buses[key[0]]:
                    is_changed |= self._inventory.merge(key, found)
        self._follow_inventory()
        self._is_changed |= is_changed
        left_out, self._left_out = self._left_out, self._inventory.left_out
        if new := sorted(self._left_out - left_out):
            _log.warning("disconnect sensors: not read are %s, as %d channels are", ", ".join(new), CHANNELS_MAX)

    def _release_buses(self, buses: Mapping[int, Sequence[str]]) -> None:
        """Have the sources let go of buses that are gone, and the buses that are there have their threads."""
        for number, bus in self._buses_before:
            if bus not in buses[number]:
                self._threads.submit(bus, partial(self._sources[number].release, bus))
        self._buses_before = [(number, bus) for number, found in buses.items() for bus in found]
        gone = self._inventory.gone
        present = {channel.bus for name, channel in self._inventory.channels.items() if name not in gone}
        self._threads.follow(present.union(*buses.values()))

    def _abandon(self, bus: str, what: str, work: "Future[Any]") -> None:
        """Take it that a bus hangs on work that has not ended, and report it once."""
        if work.done():
            return
        was_hanging = self._threads.hanging(bus)
        self._threads.abandon(bus, what, work)
        if not was_hanging and (hanging := self._threads.hanging(bus)):
            _log.warning(
                "check the wiring of %s: it hangs, %s has not returned", bus or "this machine's chips", hanging
            )

    async def scan_buses(self) -> MachineScan:
        """See `hal.channels.ScansBuses`. Each bus is asked on its thread, so that no reading comes in between."""
        scanner = self._buses
        if scanner is None:
            return MachineScan()
        missing = self._threads.submit(MACHINE, scanner.missing)
        scans = {
            bus: self._threads.submit(bus, lambda bus=bus: _scanned(scanner, bus))  # type: ignore[misc]
            for bus in scanner.buses()
        }
        works: Sequence[tuple[str, Future[Any]]] = ((MACHINE, missing), *scans.items())
        await asyncio.wait([asyncio.wrap_future(work) for _, work in works], timeout=SCAN_S_MAX)
        for bus, work in works:
            self._abandon(bus, _SCAN, work)
        hangs = "disconnect the devices on this bus one by one: it has not answered"
        return MachineScan(
            [scan.result() if _is_finished(scan) else BusScan(bus, "", problem=hangs) for bus, scan in scans.items()],
            missing.result() if _is_finished(missing) else (),
        )

    def _follow_inventory(self) -> None:
        """Give each known channel its reader, the one that it had."""
        readers: dict[str, LinuxChannel] = {}
        for name, channel in self._inventory.channels.items():
            reader = self._readers.get(name)
            if reader is None and channel.kind is not None:
                reader = LinuxSensor(channel, channel.kind, self._threads)
            elif reader is None:
                reader = LinuxChannel(channel, self._threads)
            reader.channel = channel
            readers[name] = reader
        self._readers = readers

    @property
    def unsupported_sensors(self) -> Sequence[str]:
        """See `hal.interface.HasUnsupportedSensors`."""
        return self._unsupported

    @property
    def led(self) -> Led | None:
        """See `hal.interface.HasLed`."""
        return self._led

    @property
    def button(self) -> Button | None:
        """See `hal.interface.HasButton`."""
        return self._button

    @property
    def network(self) -> SensorNetwork | None:
        """Always `None`: the Zigbee radio is separate from the board."""
        return None

    @property
    def outputs(self) -> HvacOutputs | None:
        """The relays; `None` if none are configured."""
        return self._outputs

    async def close(self) -> None:
        """Switch the relays off and end the threads without waiting for a hanging read."""
        for relays in self._relays:
            if isinstance(relays, RelayOutputs):
                relays.close()
        await asyncio.gather(*(relays.close() for relays in self._relays if isinstance(relays, BusRelays)))
        if self._button is not None:
            await self._button.close()
        self._uevents.close()
        self._threads.close()


def _is_finished(work: "Future[Any]") -> bool:
    return work.done() and not work.cancelled()


def _scanned(scanner: "MachineBuses", bus: str) -> BusScan:
    # As `_found`.
    try:
        with driver_errors_translated(bus):
            return scanner.scan(bus)
    except HalError as error:
        return BusScan(bus, "", problem=str(error))


def _found(source: ChannelSource, bus: str) -> Sequence[Channel] | HalError:
    # The error is returned: an exception of a search that nobody waits for would be logged as never retrieved.
    try:
        with driver_errors_translated(bus):
            return source.find(bus)
    except HalError as error:
        return error
