"""The actions of one home in the plainest form: a reference for random histories.

It knows nothing of holds, files or the real life cycle. A zone has a list of layers; the last that is valid counts.
"""

from agent.home.action_admission import AHEAD_MS_MAX, PENDING_MAX, WINDOW_MS_MAX, OnConflict
from agent.home.actions import LATE_MS_MAX, Command

DEFAULT_C = 20.0
WINDOWED = {Command.HEAT, Command.COOL}
PENDING = {"scheduled", "acknowledged"}


class ModelRefusedError(Exception):
    """Its text says why."""


def refuse_if(why: str, is_so: bool) -> None:
    if is_so:
        raise ModelRefusedError(why)


def check_times(start: int | None, end: int | None, now: int) -> None:
    refuse_if("invalid_time_window", start is None and end is not None)
    if start is not None:
        refuse_if("start_in_past", start < now)
        refuse_if("start_out_of_range", start > now + AHEAD_MS_MAX)
        refuse_if("invalid_time_window", end is not None and not 0 < end - start <= WINDOW_MS_MAX)


class ModelAction:
    def __init__(
        self, number: int, command: Command, value_c: float, start: int | None, end: int | None, now: int
    ) -> None:
        self.number = number
        self.command = command
        self.value_c = value_c
        self.start = start
        self.due = now if start is None else start
        self.end = end
        self.state = "acknowledged" if start is None else "scheduled"


class ModelZone:
    """One zone: actions, and layers of (heat setpoint or `None` where it is off, end)."""

    def __init__(self) -> None:
        self.actions: list[ModelAction] = []
        self.layers: list[tuple[float | None, int | None]] = []

    def setpoint_c(self, now: int) -> float | None:
        """Return the heating setpoint in force; `None` where the zone is off."""
        self.layers = [layer for layer in self.layers if layer[1] is None or now < layer[1]]
        return self.layers[-1][0] if self.layers else DEFAULT_C

    def hold(self, value_c: float | None, end: int | None) -> None:
        """Add what counts from now on; without an end it takes the place of all before."""
        if end is None:
            self.layers.clear()
        self.layers.append((value_c, end))

    def push(
        self, command: Command, value_c: float, start: int | None, end: int | None, strategy: OnConflict, now: int
    ) -> None:
        """Take an action, or raise why not."""
        check_times(start, end, now)
        pending = [each for each in self.actions if each.state in PENDING]
        replaced: list[ModelAction] = []
        if pending and strategy is OnConflict.CANCEL_AND_REPLACE:
            refuse_if("conflict", any(each.state == "acknowledged" for each in pending))
            replaced = pending
        elif pending:
            last = max(pending, key=lambda each: each.start or 0)
            refuse_if("conflict", strategy is OnConflict.REFUSE or last.end is None)
            start = max(start or 0, last.end or 0)
            refuse_if("invalid_time_window", end is not None and not 0 < end - start <= WINDOW_MS_MAX)
        is_possible = start is None or command is not Command.FOLLOW_SCHEDULE
        refuse_if("execution_not_supported", not is_possible or (end is not None and command not in WINDOWED))
        refuse_if("too_many", len(pending) - len(replaced) >= PENDING_MAX)
        for each in replaced:
            each.state = "cancelled"
        self.actions.append(ModelAction(len(self.actions), command, value_c, start, end, now))

    def cancel(self, number: int) -> bool:
        """Return whether the action could be cancelled."""
        action = self.actions[number]
        if action.state != "scheduled":
            return False
        action.state = "cancelled"
        return True

    def carry_out(self, now: int) -> None:
        """Do what is due."""
        for action in sorted(self.actions, key=lambda each: each.start or 0):
            if action.state not in PENDING or now < action.due:
                continue
            is_late = now > action.due + LATE_MS_MAX
            if is_late or (action.end is not None and now >= action.end):
                action.state = "failed"
                continue
            action.state = "completed"
            if action.command is Command.FOLLOW_SCHEDULE:
                self.layers.clear()
            else:
                self.hold(None if action.command is Command.IDLE else action.value_c, action.end)
