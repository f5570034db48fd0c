"""A sensor's application layer: responses to cluster commands, reports, and vendor dialects.

Zigbee Cluster Library; identify: section 3.5, IAS zone: section 8.2, thermostat: section 6.3. Pure: it has neither
addresses nor bindings.
"""

import math
import struct
from collections.abc import Mapping, Sequence

import msgspec

from lab.ncp import dialects, models, zcl
from lab.ncp.actuators import Actuators
from lab.ncp.attributes import AttributeKey, AttributeTable
from lab.ncp.models import DeviceModel, VendorDialect

IAS_ENROLL_RESPONSE = 0x00
IAS_STATUS_CHANGED = 0x00
IAS_ENROLL_REQUEST = 0x01
_IAS_STATE = 0x0000
_IAS_TYPE = 0x0001
_IAS_STATUS = 0x0002
_IAS_CIE = 0x0010
_IAS_ZONE_ID = 0x0011

SETPOINT_RAISE_LOWER = 0x00
_HEAT_SETPOINT = 0x0012
_CENTIDEGREES_PER_STEP = 10

OTA_IMAGE_NOTIFY = 0x00
OTA_QUERY_NEXT_IMAGE = 0x01
_OTA_FILE_VERSION = 0x0002
_FIRMWARE_VERSION = 0x0100_0000

IDENTIFY = 0x00
IDENTIFY_QUERY = 0x01
IDENTIFY_QUERY_RESPONSE = 0x00
TRIGGER_EFFECT = 0x40
_IDENTIFY_TIME = 0x0000


class OutgoingFrame(msgspec.Struct, frozen=True):
    """A ZCL frame that a device sends.

    Attributes:
        needs_binding: It goes where the cluster is bound to; else to the coordinator.
    """

    endpoint: int
    cluster: int
    payload: bytes
    needs_binding: bool = False


