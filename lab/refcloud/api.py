"""The nine endpoints: a decoded request in, a response or a `Refusal` out. No network, no clock, no faults.

Must never see a key: the middleware has replaced it by a device. Must refuse before it writes.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import msgspec
from msgspec import UNSET, Struct

from lab.refcloud import contract, models
from lab.refcloud.contract import Endpoint, Refusal
from lab.refcloud.records import (
    AcceptedReading,
    CloudCommand,
    CloudCredential,
    CloudDevice,
    CloudFirmware,
    CloudSettings,
    CommandState,
    DeviceKind,
    OtaHistory,
    OtaStatusPost,
    ReadingTally,
    ReadingVerdict,
    command_shelf,
    key_sha256,
    with_update,
)
from lab.refcloud.rfc3339 import format_ms
from lab.refcloud.store import ReadingColumns, Store
from lab.refcloud.validation import RangeUnsatisfiable, entity_tag, is_time_zone, parse_range, to_columns

JSON = "application/json"

OnReadings = Callable[[str, Sequence[AcceptedReading]], None]
"""Called with the name of the sending device and its accepted readings, each with its verdict, once they are stored."""

T = TypeVar("T")


class ApiRequest(Struct, frozen=True):
    """One admitted request.

    Attributes:
        now_ms: The server's true UTC.
        clock_offset_ms: How wrong the answer shall be about it (a fault); 0 ordinarily.
    """

    device: CloudDevice
    now_ms: int
    clock_offset_ms: int = 0
    body: bytes = b""
    query: Mapping[str, str] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})
    version: str = ""

    def text_of(self, at_ms: int) -> str:
        """Return an instant as this answer shows it."""
        return format_ms(at_ms + self.clock_offset_ms)

    @property
    def now_text(self) -> str:
        """The server time of this answer."""
        return self.text_of(self.now_ms)


class ApiResponse(Struct, frozen=True):
    """What goes back."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = MappingProxyType({})


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return the body as the decoder's model.

    Raises:
        Refusal: 422 when the JSON breaks a rule, 400 when it is none.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(422, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None


class DeviceApi:
    """The endpoints over one store."""

    def __init__(self, store: Store, *, on_readings: OnReadings | None = None) -> None:
        self._store = store
        self._on_readings = on_readings
        self._batch = msgspec.json.Decoder(models.TelemetryBatch)
        self._update = msgspec.json.Decoder(models.SettingsUpdate)
        self._ack = msgspec.json.Decoder(models.CommandAck)
        self._progress = msgspec.json.Decoder(models.OtaProgress)
        self._registration = msgspec.json.Decoder(models.Registration)
        self.endpoints: Mapping[Endpoint, Callable[[ApiRequest], ApiResponse]] = MappingProxyType(
            {
                Endpoint.TELEMETRY: self._telemetry,
                Endpoint.SETTINGS_GET: self._settings_get,
                Endpoint.SETTINGS_PUT: self._settings_put,
                Endpoint.COMMANDS_PENDING: self._commands_pending,
                Endpoint.COMMANDS_ACK: self._commands_ack,
                Endpoint.OTA_CHECK: self._ota_check,
                Endpoint.OTA_DOWNLOAD: self._ota_download,
                Endpoint.OTA_STATUS: self._ota_status,
                Endpoint.ZIGBEE_REGISTER: self._zigbee_register,
            }
        )

    def _telemetry(self, call: ApiRequest) -> ApiResponse:
        batch = decode_body(self._batch, call.body)
        device = call.device
        columns = to_columns(batch, device.device_id, self._owns(device))
        with self._store.transaction():
            verdicts = self._store.add_readings(columns)
            tally = self._store.get(ReadingTally, device.device_id) or ReadingTally(device.device_id)
            self._store.put(tally.added(verdicts))
            if batch.latitude is not UNSET and batch.longitude is not UNSET:
                here = msgspec.structs.replace(device, latitude=batch.latitude, longitude=batch.longitude)
                self._store.put(here)
        if self._on_readings is not None:
            self._on_readings(device.name, _accepted(columns, verdicts))
        answer = models.TelemetryAnswer(accepted=len(verdicts), timestamp=call.now_text)
        return ApiResponse(models.encode(answer))

    def _owns(self, hub: CloudDevice) -> Callable[[str], bool]:
        def owns(device_id: str) -> bool:
            sensor = self._store.get(CloudDevice, device_id)
            return sensor is not None and sensor.kind is DeviceKind.SENSOR and sensor.hub_id == hub.device_id

        return owns

    def _settings_get(self, call: ApiRequest) -> ApiResponse:
        return ApiResponse(models.encode(self._settings(call.device)))

    def _settings_put(self, call: ApiRequest) -> ApiResponse:
        update = decode_body(self._update, call.body)
        check_update(update)
        settings = with_update(self._settings(call.device), update)
        self._store.put(CloudSettings(call.device.device_id, settings))
        return ApiResponse(models.encode(settings))

    def _settings(self, device: CloudDevice) -> models.DeviceSettings:
        kept = self._store.get(CloudSettings, device.device_id)
        return models.DeviceSettings() if kept is None else kept.settings

    def _commands_pending(self, call: ApiRequest) -> ApiResponse:
        waiting = self._store.shelf(CloudCommand, command_shelf(call.device.device_id, is_pending=True))
        commands: list[models.PendingCommand] = []
        for command in waiting:
            if command.expires_ms <= call.now_ms:
                self._close(command, CommandState.EXPIRED, call.now_ms)
                continue
            commands.append(
                models.PendingCommand(
                    command_id=command.command_id,
                    type=command.type,
                    expires_at=call.text_of(command.expires_ms),
                    payload=command.payload,
                )
            )
        return ApiResponse(models.encode(models.PendingAnswer(commands)))

    def _close(self, command: CloudCommand, state: CommandState, now_ms: int) -> None:
        self._store.put(msgspec.structs.replace(command, state=state, closed_ms=now_ms))

    def _commands_ack(self, call: ApiRequest) -> ApiResponse:
        ack = decode_body(self._ack, call.body)
        result = None if ack.result is UNSET else ack.result
        if result is not None and len(models.encode(result)) > contract.RESULT_BYTES_MAX:
            raise Refusal(
                422, f"Expected `object` of at most {contract.RESULT_BYTES_MAX} bytes of JSON - at `$.result`"
            )
        command = self._store.get(CloudCommand, ack.command_id)
        if command is None or command.device_id != call.device.device_id:
            raise Refusal(404, "this device has no such command")
        if command.state in {CommandState.ACKED, CommandState.FAILED}:
            raise Refusal(409, "the command has been acknowledged before")
        if command.state is CommandState.EXPIRED or command.expires_ms <= call.now_ms:
            raise Refusal(404, "the command has expired")
        self._store.put(
            msgspec.structs.replace(
                command,
                state=CommandState(ack.status),
                closed_ms=call.now_ms,
                error_message="" if ack.error_message is UNSET else ack.error_message,
                result=result,
            )
        )
        return ApiResponse(models.encode(models.AckAnswer(acknowledged=True, timestamp=call.now_text)))

    def _ota_check(self, call: ApiRequest) -> ApiResponse:
        current = call.query.get("current_version", "")
        if not 1 <= len(current) <= contract.VERSION_CHARS_MAX:
            raise Refusal(400, f"current_version: 1 to {contract.VERSION_CHARS_MAX} characters are required")
        release = self._offered(call.device)
        if release is None or release.version == current:
            return ApiResponse(models.encode(models.OtaOffer(update_available=False)))
        offer = models.OtaOffer(
            update_available=True,
            version=release.version,
            checksum=f"sha256:{release.sha256}",
            size_bytes=release.size_bytes,
            release_notes=release.release_notes,
        )
        return ApiResponse(models.encode(offer))

    def _offered(self, device: CloudDevice) -> CloudFirmware | None:
        """Return the release that was offered last to the device's batch."""
        offered = [release for release in self._store.shelf(CloudFirmware, "") if device.batch in release.batches]
        return max(offered, key=lambda release: release.offered_ms, default=None)

    def _ota_download(self, call: ApiRequest) -> ApiResponse:
        release = self._store.get(CloudFirmware, call.version)
        if release is None or call.device.batch not in release.batches:
            raise Refusal(404, "no such version is offered to this device")
        size, tag = release.size_bytes, entity_tag(release.sha256)
        try:
            part = parse_range(call.headers.get("Range"), call.headers.get("If-Range"), tag=tag, size=size)
        except RangeUnsatisfiable:
            message = f"the firmware has {size} bytes, none of them in that range"
            raise Refusal(416, message, headers={"Content-Range": f"bytes */{size}"}) from None
        start, stop = part or (0, size)
        headers = {"Accept-Ranges": "bytes", "ETag": tag}
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return ApiResponse(
            self._store.image(release.version, start, stop),
            status=200 if part is None else 206,
            content_type=contract.FIRMWARE_CONTENT_TYPE,
            headers=headers,
        )

    def _ota_status(self, call: ApiRequest) -> ApiResponse:
        progress = decode_body(self._progress, call.body)
        device_id = call.device.device_id
        history = self._store.get(OtaHistory, device_id) or OtaHistory(device_id)
        post = OtaStatusPost(
            at_ms=call.now_ms,
            version=progress.version,
            status=progress.status,
            is_legal=history.is_legal(progress.version, progress.status),
            progress_percent=None if progress.progress_percent is UNSET else progress.progress_percent,
            error_message="" if progress.error_message is UNSET else progress.error_message,
        )
        self._store.put(history.appended(post))
        return ApiResponse(models.encode(models.OtaRecorded(recorded=True, timestamp=call.now_text)))

    def _zigbee_register(self, call: ApiRequest) -> ApiResponse:
        if call.device.kind is not DeviceKind.HUB:
            raise Refusal(403, "only a hub can register sensors")
        registration = decode_body(self._registration, call.body)
        credential = self._store.get(CloudCredential, key_sha256(registration.sensor_api_key))
        sensor = None
        if credential is not None and not credential.is_revoked:
            sensor = self._store.get(CloudDevice, credential.device_id)
        if sensor is None or sensor.kind is not DeviceKind.SENSOR:
            raise Refusal(404, "no sensor has this key")
        if sensor.hub_id not in {"", call.device.device_id}:
            raise Refusal(409, "the sensor is bound to another hub")
        address = registration.ieee_address
        bound = msgspec.structs.replace(
            sensor,
            hub_id=call.device.device_id,
            ieee_address=sensor.ieee_address if address is UNSET else address.lower(),
        )
        self._store.put(bound)
        answer = models.Registered(registered=True, sensor_id=sensor.device_id, serial_number=sensor.serial_number)
        return ApiResponse(models.encode(answer))


def check_update(update: models.SettingsUpdate) -> None:
    """Check what the model's types cannot say.

    Raises:
        Refusal: 422, the update is empty, names a sensor twice or a time zone that does not exist.
    """
    if all(getattr(update, name) is UNSET for name in update.__struct_fields__):
        raise Refusal(422, "Object must have at least one setting - at `$`")
    sensors = update.enabled_sensors
    if sensors is not UNSET and len(set(sensors)) != len(sensors):
        raise Refusal(422, "a sensor is named twice - at `$.enabled_sensors`")
    if update.timezone is not UNSET and not is_time_zone(update.timezone):
        raise Refusal(422, "no IANA time zone - at `$.timezone`")


def _accepted(columns: ReadingColumns, verdicts: list[ReadingVerdict]) -> list[AcceptedReading]:
    rows = zip(columns.device_ids, columns.sensor_types, columns.at_ms, columns.values, verdicts, strict=True)
    return [AcceptedReading(*row) for row in rows]
