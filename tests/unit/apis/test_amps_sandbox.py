"""What a test key forces: refusals with the details that the same refusal of a real push has, and failures."""

from typing import Any

import msgspec
import pytest

from agent.apis.amps.capabilities import capability_map
from agent.apis.amps.refusals import DEVICE_CODES, STATUSES, AmpsRefused
from agent.apis.amps.sandbox import forced_failure
from agent.apis.amps.wire import decode_push
from agent.home.actions import Command

COMMANDS = capability_map(can_heat=True, can_cool=True, takes_fahrenheit=False)
DETAILS = {
    "COMMAND_NOT_SUPPORTED": {"unsupportedModes"},
    "UNSUPPORTED_PARAMETER": {"unsupportedParameters"},
    "UNSUPPORTED_UNIT": {"parameter", "providedUnit", "supportedUnits"},
    "PARAMETER_OUT_OF_RANGE": {"parameter", "value", "min", "max", "unit"},
    "EXECUTION_NOT_SUPPORTED": {"requestedExecution", "supportedExecution"},
    "START_IN_PAST": {"parameter", "value"},
    "START_OUT_OF_RANGE": {"parameter", "value"},
    "INVALID_TIME_WINDOW": {"reason", "parameter"},
    "CONFLICT": {"reason", "conflictingActionIds", "strategies"},
    "ACTION_NOT_CANCELLABLE": {"reason"},
    "VALIDATION_ERROR": {"reason"},
}
"""As Amps documents them, beside `deviceCapabilities`."""


def forced(command: str, sandbox: dict[str, str], parameters: object = None, **times: str) -> str:
    action = {"command": command, "parameters": parameters, **times}
    return forced_failure(decode_push(msgspec.json.encode({"action": action, "sandbox": sandbox})), COMMANDS)


def refused(code: str, command: str, parameters: object = None, **times: str) -> dict[str, Any]:
    with pytest.raises(AmpsRefused) as caught:
        forced(command, {"forceState": "refused", "errorCode": code}, parameters, **times)
    assert caught.value.code == code
    return dict(caught.value.details)


@pytest.mark.parametrize("code", STATUSES)
@pytest.mark.parametrize("command", Command)
def test_a_forced_refusal_has_the_details_of_its_code(code: str, command: Command) -> None:
    details = refused(code, command.value)
    assert details.pop("deviceCapabilities")["commands"] == COMMANDS
    assert set(details) == DETAILS.get(code, set())


def test_the_details_have_the_values_of_the_push() -> None:
    target = {"target": {"value": 21, "unit": "celsius"}}
    details = refused("PARAMETER_OUT_OF_RANGE", "heat", target)
    assert {name: details[name] for name in ("parameter", "value", "unit")} == {
        "parameter": "target",
        "value": 21,
        "unit": "celsius",
    }
    assert refused("UNSUPPORTED_PARAMETER", "heat", target)["unsupportedParameters"] == ["target"]
    assert refused("EXECUTION_NOT_SUPPORTED", "heat", target, start="30m")["requestedExecution"] == "scheduled"
    assert refused("START_IN_PAST", "heat", target, start="30m")["value"] == "30m"
    conflict = refused("CONFLICT", "heat", target)
    assert (conflict["reason"], len(conflict["conflictingActionIds"])) == ("no_strategy_supplied", 1)
    assert conflict["strategies"] == ["cancel_and_replace", "queue_after"]


def test_an_action_fails_as_it_is_forced_to_and_else_succeeds() -> None:
    for code, message in DEVICE_CODES.items():
        assert forced("idle", {"forceState": "failed", "errorCode": code}) == f"{code}: {message}"
    assert forced("idle", {"forceState": "failed"}).startswith("DEVICE_OFFLINE")
    assert forced("idle", {"forceState": "completed"}) == ""
    assert forced("idle", {}) == ""
