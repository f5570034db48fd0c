"""Interface between the agent and the hardware: value types and protocols, no behaviour.

A board is the hardware of a hub: sensors that are polled (`Sensor`), a network of sensors that report by themselves
(`SensorNetwork`), and outputs (`HvacOutputs`). `hal.sim`, `hal.replay` and `hal.linux` implement them.

Times are milliseconds of the boot's monotonic clock, as integers, so that adding the boot's UTC anchor is exact.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import msgspec

SERIES_MAX = 256
"""The series of a simulated house: a hub relays at most 256 sensors (`agent.pairing.transitions.SENSORS_MAX`)."""


class SensorKind(StrEnum):
    """Kinds of measurements, with the names of the ClimaSense contract, section 3.2."""

    TEMPERATURE = "temperature"
    HUMIDITY = "humidity"
    PRESSURE = "pressure"
    POWER_AVAILABILITY = "power_availability"
    BATTERY_LEVEL = "battery_level"
    SIGNAL_STRENGTH = "signal_strength"
    IAQ = "iaq"


UNITS: Mapping[SensorKind, str] = MappingProxyType(
    {
        SensorKind.TEMPERATURE: "°C",
        SensorKind.HUMIDITY: "%",
        SensorKind.PRESSURE: "hPa",
        SensorKind.POWER_AVAILABILITY: "",  # 0 or 1
        SensorKind.BATTERY_LEVEL: "%",
        SensorKind.SIGNAL_STRENGTH: "dBm",
        SensorKind.IAQ: "IAQ",
    }
)


class Quality(StrEnum):
    """Quality of a reading.

    Good readings are used everywhere. Suspect ones (a stuck sensor, say) go to the cloud but not to the control law.
    Bad ones are counted and shown, and not used.
    """

    GOOD = "good"
    SUSPECT = "suspect"
    BAD = "bad"


HUB = ""
"""The `device` of the hub's own sensors."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value of one sensor at one instant.

    Attributes:
        device: `HUB` for the hub's own sensors, else the name of the relayed sensor (its IEEE address, say). Together
            with `kind` and `at_ms` this is the reading's natural key: no two readings share it.
        sensor: Technical name of the sensor within the device ("hwmon/cpu_thermal/temp1", "T1").
        value: In the unit that `UNITS` gives for `kind`.
        at_ms: Milliseconds of this boot's monotonic clock; negative for an instant before this boot.
        reason: Why the quality is not good; empty when it is.
    """

    device: str
    sensor: str
    kind: SensorKind
    value: float
    at_ms: int
    quality: Quality = Quality.GOOD
    reason: str = ""


class Sensor(Protocol):
    """A sensor that is polled for its value."""

    @property
    def name(self) -> str:
        """The sensor's name, unique on its board and stable over restarts."""
        ...

    @property
    def kind(self) -> SensorKind:
        """The kind of its measurements."""
        ...

    async def read(self) -> float:
        """Return the present value in the unit of its kind. It may be NaN; the caller checks its plausibility.

        Raises:
            SensorUnavailable: There is no value now.
            ReadingImplausible: The sensor answered with something that is no number.
        """
        ...


class RelayedSensor(msgspec.Struct, frozen=True):
    """A sensor that reports by itself; the hub relays its readings to the cloud under the sensor's own identity.

    Attributes:
        device: The `Reading.device` of its readings, unique and stable over restarts.
        name: Name for people.
        kinds: Kinds of its measurements.
        ieee_address: EUI-64 as `0x` and 16 lower-case hex digits; empty without one.
    """

    device: str
    name: str
    kinds: tuple[SensorKind, ...]
    ieee_address: str = ""


