"""Channels: what a board measures, where it is connected, and who reads it. Types only, no behaviour.

A channel is more than a sensor of the cloud's contract (`hal.interface.SensorKind`): CO2 or the current of a battery
has no kind there. Such a channel is measured and shown at the hub, and never sent.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import msgspec

from hal.interface import Board, Sensor, SensorKind


class Quantity(StrEnum):
    """What a channel measures."""

    TEMPERATURE = "temperature"
    HUMIDITY = "humidity"
    PRESSURE = "pressure"
    CO2 = "co2"
    ECO2 = "eco2"
    TVOC = "tvoc"
    GAS_RESISTANCE = "gas_resistance"
    GAS_SIGNAL = "gas_signal"
    AQI_UBA = "aqi_uba"
    ILLUMINANCE = "illuminance"
    VOLTAGE = "voltage"
    SHUNT_VOLTAGE = "shunt_voltage"
    CURRENT = "current"
    ACCELERATION = "acceleration"
    POWER = "power"
    MAINS = "mains"
    BATTERY = "battery"
    SIGNAL = "signal"
    AIR_FRESHNESS = "air_freshness"
    IAQ = "iaq"


QUANTITY_UNITS: Mapping[Quantity, str] = MappingProxyType(
    {
        Quantity.TEMPERATURE: "°C",
        Quantity.HUMIDITY: "%",
        Quantity.PRESSURE: "hPa",
        Quantity.CO2: "ppm",
        Quantity.ECO2: "ppm",
        Quantity.TVOC: "ppb",
        Quantity.GAS_RESISTANCE: "ohm",
        Quantity.GAS_SIGNAL: "ticks",
        Quantity.AQI_UBA: "",  # 1 (excellent) to 5 (unhealthy)
        Quantity.ILLUMINANCE: "lx",
        Quantity.VOLTAGE: "V",
        Quantity.SHUNT_VOLTAGE: "V",
        Quantity.CURRENT: "A",
        Quantity.ACCELERATION: "m/s²",
        Quantity.POWER: "W",
        Quantity.MAINS: "",
        Quantity.BATTERY: "%",
        Quantity.SIGNAL: "dBm",
        Quantity.AIR_FRESHNESS: "%",
        Quantity.IAQ: "IAQ",
    }
)

KINDS: Mapping[Quantity, SensorKind] = MappingProxyType(
    {
        Quantity.TEMPERATURE: SensorKind.TEMPERATURE,
        Quantity.HUMIDITY: SensorKind.HUMIDITY,
        Quantity.PRESSURE: SensorKind.PRESSURE,
        Quantity.MAINS: SensorKind.POWER_AVAILABILITY,
        Quantity.BATTERY: SensorKind.BATTERY_LEVEL,
        Quantity.SIGNAL: SensorKind.SIGNAL_STRENGTH,
        Quantity.IAQ: SensorKind.IAQ,
    }
)
"""The quantities that the cloud's contract has a kind for."""


class Channel(msgspec.Struct, frozen=True):
    """One measured quantity of one chip, found at an address that does not change between boots.

    Attributes:
        name: `<bus-address>/<chip>/<quantity>`, such as `i2c-1-0076/bme280/temperature`; the same whoever reads the
            chip. What has no address keeps its older name, such as `hwmon/cpu_thermal/temp1`.
        quantity: What it measures.
        read: Blocking. Returns the value in `unit`; raises `SensorUnavailable` or `ReadingImplausible`. Called on the
            thread of `bus` only.
        bus: What is shared with others while it is read: `i2c-1`, `w1_bus_master1`; empty for the machine's own.
        address: On that bus, such as `0076` or `28-00000a1b2c3d`; empty without one.
        chip: Such as `bme280`.
        driver: Who reads it: the kernel's driver by its name, or `climahub`.
        aliases: Older names, which the configuration may use.
    """

    name: str
    quantity: Quantity
    read: Callable[[], float]
    bus: str = ""
    address: str = ""
    chip: str = ""
    driver: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def kind(self) -> SensorKind | None:
        """The kind under which it may be sent; `None` for a channel that stays at the hub."""
        return KINDS.get(self.quantity)

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return QUANTITY_UNITS[self.quantity]


