"""Which actions a zone takes: the checks of a request, its conflicts with other actions, and cancelling. Pure.

`actions` has the life cycle. A request that is refused changes nothing.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from agent.climate.model import Setpoints, check_setpoint, check_setpoints
from agent.errors import Rejected
from agent.home.actions import (
    EXECUTIONS,
    SECOND_MS,
    ActionEvent,
    ActionsFile,
    ActionState,
    Command,
    HomeAction,
    advance,
    execution_of,
    replace_action,
)

PENDING_MAX = 8
"""Actions of one zone that are not at their end."""

HOME_PENDING_MAX = 16
"""Of all zones: two for each of eight. Each push writes them all."""

AHEAD_MS_MAX = 30 * 24 * 3_600_000
"""An action starts within this time (Amps: "more than 30 days ahead")."""

WINDOW_MS_MAX = 30 * 24 * 3_600_000
"""The longest window."""


class OnConflict(StrEnum):
    """What becomes of the actions of the zone that are not at their end."""

    REFUSE = "refuse"
    CANCEL_AND_REPLACE = "cancel_and_replace"
    QUEUE_AFTER = "queue_after"


STRATEGIES = (OnConflict.CANCEL_AND_REPLACE, OnConflict.QUEUE_AFTER)
"""Those that a client may name."""


NO_STRATEGY = "no_strategy_supplied"
"""The reason of a conflict where the request names no strategy, as Amps documents it."""


class Refusal(StrEnum):
    """Why an action was refused."""

    TIME_UNKNOWN = "time_unknown"
    START_IN_PAST = "start_in_past"
    START_OUT_OF_RANGE = "start_out_of_range"
    INVALID_TIME_WINDOW = "invalid_time_window"
    EXECUTION_NOT_SUPPORTED = "execution_not_supported"
    CONFLICT = "conflict"
    NOT_CANCELLABLE = "not_cancellable"
    TOO_MANY = "too_many"


class ActionRefused(Rejected):
    """An action that was not taken, or not cancelled; nothing has changed.

    Attributes:
        refusal: Why.
        reason: More exactly, for programs: "end_not_after_start"; empty where `refusal` says all.
        conflicting_ids: The actions in its way.
        strategies: The ways in which the client may go on.
    """

    def __init__(
        self,
        message: str,
        refusal: Refusal,
        *,
        reason: str = "",
        conflicting_ids: Sequence[str] = (),
        strategies: Sequence[OnConflict] = (),
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.reason = reason
        self.conflicting_ids = tuple(conflicting_ids)
        self.strategies = tuple(strategies)


class ActionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks.

    Attributes:
        zone_id: The zone; the caller has checked that it exists and can do the command.
        command: What it is to do.
        heat_setpoint_c: For `HEAT` and `AUTO`.
        cool_setpoint_c: For `COOL` and `AUTO`.
        is_fahrenheit: The client wrote degrees Fahrenheit, and is answered in them.
        start_utc_ms: When it is to begin; `None` for now.
        end_utc_ms: When the zone is to go back to what was before; `None` for never.
        on_conflict: What becomes of other actions of the zone.
        by: Who asks: the name of the caller.
        client_id: Of the caller, where it can be revoked: what it has asked for and has not begun ends with it.
        forced_problem: How it is to fail, as a test client wants it; empty where it is to be carried out.
    """

    zone_id: str
    command: Command
    heat_setpoint_c: float | None = None
    cool_setpoint_c: float | None = None
    is_fahrenheit: bool = False
    start_utc_ms: int | None = None
    end_utc_ms: int | None = None
    on_conflict: OnConflict = OnConflict.REFUSE
    by: str = ""
    client_id: str = ""
    forced_problem: str = ""


def admit(known: ActionsFile, request: ActionRequest, utc_ms: int | None, *, new_id: str) -> ActionsFile:
    """Return the actions with a new one, the last.

    Args:
        known: The actions until now.
        request: What a client asks.
        utc_ms: The time; `None` while it is unknown.
        new_id: Of the new action.

    Raises:
        ActionRefused: It is not taken.
        SettingInvalid: A setpoint is outside its range.
    """
    _check_setpoints(request)
    _check_window(request, utc_ms)
    pending = known.pending(request.zone_id)
    if pending:
        request, known = _resolve_conflict(known, request, pending, utc_ms)
    _check_execution(request)
    if len(known.pending(request.zone_id)) >= PENDING_MAX:
        raise ActionRefused(
            f"cancel an action first: {PENDING_MAX} of {request.zone_id} are queued already", Refusal.TOO_MANY
        )
    if len(known.pending()) >= HOME_PENDING_MAX:
        raise ActionRefused(f"cancel an action first: {HOME_PENDING_MAX} of this home wait already", Refusal.TOO_MANY)
    is_now = request.start_utc_ms is None
    action = HomeAction(
        action_id=new_id,
        zone_id=request.zone_id,
        command=request.command,
        heat_setpoint_c=request.heat_setpoint_c,
        cool_setpoint_c=request.cool_setpoint_c,
        is_fahrenheit=request.is_fahrenheit,
        state=ActionState.ACKNOWLEDGED if is_now else ActionState.SCHEDULED,
        by=request.by,
        client_id=request.client_id,
        start_utc_ms=_whole_seconds(request.start_utc_ms),
        end_utc_ms=_whole_seconds(request.end_utc_ms),
        created_utc_ms=utc_ms,
        updated_utc_ms=utc_ms,
        acknowledged_utc_ms=utc_ms if is_now else None,
        forced_problem=request.forced_problem,
    )
    return ActionsFile((*known.actions, action))


