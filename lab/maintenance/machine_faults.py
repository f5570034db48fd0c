"""What goes wrong with a machine, and what looks like it and is none: kinds, rates and sizes. Pure, for a seed.

They are assumptions, as those of `lab.maintenance.fleet`: no published ones of a home's machines were found.
"""

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from agent.maintenance.machine_readings import CHANNEL_OF, SIGN_OF, Channel, MachineIndicator
from lab.maintenance.faults import LONGEST_PAST_DAYS, FaultCourse, beginnings

PRESENT = 0.05
"""From this change on a fault counts as present."""

FAN, PUMP, COMPRESSOR = "fan", "pump", "compressor"
MACHINES = (FAN, PUMP, COMPRESSOR)

Range = tuple[float, float]


class MachineFaultKind(msgspec.Struct, frozen=True):
    """One kind of fault.

    Attributes:
        name: For people.
        machines: Which machines have it.
        a_year: How many of these faults such a machine has in a year, on average.
        days: From its beginning to its full effect: the shortest and the longest.
        effects: Its full effect on each quantity, as a share: the smallest and the largest; below 0 where it falls.
        power_share: How much of what it does to the current it does to the power as well.
    """

    name: str
    machines: tuple[str, ...]
    a_year: float
    days: Range
    effects: Mapping[Channel, Range]
    power_share: float = 1.0

    def limits(self, channel: Channel) -> Range:
        """Return its full effect on a quantity: the smallest and the largest; none where it shows nothing."""
        if channel is Channel.POWER:
            least, most = self.limits(Channel.CURRENT)
            return self.power_share * least, self.power_share * most
        return self.effects.get(channel, (0.0, 0.0))


MACHINE_FAULTS = (
    MachineFaultKind(
        "worn bearing", MACHINES, 0.04, (60.0, 250.0), {Channel.AMPLITUDE: (0.8, 3.0), Channel.CURRENT: (0.0, 0.10)}
    ),
    MachineFaultKind("imbalance or loose mount", (FAN, PUMP), 0.05, (20.0, 200.0), {Channel.AMPLITUDE: (0.4, 1.5)}),
    MachineFaultKind(
        "friction or seizing", MACHINES, 0.03, (60.0, 240.0),
        {Channel.CURRENT: (0.12, 0.40), Channel.INRUSH: (0.05, 0.30)},
    ),
    MachineFaultKind(
        "failing capacitor", MACHINES, 0.05, (10.0, 90.0),
        {Channel.CURRENT: (0.08, 0.30), Channel.INRUSH: (0.25, 0.80)}, power_share=0.5,
    ),
    MachineFaultKind("fouled coil", (COMPRESSOR,), 0.06, (60.0, 270.0), {Channel.CURRENT: (0.10, 0.35)}),
    MachineFaultKind("refrigerant loss", (COMPRESSOR,), 0.05, (30.0, 240.0), {Channel.CURRENT: (-0.40, -0.10)}),
    MachineFaultKind("clogged filter", (FAN, PUMP), 0.06, (60.0, 200.0), {Channel.CURRENT: (-0.35, -0.10)}),
)  # fmt: skip


class MachineFault(FaultCourse, frozen=True):
    """One fault of one machine: its course, its kind, and what it does when it is full."""

    name: str
    effects: tuple[tuple[Channel, float], ...]

    def change_on(self, day: int, channel: Channel) -> float:
        """Return what it does to a quantity on a day, as a share."""
        share = self.share_on(day)
        return sum(full for each, full in self.effects if each is channel) * share if share else 0.0

    def shows_in(self, day: int, indicator: MachineIndicator) -> bool:
        """Whether it is present in what an indicator watches."""
        return -SIGN_OF[indicator] * self.change_on(day, CHANNEL_OF[indicator]) >= PRESENT


class MachineLookAlike(msgspec.Struct, frozen=True):
    """What looks like a fault and is none, over some days.

    Attributes:
        name: For people.
        a_year: How many of these events a machine has in a year, on average.
        days: The shortest and the longest; it stays for good where the longest is infinite.
        voltage: What it does to the mains, as a share.
        outdoor_k: The same to the temperature outside.
        factors: The same to each quantity, as a logarithm.
    """

    name: str
    a_year: float
    days: Range
    voltage: Range = (0.0, 0.0)
    outdoor_k: Range = (0.0, 0.0)
    factors: Mapping[Channel, Range] = MappingProxyType({})


