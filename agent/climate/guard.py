"""Protects what is switched: minimum on and off times, and how often it may start in an hour. Pure.

Everything counts on the boot's monotonic clock. A guard that comes from the disk has just stopped, whatever it says:
nobody knows what happened since, and a compressor that restarts against its pressure is ruined.
"""

import msgspec

HOUR_MS = 3_600_000
STARTS_MAX = 60
"""More starts an hour than any relay is made for; also the bound of what a guard remembers."""


class GuardLimits(msgspec.Struct, frozen=True):
    """What a piece of equipment stands.

    Attributes:
        min_on_s: Once started, it runs so long.
        min_off_s: Once stopped, it rests so long.
        starts_per_hour_max: In any hour, 1 to `STARTS_MAX`.
    """

    min_on_s: float
    min_off_s: float
    starts_per_hour_max: int


class Guard(msgspec.Struct, frozen=True):
    """One piece of equipment.

    Attributes:
        is_on: Whether it runs.
        changed_ms: When it was switched last.
        starts_ms: When it was started, oldest first; no more than `STARTS_MAX`.
    """

    is_on: bool
    changed_ms: int
    starts_ms: tuple[int, ...] = ()


def just_stopped(now_ms: int, starts_ms: tuple[int, ...] = ()) -> Guard:
    """Return the guard of equipment of which nothing else is known."""
    return Guard(is_on=False, changed_ms=now_ms, starts_ms=starts_ms)


def restored(saved: Guard, *, saved_ms: int, now_ms: int, is_same_boot: bool) -> Guard:
    """Return a guard as it has to be taken after a restart of the agent.

    The starts that were written down keep their age; after a reboot the clock began anew, so they count as old as they
    were when they were written. One start that was not written down any more is assumed.

    Args:
        saved: From the disk.
        saved_ms: Boot time at which it was written.
        now_ms: Boot time now.
        is_same_boot: Whether both are of one boot.
    """
    shift_ms = 0 if is_same_boot else now_ms - saved_ms
    starts = [min(start_ms + shift_ms, now_ms) for start_ms in saved.starts_ms]
    # An agent that is restarted over and over starts nothing that would trim them.
    return just_stopped(now_ms, (*starts, now_ms)[-STARTS_MAX:])


def wait_to_start_ms(guard: Guard, limits: GuardLimits, now_ms: int) -> int:
    """Return how long it has to rest yet; 0 where it may start now."""
    rest_ms = guard.changed_ms + round(limits.min_off_s * 1000) - now_ms
    starts = guard.starts_ms
    if len(starts) >= limits.starts_per_hour_max:
        rest_ms = max(rest_ms, starts[-limits.starts_per_hour_max] + HOUR_MS - now_ms)
    return max(0, rest_ms)


def wait_to_stop_ms(guard: Guard, limits: GuardLimits, now_ms: int) -> int:
    """Return how long it has to run yet; 0 where it may stop now."""
    return max(0, guard.changed_ms + round(limits.min_on_s * 1000) - now_ms)


def switched(guard: Guard, limits: GuardLimits, now_ms: int, *, is_on: bool) -> Guard:
    """Return the guard after a switch; the same one where nothing changes. Asks nobody for permission."""
    if is_on == guard.is_on:
        return guard
    starts = guard.starts_ms
    if is_on:
        starts = (*starts[-limits.starts_per_hour_max + 1 :], now_ms) if limits.starts_per_hour_max > 1 else (now_ms,)
    return Guard(is_on, now_ms, starts)


def allowed(guard: Guard, limits: GuardLimits, now_ms: int, *, is_wanted: bool) -> tuple[bool, str]:
    """Return what it may do now, and where that is not what is wanted, why in words."""
    if is_wanted == guard.is_on:
        return guard.is_on, ""
    if is_wanted:
        if not (wait_ms := wait_to_start_ms(guard, limits, now_ms)):
            return True, ""
        is_rest = guard.changed_ms + round(limits.min_off_s * 1000) - now_ms >= wait_ms
        why = "minimum off time" if is_rest else f"{limits.starts_per_hour_max} starts an hour are used up"
        return False, f"{why}, {_seconds(wait_ms)} to go"
    if wait_ms := wait_to_stop_ms(guard, limits, now_ms):
        return True, f"minimum on time, {_seconds(wait_ms)} to go"
    return False, ""


def _seconds(wait_ms: int) -> str:
    seconds = -(-wait_ms // 1000)
    return f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"  # noqa: PLR2004 - what is easier to read
