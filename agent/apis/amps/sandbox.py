"""What the `sandbox` object of a push with a test key forces: a refusal with its details, or a failure. Pure.

A client is tried out on refusals that it rarely meets, so a forced one must have every detail that a real one has.
"""

from collections.abc import Mapping
from typing import Any

from agent.apis.amps import assumptions
from agent.apis.amps.capabilities import (
    CONFLICT_STRATEGIES,
    Bounds,
    Capability,
    CapabilityMap,
    device_capabilities,
)
from agent.apis.amps.push import execution_of
from agent.apis.amps.refusals import DEVICE_CODES, STATUSES, AmpsRefused
from agent.apis.amps.wire import PushBody, PushedAction, Quantity
from agent.home.action_admission import NO_STRATEGY
from agent.home.actions import ActionState, Command

FORCED_ID = "action_forced"
"""The id of an action that stands in the way of nothing."""


def forced_failure(body: PushBody, commands: CapabilityMap) -> str:
    """Return how an action is to fail, as a test client forces it; empty where it is to succeed.

    Args:
        body: A push that its device can carry out.
        commands: What that can do.

    Raises:
        AmpsRefused: The client forces a refusal, or names a code that there is not.
    """
    sandbox = body.sandbox
    if sandbox is None or sandbox.force_state in {None, "completed"}:
        return ""
    known = STATUSES if sandbox.force_state == "refused" else DEVICE_CODES
    code = sandbox.error_code or ("COMMAND_NOT_SUPPORTED" if known is STATUSES else "DEVICE_OFFLINE")
    if code not in known:
        details: Mapping[str, Any] = {"parameter": "sandbox.errorCode", "supportedCodes": list(known)}
        message = f"Choose another `sandbox.errorCode`: {sandbox.force_state} takes none of that name."
        raise AmpsRefused(assumptions.VALIDATION_ERROR, message, details)
    if sandbox.force_state == "refused":
        message = "Leave `sandbox.forceState` out: it asks for this refusal."
        capabilities = device_capabilities(commands, body.action.command)
        details = {**_details_of(code, body.action, commands), "deviceCapabilities": capabilities}
        raise AmpsRefused(code, message, details)
    return f"{code}: {DEVICE_CODES[code]}"


def _details_of(code: str, action: PushedAction, commands: CapabilityMap) -> Mapping[str, Any]:
    """Return what a refusal of this push would say besides the capabilities, with the values of the push."""
    capability = commands[Command(action.command)]
    name, bounds = _some_parameter(capability, commands)
    quantity = (action.parameters or {}).get(name, Quantity(bounds.max, bounds.unit))
    found: Mapping[str, Mapping[str, Any]] = {
        "COMMAND_NOT_SUPPORTED": {"unsupportedModes": [action.command]},
        "UNSUPPORTED_PARAMETER": {"unsupportedParameters": list(action.parameters or [name])},
        "UNSUPPORTED_UNIT": {
            "parameter": name,
            "providedUnit": quantity.unit,
            "supportedUnits": list(bounds.units or (bounds.unit,)),
        },
        "PARAMETER_OUT_OF_RANGE": {
            "parameter": name,
            "value": quantity.value,
            "min": bounds.min,
            "max": bounds.max,
            "unit": bounds.unit,
        },
        "EXECUTION_NOT_SUPPORTED": {
            "requestedExecution": execution_of(action),
            "supportedExecution": list(capability.execution),
        },
        "START_IN_PAST": {"parameter": "start", "value": action.start},
        "START_OUT_OF_RANGE": {"parameter": "start", "value": action.start},
        "INVALID_TIME_WINDOW": {"reason": assumptions.END_NOT_AFTER_START, "parameter": "end"},
        "CONFLICT": {
            "reason": NO_STRATEGY,
            "conflictingActionIds": [FORCED_ID],
            "strategies": list(CONFLICT_STRATEGIES),
        },
        "ACTION_NOT_CANCELLABLE": {"reason": ActionState.COMPLETED},
        assumptions.VALIDATION_ERROR: {"reason": assumptions.MALFORMED},
    }
    return found.get(code, {})


def _some_parameter(wanted: Capability, commands: CapabilityMap) -> tuple[str, Bounds]:
    """Return a parameter of a command, else of another one of the device: every zone heats or cools."""
    declared = [each for capability in (wanted, *commands.values()) for each in capability.parameters.items()]
    return declared[0]
