"""The life cycle of actions: checks, conflicts, cancelling, and what time does."""

import msgspec
import pytest

from agent.climate.model import Mode
from agent.climate.requests import HoldRequest, ResumeRequest
from agent.errors import SettingInvalid
from agent.home.action_admission import (
    AHEAD_MS_MAX,
    HOME_PENDING_MAX,
    PENDING_MAX,
    WINDOW_MS_MAX,
    ActionRefused,
    ActionRequest,
    OnConflict,
    Refusal,
    admit,
    cancel,
)
from agent.home.actions import (
    EDGES,
    ENDS,
    EXECUTIONS,
    KEPT_MAX,
    LATE_MS_MAX,
    ActionEvent,
    ActionsFile,
    ActionState,
    Command,
    Execution,
    HomeAction,
    UnknownAction,
    advance,
    climate_request,
    due_event,
    in_order,
    next_start_utc_ms,
    page,
    replace_action,
    surplus,
    without,
)

NOW = 1_768_392_000_000
HOUR = 3_600_000
NOTHING = ActionsFile()


def heat(**changed: object) -> ActionRequest:
    request = ActionRequest(zone_id="living", command=Command.HEAT, heat_setpoint_c=21.0, by="amps")
    return msgspec.structs.replace(request, **changed)


def taken(request: ActionRequest, known: ActionsFile = NOTHING, utc_ms: int | None = NOW) -> ActionsFile:
    return admit(known, request, utc_ms, new_id=f"a{len(known.actions) + 1}")


def refused(request: ActionRequest, known: ActionsFile = NOTHING, utc_ms: int | None = NOW) -> ActionRefused:
    with pytest.raises(ActionRefused) as caught:
        taken(request, known, utc_ms)
    return caught.value


def test_an_immediate_action_is_acknowledged_at_once() -> None:
    action = taken(heat()).get("a1")
    assert (action.state, action.execution) == (ActionState.ACKNOWLEDGED, Execution.IMMEDIATE)
    assert (action.created_utc_ms, action.acknowledged_utc_ms, action.ended_utc_ms) == (NOW, NOW, None)


def test_times_are_whole_seconds() -> None:
    action = taken(heat(start_utc_ms=NOW + HOUR + 7, end_utc_ms=NOW + 2 * HOUR + 999)).get("a1")
    assert (action.start_utc_ms, action.end_utc_ms) == (NOW + HOUR, NOW + 2 * HOUR)
    assert (action.state, action.execution) == (ActionState.SCHEDULED, Execution.WINDOWED)


@pytest.mark.parametrize(
    ("changed", "refusal", "reason"),
    [
        ({"start_utc_ms": NOW - 1000}, Refusal.START_IN_PAST, ""),
        ({"start_utc_ms": NOW + AHEAD_MS_MAX + 1}, Refusal.START_OUT_OF_RANGE, ""),
        ({"end_utc_ms": NOW + HOUR}, Refusal.INVALID_TIME_WINDOW, "end_without_start"),
        ({"start_utc_ms": NOW + HOUR, "end_utc_ms": NOW + HOUR}, Refusal.INVALID_TIME_WINDOW, "end_not_after_start"),
        ({"start_utc_ms": NOW + HOUR, "end_utc_ms": NOW}, Refusal.INVALID_TIME_WINDOW, "end_not_after_start"),
        (
            {"start_utc_ms": NOW, "end_utc_ms": NOW + WINDOW_MS_MAX + 1},
            Refusal.INVALID_TIME_WINDOW,
            "window_too_long",
        ),
    ],
)
def test_times_that_are_refused(changed: dict[str, object], refusal: Refusal, reason: str) -> None:
    error = refused(heat(**changed))
    assert (error.refusal, error.reason) == (refusal, reason)


