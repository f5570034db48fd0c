"""The calls of AURRA Home that need a token: each reads its body, asks a service of the hub, and answers.

Must never reach past `agent.home`, and never tell a client anything about a zone that it may not see.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import msgspec

from agent.apis.aurra_home import body_problems, wire
from agent.apis.aurra_home.alerts import Alerts, is_shown
from agent.apis.aurra_home.errors import INSUFFICIENT_SCOPE, SERVICE_UNAVAILABLE, invalid, no_device, refused
from agent.apis.aurra_home.optimization import propose
from agent.apis.aurra_home.records import (
    AlertRecord,
    AurraRecords,
    ReadingRecord,
    VoiceLink,
    with_link,
    with_posted,
)
from agent.apis.aurra_home.translation import (
    blocks_of,
    constant_schedule,
    eco_answer,
    eco_request,
    prediction_of,
    schedule_request,
    setpoint_requests,
    status_of,
    zone_of,
)
from agent.apis.face import ApiAnswer, ApiClient, ApiRequest
from agent.climate.requests import ClimateRequest, FollowScheduleRequest, PutScheduleRequest
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.secret_hash import RandomBytes, base32, hash_secret
from agent.foundation.text import sanitize
from agent.foundation.worker import Worker
from agent.home.home import Home
from agent.home.thermostat import Thermostat
from agent.maintenance.machine_readings import EnergyPost, VibrationPost

if TYPE_CHECKING:
    from agent.apis.homekit.service import HomeKitService

ENTERPRISE = "enterprise"

REASON_HEADER = "X-Climahub-Reason"
"""Of answers that say less than a client may expect: the reason, in words."""

HOMEKIT_OFF = "set apis.homekit = true in the configuration of the hub first: HomeKit is switched off"
HOMEKIT_UNPAIRED = (
    "stored; add the accessory in the Home app with the code that `sudo climahub homekit code` shows at the hub"
)
HOMEKIT_PAIRED = "stored; the zones of this hub are in the Home app already"
CLOUD_NEEDED = "stored; {platform} reaches a hub only through the cloud of its maker, which has to be set up there"

_ID_BYTES = 5
"""Eight characters."""

B = TypeVar("B", bound=msgspec.Struct)


class Calls:
    """The eleven calls with a token."""

    def __init__(
        self,
        home: Home,
        records: AurraRecords,
        *,
        clock: Clock,
        worker: Worker,
        random_bytes: RandomBytes,
        alerts: Alerts,
        homekit: "HomeKitService | None",
    ) -> None:
        """Prepare.

        Args:
            home: What is shown and changed.
            records: Keeps what clients send.
            clock: For times in answers.
            worker: Where a simulation blocks.
            random_bytes: Makes ids, and salts of hashes.
            alerts: Keeps alerts, and tells people and webhooks.
            homekit: Apple's Home app; `None` where it is switched off.
        """
        self._home = home
        self._records = records
        self._clock = clock
        self._worker = worker
        self._random_bytes = random_bytes
        self._alerts = alerts
        self._homekit = homekit

    async def get_status(self, request: ApiRequest) -> ApiAnswer:
        """Answer `GET /thermostat/{device_id}/status`."""
        return ApiAnswer(status_of(self._thermostat(request.known_client, request.parameters["device_id"])))

    async def set_setpoint(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /thermostat/{device_id}/setpoint`."""
        thermostat = self._thermostat(request.known_client, request.parameters["device_id"])
        body = _read(request.body, wire.SetpointBody)
        await self._apply(thermostat.zone_id, setpoint_requests(thermostat, body), request)
        return ApiAnswer(wire.Applied(success=True, applied_at=self._instant()))

    async def _apply(self, zone_id: str, asked: Sequence[ClimateRequest], request: ApiRequest) -> None:
        """Put requests in force, on the disk too: an answer outlives a power cut.

        Raises:
            SettingInvalid: They do not fit the zone; nothing changes.
            StorageFull: The disk refuses. They stay in force, and are written later.
        """
        self._home.thermostats.apply_all(zone_id, asked, by=request.caller.name)
        await self._home.thermostats.save_in_time()

    async def put_schedule(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /thermostat/{device_id}/schedule`: the zone follows it from now on."""
        thermostat = self._thermostat(request.known_client, request.parameters["device_id"])
        body = _read(request.body, wire.ScheduleBody)
        await self._apply(thermostat.zone_id, [schedule_request(body)], request)
        await self._records.store.commit(lambda stored: with_posted(stored, thermostat.zone_id, body.name))
        answer = wire.ScheduleAnswer(success=True, name=body.name, blocks_count=len(body.blocks))
        return ApiAnswer(answer, HTTPStatus.CREATED)

    async def sync_schedule(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /thermostat/{device_id}/schedule/sync`: the schedule posted last is in force."""
        thermostat = self._thermostat(request.known_client, request.parameters["device_id"])
        posted = self._records.value.posted.get(thermostat.zone_id, "")
        if posted not in thermostat.schedules:
            raise invalid("post a schedule first: there is none of yours that could be brought into force")
        if thermostat.schedule != posted:
            await self._apply(thermostat.zone_id, [FollowScheduleRequest(posted)], request)
        return ApiAnswer(wire.Synced(synced=True, synced_at=self._instant()))

    async def set_eco(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /thermostat/{device_id}/eco`."""
        thermostat = self._thermostat(request.known_client, request.parameters["device_id"])
        body = _read(request.body, wire.EcoBody)
        await self._apply(thermostat.zone_id, [eco_request(thermostat, body)], request)
        return ApiAnswer(eco_answer(self._home.thermostats.get(thermostat.zone_id)))

    async def add_vibration(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /diagnostics/vibration`."""
        body = _read(request.body, wire.VibrationBody)
        at_utc_ms = _read_instant("timestamp", body.timestamp)
        post = VibrationPost(at_utc_ms, body.amplitude, body.frequency)
        return self._add_reading(request.known_client, "vibration", body, post)

    async def add_energy(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /diagnostics/energy`."""
        body = _read(request.body, wire.EnergyBody)
        at_utc_ms = _read_instant("period_start", body.period_start)
        post = EnergyPost(at_utc_ms, body.runtime_mins, body.voltage, body.current_amps, body.inrush_amps)
        return self._add_reading(request.known_client, "energy", body, post)

    def _add_reading(
        self,
        client: ApiClient,
        kind: str,
        body: wire.VibrationBody | wire.EnergyBody,
        post: VibrationPost | EnergyPost,
    ) -> ApiAnswer:
        zone_id = self._thermostat(client, body.device_id).zone_id
        reading_id = self._new_id("rdg_")
        values = {name: value for name, value in msgspec.to_builtins(body).items() if name != "device_id"}
        self._records.add_reading(ReadingRecord(reading_id, zone_id, kind, client.client_id, values))
        reason = self._home.observe_post(zone_id, client.client_id, post, client.name)
        return ApiAnswer(
            wire.ReadingAccepted(accepted=True, reading_id=reading_id),
            HTTPStatus.CREATED,
            headers={REASON_HEADER: f"kept, but not compared with the machine's past: {reason}"} if reason else {},
            action="",
        )

    async def get_prediction(self, request: ApiRequest) -> ApiAnswer:
        """Answer `GET /predictive/hvac/{device_id}/status`; a header says what is unknown, and why."""
        thermostat = self._thermostat(request.known_client, request.parameters["device_id"])
        alerts = self._home.alerts
        serviced_utc_ms = alerts.state.serviced_utc_ms(thermostat.zone_id) if alerts else None
        answer, reason = prediction_of(self._home.findings(thermostat.zone_id), serviced_utc_ms)
        return ApiAnswer(answer, headers={REASON_HEADER: reason} if reason else {})

    async def create_alert(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /alerts`. From the threshold on, people see the alert at the hub."""
        client = request.known_client
        body = _read(request.body, wire.AlertBody)
        zone_id = self._thermostat(client, body.device_id).zone_id
        if body.dispatch and client.tier != ENTERPRISE:
            text = f"leave out dispatch, or use a client of the tier {ENTERPRISE}"
            raise refused(HTTPStatus.FORBIDDEN, INSUFFICIENT_SCOPE, text)
        alert = AlertRecord(
            alert_id=self._new_id("alt_"),
            zone_id=zone_id,
            client_id=client.client_id,
            issue=sanitize(body.issue, characters_max=wire.ISSUE_CHARACTERS_MAX),
            confidence=body.confidence,
            action=sanitize(body.action, characters_max=wire.ACTION_CHARACTERS_MAX),
            priority=body.priority,
            is_dispatched=body.dispatch,
            made_utc_ms=self._clock.utc_ms(),
            client_name=client.name,
        )
        await self._alerts.add(alert)
        answer = wire.AlertCreated(success=True, alert_id=alert.alert_id, shown=is_shown(alert))
        return ApiAnswer(answer, HTTPStatus.CREATED)

    async def optimize(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /climate/optimize`: applied only where that is asked for."""
        body = _read(request.body, wire.OptimizeBody)
        thermostat = self._thermostat(request.known_client, body.device_id)
        schedule = thermostat.schedules.get(thermostat.schedule) or constant_schedule(thermostat)
        outdoor_c = self._home.thermostats.outdoor_mean_c
        # Off the loop: two simulated weeks of two schedules.
        proposal = await self._worker.run(
            lambda: propose(schedule, thermostat.learned, body.mode, can_heat=thermostat.can_heat, outdoor_c=outdoor_c)
        )
        is_applied = body.apply_immediate and proposal.schedule != schedule
        if is_applied:
            await self._apply(thermostat.zone_id, [PutScheduleRequest(proposal.schedule)], request)
        answer = wire.Optimized(
            wire.OptimizedSchedule(
                proposal.schedule.name, blocks_of(proposal.schedule), f"{proposal.savings_percent}%"
            ),
            requires_approval=not body.apply_immediate,
        )
        headers = {REASON_HEADER: proposal.reason} if proposal.reason else {}
        return ApiAnswer(answer, headers=headers, action=None if is_applied else "")

    async def link_voice(self, request: ApiRequest) -> ApiAnswer:
        """Answer `POST /integration/voice-assistant`, and say what the platform still needs."""
        body = _read(request.body, wire.VoiceBody)
        client = request.known_client
        zone_id = self._thermostat(client, body.device_id).zone_id
        message = CLOUD_NEEDED.format(platform=body.platform)
        if body.platform == "HomeKit":
            message = self._homekit_message()
        link = VoiceLink(zone_id, body.platform, client.client_id, hash_secret(body.user_token, self._random_bytes))
        await self._records.store.commit(lambda stored: with_link(stored, link))
        return ApiAnswer(wire.VoiceLinked(success=True, platform=body.platform, message=message))

    def _homekit_message(self) -> str:
        """Return what is left to do at the hub: the code opens all zones, so no client receives it.

        Raises:
            ApiRefused: HomeKit does not work on this hub.
        """
        homekit = self._homekit
        if homekit is None or not homekit.is_installed:
            text = homekit.problem if homekit else HOMEKIT_OFF
            raise refused(HTTPStatus.SERVICE_UNAVAILABLE, SERVICE_UNAVAILABLE, text)
        return HOMEKIT_PAIRED if homekit.record.controllers else HOMEKIT_UNPAIRED

    def _thermostat(self, client: ApiClient, device_id: str) -> Thermostat:
        """Return the zone of a device.

        Raises:
            ApiRefused: It does not exist for this client.
        """
        zone_id = zone_of(device_id, self._home.thermostats.zone_ids)
        if zone_id is None or not client.may_see(zone_id):
            raise no_device()
        return self._home.thermostats.get(zone_id)

    def _instant(self) -> str | None:
        return rfc3339.render_known(self._clock.utc_ms())

    def _new_id(self, prefix: str) -> str:
        return prefix + base32(self._random_bytes(_ID_BYTES)).lower()


def _read(body: bytes, kind: type[B]) -> B:
    """Return a JSON body. Unknown fields are ignored, as a newer client may send some.

    Raises:
        ApiRefused: It is not what the contract says.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise invalid(body_problems.explain(error, kind)) from error
    except DECODE_ERRORS:
        raise invalid(body_problems.OBJECT) from None


def _read_instant(name: str, text: str) -> int:
    """Return an instant in milliseconds UTC.

    Raises:
        ApiRefused: It is none.
    """
    try:
        return rfc3339.parse(text)
    except ValueError:
        raise invalid(f"send {name} in ISO 8601 with Z, {rfc3339.BOUNDS}") from None
