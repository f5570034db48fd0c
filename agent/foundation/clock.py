"""Time, injected: durations from the monotonic clock, UTC only once it is known to be right.

A Pi has no battery-backed clock: until NTP has answered, its wall clock is wrong by anything up to decades. So readings
carry boot time, and `utc_ms()` is `None` until the kernel says that its clock is synchronised.
"""

import ctypes
import time
from pathlib import Path
from typing import Protocol

STA_UNSYNC = 0x0040
"""`struct timex.status` bit: the clock is not synchronised (linux/timex.h). Setting the clock by hand sets it too."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ADJTIMEX_BYTES = 512
"""More than `sizeof(struct timex)` on any Linux (208 on 64-bit)."""


class Clock(Protocol):
    """The two clocks of a hub. Sleeping is left to asyncio: under rehearsal the loop itself is virtual."""

    @property
    def boot_id(self) -> str:
        """The name of this boot: what `monotonic_ms` counts from changes with it, and with nothing else."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since boot. Never steps, never runs backwards."""
        ...

    def utc_ms(self) -> int | None:
        """Milliseconds since 1970 in UTC, or `None` while the wall clock is not known to be right."""
        ...


class _Timex(ctypes.Structure):
    """The head of `struct timex` (adjtimex(2)); the kernel writes the rest into the padding."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_byte * _ADJTIMEX_BYTES),
    )


def kernel_is_synchronised() -> bool:
    """Tell whether the kernel's clock is disciplined (adjtimex(2), status without STA_UNSYNC). Needs no privilege."""
    timex = _Timex(modes=0)
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        return False
    return not timex.status & STA_UNSYNC


class SystemClock:
    """The real clocks of this machine."""

    def __init__(self, *, trust_wall_clock: bool = False) -> None:
        """Read the boot's name.

        Args:
            trust_wall_clock: Take the wall clock as right without asking the kernel, for machines whose hypervisor
                keeps it (configuration key `clock.trust`).
        """
        self._boot_id = _BOOT_ID.read_text().strip()
        self._trust_wall_clock = trust_wall_clock

    @property
    def boot_id(self) -> str:
        """The kernel's random name of this boot."""
        return self._boot_id

    def monotonic_ms(self) -> int:
        """Return CLOCK_MONOTONIC in whole milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def utc_ms(self) -> int | None:
        """Return CLOCK_REALTIME in whole milliseconds, or `None` while the kernel says that it is not synchronised."""
        if self._trust_wall_clock or kernel_is_synchronised():
            return time.time_ns() // 1_000_000
        return None
