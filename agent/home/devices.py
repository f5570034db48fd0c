"""The devices of the hub with what they measure: the hub itself, its zones, and the sensors of its radio. Reads only.

A device keeps its id over restarts and renaming: a zone that of the configuration, a sensor its IEEE address.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from agent import __version__
from agent.errors import UnknownDevice
from agent.foundation.clock import Clock
from agent.home.humidity import Channel
from agent.home.thermostats import Thermostats
from agent.pairing.lifecycle import PairingRecord
from agent.pairing.service import PairingQueries
from agent.sensors.calibration import Offset
from agent.telemetry.intake import ChannelState
from hal.interface import HUB, UNITS, Quality, SensorKind
from hal.radio import SensorLink

HUB_ID = "hub.0"
"""Of the hub itself. The dot keeps it apart: the id of a zone has none."""

SILENT_S_MAX = 3600.0
"""A relayed sensor whose reporting interval is unknown counts as offline after this time: the hub sets sensors to
report every 900 s at least, so four reports are missing."""


class DeviceKind(StrEnum):
    """What a device is."""

    HUB = "hub"
    ZONE = "zone"
    SENSOR = "sensor"


class Measurement(msgspec.Struct, frozen=True):
    """The last value of one quantity.

    Attributes:
        kind: What is measured.
        sensor: The sensor within the device; a hub has several of a kind.
        value: In `unit`; `None` before the first.
        unit: Empty for numbers without one.
        age_s: Since the value was measured; `None` before the first.
        is_good: The value passed the checks of its plausibility.
        calibration: What is added to each value, which `value` contains; `None` where nothing is.
    """

    kind: SensorKind
    sensor: str
    value: float | None
    unit: str
    age_s: float | None
    is_good: bool
    calibration: Offset | None = None


class HomeDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device.

    Attributes:
        device_id: Stable over restarts.
        kind: What it is.
        name: For people.
        is_online: It reports in its rhythm; of a zone: its temperature is known and its output responds.
        measurements: What it measures, one entry for each kind of a relayed sensor.
        battery_percent: `None` where it has no battery, or has not reported it.
        signal_lqi: The link quality of the last hop, 0 to 255; `None` without a radio link.
        last_seen_s: Since it was received last; `None` for never, and for what is not received by radio.
        manufacturer: Empty where it is unknown.
        model: Empty where it is unknown.
        firmware: Empty where it is unknown.
        problem: What is wrong and what to do about it, for people; empty where nothing is.
    """

    device_id: str
    kind: DeviceKind
    name: str
    is_online: bool
    measurements: tuple[Measurement, ...] = ()
    battery_percent: float | None = None
    signal_lqi: int | None = None
    last_seen_s: float | None = None
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    problem: str = ""

    def measured(self, kind: SensorKind) -> float | None:
        """Return the newest good value of a kind; `None` without one."""
        found = [each for each in self.measurements if each.kind is kind and each.is_good and each.value is not None]
        newest = min(found, key=lambda each: each.age_s or 0.0, default=None)
        return newest.value if newest else None