def _check_setpoints(request: ActionRequest) -> None:
    heat_c, cool_c = request.heat_setpoint_c, request.cool_setpoint_c
    if heat_c is not None and cool_c is not None:
        check_setpoints(Setpoints(heat_c, cool_c))
    elif heat_c is not None:
        check_setpoint("heat setpoint", heat_c)
    elif cool_c is not None:
        check_setpoint("cool setpoint", cool_c)


def _check_window(request: ActionRequest, utc_ms: int | None) -> None:
    start_ms, end_ms = request.start_utc_ms, request.end_utc_ms
    if start_ms is None:
        if end_ms is not None:
            raise _invalid_window("give a start as well: an end alone is no window", "end_without_start")
        return
    if utc_ms is None:
        raise ActionRefused(
            "leave the start out, or check the hub's network: it does not know the time yet", Refusal.TIME_UNKNOWN
        )
    if start_ms // SECOND_MS < utc_ms // SECOND_MS:
        raise ActionRefused("give a start that is still to come", Refusal.START_IN_PAST)
    if start_ms > utc_ms + AHEAD_MS_MAX:
        raise ActionRefused("give an earlier start: at most 30 days ahead", Refusal.START_OUT_OF_RANGE)
    if end_ms is not None:
        _check_end(start_ms, end_ms)


def _check_end(start_ms: int, end_ms: int) -> None:
    if end_ms // SECOND_MS <= start_ms // SECOND_MS:
        raise _invalid_window("give an end that comes after the start", "end_not_after_start")
    if end_ms - start_ms > WINDOW_MS_MAX:
        raise _invalid_window("give an earlier end: a window is at most 30 days long", "window_too_long")


def _invalid_window(message: str, reason: str) -> ActionRefused:
    return ActionRefused(message, Refusal.INVALID_TIME_WINDOW, reason=reason)


def _check_execution(request: ActionRequest) -> None:
    execution = execution_of(request.start_utc_ms, request.end_utc_ms)
    supported = EXECUTIONS[request.command]
    if execution not in supported:
        raise ActionRefused(
            f"choose {' or '.join(sorted(supported))}: {request.command} cannot be {execution}",
            Refusal.EXECUTION_NOT_SUPPORTED,
            reason=execution,
        )


def _resolve_conflict(
    known: ActionsFile, request: ActionRequest, pending: Sequence[HomeAction], utc_ms: int | None
) -> tuple[ActionRequest, ActionsFile]:
    """Return the request and the other actions as the client's strategy makes them."""
    ids = [each.action_id for each in pending]
    is_in_flight = any(each.state is ActionState.ACKNOWLEDGED for each in pending)
    end_ms = max(pending, key=lambda each: each.start_utc_ms or 0).end_utc_ms
    if request.on_conflict is OnConflict.REFUSE:
        possible = [OnConflict.CANCEL_AND_REPLACE] if not is_in_flight else []
        possible += [OnConflict.QUEUE_AFTER] if end_ms is not None else []
        text = f"say what becomes of {', '.join(ids)}: {request.zone_id} has an action already"
        raise _conflict(text, NO_STRATEGY, ids, possible)
    if request.on_conflict is OnConflict.CANCEL_AND_REPLACE:
        if is_in_flight:
            raise _conflict(f"try again in a moment: {', '.join(ids)} is being carried out", "in_flight", ids)
        cancelled = (
            advance(each, ActionEvent.CANCEL, utc_ms) if each.action_id in ids else each for each in known.actions
        )
        return request, ActionsFile(tuple(cancelled))
    if end_ms is None:
        raise _conflict(f"cancel {', '.join(ids)} first: it has no end to wait for", "no_end", ids)
    start_ms = max(end_ms, request.start_utc_ms or 0)
    if request.end_utc_ms is not None:
        _check_end(start_ms, request.end_utc_ms)
    return msgspec.structs.replace(request, start_utc_ms=start_ms), known


def _conflict(message: str, reason: str, ids: Sequence[str], strategies: Sequence[OnConflict] = ()) -> ActionRefused:
    return ActionRefused(message, Refusal.CONFLICT, reason=reason, conflicting_ids=ids, strategies=strategies)


def _whole_seconds(utc_ms: int | None) -> int | None:
    return None if utc_ms is None else utc_ms // SECOND_MS * SECOND_MS


def cancel(known: ActionsFile, action_id: str, utc_ms: int | None) -> ActionsFile:
    """Return the actions with one of them cancelled.

    Raises:
        UnknownAction: There is none of this id.
        ActionRefused: It is not scheduled any more.
    """
    action = known.get(action_id)
    check_cancellable(action)
    return replace_action(known, advance(action, ActionEvent.CANCEL, utc_ms))


def check_cancellable(action: HomeAction) -> None:
    """Refuse to cancel what is not scheduled any more.

    Raises:
        ActionRefused: It is not.
    """
    if action.state is not ActionState.SCHEDULED:
        raise ActionRefused(
            f"push another action instead: {action.action_id} is {action.state}, and only one that is scheduled can be"
            " cancelled",
            Refusal.NOT_CANCELLABLE,
            reason=action.state,
        )
