"""Simulated reboots for boards without hardware: the agent restarts and counts that as another boot.

So the whole path of a reboot command can be tried on any computer. Owns the file that counts the boots. Must never be
used where the machine itself is the hub.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from agent.errors import Corrupt, ReadFailed, RebootFailed, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.host import Systemd
from agent.foundation.lenient_json import DECODE_ERRORS

_log = logging.getLogger(__name__)

FILE_NAME = "simulated-boots.json"
FILE_BYTES_MAX = 4096


class _Boot(msgspec.Struct, frozen=True):
    """Content of the file.

    Attributes:
        number: The number of simulated boots so far.
        machine_boot_id: The boot of the machine during the last simulated boot.
        began_ms: Boot time of the machine at that moment.
    """

    number: int = 0
    machine_boot_id: str = ""
    began_ms: int = 0


class _BootClock:
    """The machine's clocks, counted from the last simulated boot."""

    def __init__(self, machine: Clock, boot: _Boot) -> None:
        self._machine = machine
        self._boot_id = f"{machine.boot_id}-{boot.number}"
        # After a boot of the machine itself, its own time counts.
        self._zero_ms = boot.began_ms if boot.machine_boot_id == machine.boot_id else 0

    @property
    def boot_id(self) -> str:
        """Changes with each boot of either kind."""
        return self._boot_id

    def monotonic_ms(self) -> int:
        """Return the milliseconds since the last boot of either kind."""
        return self._machine.monotonic_ms() - self._zero_ms

    def utc_ms(self) -> int | None:
        """Return the machine's UTC."""
        return self._machine.utc_ms()


class SimulatedBoots:
    """The count of boots on the disk."""

    def __init__(self, path: Path, machine: Clock, disk: Disk) -> None:
        """Read the file. Blocks; an unreadable one counts as missing."""
        self._path = path
        self._machine = machine
        self._disk = disk
        self._boot = self._read()

    @property
    def clock(self) -> Clock:
        """The clocks of the present boot."""
        return _BootClock(self._machine, self._boot)

    def boot(self) -> None:
        """Count another boot, durably; it begins now. Blocks.

        Raises:
            OSError, StorageFull: It does not begin.
        """
        boot = _Boot(self._boot.number + 1, self._machine.boot_id, self._machine.monotonic_ms())
        self._disk.write(self._path, msgspec.json.encode(boot))
        self._boot = boot

    def _read(self) -> _Boot:
        try:
            data = self._disk.read(self._path, bytes_max=FILE_BYTES_MAX)
            return _Boot() if data is None else msgspec.json.decode(data, type=_Boot)
        except (Corrupt, ReadFailed, *DECODE_ERRORS) as error:
            _log.warning("the count of simulated boots (%s) restarts from 0: %s", FILE_NAME, error)
            return _Boot()


class SimulatedRebootHost(Systemd):
    """A real service manager, with simulated reboots of the machine."""

    def __init__(self, environ: Mapping[str, str], boots: SimulatedBoots, *, restart: Callable[[], None]) -> None:
        """Prepare.

        Args:
            environ: As for `Systemd`.
            boots: The count of boots.
            restart: Ends this hub and starts another.
        """
        super().__init__(environ)
        self._boots = boots
        self._restart = restart

    async def ensure_can_reboot(self) -> None:
        """Nothing to check: a disk that cannot count the boot makes `reboot` fail."""

    async def reboot(self, reason: str) -> None:
        """Restart the hub in another simulated boot."""
        _log.warning("restarting, which is simulated on this board: %s", reason)
        try:
            self._boots.boot()
        except (OSError, StorageFull) as error:
            raise RebootFailed(f"the boot cannot be counted: {error}") from error
        self._restart()

    async def ensure_can_power_off(self) -> None:
        """Raise `RebootFailed`: the machine may be anybody's."""
        raise RebootFailed("this board is not the machine itself, which is not powered off")

    async def power_off(self, reason: str) -> None:
        """Raise `RebootFailed`: the machine may be anybody's."""
        raise RebootFailed(f"this board is not the machine itself, which is not powered off for {reason}")
