"""The contract of Amps' HVAC push API, in the newest generation of its pages.

Actions are planned and cancelled, so that a check heats and cools nothing.
"""

from collections.abc import Mapping
from typing import Any

from lab.conformance.lines import Contract, Mismatch, NotTried, Origin
from lab.conformance.server import Reply, Server, check_fields, check_one_of, check_type

AMPS = Contract("amps", "Amps HVAC")

FAR = "500h"
"""When planned actions would begin: within the 30 days that are allowed, and long after the check."""

line = AMPS.line


async def _call(server: Server, method: str, path: str, body: object = None) -> Reply:
    if not server.access.secret:
        raise NotTried("give an API key: without one only the first lines can be checked")
    return await server.call(method, path, body, headers={"x-api-key": server.access.secret})


def _data(reply: Reply, status: int = 200) -> Any:  # noqa: ANN401 - JSON of another server
    reply.expect(status)
    check_one_of("success", reply.at("success"), (True,))
    return reply.at("data")


def _refused(reply: Reply, status: int, *codes: str) -> Mapping[str, Any]:
    reply.expect(status)
    check_one_of("success", reply.at("success"), (False,))
    check_one_of("error.code", reply.at("error", "code"), codes)
    check_type("error.message", reply.at("error", "message"), str)
    details = reply.document["error"].get("details") or {}
    check_type("error.details", details, dict)
    found: Mapping[str, Any] = details
    return found