class Devices:
    """All devices of one hub."""

    def __init__(
        self,
        *,
        thermostats: Thermostats,
        pairing: PairingQueries,
        channels: Mapping[Channel, ChannelState],
        offset_of: Callable[[str, str, SensorKind], Offset | None],
        board_name: str,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            thermostats: The zones.
            pairing: Sensors of the radio.
            channels: The state of every sensor channel. It grows as sensors report.
            offset_of: See `HomeParts`.
            board_name: The model of the hub.
            clock: The clocks of the boot.
        """
        self._offset_of = offset_of
        self._thermostats = thermostats
        self._pairing = pairing
        self._channels = channels
        self._board_name = board_name
        self._clock = clock

    def all(self) -> tuple[HomeDevice, ...]:
        """Return the hub, then the zones in the order of the configuration, then the sensors by id."""
        states: dict[str, list[tuple[str, SensorKind, ChannelState]]] = {}
        for (device, sensor, kind), state in self._channels.items():
            states.setdefault(device, []).append((sensor, kind, state))
        return (self._hub(states.get(HUB, [])), *self._zones(), *self._sensors(states))

    def get(self, device_id: str) -> HomeDevice:
        """Return one device.

        Raises:
            UnknownDevice: There is no such device.
        """
        for device in self.all():
            if device.device_id == device_id:
                return device
        raise UnknownDevice(f"name another device: there is no {device_id[:64]}")

    def online(self) -> Mapping[str, bool]:
        """Return whether each relayed sensor is online, by id."""
        radio = self._pairing.radio
        links = {link.device: link.is_online for link in radio.links} if radio else {}
        records = [record for record in self._pairing.state.sensors.values() if record.is_relayed]
        known = {record.device: links.get(record.device) for record in records}
        if any(is_online is None for is_online in known.values()):
            return {device.device_id: device.is_online for device in self.all() if device.kind is DeviceKind.SENSOR}
        # The radio knows all of them: this is asked every ten seconds, and needs no values.
        return {record.device: bool(known[record.device]) and not record.is_away for record in records}

    def _hub(self, states: Sequence[tuple[str, SensorKind, ChannelState]]) -> HomeDevice:
        return HomeDevice(
            device_id=HUB_ID,
            kind=DeviceKind.HUB,
            name="hub",
            is_online=True,
            measurements=tuple(self._measurement(HUB, *each) for each in states),
            model=self._board_name,
            firmware=__version__,
        )

    def _zones(self) -> Iterator[HomeDevice]:
        for zone in self._thermostats.all():
            measured = ((SensorKind.TEMPERATURE, zone.temperature_c), (SensorKind.HUMIDITY, zone.humidity_percent))
            yield HomeDevice(
                device_id=zone.zone_id,
                kind=DeviceKind.ZONE,
                name=zone.name,
                is_online=zone.is_online,
                measurements=tuple(
                    Measurement(kind, "", value, UNITS[kind], 0.0, is_good=True)
                    for kind, value in measured
                    if value is not None
                ),
                firmware=__version__,
                problem=zone.problem,
            )

    def _sensors(self, states: Mapping[str, Sequence[tuple[str, SensorKind, ChannelState]]]) -> Iterator[HomeDevice]:
        names = self._pairing.network_names
        links = {link.device: link for link in self._pairing.links}
        records = self._pairing.state.sensors
        for device in sorted(records):
            record = records[device]
            if not record.is_relayed:
                continue
            name = record.name or names.get(device, device)
            yield self._sensor(record, name, links.get(device), states.get(device, ()))

    def _sensor(
        self,
        record: PairingRecord,
        name: str,
        link: SensorLink | None,
        states: Sequence[tuple[str, SensorKind, ChannelState]],
    ) -> HomeDevice:
        measurements = _newest([self._measurement(record.device, *each) for each in states])
        ages_s = [each.age_s for each in measurements if each.age_s is not None]
        seen_s = min(ages_s, default=None)
        if link is not None and link.last_seen_ms is not None:
            seen_s = self._age_s(link.last_seen_ms)
        is_online = link.is_online if link else None
        if is_online is None:
            is_online = seen_s is not None and seen_s <= SILENT_S_MAX
        battery = next((each.value for each in measurements if each.kind is SensorKind.BATTERY_LEVEL), None)
        return HomeDevice(
            device_id=record.device,
            kind=DeviceKind.SENSOR,
            name=name,
            is_online=is_online and not record.is_away,
            measurements=measurements,
            battery_percent=battery,
            signal_lqi=link.lqi_last_hop if link else None,
            last_seen_s=seen_s,
            manufacturer=link.manufacturer if link else "",
            model=link.model if link and link.model else record.about,
            problem=self._pairing.problem_of(record) or (link.problem if link else ""),
        )

    def _measurement(self, device: str, sensor: str, kind: SensorKind, state: ChannelState) -> Measurement:
        latest, offset = state.latest, self._offset_of(device, sensor, kind)
        if latest is None:
            return Measurement(kind, sensor, None, UNITS[kind], None, is_good=False, calibration=offset)
        is_good = latest.quality is Quality.GOOD
        return Measurement(kind, sensor, latest.value, UNITS[kind], self._age_s(latest.at_ms), is_good, offset)

    def _age_s(self, at_ms: int) -> float:
        return max(0, self._clock.monotonic_ms() - at_ms) / 1000


def _newest(measurements: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """Return one of each kind: a device may have changed its endpoint."""
    newest: dict[SensorKind, Measurement] = {}
    for each in measurements:
        known = newest.get(each.kind)
        if known is None or known.age_s is None or (each.age_s is not None and each.age_s <= known.age_s):
            newest[each.kind] = each
    return tuple(newest.values())
