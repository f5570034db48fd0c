"""Twelve kinds of sensor fault in a `FleetHome`, one at a time, and how long each is not found."""

import copy
import math
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from hal.interface import HUB, Quality, SensorKind
from lab.simulation.sensor_fleet import (
    BATH,
    BOARD,
    BOARD_P,
    BOARD_RH,
    DAY_MIN,
    MINUTE_MS,
    PIPE,
    PROBE,
    RH,
    FleetHome,
    Raw,
    T,
    Twist,
)

WARM_UP_DAYS = 3
TRIAL_MIN = 2 * DAY_MIN
CASE_TRIAL_DAYS = 14
HARM_K = 1.0
"""A fault counts from the moment on at which its value is wrong by this; one of a grid or a humidity at once."""

STAYS_MIN = 10
"""A fault is found when its sensor is not believed, and is not any more for so long: a first glance does not count."""

GRID = 16

Key = tuple[str, str, SensorKind]


class Trial(msgspec.Struct, frozen=True):
    """One kind of fault.

    Attributes:
        make: Returns the fault, given its own randomness.
        keys: The sensors that are to be doubted.
        harm: How far a value is off before it counts.
        begins_apart: It begins while the two thermometers differ. While they do not, nothing shows it later: the
            address in a sensor's name is what prevents that.
    """

    make: Callable[[random.Random], Twist]
    keys: tuple[Key, ...]
    harm: float = HARM_K
    begins_apart: bool = False


def _own(name: str, kind: SensorKind = T) -> Key:
    return HUB, name, kind


def _always(name: str, value: float) -> Callable[[random.Random], Twist]:
    return lambda _: lambda values: _changed(values, {name: lambda _: value})


def _changed(values: list[Raw], by_name: Mapping[str, Callable[[float], float]]) -> list[Raw]:
    return [
        (device, name, kind, by_name[name](value)) if name in by_name else (device, name, kind, value)
        for device, name, kind, value in values
    ]


def _stuck_bit(rng: random.Random) -> Twist:
    weight, is_one = 1 << rng.choice([4, 5, 6]), rng.random() < 1 / 2

    def stuck(value: float) -> float:
        number = round(value * GRID)
        return (number | weight if is_one else number & ~weight) / GRID

    return lambda values: _changed(values, {PROBE: stuck})


def _neighbour(_: random.Random) -> Twist:
    def twist(values: list[Raw]) -> list[Raw]:
        pipe = next(value for _, name, _, value in values if name == PIPE)
        return _changed(values, {PROBE: lambda _: pipe})

    return twist


def _exchanged(_: random.Random) -> Twist:
    def twist(values: list[Raw]) -> list[Raw]:
        found = {name: value for _, name, _, value in values if name in {PIPE, PROBE}}
        return _changed(values, {PROBE: lambda _: found[PIPE], PIPE: lambda _: found[PROBE]})

    return twist


def _jump(rng: random.Random) -> Twist:
    by_k = rng.choice([-1, 1]) * rng.uniform(2.5, 6.0)
    return lambda values: _changed(values, {BOARD: lambda value: value + by_k})


def _frozen_chip(_: random.Random) -> Twist:
    kept: dict[str, float] = {}

    def twist(values: list[Raw]) -> list[Raw]:
        return [
            (device, name, kind, kept.setdefault(name, value) if name in {BOARD, BOARD_RH, BOARD_P} else value)
            for device, name, kind, value in values
        ]

    return twist


def _loose_contact(rng: random.Random) -> Twist:
    by_k = rng.uniform(1.5, 4.0)
    return lambda values: _changed(values, {BOARD: lambda value: value + by_k * (rng.random() < 1 / 2)})


def _wet(rng: random.Random) -> Twist:
    wet = rng.uniform(100.5, 104.5)
    return lambda values: [
        (device, name, kind, wet if (device, kind) == (BATH, RH) else value) for device, name, kind, value in values
    ]


