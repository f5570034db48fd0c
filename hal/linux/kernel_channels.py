"""Everything that the kernel's own drivers measure. Names and labels are read to find it, which accesses no bus."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from hal.channels import Channel
from hal.linux.bus_threads import MACHINE
from hal.linux.host_sensors import find_clock_batteries, find_power, find_signals
from hal.linux.hwmon import find_channels
from hal.linux.iio import find_iio_channels
from hal.linux.one_wire import OneWire

LISTS = ("class/hwmon", "bus/iio/devices", "bus/w1/devices", "class/power_supply", "class/rtc", "class/net")
"""Where the kernel lists the devices of each class and bus."""

FULL_SEARCH_EVERY = 80
"""Searches, about an hour: a label or an attribute may change without a device."""


def listed_devices(directory: Path) -> frozenset[tuple[str, int, str]]:
    """Return what tells the devices of a list apart: name, inode and target; a device that comes back is another."""
    try:
        with os.scandir(directory) as entries:
            return frozenset(
                (each.name, each.inode(), os.readlink(each.path) if each.is_symlink() else "")  # noqa: PTH115
                for each in entries
            )
    except OSError:
        return frozenset()


class KernelChannels:
    """The `ChannelSource` of sysfs and procfs."""

    def __init__(
        self,
        sysfs_root: Path,
        proc_root: Path,
        *,
        named: Collection[str] = (),
        monotonic_ms: Callable[[], int] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            sysfs_root: Mount point of sysfs.
            proc_root: Mount point of procfs.
            named: Names in the configuration; a chip that is named there as an older version called it keeps that name.
            monotonic_ms: See `OneWire`.
        """
        self._sysfs_root = sysfs_root
        self._proc_root = proc_root
        self._named = frozenset(named)
        self._one_wire = OneWire(sysfs_root, monotonic_ms=monotonic_ms)
        self._seen: object = None
        self._searches = 0
        self._found: Sequence[Channel] = ()

    def buses(self) -> Sequence[str]:
        """One search finds the channels of all buses."""
        return (MACHINE,)

    def find(self, bus: str) -> Sequence[Channel]:  # noqa: ARG002 - there is one
        """Return the channels; what two classes of the kernel show is there once.

        Where the kernel lists the same devices as at the last search, they are not looked at again each time.
        """
        seen = tuple(listed_devices(self._sysfs_root / each) for each in LISTS)
        if seen != self._seen or self._searches % FULL_SEARCH_EVERY == 0:
            self._seen, self._found = seen, self._search()
        self._searches += 1
        return self._found

    def release(self, bus: str) -> None:
        """See `ChannelSource`; nothing is held of a bus."""

    def _search(self) -> Sequence[Channel]:
        found: dict[str, Channel] = {}
        for channel in (
            *find_iio_channels(self._sysfs_root),
            *self._one_wire.find(),
            *find_channels(self._sysfs_root),
            *find_power(self._sysfs_root),
            *find_clock_batteries(self._sysfs_root),
            *find_signals(self._sysfs_root, self._proc_root),
        ):
            found.setdefault(channel.name, channel)
        return named_as_configured(tuple(found.values()), self._named)


def named_as_configured(channels: Sequence[Channel], named: Collection[str]) -> Sequence[Channel]:
    """Return the channels, those of a chip that the configuration names by an alias under the aliases of that form.

    All channels of a chip take part: a temperature and a humidity belong together by their names.

    Args:
        channels: With their present names.
        named: Names in the configuration.
    """
    forms = {
        (channel.bus, channel.address, channel.chip): index
        for channel in channels
        for index, alias in enumerate(channel.aliases)
        if alias in named
    }
    return tuple(_renamed(channel, forms.get((channel.bus, channel.address, channel.chip))) for channel in channels)


def _renamed(channel: Channel, form: int | None) -> Channel:
    if form is None or form >= len(channel.aliases):
        return channel
    name = channel.aliases[form]
    others: Iterable[str] = (channel.name, *(alias for alias in channel.aliases if alias != name))
    return msgspec.structs.replace(channel, name=name, aliases=tuple(others))
