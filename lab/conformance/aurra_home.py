"""The contract of AURRA Home's thermostat API, version 1.0.0: the twelve calls of its reference page."""

import base64
import binascii
from datetime import UTC, datetime

import msgspec

from lab.conformance.lines import Contract, Mismatch, NotTried, Origin
from lab.conformance.server import Reply, Server, check_fields, check_one_of, check_type

AURRA_HOME = Contract("aurra_home", "AURRA Home")

SETPOINT_F = 68
"""What a change sets."""

line = AURRA_HOME.line


async def _call(server: Server, method: str, path: str, body: object = None) -> Reply:
    token = server.need("token", "give a client id and its secret: without a token only the first lines can be checked")
    return await server.call(method, path, body, headers={"Authorization": f"Bearer {token}"})


def _device(server: Server) -> str:
    if not server.access.device:
        raise NotTried("add --device ID: this API cannot list its devices")
    return server.access.device


def _refused(reply: Reply, status: int, code: str) -> None:
    reply.expect(status)
    check_one_of("error.code", reply.at("error", "code"), (code,))
    check_type("error.message", reply.at("error", "message"), str)


def _check_instant(name: str, value: object) -> None:
    check_type(name, value, str)
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        raise Mismatch(f"expected {name} as ISO 8601 in UTC with Z, found {value!r}") from None
    if when.utcoffset() != UTC.utcoffset(None) or not str(value).endswith("Z"):
        raise Mismatch(f"expected {name} in UTC with Z, found {value!r}")


def _credentials(server: Server) -> dict[str, str]:
    if not server.access.client_id:
        raise NotTried("add --client-id ID and its secret")
    return {
        "client_id": server.access.client_id,
        "client_secret": server.access.secret,
        "grant_type": "client_credentials",
    }


@line("1.1", "a wrong secret is refused with 401 INVALID_CREDENTIALS")
async def wrong_secret(server: Server) -> None:
    body = {"client_id": "acc_nobody", "client_secret": "sk_live_wrong", "grant_type": "client_credentials"}
    _refused(await server.call("POST", "/auth/token", body), 401, "INVALID_CREDENTIALS")


@line("1.1", "the token is a bearer token for 3600 s")
async def token(server: Server) -> None:
    reply = (await server.call("POST", "/auth/token", _credentials(server))).expect(200)
    check_one_of("token_type", reply.at("token_type"), ("Bearer",))
    check_one_of("expires_in", reply.at("expires_in"), (3600,))
    check_type("access_token", reply.at("access_token"), str)
    server.found["token"] = reply.at("access_token")


@line("1.1", "the token is a JWT signed with RS256")
async def token_is_signed(server: Server) -> None:
    head = str(server.need("token", "there is no token")).split(".")[0]
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise Mismatch("expected three parts of base64url with a header in JSON") from None
    check_fields(header, {"alg": (str,)}, where="header")
    check_one_of("alg", header["alg"], ("RS256",))


@line("1.1", "the token is given for form data too", origin=Origin.CLIENTS)
async def token_by_form(server: Server) -> None:
    reply = (await server.call("POST", "/auth/token", data=_credentials(server))).expect(200)
    check_type("access_token", reply.at("access_token"), str)


@line("1.1", "another grant type is refused")
async def wrong_grant(server: Server) -> None:
    body = {**_credentials(server), "grant_type": "password"}
    (await server.call("POST", "/auth/token", body)).expect(400, 401)


@line("1.4", "a call without a token is refused with 401 UNAUTHORIZED")
async def no_token(server: Server) -> None:
    _refused(await server.call("GET", "/thermostat/any/status"), 401, "UNAUTHORIZED")


@line("1.4", "an altered token is refused with 401 UNAUTHORIZED")
async def altered_token(server: Server) -> None:
    given = str(server.need("token", "there is no token"))
    altered = given[:-6] + ("AAAAAA" if not given.endswith("AAAAAA") else "BBBBBB")
    reply = await server.call("GET", "/thermostat/any/status", headers={"Authorization": f"Bearer {altered}"})
    _refused(reply, 401, "UNAUTHORIZED")


@line("1.4", "an unknown device is refused with 404 DEVICE_NOT_FOUND")
async def unknown_device(server: Server) -> None:
    _refused(await _call(server, "GET", "/thermostat/no_such_device/status"), 404, "DEVICE_NOT_FOUND")


@line("1.3", "answers name the tier in X-RateLimit-Tier")
async def tier(server: Server) -> None:
    reply = await _call(server, "GET", "/thermostat/no_such_device/status")
    check_one_of("X-RateLimit-Tier", reply.headers.get("X-RateLimit-Tier"), ("standard", "enterprise"))


