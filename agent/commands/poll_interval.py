"""How long the hub waits between two polls for commands. Pure: no clock, no I/O.

A command is rare, and a poll costs as much as a batch of readings. So polls are frequent while somebody works with the
hub, and rare at all other times.
"""

from collections.abc import Iterable

ACTIVE_S = 3600.0
"""For this long after a command, or after a person has used the port, somebody is taken to work with the hub."""

METERED_FACTOR = 20
"""Polls are this many times rarer on a metered link: 15 s become 5 min, 3 MB a day become 150 kB."""


def poll_interval_s(
    since_s: Iterable[float | None], active_interval_s: float, idle_interval_s: float, *, is_metered: bool
) -> float:
    """Return the time between two polls, in seconds.

    Args:
        since_s: The time since a command came, and since a person was here; `None` for never.
        active_interval_s: While somebody works with the hub (`cloud.commands_poll_interval_s`).
        idle_interval_s: At other times (`cloud.commands_idle_poll_interval_s`); never shorter than the other.
        is_metered: The link is paid by volume.
    """
    active_s = active_interval_s * (METERED_FACTOR if is_metered else 1)
    is_active = any(each is not None and each < ACTIVE_S for each in since_s)
    return active_s if is_active else max(active_s, idle_interval_s)
