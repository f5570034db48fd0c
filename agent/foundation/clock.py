"""Time, injected: durations from the monotonic clock, UTC once it is known in this boot.

A Pi has no battery-backed clock: until NTP has answered, its wall clock is wrong by anything up to decades. So readings
carry boot time, and `utc_ms()` is `None` until a source is accepted. From then on the time is known for the rest of the
boot, even if the source is lost; only the error bound grows (`agent.foundation.time_estimate`). Steps of the wall clock
that no source confirms are ignored. Never sets the system's clock.
"""

import ctypes
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.foundation.clock_sources import ClockMemory, read_rtc_utc_ms
from agent.foundation.time_estimate import RTC_ERROR_MS, TimeEstimate, TimeSource, from_server, is_plausible, revise

STA_UNSYNC = 0x0040
"""`struct timex.status` bit: the clock is not synchronised (linux/timex.h). The kernel sets it at the boot, when the
clock is set by hand, and 8.9 h after the last NTP answer: the error bound is 16 s by then (kernel/time/ntp.c)."""

UNDISCIPLINED_US = 10_000_000
"""With STA_UNSYNC set, a bound of this or more means that no daemon disciplines the clock: the kernel starts at 16 s. A
smaller bound comes from a daemon that leaves the flag set on purpose, so that the kernel does not write the RTC."""

KERNEL_ERROR_MS_MIN = 100
"""systemd-timesyncd sets a bound of 0 with each answer; over a slow line it is wrong by half the round trip."""

NTP_GRACE_MS = 120_000
"""How long a boot waits for NTP before a less exact source is accepted."""
RTC_INTERVAL_MS = 600_000
"""How often a real-time clock is looked for where there was none: it is on a slow bus."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ADJTIMEX_BYTES = 512
"""More than `sizeof(struct timex)` on any Linux (208 on 64-bit)."""


def monotonic_s() -> float:
    """Return seconds that never step, for a command that has no clock of a hub."""
    return time.monotonic()


class Clock(Protocol):
    """The two clocks of a hub. Sleeping is left to asyncio: under simulation the loop itself is virtual."""

    @property
    def boot_id(self) -> str:
        """The name of this boot: what `monotonic_ms` counts from changes with it, and with nothing else."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since boot. Never steps, never runs backwards."""
        ...

    def utc_ms(self) -> int | None:
        """Milliseconds since 1970 in UTC, or `None` while the time is not known in this boot."""
        ...


class Now(msgspec.Struct, frozen=True):
    """One reading of both clocks.

    Attributes:
        boot_id: The boot that `now_ms` counts from.
        now_ms: Milliseconds since that boot.
        utc_ms: Milliseconds since 1970 in UTC; `None` while the time is not known.
    """

    boot_id: str
    now_ms: int
    utc_ms: int | None


def read_now(clock: Clock) -> Now:
    """Return what both clocks show."""
    return Now(clock.boot_id, clock.monotonic_ms(), clock.utc_ms())


class TimeKnowledge(msgspec.Struct, frozen=True):
    """How the time is known.

    Attributes:
        source: "ntp", "cloud", "rtc", or "system" where the configuration says so.
        error_ms: The error bound now; `None` where there is none ("system").
        known_for_ms: For how long it has been known in this boot.
        confirmed_ms_ago: How long ago the source last confirmed it.
    """

    source: str
    error_ms: int | None
    known_for_ms: int
    confirmed_ms_ago: int


class Timekeeper(Protocol):
    """How the machine knows the time. Simulated boots (`simulated_boots`) share one."""

    def knowledge(self) -> TimeKnowledge | None:
        """Return how the time is known; `None` while it is not."""
        ...

    def offer_server_time(self, date_utc_ms: int, *, round_trip_ms: int, is_verified: bool) -> None:
        """Use a server's `Date` as a source; called when its answer has arrived.

        Args:
            date_utc_ms: The header, in milliseconds since 1970.
            round_trip_ms: From the request to the answer.
            is_verified: TLS has verified the server's identity.
        """
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


@functools.cache
def _libc() -> Any:  # noqa: ANN401 - ctypes
    return ctypes.CDLL(None, use_errno=True)