class ChannelReader(Protocol):
    """A channel that is read without blocking; where it has a kind, it is a `Sensor` too."""

    @property
    def channel(self) -> Channel:
        """What is read; the same name for ever, other members may change when the chip is connected again."""
        ...

    async def read(self) -> float:
        """Return the present value in the channel's unit.

        Raises:
            SensorUnavailable: There is no value now.
            ReadingImplausible: The chip answered with something that is no number.
        """
        ...


class ChannelSource(Protocol):
    """Finds channels of one kind of access, such as the kernel's hwmon class. `find` blocks."""

    def buses(self) -> Sequence[str]:
        """Return the buses to search; reads the kernel's lists only and accesses no bus."""
        ...

    def find(self, bus: str) -> Sequence[Channel]:
        """Return the channels on one of them now. Called on the thread of that bus.

        Raises:
            HalError: The bus cannot be searched now; what was found earlier stays.
        """
        ...

    def release(self, bus: str) -> None:
        """Let go of a bus that is gone. Called on its thread."""
        ...


@runtime_checkable
class FindsChannels(Board, Protocol):
    """A board whose sensors come and go while it runs."""

    @property
    def channels(self) -> Sequence[ChannelReader]:
        """Everything it measures now; those with a kind are in `Board.sensors` too."""
        ...

    @property
    def gone(self) -> Collection[str]:
        """Names of the channels that have been found and are not there now."""
        ...

    async def search(self) -> None:
        """Search all buses now, and return when each has answered or has had the time to."""
        ...

    async def channels_changed(self) -> None:
        """Wait until `Board.sensors` or `channels` has changed since the last call. Called by one loop only."""
        ...


@runtime_checkable
class DescribesChannel(Sensor, Protocol):
    """A sensor that knows its channel."""

    @property
    def channel(self) -> Channel:
        """Its channel."""
        ...


Outcome = float | Exception
"""Of one channel: its value, or why there is none; an exception that is no `HalError` is a defect of its driver."""


class Turn(Protocol):
    """Channels of one bus that are being read, one after the other."""

    async def advance(self) -> Sequence[Outcome]:
        """Wait for the next channels, and return their outcomes in the order of the channels; none after the last."""
        ...


@runtime_checkable
class ReadsInTurn(DescribesChannel, Protocol):
    """A sensor that is read together with others of its bus, which costs less than one after the other."""

    def turn(self, sensors: Sequence["ReadsInTurn"], *, timeout_s: float) -> Turn:
        """Return a turn of these sensors. Each is waited for that long, and then counts as one that does not answer.

        Args:
            sensors: Of the board and bus of this one, which may be among them.
            timeout_s: For each.
        """
        ...


class BusDevice(msgspec.Struct, frozen=True):
    """What answers at one address of a bus.

    Attributes:
        address: On that bus.
        chip: What it is; empty where that is not known.
        driver: Who reads it: the kernel's driver by its name, or `climahub`; empty where nobody does.
        advice: What would be needed, for people.
    """

    address: str
    chip: str = ""
    driver: str = ""
    advice: str = ""


class BusScan(msgspec.Struct, frozen=True):
    """What answers on one bus.

    Attributes:
        bus: Such as `i2c-1` or `w1_bus_master1`.
        name: What the kernel calls the adapter.
        devices: By address.
        problem: Why it was not searched, or not to its end; what to do first.
    """

    bus: str
    name: str
    devices: Sequence[BusDevice] = ()
    problem: str = ""


class MachineScan(msgspec.Struct, frozen=True):
    """What answers on all buses of a machine.

    Attributes:
        buses: Each of them.
        missing: What would be needed for buses that are not there, for people.
    """

    buses: Sequence[BusScan] = ()
    missing: Sequence[str] = ()


@runtime_checkable
class ScansBuses(Protocol):
    """A board that can tell what answers on its buses."""

    async def scan_buses(self) -> MachineScan:
        """Ask every address of every bus; takes seconds."""
        ...