@pytest.mark.parametrize(
    "changed",
    [
        {"start_utc_ms": NOW},
        {"start_utc_ms": NOW + AHEAD_MS_MAX},
        {"start_utc_ms": NOW, "end_utc_ms": NOW + 1000},
        {"start_utc_ms": NOW, "end_utc_ms": NOW + WINDOW_MS_MAX},
    ],
)
def test_times_at_their_limits_are_taken(changed: dict[str, object]) -> None:
    assert taken(heat(**changed)).actions


def test_without_the_time_only_what_is_immediate_is_taken() -> None:
    assert taken(heat(), utc_ms=None).get("a1").created_utc_ms is None
    assert refused(heat(start_utc_ms=NOW + HOUR), utc_ms=None).refusal is Refusal.TIME_UNKNOWN


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("execution", Execution)
def test_each_command_is_carried_out_as_the_table_says(command: Command, execution: Execution) -> None:
    times = {
        Execution.IMMEDIATE: {},
        Execution.SCHEDULED: {"start_utc_ms": NOW + HOUR},
        Execution.WINDOWED: {"start_utc_ms": NOW + HOUR, "end_utc_ms": NOW + 2 * HOUR},
    }[execution]
    request = heat(command=command, heat_setpoint_c=None, **times)
    if execution in EXECUTIONS[command]:
        assert taken(request).get("a1").execution is execution
    else:
        assert refused(request).refusal is Refusal.EXECUTION_NOT_SUPPORTED


@pytest.mark.parametrize(
    "changed", [{"heat_setpoint_c": 99.0}, {"heat_setpoint_c": 21.0, "cool_setpoint_c": 21.5}, {"cool_setpoint_c": 3.0}]
)
def test_setpoints_outside_their_range(changed: dict[str, object]) -> None:
    with pytest.raises(SettingInvalid):
        taken(ActionRequest(zone_id="living", command=Command.AUTO, **changed))  # type: ignore[arg-type]


def test_a_second_action_of_the_zone_needs_a_strategy() -> None:
    known = taken(heat(start_utc_ms=NOW + HOUR))
    error = refused(heat(command=Command.COOL), known)
    assert (error.refusal, error.reason, error.conflicting_ids) == (Refusal.CONFLICT, "no_strategy_supplied", ("a1",))
    assert error.strategies == (OnConflict.CANCEL_AND_REPLACE,)
    windowed = taken(heat(start_utc_ms=NOW + HOUR, end_utc_ms=NOW + 2 * HOUR))
    assert refused(heat(), windowed).strategies == (OnConflict.CANCEL_AND_REPLACE, OnConflict.QUEUE_AFTER)
    assert taken(heat(zone_id="bath"), known).pending("bath")


def test_cancel_and_replace() -> None:
    known = taken(heat(start_utc_ms=NOW + HOUR))
    after = taken(heat(on_conflict=OnConflict.CANCEL_AND_REPLACE), known)
    assert [each.state for each in after.actions] == [ActionState.CANCELLED, ActionState.ACKNOWLEDGED]
    error = refused(heat(on_conflict=OnConflict.CANCEL_AND_REPLACE), after)
    assert (error.reason, error.conflicting_ids, error.strategies) == ("in_flight", ("a2",), ())


def test_queue_after_begins_at_the_end_of_the_other() -> None:
    known = taken(heat(start_utc_ms=NOW + HOUR, end_utc_ms=NOW + 2 * HOUR))
    after = taken(heat(on_conflict=OnConflict.QUEUE_AFTER, end_utc_ms=None), known)
    assert after.get("a2").start_utc_ms == NOW + 2 * HOUR
    assert refused(heat(on_conflict=OnConflict.QUEUE_AFTER), after).reason == "no_end"
    assert refused(heat(on_conflict=OnConflict.QUEUE_AFTER), taken(heat())).reason == "no_end"


