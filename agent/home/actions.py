"""The life cycle of an action, what a client asks of one zone once: now, at a time, or for a window of time. Pure.

The states are those of Amps' contract (`docs/apis.md`): scheduled until its start, acknowledged until the zone has
taken it, then completed, failed or cancelled for good. A window needs no step at its end. It is put in force as a hold
with an end, and the climate control goes back to what the hold covered: also where the hub was off at that moment, and
unless a person has changed the zone since.

A zone has at most one action that is not at its end, besides those that a client has explicitly queued after it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

import msgspec

from agent.climate.model import Mode
from agent.climate.requests import ClimateRequest, HoldRequest, ResumeRequest
from agent.errors import Rejected
from agent.foundation import rfc3339

KEPT_MAX = 8
"""Actions in `actions.json`, where no more are pending: the oldest that have ended make room, and go to the history.
Each push writes the file and its copy."""

LATE_MS_MAX = 24 * 3_600_000
"""An action that the hub could not carry out for so long, because it was off, is not carried out any more: nobody
expects it."""

SECOND_MS = 1000
"""Starts and ends are whole seconds, as the texts in which they are stored and sent."""


class Command(StrEnum):
    """What a zone is to do."""

    HEAT = "heat"
    COOL = "cool"
    AUTO = "auto"
    IDLE = "idle"
    FOLLOW_SCHEDULE = "follow_schedule"


class Execution(StrEnum):
    """When it is to do it."""

    IMMEDIATE = "immediate"
    SCHEDULED = "scheduled"
    WINDOWED = "windowed"


EXECUTIONS: Mapping[Command, frozenset[Execution]] = MappingProxyType(
    {
        Command.HEAT: frozenset(Execution),
        Command.COOL: frozenset(Execution),
        Command.AUTO: frozenset({Execution.IMMEDIATE, Execution.SCHEDULED}),
        Command.IDLE: frozenset({Execution.IMMEDIATE, Execution.SCHEDULED}),
        Command.FOLLOW_SCHEDULE: frozenset({Execution.IMMEDIATE}),
    }
)
"""Amps' contract, section 2.2."""


class ActionState(StrEnum):
    """The state of an action. Each is on the disk before anything is done because of it."""

    SCHEDULED = "scheduled"
    ACKNOWLEDGED = "acknowledged"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = frozenset({ActionState.COMPLETED, ActionState.FAILED, ActionState.CANCELLED})
"""An action in one of these never changes again."""


class ActionEvent(StrEnum):
    """What happens to an action."""

    BEGIN = "begin"
    """Its start is reached."""
    ACCEPT = "accept"
    """The zone has taken it, and that is on the disk."""
    REFUSE = "refuse"
    """The zone cannot do it, or its time has passed."""
    CANCEL = "cancel"
    """A client has cancelled or replaced it."""


EDGES: Mapping[tuple[ActionState, ActionEvent], ActionState] = MappingProxyType(
    {
        (ActionState.SCHEDULED, ActionEvent.BEGIN): ActionState.ACKNOWLEDGED,
        (ActionState.SCHEDULED, ActionEvent.REFUSE): ActionState.FAILED,
        (ActionState.SCHEDULED, ActionEvent.CANCEL): ActionState.CANCELLED,
        (ActionState.ACKNOWLEDGED, ActionEvent.ACCEPT): ActionState.COMPLETED,
        (ActionState.ACKNOWLEDGED, ActionEvent.REFUSE): ActionState.FAILED,
    }
)


class UnknownAction(Rejected):
    """There is no such action, or no longer."""


class HomeAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One action, as it is stored. Times are `None` where the hub did not know the time.

    Attributes:
        action_id: Unique on this hub.
        zone_id: The zone.
        command: What it is to do.
        heat_setpoint_c: As it was requested, unrounded.
        cool_setpoint_c: As it was requested, unrounded.
        is_fahrenheit: The client wrote degrees Fahrenheit.
        state: Where it is in its life cycle.
        by: Who asked.
        client_id: Of whoever asked, where it is a client that can be revoked; empty for others, and in older files.
        start_utc_ms: When it begins; `None` for at once.
        end_utc_ms: When its window ends; `None` without one.
        created_utc_ms: When it was taken.
        updated_utc_ms: When its state changed last.
        acknowledged_utc_ms: When its start was reached.
        ended_utc_ms: When it came to its end.
        problem: Why it failed; empty where it did not.
        note: What keeps the zone from doing it now, though it has taken it; empty for nothing.
        forced_problem: How it is to fail, as a test client wants it; empty for actions of real zones.
    """

    action_id: str
    zone_id: str
    command: Command
    heat_setpoint_c: float | None = None
    cool_setpoint_c: float | None = None
    is_fahrenheit: bool = False
    state: ActionState = ActionState.ACKNOWLEDGED
    by: str = ""
    client_id: str = ""
    start_utc_ms: int | None = None
    end_utc_ms: int | None = None
    created_utc_ms: int | None = None
    updated_utc_ms: int | None = None
    acknowledged_utc_ms: int | None = None
    ended_utc_ms: int | None = None
    problem: str = ""
    note: str = ""
    forced_problem: str = ""

    @property
    def is_pending(self) -> bool:
        """Whether it has not come to its end."""
        return self.state not in ENDS

    @property
    def execution(self) -> Execution:
        """When it is carried out."""
        return execution_of(self.start_utc_ms, self.end_utc_ms)


class ActionsFile(msgspec.Struct, frozen=True):
    """Every action that is pending, and the last that have ended, in the order in which they were taken."""

    actions: tuple[HomeAction, ...] = ()

    def pending(self, zone_id: str | None = None) -> tuple[HomeAction, ...]:
        """Return the actions that have not come to their end; of every zone for `None`."""
        return tuple(each for each in self.actions if each.is_pending and zone_id in {None, each.zone_id})

    def get(self, action_id: str) -> HomeAction:
        """Return one action.

        Raises:
            UnknownAction: There is none of this id.
        """
        for each in self.actions:
            if each.action_id == action_id:
                return each
        raise unknown_action(action_id)


def unknown_action(action_id: str) -> UnknownAction:
    """Return the refusal of an id that there is not, or not for the caller."""
    return UnknownAction(f"name another action: there is no {action_id[:64]}")


def execution_of(start_utc_ms: int | None, end_utc_ms: int | None) -> Execution:
    """Return when an action of these times is carried out."""
    if start_utc_ms is None:
        return Execution.IMMEDIATE
    return Execution.SCHEDULED if end_utc_ms is None else Execution.WINDOWED


def advance(
    action: HomeAction, event: ActionEvent, utc_ms: int | None, *, problem: str = "", note: str = ""
) -> HomeAction:
    """Return an action after an event.

    Raises:
        KeyError: The event cannot happen in the action's state: a defect.
    """
    state = EDGES[action.state, event]
    return msgspec.structs.replace(
        action,
        state=state,
        updated_utc_ms=utc_ms,
        acknowledged_utc_ms=utc_ms if event is ActionEvent.BEGIN else action.acknowledged_utc_ms,
        ended_utc_ms=utc_ms if state in ENDS else None,
        problem=problem,
        note=note,
    )


def replace_action(known: ActionsFile, action: HomeAction) -> ActionsFile:
    """Return the actions with one of them in its next state."""
    return ActionsFile(tuple(action if each.action_id == action.action_id else each for each in known.actions))


def surplus(known: ActionsFile) -> tuple[HomeAction, ...]:
    """Return the actions that have ended and make room for one more, the oldest first."""
    number = max(0, len(known.actions) + 1 - KEPT_MAX)
    return tuple(each for each in known.actions if not each.is_pending)[:number]


def without(known: ActionsFile, ended: Collection[HomeAction]) -> ActionsFile:
    """Return the actions without some that have ended, and are kept elsewhere."""
    gone = {each.action_id for each in ended}
    return ActionsFile(tuple(each for each in known.actions if each.action_id not in gone))


def in_order(history: Sequence[HomeAction], known: ActionsFile) -> tuple[HomeAction, ...]:
    """Return history and present actions, each once, in the order in which they were taken.

    One that was taken while the hub did not know the time follows the one before it.
    """
    present = {each.action_id for each in known.actions}
    found: list[tuple[int, HomeAction]] = []
    for group in ([each for each in history if each.action_id not in present], known.actions):
        last_ms = 0
        for each in group:
            last_ms = last_ms if each.created_utc_ms is None else each.created_utc_ms
            found.append((last_ms, each))
    return tuple(each for _, each in sorted(found, key=lambda pair: pair[0]))


def due_event(action: HomeAction, utc_ms: int | None) -> ActionEvent | None:
    """Return what time makes of a pending action: `BEGIN`, `REFUSE` for one whose time has passed, or nothing."""
    if utc_ms is None:
        return None
    if action.end_utc_ms is not None and utc_ms >= action.end_utc_ms:
        return ActionEvent.REFUSE
    begin_ms = action.start_utc_ms if action.start_utc_ms is not None else action.created_utc_ms
    if begin_ms is not None and utc_ms > begin_ms + LATE_MS_MAX:
        return ActionEvent.REFUSE
    is_due = action.start_utc_ms is not None and utc_ms >= action.start_utc_ms
    return ActionEvent.BEGIN if is_due and action.state is ActionState.SCHEDULED else None


def next_start_utc_ms(known: ActionsFile) -> int | None:
    """Return the earliest start of a scheduled action; `None` without any."""
    starts = [each.start_utc_ms for each in known.actions if each.state is ActionState.SCHEDULED]
    return min((start_ms for start_ms in starts if start_ms is not None), default=None)


_MODES: Mapping[Command, Mode] = MappingProxyType(
    {Command.HEAT: Mode.HEAT, Command.COOL: Mode.COOL, Command.AUTO: Mode.AUTO, Command.IDLE: Mode.OFF}
)


def climate_request(action: HomeAction) -> ClimateRequest:
    """Return what carries an action out. A hold has the id of its action."""
    if action.command is Command.FOLLOW_SCHEDULE:
        return ResumeRequest()
    return HoldRequest(
        mode=_MODES[action.command],
        heat_setpoint_c=action.heat_setpoint_c,
        cool_setpoint_c=action.cool_setpoint_c,
        until="" if action.end_utc_ms is None else rfc3339.render(action.end_utc_ms),
        id=action.action_id,
    )


def page(
    known: Sequence[HomeAction], *, zones: frozenset[str] | None, before: str = "", limit: int
) -> Iterator[HomeAction]:
    """Yield actions, the newest first.

    Args:
        known: All of them, the oldest first.
        zones: Only those of these zones; `None` for all.
        before: Only those that were taken before this one: the next page.
        limit: How many at most.

    Raises:
        UnknownAction: There is no action `before`, or it is none of these zones.
    """
    if before:
        index = next((index for index, each in enumerate(known) if each.action_id == before), None)
        # In the words of `get`: that there is such an action elsewhere is not to be found out.
        if index is None or (zones is not None and known[index].zone_id not in zones):
            raise unknown_action(before)
        known = known[:index]
    seen = [each for each in reversed(known) if zones is None or each.zone_id in zones]
    yield from seen[:limit]
