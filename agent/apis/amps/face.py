"""Amps' HVAC API on this hub: its routes, its keys, and the shape of its answers.

Live keys see the zones; test keys see simulated twins with actions of their own, and reach no output. Decides nothing
about a push: `push.py` does.
"""

import functools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import tzinfo
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from agent.apis.amps import assumptions, translation
from agent.apis.amps.capabilities import CapabilityMap, capability_map
from agent.apis.amps.events import offer_settled, tell_of
from agent.apis.amps.push import check_push
from agent.apis.amps.refusals import STATUSES, AmpsRefused
from agent.apis.amps.sandbox import forced_failure
from agent.apis.amps.twin import TwinThermostats
from agent.apis.amps.wire import decode_push, optional_time_text
from agent.apis.assembly import ApiParts
from agent.apis.base_face import BaseFace
from agent.apis.client_records import find_by_secret
from agent.apis.clients import Clients
from agent.apis.face import (
    CHANGES,
    ApiAnswer,
    ApiClient,
    ApiProblem,
    ApiRequest,
    ApiRoute,
    Limit,
    LimitUse,
    ProblemKind,
    bearer_token,
)
from agent.errors import UnknownDevice
from agent.foundation.clock import Clock, Now, read_now
from agent.home.action_admission import ActionRefused
from agent.home.action_service import ActionService
from agent.home.actions import HomeAction, UnknownAction
from agent.home.changes import HomeChanges
from agent.home.thermostat import Thermostat

NAME = "amps"

SANDBOX_FILE_NAME = "amps-sandbox.json"
"""Where the actions of test keys are kept."""

LIMIT = Limit("requests", assumptions.REQUESTS_PER_MINUTE_MAX)

_CODES: Mapping[ProblemKind, str] = MappingProxyType(
    {
        ProblemKind.MALFORMED: assumptions.VALIDATION_ERROR,
        ProblemKind.NO_CREDENTIAL: "INVALID_API_KEY",
        ProblemKind.MISSING_SCOPE: "INSUFFICIENT_PERMISSIONS",
        ProblemKind.FOREIGN_SOURCE: "INSUFFICIENT_PERMISSIONS",
        ProblemKind.NO_ROUTE: assumptions.NOT_FOUND,
        ProblemKind.WRONG_METHOD: assumptions.METHOD_NOT_ALLOWED,
        ProblemKind.TOO_SLOW: assumptions.REQUEST_TIMEOUT,
        ProblemKind.TOO_LARGE: assumptions.PAYLOAD_TOO_LARGE,
        ProblemKind.RATE_LIMITED: "RATE_LIMIT_EXCEEDED",
        ProblemKind.REFUSED: assumptions.VALIDATION_ERROR,
        ProblemKind.DEFECT: "INTERNAL_ERROR",
        ProblemKind.UNAVAILABLE: assumptions.SERVICE_UNAVAILABLE,
    }
)


class Zones(Protocol):
    """Zones as this API reads them: the hub's, or their twins."""

    def get(self, zone_id: str) -> Thermostat:
        """Return a zone. Raises `UnknownDevice`."""
        ...


class Environment(msgspec.Struct, frozen=True):
    """What the keys of one kind see.

    Attributes:
        name: "live" or "sandbox".
        zones: The zones.
        actions: What was pushed to them.
        twins: The same as `zones` in the sandbox; `None` in live.
    """

    name: str
    zones: Zones
    actions: ActionService
    twins: TwinThermostats | None = None