def kernel_error_ms() -> int | None:
    """Return the kernel's error bound of the wall clock, or `None` where no daemon disciplines it.

    The bound decides, not STA_UNSYNC alone (adjtimex(2)). Needs no privilege.
    """
    timex = _Timex(modes=0)
    if _libc().adjtimex(ctypes.byref(timex)) < 0:
        return None
    if timex.status & STA_UNSYNC and not 0 < timex.maxerror < UNDISCIPLINED_US:
        return None
    return max(int(timex.maxerror) // 1000, KERNEL_ERROR_MS_MIN)


def _elapsed_ms() -> int:
    """Return the milliseconds since the boot, including suspend: UTC advances with them."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class SystemClock:
    """The real clocks of this machine."""

    def __init__(
        self,
        *,
        trust_wall_clock: bool = False,
        trust_any_server: bool = False,
        memory: Path | None = None,
        read_rtc: Callable[[int], int | None] = read_rtc_utc_ms,
    ) -> None:
        """Read the boot's name, and what an earlier process of this boot knew of the time.

        Args:
            trust_wall_clock: Take the wall clock as right without asking the kernel, for machines whose hypervisor
                keeps it (configuration key `clock.trust`, "system").
            trust_any_server: Accept the `Date` of a server whose identity TLS has not verified ("cloud").
            memory: The file that hands the time over to the next process of this boot; `None` for none.
            read_rtc: Returns the UTC of a clock with a battery, given the wall clock.
        """
        self._boot_id = _BOOT_ID.read_text().strip()
        self._trust_wall_clock = trust_wall_clock
        self._trust_any_server = trust_any_server
        self._read_rtc = read_rtc
        self._rtc_next_ms = 0
        self._last_offer: TimeEstimate | None = None
        self._known_since_ms = 0
        self._memory = ClockMemory(memory, self._boot_id)
        self._estimate: TimeEstimate | None = None
        if not trust_wall_clock and (remembered := self._memory.read()) is not None:
            self._known_since_ms, self._estimate = remembered

    @property
    def boot_id(self) -> str:
        """The kernel's random name of this boot."""
        return self._boot_id

    def monotonic_ms(self) -> int:
        """Return CLOCK_MONOTONIC in whole milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def utc_ms(self) -> int | None:
        """Return UTC in whole milliseconds, or `None` while no source has been accepted in this boot."""
        if self._trust_wall_clock:
            return time.time_ns() // 1_000_000
        self._update()
        return self._estimate.utc_at(_elapsed_ms()) if self._estimate else None

    def knowledge(self) -> TimeKnowledge | None:
        """Return how the time is known; `None` while it is not."""
        now_ms = _elapsed_ms()
        if self._trust_wall_clock:
            return TimeKnowledge("system", None, now_ms, 0)
        self._update()
        known = self._estimate
        if known is None:
            return None
        since_ms, ago_ms = max(0, now_ms - self._known_since_ms), max(0, now_ms - known.at_ms)
        return TimeKnowledge(known.source.value, known.error_at(now_ms), since_ms, ago_ms)

    def offer_server_time(self, date_utc_ms: int, *, round_trip_ms: int, is_verified: bool) -> None:
        """Accept a server's `Date` where no better source is known, once two answers in a row agree."""
        now_ms = _elapsed_ms()
        if not (is_verified or self._trust_any_server) or not is_plausible(date_utc_ms) or now_ms < NTP_GRACE_MS:
            return
        offer = from_server(date_utc_ms, round_trip_ms=round_trip_ms, at_ms=now_ms)
        before, self._last_offer = self._last_offer, offer
        if before is not None and before.agrees_with(offer):
            self._update()
            self._take(revise(self._estimate, offer))

    def _update(self) -> None:
        """Read the kernel's clock; without NTP, and with no time known, read the real-time clock."""
        now_ms, known = _elapsed_ms(), self._estimate
        # Read before and after: a step between reading the clock and its bound must not count as the time.
        before_ms = kernel_error_ms()
        wall_ms = time.time_ns() // 1_000_000
        error_ms = kernel_error_ms()
        if before_ms is not None and error_ms is not None:
            offered = TimeEstimate(now_ms, wall_ms, error_ms, TimeSource.NTP)
            is_followed = known is None or known.source is TimeSource.NTP or error_ms <= known.error_at(now_ms)
            self._take(offered if is_followed else revise(known, offered))
        elif known is None and now_ms >= max(self._rtc_next_ms, NTP_GRACE_MS):
            self._rtc_next_ms = now_ms + RTC_INTERVAL_MS
            if (rtc_ms := self._read_rtc(wall_ms)) is not None:
                self._take(TimeEstimate(now_ms, rtc_ms, RTC_ERROR_MS, TimeSource.RTC))

    def _take(self, estimate: TimeEstimate) -> None:
        if self._estimate is None:
            self._known_since_ms = estimate.at_ms
        self._estimate = estimate
        self._memory.write(self._known_since_ms, estimate)