def _no_number(rng: random.Random) -> Twist:
    value = rng.choice([math.nan, -45.0, 130.0])
    return lambda values: _changed(values, {BOARD: lambda _: value})


TRIALS: Mapping[str, Trial] = MappingProxyType(
    {
        "85.00 after a loss of power": Trial(_always(PROBE, 85.0), (_own(PROBE),)),
        "127.94 for too little power": Trial(_always(PROBE, 127.9375), (_own(PROBE),)),
        "stuck bit": Trial(_stuck_bit, (_own(PROBE),)),
        "neighbour's value": Trial(_neighbour, (_own(PROBE),), begins_apart=True),
        "two sensors exchanged": Trial(_exchanged, (_own(PROBE), _own(PIPE)), begins_apart=True),
        "jump that stays": Trial(_jump, (_own(BOARD),)),
        "loose contact": Trial(_loose_contact, (_own(BOARD),)),
        "frozen chip": Trial(_frozen_chip, (_own(BOARD), _own(BOARD_RH, RH)), harm=-1.0),
        "humidity over 100 %": Trial(_wet, ((BATH, "", RH),), harm=0.0),
        "no number or off the scale": Trial(_no_number, (_own(BOARD),), harm=-1.0),
    }
)
"""Those that begin in a home in which all was well; see also `warmed_by_the_hub_min` and `heated_rooms`."""


def warmed_up(seed: int) -> FleetHome:
    """Return a home that the judge has known for some days."""
    home = FleetHome(seed, is_in_case=seed % 2 == 0)
    for _ in home.run(WARM_UP_DAYS * DAY_MIN):
        pass
    return home


def found_after_min(home: FleetHome, name: str, seed: int) -> int | None:
    """Return after how many minutes a fault is found in this home, which stays as it is; `None` for never.

    A fault of which nothing is wrong within `TRIAL_MIN` counts as found at once: nobody is harmed.
    """
    trial, rng = TRIALS[name], random.Random(f"{name}/{seed}")
    home = copy.deepcopy(home)
    for _ in home.run(rng.randrange(DAY_MIN)):
        pass
    if trial.begins_apart:
        _wait_until_apart(home, rng.randrange(60))
    twist = trial.make(rng)
    since_min: int | None = None
    doubted_min: int | None = None
    for _ in range(TRIAL_MIN + STAYS_MIN):
        true_values = home.advance()
        values = twist(list(true_values))
        if since_min is None and any(
            not abs(wrong[3] - right[3]) <= trial.harm for wrong, right in zip(values, true_values, strict=True)
        ):
            since_min = home.minute
        readings = home.watch.judge(values, home.minute * MINUTE_MS)
        if since_min is None:
            continue
        for reading in readings:
            key = (reading.device, reading.sensor, reading.kind)
            if key not in trial.keys:
                continue
            is_believed = reading.quality is Quality.GOOD and not home.watch.judge_.notes[key].doubt
            doubted_min = None if is_believed else home.minute if doubted_min is None else doubted_min
        if doubted_min is not None and home.minute - doubted_min >= STAYS_MIN:
            return max(0, doubted_min - since_min)
    return 0 if since_min is None else None


def _wait_until_apart(home: FleetHome, minutes: int) -> None:
    """Live on for so many of the minutes in which pipe and room differ."""
    for readings in home.run(TRIAL_MIN):
        shown = {reading.sensor: reading.value for reading in readings}
        if abs(shown[PIPE] - shown[PROBE]) >= 2.0 * HARM_K:
            minutes -= 1
        if minutes < 0:
            return


def warmed_by_the_hub_min(seed: int) -> int | None:
    """Return after how many minutes a sensor in the hub's case that nobody has named is reported; `None` for never."""
    home = FleetHome(seed, is_in_case=True, is_declared=False)
    begun_min = home.minute
    for _ in home.run(CASE_TRIAL_DAYS * DAY_MIN):
        note = home.watch.judge_.notes.get((HUB, BOARD, T))
        if note is not None and note.doubt:
            return home.minute - begun_min
    return None
