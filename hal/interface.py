"""The words in which the agent speaks with hardware: value types and Protocols, no behaviour.

A board is what a hub runs on: sensors that are asked (`Sensor`), a network of sensors that report by themselves
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
    """What a sensor measures. The names are those of the ClimaSense contract, section 3.2."""

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
    """How far a reading may be trusted.

    Good ones go everywhere. Suspect ones (stuck, say) go to the cloud but not to the control law. Bad ones go nowhere:
    they are counted and shown.
    """

    GOOD = "good"
    SUSPECT = "suspect"
    BAD = "bad"


HUB = ""
"""The `device` of the hub's own sensors."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value of one sensor at one moment.

    Attributes:
        device: `HUB` for the hub's own sensors, else the name of the relayed sensor (its IEEE address, say). Together
            with `kind` and `at_ms` this is the reading's natural key: no two readings share it.
        sensor: The sensor within the device, as a technician knows it ("hwmon/cpu_thermal/temp1", "T1").
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
    """A sensor that is asked for its value."""

    @property
    def name(self) -> str:
        """The sensor's name, unique on its board and stable over restarts."""
        ...

    @property
    def kind(self) -> SensorKind:
        """What it measures."""
        ...

    async def read(self) -> float:
        """Return the present value in the unit of its kind; NaN is possible, judging it is the caller's work.

        Raises:
            SensorUnavailable: No value can be had now.
            ReadingImplausible: It answered with something that is no number.
        """
        ...


class RelayedSensor(msgspec.Struct, frozen=True):
    """A sensor that reports by itself and speaks to the cloud through the hub, under its own identity.

    Attributes:
        device: The `Reading.device` of its readings, unique and stable over restarts.
        name: For people.
        kinds: What it measures.
        ieee_address: EUI-64 as `0x` and 16 lower-case hex digits, or empty where there is none.
    """

    device: str
    name: str
    kinds: tuple[SensorKind, ...]
    ieee_address: str = ""


class SensorNetwork(Protocol):
    """Relayed sensors: a radio, or a recording of one."""

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The sensors that are known now."""
        ...

    async def receive(self) -> Sequence[Reading]:
        """Wait for reports and return them, oldest first, at least one.

        Raises:
            NetworkLost: No more reports will come until the network is started again.
        """
        ...

    def drain(self) -> Sequence[Reading]:
        """Return the reports that wait to be fetched, oldest first; wait for none.

        For the end: what came before `Board.close` stopped the network is not lost with it.
        """
        ...

    def confirm(self) -> None:
        """Say that all readings given so far are kept safe.

        A source that can (a recording) gives what was not confirmed again after a restart of the agent.
        """
        ...


class HvacAction(StrEnum):
    """What the equipment of one zone is told to do."""

    OFF = "off"
    HEAT = "heat"
    COOL = "cool"


class HeatSourceDemand(msgspec.Struct, frozen=True):
    """What the shared source of a home is told to do: a boiler or heat pump with what belongs to it.

    Attributes:
        action: Off, heat or cool.
        stage: 0 while it is off, else 1 or 2.
        is_aux_on: Auxiliary heat.
        is_pump_on: The circulation pump; it may run on after the source.
        is_fan_on: The blower; likewise.
        is_valve_on: Whether the reversing valve is energised.
    """

    action: HvacAction = HvacAction.OFF
    stage: int = 0
    is_aux_on: bool = False
    is_pump_on: bool = False
    is_fan_on: bool = False
    is_valve_on: bool = False


class HvacDemand(msgspec.Struct, frozen=True):
    """What all outputs are told to do.

    Attributes:
        zones: The action of each zone; those that are not named are off. Never heat in one and cool in another.
        heat_source: The shared heat source; `None` where every zone has its own equipment.
    """

    zones: Mapping[str, HvacAction] = MappingProxyType({})
    heat_source: HeatSourceDemand | None = None


class ZoneOutput(msgspec.Struct, frozen=True):
    """The output of one zone: a relay today, a radiator valve or a plug tomorrow.

    Attributes:
        name: For people and for `HvacDemand`.
        can_heat: Whether it heats.
        can_cool: Whether it cools.
    """

    name: str
    can_heat: bool = True
    can_cool: bool = False


class HvacOutputs(Protocol):
    """The relays (later: valves and plugs) that act on the house."""

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones that can be heated or cooled."""
        ...

    async def apply(self, demand: HvacDemand) -> None:
        """Set every output. The same demand again changes nothing, and repeats it to outputs that forget.

        Raises:
            ActuatorFault: An output did not do as told. The others were set all the same.
        """
        ...


class Board(Protocol):
    """A hub's hardware as a whole."""

    @property
    def name(self) -> str:
        """What it is, for the log and the page: "sim", "replay", "linux"."""
        ...

    @property
    def sensors(self) -> Sequence[Sensor]:
        """The hub's own sensors; several may measure the same kind."""
        ...

    @property
    def network(self) -> SensorNetwork | None:
        """The relayed sensors, where the board has a network."""
        ...

    @property
    def outputs(self) -> HvacOutputs | None:
        """The outputs, where the board has any."""
        ...

    async def close(self) -> None:
        """Switch the outputs off and give the hardware back."""
        ...


@runtime_checkable
class HasUnsupportedSensors(Protocol):
    """A board that finds sensors which it cannot read."""

    @property
    def unsupported_sensors(self) -> Sequence[str]:
        """A sentence for each of them, for people."""
        ...
