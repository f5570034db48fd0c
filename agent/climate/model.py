"""Data types of heating control: modes, setpoints, schedules, holds, and the program of a zone. Pure.

Every temperature inside the hub is in degrees Celsius. Other units exist only where people type and read.
`climate.json` holds these types: the names of their fields are stored data.
"""

from enum import StrEnum
from math import isfinite

import msgspec

from agent.errors import SettingInvalid

SETPOINT_C_MIN = 4.0
SETPOINT_C_MAX = 35.0
"""The range of setpoints, limits included: that of home thermostats (AURRA 40 to 90 °F, Amps 10 to 35 °C)."""

SETPOINT_GAP_K_MIN = 1.0
"""Minimum distance of heating and cooling setpoint: a smaller one would heat and cool the house in turn."""

ECO_HEAT_LIMIT_C = 16.7
ECO_COOL_LIMIT_C = 25.6
"""62 and 78 °F, the defaults of the AURRA contract (POST .../eco)."""


ALL_ZONES = "all"
"""In place of the id of a zone: every zone."""


class Mode(StrEnum):
    """What a zone may do to reach its setpoints."""

    HEAT = "heat"
    COOL = "cool"
    AUTO = "auto"
    OFF = "off"


HEATING_MODES = frozenset({Mode.HEAT, Mode.AUTO})
COOLING_MODES = frozenset({Mode.COOL, Mode.AUTO})


class Setpoints(msgspec.Struct, frozen=True):
    """Heat below the first, cool above the second. Between them the zone is idle."""

    heat_setpoint_c: float
    cool_setpoint_c: float


DEFAULT_SETPOINTS = Setpoints(20.0, 26.0)
"""Setpoints of a zone without a schedule: EN 16798-1 for dwellings, category II."""


class Day(StrEnum):
    """Days of the week, Monday first."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Day)


class Block(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of the day with its own setpoints. Fields that a newer release has added are ignored.

    Attributes:
        label: For people: Morning, Night.
        start: Wall-clock time as HH:MM.
        end: Wall-clock time as HH:MM; an end that is not after `start` is on the next day.
        heat_setpoint_c: Heat below it.
        cool_setpoint_c: Cool above it.
        days: The days on which the block starts.
        sensors: The sensors of the zone that count in this block; empty for all.
    """

    label: str
    start: str
    end: str
    heat_setpoint_c: float
    cool_setpoint_c: float
    days: tuple[Day, ...] = WEEK
    sensors: tuple[str, ...] = ()

    @property
    def setpoints(self) -> Setpoints:
        """Both setpoints."""
        return Setpoints(self.heat_setpoint_c, self.cool_setpoint_c)


class Schedule(msgspec.Struct, frozen=True):
    """A named week. The later of two overlapping blocks wins; a gap belongs to the block before it."""

    name: str
    blocks: tuple[Block, ...]


class DayException(msgspec.Struct, frozen=True):
    """Dates that follow the blocks of another day of the week.

    Attributes:
        first: The first date, as 2026-12-24.
        last: The last date, in the same form.
        as_day: The day whose blocks count.
    """

    first: str
    last: str
    as_day: Day


class HoldKind(StrEnum):
    """The kinds of holds, the weakest first."""

    HOLD = "hold"
    AWAY = "away"
    BOOST = "boost"


class Until(StrEnum):
    """What ends a hold."""

    NEXT_BLOCK = "next_block"
    TIME = "time"
    CHANGED = "changed"


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception from the schedule.

    Attributes:
        id: Unique in its zone. Cancelling and replacing use it.
        kind: Its kind.
        heat_setpoint_c: `None` keeps the setpoint of what the hold covers.
        cool_setpoint_c: `None` keeps the setpoint of what the hold covers.
        mode: `None` keeps the mode of what the hold covers.
        until: What ends it.
        start_utc_ms: When it begins; `None` for a hold that has begun.
        end_utc_ms: When it ends by the time of day; `None` while that is unknown, or without an end.
        end_boot: For a hold with a duration: the boot whose clock `end_ms` is on.
        end_ms: For a hold with a duration: its end on that clock.
        made_utc_ms: When it was made or, for a planned hold, began; 0 if unknown. The later of two holds counts.
        for_ms: Its duration; 0 for none. Of a hold until a time of day: its length, once it has begun.
        made_boot: The boot in which it was made or, for a planned hold, began. Empty in older files.
        limit_boot: For a hold that ends by the time of day: the boot whose clock `limit_ms` is on.
        limit_ms: For such a hold: it ends at the latest then on that clock, whatever becomes of the time of day.
    """

    id: str
    kind: HoldKind = HoldKind.HOLD
    heat_setpoint_c: float | None = None
    cool_setpoint_c: float | None = None
    mode: Mode | None = None
    until: Until = Until.CHANGED
    start_utc_ms: int | None = None
    end_utc_ms: int | None = None
    end_boot: str = ""
    end_ms: int = 0
    made_utc_ms: int = 0
    for_ms: int = 0
    made_boot: str = ""
    limit_boot: str = ""
    limit_ms: int = 0

    @property
    def begin_utc_ms(self) -> int:
        """When it began or will begin."""
        return self.made_utc_ms if self.start_utc_ms is None else self.start_utc_ms


class Eco(msgspec.Struct, frozen=True):
    """Bounds on the setpoints: heat to at most the first limit, cool to at least the second."""

    is_enabled: bool = False
    heat_limit_c: float = ECO_HEAT_LIMIT_C
    cool_limit_c: float = ECO_COOL_LIMIT_C


class Observation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What clients have reported about a zone. See `presence`.

    Attributes:
        is_window_open: A window is open.
        window_ms: When that was reported, on the clock of `window_boot`.
        window_boot: The boot in which it was reported.
        is_absent: Nobody is there.
        absent_ms: Since when, on the clock of `absent_boot`.
        absent_boot: The boot in which it was reported.
    """

    is_window_open: bool = False
    window_ms: int = 0
    window_boot: str = ""
    is_absent: bool = False
    absent_ms: int = 0
    absent_boot: str = ""


