"""The contract of the Aqara Open API in its type-routed JSON form: one address, seven request types."""

from typing import Any

from lab.conformance.lines import Contract, Mismatch, NotTried, Origin
from lab.conformance.server import Reply, Server, check_fields, check_one_of, check_type

AQARA = Contract("aqara", "Aqara Open API")

UNKNOWN_TYPE = 1000
DEVICE_NOT_FOUND = 2030

SPACE, RENAMED = "Conformance", "Conformance checked"
"""The name of the space that checks make, before and after it is renamed."""

line = AQARA.line


async def _send(server: Server, kind: str, *data: object, **further: object) -> Reply:
    """Send a request with the four keys; without data the key is left out, as published samples do."""
    if not server.access.secret:
        raise NotTried("give a token: without one only the first lines can be checked")
    body = {"type": kind, "version": "v1", "msgId": f"msg-{server.number()}", **further}
    if data:
        body["data"] = data[0]
    headers = {"Authorization": f"Bearer {server.access.secret}"}
    reply = await server.call("POST", "", body, headers=headers)
    server.found["sent"] = body
    return reply


def _data(reply: Reply) -> Any:  # noqa: ANN401 - JSON of another server
    reply.expect(200)
    if reply.at("code") != 0:
        raise Mismatch(f"expected code 0, found {reply.text[:200]}")
    return reply.at("data")


def _failed(reply: Reply, *codes: int) -> None:
    """Check that a request failed as a whole, with one of these codes; any other than 0 where none is given."""
    reply.expect(200)
    check_type("code", reply.at("code"), int)
    if reply.at("code") == 0 or (codes and reply.at("code") not in codes):
        raise Mismatch(f"expected code {' or '.join(map(str, codes)) or 'other than 0'}, found {reply.text[:200]}")


@line("1", "a request without a token is refused with HTTP 401", origin=Origin.CLIENTS)
async def no_token(server: Server) -> None:
    body = {"type": "GetSpacesRequest", "version": "v1", "msgId": "msg-0"}
    (await server.call("POST", "", body)).expect(401)


@line("1.2", "the answer has type, version, msgId as sent, code, message and data")
async def envelope(server: Server) -> None:
    reply = await _send(server, "GetSpacesRequest", None)
    _data(reply)
    fields: dict[str, tuple[type, ...]] = {"version": (str,), "code": (int,), "message": (str, type(None))}
    check_fields(reply.document, fields, where="answer")
    check_one_of("type", reply.at("type"), ("GetSpacesResponse",))
    check_one_of("msgId", reply.at("msgId"), (server.found["sent"]["msgId"],))


@line("1.1", "data may be null or left out where a type needs none")
async def no_data(server: Server) -> None:
    _data(await _send(server, "GetSpacesRequest"))
    _data(await _send(server, "GetSpacesRequest", None))


@line("1.3", "an unknown type is answered with code 1000 and HTTP 200", origin=Origin.ASSUMED)
async def unknown_type(server: Server) -> None:
    _failed(await _send(server, "TurnEverythingOnRequest", None), UNKNOWN_TYPE)


@line("1.1", "a body that is no JSON is answered as ErrorMessage", origin=Origin.ASSUMED)
async def unparsable(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.access.secret}", "Content-Type": "application/json"}
    reply = await server.call("POST", "", data=b"{", headers=headers)
    _failed(reply)
    check_one_of("type", reply.at("type"), ("ErrorMessage",))
    check_one_of("msgId", reply.at("msgId"), ("UNKNOWN",))


@line("2", "GetAllDevicesWithSpaceRequest answers an array of devices")
async def devices(server: Server) -> None:
    found = _data(await _send(server, "GetAllDevicesWithSpaceRequest", None))
    check_type("data", found, list)
    server.found["devices"] = found


