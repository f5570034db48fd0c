"""Follows a pairing in the hub's reports: new steps, and the end. Pure: no clock, no I/O."""

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from agent.local.zigbee import StepReport, ZigbeeReport

INTERVIEW_S_MAX = 60.0
"""Wait after the join window closes, for a sensor that joined at its end."""

FIRST_READING_S_MAX = 90.0
"""A relayed sensor counts as paired after this wait without a reading: some report once an hour."""

STEP_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "window_open": "the join window is open",
        "window_closed": "the join window is closed",
        "joined": "joined",
        "interviewed": "interviewed",
        "configured": "reporting is configured",
        "failed": "could not be interviewed",
        "left": "left the network",
        "keyed": "has its key",
        "registered": "registered with the cloud",
        "refused": "refused by the cloud",
        "waits": "waits",
        "relaying": "its readings go to the cloud",
        "accepted": "paired",
        "removed": "removed",
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
    """One pairing, from the request for its join window on.

    Attributes:
        device: The sensor that is paired; empty before it has joined. Never a router: name and key are for a sensor.
        devices: All devices that have joined since.
        routers: The routers among them.
        guests: Those among them that were interviewed and measure nothing.
        expected: The address on the label that the join window is for; empty for any sensor.
    """

    def __init__(self, before: ZigbeeReport, *, is_many: bool, now_s: float) -> None:
        """Begin.

        Args:
            before: The hub's report before the join window was opened.
            is_many: Many sensors may join; the pairing ends when the window closes.
            now_s: The time of a clock; later times are of the same clock.
        """
        self._last = max((step.number for step in before.steps), default=0)
        self._known = {sensor.device for sensor in before.sensors if sensor.stage in {"registered", "relaying"}}
        self._is_many = is_many
        self._last_step_s = now_s
        self._was_open = False
        self._steps: dict[str, set[str]] = {}
        self.device = ""
        self.devices: list[str] = []
        self.routers: list[str] = []
        self.guests: list[str] = []
        self.expected = ""

    def advance(self, report: ZigbeeReport, now_s: float) -> Sequence[StepReport]:
        """Process the next report and return the new steps."""
        new = [step for step in report.steps if step.number > self._last]
        for step in new:
            self._last = step.number
            self._steps.setdefault(step.device, set()).add(step.what)
            if step.what == "window_open":
                self.expected = step.device
            if step.what in {"keyed", "joined"}:
                self._steps[step.device] -= {"waits", "refused"}
            if step.what == "joined" and step.device not in self.devices:
                self.devices.append(step.device)
        routers = {router.device for router in report.routers}
        self.routers = [device for device in self.devices if device in routers]
        guests = {other.device for other in report.others if other.is_interviewed}
        self.guests = [device for device in self.devices if device in guests]
        self.device = next((each for each in self.devices if each not in self._known | routers | guests), "")
        if new or report.radio.join_window_left_s is not None:
            self._last_step_s = now_s
        self._was_open |= report.radio.join_window_left_s is not None or bool(new)
        return new

    def end(self, report: ZigbeeReport, now_s: float) -> PairingResult | None:
        """Return the result; `None` while the pairing goes on."""
        is_open = report.radio.join_window_left_s is not None
        quiet_s = now_s - self._last_step_s
        return self._end_of_many(report, is_open, quiet_s) if self._is_many else self._end_of_one(is_open, quiet_s)

    def _end_of_many(self, report: ZigbeeReport, is_open: bool, quiet_s: float) -> PairingResult | None:
        busy = any(sensor.stage in {"joined", "keyed"} for sensor in report.sensors if sensor.device in self.devices)
        if is_open or not self._was_open or (busy and quiet_s < INTERVIEW_S_MAX):
            return None
        return PairingResult.DONE if self.devices else PairingResult.NOBODY

    def _end_of_one(self, is_open: bool, quiet_s: float) -> PairingResult | None:
        seen = self._steps.get(self.device, set()) if self.device else set()
        for what, end in (
            ("accepted", PairingResult.DONE),
            ("refused", PairingResult.REFUSED),
            ("waits", PairingResult.NEEDS_KEY),
        ):
            if what in seen:
                return end
        if is_open or not self._was_open:
            return None
        if not self.device:
            if self.guests:
                return PairingResult.GUEST
            return PairingResult.ROUTER if self.routers else PairingResult.NOBODY
        patience_s, end = (
            (FIRST_READING_S_MAX, PairingResult.RELAYING)
            if "relaying" in seen
            else (INTERVIEW_S_MAX, PairingResult.UNFINISHED)
        )
        return end if quiet_s >= patience_s else None


def step_text(step: StepReport, names: Mapping[str, str]) -> str:
    """Return a step as text."""
    who = f"{names.get(step.device, step.device)}: " if step.device else ""
    detail = f" ({step.detail})" if step.detail else ""
    return f"{who}{STEP_TEXTS.get(step.what, step.what)}{detail}"