class ZclApplication:
    """The endpoints of one device."""

    def __init__(self, model: DeviceModel, attributes: AttributeTable) -> None:
        self._model = model
        self._attributes = attributes
        self._actuators = Actuators(model, attributes)
        self._sequence = 0
        self._tuya = dialects.TuyaDataPoints()
        self._identifies_until_s: dict[int, float] = {}

    def receive(self, endpoint: int, cluster: int, data: bytes, now_s: float) -> Sequence[OutgoingFrame]:
        """Carry out a command and return the responses, in order."""
        try:
            frame = zcl.read_frame(data)
        except zcl.MalformedFrame:
            return []
        if not frame.is_for_cluster and frame.command == zcl.GeneralCommand.DEFAULT_RESPONSE:
            return []
        self._count_down(endpoint, now_s)
        self._actuators.advance(now_s)
        try:
            if frame.is_from_server:
                return self._receive_as_client(endpoint, cluster, frame)
            if frame.is_for_cluster:
                return self._cluster_command(endpoint, cluster, frame, now_s)
            return self._general_command(endpoint, cluster, frame, now_s)
        except (zcl.MalformedFrame, struct.error, IndexError):
            return [self._default(endpoint, cluster, frame, zcl.ZclStatus.MALFORMED_COMMAND)]
        finally:
            self._actuators.regulate()
            if cluster == models.IDENTIFY:
                self._identifies_until_s[endpoint] = now_s + self._identify_time_s(endpoint)

    def due_s(self) -> float | None:
        """Return when something switches by itself."""
        return self._actuators.due_s()

    def advance(self, now_s: float) -> None:
        """Let what is due switch; its report follows by the rules."""
        self._actuators.advance(now_s)

    def set_values(self, values: Mapping[str, float | None]) -> Sequence[OutgoingFrame]:
        """Change its measured values, and return the frames outside the reporting rules.

        Raises:
            KeyError: It has no such quantity, or the quantity has no "no value" marker.
            ValueError: The value does not fit its type.
        """
        if self._model.dialect is VendorDialect.TUYA:
            changed = self._tuya.set_values(values)
            return [self._tuya_notice(changed)] if changed else []
        wire = [pair for name, value in values.items() for pair in self._wire(name, value)]
        frames: list[OutgoingFrame] = []
        others: list[AttributeKey] = []
        for key, value in wire:
            is_other = self._attributes[key] != value
            self._attributes[key] = value
            others += [key] if is_other else []
            if is_other and key[1] == models.IAS_ZONE and self._attributes.number((key[0], key[1], _IAS_STATE)):
                frames.append(self._zone_changed(key[0]))
        self._actuators.regulate()
        if self._model.dialect is VendorDialect.AQARA:
            frames += self.reports(others, needs_binding=False)
        return frames

    def own_reports(self) -> Sequence[OutgoingFrame]:
        """Return the unsolicited reports of a device with a vendor dialect, bound or not."""
        match self._model.dialect:
            case VendorDialect.TUYA:
                return [self._tuya_notice(self._tuya.points)] if self._tuya.points else []
            case VendorDialect.AQARA:
                return self._aqara()
            case _:
                return []

    def reports(self, keys: Sequence[AttributeKey], *, needs_binding: bool = True) -> Sequence[OutgoingFrame]:
        """Return reports of attributes, those of one cluster in one frame."""
        groups: dict[tuple[int, int, int | None], list[AttributeKey]] = {}
        for key in keys:
            groups.setdefault((key[0], key[1], self._attributes.manufacturer(key)), []).append(key)
        return [
            OutgoingFrame(
                endpoint,
                cluster,
                self._report(b"".join(map(self._attributes.record, group)), manufacturer),
                needs_binding,
            )
            for (endpoint, cluster, manufacturer), group in groups.items()
        ]

    def forget(self) -> None:
        """Remove the settings of a network."""
        for endpoint in self._model.endpoints:
            for attribute in (_IAS_STATE, _IAS_CIE, _IAS_ZONE_ID):
                self._attributes.reset((endpoint.id, models.IAS_ZONE, attribute))

    def _wire(self, name: str, value: float | None) -> list[tuple[AttributeKey, zcl.Value]]:
        quantity = models.QUANTITIES[name]
        keys = self._attributes.keys_of(quantity.cluster, quantity.attribute)
        if not keys:
            raise KeyError(name)
        kind = self._attributes.kind(keys[0])
        try:
            raw = zcl.invalid_marker(kind) if value is None else zcl.coerce(kind, quantity.to_wire(value))
        except (ValueError, OverflowError, struct.error) as error:
            raise ValueError(f"choose another value: the sensor cannot report {name} = {value}") from error
        return [(key, raw) for key in keys]

    def _identify_time_s(self, endpoint: int) -> int:
        key = (endpoint, models.IDENTIFY, _IDENTIFY_TIME)
        return self._attributes.number(key) if key in self._attributes else 0

    def _count_down(self, endpoint: int, now_s: float) -> None:
        """Let the time for which the device identifies itself have passed (section 3.5.2.2.1)."""
        if self._identify_time_s(endpoint):
            left_s = max(0, math.ceil(self._identifies_until_s.get(endpoint, 0.0) - now_s))
            self._attributes[endpoint, models.IDENTIFY, _IDENTIFY_TIME] = left_s

    def _identify(self, endpoint: int, frame: zcl.ZclFrame) -> Sequence[OutgoingFrame]:
        """Carry out a command of the identify cluster; a query is answered only meanwhile (section 3.5.2.3.2)."""
        status = zcl.ZclStatus.SUCCESS
        if frame.command == IDENTIFY:
            (time_s,) = struct.unpack_from("<H", frame.payload)
            self._attributes[endpoint, models.IDENTIFY, _IDENTIFY_TIME] = time_s
        elif frame.command == IDENTIFY_QUERY and (left_s := self._identify_time_s(endpoint)):
            left = struct.pack("<H", left_s)
            return [self._answer(endpoint, models.IDENTIFY, frame, IDENTIFY_QUERY_RESPONSE, left, is_for_cluster=True)]
        elif frame.command not in {IDENTIFY_QUERY, TRIGGER_EFFECT}:
            status = zcl.ZclStatus.UNSUPPORTED_CLUSTER_COMMAND
        return self._outcome(endpoint, models.IDENTIFY, frame, status)

    def _general_command(
        self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float
    ) -> Sequence[OutgoingFrame]:
        answer = self._attributes.run(endpoint, cluster, frame, now_s)
        if answer is None:
            return [self._default(endpoint, cluster, frame, zcl.ZclStatus.UNSUPPORTED_GENERAL_COMMAND)]
        command, payload = answer
        frames = [self._answer(endpoint, cluster, frame, command, payload)] if payload else []
        if command is zcl.GeneralCommand.WRITE_RESPONSE and (endpoint, cluster, _IAS_CIE) in self._attributes:
            frames += self._enroll(endpoint)
        return frames

    def _cluster_command(
        self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float
    ) -> Sequence[OutgoingFrame]:
        status = zcl.ZclStatus.SUCCESS
        match cluster, frame.command:
            case models.IDENTIFY, _ if (endpoint, cluster, _IDENTIFY_TIME) in self._attributes:
                return self._identify(endpoint, frame)
            case models.TUYA, dialects.TUYA_QUERY:
                return self.own_reports()
            case models.TUYA, _ if self._model.dialect is VendorDialect.TUYA:
                pass
            case models.IAS_ZONE, code if code == IAS_ENROLL_RESPONSE:
                outcome, zone_id = frame.payload[0], frame.payload[1]
                self._attributes[endpoint, cluster, _IAS_STATE] = int(outcome == 0)
                self._attributes[endpoint, cluster, _IAS_ZONE_ID] = zone_id
            case models.THERMOSTAT, code if code == SETPOINT_RAISE_LOWER:
                (steps,) = struct.unpack_from("<xb", frame.payload)
                key = (endpoint, cluster, _HEAT_SETPOINT)
                self._attributes[key] = self._attributes.number(key) + _CENTIDEGREES_PER_STEP * steps
            case models.ON_OFF, _:
                status = self._actuators.switch(endpoint, frame, now_s)
            case _:
                status = zcl.ZclStatus.UNSUPPORTED_CLUSTER_COMMAND
        return self._outcome(endpoint, cluster, frame, status)

    def _outcome(
        self, endpoint: int, cluster: int, frame: zcl.ZclFrame, status: zcl.ZclStatus
    ) -> Sequence[OutgoingFrame]:
        return [self._default(endpoint, cluster, frame, status)] if frame.wants_default_response or status else []

    def _receive_as_client(self, endpoint: int, cluster: int, frame: zcl.ZclFrame) -> Sequence[OutgoingFrame]:
        """Receive from a server: a firmware notice makes the device query the firmware (section 11.13.3)."""
        if not frame.is_for_cluster and frame.command == zcl.GeneralCommand.READ:
            return [self._client_attributes(endpoint, cluster, frame)]
        frames = (
            [self._default(endpoint, cluster, frame, zcl.ZclStatus.SUCCESS)] if frame.wants_default_response else []
        )
        if cluster == models.OTA and frame.is_for_cluster and frame.command == OTA_IMAGE_NOTIFY:
            query = struct.pack("<BHHI", 0, self._model.manufacturer_code, 0, _FIRMWARE_VERSION)
            asked = zcl.ZclFrame(
                command=OTA_QUERY_NEXT_IMAGE, sequence=self._next_sequence(), payload=query, is_for_cluster=True
            )
            frames.append(OutgoingFrame(endpoint, cluster, zcl.write_frame(asked)))
        return frames

    def _client_attributes(self, endpoint: int, cluster: int, frame: zcl.ZclFrame) -> OutgoingFrame:
        answer = b""
        for (wanted,) in struct.iter_unpack("<H", frame.payload):
            if (cluster, wanted) == (models.OTA, _OTA_FILE_VERSION):
                value = zcl.encode(zcl.DataType.UINT32, _FIRMWARE_VERSION)
                answer += struct.pack("<HBB", wanted, zcl.ZclStatus.SUCCESS, zcl.DataType.UINT32) + value
            else:
                answer += struct.pack("<HB", wanted, zcl.ZclStatus.UNSUPPORTED_ATTRIBUTE)
        return self._answer(endpoint, cluster, frame, zcl.GeneralCommand.READ_RESPONSE, answer)

    def _enroll(self, endpoint: int) -> Sequence[OutgoingFrame]:
        """Ask the coordinator that has written its address for a place in its zone table (section 8.2.2.2.3)."""
        zone = (endpoint, models.IAS_ZONE)
        if not self._attributes.number((*zone, _IAS_CIE)) or self._attributes.number((*zone, _IAS_STATE)):
            return []
        zone_type = self._attributes.number((*zone, _IAS_TYPE))
        payload = struct.pack("<HH", zone_type, self._model.manufacturer_code)
        return [self._notice(endpoint, models.IAS_ZONE, IAS_ENROLL_REQUEST, payload)]

    def _zone_changed(self, endpoint: int) -> OutgoingFrame:
        status = self._attributes.number((endpoint, models.IAS_ZONE, _IAS_STATUS))
        zone_id = self._attributes.number((endpoint, models.IAS_ZONE, _IAS_ZONE_ID))
        return self._notice(endpoint, models.IAS_ZONE, IAS_STATUS_CHANGED, struct.pack("<HBBH", status, 0, zone_id, 0))

    def _aqara(self) -> Sequence[OutgoingFrame]:
        measured = self._attributes.measured()
        values = {key[1]: self._attributes.number(key) for key in measured}
        record = dialects.aqara_record(
            battery_mv=_AQARA_BATTERY_MV,
            temperature=values[models.TEMPERATURE],
            humidity=values[models.HUMIDITY],
            pressure_hpa=values[models.PRESSURE],
        )
        struct_report = OutgoingFrame(measured[0][0], models.BASIC, self._report(record, dialects.AQARA_MANUFACTURER))
        return [*self.reports(measured, needs_binding=False), struct_report]

    def _tuya_notice(self, points: Mapping[int, int]) -> OutgoingFrame:
        return self._notice(self._model.endpoints[0].id, models.TUYA, dialects.TUYA_REPORT, self._tuya.report(points))

    def _report(self, records: bytes, manufacturer: int | None) -> bytes:
        return zcl.write_frame(
            zcl.ZclFrame(
                command=zcl.GeneralCommand.REPORT,
                sequence=self._next_sequence(),
                payload=records,
                is_from_server=True,
                manufacturer=manufacturer,
            )
        )

    def _notice(self, endpoint: int, cluster: int, command: int, payload: bytes) -> OutgoingFrame:
        frame = zcl.ZclFrame(
            command=command,
            sequence=self._next_sequence(),
            payload=payload,
            is_for_cluster=True,
            is_from_server=True,
        )
        return OutgoingFrame(endpoint, cluster, zcl.write_frame(frame))

    def _answer(
        self,
        endpoint: int,
        cluster: int,
        asked: zcl.ZclFrame,
        command: int,
        payload: bytes,
        *,
        is_for_cluster: bool = False,
    ) -> OutgoingFrame:
        frame = zcl.ZclFrame(
            is_for_cluster=is_for_cluster,
            command=command,
            sequence=asked.sequence,
            payload=payload,
            is_from_server=not asked.is_from_server,
            manufacturer=asked.manufacturer,
        )
        return OutgoingFrame(endpoint, cluster, zcl.write_frame(frame))

    def _default(self, endpoint: int, cluster: int, asked: zcl.ZclFrame, status: zcl.ZclStatus) -> OutgoingFrame:
        return self._answer(
            endpoint, cluster, asked, zcl.GeneralCommand.DEFAULT_RESPONSE, bytes((asked.command, status))
        )

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFF
        return self._sequence


_AQARA_BATTERY_MV = 3005
"""The voltage of a fresh cell of such a sensor."""
