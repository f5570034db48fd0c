"""Finds the chips on all I2C buses that the hub reads itself: the `ChannelSource` of this package.

Asks only addresses where a chip of `known_chips` can be, that no kernel driver is bound to, on buses that are made for
sensors. Skipped are the management buses of PCs, where a write can change a memory module, and those of displays.
"""

import errno
import importlib.util
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hal.channels import Channel, Quantity
from hal.errors import SensorUnavailable
from hal.linux.device_address import i2c_adapter
from hal.linux.i2c.bus import I2cBus, I2cPort, SmbusPort
from hal.linux.i2c.chip import Chip
from hal.linux.i2c.chip_reader import ChipReader
from hal.linux.sysfs import directories, optional_text

DRIVER = "climahub"
PACKAGE = "smbus2"
BUSES_MAX = 32
"""A Pi with everything enabled has seven; multiplexers add up to eight each."""

_BUS = re.compile(r"i2c-[0-9]{1,4}")
_NOT_FOR_SENSORS = re.compile(r"smbus|ddc|gmbus|dpmst|aux|hdmi|nvidia|amdgpu|radeon|nouveau|i915", re.IGNORECASE)

_BUS_FAILURES = {errno.ETIMEDOUT, errno.ENOENT, errno.ENODEV, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP}
"""What fails at one address fails at all of them."""


def sensor_buses(sysfs_root: Path) -> Sequence[str]:
    """Return the names of the buses that may be searched, such as "i2c-1"; accesses none."""
    found = [
        directory.name
        for directory in directories(sysfs_root / "bus" / "i2c" / "devices")
        if _BUS.fullmatch(directory.name) and is_for_sensors(optional_text(directory / "name"))
    ]
    return sorted(found, key=lambda name: int(name.partition("-")[2]))[:BUSES_MAX]


def is_for_sensors(name: str) -> bool:
    """Return whether a bus may be searched, by what the kernel calls its adapter."""
    return not _NOT_FOR_SENSORS.search(name)


def bound_driver(sysfs_root: Path, bus: str, address: int) -> str:
    """Return the name of the kernel driver that is bound to an address; empty without one."""
    link = sysfs_root / "bus" / "i2c" / "devices" / f"{bus.partition('-')[2]}-{address:04x}" / "driver"
    return link.resolve().name if link.exists() else ""


def is_package_installed() -> bool:
    """Return whether smbus2 is there."""
    return importlib.util.find_spec(PACKAGE) is not None


def find_i2c_chips(*, sysfs_root: Path, now_ms: Callable[[], int], dev_root: Path = Path("/dev")) -> "I2cChips":
    """Return the source of this machine's chips; nothing is searched yet."""
    return I2cChips(
        sysfs_root=sysfs_root, open_port=lambda name: SmbusPort(dev_root / name), now_ms=now_ms, sleep=time.sleep
    )


class I2cChips:
    """The chips that the hub reads itself, implementing `hal.channels.ChannelSource`."""

    def __init__(
        self,
        *,
        sysfs_root: Path,
        open_port: Callable[[str], I2cPort],
        now_ms: Callable[[], int],
        sleep: Callable[[float], None],
    ) -> None:
        """Search nothing yet.

        Args:
            sysfs_root: Mount point of sysfs.
            open_port: Opens a bus by its name; may raise `OSError`.
            now_ms: A monotonic clock.
            sleep: Waits for a number of seconds, on the bus's thread.
        """
        self._sysfs_root = sysfs_root
        self._open_port = open_port
        self._now_ms = now_ms
        self._sleep = sleep
        self._by_address: Mapping[int, tuple[type[Chip], ...]] = {}
        self._buses: dict[str, I2cBus] = {}
        # A table for each bus: only the thread of that bus changes it.
        self._readers: dict[str, dict[tuple[str, int], ChipReader]] = {}

    @property
    def _candidates(self) -> Mapping[int, tuple[type[Chip], ...]]:
        if not self._by_address:
            # Imported late: a machine without such a bus needs none of the chips.
            from hal.linux.i2c.known_chips import chips_by_address  # noqa: PLC0415

            self._by_address = chips_by_address()
        return self._by_address

    def buses(self) -> Sequence[str]:
        """See `ChannelSource`. None without the package smbus2."""
        return sensor_buses(self._sysfs_root) if is_package_installed() else ()

    def bus(self, name: str) -> I2cBus:
        """Return a bus by its name, always the same object."""
        return self._buses.setdefault(name, I2cBus(name, lambda: self._open_port(name), self._sleep))

    def find(self, bus: str) -> Sequence[Channel]:
        """See `ChannelSource`. A chip that has answered its last reading is not asked again who it is.

        Raises:
            SensorUnavailable: The bus cannot be opened, or hangs.
        """
        channels: list[Channel] = []
        adapter = self._adapter(bus)
        for address in self._candidates:
            reader = self._reader(bus, adapter, address)
            if reader is not None:
                channels += self._channels(bus, adapter, address, reader)
        return channels

    def release(self, bus: str) -> None:
        """See `ChannelSource`. The kernel waits with the removal of an adapter until nobody has its file open."""
        self.bus(bus).close()
        self._readers.pop(bus, None)

    def _adapter(self, bus: str) -> str:
        """Return the stable name of a bus, the number of which may be given out in turn."""
        return i2c_adapter(self._sysfs_root / "bus" / "i2c" / "devices" / bus)

    def _reader(self, bus: str, adapter: str, address: int) -> ChipReader | None:
        readers, place = self._readers.setdefault(bus, {}), (adapter, address)
        if bound_driver(self._sysfs_root, bus, address):
            readers.pop(place, None)
            return None
        known = readers.get(place)
        if known is not None and known.is_answering:
            return known
        chip = self.identify(bus, address)
        if chip is None:
            return None
        if known is None or known.make is not chip:
            known = readers[place] = ChipReader(self.bus(bus), address, chip, self._now_ms)
        return known

    def chip_at(self, bus: str, address: int) -> type[Chip] | None:
        """Return the known chip at an address; one that is being read is not asked again.

        Raises:
            SensorUnavailable: The bus cannot be opened, or hangs.
        """
        known = self._readers.get(bus, {}).get((self._adapter(bus), address))
        return known.make if known is not None and known.is_answering else self.identify(bus, address)

    def identify(self, bus: str, address: int) -> type[Chip] | None:
        """Return the known chip that answers at an address; `None` where nothing does, or something else.

        Raises:
            SensorUnavailable: The bus cannot be opened, or hangs.
        """
        for chip in self._candidates.get(address, ()):
            try:
                if self.bus(bus).run(address, chip.identify()):
                    return chip
            except SensorUnavailable as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno in _BUS_FAILURES:
                    raise
        return None

    def _channels(self, bus: str, adapter: str, address: int, reader: ChipReader) -> Iterator[Channel]:
        chip = reader.make
        for quantity in chip.quantities:
            yield Channel(
                name=f"{adapter}-{address:04x}/{chip.name}/{quantity}",
                quantity=quantity,
                read=lambda quantity=quantity: self._read(bus, adapter, reader, quantity),  # type: ignore[misc]
                bus=bus,
                address=f"{address:04x}",
                chip=chip.name,
                driver=DRIVER,
            )

    def _read(self, bus: str, adapter: str, reader: ChipReader, quantity: Quantity) -> float:
        """Read a channel, unless another adapter has the number of its bus now: that one's chip is another chip."""
        if self._adapter(bus) != adapter:
            self.bus(bus).close()
            raise SensorUnavailable(f"plug {adapter} in again: {bus} is another adapter now")
        return reader.read(quantity)
