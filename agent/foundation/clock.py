"""Time, injected: durations from the monotonic clock, UTC once it has been learnt in this boot.

A Pi has no battery-backed clock: until NTP has answered, its wall clock is wrong by anything up to decades. So readings
carry boot time, and `utc_ms()` is `None` until a source is believed. From then on the time is known for the rest of the
boot, whether that source goes on or not; what grows is its bound of error (`agent.foundation.time_estimate`). Steps of
the wall clock that nobody vouches for change nothing. Never sets the system's clock.
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
clock is set by hand, and 8.9 h after the last NTP answer: its bound of error is 16 s by then (kernel/time/ntp.c)."""

UNDISCIPLINED_US = 10_000_000
"""A bound of this or more beside STA_UNSYNC is nobody's: the kernel begins at 16 s. A smaller one has been given by a
daemon that leaves the flag on purpose, lest the kernel write the battery-backed clock."""

KERNEL_ERROR_MS_MIN = 100
"""systemd-timesyncd sets a bound of 0 with each answer; over a slow line it is wrong by half the round trip."""

NTP_GRACE_MS = 120_000
"""How long a boot waits for NTP before anything less exact is believed."""
RTC_LOOK_MS = 600_000
"""How often a clock with a battery is asked where there was none: it sits on a slow bus."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ADJTIMEX_BYTES = 512
"""More than `sizeof(struct timex)` on any Linux (208 on 64-bit)."""


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
        """Milliseconds since 1970 in UTC, or `None` while the time has not been learnt in this boot."""
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
        error_ms: How wrong it may be now; `None` where nobody gives a bound ("system").
        known_for_ms: Since when it is known in this boot.
        confirmed_ms_ago: When the source last vouched for it.
    """

    source: str
    error_ms: int | None
    known_for_ms: int
    confirmed_ms_ago: int


class Timekeeper(Protocol):
    """The machine's knowledge of the time, apart from the boots that are counted upon it."""

    def knowledge(self) -> TimeKnowledge | None:
        """Return how the time is known; `None` while it is not."""
        ...

    def offer_server_time(self, date_utc_ms: int, *, round_trip_ms: int, is_verified: bool) -> None:
        """Take note of a server's `Date`, now that its answer has come.

        Args:
            date_utc_ms: The header, in milliseconds since 1970.
            round_trip_ms: From the request to the answer.
            is_verified: The server has proved by TLS who it is.
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
    """Return how wrong the wall clock may be by the kernel's account, or `None` where nobody disciplines it.

    The bound decides, not STA_UNSYNC alone (adjtimex(2)). Needs no privilege.
    """
    timex = _Timex(modes=0)
    if _libc().adjtimex(ctypes.byref(timex)) < 0:
        return None
    if timex.status & STA_UNSYNC and not 0 < timex.maxerror < UNDISCIPLINED_US:
        return None
    return max(int(timex.maxerror) // 1000, KERNEL_ERROR_MS_MIN)


def _elapsed_ms() -> int:
    """Return the milliseconds since the boot, those asleep included: what UTC is carried on with."""
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
            trust_any_server: Believe the `Date` of a server that has not proved by TLS who it is ("cloud").
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
        """Return UTC in whole milliseconds, or `None` while no source has been believed in this boot."""
        if self._trust_wall_clock:
            return time.time_ns() // 1_000_000
        self._look()
        return self._estimate.utc_at(_elapsed_ms()) if self._estimate else None

    def knowledge(self) -> TimeKnowledge | None:
        """Return how the time is known; `None` while it is not."""
        now_ms = _elapsed_ms()
        if self._trust_wall_clock:
            return TimeKnowledge("system", None, now_ms, 0)
        self._look()
        known = self._estimate
        if known is None:
            return None
        since_ms, ago_ms = max(0, now_ms - self._known_since_ms), max(0, now_ms - known.at_ms)
        return TimeKnowledge(known.source.value, known.error_at(now_ms), since_ms, ago_ms)

    def offer_server_time(self, date_utc_ms: int, *, round_trip_ms: int, is_verified: bool) -> None:
        """Believe a server's `Date` where nothing better is known, once two answers in a row agree."""
        now_ms = _elapsed_ms()
        if not (is_verified or self._trust_any_server) or not is_plausible(date_utc_ms) or now_ms < NTP_GRACE_MS:
            return
        offer = from_server(date_utc_ms, round_trip_ms=round_trip_ms, at_ms=now_ms)
        before, self._last_offer = self._last_offer, offer
        if before is not None and before.agrees_with(offer):
            self._look()
            self._take(revise(self._estimate, offer))

    def _look(self) -> None:
        """Ask the kernel; without it, and with nothing known, a clock with a battery."""
        now_ms, known = _elapsed_ms(), self._estimate
        # Asked before and after: a step between the reading and its bound must not be taken for the time.
        before_ms = kernel_error_ms()
        wall_ms = time.time_ns() // 1_000_000
        error_ms = kernel_error_ms()
        if before_ms is not None and error_ms is not None:
            offered = TimeEstimate(now_ms, wall_ms, error_ms, TimeSource.NTP)
            is_followed = known is None or known.source is TimeSource.NTP or error_ms <= known.error_at(now_ms)
            self._take(offered if is_followed else revise(known, offered))
        elif known is None and now_ms >= max(self._rtc_next_ms, NTP_GRACE_MS):
            self._rtc_next_ms = now_ms + RTC_LOOK_MS
            if (rtc_ms := self._read_rtc(wall_ms)) is not None:
                self._take(TimeEstimate(now_ms, rtc_ms, RTC_ERROR_MS, TimeSource.RTC))

    def _take(self, estimate: TimeEstimate) -> None:
        if self._estimate is None:
            self._known_since_ms = estimate.at_ms
        self._estimate = estimate
        self._memory.write(self._known_since_ms, estimate)
