"""Windows opened in a house that the hub has learned: how soon its heating pauses and goes on, and false pauses.

Owns what happens and when: openings, and whole days without any, with what looks like one. A pause is that of a zone in
the hub's own state. Nothing is reported by a contact: that pauses at once.

Sources: a tilted window: `house_model`. A wide open one of 1.2 m2 and 1.2 m height at 20 K: 680 m3/h (single-sided
ventilation, EN 16798-7:2017, 6.4.3.5.4: 3600 * 0.5 A sqrt(0.01 + 0.001 v2 + 0.0035 H dT), v 2 m/s). Gusts: up to twice
the mean wind, so up to 2.5 times its infiltration (exponent 1.3). An open inner door of 2 m by 0.9 m at 3 K: 200 W/K
(Brown and Solvason 1962: Q = 0.65 / 3 A sqrt(g H dT / T)).
"""

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from hal.sim.house_model import OPEN_WINDOW_W_PER_K, HouseModel
from hal.sim.weather_patterns import SAMPLE_S, Outdoors
from lab.comfort.control import HubControl, Situation, constant_program
from lab.comfort.runner import DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome, Law, controller_for

OPEN_MINUTES: Final = 25
"""Shorter than the longest pause, so that what ends a pause is the window that closes."""

AFTER_MINUTES: Final = 60
NOTICED_WITHIN_MINUTES: Final = 15
SETBACK_C: Final = 17.0
NEIGHBOUR_C: Final = 17.0
NIGHT_FROM, NIGHT_TO = 22 * 60, 6 * 60
GUST_SHARE: Final = 0.15
GUST_FACTOR_MAX: Final = 2.5
SNAP_K: Final = 8.0
SNAP_HOUR: Final = 13
WIDE_W_PER_K: Final = 230.0
DOOR_W_PER_K: Final = 200.0
DAY_SAMPLES: Final = 86_400 // SAMPLE_S
HOUR_SAMPLES: Final = 3600 // SAMPLE_S


class Width(StrEnum):
    """How far a window is open."""

    TILTED = "tilted"
    WIDE = "wide open"

    @property
    def w_per_k(self) -> float:
        """The loss that it adds."""
        return OPEN_WINDOW_W_PER_K if self is Width.TILTED else WIDE_W_PER_K


class Opening(msgspec.Struct, frozen=True):
    """A window of the first room.

    Attributes:
        width: How far it is open.
        hour: When it is opened.
    """

    width: Width
    hour: int


OPENINGS: Final = (
    Opening(Width.TILTED, 10),
    Opening(Width.WIDE, 20),
    Opening(Width.TILTED, 20),
    Opening(Width.WIDE, 7),
    Opening(Width.TILTED, 7),
)
"""Over five days."""


class Quiet(StrEnum):
    """A day without any window, by what else happens on it."""

    CONSTANT = "constant"
    SETBACK = "setback"
    GUSTS = "gusts"
    SNAP = "cold snap"
    DOOR = "door"
    """The first room's door to a colder room is opened and closed; without a second room it is a constant day."""


class OpeningResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub made of one window of the first room.

    Attributes:
        opening: The window.
        noticed_min: Minutes until the room paused; `None` if it did not while it was open.
        heated_min: Minutes of heating while it was open.
        resumed_min: Minutes from its closing until the pause was over; `None` without a pause at that time.
        fallen_k: How far the true air had fallen when it was closed.
        outside_k: How much colder it was outdoors.
        coldest_c: The lowest temperature of that room.
    """

    opening: Opening
    noticed_min: int | None
    heated_min: float
    resumed_min: int | None
    fallen_k: float
    outside_k: float
    coldest_c: float


class QuietResult(msgspec.Struct, frozen=True, kw_only=True):
    """The false pauses of one day, of all rooms.

    Attributes:
        kind: Of the day.
        pauses: How many began.
        paused_min: Minutes of them, summed over the rooms.
        zone_days: Rooms of the house.
    """

    kind: Quiet
    pauses: int
    paused_min: int
    zone_days: int


def rough_weather(weather: Sequence[Outdoors], days: Sequence[Quiet], *, from_day: int, seed: int) -> list[Outdoors]:
    """Return a weather with the gusts and the cold snap of these days; a snap stays until the end of its day."""
    rng, changed = random.Random(seed), list(weather)  # noqa: S311 - a simulation
    for number, kind in enumerate(days):
        for within in range(DAY_SAMPLES):
            sample = (from_day + number) * DAY_SAMPLES + within
            here = changed[min(sample, len(changed) - 1)]
            if kind is Quiet.GUSTS and rng.random() < GUST_SHARE:
                factor = here.wind_factor * rng.uniform(1.0, GUST_FACTOR_MAX)
                changed[sample] = msgspec.structs.replace(here, wind_factor=factor)
            elif kind is Quiet.SNAP:
                share = min(1.0, max(0.0, (within / HOUR_SAMPLES - SNAP_HOUR) * 2.0))
                changed[sample] = msgspec.structs.replace(here, outside_c=here.outside_c - SNAP_K * share)
    return changed


def learned_home(case: Case, weather: Sequence[Outdoors] | None = None) -> ComfortHome:
    """Return a house after its warm-up, with the hub in control."""
    control = controller_for(Law.HUB, case)
    home = ComfortHome(case, control, weather)
    home.run(case.warm_up_days * DAY_MINUTES, HEAT_SETPOINT_C)
    return home


def hub_of(home: ComfortHome) -> HubControl:
    """Return the hub that controls a house.

    Raises:
        TypeError: Another law does.
    """
    if not isinstance(home.controller, HubControl):
        raise TypeError("only the hub notices windows")
    return home.controller


def run_openings(case: Case, openings: Sequence[Opening] = OPENINGS) -> Iterator[OpeningResult]:
    """Yield what the hub makes of each opening, one a day after the warm-up: what it learns of one counts in the next.

    Args:
        case: `days` does not count.
        openings: One for each day.
    """
    case = msgspec.structs.replace(case, days=len(openings))
    home = learned_home(case)
    for number, opening in enumerate(openings):
        at_minute = (case.warm_up_days + number) * DAY_MINUTES + opening.hour * 60
        home.run(at_minute - home.house.minute, HEAT_SETPOINT_C)
        yield open_once(home, opening)


def open_once(home: ComfortHome, opening: Opening) -> OpeningResult:
    """Open one window of the first room, close it, and return what the hub made of it."""
    house, control = home.house, hub_of(home)
    before_c, outside_k = house.air_c[0], house.air_c[0] - house.outside_c
    heated, coldest_c = 0.0, before_c

    def look(house: HouseModel, _: Situation, calls: list[float]) -> None:
        nonlocal heated, coldest_c
        heated += max(0.0, calls[0])
        coldest_c = min(coldest_c, house.air_c[0])

    noticed_min = resumed_min = None
    house.open_windows(frozenset({0}), opening.width.w_per_k)
    for minute in range(OPEN_MINUTES):
        home.run(1, HEAT_SETPOINT_C, look)
        if noticed_min is None and control.controller.state.zones[0].window.is_open:
            noticed_min = minute + 1
    heated_min, fallen_k = heated, before_c - house.air_c[0]
    house.open_windows(frozenset())
    was_open = control.controller.state.zones[0].window.is_open
    for minute in range(AFTER_MINUTES if was_open else 0):
        home.run(1, HEAT_SETPOINT_C, look)
        if not control.controller.state.zones[0].window.is_open:
            resumed_min = minute + 1
            break
    return OpeningResult(
        opening=opening,
        noticed_min=noticed_min,
        heated_min=heated_min,
        resumed_min=AFTER_MINUTES if was_open and resumed_min is None else resumed_min,
        fallen_k=fallen_k,
        outside_k=outside_k,
        coldest_c=coldest_c,
    )


def run_quiet_days(case: Case, days: Sequence[Quiet] = (*Quiet,)) -> list[QuietResult]:
    """Return the false pauses of days without any window, one after the other."""
    case = msgspec.structs.replace(case, days=len(days))
    weather = rough_weather(case.weather(), days, from_day=case.warm_up_days, seed=case.seed)
    home = learned_home(case, weather)
    control, rng, rooms = hub_of(home), random.Random(case.seed), case.design.rooms  # noqa: S311 - a simulation
    results = []
    for kind in days:
        was_open = [False] * len(rooms)
        pauses = paused_min = 0
        doors = sorted(rng.sample(range(7 * 60, 22 * 60), 6)) if kind is Quiet.DOOR and case.design.couplings else []
        for minute in range(DAY_MINUTES):
            _prepare(home, control, kind, minute, doors)
            home.run(1, HEAT_SETPOINT_C)
            is_open = [state.window.is_open for state in control.controller.state.zones]
            pauses += sum(now and not before for before, now in zip(was_open, is_open, strict=True))
            paused_min += sum(is_open)
            was_open = is_open
        home.house.open_doors(frozenset())
        results.append(QuietResult(kind=kind, pauses=pauses, paused_min=paused_min, zone_days=len(rooms)))
    return results


def _prepare(home: ComfortHome, control: HubControl, kind: Quiet, minute: int, doors: Sequence[int]) -> None:
    """Set setpoints and doors as they are from this minute of a day on; `doors` are the minutes at which one moves."""
    names = [room.name for room in home.case.design.rooms]
    is_night = kind is Quiet.SETBACK and (minute >= NIGHT_FROM or minute < NIGHT_TO)
    setpoints_c = [SETBACK_C if is_night else HEAT_SETPOINT_C] * len(names)
    if kind is Quiet.DOOR and len(names) > 1:
        setpoints_c[1] = NEIGHBOUR_C
    if minute in {0, NIGHT_FROM, NIGHT_TO}:
        for name, setpoint_c in zip(names, setpoints_c, strict=True):
            control.controller.set_program(name, constant_program(setpoint_c, is_cooling=False))
    if minute in doors:
        home.house.open_doors(frozenset({0}) if doors.index(minute) % 2 == 0 else frozenset(), DOOR_W_PER_K)
