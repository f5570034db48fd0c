"""Follows a pairing in the hub's reports: what is new, and whether it is over. Pure: no clock, no I/O."""

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from agent.local.zigbee import StepReport, ZigbeeReport

INTERVIEW_S_MAX = 60.0
"""After the window's end, for a sensor that joined in its last moment."""

FIRST_READING_S_MAX = 90.0
"""After that a sensor that relays is believed, though its first reading has yet to come: some report once an hour."""

STEP_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "window_open": "the window is open",
        "window_closed": "the window is closed",
        "joined": "joined",
        "interviewed": "said what it is",
        "configured": "knows what to report, and when",
        "failed": "could not be asked what it is",
        "left": "left the network",
        "keyed": "has its key",
        "registered": "registered with the cloud",
        "refused": "refused by the cloud",
        "waits": "waits",
        "relaying": "its readings go to the cloud",
        "accepted": "done",
        "removed": "gone",
    }
)


class PairingResult(Enum):
    """How a pairing ended."""

    DONE = "done"
    RELAYING = "relaying"
    NEEDS_KEY = "needs key"
    REFUSED = "refused"
    NOBODY = "nobody"
    ROUTER = "router"
    GUEST = "guest"
    UNFINISHED = "unfinished"


class PairingProgress:
    """One pairing, from the moment when its window was asked for.

    Attributes:
        device: The sensor that is paired; empty before it has joined. Not a router: name and key are the next one's.
        devices: All that have joined since.
        routers: Those of them that are routers.
        guests: Those of them that have said what they are, and measure nothing.
        expected: The address of the one sensor that the window is for, by its label; empty for any.
    """

    def __init__(self, before: ZigbeeReport, *, is_many: bool, now_s: float) -> None:
        """Begin.

        Args:
            before: The hub's report from before the window was opened.
            is_many: The window is for many sensors: it ends when it closes.
            now_s: Any clock's time; the same one is asked for later.
        """
        self._last = max((step.number for step in before.steps), default=0)
        self._known = {sensor.device for sensor in before.sensors if sensor.stage in {"registered", "relaying"}}
        self._is_many = is_many
        self._quiet_since_s = now_s
        self._was_open = False
        self._told: dict[str, set[str]] = {}
        self.device = ""
        self.devices: list[str] = []
        self.routers: list[str] = []
        self.guests: list[str] = []
        self.expected = ""

    def look(self, report: ZigbeeReport, now_s: float) -> Sequence[StepReport]:
        """Take the next report in; return the steps that are new."""
        new = [step for step in report.steps if step.number > self._last]
        for step in new:
            self._last = step.number
            self._told.setdefault(step.device, set()).add(step.what)
            if step.what == "window_open":
                self.expected = step.device
            if step.what in {"keyed", "joined"}:
                self._told[step.device] -= {"waits", "refused"}
            if step.what == "joined" and step.device not in self.devices:
                self.devices.append(step.device)
        routers = {router.device for router in report.routers}
        self.routers = [device for device in self.devices if device in routers]
        guests = {other.device for other in report.others if other.is_interviewed}
        self.guests = [device for device in self.devices if device in guests]
        self.device = next((each for each in self.devices if each not in self._known | routers | guests), "")
        if new or report.radio.join_window_left_s is not None:
            self._quiet_since_s = now_s
        self._was_open |= report.radio.join_window_left_s is not None or bool(new)
        return new

    def end(self, report: ZigbeeReport, now_s: float) -> PairingResult | None:
        """Return how it ended; `None` while it goes on."""
        is_open = report.radio.join_window_left_s is not None
        quiet_s = now_s - self._quiet_since_s
        return self._end_of_many(report, is_open, quiet_s) if self._is_many else self._end_of_one(is_open, quiet_s)

    def _end_of_many(self, report: ZigbeeReport, is_open: bool, quiet_s: float) -> PairingResult | None:
        busy = any(sensor.stage in {"joined", "keyed"} for sensor in report.sensors if sensor.device in self.devices)
        if is_open or not self._was_open or (busy and quiet_s < INTERVIEW_S_MAX):
            return None
        return PairingResult.DONE if self.devices else PairingResult.NOBODY

    def _end_of_one(self, is_open: bool, quiet_s: float) -> PairingResult | None:
        told = self._told.get(self.device, set()) if self.device else set()
        for what, end in (
            ("accepted", PairingResult.DONE),
            ("refused", PairingResult.REFUSED),
            ("waits", PairingResult.NEEDS_KEY),
        ):
            if what in told:
                return end
        if is_open or not self._was_open:
            return None
        if not self.device:
            if self.guests:
                return PairingResult.GUEST
            return PairingResult.ROUTER if self.routers else PairingResult.NOBODY
        patience_s, end = (
            (FIRST_READING_S_MAX, PairingResult.RELAYING)
            if "relaying" in told
            else (INTERVIEW_S_MAX, PairingResult.UNFINISHED)
        )
        return end if quiet_s >= patience_s else None


def step_text(step: StepReport, names: Mapping[str, str]) -> str:
    """Return a step as a person reads it."""
    who = f"{names.get(step.device, step.device)}: " if step.device else ""
    detail = f" ({step.detail})" if step.detail else ""
    return f"{who}{STEP_TEXTS.get(step.what, step.what)}{detail}"