def _device(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.need("device", "the server lists no device")
    return found


def _hold(server: Server) -> tuple[str, str, Mapping[str, Any]]:
    """Return a command that the device has with one target, the parameter's name, and its bounds."""
    for command in ("heat", "cool"):
        found = _device(server)["commands"].get(command)
        if found and "target" in found["parameters"]:
            return command, "target", found["parameters"]["target"]
    raise NotTried("the device has neither heat nor cool")


async def _push(server: Server, action: Mapping[str, object], **beside: object) -> Reply:
    return await _call(server, "POST", f"/hvac/{_device(server)['id']}", {"action": action, **beside})


def _planned(server: Server, start: str = FAR) -> dict[str, object]:
    command, name, _ = _hold(server)
    return {"command": command, "parameters": {name: {"value": 20, "unit": "celsius"}}, "start": start}


@line("1", "a call without a key is refused with 401")
async def no_key(server: Server) -> None:
    _refused(await server.call("GET", "/hvac"), 401, "UNAUTHORIZED", "INVALID_API_KEY")


@line("1", "a wrong key is refused with 401")
async def wrong_key(server: Server) -> None:
    reply = await server.call("GET", "/hvac", headers={"x-api-key": "amps_sk_test_wrong"})
    _refused(reply, 401, "INVALID_API_KEY", "UNAUTHORIZED")


@line("1", "the key is taken from Authorization: Bearer too")
async def bearer(server: Server) -> None:
    if not server.access.secret:
        raise NotTried("give an API key")
    reply = await server.call("GET", "/hvac", headers={"Authorization": f"Bearer {server.access.secret}"})
    _data(reply)


@line("1.1", "answers have the envelope of success with requestId, environment, timestamp and latencyMs")
async def envelope(server: Server) -> None:
    reply = await _call(server, "GET", "/hvac")
    _data(reply)
    fields = {"requestId": (str,), "environment": (str,), "timestamp": (str,), "latencyMs": (int, float)}
    check_fields(reply.at("meta"), fields, where="meta")
    check_one_of("meta.environment", reply.at("meta", "environment"), ("sandbox", "live"))


@line("1.1", "refusals have the envelope of failure with requestId, timestamp, path and latencyMs")
async def failure_envelope(server: Server) -> None:
    fields = {"requestId": (str,), "timestamp": (str,), "path": (str,), "latencyMs": (int, float)}
    unknown = "/hvac/no-such-device"
    for path, reply in (("/hvac", await server.call("GET", "/hvac")), (unknown, await _call(server, "GET", unknown))):
        meta = reply.expect(401, 404).at("meta")
        check_fields(meta, fields, where="meta")
        if not meta["path"].endswith(path):
            raise Mismatch(f"expected meta.path to end with {path}, found {meta['path']}")


@line("2", "GET /hvac lists devices in data.items")
async def devices(server: Server) -> None:
    items = _data(await _call(server, "GET", "/hvac"))["items"]
    check_type("data.items", items, list)
    wanted = [each for each in items if server.access.device in ("", each.get("id"))]
    if not wanted:
        raise Mismatch(f"expected a device{f' {server.access.device}' if server.access.device else ''}, found none")
    server.found["device"] = wanted[0]


@line("2.1", "a device has its fields")
async def device(server: Server) -> None:
    found = _data(await _call(server, "GET", f"/hvac/{_device(server)['id']}"))
    fields: dict[str, tuple[type, ...]] = {
        "id": (str,), "vendor": (str,), "sync": (dict,), "metadata": (dict,), "state": (dict,), "commands": (dict,),
        "conflictStrategies": (list,), "lastAction": (dict, type(None)), "currentSchedule": (dict, type(None)),
    }  # fmt: skip
    check_fields(found, fields, where="data")
    check_one_of("metadata.source", found["metadata"].get("source"), ("live", "cache", "fallback"))
    check_fields(found["state"], {"active": (bool,), "holdType": (str,), "mode": (str,)}, where="state")
    check_one_of("state.holdType", found["state"]["holdType"], ("follow_schedule", "permanent"))
    server.found["device"] = found


@line("2.2", "each command says its parameters and how it may be executed")
async def commands(server: Server) -> None:
    for name, found in _device(server)["commands"].items():
        check_one_of("command", name, ("heat", "cool", "auto", "idle", "follow_schedule"))
        check_fields(found, {"parameters": (dict,), "execution": (list, dict)}, where=f"commands.{name}")


@line("2", "an unknown device is refused with 404 DEVICE_NOT_FOUND")
async def unknown_device(server: Server) -> None:
    _refused(await _call(server, "GET", "/hvac/no-such-device"), 404, "DEVICE_NOT_FOUND")


@line("4", "an unknown action is refused with 404 ACTION_NOT_FOUND", origin=Origin.ASSUMED)
async def unknown_action(server: Server) -> None:
    _refused(await _call(server, "GET", "/actions/no-such-action"), 404, "ACTION_NOT_FOUND")


@line("4", "a command that the device does not list is refused with 422 COMMAND_NOT_SUPPORTED")
async def unknown_command(server: Server) -> None:
    _refused(await _push(server, {"command": "defrost"}), 422, "COMMAND_NOT_SUPPORTED")


@line("4", "a parameter that is not declared is refused with 422 UNSUPPORTED_PARAMETER and named")
async def unknown_parameter(server: Server) -> None:
    command, name, _ = _hold(server)
    quantity = {"value": 20, "unit": "celsius"}
    action = {"command": command, "parameters": {name: quantity, "fan": quantity}, "start": FAR}
    details = _refused(await _push(server, action), 422, "UNSUPPORTED_PARAMETER")
    check_one_of("details.unsupportedParameters", details.get("unsupportedParameters"), (["fan"],))


@line("4", "a unit that is not declared is refused with 422 UNSUPPORTED_UNIT and its details")
async def unknown_unit(server: Server) -> None:
    command, name, _ = _hold(server)
    action = {"command": command, "parameters": {name: {"value": 20, "unit": "kwh"}}, "start": FAR}
    details = _refused(await _push(server, action), 422, "UNSUPPORTED_UNIT")
    fields = {"parameter": (str,), "providedUnit": (str,), "supportedUnits": (list,)}
    check_fields(details, fields, where="details")


@line("4", "a value out of range is refused with 422 PARAMETER_OUT_OF_RANGE and its bounds")
async def out_of_range(server: Server) -> None:
    command, name, _ = _hold(server)
    action = {"command": command, "parameters": {name: {"value": 400, "unit": "celsius"}}, "start": FAR}
    details = _refused(await _push(server, action), 422, "PARAMETER_OUT_OF_RANGE")
    fields = {"parameter": (str,), "value": (int, float), "min": (int, float), "max": (int, float), "unit": (str,)}
    check_fields(details, fields, where="details")


@line("2.2", "follow_schedule with a start is refused with 422 EXECUTION_NOT_SUPPORTED")
async def release_later(server: Server) -> None:
    details = _refused(
        await _push(server, {"command": "follow_schedule", "start": FAR}), 422, "EXECUTION_NOT_SUPPORTED"
    )
    check_type("details.supportedExecution", details.get("supportedExecution"), list)


@line("2.3", "an unknown key is refused")
async def unknown_key(server: Server) -> None:
    (await _push(server, _planned(server), colour="red")).expect(400, 422)


@line("2.3", "a body that is no JSON is refused with 400")
async def unparsable(server: Server) -> None:
    headers = {"x-api-key": server.access.secret, "Content-Type": "application/json"}
    (await server.call("POST", f"/hvac/{_device(server)['id']}", data=b"{", headers=headers)).expect(400)


@line("2.3", "a start in the past is refused with 422 START_IN_PAST")
async def past(server: Server) -> None:
    _refused(await _push(server, _planned(server, "2020-01-01T00:00:00Z")), 422, "START_IN_PAST")


@line("2.3", "a start in more than 30 days is refused with 422 START_OUT_OF_RANGE")
async def distant(server: Server) -> None:
    _refused(await _push(server, _planned(server, "721h")), 422, "START_OUT_OF_RANGE")


@line("2.3", "an end without a start is refused with 422 INVALID_TIME_WINDOW")
async def end_alone(server: Server) -> None:
    action = _planned(server)
    action["end"] = action.pop("start")
    details = _refused(await _push(server, action), 422, "INVALID_TIME_WINDOW")
    check_type("details.reason", details.get("reason"), str)


@line("2.4", "a planned action is answered with 202 and its fields", change=True)
async def plan(server: Server) -> None:
    found = _data(await _push(server, _planned(server)), 202)
    fields: dict[str, tuple[type, ...]] = {
        "id": (str,), "deviceId": (str,), "deviceType": (str,), "command": (str,), "parameters": (dict, type(None)),
        "state": (str,), "createdAt": (str,), "start": (str,), "links": (dict,),
    }  # fmt: skip
    server.found["action"] = found
    _cancel_later(server)
    check_fields(found, fields, where="data")
    check_one_of("deviceType", found["deviceType"], ("hvac",))
    check_one_of("state", found["state"], ("scheduled",))
    check_one_of("links.self", found["links"].get("self"), (f"/actions/{found['id']}",))


def _cancel_later(server: Server) -> None:
    """Have the planned action cancelled at the end, should the check of cancelling not have done it."""
    action_id = _action(server)

    async def cancel_planned() -> None:
        if _data(await _call(server, "GET", f"/actions/{action_id}"))["state"] == "scheduled":
            _data(await _call(server, "POST", f"/actions/{action_id}/cancel"))

    server.undo_later(f"the planned action {action_id}: cancel it", cancel_planned)


def _action(server: Server) -> str:
    return str(server.need("action", "no action was planned")["id"])


@line("2.5", "an action is found by its id, without a result until it has ended", change=True)
async def action(server: Server) -> None:
    found = _data(await _call(server, "GET", f"/actions/{_action(server)}"))
    fields: dict[str, tuple[type, ...]] = {
        "result": (type(None),), "errorCode": (type(None),), "errorMessage": (type(None),), "updatedAt": (str,),
    }  # fmt: skip
    check_fields(found, fields, where="data")


@line("2", "actions are listed with the newest first", change=True)
async def actions(server: Server) -> None:
    items = _data(await _call(server, "GET", "/actions"))["items"]
    check_one_of("data.items[0].id", items[0]["id"] if items else None, (_action(server),))


@line("3", "a second action without a strategy is refused with 409 CONFLICT, the ids and the strategies", change=True)
async def conflict(server: Server) -> None:
    details = _refused(await _push(server, _planned(server)), 409, "CONFLICT")
    check_one_of("details.conflictingActionIds", details.get("conflictingActionIds"), ([_action(server)],))
    check_type("details.strategies", details.get("strategies"), list)
    check_one_of("details.reason", details.get("reason"), ("no_strategy_supplied",))


@line("3", "cancel_and_replace cancels the planned action", change=True)
async def replace(server: Server) -> None:
    old = _action(server)
    found = _data(await _push(server, _planned(server), onConflict="cancel_and_replace"), 202)
    server.found["action"] = found
    _cancel_later(server)
    check_one_of("state", _data(await _call(server, "GET", f"/actions/{old}"))["state"], ("cancelled",))


@line("2.7", "a planned action can be cancelled", change=True)
async def cancel(server: Server) -> None:
    found = _data(await _call(server, "POST", f"/actions/{_action(server)}/cancel"))
    check_one_of("state", found["state"], ("cancelled",))


@line("2.7", "a cancelled action is refused with 409 ACTION_NOT_CANCELLABLE", change=True)
async def cancel_again(server: Server) -> None:
    _refused(await _call(server, "POST", f"/actions/{_action(server)}/cancel"), 409, "ACTION_NOT_CANCELLABLE")