@line("1.3", "answers have X-RateLimit-Limit, -Remaining and -Reset", origin=Origin.ASSUMED)
async def limit_headers(server: Server) -> None:
    reply = await _call(server, "GET", "/thermostat/no_such_device/status")
    missing = [name for name in ("Limit", "Remaining", "Reset") if f"X-RateLimit-{name}" not in reply.headers]
    if missing:
        raise Mismatch(f"expected the headers X-RateLimit-{', -'.join(missing)}")


@line("2.2", "the status has integers in degree Fahrenheit and percent, and the documented words")
async def status(server: Server) -> None:
    reply = (await _call(server, "GET", f"/thermostat/{_device(server)}/status")).expect(200)
    fields = {"temperature": (int,), "humidity": (int,), "mode": (str,), "eco_mode": (bool,), "status": (str,)}
    check_fields(reply.document, fields, where="status")
    check_one_of("mode", reply.at("mode"), ("heat", "cool", "auto", "off"))
    check_one_of("status", reply.at("status"), ("active", "idle", "offline"))
    if not 0 <= reply.at("humidity") <= 100:
        raise Mismatch(f"expected humidity from 0 to 100, found {reply.at('humidity')}")


@line("2.3", "a setpoint outside 40 to 90 is refused with 400 INVALID_TEMPERATURE")
async def setpoint_out_of_range(server: Server) -> None:
    for value in (39, 91):
        body = {"temperature": value, "mode": "heat"}
        reply = await _call(server, "POST", f"/thermostat/{_device(server)}/setpoint", body)
        _refused(reply, 400, "INVALID_TEMPERATURE")


@line("2.3", "a setpoint without a mode, or with an unknown one, is refused with 400 INVALID_REQUEST")
async def setpoint_malformed(server: Server) -> None:
    for body in ({"temperature": 68}, {"temperature": 68, "mode": "tropical"}, {"temperature": "68", "mode": "heat"}):
        reply = await _call(server, "POST", f"/thermostat/{_device(server)}/setpoint", body)
        _refused(reply, 400, "INVALID_REQUEST")


@line("2.3", "a setpoint is applied, and the answer says when", change=True)
async def setpoint(server: Server) -> None:
    path = f"/thermostat/{_device(server)}"
    mode = (await _call(server, "GET", f"{path}/status")).expect(200).at("mode")
    if mode != "heat":

        async def restore() -> None:
            (await _call(server, "POST", f"{path}/setpoint", {"temperature": SETPOINT_F, "mode": mode})).expect(200)

        server.undo_later("the mode heat of the device", restore)
    server.leave(f"the setpoint of the device, {SETPOINT_F} F: no call tells what it was")
    body = {"temperature": SETPOINT_F, "mode": "heat"}
    reply = (await _call(server, "POST", f"/thermostat/{_device(server)}/setpoint", body)).expect(200)
    check_one_of("success", reply.at("success"), (True,))
    _check_instant("applied_at", reply.at("applied_at"))


def _schedule(**changes: object) -> dict[str, object]:
    block: dict[str, object] = {
        "label": "Night", "start": "22:00", "end": "04:00", "heat": 62, "cool": 80, "days": ["mon", "tue"],
    }  # fmt: skip
    return {"name": "Conformance", "blocks": [{**block, **changes}]}


@line("2.4", "a schedule with an unknown day, a wrong time or a setpoint out of range is refused with 400")
async def schedule_malformed(server: Server) -> None:
    for change in ({"days": ["someday"]}, {"start": "25:00"}, {"heat": 39}):
        (await _call(server, "POST", f"/thermostat/{_device(server)}/schedule", _schedule(**change))).expect(400)


@line("2.4", "a name of more than 64 characters is refused with 400")
async def schedule_name(server: Server) -> None:
    body = {**_schedule(), "name": "x" * 65}
    (await _call(server, "POST", f"/thermostat/{_device(server)}/schedule", body)).expect(400)


@line("2.4", "a block whose cool setpoint is not above its heat setpoint is refused", origin=Origin.ASSUMED)
async def schedule_band(server: Server) -> None:
    body = _schedule(heat=72, cool=70)
    (await _call(server, "POST", f"/thermostat/{_device(server)}/schedule", body)).expect(400)


@line("2.4", "a schedule over midnight is stored with 201", change=True)
async def schedule(server: Server) -> None:
    server.leave("the schedule Conformance, which the device follows now: choose its own again")
    (await _call(server, "POST", f"/thermostat/{_device(server)}/schedule", _schedule())).expect(201)


@line("2.5", "sync says when it was done", change=True)
async def sync(server: Server) -> None:
    reply = (await _call(server, "POST", f"/thermostat/{_device(server)}/schedule/sync")).expect(200)
    check_one_of("synced", reply.at("synced"), (True,))
    _check_instant("synced_at", reply.at("synced_at"))


@line("2.6", "eco without `enabled` is refused with 400 INVALID_REQUEST")
async def eco_malformed(server: Server) -> None:
    reply = await _call(server, "POST", f"/thermostat/{_device(server)}/eco", {"heat_limit": 60})
    _refused(reply, 400, "INVALID_REQUEST")