def _devices(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.need("devices", "the server lists no devices")
    return found


@line("3", "a device has its id, name, types, state, space and endpoints")
async def device_fields(server: Server) -> None:
    fields: dict[str, tuple[type, ...]] = {
        "deviceId": (str,), "name": (str,), "deviceTypesList": (list,), "state": (bool,), "space": (dict, type(None)),
        "endpoints": (list,),
    }  # fmt: skip
    for found in _devices(server):
        check_fields(found, fields, where="device")


@line("3", "a device says `online` and `deviceName` too: the maker's command line reads these", origin=Origin.CLIENTS)
async def spellings(server: Server) -> None:
    for found in _devices(server):
        check_fields(found, {"online": (bool,), "deviceName": (str,)}, where=f"device {found['deviceId']}")


@line("3", "an endpoint has its number, functions and traits with values")
async def traits(server: Server) -> None:
    for found in _devices(server):
        for endpoint in found["endpoints"]:
            check_fields(endpoint, {"endpointId": (int,)}, where="endpoint")
            for function in endpoint.get("functions", ()):
                check_fields(function, {"functionCode": (str,), "traits": (list,)}, where="function")
                for trait in function["traits"]:
                    check_fields(trait, {"traitCode": (str,)}, where="trait")
                    if "value" not in trait:
                        raise Mismatch(f"expected a value of {trait['traitCode']}")


@line("3", "no two devices have one name, so that a name finds one", origin=Origin.CLIENTS)
async def names(server: Server) -> None:
    found = [each["name"].casefold() for each in _devices(server)]
    if twice := {name for name in found if found.count(name) > 1}:
        raise Mismatch(f"expected names once, found twice: {', '.join(sorted(twice))}")


@line("2", "GetDeviceTypeInfosRequest names every type that a device has")
async def types(server: Server) -> None:
    found = _data(await _send(server, "GetDeviceTypeInfosRequest", None))
    check_type("data", found, list)
    for each in found:
        check_fields(each, {"deviceType": (str,), "name": (str,)}, where="type")
    known = {each["deviceType"] for each in found}
    used = {kind for each in _devices(server) for kind in each["deviceTypesList"]}
    if used - known:
        raise Mismatch(f"expected {', '.join(sorted(used - known))} among the types")


@line("2.4", "GetSpacesRequest answers a tree")
async def spaces(server: Server) -> None:
    found = _data(await _send(server, "GetSpacesRequest", None))
    check_type("data", found, list)
    waiting = list(found)
    while waiting:
        node = waiting.pop()
        fields: dict[str, tuple[type, ...]] = {
            "spaceId": (str,), "parentSpaceId": (str, type(None)), "name": (str,), "spatialMarking": (str, type(None)),
        }  # fmt: skip
        check_fields(node, fields, where="space")
        waiting += node.get("children") or []


@line("2.3", "a command to an unknown device fails as a whole")
async def unknown_device(server: Server) -> None:
    item = {"deviceId": "no.such", "endpointId": 1, "functionCode": "Output", "traitCode": "OnOff", "value": True}
    _failed(await _send(server, "ExecuteTraitRequest", [item]))


@line("2.3", "a command to a trait that cannot be written fails, and the trait keeps its value")
async def read_only(server: Server) -> None:
    for found in _devices(server):
        for endpoint in found["endpoints"]:
            for function in endpoint.get("functions", ()):
                for trait in function["traits"]:
                    if (trait.get("parameter") or {}).get("writable") is False:
                        item = {
                            "deviceId": found["deviceId"],
                            "endpointId": endpoint["endpointId"],
                            "functionCode": function["functionCode"],
                            "traitCode": trait["traitCode"],
                            "value": trait["value"],
                        }
                        _failed(await _send(server, "ExecuteTraitRequest", [item]))
                        return
    raise NotTried("no device says of a trait that it cannot be written")


@line("2.3", "an endpoint number as text is refused")
async def endpoint_as_text(server: Server) -> None:
    item = {"deviceId": "any", "endpointId": "1", "functionCode": "Output", "traitCode": "OnOff", "value": True}
    _failed(await _send(server, "ExecuteTraitRequest", [item]))


@line("2.5", "a space is made, and its id is the answer", change=True)
async def new_space(server: Server) -> None:
    if earlier := [each["spaceId"] for each in await _spaces(server) if each["name"] in (SPACE, RENAMED)]:
        server.found["space"] = earlier[0]
        raise NotTried("the space of an earlier check is used: no call removes one")
    found = _data(await _send(server, "CreateSpaceRequest", {"name": SPACE}))
    check_type("data", found, str)
    server.found["space"] = found
    server.leave(f"the space {RENAMED}: no call removes one, and the next check uses it again")


async def _spaces(server: Server) -> list[Any]:
    """Return every space."""
    waiting, found = list(_data(await _send(server, "GetSpacesRequest", None))), []
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].get("children") or []
    return found


@line("2.5", "a space without a name is refused")
async def nameless_space(server: Server) -> None:
    _failed(await _send(server, "CreateSpaceRequest", {"name": ""}))


@line("2.6", "a space is renamed, and the tree shows it", change=True)
async def rename_space(server: Server) -> None:
    space = server.need("space", "no space was made")
    for name in (SPACE, RENAMED):
        _data(await _send(server, "UpdateSpaceRequest", {"spaceId": space, "name": name}))
        shown = [each["name"] for each in await _spaces(server) if each["spaceId"] == space]
        check_one_of("name", shown, ([name],))


@line("2.6", "an unknown space is refused")
async def unknown_space(server: Server) -> None:
    _failed(await _send(server, "UpdateSpaceRequest", {"spaceId": "no-such-space", "name": "x"}))


@line("2.7", "devices are put into a space, and the device list shows it", change=True)
async def place_device(server: Server) -> None:
    space = server.need("space", "no space was made")
    known = [each for each in _devices(server) if server.access.device in ("", each["deviceId"])]
    if not known:
        raise NotTried("the server lists no such device")
    # No call takes a device out of every space: one that has a space gets it back.
    device = next((each for each in known if each["space"]), known[0])
    before = device["space"]
    if before:
        server.undo_later(
            f"{device['name']} in the space {RENAMED}", lambda: _place(server, device["deviceId"], before["spaceId"])
        )
    else:
        server.leave(f"{device['name']} in the space {RENAMED}: it had none")
    await _place(server, device["deviceId"], space)


async def _place(server: Server, device: str, space: str) -> None:
    request = {"spaceId": space, "deviceIds": [device]}
    failed = _data(await _send(server, "AssociateDevicesToSpaceRequest", request))
    if failed:
        raise Mismatch(f"expected no failed items, found {failed!r}"[:200])
    found = _data(await _send(server, "GetAllDevicesWithSpaceRequest", None))
    shown = [each["space"] for each in found if each["deviceId"] == device]
    check_one_of("space.spaceId", shown[0]["spaceId"] if shown and shown[0] else None, (space,))
