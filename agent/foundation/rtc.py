"""A real-time clock with a battery, as a source of time where NTP never comes. Reads only; never sets one.

Source: Documentation/ABI/testing/sysfs-class-rtc of Linux. The driver refuses to be read where it knows that the clock
has stopped; one that began anew without saying so names a year long past.
"""

import contextlib
from pathlib import Path

from agent.foundation.time_estimate import is_plausible

SYS_CLASS_RTC = Path("/sys/class/rtc")
ADJTIME = Path("/etc/adjtime")

AGREEMENT_MS = 2000
"""A system clock that differs by less has been set from this one: it is read in whole seconds."""


def read_rtc_utc_ms(wall_ms: int, *, rtc_class: Path = SYS_CLASS_RTC, adjtime: Path = ADJTIME) -> int | None:
    """Return the UTC of the clock that gave the machine its time at the boot; `None` where there is no such clock.

    It counts where the kernel has set its clock from it (`hctosys`), or where both agree because the system did so.

    Args:
        wall_ms: The system's wall clock now, in milliseconds since 1970.
        rtc_class: Where the kernel shows its clocks.
        adjtime: Says in its third line whether they run in local time, whose offset nobody knows (hwclock(8)).
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
