"""Protects what is switched: minimum on and off times, and how often it may start in an hour. Pure.

Everything counts on the boot's monotonic clock. Equipment that may have run since its guard was written counts as
stopped at the latest moment at which it can have: a compressor that restarts against its pressure is ruined. Equipment
that cannot have run goes on resting: an agent that is restarted over and over must not begin each rest anew.
"""

import msgspec

HOUR_MS = 3_600_000
STARTS_MAX = 60
"""More starts an hour than any relay is made for; also the bound of what a guard remembers."""


class ShortCycleLimits(msgspec.Struct, frozen=True):
    """What a piece of equipment stands.

    Attributes:
        min_on_s: Once started, it runs so long.
        min_off_s: Once stopped, it rests so long.
        starts_per_hour_max: In any hour, 1 to `STARTS_MAX`.
    """

    min_on_s: float
    min_off_s: float
    starts_per_hour_max: int


class ShortCycleState(msgspec.Struct, frozen=True):
    """One piece of equipment.

    Attributes:
        is_on: Whether it runs.
        changed_ms: When it was switched last.
        starts_ms: When it was started, oldest first; no more than `STARTS_MAX`.
    """

    is_on: bool
    changed_ms: int
    starts_ms: tuple[int, ...] = ()


def assume_stopped(now_ms: int, starts_ms: tuple[int, ...] = ()) -> ShortCycleState:
    """Return the guard of equipment of which nothing else is known."""
    return ShortCycleState(is_on=False, changed_ms=now_ms, starts_ms=starts_ms)


SNAPSHOT_DELAY_MS = 5000
"""Equipment that rests on over a restart starts no sooner than this: by then this life has written that it is about to.
A supply that breaks down as the compressor starts would else start it again at each boot, without a rest."""


class Downtime(msgspec.Struct, frozen=True):
    """The time between the writing of a guard and the next life of the agent.

    Attributes:
        clock_offset_ms: Makes of a boot time as it was written the latest one that it can be on the clock of now.
        off_since_ms: Since when everything has been off, on the clock of now, at the latest.
        written_ms: When the guard was written, on the clock of now, at the latest.
        unrecorded_ms: How long the agent may have gone on after that; `None` where nobody knows.
    """

    clock_offset_ms: int
    off_since_ms: int
    written_ms: int
    unrecorded_ms: int | None


def may_have_started(saved: ShortCycleState, limits: ShortCycleLimits, absence: Downtime) -> bool:
    """Return whether equipment can have been started after its guard was written, and that was not written any more."""
    if absence.unrecorded_ms is None:
        return True
    then = _shifted(saved, limits, absence)
    earliest_ms = absence.written_ms
    if then.is_on:
        earliest_ms = max(earliest_ms, then.changed_ms + round((limits.min_on_s + limits.min_off_s) * 1000))
    earliest_ms += wait_to_start_ms(then, limits, earliest_ms)
    return earliest_ms - absence.written_ms < absence.unrecorded_ms


def restore(saved: ShortCycleState, limits: ShortCycleLimits, absence: Downtime) -> ShortCycleState:
    """Return a guard as it has to be taken after a restart of the agent.

    Where it may have been started without that being written down, one start is assumed and it has just stopped. The
    starts that were written down keep their age, and get older by what is known of the absence.

    Args:
        saved: From the disk.
        limits: Of the equipment.
        absence: Since it was written.
    """
    then = _shifted(saved, limits, absence)
    if may_have_started(saved, limits, absence):
        # An agent that is restarted over and over starts nothing that would trim them.
        return assume_stopped(
            absence.off_since_ms, (*then.starts_ms, absence.off_since_ms)[-limits.starts_per_hour_max :]
        )
    if then.is_on:
        return assume_stopped(absence.off_since_ms, then.starts_ms)
    soonest_ms = absence.off_since_ms + SNAPSHOT_DELAY_MS - round(limits.min_off_s * 1000)
    return msgspec.structs.replace(then, changed_ms=max(then.changed_ms, soonest_ms))


def _shifted(saved: ShortCycleState, limits: ShortCycleLimits, absence: Downtime) -> ShortCycleState:
    """Return a guard as it was when it was written, on the clock of now."""
    starts = saved.starts_ms[-limits.starts_per_hour_max :]
    return ShortCycleState(
        saved.is_on,
        min(saved.changed_ms + absence.clock_offset_ms, absence.off_since_ms),
        tuple([min(start_ms + absence.clock_offset_ms, absence.off_since_ms) for start_ms in starts]),
    )


def with_one_start_left(relay: ShortCycleState, limits: ShortCycleLimits) -> ShortCycleState:
    """Return a guard that may start once in this hour, as soon as it has rested."""
    room = limits.starts_per_hour_max - 1
    return msgspec.structs.replace(relay, starts_ms=relay.starts_ms[max(0, len(relay.starts_ms) - room) :])


def wait_to_start_ms(relay: ShortCycleState, limits: ShortCycleLimits, now_ms: int) -> int:
    """Return how long it has to rest yet; 0 where it may start now."""
    rest_ms = relay.changed_ms + round(limits.min_off_s * 1000) - now_ms
    starts = relay.starts_ms
    if len(starts) >= limits.starts_per_hour_max:
        rest_ms = max(rest_ms, starts[-limits.starts_per_hour_max] + HOUR_MS - now_ms)
    return max(0, rest_ms)


def wait_to_stop_ms(relay: ShortCycleState, limits: ShortCycleLimits, now_ms: int) -> int:
    """Return how long it has to run yet; 0 where it may stop now."""
    return max(0, relay.changed_ms + round(limits.min_on_s * 1000) - now_ms)


def switch(relay: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_on: bool) -> ShortCycleState:
    """Return the guard after a switch; the same one where nothing changes. Asks nobody for permission."""
    if is_on == relay.is_on:
        return relay
    starts = relay.starts_ms
    if is_on:
        starts = (*starts[-limits.starts_per_hour_max + 1 :], now_ms) if limits.starts_per_hour_max > 1 else (now_ms,)
    return ShortCycleState(is_on, now_ms, starts)


def apply_limits(relay: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_wanted: bool) -> tuple[bool, str]:
    """Return what it may do now, and where that is not what is wanted, why in words."""
    if is_wanted == relay.is_on:
        return relay.is_on, ""
    if is_wanted:
        if not (wait_ms := wait_to_start_ms(relay, limits, now_ms)):
            return True, ""
        is_rest = relay.changed_ms + round(limits.min_off_s * 1000) - now_ms >= wait_ms
        why = "minimum off time" if is_rest else f"{limits.starts_per_hour_max} starts an hour are used up"
        return False, f"{why}, {_seconds(wait_ms)} to go"
    if wait_ms := wait_to_stop_ms(relay, limits, now_ms):
        return True, f"minimum on time, {_seconds(wait_ms)} to go"
    return False, ""


def _seconds(wait_ms: int) -> str:
    seconds = -(-wait_ms // 1000)
    return f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"  # noqa: PLR2004 - what is easier to read