def test_queue_after_keeps_a_later_start_and_checks_the_end() -> None:
    known = taken(heat(start_utc_ms=NOW + HOUR, end_utc_ms=NOW + 2 * HOUR))
    later = heat(on_conflict=OnConflict.QUEUE_AFTER, start_utc_ms=NOW + 3 * HOUR, end_utc_ms=NOW + 4 * HOUR)
    assert taken(later, known).get("a2").start_utc_ms == NOW + 3 * HOUR
    early = heat(on_conflict=OnConflict.QUEUE_AFTER, start_utc_ms=NOW, end_utc_ms=NOW + HOUR)
    assert refused(early, known).reason == "end_not_after_start"
    follow = heat(command=Command.FOLLOW_SCHEDULE, heat_setpoint_c=None, on_conflict=OnConflict.QUEUE_AFTER)
    assert refused(follow, known).refusal is Refusal.EXECUTION_NOT_SUPPORTED


def test_the_queue_of_a_zone_is_bounded() -> None:
    known = NOTHING
    for number in range(PENDING_MAX):
        start_ms = NOW + (2 * number + 1) * HOUR
        request = heat(start_utc_ms=start_ms, end_utc_ms=start_ms + HOUR, on_conflict=OnConflict.QUEUE_AFTER)
        known = taken(request, known)
    assert refused(heat(on_conflict=OnConflict.QUEUE_AFTER), known).refusal is Refusal.TOO_MANY
    assert len(taken(heat(on_conflict=OnConflict.CANCEL_AND_REPLACE), known).pending()) == 1


def test_cancel_only_what_is_scheduled() -> None:
    known = taken(heat(start_utc_ms=NOW + HOUR))
    after = cancel(known, "a1", NOW + 1)
    assert (after.get("a1").state, after.get("a1").ended_utc_ms) == (ActionState.CANCELLED, NOW + 1)
    with pytest.raises(ActionRefused) as caught:
        cancel(after, "a1", NOW)
    assert (caught.value.refusal, caught.value.reason) == (Refusal.NOT_CANCELLABLE, "cancelled")
    with pytest.raises(UnknownAction):
        cancel(known, "a2", NOW)


@pytest.mark.parametrize("state", ActionState)
@pytest.mark.parametrize("event", ActionEvent)
def test_an_end_is_for_good(state: ActionState, event: ActionEvent) -> None:
    action = HomeAction(action_id="a", zone_id="living", command=Command.HEAT, state=state)
    if (state, event) in EDGES:
        assert state not in ENDS
        after = advance(action, event, NOW)
        assert (after.ended_utc_ms == NOW) == (not after.is_pending)
    else:
        with pytest.raises(KeyError):
            advance(action, event, NOW)


def test_what_time_makes_of_an_action() -> None:
    windowed = taken(heat(start_utc_ms=NOW + HOUR, end_utc_ms=NOW + 2 * HOUR)).get("a1")
    times = [None, NOW, NOW + HOUR - 1, NOW + HOUR, NOW + 2 * HOUR - 1, NOW + 2 * HOUR]
    found = [due_event(windowed, utc_ms) for utc_ms in times]
    assert found == [None, None, None, ActionEvent.BEGIN, ActionEvent.BEGIN, ActionEvent.REFUSE]
    begun = advance(windowed, ActionEvent.BEGIN, NOW + HOUR)
    assert [due_event(begun, utc_ms) for utc_ms in times[3:]] == [None, None, ActionEvent.REFUSE]


def test_an_action_that_is_a_day_late_is_not_expected_any_more() -> None:
    scheduled = taken(heat(start_utc_ms=NOW + HOUR)).get("a1")
    assert due_event(scheduled, NOW + HOUR + LATE_MS_MAX) is ActionEvent.BEGIN
    assert due_event(scheduled, NOW + HOUR + LATE_MS_MAX + 1) is ActionEvent.REFUSE
    immediate = taken(heat()).get("a1")
    assert [due_event(immediate, NOW + LATE_MS_MAX + late) for late in (0, 1)] == [None, ActionEvent.REFUSE]


