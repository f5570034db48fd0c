"""Zones, actions and refusals of the hub in Amps' words, and pushes in the hub's. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from agent.apis.amps import assumptions
from agent.apis.amps.capabilities import (
    CONFLICT_STRATEGIES,
    COOL_SETPOINT,
    HEAT_SETPOINT,
    TARGET,
    CapabilityMap,
    Unit,
    device_capabilities,
)
from agent.apis.amps.push import Push
from agent.apis.amps.refusals import DEVICE_CODES, AmpsRefused
from agent.apis.amps.wire import (
    ActionDocument,
    ActionResult,
    DeviceDocument,
    DeviceState,
    LastAction,
    Links,
    Metadata,
    PushAnswer,
    Quantity,
    SyncReport,
    optional_time_text,
    time_text,
)
from agent.home.action_admission import ActionRefused, ActionRequest, OnConflict, Refusal
from agent.home.action_service import TIME_PASSED
from agent.home.actions import EXECUTIONS, ActionState, Command, HomeAction
from agent.home.temperatures import to_fahrenheit_hundredths
from agent.home.thermostat import Thermostat
from hal.interface import HvacAction

DEVICE_TYPE = "hvac"

_DECIMALS = 4
"""Of a setpoint that is shown: finer than any that is set, coarser than the noise of a conversion."""


def device_document(
    zone: Thermostat, commands: CapabilityMap, last: HomeAction | None, *, utc_ms: int | None, is_twin: bool
) -> DeviceDocument:
    """Return a zone as a device.

    Args:
        zone: Its present state.
        commands: What it can do.
        last: Its newest action.
        utc_ms: The present instant; `None` while the hub does not know the time.
        is_twin: It is simulated.
    """
    return DeviceDocument(
        id=zone.zone_id,
        vendor=assumptions.VENDOR,
        sync=SyncReport(zone.is_online, optional_time_text(utc_ms)),
        metadata=Metadata(assumptions.TWIN_MODEL if is_twin else assumptions.HUB_MODEL),
        state=DeviceState(
            temperature=None if zone.temperature_c is None else round(zone.temperature_c, 2),
            active=zone.action is not HvacAction.OFF,
            heat_setpoint=_number(zone.heat_setpoint_c),
            cool_setpoint=_number(zone.cool_setpoint_c),
            hold_type="permanent" if zone.hold else "follow_schedule",
            mode=zone.mode.value,
        ),
        commands=commands,
        conflict_strategies=CONFLICT_STRATEGIES,
        last_action=None if last is None else _last_action(last),
        current_schedule={"name": zone.schedule} if zone.schedule else None,
    )


def _last_action(action: HomeAction) -> LastAction:
    created_at = optional_time_text(action.created_utc_ms)
    return LastAction(
        id=action.action_id,
        command=action.command.value,
        state=action.state.value,
        created_at=created_at,
        updated_at=optional_time_text(action.updated_utc_ms) or created_at,
        links=_links(action),
    )


def _links(action: HomeAction) -> Links:
    return Links(f"/actions/{action.action_id}")


def _number(value: float) -> float:
    """Return a number as people write it: whole ones without a decimal point."""
    shown = round(value, _DECIMALS)
    return int(shown) if shown == int(shown) else shown


def parameters_of(action: HomeAction) -> Mapping[str, Quantity] | None:
    """Return the parameters of an action as they were sent; `None` for a command without any."""
    if action.command not in (Command.HEAT, Command.COOL, Command.AUTO):
        return None
    names = (HEAT_SETPOINT, COOL_SETPOINT) if action.command is Command.AUTO else (TARGET, TARGET)
    pairs = zip(names, (action.heat_setpoint_c, action.cool_setpoint_c), strict=True)
    if action.is_fahrenheit:
        return {
            name: Quantity(_number(to_fahrenheit_hundredths(value_c)), Unit.FAHRENHEIT)
            for name, value_c in pairs
            if value_c is not None
        }
    return {name: Quantity(_number(value_c), Unit.CELSIUS) for name, value_c in pairs if value_c is not None}


def push_answer(action: HomeAction) -> PushAnswer:
    """Return the answer to a push: its state is the one that the action began with."""
    is_now = action.start_utc_ms is None
    return PushAnswer(
        id=action.action_id,
        device_id=action.zone_id,
        device_type=DEVICE_TYPE,
        command=action.command.value,
        parameters=parameters_of(action),
        state=(ActionState.ACKNOWLEDGED if is_now else ActionState.SCHEDULED).value,
        created_at=optional_time_text(action.created_utc_ms),
        start=optional_time_text(action.start_utc_ms),
        links=_links(action),
        end=msgspec.UNSET if action.end_utc_ms is None else time_text(action.end_utc_ms),
    )


def action_document(action: HomeAction) -> ActionDocument:
    """Return an action in full."""
    code, message = failure_of(action)
    return ActionDocument(
        id=action.action_id,
        device_id=action.zone_id,
        device_type=DEVICE_TYPE,
        command=action.command.value,
        parameters=parameters_of(action),
        state=action.state.value,
        result=_result_of(action, message),
        error_code=code,
        error_message=message,
        created_at=optional_time_text(action.created_utc_ms),
        updated_at=optional_time_text(action.updated_utc_ms),
        acknowledged_at=optional_time_text(action.acknowledged_utc_ms),
        completed_at=optional_time_text(action.ended_utc_ms) if action.state is not ActionState.CANCELLED else None,
        start=optional_time_text(action.start_utc_ms),
        end=optional_time_text(action.end_utc_ms),
        links=_links(action),
    )


def _result_of(action: HomeAction, message: str | None) -> ActionResult | None:
    if action.state is ActionState.COMPLETED:
        return ActionResult(success=True, message=action.note)
    return ActionResult(success=False, error=message or "") if action.state is ActionState.FAILED else None


def failure_of(action: HomeAction) -> tuple[str | None, str | None]:
    """Return code and message of a failed action; two times `None` for any other."""
    if action.state is not ActionState.FAILED:
        return None, None
    code, _, message = action.problem.partition(": ")
    if code in DEVICE_CODES:
        return code, message
    is_late = action.problem == TIME_PASSED
    return (
        assumptions.FAILURE_OF_LATE_ACTIONS if is_late else assumptions.FAILURE_OF_OTHER_ACTIONS,
        action.problem,
    )


def action_request(
    push: Push, zone_id: str, *, on_conflict: str | None, by: str, client_id: str = "", forced_problem: str = ""
) -> ActionRequest:
    """Return a push as a request to the hub's actions.

    Args:
        push: What to do.
        zone_id: The zone.
        on_conflict: As sent.
        by: The name of the caller.
        client_id: Of the caller.
        forced_problem: How it is to fail, as "DEVICE_OFFLINE: The device is offline."; empty where it is not.
    """
    return ActionRequest(
        zone_id=zone_id,
        command=push.command,
        heat_setpoint_c=push.heat_setpoint_c,
        cool_setpoint_c=push.cool_setpoint_c,
        is_fahrenheit=push.is_fahrenheit,
        start_utc_ms=push.start_utc_ms,
        end_utc_ms=push.end_utc_ms,
        on_conflict=OnConflict.REFUSE if on_conflict is None else OnConflict(on_conflict),
        by=by,
        client_id=client_id,
        forced_problem=forced_problem,
    )


_CODES: Mapping[Refusal, str] = MappingProxyType(
    {
        Refusal.TIME_UNKNOWN: assumptions.SERVICE_UNAVAILABLE,
        Refusal.START_IN_PAST: "START_IN_PAST",
        Refusal.START_OUT_OF_RANGE: "START_OUT_OF_RANGE",
        Refusal.INVALID_TIME_WINDOW: "INVALID_TIME_WINDOW",
        Refusal.EXECUTION_NOT_SUPPORTED: "EXECUTION_NOT_SUPPORTED",
        Refusal.CONFLICT: "CONFLICT",
        Refusal.TOO_MANY: "CONFLICT",
    }
)


def push_refused(error: ActionRefused, command: Command, commands: CapabilityMap) -> AmpsRefused:
    """Return why the hub's actions did not take a push.

    Args:
        error: What they said.
        command: The command that was pushed.
        commands: What the device can do.
    """
    details: dict[str, object] = {"deviceCapabilities": device_capabilities(commands, command)}
    match error.refusal:
        case Refusal.CONFLICT | Refusal.TOO_MANY:
            details |= {
                "reason": error.reason or assumptions.TOO_MANY,
                "conflictingActionIds": list(error.conflicting_ids),
                "strategies": [each.value for each in error.strategies],
            }
        case Refusal.EXECUTION_NOT_SUPPORTED:
            details |= {"requestedExecution": error.reason, "supportedExecution": sorted(EXECUTIONS[command])}
        case Refusal.INVALID_TIME_WINDOW:
            details |= {"reason": error.reason, "parameter": "end"}
        case _:
            pass
    return AmpsRefused(_CODES[error.refusal], _sentence(str(error)), details)


def cancel_refused(error: ActionRefused) -> AmpsRefused:
    """Return why an action is not cancelled; the message names its state, as documented."""
    message = f"Action in state '{error.reason}' cannot be cancelled."
    return AmpsRefused("ACTION_NOT_CANCELLABLE", message, {"reason": error.reason})


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