class AmpsFace(BaseFace):
    """The API; see `agent.apis.face.Face`."""

    def __init__(
        self,
        live: Environment,
        sandbox: Environment,
        *,
        clients: Clients,
        clock: Clock,
        timezone: Callable[[], tzinfo],
        zone_ids: Callable[[], Sequence[str]],
        new_id: Callable[[], str],
        takes_fahrenheit: bool,
        loops: Mapping[str, Callable[[], Awaitable[None]]] = MappingProxyType({}),
    ) -> None:
        """Prepare.

        Args:
            live: What live keys see.
            sandbox: What test keys see.
            clients: The credential store.
            clock: The clocks of the boot.
            timezone: Returns that of the house.
            zone_ids: Returns the ids of all zones.
            new_id: Makes ids of requests.
            takes_fahrenheit: The extension is switched on.
            loops: Further loops.
        """
        self._live = live
        self._sandbox = sandbox
        self._clients = clients
        self._clock = clock
        self._timezone = timezone
        self._zone_ids = zone_ids
        self._new_id = new_id
        self._takes_fahrenheit = takes_fahrenheit
        self._further_loops = loops
        super().__init__(NAME, self._calls())

    def _calls(self) -> Sequence[ApiRoute]:
        table = (
            ("GET", "/hvac", self._list_devices),
            ("GET", "/hvac/{device_id}", self._get_device),
            ("POST", "/hvac/{device_id}", self._push),
            ("GET", "/actions", self._list_actions),
            ("GET", "/actions/{action_id}", self._get_action),
            ("POST", "/actions/{action_id}/cancel", self._cancel_action),
        )
        return [ApiRoute(method, path, self._enveloped(path, handler)) for method, path, handler in table]

    async def authenticate(self, headers: Mapping[str, str]) -> ApiClient:
        """Return whose key the headers bring, as `x-api-key` or as a bearer token.

        Raises:
            AmpsRefused: They bring none, or it is not valid here.
        """
        key = headers.get("x-api-key", "") or bearer_token(headers)
        if not key:
            raise AmpsRefused("UNAUTHORIZED", "Send your key as `x-api-key`.")
        client = self._clients.find(NAME, key)
        if client is None:
            if find_by_secret(self._clients.records, NAME, key, 0):
                raise AmpsRefused("EXPIRED_TOKEN", "Ask for a new key: this one has expired.")
            raise AmpsRefused("INVALID_API_KEY", "Ask for a new key: this one is unknown or revoked.")
        return client

    def limits_of(self, client: ApiClient, route: ApiRoute) -> Sequence[Limit]:
        """Return the limit of a key and, of pushes and cancels, which are written to the disk, theirs."""
        del client
        return (LIMIT,) if route.method == "GET" else (LIMIT, CHANGES)

    def limit_headers(self, uses: Sequence[LimitUse]) -> Mapping[str, str]:
        """Return the customary headers; Amps documents none."""
        return uses[0].headers

    def refuse(self, problem: ApiProblem) -> ApiAnswer:
        """Return a problem of the frame, of a service or of a key as an error of Amps."""
        code = problem.error.code if isinstance(problem.error, AmpsRefused) else _CODES[problem.kind]
        answer = self._error(code, problem.message, path=problem.path)
        return msgspec.structs.replace(answer, headers=problem.headers)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loop that carries out the actions of test keys, and those that send events after a start."""
        return {"Amps sandbox": self._sandbox.actions.run, **self._further_loops}

    def _enveloped(
        self, path: str, handler: Callable[[ApiRequest, Environment], Awaitable["_Found"]]
    ) -> Callable[[ApiRequest], Awaitable[ApiAnswer]]:
        """Return a handler that puts what another one returns or refuses into the envelope."""

        @functools.wraps(handler)
        async def answer(request: ApiRequest) -> ApiAnswer:
            begin_ms = self._clock.monotonic_ms()
            environment = self._sandbox if request.known_client.is_test else self._live
            try:
                found = await handler(request, environment)
            except AmpsRefused as error:
                at = path.format(**request.parameters)
                return self._error(error.code, str(error), error.details, path=at, begin_ms=begin_ms)
            meta = {**self._meta(begin_ms), "environment": environment.name, **found.meta}
            return ApiAnswer({"success": True, "data": found.data, "meta": meta}, found.status)

        return answer

    def _meta(self, begin_ms: int | None) -> dict[str, Any]:
        now_ms = self._clock.monotonic_ms()
        return {
            "requestId": f"req_{self._new_id()}",
            "timestamp": optional_time_text(self._clock.utc_ms()),
            "latencyMs": 0 if begin_ms is None else now_ms - begin_ms,
        }

    def _error(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        path: str,
        begin_ms: int | None = None,
    ) -> ApiAnswer:
        error: dict[str, Any] = {"code": code, "message": message}
        if details:
            error["details"] = details
        meta = {**self._meta(begin_ms), "path": path}
        return ApiAnswer({"success": False, "error": error, "meta": meta}, STATUSES[code])

    def _zone(self, request: ApiRequest, environment: Environment, zone_id: str) -> Thermostat:
        try:
            if not request.known_client.may_see(zone_id):
                raise UnknownDevice(zone_id)
            return environment.zones.get(zone_id)
        except UnknownDevice:
            message = "List the devices to find its id: there is no such device."
            raise AmpsRefused("DEVICE_NOT_FOUND", message) from None

    def _commands(self, zone: Thermostat) -> CapabilityMap:
        return capability_map(can_heat=zone.can_heat, can_cool=zone.can_cool, takes_fahrenheit=self._takes_fahrenheit)

    def _document(self, zone: Thermostat, environment: Environment) -> object:
        return translation.device_document(
            zone,
            self._commands(zone),
            environment.actions.latest(zone.zone_id),
            utc_ms=self._clock.utc_ms(),
            is_twin=environment.twins is not None,
        )

    async def _list_devices(self, request: ApiRequest, environment: Environment) -> "_Found":
        zones = [environment.zones.get(each) for each in self._zone_ids() if request.known_client.may_see(each)]
        return _Found({"items": [self._document(zone, environment) for zone in zones]})

    async def _get_device(self, request: ApiRequest, environment: Environment) -> "_Found":
        zone = self._zone(request, environment, request.parameters["device_id"])
        return _Found(self._document(zone, environment))

    async def _push(self, request: ApiRequest, environment: Environment) -> "_Found":
        zone = self._zone(request, environment, request.parameters["device_id"])
        commands = self._commands(zone)
        body = decode_push(request.body, has_sandbox=environment.twins is not None)
        push = check_push(body.action, commands, now_utc_ms=self._clock.utc_ms(), timezone=self._timezone())
        failure = "" if environment.twins is None else forced_failure(body, commands)
        asked = translation.action_request(
            push,
            zone.zone_id,
            on_conflict=body.on_conflict,
            by=request.caller.name,
            client_id=request.known_client.client_id,
            forced_problem=failure,
        )
        try:
            action = await environment.actions.push(asked)
        except ActionRefused as error:
            raise translation.push_refused(error, push.command, commands) from error
        return _Found(translation.push_answer(action), HTTPStatus.ACCEPTED)

    async def _list_actions(self, request: ApiRequest, environment: Environment) -> "_Found":
        limit = _limit(request.query.get("limit", ""))
        zones = self._visible_zones(request)
        try:
            found = await environment.actions.page(zones=zones, before=request.query.get("cursor", ""), limit=limit)
            more = await environment.actions.page(zones=zones, before=found[-1].action_id, limit=1) if found else []
        except UnknownAction:
            details = {"reason": "unknown_cursor", "parameter": "cursor"}
            message = "Begin again without `cursor`: the history does not reach back to it any more."
            raise AmpsRefused(assumptions.VALIDATION_ERROR, message, details) from None
        meta = {"limit": limit, "hasMore": bool(more), "nextCursor": found[-1].action_id if more else None}
        return _Found({"items": [translation.action_document(each) for each in found]}, meta=meta)

    def _visible_zones(self, request: ApiRequest) -> frozenset[str]:
        asked = request.query.get("deviceId", "")
        zones = [each for each in self._zone_ids() if request.known_client.may_see(each)]
        return frozenset(each for each in zones if asked in {"", each})

    async def _get_action(self, request: ApiRequest, environment: Environment) -> "_Found":
        return _Found(translation.action_document(await self._action(request, environment)))

    async def _cancel_action(self, request: ApiRequest, environment: Environment) -> "_Found":
        action = await self._action(request, environment)
        try:
            cancelled = await environment.actions.cancel(action.action_id)
        except ActionRefused as error:
            raise translation.cancel_refused(error) from error
        return _Found(translation.action_document(cancelled))

    async def _action(self, request: ApiRequest, environment: Environment) -> HomeAction:
        """Return the action of a request. One of a zone that the client may not see is unknown to it."""
        try:
            action = await environment.actions.get(request.parameters["action_id"])
            if request.known_client.may_see(action.zone_id):
                return action
        except UnknownAction:
            pass
        message = "List the actions to find its id: there is no such action, or no longer."
        raise AmpsRefused(assumptions.ACTION_NOT_FOUND, message)


def build_face(parts: ApiParts) -> AmpsFace:
    """Return the API of one hub. The actions of live keys are those of the home."""
    home = parts.home

    def now() -> Now:
        return read_now(parts.clock)

    def zones() -> Mapping[str, Thermostat]:
        return {each.zone_id: each for each in home.thermostats.all()}

    twins = TwinThermostats(zones, now=now, timezone=home.thermostats.timezone, new_id=parts.new_id)
    sandbox_changes = HomeChanges(zones=dict, sensors=dict, now=now)
    actions = ActionService(
        parts.state_dir,
        thermostats=twins,
        changes=sandbox_changes,
        clock=parts.clock,
        disk=parts.disk,
        worker=parts.worker,
        new_id=parts.new_id,
        file_name=SANDBOX_FILE_NAME,
    )
    for service in (home.actions, actions):
        service.follow_clients(parts.clients)
    loops: dict[str, Callable[[], Awaitable[None]]] = {}
    if parts.webhooks:
        offer, utc_ms = parts.webhooks.offer, parts.clock.utc_ms
        tell_of(home.changes, offer, home.thermostats, is_sandbox=False)
        tell_of(sandbox_changes, offer, home.thermostats, is_sandbox=True)
        loops["Amps events"] = lambda: offer_settled(home.actions, offer, utc_ms, is_sandbox=False)
        loops["Amps sandbox events"] = lambda: offer_settled(actions, offer, utc_ms, is_sandbox=True)
    return AmpsFace(
        Environment("live", home.thermostats, home.actions),
        Environment("sandbox", twins, actions, twins),
        clients=parts.clients,
        clock=parts.clock,
        timezone=home.thermostats.timezone,
        zone_ids=lambda: home.thermostats.zone_ids,
        new_id=parts.new_id,
        takes_fahrenheit=parts.config.apis.amps_fahrenheit,
        loops=loops,
    )


class _Found(msgspec.Struct, frozen=True):
    """What a handler answers, before it is put into the envelope."""

    data: object
    status: HTTPStatus = HTTPStatus.OK
    meta: Mapping[str, Any] = MappingProxyType({})


_NUMBER = re.compile(r"[1-9]\d{0,2}", re.ASCII)


def _limit(text: str) -> int:
    """Return the number of items of a page.

    Raises:
        AmpsRefused: It is none; VALIDATION_ERROR.
    """
    if not text:
        return assumptions.PAGE_ITEMS
    if _NUMBER.fullmatch(text) and int(text) <= assumptions.PAGE_ITEMS_MAX:
        return int(text)
    details = {"parameter": "limit", "min": 1, "max": assumptions.PAGE_ITEMS_MAX}
    raise AmpsRefused(assumptions.VALIDATION_ERROR, f"Give a `limit` of 1 to {assumptions.PAGE_ITEMS_MAX}.", details)
