"""When an update may do what: the maintenance window, the metered link, the spread over a batch of hubs. Pure."""

import re
from datetime import datetime, time

import msgspec

DAY_S = 86_400.0
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class MaintenanceWindow(msgspec.Struct, frozen=True):
    """The hours in which a hub may restart into a new release, in its own time zone; they may lie over midnight."""

    begins: time
    ends: time

    def is_open(self, local: datetime) -> bool:
        """Tell whether ``local`` lies within."""
        now = local.time()
        if self.begins <= self.ends:
            return self.begins <= now < self.ends
        return now >= self.begins or now < self.ends


def parse_maintenance_window(text: str) -> MaintenanceWindow | None:
    """Return the window that "HH:MM-HH:MM" means; `None` for "always".

    Raises:
        ValueError: The text means neither.
    """
    if text == "always":
        return None
    match = _WINDOW.fullmatch(text)
    if match is None or match[1] + match[2] == match[3] + match[4]:
        raise ValueError(text)
    hours = [int(each) for each in match.groups()]
    return MaintenanceWindow(time(hours[0], hours[1]), time(hours[2], hours[3]))


class UpdateConditions(msgspec.Struct, frozen=True):
    """What the policy looks at.

    Attributes:
        local: The time where the hub is; `None` while it is not known.
        is_metered: Whether the link is paid by volume.
        is_held: Whether a technician keeps updates from beginning.
        is_urgent: Whether a person at the hub has said: now.
    """

    local: datetime | None
    is_metered: bool
    is_paused: bool
    is_urgent: bool


def reason_not_to_download(moment: UpdateConditions, window: MaintenanceWindow | None, metered: str) -> str:
    """Return why nothing is downloaded now; empty where it may be.

    Args:
        moment: Now.
        window: Of this hub.
        metered: What a metered link may carry: "never", "window" or "always".
    """
    if moment.is_paused:
        return "held by the technician (climahub update resume)"
    if moment.is_urgent or not moment.is_metered or metered == "always":
        return ""
    if metered == "never":
        return "the link is metered (ota.metered)"
    return "" if _is_within(moment, window) else "the link is metered, so it waits for the maintenance window"


def reason_not_to_restart(moment: UpdateConditions, window: MaintenanceWindow | None) -> str:
    """Return why the hub does not restart into the new release now; empty where it may."""
    if moment.is_paused:
        return "held by the technician (climahub update resume)"
    if moment.is_urgent or _is_within(moment, window):
        return ""
    if moment.local is None:
        return "the maintenance window is not known before the hub knows the time"
    return "it waits for the maintenance window (ota.maintenance_window)"


def spread_delay_s(phase: float, spread_s_max: float) -> float:
    """Return how long this hub lets the others of its batch go first: the same each time, another for each hub.

    Args:
        phase: Of the hub, from 0 up to 1.
        spread_s_max: For the last hub of a batch.
    """
    return phase * spread_s_max


def _is_within(moment: UpdateConditions, window: MaintenanceWindow | None) -> bool:
    return window is None or (moment.local is not None and window.is_open(moment.local))
