"""Sensors read now, and the energy on the radio's channels: what a technician watches. Reads only.

Owns nothing durable. Must never read a sensor more often than once in `READ_INTERVAL_S`, whoever watches.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.config.primary import is_machine_part
from agent.foundation.clock import Clock
from agent.foundation.phrase import parts, phrase, plain
from agent.foundation.text import sanitize
from agent.local.hardware import (
    BinarySensorReport,
    BoardChannelReport,
    ChannelReport,
    LiveSensorReport,
    LiveSensorsReport,
    RadioScanReport,
)
from agent.port.hardware.board_channels import READ_S_MAX, BoardChannels
from agent.sensors.judge import SensorNote
from agent.telemetry.intake import Intake
from agent.telemetry.own_sensors import OwnSensors
from hal.channels import MachineScan, ScansBuses
from hal.errors import HalError, NetworkLost
from hal.interface import HUB, UNITS, Sensor, SensorKind, SensorNetwork, parts_of
from hal.radio import HasBinarySensors, ScansEnergy

READ_INTERVAL_S = 1.0
SCAN_S_MAX = 30.0
"""A scan takes 5 s."""

NOISY_ENERGY = 150
"""From here on a channel is disturbed: 60 % of the scale, about -65 dBm (bellows' mapping)."""

WORTH_ENERGY = 60
"""A channel that is quieter by this much is worth naming. Moving a network costs every sleepy sensor a rejoin."""


class KnownOfSensors(Protocol):
    """What is known of sensors beyond their readings; `agent.sensors.service` implements it."""

    def present(self, sensor: str, kind: SensorKind, value: float) -> tuple[float, SensorNote | None]:
        """Return the corrected value of one of the hub's own sensors that was just read, and what is known of it."""
        ...

    def note(self, device: str, sensor: str, kind: SensorKind) -> SensorNote | None:
        """Return what is known of the last reading of a sensor."""
        ...


class LiveValues:
    """The present values, for who watches them."""

    def __init__(
        self,
        *,
        sensors: Callable[[], Sequence[Sensor]],
        own: OwnSensors | None = None,
        known: KnownOfSensors,
        intake: Intake,
        network: SensorNetwork | None,
        clock: Clock,
        buses: ScansBuses | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            sensors: Returns the hub's own.
            own: Knows which of them are primary, and the channels of a board that finds its sensors.
            known: Corrects values, and knows which sensors are doubted.
            intake: Knows the last values of the relayed ones.
            network: The sensors' network; only some can scan.
            clock: The clock of the boot.
            buses: Tells what answers on the machine's buses; `None` where it has none.
        """
        self._sensors = sensors
        self._board_channels = None if own is None or own.finder is None else BoardChannels(own.finder, own)
        self._known = known
        self._intake = intake
        self._scanner = next((part for part in parts_of(network) if isinstance(part, ScansEnergy)), None)
        self._binary = network if isinstance(network, HasBinarySensors) else None
        self._clock = clock
        self._buses = buses
        self._lock = asyncio.Lock()
        self._read_ms: int | None = None
        self._own: list[LiveSensorReport] = []
        self._channels: list[BoardChannelReport] = []

    @property
    def can_scan(self) -> bool:
        """Whether the radio can measure the energy of its channels."""
        return self._scanner is not None

    async def sensors(self) -> LiveSensorsReport:
        """Return the document of all sensors."""
        async with self._lock:
            now_ms = self._clock.monotonic_ms()
            if self._read_ms is None or now_ms - self._read_ms >= READ_INTERVAL_S * 1000:
                self._read_ms = now_ms
                await self._read_own()
            now_ms = self._clock.monotonic_ms()
            sensors = [*self._own, *self._relayed(now_ms)]
            found = thermometers(sensors, self._channels)
            return LiveSensorsReport(sensors, self._channels, self._binary_sensors(now_ms), found)

    def _binary_sensors(self, now_ms: int) -> list[BinarySensorReport]:
        return [
            BinarySensorReport(
                state.device,
                state.kind.value,
                state.is_active,
                state.text,
                None if state.is_active is None else max(0, now_ms - state.heard_ms) / 1000,
            )
            for state in (self._binary.binary_states if self._binary else ())
        ]

    async def _read_own(self) -> None:
        if self._board_channels is None:
            self._own = list(await asyncio.gather(*map(self._read, self._sensors())))
            return
        self._own, self._channels = await self._board_channels.read(
            self._read, lambda sensor: self._last(sensor, self._clock.monotonic_ms())
        )

    def _last(self, sensor: Sensor, now_ms: int) -> LiveSensorReport:
        """Return the last reading of one of the hub's own sensors, whose bus has no time for another."""
        state = self._intake.channels.get((HUB, sensor.name, sensor.kind))
        latest = state.latest if state else None
        return LiveSensorReport(
            HUB,
            sensor.name,
            sensor.kind.value,
            latest.value if latest else None,
            UNITS[sensor.kind],
            max(0, now_ms - latest.at_ms) / 1000 if latest else None,
            state.problem if state else "",
            *_noted(self._known.note(HUB, sensor.name, sensor.kind)),
        )

    async def _read(self, sensor: Sensor) -> LiveSensorReport:
        value, measured, problem = None, None, ""
        try:
            async with asyncio.timeout(READ_S_MAX):
                measured = value = await sensor.read()
        except TimeoutError:
            problem = f"no answer within {READ_S_MAX:.0f} s"
        except (HalError, OSError) as error:
            problem = sanitize(str(error))
        if value is not None and value != value:  # noqa: PLR0124 - NaN, which JSON cannot hold
            measured, value, problem = None, None, "no number"
        note = None
        if value is not None:
            value, note = self._known.present(sensor.name, sensor.kind, value)
        _, uncertainty, doubt = _noted(note)
        shown = None if measured == value else measured
        unit = UNITS[sensor.kind]
        return LiveSensorReport(
            HUB, sensor.name, sensor.kind.value, value, unit, 0.0, problem, shown, uncertainty, doubt
        )

    def _relayed(self, now_ms: int) -> list[LiveSensorReport]:
        return [
            LiveSensorReport(
                device,
                name,
                kind.value,
                state.latest.value if state.latest else None,
                UNITS[kind],
                max(0, now_ms - state.latest.at_ms) / 1000 if state.latest else None,
                state.problem,
                *_noted(self._known.note(device, name, kind)),
            )
            for (device, name, kind), state in sorted(self._intake.channels.items())
            if device != HUB
        ]

    async def scan_buses(self) -> MachineScan:
        """Return what answers on the machine's buses."""
        return MachineScan() if self._buses is None else await self._buses.scan_buses()

    async def scan(self, own_channel: Callable[[], int]) -> RadioScanReport:
        """Measure the energy on every channel.

        Args:
            own_channel: Returns the channel of the hub's network; 0 while it is unknown.

        Raises:
            NetworkLost: The radio cannot do that, or not now.
        """
        if self._scanner is None:
            raise NetworkLost("use a Zigbee stick: this hub has no radio that can scan")
        try:
            async with asyncio.timeout(SCAN_S_MAX):
                energies = await self._scanner.energy_scan()
        except TimeoutError:
            raise NetworkLost(f"try again: the stick has not finished the scan within {SCAN_S_MAX:.0f} s") from None
        return build_scan(energies, own_channel())


def thermometers(sensors: Sequence[LiveSensorReport], channels: Sequence[BoardChannelReport]) -> Mapping[str, float]:
    """Return the temperatures by the name under which a zone takes each, without parts of the machine. Pure."""
    found = [(each.sensor, each.quantity, each.value) for each in channels]
    found += [(each.device or each.sensor, each.kind, each.value) for each in sensors]
    return {
        name: value
        for name, kind, value in found
        if kind == SensorKind.TEMPERATURE.value and value is not None and not is_machine_part(name)
    }


def build_scan(energies: Mapping[int, int], own: int) -> RadioScanReport:
    """Return the document of a scan. Pure.

    Args:
        energies: By channel.
        own: The channel of the hub's network; 0 while it is unknown.
    """
    channels = [ChannelReport(channel, energy, channel == own) for channel, energy in sorted(energies.items())]
    sentence = _sentence(energies, own)
    return RadioScanReport(channels, plain(sentence), parts([sentence]))


def _sentence(energies: Mapping[int, int], own: int) -> str:
    if not energies:
        return "The stick has reported no channel."
    quietest = min(energies, key=lambda channel: (energies[channel], channel))
    present = energies.get(own)
    if present is None:
        return phrase("Channel {quietest} is the quietest.", quietest=quietest)
    if present < NOISY_ENERGY:
        return phrase("Channel {own} is quiet enough: the network can stay there.", own=own)
    if energies[quietest] <= present - WORTH_ENERGY:
        disturbed = (
            "Move the stick away from the computer and the Wi-Fi first: channel {own} is disturbed. Channel {quietest}"
            " is the quietest."
        )
        return phrase(disturbed, own=own, quietest=quietest)
    disturbed = (
        "Move the stick away from the computer and the Wi-Fi: channel {own} is disturbed, and so are the others."
    )
    return phrase(disturbed, own=own)


def _noted(note: SensorNote | None) -> tuple[float | None, float | None, str]:
    """Return measured value, uncertainty and doubt, as documents have them."""
    if note is None:
        return None, None, ""
    uncertainty = None if note.uncertainty is None else round(note.uncertainty, 2)
    return (note.measured if note.measured != note.value else None), uncertainty, note.doubt
