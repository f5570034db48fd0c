"""Decides when an update may download and restart: maintenance window, metered link, spread over a batch. Pure."""

import re
from datetime import datetime, time

import msgspec

DAY_S = 86_400.0
PAUSED_REASON = "updates are paused; to continue: climahub update resume"
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class MaintenanceWindow(msgspec.Struct, frozen=True):
    """The hours in which the hub may restart into a release, in its own time zone; may include midnight."""

    start: time
    end: time

    def is_open(self, local: datetime) -> bool:
        """Tell whether ``local`` lies within."""
        now = local.time()
        if self.start <= self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


def parse_maintenance_window(text: str) -> MaintenanceWindow | None:
    """Return the maintenance window that "HH:MM-HH:MM" stands for; `None` for "always".

    Raises:
        ValueError: The text is neither.
    """
    if text == "always":
        return None
    match = _WINDOW.fullmatch(text)
    if match is None or match[1] + match[2] == match[3] + match[4]:
        raise ValueError(text)
    hours = [int(each) for each in match.groups()]
    return MaintenanceWindow(time(hours[0], hours[1]), time(hours[2], hours[3]))


class UpdateConditions(msgspec.Struct, frozen=True):
    """The conditions that decide whether an update goes on.

    Attributes:
        local: The time in the hub's time zone; `None` while it is unknown.
        is_metered: The link is paid by volume.
        is_paused: A technician has paused updates.
        is_urgent: A person at the hub has asked for the update.
    """

    local: datetime | None
    is_metered: bool
    is_paused: bool
    is_urgent: bool


def reason_not_to_download(conditions: UpdateConditions, window: MaintenanceWindow | None, metered: str) -> str:
    """Return why nothing may be downloaded now; empty where it may.

    Args:
        conditions: Now.
        window: Maintenance window of this hub.
        metered: When a metered link may carry a download: "never", "window" or "always".
    """
    if conditions.is_paused:
        return PAUSED_REASON
    if conditions.is_urgent or not conditions.is_metered or metered == "always":
        return ""
    if metered == "never":
        return "the link is metered (ota.metered)"
    return "" if _is_within(conditions, window) else "the link is metered, so it waits for the maintenance window"


def reason_not_to_restart(conditions: UpdateConditions, window: MaintenanceWindow | None) -> str:
    """Return why the hub may not restart into the release now; empty where it may."""
    if conditions.is_paused:
        return PAUSED_REASON
    if conditions.is_urgent or _is_within(conditions, window):
        return ""
    if conditions.local is None:
        return "it waits for the time of day, without which the maintenance window is unknown"
    return "it waits for the maintenance window (ota.maintenance_window)"


def spread_delay_s(phase: float, spread_s_max: float) -> float:
    """Return how long this hub waits before a download, so that a batch of hubs does not download at once.

    Args:
        phase: Of the hub, from 0 up to 1; always the same for one hub.
        spread_s_max: The longest delay in a batch.
    """
    return phase * spread_s_max


def format_wait(wait_s: float, local: datetime | None, now_local: datetime | None) -> str:
    """Return when something may be done: "before 14:20" where the time is known, else "for 38 min".

    Args:
        wait_s: How long it must wait.
        local: The local time at the end of the wait; `None` where it is unknown.
        now_local: The local time now.
    """
    if local is None or now_local is None:
        minutes = max(1, -(-int(wait_s) // 60))
        return f"for {minutes} min"
    day = "" if local.date() == now_local.date() else f"{local:%Y-%m-%d} "
    return f"before {day}{local:%H:%M}"


def _is_within(conditions: UpdateConditions, window: MaintenanceWindow | None) -> bool:
    return window is None or (conditions.local is not None and window.is_open(conditions.local))
