"""The devices of the network: set-up progress, last frame, availability, and which kinds each device reports.

Only the radio's thread changes the registry; the agent's thread reads snapshots. No I/O, and no dependence on zigpy.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from hal import availability
from hal.interface import RelayedSensor, SensorKind
from hal.radio import BinaryKind, BinaryState, SensorLink
from hal.zigbee.battery import Battery, battery_of, level_percent
from hal.zigbee.power_table import PowerTable
from hal.zigbee.radio_state import REMOVED_MAX, SENSORS_MAX, DeviceRecord, DeviceTable
from hal.zigbee.reporting_monitor import ReportingMonitor, shortest_s

SILENCE_MS_MIN = 1000
"""Frames within a second are one report in several packets and carry no information about the rhythm."""


class DeviceRegistry:
    """All devices of the network except the stick, by IEEE address.

    More than ten public methods: one for each event of a device's life, so that every change of a record is made here.

    Attributes:
        reporting: Which kinds the devices report.
        power: What plugs draw.
        is_changed: Whether the table has changes that must be saved. Learned rhythms alone are saved periodically.
    """

    def __init__(self, table: DeviceTable, monotonic_ms: Callable[[], int]) -> None:
        """Start with the stored devices; the radio does not listen yet."""
        self._boot_id = table.boot_id
        self._records = {record.ieee: record for record in table.sensors[:SENSORS_MAX]}
        self._removed = dict.fromkeys(table.removed)
        self._monotonic_ms = monotonic_ms
        self.listening_since_ms: int | None = None
        self.is_changed = False
        self.reporting = ReportingMonitor(self, monotonic_ms)
        self._binary: dict[tuple[str, BinaryKind], BinaryState] = {}
        self.power = PowerTable(monotonic_ms)

    def set_listening(self, *, is_listening: bool) -> None:
        """Record that the radio starts or stops to listen."""
        if not is_listening:
            self.listening_since_ms = None
        elif self.listening_since_ms is None:
            self.listening_since_ms = self._monotonic_ms()
            self.reporting.restart_all(self.listening_since_ms)

    def snapshot(self) -> DeviceTable:
        """Return the content of the devices' file."""
        return DeviceTable(self._boot_id, self.devices(), tuple(self._removed))

    def devices(self) -> tuple[DeviceRecord, ...]:
        """Return all devices."""
        return tuple(self._records.values())

    def get(self, ieee: str) -> DeviceRecord | None:
        """Return the record of a device; `None` for an unknown one."""
        return self._records.get(ieee)

    def put(self, record: DeviceRecord) -> None:
        """Store a record to be saved; ignored for a new device if the registry is full."""
        if record.ieee in self._records or not self.is_full:
            self._records[record.ieee] = record
            self.is_changed = True

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another device."""
        return len(self._records) >= SENSORS_MAX

    def add_joined(self, ieee: str, nwk: int) -> None:
        """Record that a device has joined or rejoined: it must be set up again, and it is online."""
        record = self._records.get(ieee) or DeviceRecord(ieee, nwk)
        self._removed.pop(ieee, None)
        self.put(
            msgspec.structs.replace(
                record, nwk=nwk, is_configured=False, is_offline=False, last_seen_ms=self._monotonic_ms()
            )
        )

    def set_interviewed(
        self,
        ieee: str,
        *,
        manufacturer: str,
        model: str,
        kinds: Sequence[SensorKind],
        is_sleepy: bool,
        model_note: str = "",
    ) -> None:
        """Record the result of a device's interview; ``model_note`` is shown to people."""
        if (record := self._records.get(ieee)) is not None:
            self.put(
                msgspec.structs.replace(
                    record,
                    manufacturer=manufacturer,
                    model=model,
                    # The kinds that answered at set-up are more reliable than the listed clusters.
                    kinds=tuple(record.ranks) if record.is_configured and record.ranks else tuple(kinds),
                    is_sleepy=is_sleepy,
                    is_interviewed=True,
                    model_note=model_note,
                )
            )

    def set_configured(
        self,
        ieee: str,
        *,
        ranks: Mapping[SensorKind, int],
        max_intervals_s: Mapping[SensorKind, float],
        battery: Battery | None = None,
        unused: Sequence[str] = (),
    ) -> None:
        """Record that a device is set up.

        Args:
            ieee: Its address.
            ranks: The kinds that answered, each with the rank of the chosen channel.
            max_intervals_s: Maximum reporting interval of each kind; 0 without a configuration.
            battery: Its battery, if the level is estimated from a voltage.
            unused: Descriptions of channels that are not used.
        """
        record = self._records.get(ieee)
        if record is None:
            return
        rhythm = msgspec.structs.replace(record.rhythm, max_interval_s=shortest_s(max_intervals_s))
        # A kind that the device has reported by itself stays, whatever it answers at set-up.
        ranks = {kind: rank for kind, rank in record.ranks.items() if kind in record.reported} | dict(ranks)
        self.put(
            msgspec.structs.replace(
                record,
                is_configured=True,
                rhythm=rhythm,
                kinds=tuple(ranks),
                ranks=ranks,
                max_intervals_s=dict(max_intervals_s),
                battery=battery,
                unused=tuple(unused),
            )
        )
        self.reporting.restart(ieee)

    def mark_seen(self, ieee: str, lqi: int | None) -> None:
        """Record that a frame of a device was received."""
        record = self._records.get(ieee)
        if record is None:
            return
        now_ms = self._monotonic_ms()
        rhythm, since_ms = record.rhythm, self.listening_since_ms
        if record.last_seen_ms is not None and since_ms is not None and since_ms <= record.last_seen_ms:
            silence_ms = now_ms - record.last_seen_ms
            if silence_ms >= SILENCE_MS_MIN:
                rhythm = availability.update_rhythm(rhythm, silence_ms, is_sleepy=record.is_sleepy)
        self.is_changed = self.is_changed or record.is_offline
        self._records[ieee] = msgspec.structs.replace(
            record, last_seen_ms=now_ms, lqi=lqi, rhythm=rhythm, is_offline=False
        )

    def mark_unconfigured(self, ieee: str) -> bool:
        """Record that a device must be set up again; return whether there is such a device."""
        record = self.get(ieee)
        if record is None:
            return False
        self.put(msgspec.structs.replace(record, is_configured=False))
        return True

    def mark_left(self, ieee: str) -> None:
        """Record that a device has left by itself; it stays known, as offline."""
        if (record := self._records.get(ieee)) is not None:
            self.put(msgspec.structs.replace(record, is_offline=True, is_configured=False))

    def remove(self, ieee: str) -> None:
        """Delete a device, and remember that it must leave the network."""
        self._records.pop(ieee, None)
        for kind in BinaryKind:
            self._binary.pop((ieee, kind), None)
        self.reporting.forget(ieee)
        self.power.forget(ieee)
        self._removed[ieee] = None
        while len(self._removed) > REMOVED_MAX:
            del self._removed[next(iter(self._removed))]
        self.is_changed = True

    def is_removed(self, ieee: str) -> bool:
        """Return whether a device was removed and has not been admitted again."""
        return ieee in self._removed

    def is_online(self, ieee: str) -> bool | None:
        """Return whether a device is online; `None` while that is unknown."""
        record = self._records.get(ieee)
        if record is None:
            return None
        return availability.is_online(
            record.rhythm,
            is_sleepy=record.is_sleepy,
            last_seen_ms=record.last_seen_ms,
            listening_since_ms=self.listening_since_ms,
            was_offline=record.is_offline,
            now_ms=self._monotonic_ms(),
        )

    def allowed_silence_s(self, ieee: str, kind: SensorKind) -> float | None:
        """See `hal.radio.LimitsSilence`."""
        record = self._records.get(ieee)
        return None if record is None else availability.allowed_by_interval_s(record.max_intervals_s.get(kind, 0.0))

    def set_outputs(self, ieee: str, outputs: tuple[str, ...]) -> None:
        """Record the names of a device's lines."""
        record = self._records.get(ieee)
        if record is not None and record.outputs != outputs:
            self.put(msgspec.structs.replace(record, outputs=outputs))

    def set_binary(self, ieee: str, kind: BinaryKind, *, is_active: bool) -> None:
        """Record what a contact or a motion sensor tells. Contacts are saved: a window stays open over a restart."""
        if (record := self._records.get(ieee)) is None:
            return
        now_ms, before = self._monotonic_ms(), self._binary.get((ieee, kind))
        is_same = before is not None and before.is_active is is_active
        since_ms = before.since_ms if before is not None and is_same else now_ms
        self._binary[ieee, kind] = BinaryState(ieee, kind, is_active, since_ms, now_ms)
        kept = is_active if kind is BinaryKind.CONTACT else None
        if kind not in record.binary or record.binary[kind] is not kept:
            self.put(msgspec.structs.replace(record, binary={**record.binary, kind: kept}))

    def binary_states(self) -> Sequence[BinaryState]:
        """Return what each contact and motion sensor has told; what was saved counts as of the start."""
        states = []
        for record in self.devices():
            for kind in BinaryKind:
                if kind not in record.binary:
                    continue
                is_active = record.binary[kind]
                known = self._binary.get((record.ieee, kind)) or BinaryState(record.ieee, kind, is_active, 0, 0)
                is_online = self.is_online(record.ieee) is not False
                states.append(msgspec.structs.replace(known, is_online=is_online))
        return states

    def update_availability(self) -> None:
        """Record which devices have gone offline, so that a restart of the hub does not lose that."""
        for record in self.devices():
            if not record.is_offline and self.is_online(record.ieee) is False:
                self.put(msgspec.structs.replace(record, is_offline=True))

    def links(self) -> Sequence[SensorLink]:
        """Return the link of each member of the network, including routers and devices without an interview."""
        return [
            SensorLink(
                device=record.ieee,
                manufacturer=record.manufacturer,
                model=record.model,
                is_online=self.is_online(record.ieee),
                is_sleepy=record.is_sleepy,
                last_seen_ms=record.last_seen_ms,
                lqi_last_hop=record.lqi,
                problem=self.reporting.problem(record.ieee),
                notes=(record.model_note, *record.unused) if record.model_note else record.unused,
                is_interviewed=record.is_interviewed,
                outputs=record.outputs,
            )
            for record in self.devices()
        ]

    def sensors(self) -> Sequence[RelayedSensor]:
        """Return the devices that measure something."""
        return [to_relayed_sensor(record) for record in self.devices() if record.kinds]


def battery_level(record: DeviceRecord | None, voltage_v: float) -> float | None:
    """Return the battery level estimated from a voltage, in percent; `None` if the voltage is ambiguous."""
    battery = (record.battery if record else None) or battery_of(voltage_v)
    return None if battery is None else level_percent(battery, voltage_v)


def to_relayed_sensor(record: DeviceRecord) -> RelayedSensor:
    """Return a device as a relayed sensor."""
    product = " ".join(part for part in (record.manufacturer, record.model) if part) or "sensor"
    return RelayedSensor(record.ieee, f"{product} {record.ieee[-4:]}", record.kinds, record.ieee)
