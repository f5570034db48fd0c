"""Everything that the kernel's own drivers measure. Names and labels are read to find it, which accesses no bus."""

from collections.abc import Sequence
from pathlib import Path

from hal.channels import Channel
from hal.linux.bus_threads import MACHINE
from hal.linux.host_sensors import find_power, find_signals
from hal.linux.hwmon import find_channels


class KernelChannels:
    """The `ChannelSource` of sysfs and procfs."""

    def __init__(self, sysfs_root: Path, proc_root: Path) -> None:
        """Read nothing yet."""
        self._sysfs_root = sysfs_root
        self._proc_root = proc_root

    def buses(self) -> Sequence[str]:
        """One search finds the channels of all buses."""
        return (MACHINE,)

    def find(self, bus: str) -> Sequence[Channel]:  # noqa: ARG002 - there is one
        """Return temperatures, humidities, mains and batteries, radio signals, in that order."""
        return (
            *find_channels(self._sysfs_root),
            *find_power(self._sysfs_root),
            *find_signals(self._sysfs_root, self._proc_root),
        )
