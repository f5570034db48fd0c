"""Short-cycle protection: minimum on and off times, and a limit of starts per hour. Pure.

All times are on the monotonic clock of the boot. Equipment that may have run since its state was saved counts as
stopped at the latest possible instant, because a compressor that restarts against its pressure is ruined. The rest of
equipment that cannot have run continues over a restart: otherwise an agent that restarts in a loop would start each
rest anew and never heat.
"""

import msgspec

HOUR_MS = 3_600_000
STARTS_MAX = 60
"""More starts per hour than any relay is made for. It also bounds the size of the state."""

SNAPSHOT_DELAY_MS = 5000
"""Equipment whose rest continues over a restart starts no sooner than this: by then the agent has saved that it is
about to start. Otherwise a supply that fails when the compressor starts would start it again at each boot, without a
rest."""


class ShortCycleLimits(msgspec.Struct, frozen=True):
    """The limits of a piece of equipment.

    Attributes:
        min_on_s: It runs at least this long.
        min_off_s: It rests at least this long.
        starts_per_hour_max: In any hour, 1 to `STARTS_MAX`.
    """

    min_on_s: float
    min_off_s: float
    starts_per_hour_max: int


class ShortCycleState(msgspec.Struct, frozen=True):
    """The switching history of a piece of equipment.

    Attributes:
        is_on: It runs.
        changed_ms: When it was switched last.
        starts_ms: Its latest starts, oldest first, at most `STARTS_MAX`.
    """

    is_on: bool
    changed_ms: int
    starts_ms: tuple[int, ...] = ()


class Downtime(msgspec.Struct, frozen=True):
    """The time between the saving of a state and the next run of the agent.

    Attributes:
        clock_offset_ms: Added to a saved boot time, it gives the latest possible time on the present clock.
        off_since_ms: Since when everything has been off at the latest, on the present clock.
        written_ms: When the state was saved at the latest, on the present clock.
        unrecorded_ms: For how long the agent may have run after that; `None` if unknown.
    """

    clock_offset_ms: int
    off_since_ms: int
    written_ms: int
    unrecorded_ms: int | None


def assume_stopped(now_ms: int, starts_ms: tuple[int, ...] = ()) -> ShortCycleState:
    """Return the state of equipment without a known history: it has stopped just now."""
    return ShortCycleState(is_on=False, changed_ms=now_ms, starts_ms=starts_ms)


def may_have_started(saved: ShortCycleState, limits: ShortCycleLimits, downtime: Downtime) -> bool:
    """Return whether equipment can have started after its state was saved."""
    if downtime.unrecorded_ms is None:
        return True
    then = _on_present_clock(saved, limits, downtime)
    earliest_ms = downtime.written_ms
    if then.is_on:
        earliest_ms = max(earliest_ms, then.changed_ms + round((limits.min_on_s + limits.min_off_s) * 1000))
    earliest_ms += wait_to_start_ms(then, limits, earliest_ms)
    return earliest_ms - downtime.written_ms < downtime.unrecorded_ms


def restore(saved: ShortCycleState, limits: ShortCycleLimits, downtime: Downtime) -> ShortCycleState:
    """Return the state after a restart of the agent.

    If the equipment may have started unrecorded, one start is assumed and it has stopped just now. Recorded starts keep
    their age and grow older by the known downtime.

    Args:
        saved: From the disk.
        limits: Of the equipment.
        downtime: Since the state was saved.
    """
    then = _on_present_clock(saved, limits, downtime)
    if may_have_started(saved, limits, downtime):
        # Trimmed here: an agent that restarts in a loop starts nothing, so `switch` never trims.
        return assume_stopped(
            downtime.off_since_ms, (*then.starts_ms, downtime.off_since_ms)[-limits.starts_per_hour_max :]
        )
    if then.is_on:
        return assume_stopped(downtime.off_since_ms, then.starts_ms)
    soonest_ms = downtime.off_since_ms + SNAPSHOT_DELAY_MS - round(limits.min_off_s * 1000)
    return msgspec.structs.replace(then, changed_ms=max(then.changed_ms, soonest_ms))


def _on_present_clock(saved: ShortCycleState, limits: ShortCycleLimits, downtime: Downtime) -> ShortCycleState:
    """Return a saved state with its times on the present clock."""
    starts = saved.starts_ms[-limits.starts_per_hour_max :]
    offset_ms, latest_ms = downtime.clock_offset_ms, downtime.off_since_ms
    return ShortCycleState(
        saved.is_on,
        min(saved.changed_ms + offset_ms, latest_ms),
        tuple([min(start_ms + offset_ms, latest_ms) for start_ms in starts]),
    )


def with_one_start_left(state: ShortCycleState, limits: ShortCycleLimits) -> ShortCycleState:
    """Return a state that allows one start in this hour, after the minimum off time."""
    counted = limits.starts_per_hour_max - 1
    return msgspec.structs.replace(state, starts_ms=state.starts_ms[max(0, len(state.starts_ms) - counted) :])


def wait_to_start_ms(state: ShortCycleState, limits: ShortCycleLimits, now_ms: int) -> int:
    """Return the time until equipment may start; 0 for now."""
    rest_ms = state.changed_ms + round(limits.min_off_s * 1000) - now_ms
    starts = state.starts_ms
    if len(starts) >= limits.starts_per_hour_max:
        rest_ms = max(rest_ms, starts[-limits.starts_per_hour_max] + HOUR_MS - now_ms)
    return max(0, rest_ms)


def wait_to_stop_ms(state: ShortCycleState, limits: ShortCycleLimits, now_ms: int) -> int:
    """Return the time until equipment may stop; 0 for now."""
    return max(0, state.changed_ms + round(limits.min_on_s * 1000) - now_ms)


def switch(state: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_on: bool) -> ShortCycleState:
    """Return the state after a switch, without checking that it is allowed; the same object if nothing changes."""
    if is_on == state.is_on:
        return state
    starts = state.starts_ms
    if is_on:
        starts = (*starts[-limits.starts_per_hour_max + 1 :], now_ms) if limits.starts_per_hour_max > 1 else (now_ms,)
    return ShortCycleState(is_on, now_ms, starts)


def with_late_start(state: ShortCycleState, now_ms: int) -> ShortCycleState:
    """Return the state of equipment whose output follows its demand again: it has run since now at the earliest.

    Once for each start: an output that fails and returns again and again must not hold on equipment that works.
    """
    is_first = state.is_on and state.starts_ms[-1:] == (state.changed_ms,)
    return msgspec.structs.replace(state, changed_ms=now_ms) if is_first else state


def apply_limits(state: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_wanted: bool) -> tuple[bool, str]:
    """Return whether equipment may be on now, and for people why that is not what is wanted; else an empty text."""
    if is_wanted == state.is_on:
        return state.is_on, ""
    if is_wanted:
        if not (wait_ms := wait_to_start_ms(state, limits, now_ms)):
            return True, ""
        is_rest = state.changed_ms + round(limits.min_off_s * 1000) - now_ms >= wait_ms
        limit = "minimum off time" if is_rest else f"limit of {limits.starts_per_hour_max} starts per hour"
        return False, f"{limit}, {_format_wait(wait_ms)} to go"
    if wait_ms := wait_to_stop_ms(state, limits, now_ms):
        return True, f"minimum on time, {_format_wait(wait_ms)} to go"
    return False, ""


def _format_wait(wait_ms: int) -> str:
    seconds = -(-wait_ms // 1000)
    return f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"  # noqa: PLR2004 - what is easier to read
