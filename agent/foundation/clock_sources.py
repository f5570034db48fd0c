"""Sources of time for a boot without NTP: a clock with a battery, and what an earlier process of this boot knew.

Source for the first: Documentation/ABI/testing/sysfs-class-rtc of Linux. The driver refuses to be read where it knows
that the clock has stopped; one that began anew without notice names a year long past. The second is a small file in the
run directory, which a reboot empties: the kernel's flags forget NTP after some hours, and a restart of the agent must
not. A file that cannot be used is ignored. Never sets a clock.
"""

import contextlib
import os
import struct
import zlib
from pathlib import Path

from agent.foundation.time_estimate import TimeEstimate, TimeSource, is_plausible

SYS_CLASS_RTC = Path("/sys/class/rtc")
ADJTIME = Path("/etc/adjtime")

AGREEMENT_MS = 2000
"""A system clock that differs by less has been set from this one: it is read in whole seconds."""


def read_rtc_utc_ms(wall_ms: int, *, rtc_class: Path = SYS_CLASS_RTC, adjtime: Path = ADJTIME) -> int | None:
    """Return the UTC of the clock that gave the machine its time at the boot; `None` where there is no such clock.

    It is used where the kernel has set its clock from it (`hctosys`), or where both agree because the system did so.

    Args:
        wall_ms: The system's wall clock now, in milliseconds since 1970.
        rtc_class: Where the kernel shows its clocks.
        adjtime: Says in its third line whether they run in local time, whose offset is unknown (hwclock(8)).
    """
    if (lines := _text(adjtime).splitlines()[2:3]) and lines[0].strip() == "LOCAL":
        return None
    for clock in sorted(rtc_class.glob("rtc*")):
        seconds = _text(clock / "since_epoch").strip()
        if not (seconds.isascii() and seconds.isdigit()):
            continue
        utc_ms = int(seconds) * 1000
        has_set_the_system = _text(clock / "hctosys").strip() == "1" or abs(utc_ms - wall_ms) <= AGREEMENT_MS
        if is_plausible(utc_ms) and has_set_the_system:
            return utc_ms
    return None


def _text(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii")
    return ""


CLOCK_FILE = "clock"
WRITE_MS = 60_000
"""The same source is written again after this long."""

_RECORD = struct.Struct("<64sqqqq8s")
_SUM = struct.Struct("<I")


class ClockMemory:
    """One file with the last estimate of this boot."""

    def __init__(self, path: Path | None, boot_id: str) -> None:
        self._path = path
        self._name = f"climahub clock 1 {boot_id}".encode()[:64]
        self._written: TimeEstimate | None = None

    def read(self) -> tuple[int, TimeEstimate] | None:
        """Return when the time became known, in milliseconds since the boot, and the last estimate."""
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                data = file.read(_RECORD.size + _SUM.size + 1)
            record, checksum = data[: _RECORD.size], data[_RECORD.size :]
            if checksum != _SUM.pack(zlib.crc32(record)):
                return None
            name, since_ms, at_ms, utc_ms, error_ms, source = _RECORD.unpack(record)
            if name.rstrip(b"\0") != self._name:
                return None
            return since_ms, TimeEstimate(at_ms, utc_ms, error_ms, TimeSource(source.rstrip(b"\0").decode()))
        except (OSError, struct.error, ValueError):
            return None

    def write(self, since_ms: int, estimate: TimeEstimate) -> None:
        """Save an estimate: at once for a new source, else every `WRITE_MS`."""
        last = self._written
        if self._path is None or (
            last is not None and last.source is estimate.source and estimate.at_ms - last.at_ms < WRITE_MS
        ):
            return
        self._written = estimate
        fields = (self._name, since_ms, estimate.at_ms, estimate.utc_ms, estimate.error_ms)
        record = _RECORD.pack(*fields, estimate.source.value.encode())
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
            try:
                os.pwrite(file, record + _SUM.pack(zlib.crc32(record)), 0)
            finally:
                os.close(file)