class SensorNetwork(Protocol):
    """A network of relayed sensors: a radio, or a recording."""

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The sensors known now."""
        ...

    async def receive(self) -> Sequence[Reading]:
        """Wait for reports and return them, oldest first, at least one; none where an interruption is over.

        Raises:
            NetworkLost: No reports arrive until the network is restarted.
        """
        ...

    def drain(self) -> Sequence[Reading]:
        """Return the reports received so far, oldest first, without waiting.

        Used at shutdown, so that reports received before `Board.close` are not lost.
        """
        ...

    def confirm(self) -> None:
        """Acknowledge that all readings returned so far are stored durably.

        A network that can (a recording) repeats unacknowledged readings after a restart of the agent.
        """
        ...


@runtime_checkable
class HasParts(SensorNetwork, Protocol):
    """Several networks as one; what only some networks can do is asked of the part that can."""

    @property
    def parts(self) -> Sequence[SensorNetwork]:
        """The networks."""
        ...

    @property
    def problem(self) -> str:
        """Why some parts give no reports, and what to do; empty where all do."""
        ...


def parts_of(network: SensorNetwork | None) -> Sequence[SensorNetwork]:
    """Return the networks that one stands for: its parts, or itself."""
    if network is None:
        return ()
    return network.parts if isinstance(network, HasParts) else (network,)


@runtime_checkable
class FindsSensors(SensorNetwork, Protocol):
    """A network that finds its sensors by itself: nobody lets them join."""

    async def sensors_changed(self) -> None:
        """Wait until `SensorNetwork.sensors` has changed since the last call."""
        ...


class HvacAction(StrEnum):
    """Command for the equipment of one zone."""

    OFF = "off"
    HEAT = "heat"
    COOL = "cool"


class HeatSourceDemand(msgspec.Struct, frozen=True):
    """Command for the shared heat source of a home: a boiler or heat pump with its auxiliaries.

    Attributes:
        action: Off, heat or cool.
        stage: 0 while it is off, else 1 or 2.
        is_aux_on: Auxiliary heat.
        is_pump_on: The circulation pump; it may overrun after the heat source stops.
        is_fan_on: The blower; likewise.
        is_valve_on: Whether the reversing valve is energised.
        flow_c: The flow temperature that a modulating boiler shall make; `None` where it is off, or decides itself.
    """

    action: HvacAction = HvacAction.OFF
    stage: int = 0
    is_aux_on: bool = False
    is_pump_on: bool = False
    is_fan_on: bool = False
    is_valve_on: bool = False
    flow_c: float | None = None


class HvacDemand(msgspec.Struct, frozen=True):
    """Command for all outputs.

    Attributes:
        zones: The action of each zone; unnamed zones are off. Must never heat one zone and cool another. A zone may be
            open while the shared heat source is off: an exercise of its valve (docs/decisions/0015-exercise.md).
        heat_source: The shared heat source; `None` where every zone has its own equipment.
        room_c: The temperature of zones whose output takes one (`ZoneOutput.device`). No command: an output may ignore
            it.
    """

    zones: Mapping[str, HvacAction] = MappingProxyType({})
    heat_source: HeatSourceDemand | None = None
    room_c: Mapping[str, float] = MappingProxyType({})


class ZoneOutput(msgspec.Struct, frozen=True):
    """The output of one zone: a relay, a radiator valve or a smart plug.

    Attributes:
        name: Name for people and in `HvacDemand`.
        can_heat: Whether it heats.
        can_cool: Whether it cools.
        device: The paired device that heats, as `Reading.device`; empty for a relay.
    """

    name: str
    can_heat: bool = True
    can_cool: bool = False
    device: str = ""


class HvacOutputs(Protocol):
    """The relays, valves and smart plugs of the house."""

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones that can be heated or cooled."""
        ...

    async def apply(self, demand: HvacDemand) -> None:
        """Set every output. A repeated demand changes nothing and is sent again to outputs that may have lost it.

        Raises:
            ActuatorFault: An output did not follow its command. The other outputs were set.
        """
        ...


class Board(Protocol):
    """The hardware of a hub."""

    @property
    def name(self) -> str:
        """Kind of the board, for the log and the page: "sim", "replay", "linux"."""
        ...

    @property
    def sensors(self) -> Sequence[Sensor]:
        """The hub's own sensors; several may measure the same kind."""
        ...

    @property
    def network(self) -> SensorNetwork | None:
        """The network of relayed sensors; `None` without one."""
        ...

    @property
    def outputs(self) -> HvacOutputs | None:
        """The outputs; `None` without any."""
        ...

    async def close(self) -> None:
        """Switch the outputs off and release the hardware."""
        ...


class Led(Protocol):
    """A light by which a person finds this hub among others.

    Attributes:
        name: What it is called on the board.
    """

    name: str

    async def light(self, *, is_on: bool) -> None:
        """Switch it on or off.

        Raises:
            ActuatorFault: It does not follow; the message names the remedy.
        """
        ...

    async def release(self) -> None:
        """Have it show again what it showed before the first `light`; without one, do nothing.

        Raises:
            ActuatorFault: It does not follow.
        """
        ...


@runtime_checkable
class HasLed(Protocol):
    """A board that may have such a light."""

    @property
    def led(self) -> Led | None:
        """The light; `None` where none is configured."""
        ...


class Button(Protocol):
    """A button of the hub itself."""

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a change of its level, or for a time; return whether it is pressed now. The level may bounce.

        Raises:
            SensorUnavailable: It cannot be read; the message names the remedy.
        """
        ...


@runtime_checkable
class HasButton(Protocol):
    """A board that may have such a button."""

    @property
    def button(self) -> Button | None:
        """The button; `None` where none is configured."""
        ...


@runtime_checkable
class HasUnsupportedSensors(Protocol):
    """A board that detects sensors it does not support."""

    @property
    def unsupported_sensors(self) -> Sequence[str]:
        """A sentence for each unsupported sensor, for people."""
        ...
