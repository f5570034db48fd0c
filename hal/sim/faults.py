"""Faults of simulated sensors and when they occur. Pure data and one seeded draw; `hal.sim.sensors` applies them."""

from collections.abc import Iterable
from enum import StrEnum
from math import inf
from random import Random
from types import MappingProxyType
from typing import Final

import msgspec

from hal.interface import SensorKind


class FaultKind(StrEnum):
    """Kinds of sensor faults."""

    STUCK = "stuck"
    """Repeats its last value."""
    DRIFT = "drift"
    """Drifts by the magnitude per hour."""
    SPIKE = "spike"
    """About every second value is off by the magnitude, in either direction."""
    NAN = "nan"
    """Returns NaN."""
    GONE = "gone"
    """Does not answer; a relayed sensor is silent."""
    HANG = "hang"
    """Answers only after the magnitude in seconds, or never (the default); a relayed sensor is silent."""
    LIE = "lie"
    """Is off by the magnitude."""
    GARBAGE = "garbage"
    """Answers with something that is no number; the radio's checksum drops a relayed sensor's report."""


class Fault(msgspec.Struct, frozen=True):
    """One fault of one sensor.

    Attributes:
        sensor: The name of a series (`SimOptions.series`) or of a whole relayed sensor.
        kind: What goes wrong.
        from_ms: When it begins, in simulated milliseconds.
        to_ms: When it ends (exclusive).
        magnitude: See `FaultKind`; in the unit of the sensor's kind, per hour for a drift, in seconds for a hang.
    """

    sensor: str
    kind: FaultKind
    from_ms: int
    to_ms: int
    magnitude: float = inf

    def __post_init__(self) -> None:
        """Reject faults without meaning.

        Raises:
            ValueError: It ends before it begins, or an offset has no size.
        """
        if self.to_ms <= self.from_ms:
            raise ValueError(f"fault of {self.sensor}: ends at {self.to_ms} ms, before it begins at {self.from_ms} ms")
        if self.kind in _SIZED and self.magnitude in {inf, -inf}:
            raise ValueError(f"fault of {self.sensor}: a {self.kind} needs a magnitude")


_SIZED: Final = frozenset({FaultKind.DRIFT, FaultKind.SPIKE, FaultKind.LIE})

OFFSETS: Final = MappingProxyType(
    {
        SensorKind.TEMPERATURE: 15.0,
        SensorKind.HUMIDITY: 30.0,
        SensorKind.PRESSURE: 20.0,
        SensorKind.POWER_AVAILABILITY: 1.0,
        SensorKind.BATTERY_LEVEL: 40.0,
        SensorKind.SIGNAL_STRENGTH: 30.0,
        SensorKind.IAQ: 150.0,
    }
)
"""How far off a lying or spiking sensor of each kind is in `random_faults`: clearly wrong, not always out of range."""

DRIFT_PER_HOUR: Final = 0.05
"""The share of that by which a drifting one moves in an hour."""


def by_sensor(faults: Iterable[Fault]) -> dict[str, list[Fault]]:
    """Return the faults of each sensor that has any."""
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        found.setdefault(fault.sensor, []).append(fault)
    return found


def random_faults(
    rng: Random,
    series: Iterable[tuple[str, SensorKind]],
    *,
    duration_s: float,
    faults_per_day: float,
    mean_fault_s: float = 1800.0,
) -> tuple[Fault, ...]:
    """Return faults of all kinds for each series, at random times.

    Args:
        rng: Drawn from in the order of `series`.
        series: Names and kinds.
        duration_s: Faults begin within this time from the start of the simulation.
        faults_per_day: How many each series has in a day, on average.
        mean_fault_s: How long one lasts on average.
    """
    kinds = tuple(FaultKind)
    faults = []
    for name, kind in series:
        at_s = rng.expovariate(faults_per_day / 86_400)
        while at_s < duration_s:
            fault = kinds[rng.randrange(len(kinds))]
            length_s = rng.expovariate(1.0 / mean_fault_s)
            from_ms = int(at_s * 1000)
            to_ms = from_ms + 1 + int(length_s * 1000)
            faults.append(Fault(name, fault, from_ms, to_ms, _magnitude(rng, fault, kind)))
            at_s += length_s + rng.expovariate(faults_per_day / 86_400)
    return tuple(faults)


def _magnitude(rng: Random, fault: FaultKind, kind: SensorKind) -> float:
    """Return a magnitude for a fault of a kind of sensor, half to two times the usual one, to either side."""
    if fault is FaultKind.HANG:
        # Half of the hangs end by themselves, some before and some after any caller's timeout.
        return rng.uniform(0.0, 60.0) if rng.random() < 0.5 else inf  # noqa: PLR2004 - a coin
    if fault not in _SIZED:
        return inf
    size = OFFSETS[kind] * rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 2.0)
    return size * DRIFT_PER_HOUR if fault is FaultKind.DRIFT else size