class LastScheduledBlock(msgspec.Struct, frozen=True):
    """The block that was in force last. A boot that does not know the time goes on with it.

    Attributes:
        setpoints: Of the block.
        label: Of the block.
        sensors: The sensors that count in it; empty for all, and in older files.
    """

    setpoints: Setpoints
    label: str
    sensors: tuple[str, ...] = ()


class ZoneProgram(msgspec.Struct, frozen=True):
    """Everything that people and programs have set for one zone. It survives a restart.

    Attributes:
        mode: What the zone may do.
        setpoints: In force without a schedule.
        schedules: By name, at most `requests.SCHEDULES_MAX`.
        schedule: The name of the active schedule; empty for none.
        holds: In the order in which they were made, at most `holds.HOLDS_MAX`.
        eco: Bounds on the setpoints.
        last: The block that was in force last.
        last_action: The id of the action that was put in force last: each is put in force once, whatever power cuts do.
        exceptions: The calendar, the one that was made last at the end; at most `calendar.EXCEPTIONS_MAX`.
        observed: What clients have reported about the zone.
    """

    mode: Mode = Mode.HEAT
    setpoints: Setpoints = DEFAULT_SETPOINTS
    schedules: dict[str, Schedule] = {}
    schedule: str = ""
    holds: tuple[Hold, ...] = ()
    eco: Eco = Eco()
    last: LastScheduledBlock | None = None
    last_action: str = ""
    exceptions: tuple[DayException, ...] = ()
    observed: Observation = Observation()

    @property
    def active_schedule(self) -> Schedule | None:
        """The schedule that the zone follows."""
        return self.schedules.get(self.schedule)


def check_setpoint(name: str, value_c: float) -> float:
    """Return a setpoint that is within its range.

    Raises:
        SettingInvalid: It is not.
    """
    if not isfinite(value_c) or not SETPOINT_C_MIN <= value_c <= SETPOINT_C_MAX:
        raise SettingInvalid(f"{name} is {value_c:g} °C; allowed are {SETPOINT_C_MIN:g} to {SETPOINT_C_MAX:g} °C")
    return value_c


def check_setpoints(setpoints: Setpoints, where: str = "") -> Setpoints:
    """Return setpoints that are valid together.

    Args:
        setpoints: The pair.
        where: Names the owner of the pair in the message.

    Raises:
        SettingInvalid: One is outside its range, or they are too close.
    """
    heat_c = check_setpoint(f"{where}heat setpoint", setpoints.heat_setpoint_c)
    cool_c = check_setpoint(f"{where}cool setpoint", setpoints.cool_setpoint_c)
    if cool_c - heat_c < SETPOINT_GAP_K_MIN:
        raise SettingInvalid(
            f"{where}heat setpoint {heat_c:g} °C and cool setpoint {cool_c:g} °C must be {SETPOINT_GAP_K_MIN:g} K apart"
        )
    return setpoints


def separate_setpoints(heat_c: float, cool_c: float, *, keep: Mode) -> Setpoints:
    """Return both setpoints at least `SETPOINT_GAP_K_MIN` apart.

    Args:
        heat_c: Heating setpoint.
        cool_c: Cooling setpoint.
        keep: COOL keeps the cooling setpoint and moves the heating setpoint; any other mode does the opposite.
    """
    if cool_c - heat_c >= SETPOINT_GAP_K_MIN:
        return Setpoints(heat_c, cool_c)
    if keep is Mode.COOL:
        return Setpoints(cool_c - SETPOINT_GAP_K_MIN, cool_c)
    return Setpoints(heat_c, heat_c + SETPOINT_GAP_K_MIN)