def test_the_next_start() -> None:
    known = taken(heat(start_utc_ms=NOW + 2 * HOUR))
    known = taken(heat(start_utc_ms=NOW + HOUR, zone_id="bath"), known)
    assert next_start_utc_ms(known) == NOW + HOUR
    assert next_start_utc_ms(cancel(known, "a2", NOW)) == NOW + 2 * HOUR
    assert next_start_utc_ms(NOTHING) is None


@pytest.mark.parametrize(
    ("command", "mode"),
    [(Command.HEAT, Mode.HEAT), (Command.COOL, Mode.COOL), (Command.AUTO, Mode.AUTO), (Command.IDLE, Mode.OFF)],
)
def test_an_action_becomes_a_hold_of_its_id(command: Command, mode: Mode) -> None:
    action = HomeAction(action_id="a1", zone_id="living", command=command, heat_setpoint_c=21.0)
    assert climate_request(action) == HoldRequest(mode=mode, heat_setpoint_c=21.0, id="a1")
    windowed = msgspec.structs.replace(action, end_utc_ms=NOW)
    assert climate_request(windowed) == HoldRequest(
        mode=mode, heat_setpoint_c=21.0, until="2026-01-14T12:00:00Z", id="a1"
    )


def test_follow_schedule_ends_the_holds() -> None:
    action = HomeAction(action_id="a1", zone_id="living", command=Command.FOLLOW_SCHEDULE)
    assert climate_request(action) == ResumeRequest()


def test_the_oldest_that_have_ended_make_room_and_what_is_pending_stays() -> None:
    known = taken(heat(start_utc_ms=NOW + HOUR))
    for number in range(KEPT_MAX + 1):
        known = without(known, surplus(known))
        action_id = f"b{number}"
        known = admit(known, heat(zone_id="bath"), NOW, new_id=action_id)
        known = replace_action(known, advance(known.get(action_id), ActionEvent.ACCEPT, NOW))
    assert len(known.actions) == KEPT_MAX
    assert [each.action_id for each in known.actions[:2]] == ["a1", "b2"]


def test_the_queue_of_the_home_is_bounded() -> None:
    known = NOTHING
    for number in range(HOME_PENDING_MAX):
        request = heat(zone_id=f"zone {number}", start_utc_ms=NOW + HOUR)
        known = admit(known, request, NOW, new_id=f"a{number}")
    assert refused(heat(), known).refusal is Refusal.TOO_MANY
    replacing = heat(zone_id="zone 0", on_conflict=OnConflict.CANCEL_AND_REPLACE)
    assert len(taken(replacing, known).pending()) == HOME_PENDING_MAX


def test_history_and_present_in_one_order() -> None:
    def made(action_id: str, created_utc_ms: int | None) -> HomeAction:
        return HomeAction(action_id=action_id, zone_id="living", command=Command.HEAT, created_utc_ms=created_utc_ms)

    history = [made("late end", 5), made("b", 3), made("unknown time", None), made("both", 4)]
    present = ActionsFile((made("waits", 1), made("both", 4), made("last", 9)))
    found = [each.action_id for each in in_order(history, present)]
    assert found == ["waits", "b", "unknown time", "both", "late end", "last"]


def test_pages_the_newest_first() -> None:
    known = NOTHING
    for number, zone_id in enumerate(["living", "bath", "living", "attic"]):
        action_id = f"a{number}"
        known = admit(known, heat(zone_id=zone_id), NOW, new_id=action_id)
        known = replace_action(known, advance(known.get(action_id), ActionEvent.ACCEPT, NOW))

    def ids(before: str = "", limit: int = 10, zones: frozenset[str] | None = None) -> list[str]:
        return [each.action_id for each in page(known.actions, zones=zones, before=before, limit=limit)]

    assert ids() == ["a3", "a2", "a1", "a0"]
    assert ids(limit=2) == ["a3", "a2"]
    assert ids(limit=2, before="a2") == ["a1", "a0"]
    assert ids(zones=frozenset({"living"})) == ["a2", "a0"]
    with pytest.raises(UnknownAction):
        ids(before="x")