@line("2.6", "eco is switched on and off, and the status shows it", change=True)
async def eco(server: Server) -> None:
    path = f"/thermostat/{_device(server)}"
    before = (await _call(server, "GET", f"{path}/status")).expect(200).at("eco_mode")

    async def restore() -> None:
        (await _call(server, "POST", f"{path}/eco", {"enabled": before})).expect(200)

    server.undo_later("eco", restore)
    for wanted in (True, False):
        (await _call(server, "POST", f"{path}/eco", {"enabled": wanted})).expect(200)
        shown = (await _call(server, "GET", f"{path}/status")).expect(200).at("eco_mode")
        check_one_of("eco_mode", shown, (wanted,))


@line("2.7", "an amplitude above 10 g is refused with 400")
async def vibration_out_of_range(server: Server) -> None:
    body = {"device_id": _device(server), "timestamp": "2026-01-01T00:00:00Z", "amplitude": 10.1, "frequency": 50.0}
    (await _call(server, "POST", "/diagnostics/vibration", body)).expect(400)


@line("2.7", "a vibration is accepted with 201 and its id", change=True)
async def vibration(server: Server) -> None:
    body = {"device_id": _device(server), "timestamp": "2026-01-01T00:00:00Z", "amplitude": 0.4, "frequency": 50.0}
    server.leave("a reading of a vibration")
    reply = (await _call(server, "POST", "/diagnostics/vibration", body)).expect(201)
    check_fields(reply.document, {"accepted": (bool,), "reading_id": (str,)}, where="answer")


@line("1.3", "diagnostics are counted in a bucket of their own: X-RateLimit-Endpoint is diag")
async def diagnostics_bucket(server: Server) -> None:
    reply = await _call(server, "POST", "/diagnostics/energy", {})
    check_one_of("X-RateLimit-Endpoint", reply.headers.get("X-RateLimit-Endpoint"), ("diag",))


@line("2.8", "energy without its period is refused with 400")
async def energy_malformed(server: Server) -> None:
    body = {"device_id": _device(server), "runtime_mins": 12, "voltage": 230.0, "current_amps": 2.0}
    (await _call(server, "POST", "/diagnostics/energy", body)).expect(400)


@line("2.9", "the prediction has its fields, or is null")
async def prediction(server: Server) -> None:
    reply = (await _call(server, "GET", f"/predictive/hvac/{_device(server)}/status")).expect(200)
    check_fields(reply.document, {"maintenance_needed": (bool,), "prediction": (dict, type(None))}, where="answer")
    if reply.at("prediction"):
        fields = {"issue": (str,), "confidence": (float, int), "recommended_action": (str,)}
        check_fields(reply.at("prediction"), fields, where="prediction")


@line("2.10", "an alert with a confidence above 1 or an issue of more than 256 characters is refused with 400")
async def alert_malformed(server: Server) -> None:
    plain = {"device_id": _device(server), "issue": "Filter", "confidence": 0.8, "action": "Change the filter"}
    for change in ({"confidence": 1.1}, {"issue": "x" * 257}, {"priority": "panic"}):
        (await _call(server, "POST", "/alerts", {**plain, **change})).expect(400)


@line("2.10", "an alert is made with 201", change=True)
async def alert(server: Server) -> None:
    body = {"device_id": _device(server), "issue": "Filter", "confidence": 0.1, "action": "Change the filter"}
    server.leave("an alert with the issue Filter: resolve it at the server")
    (await _call(server, "POST", "/alerts", body)).expect(201)


@line("2.11", "an unknown goal is refused with 400")
async def optimise_malformed(server: Server) -> None:
    (await _call(server, "POST", "/climate/optimize", {"device_id": _device(server), "mode": "warp"})).expect(400)


@line("2.11", "optimising proposes a schedule with its savings in percent, and asks for approval")
async def optimise(server: Server) -> None:
    body = {"device_id": _device(server), "mode": "balanced", "apply_immediate": False}
    reply = (await _call(server, "POST", "/climate/optimize", body)).expect(200)
    fields = {"name": (str,), "blocks": (list,), "projected_savings": (str,)}
    check_fields(reply.at("optimized_schedule"), fields, where="optimized_schedule")
    if not reply.at("optimized_schedule", "projected_savings").endswith("%"):
        raise Mismatch(f"expected savings in percent, found {reply.at('optimized_schedule', 'projected_savings')}")
    check_one_of("requires_approval", reply.at("requires_approval"), (True,))


@line("2.12", "an unknown voice platform is refused with 400")
async def voice_malformed(server: Server) -> None:
    body = {"device_id": _device(server), "platform": "Clippy", "user_token": "t"}
    (await _call(server, "POST", "/integration/voice-assistant", body)).expect(400)
