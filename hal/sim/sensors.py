"""Simulated sensors: turn the true values of the house into the values of a real sensing element, including faults.

A value depends on the seed, the sensor and the instant alone; only a stuck sensor depends on its previous value.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import copysign, inf, nan
from types import MappingProxyType
from typing import Final

import msgspec

from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import HUB, SensorKind
from hal.sim.faults import Fault, FaultKind
from hal.sim.house import Truth
from hal.sim.numerics import Noise

OnValue = Callable[[str, str, SensorKind, float, int], None]
"""Called for every value that leaves the board: device, sensor, kind, value, monotonic milliseconds."""

_SPIKE_ABOVE: Final = 0.67
"""Half of all standard normal deviates are farther than this from 0."""


class Element(msgspec.Struct, frozen=True):
    """The properties of a sensing element.

    Attributes:
        noise: Standard deviation from one value to the next.
        offset: Standard deviation of the constant error from one piece to the next.
        steps_per_unit: Its resolution, as steps in one unit; steps of 1/n are exact where decimals are not.
        lag_s: Its time constant in still air.
        low: The lowest value that it can give.
        high: The highest value that it can give.
    """

    noise: float
    offset: float
    steps_per_unit: int
    lag_s: float
    low: float = -inf
    high: float = inf


ELEMENTS: Final[Mapping[SensorKind, Element]] = MappingProxyType(
    {
        # SHT40 data sheet: repeatability 0.04 °C and 0.08 %, accuracy 0.2 °C and 1.8 % (taken as two deviations); the
        # ZCL clusters 0x0402 and 0x0405 carry hundredths. The lag is that of a plastic case: minutes, not seconds.
        SensorKind.TEMPERATURE: Element(0.04, 0.1, 100, lag_s=180.0, low=-40.0, high=125.0),
        SensorKind.HUMIDITY: Element(0.08, 0.9, 100, lag_s=60.0, low=0.0, high=100.0),
        # BME280 data sheet: noise 0.2 Pa with filter to 1.3 Pa without, accuracy 1 hPa, output in hundredths of hPa.
        SensorKind.PRESSURE: Element(0.02, 0.5, 100, lag_s=0.0, low=300.0, high=1100.0),
        SensorKind.POWER_AVAILABILITY: Element(0.0, 0.0, 1, lag_s=0.0, low=0.0, high=1.0),
        # ZCL cluster 0x0001, BatteryPercentageRemaining: half percents.
        SensorKind.BATTERY_LEVEL: Element(0.0, 0.0, 2, lag_s=0.0, low=0.0, high=100.0),
        # Signal strength of one packet scatters by some dB around the slow fading.
        SensorKind.SIGNAL_STRENGTH: Element(1.5, 0.0, 1, lag_s=0.0, low=-110.0, high=0.0),
        # BME680 with BSEC: whole numbers, some minutes behind.
        SensorKind.IAQ: Element(1.0, 4.0, 1, lag_s=120.0, low=0.0, high=500.0),
    }
)
"""A typical element of each kind, with its source."""


class Channel:
    """One element of one sensor: gives its value at an instant.

    Attributes:
        kind: What it measures.
        name: Within its device.
    """

    __slots__ = (
        "_fault_ends_ms",
        "_fault_starts_ms",
        "_faults",
        "_given",
        "_high",
        "_low",
        "_noise",
        "_offset",
        "_sigma",
        "_steps",
        "_stream",
        "_truth",
        "kind",
        "name",
    )

    def __init__(
        self,
        *,
        name: str,
        kind: SensorKind,
        truth: Truth,
        noise: Noise,
        stream: int,
        faults: Sequence[Fault] = (),
        element: Element | None = None,
    ) -> None:
        """Make one piece; its constant error follows from its noise stream.

        Args:
            name: Within its device.
            kind: What it measures.
            truth: The true value.
            noise: Noise of the simulation.
            stream: Its noise stream.
            faults: Its faults.
            element: Instead of the typical element of its kind.
        """
        element = ELEMENTS[kind] if element is None else element
        self.name = name
        self.kind = kind
        self._truth = truth
        self._noise = noise
        self._stream = stream
        self._offset = element.offset * noise.at(stream, -1)
        self._sigma = element.noise
        self._steps = element.steps_per_unit
        self._low = element.low
        self._high = element.high
        self._faults = tuple(sorted(faults, key=lambda fault: fault.from_ms))
        self._fault_starts_ms = [fault.from_ms for fault in self._faults]
        # Latest end of all faults up to each one, so that a month of past faults needs no search.
        self._fault_ends_ms = list(accumulate((fault.to_ms for fault in self._faults), max))
        self._given: float | None = None

    def measure(self, at_ms: int) -> float:
        """Return its value at an instant of simulated time.

        Raises:
            SensorUnavailable: By a fault it does not answer.
            ReadingImplausible: By a fault it answers with something that is no number.
        """
        value = self._truth(at_ms) + self._offset
        if self._sigma:
            value += self._sigma * self._noise.at(self._stream, at_ms)
        fault = self._fault_at(at_ms) if self._faults else None
        if fault is not None:
            match fault.kind:
                case FaultKind.STUCK if self._given is not None:
                    return self._given
                case FaultKind.NAN:
                    return nan
                case FaultKind.GONE:
                    raise SensorUnavailable(f"{self.name}: no answer; check its wiring or its battery")
                case FaultKind.GARBAGE:
                    raise ReadingImplausible(f"{self.name}: answered 0x5f 0xff instead of a number")
            value += self._error(fault, at_ms)
        value = round(value * self._steps) / self._steps
        if not self._low <= value <= self._high:
            value = self._low if value < self._low else self._high
        self._given = value
        return value

    def silence_s(self, at_ms: int) -> float:
        """Return the delay of its answer by a fault: 0, some seconds, or infinity."""
        fault = self._fault_at(at_ms) if self._faults else None
        return fault.magnitude if fault is not None and fault.kind is FaultKind.HANG else 0.0

    def _fault_at(self, at_ms: int) -> Fault | None:
        """Return the present fault; of several the one that started first."""
        begun = bisect_right(self._fault_starts_ms, at_ms)
        if begun == 0 or self._fault_ends_ms[begun - 1] <= at_ms:
            return None
        return next(fault for fault in self._faults[:begun] if at_ms < fault.to_ms)

    def _error(self, fault: Fault, at_ms: int) -> float:
        """Return the error that a fault adds to the value."""
        match fault.kind:
            case FaultKind.LIE:
                return fault.magnitude
            case FaultKind.DRIFT:
                return fault.magnitude * (at_ms - fault.from_ms) / 3_600_000
            case FaultKind.SPIKE:
                deviate = self._noise.at(self._stream + 1, at_ms)
                return copysign(fault.magnitude, deviate) if abs(deviate) > _SPIKE_ABOVE else 0.0
        return 0.0


class SimSensor:
    """A sensor of the hub itself, implementing `hal.interface.Sensor`."""

    __slots__ = ("_advance_to", "_element", "_monotonic_ms", "_on_value", "_sim_offset_ms", "kind", "name")

    def __init__(
        self,
        channel: Channel,
        *,
        monotonic_ms: Callable[[], int],
        sim_offset_ms: int,
        advance_to: Callable[[int], None],
        on_value: OnValue | None,
    ) -> None:
        """Connect an element to the hub.

        Args:
            channel: The element.
            monotonic_ms: This boot's clock.
            sim_offset_ms: Simulated time minus that clock.
            advance_to: Advances the simulated environment to an instant.
            on_value: Called for every value.
        """
        self.name = channel.name
        self.kind = channel.kind
        self._element = channel
        self._monotonic_ms = monotonic_ms
        self._sim_offset_ms = sim_offset_ms
        self._advance_to = advance_to
        self._on_value = on_value

    async def read(self) -> float:
        """Return the present value; a hanging sensor answers late, with the value at that time, or never.

        Raises:
            SensorUnavailable: It does not answer.
            ReadingImplausible: It answers with something that is no number.
        """
        at_ms = self._monotonic_ms()
        silence_s = self._element.silence_s(at_ms + self._sim_offset_ms)
        if silence_s:
            if silence_s == inf:
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(silence_s)
            at_ms = self._monotonic_ms()
        sim_ms = at_ms + self._sim_offset_ms
        self._advance_to(sim_ms)
        value = self._element.measure(sim_ms)
        if self._on_value is not None:
            self._on_value(HUB, self.name, self.kind, value, at_ms)
        return value
