"""What the room of updates learns of the hub around it, and asks of it. Values only."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from agent.ota.trial import Check


async def _unknown_end() -> str:
    return ""


class UpdateContext(msgspec.Struct, frozen=True):
    """The hub, seen from its updates.

    Attributes:
        checks: What a release on trial has to show, by name; the cloud is not among it.
        fresh_sensors: Tells how many sensors deliver.
        local_time: Tells the time in the hub's time zone; `None` while it is not known.
        is_metered: Tells whether the link is paid by volume.
        before_reboot: Waits, for a while, until a restart of the machine leaves no reading without its time.
        reboot: Asks the machine to restart, for a reason; raises `RebootFailed`.
        add_fault: Told of what went wrong.
        last_end: Tells how the process before this one ended, as the service manager says it; empty where nobody knows.
        phase: Of this hub among its neighbours, from 0 up to 1.
    """

    checks: Mapping[str, Check]
    fresh_sensors: Callable[[], int]
    local_time: Callable[[], datetime | None]
    is_metered: Callable[[], bool]
    before_reboot: Callable[[], Awaitable[None]]
    reboot: Callable[[str], Awaitable[None]]
    add_fault: Callable[[str], None]
    phase: float
    last_end: Callable[[], Awaitable[str]] = _unknown_end
