"""What is wrong with the machine below the agent, and how urgent it is. Pure.

The verdict and the checks of the port judge by these functions, so that they never contradict each other.
"""

from collections.abc import Collection, Iterator

from agent.foundation.format import size
from agent.foundation.phrase import phrase
from agent.local.problem import Level, Problem
from agent.local.status import ClockStatus, MachineReport

CLOCK_GRACE_S = 900
"""NTP and the cloud have answered by then."""

CLOCK_ERROR_S_MAX = 60.0
"""A larger error bound is reported as a problem: a day and a half after the last answer of NTP."""

SPARE_DISK_FACTOR = 2
"""Warn at twice the room at which the outbox stops growing: somebody needs time to come."""

SUPPLY_REMEDY = "use the maker's power supply and a short, thick cable; remove what else hangs on the USB ports"


def machine_problems(machine: MachineReport) -> Iterator[Problem]:
    """Yield what is wrong, each beginning with the part of the machine."""
    parts = {
        "card": [
            card_moved() if machine.is_card_moved else None,
            held_back() if machine.holds_back and not machine.is_card_moved else None,
        ],
        "power": [
            under_voltage(machine.power_now, machine.power_since_boot),
            mains_off(machine.ups.minutes_left if machine.ups else None) if machine.is_mains_off else None,
            unreliable_battery(machine.ups.problem) if machine.ups and machine.ups.problem else None,
        ],
        "button": [
            Problem("it does nothing", machine.button_problem) if machine.button_problem else None,
            reset_asked() if machine.reset_left_s is not None else None,
        ],
        "disk": [
            None
            if machine.disk_free_bytes is None
            else disk_short(machine.disk_free_bytes, machine.disk_free_bytes_min)
        ],
    }
    for part, found in parts.items():
        for each in filter(None, found):
            yield Problem(phrase("{part}: {problem}", part=part, problem=each.what), each.advice, each.level)


def under_voltage(now: Collection[str], since_boot: Collection[str]) -> Problem | None:
    """Return that the supply voltage is too low, or has been (names of `agent.foundation.system_info`)."""
    if "under_voltage" in now:
        return Problem("the supply voltage is below 4.63 V now", SUPPLY_REMEDY, Level.FAULT)
    if "under_voltage" in since_boot:
        return Problem("the supply voltage has been below 4.63 V since the boot", SUPPLY_REMEDY)
    return None


def mains_off(minutes: int | None = None) -> Problem:
    """Return that the hub runs on its battery, for so many minutes where that is known."""
    what: str = "the mains power is off: the hub runs on its battery"
    if minutes is not None:
        what = phrase("the mains power is off: the battery lasts about {minutes} min", minutes=minutes)
    return Problem(what, "check fuse, plug and power supply", Level.FAULT)


def unreliable_battery(reason: str) -> Problem:
    """Return that the battery, or an orderly stop before it is empty, cannot be relied on."""
    return Problem("the battery cannot be relied on", reason)


def reset_asked() -> Problem:
    """Return that the button asks for a factory reset, which somebody has to confirm."""
    return Problem("it asks for a factory reset", "confirm it, or wait ten minutes to keep everything")


def card_moved() -> Problem:
    """Return that the hub does not use its key: another hub may have it."""
    return Problem(
        "the card was copied or moved to another board: the hub's key is not used, readings are kept",
        "say which, in Checks or with climahub doctor --fix; a copied card needs a key of its own (docs/fleet.md)",
        Level.FAULT,
    )


def held_back() -> Problem:
    """Return that what the card has recorded on another board is not sent under the present key."""
    return Problem(
        "what the card recorded on another board is held back",
        "in Checks or with climahub doctor --fix: send it where both boards are of one home, else discard it",
    )


def disk_short(free_bytes: int, free_bytes_min: int) -> Problem | None:
    """Return that the disk is full, or soon will be."""
    free = size(free_bytes) if free_bytes else "nothing"
    what = phrase("{free} free: the outbox stops at {limit}", free=free, limit=size(free_bytes_min))
    remedy = "remove what does not belong to the hub, or use a larger card"
    if free_bytes <= free_bytes_min:
        return Problem(what, remedy, Level.FAULT)
    return Problem(what, remedy) if free_bytes < SPARE_DISK_FACTOR * free_bytes_min else None


def clock_level(clock: ClockStatus) -> Level:
    """Return how urgent it is that the time is not known, or not exact."""
    if not clock.synchronised:
        return Level.FAULT if clock.uptime_s >= CLOCK_GRACE_S else Level.ATTENTION
    return Level.ATTENTION if (clock.error_s or 0) > CLOCK_ERROR_S_MAX else Level.OK
