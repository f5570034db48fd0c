"""A fast model of a machine whose measurements are posted, day by day, with faults and look-alikes. Pure, for a seed.

The hub's own `agent.maintenance` sees the days as it sees those of real posts: medians of current, inrush and amplitude
by operating state, and of the power of a plug. What happens to it is drawn by `lab.maintenance.machine_faults`.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from math import exp, log
from types import MappingProxyType

import msgspec

from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_assessment import BandDay
from agent.maintenance.machine_readings import (
    Channel,
    ZoneState,
    energy_band,
    power_band,
    vibration_band,
)
from lab.maintenance.faults import DAY_MS, YEARS, cold_on, next_weather_k
from lab.maintenance.machine_faults import (
    COMPRESSOR,
    MACHINES,
    PLUG_LOOK_ALIKES,
    MachineEpisode,
    MachineFault,
    Range,
    draw_episodes,
    draw_faults,
)

_Bands = dict[tuple[Channel, int], list[tuple[float, int]]]

GROUPS = 4
"""A day's posts come from so many hours of weather, mains and length of run."""

HEATS, COOLS = 1, 2
HEAT_C, COOL_C = 15.0, 19.0
"""A house is heated below the first temperature outside, and cooled above the second."""

OUTDOOR_KNOWN_SHARE = 0.5
"""So many hubs know the temperature outside."""


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
    power_scatter: Range = (0.010, 0.030)
    power_of_voltage: Range = (0.0, 2.0)
    """A regulated motor draws the same from any mains, a resistor by the square of the voltage. A plug's voltage is not
    known to the hub."""


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
    power_scatter=(0.008, 0.035),
    power_of_voltage=(0.0, 2.2),
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


class _Plug(msgspec.Struct, frozen=True):
    """What is drawn once for a machine's plug; from numbers of its own, so that a fleet is the same with and without.

    Attributes:
        watts: What the machine usually draws.
        scatter: From day to day, as a logarithm.
        of_voltage: With which power of the voltage the watts change.
        episodes: Its look-alikes.
    """

    watts: float
    scatter: float
    of_voltage: float
    episodes: Sequence[MachineEpisode]


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
    plug_rng = random.Random(f"plug {seed}/{number}")  # noqa: S311 - no secret
    plug = _drawn_plug(plug_rng, climate, length)
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
            (*_bands(rng, machine, levels, groups), *_power_bands(plug_rng, machine, plug, day, groups)),
            tuple([each for each in machine.faults if each.begins <= day < each.ends]),
        )


def _drawn(rng: random.Random, kind: str, climate: MachineClimate, length: int) -> _Machine:
    draw = rng.uniform
    # The order is that of the draws: another one is another fleet.
    first = int(draw(0.0, 365.0))
    faults, episodes = draw_faults(rng, kind, length), draw_episodes(rng, length)
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
    bands: _Bands = {}
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
    return _band_days(bands)


def _band_days(bands: _Bands) -> tuple[BandDay, ...]:
    return tuple(
        [
            BandDay(channel, band, sum(posts for _, posts in values), 1, tuple([value for value, _ in values]))
            for (channel, band), values in bands.items()
        ]
    )


def _drawn_plug(rng: random.Random, climate: MachineClimate, length: int) -> _Plug:
    draw = rng.uniform
    watts, scatter, of_voltage = draw(20.0, 2500.0), draw(*climate.power_scatter), draw(*climate.power_of_voltage)
    return _Plug(watts, scatter, of_voltage, draw_episodes(rng, length, PLUG_LOOK_ALIKES))


def _power_bands(
    rng: random.Random, machine: _Machine, plug: _Plug, day: int, groups: Sequence[_Group]
) -> tuple[BandDay, ...]:
    """Return the power of a day by operating state, while it heats."""
    level = log(plug.watts) + rng.gauss(0.0, plug.scatter)
    level += sum(log(1.0 + each.change_on(day, Channel.POWER)) for each in machine.faults)
    # What happens to a machine beside its faults changes its power as it changes its current.
    for episodes, followed in ((machine.episodes, Channel.CURRENT), (plug.episodes, Channel.POWER)):
        present = [each for each in episodes if each.begins <= day < each.ends]
        level += sum(factor for each in present for one, factor in each.factors if one is followed)
    bands: _Bands = {}
    for group in groups:
        if group.state.mode == HEATS:
            value = level + machine.load(group.outdoor_c, machine.voltage_v, HEATS)
            value += plug.of_voltage * log(group.voltage_v / machine.voltage_v)
            bands.setdefault((Channel.POWER, power_band(group.state)), []).append((round(value, 4), group.posts))
    return _band_days(bands)