FOR_GOOD = (1e9, 1e9)
MACHINE_LOOK_ALIKES = (
    MachineLookAlike("changed mains", 0.2, FOR_GOOD, voltage=(-0.05, 0.05)),
    MachineLookAlike("sagging mains", 0.5, (3.0, 30.0), voltage=(-0.08, -0.03)),
    MachineLookAlike("heat wave", 2.0, (4.0, 14.0), outdoor_k=(5.0, 10.0)),
    MachineLookAlike("cold spell", 1.0, (5.0, 14.0), outdoor_k=(-10.0, -5.0)),
    MachineLookAlike("moved or replaced accelerometer", 0.15, FOR_GOOD, factors={Channel.AMPLITUDE: (-0.7, 0.7)}),
    MachineLookAlike(
        "replaced meter", 0.1, FOR_GOOD, factors={Channel.CURRENT: (-0.04, 0.04), Channel.INRUSH: (-0.1, 0.1)}
    ),
    MachineLookAlike(
        "replaced machine", 0.05, FOR_GOOD,
        factors={Channel.CURRENT: (-0.5, 0.5), Channel.INRUSH: (-0.5, 0.5), Channel.AMPLITUDE: (-0.7, 0.7)},
    ),
    MachineLookAlike(
        "another speed or load", 0.3, (20.0, 120.0),
        factors={Channel.CURRENT: (-0.04, 0.04), Channel.AMPLITUDE: (-0.10, 0.10)},
    ),
)  # fmt: skip
PLUG_LOOK_ALIKES = (
    MachineLookAlike("something else on the plug", 0.1, (20.0, 300.0), factors={Channel.POWER: (0.0, 0.08)}),
    MachineLookAlike("another plug", 0.05, FOR_GOOD, factors={Channel.POWER: (-0.04, 0.04)}),
)
"""What happens to a plug, beside what happens to its machine."""


class MachineEpisode(msgspec.Struct, frozen=True):
    """One look-alike of one machine, with the sizes that chance has given it."""

    begins: float
    ends: float
    voltage: float
    outdoor_k: float
    factors: tuple[tuple[Channel, float], ...]


def rate_of(indicator: MachineIndicator) -> float:
    """Return how many faults that an indicator shows a machine of the fleet has in a year."""
    return round(
        sum(
            kind.a_year * len(kind.machines) / len(MACHINES)
            for kind in MACHINE_FAULTS
            if max(-SIGN_OF[indicator] * each for each in kind.limits(CHANNEL_OF[indicator])) >= PRESENT
        ),
        3,
    )


def draw_faults(rng: random.Random, machine: str, length: int) -> list[MachineFault]:
    """Return the faults that a machine of a kind has in so many days, or has had shortly before."""
    return [
        MachineFault(begins, rng.uniform(*kind.days), kind.name, _effects(rng, kind))
        for kind in MACHINE_FAULTS
        if machine in kind.machines
        for begins in beginnings(rng, kind.a_year, -LONGEST_PAST_DAYS, length)
    ]


def _effects(rng: random.Random, kind: MachineFaultKind) -> tuple[tuple[Channel, float], ...]:
    effects = {channel: rng.uniform(*limits) for channel, limits in kind.effects.items()}
    if Channel.CURRENT in effects:
        effects[Channel.POWER] = kind.power_share * effects[Channel.CURRENT]
    return tuple(effects.items())


def draw_episodes(
    rng: random.Random, length: int, kinds: Sequence[MachineLookAlike] = MACHINE_LOOK_ALIKES
) -> list[MachineEpisode]:
    """Return the look-alikes that it has in so many days."""
    return [
        MachineEpisode(
            begins,
            begins + rng.uniform(*kind.days),
            rng.uniform(*kind.voltage),
            rng.uniform(*kind.outdoor_k),
            tuple([(channel, rng.uniform(*limits)) for channel, limits in kind.factors.items()]),
        )
        for kind in kinds
        for begins in beginnings(rng, kind.a_year, 0.0, length)
    ]
