"""A fast model of a machine whose measurements are posted, day by day, with faults and look-alikes. Pure, for a seed.

The hub's own `agent.maintenance` sees the days as it sees those of real posts: medians of current, inrush and amplitude
by operating state. Rates and sizes of faults are assumptions, as those of `lab.maintenance.fleet`: no published ones of
a home's machines were found.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from math import exp, log
from types import MappingProxyType

import msgspec

from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_assessment import BandDay
from agent.maintenance.machine_readings import (
    CHANNEL_OF,
    SIGN_OF,
    Channel,
    MachineIndicator,
    ZoneState,
    energy_band,
    vibration_band,
)
from lab.maintenance.faults import (
    DAY_MS,
    LONGEST_PAST_DAYS,
    YEARS,
    FaultCourse,
    beginnings,
    cold_on,
    next_weather_k,
)

PRESENT = 0.05
"""From this change on a fault counts as present."""

GROUPS = 4
"""A day's posts come from so many hours of weather, mains and length of run."""

HEATS, COOLS = 1, 2
HEAT_C, COOL_C = 15.0, 19.0
"""A house is heated below the first temperature outside, and cooled above the second."""

OUTDOOR_KNOWN_SHARE = 0.5
"""So many hubs know the temperature outside."""

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
    """

    name: str
    machines: tuple[str, ...]
    a_year: float
    days: Range
    effects: Mapping[Channel, Range]


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
        {Channel.CURRENT: (0.08, 0.30), Channel.INRUSH: (0.25, 0.80)},
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


class MachineEpisode(msgspec.Struct, frozen=True):
    """One look-alike of one machine, with the sizes that chance has given it."""

    begins: float
    ends: float
    voltage: float
    outdoor_k: float
    factors: tuple[tuple[Channel, float], ...]


class MachineDay(msgspec.Struct, frozen=True):
    """One day of a machine, and the truth about it: the faults that have begun."""

    number: int
    ended_utc_ms: int
    bands: tuple[BandDay, ...]
    faults: tuple[MachineFault, ...]


class MachineClimate(msgspec.Struct, frozen=True):
    """The ranges from which machines, mains and weather are drawn: those to fit on, or wider ones to judge by."""

    mean_c: Range = (7.0, 11.0)
    swing_k: Range = (8.0, 11.0)
    mains: Range = (0.005, 0.015)
    voltage_power: Range = (-1.0, 1.0)
    outdoor_share: Range = (0.006, 0.014)
    scatter: Mapping[Channel, Range] = MappingProxyType(
        {Channel.CURRENT: (0.010, 0.030), Channel.INRUSH: (0.02, 0.06), Channel.AMPLITUDE: (0.04, 0.10)}
    )


MACHINES_FITTED = MachineClimate()
MACHINES_HELD_OUT = MachineClimate(
    mean_c=(5.0, 14.0),
    swing_k=(6.0, 13.0),
    mains=(0.004, 0.020),
    voltage_power=(-1.3, 1.3),
    outdoor_share=(0.004, 0.017),
    scatter=MappingProxyType(
        {Channel.CURRENT: (0.008, 0.035), Channel.INRUSH: (0.015, 0.07), Channel.AMPLITUDE: (0.03, 0.12)}
    ),
)
"""Other machines, other mains and other weather than those of the fit."""


class _Machine(msgspec.Struct, frozen=True):
    """What is drawn once for a machine, its mains and its weather.

    Attributes:
        kind: Fan, pump or compressor.
        first: The day of the year on which it begins.
        faults: Its faults, in the days of its own count.
        episodes: Its look-alikes.
        mean_c: The mean temperature outside over a year.
        swing_k: By how much the coldest day is colder than that.
        mains: The scatter of the voltage, as a logarithm.
        voltage_v: The usual voltage.
        voltage_power: With which power of the voltage the current changes.
        outdoor_share: By which share the current changes with a kelvin outside.
        scatter: Of each quantity from day to day, as a logarithm.
        season_g: By how much the amplitude changes with the season, as a logarithm.
        frequency_hz: Of its vibration.
        is_outdoor_known: The hub knows the temperature outside.
        base: The usual value of each quantity that is measured, in A and g.
    """

    kind: str
    first: int
    faults: Sequence[MachineFault]
    episodes: Sequence[MachineEpisode]
    mean_c: float
    swing_k: float
    mains: float
    voltage_v: float
    voltage_power: float
    outdoor_share: float
    scatter: Mapping[Channel, float]
    season_g: float
    frequency_hz: float
    is_outdoor_known: bool
    base: Mapping[Channel, float]

    def mode(self, outdoor_c: float) -> int:
        """Return what the hub does with it at a temperature outside; see `ZoneState.mode`."""
        if outdoor_c < HEAT_C:
            return HEATS
        return COOLS if self.kind == COMPRESSOR and outdoor_c > COOL_C else 0

    def load(self, outdoor_c: float, voltage_v: float, mode: int) -> float:
        """Return what weather and mains add to its current, as a logarithm."""
        warmer_k = outdoor_c - HEAT_C
        return self.voltage_power * log(voltage_v / self.voltage_v) + self.outdoor_share * (
            warmer_k if mode == COOLS else -warmer_k * 0.5
        )


class _Group(msgspec.Struct, frozen=True):
    """Posts of one part of a day: the state of the zone, weather, mains, and the length of a run in minutes."""

    state: ZoneState
    outdoor_c: float
    voltage_v: float
    run_minutes: int
    posts: int


def run_machine(seed: int, number: int, climate: MachineClimate, years: int = YEARS) -> Iterator[MachineDay]:
    """Yield the days of one machine of a fleet."""
    rng = random.Random(f"machine {seed}/{number}")  # noqa: S311 - no secret
    length = 365 * years
    machine = _drawn(rng, MACHINES[number % len(MACHINES)], climate, length)
    weather_k = drift_v = 0.0
    for day in range(length):
        weather_k = next_weather_k(rng, weather_k)
        drift_v = 0.8 * drift_v + rng.gauss(0.0, 0.6 * machine.mains)
        present = [each for each in machine.episodes if each.begins <= day < each.ends]
        season = cold_on(machine.first + day)
        outdoor_c = machine.mean_c - machine.swing_k * season + weather_k + sum(each.outdoor_k for each in present)
        levels = _levels(rng, machine, day, season, present)
        groups = _groups(rng, machine, outdoor_c, drift_v, present)
        yield MachineDay(
            day,
            SOLSTICE_MS + (machine.first + day) * DAY_MS,
            _bands(rng, machine, levels, groups),
            tuple([each for each in machine.faults if each.begins <= day < each.ends]),
        )


def _drawn(rng: random.Random, kind: str, climate: MachineClimate, length: int) -> _Machine:
    draw = rng.uniform
    # The order is that of the draws: another one is another fleet.
    first = int(draw(0.0, 365.0))
    faults, episodes = _faults(rng, kind, length), _episodes(rng, length)
    mean_c, swing_k, mains = draw(*climate.mean_c), draw(*climate.swing_k), draw(*climate.mains)
    voltage_v, voltage_power = draw(218.0, 242.0), draw(*climate.voltage_power)
    outdoor_share = draw(*climate.outdoor_share) if kind == COMPRESSOR else 0.0
    scatter = {channel: draw(*limits) for channel, limits in climate.scatter.items()}
    season_g, frequency_hz = draw(-0.08, 0.08), draw(20.0, 60.0)
    is_outdoor_known = rng.random() < OUTDOOR_KNOWN_SHARE
    more = [each for each, share in ((Channel.INRUSH, 0.4), (Channel.AMPLITUDE, 0.6)) if rng.random() < share]
    base = {Channel.CURRENT: draw(0.3, 12.0), Channel.INRUSH: draw(2.0, 60.0), Channel.AMPLITUDE: draw(0.03, 0.6)}
    return _Machine(
        kind, first, faults, episodes, mean_c, swing_k, mains, voltage_v, voltage_power, outdoor_share, scatter,
        season_g, frequency_hz, is_outdoor_known, {each: base[each] for each in (Channel.CURRENT, *more)},
    )  # fmt: skip


def _levels(
    rng: random.Random, machine: _Machine, day: int, season: float, present: Sequence[MachineEpisode]
) -> Mapping[Channel, float]:
    """Return the logarithm of each measured quantity on a day, at the usual load."""
    levels = {}
    for channel, usual in machine.base.items():
        level = log(usual) + rng.gauss(0.0, machine.scatter[channel])
        level += sum(log(1.0 + each.change_on(day, channel)) for each in machine.faults)
        level += sum(factor for each in present for one, factor in each.factors if one is channel)
        levels[channel] = level + (machine.season_g * season if channel is Channel.AMPLITUDE else 0.0)
    return levels


def _groups(
    rng: random.Random, machine: _Machine, outdoor_c: float, drift_v: float, present: Sequence[MachineEpisode]
) -> list[_Group]:
    """Return the parts of a day; ``drift_v`` is by how much the mains are off on it, as a logarithm."""
    mode, groups = machine.mode(outdoor_c), []
    for _ in range(GROUPS if mode else rng.randrange(2)):
        now_c = outdoor_c + rng.uniform(-5.0, 5.0)
        off = drift_v + rng.gauss(0.0, machine.mains) + sum(each.voltage for each in present)
        voltage_v = machine.voltage_v * exp(off)
        state = ZoneState(mode, now_c if machine.is_outdoor_known else None)
        groups.append(_Group(state, now_c, voltage_v, rng.choice((5, 5, 5, 3)), rng.randrange(3, 40)))
    return groups


def _bands(
    rng: random.Random, machine: _Machine, levels: Mapping[Channel, float], groups: Sequence[_Group]
) -> tuple[BandDay, ...]:
    """Return the readings of a day by operating state."""
    bands: dict[tuple[Channel, int], list[tuple[float, int]]] = {}
    for group in groups:
        load = machine.load(group.outdoor_c, group.voltage_v, group.state.mode)
        for channel, level in levels.items():
            if channel is Channel.AMPLITUDE:
                band = vibration_band(machine.frequency_hz * exp(rng.gauss(0.0, 0.01)), group.state)
                value = level
            else:
                band = energy_band(group.run_minutes, group.voltage_v, group.state)
                value = level + load
            bands.setdefault((channel, band), []).append((round(value, 4), group.posts))
    return tuple(
        [
            BandDay(channel, band, sum(posts for _, posts in values), 1, tuple([value for value, _ in values]))
            for (channel, band), values in bands.items()
        ]
    )


def rate_of(indicator: MachineIndicator) -> float:
    """Return how many faults that an indicator shows a machine of the fleet has in a year."""
    return round(
        sum(
            kind.a_year * len(kind.machines) / len(MACHINES)
            for kind in MACHINE_FAULTS
            for channel, limits in kind.effects.items()
            if channel is CHANNEL_OF[indicator] and max(-SIGN_OF[indicator] * each for each in limits) >= PRESENT
        ),
        3,
    )


def _faults(rng: random.Random, machine: str, length: int) -> list[MachineFault]:
    return [
        MachineFault(
            begins,
            rng.uniform(*kind.days),
            kind.name,
            tuple([(channel, rng.uniform(*limits)) for channel, limits in kind.effects.items()]),
        )
        for kind in MACHINE_FAULTS
        if machine in kind.machines
        for begins in beginnings(rng, kind.a_year, -LONGEST_PAST_DAYS, length)
    ]


def _episodes(rng: random.Random, length: int) -> list[MachineEpisode]:
    return [
        MachineEpisode(
            begins,
            begins + rng.uniform(*kind.days),
            rng.uniform(*kind.voltage),
            rng.uniform(*kind.outdoor_k),
            tuple([(channel, rng.uniform(*limits)) for channel, limits in kind.factors.items()]),
        )
        for kind in MACHINE_LOOK_ALIKES
        for begins in beginnings(rng, kind.a_year, 0.0, length)
    ]
