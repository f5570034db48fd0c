"""Faults of flow, emission and source of a heated zone, and what looks like one. Pure.

Rates and sizes are assumptions, as those of `lab.maintenance.fleet`: no published ones were found.
"""

import msgspec

from agent.maintenance.pipe_readings import PipeIndicator
from lab.maintenance.faults import FaultCourse

PRESENT = 0.05
"""From this change of what an indicator watches on, in a logarithm, a fault counts as present."""

CURVE, HEAT_PUMP, ON_OFF = "boiler on a curve", "heat pump", "boiler of one stage"
SOURCES = (CURVE, HEAT_PUMP, ON_OFF)
"""The first reaches its heating curve in any weather, the second down to some cold, the third has one output."""

Range = tuple[float, float]
NOTHING: Range = (0.0, 0.0)


class Effect(msgspec.Struct, frozen=True):
    """What something does to a zone, as a share: to flow, emission, source, and to the spread by mixing (a bypass)."""

    flow: float = 0.0
    emission: float = 0.0
    source: float = 0.0
    mixing: float = 0.0


class PipeFaultKind(msgspec.Struct, frozen=True):
    """One kind of fault.

    Attributes:
        name: For people.
        a_year: How many of these faults such a zone has in a year, on average.
        days: From its beginning to its full effect: the shortest and the longest.
        share: The share that it takes away when it is full: the smallest and the largest.
        takes: From what: a field of `Effect`.
        sources: Which sources have it.
    """

    name: str
    a_year: float
    days: Range
    share: Range
    takes: str
    sources: tuple[str, ...] = SOURCES


PIPE_FAULTS = (
    PipeFaultKind("worn pump", 0.04, (60.0, 250.0), (0.15, 0.50), "flow"),
    PipeFaultKind("clogged filter or dirt separator", 0.06, (40.0, 200.0), (0.20, 0.60), "flow"),
    PipeFaultKind("sludge in the pipes", 0.04, (90.0, 300.0), (0.15, 0.50), "flow"),
    PipeFaultKind("air in the circuit", 0.06, (10.0, 60.0), (0.15, 0.50), "flow"),
    PipeFaultKind("air in the emitters", 0.04, (10.0, 90.0), (0.20, 0.60), "emission"),
    PipeFaultKind("sludge in the emitters", 0.03, (90.0, 300.0), (0.15, 0.50), "emission"),
    PipeFaultKind("bypass that opens", 0.03, (20.0, 200.0), (0.20, 0.60), "mixing"),
    PipeFaultKind("scale in the heat exchanger", 0.05, (120.0, 300.0), (0.12, 0.40), "source"),
    PipeFaultKind("fouled burner", 0.05, (60.0, 270.0), (0.10, 0.35), "source", (CURVE, ON_OFF)),
    PipeFaultKind("refrigerant loss", 0.06, (30.0, 240.0), (0.10, 0.40), "source", (HEAT_PUMP,)),
)


class PipeFault(FaultCourse, frozen=True):
    """One fault of one zone: its course, its kind, what it takes away when it is full, and which indicators show that.

    Attributes:
        name: Its kind.
        takes: A field of `Effect`.
        share: What it takes of it when it is full.
        changes: By how much each indicator gets worse then, as a logarithm.
    """

    name: str
    takes: str
    share: float
    changes: tuple[tuple[PipeIndicator, float], ...] = ()

    def effect_on(self, day: int) -> Effect:
        """Return what it does on a day."""
        return Effect(**{self.takes: -self.share * self.share_on(day)})

    def shows_in(self, day: int, indicator: PipeIndicator) -> bool:
        """Whether it is present in what an indicator watches."""
        worse = sum(change for each, change in self.changes if each is indicator)
        return worse * self.share_on(day) >= PRESENT


class PipeLookAlike(msgspec.Struct, frozen=True):
    """What looks like a fault and is none, over some days.

    Attributes:
        name: For people.
        a_year: How many of these events a zone has in a year, on average.
        days: The shortest and the longest; it stays for good where the longest is infinite.
        curve: What it does to the heating curve, as a logarithm.
        room_k: The same to the room.
        outdoor_k: The same to the weather.
        flow: The same to the flow, as a logarithm.
        emission: The same to the emitter.
        offset_k: The same to one of the thermometers, at once.
        drift_k: The same by and by, over `DRIFT_DAYS`.
        is_swap: Supply and return are exchanged.
        is_off: One of the thermometers is off its pipe.
    """

    name: str
    a_year: float
    days: Range
    curve: Range = NOTHING
    room_k: Range = NOTHING
    outdoor_k: Range = NOTHING
    flow: Range = NOTHING
    emission: Range = NOTHING
    offset_k: Range = NOTHING
    drift_k: Range = NOTHING
    is_swap: bool = False
    is_off: bool = False


FOR_GOOD = (1e9, 1e9)
DRIFT_DAYS = 400.0
OFF_SHARE = 0.15
"""A thermometer beside its pipe has so much of the pipe's excess over the room."""

PIPE_LOOK_ALIKES = (
    PipeLookAlike("changed heating curve", 0.3, FOR_GOOD, curve=(-0.2, 0.2)),
    PipeLookAlike("new setpoint", 0.5, FOR_GOOD, room_k=(-1.5, 1.5)),
    PipeLookAlike("holiday", 0.8, (7.0, 21.0), room_k=(-4.0, -1.0)),
    PipeLookAlike("radiator valves that close more", 0.4, (20.0, 120.0), flow=(-0.10, 0.04)),
    PipeLookAlike("changed setting of the pump", 0.05, FOR_GOOD, flow=(-0.4, 0.4)),
    PipeLookAlike("furniture before the radiators", 0.1, (60.0, 400.0), emission=(-0.07, 0.0)),
    PipeLookAlike("cold spell", 1.0, (5.0, 14.0), outdoor_k=(-10.0, -5.0)),
    PipeLookAlike("mild spell", 1.0, (5.0, 14.0), outdoor_k=(5.0, 10.0)),
    PipeLookAlike("replaced thermometer", 0.1, FOR_GOOD, offset_k=(-0.5, 0.5)),
    PipeLookAlike("drifting thermometer", 0.1, FOR_GOOD, drift_k=(-0.5, 0.5)),
    PipeLookAlike("swapped thermometers", 0.05, (20.0, 200.0), is_swap=True),
    PipeLookAlike("thermometer off its pipe", 0.1, (20.0, 120.0), is_off=True),
)


class PipeEpisode(msgspec.Struct, frozen=True):
    """One look-alike of one zone, with the sizes that chance has given it; `is_return` names the thermometer."""

    begins: float
    ends: float
    curve: float
    room_k: float
    outdoor_k: float
    flow: float
    emission: float
    offset_k: float
    drift_k: float
    is_swap: bool
    is_off: bool
    is_return: bool

    def error_k(self, day: int) -> float:
        """Return by how much its thermometer is off on a day."""
        return self.offset_k + self.drift_k * min(1.0, (day - self.begins) / DRIFT_DAYS)
