"""Indicators of the health of a heated zone, from what its control sees each minute. Pure.

A day is 24 hours of measured time, so that sun, setbacks and people count the same in each. Two indicators come of it:

* **warmth**: how many kelvin above outside full output would keep the room, `lift / output`. In a steady state it is
  the emitted heat over the loss of the house; ISO 50006 and Energy Star's runtime method compare run time with degree
  days for the same reason. It falls with a clogged filter, lost refrigerant, scale, a worn pump, lost insulation.
* **run time a start**: the minutes that the output stays on. It falls where the equipment cycles: low flow, air in the
  circuit, a limiter that trips, a sensor beside the emitter.

Both depend on how hard the equipment works, and the first on the sun: `signature` says how.
"""

from enum import StrEnum
from math import cos, log, pi

import msgspec

DAY_S = 86_400.0
SPAN_MS_MAX = 36 * 3_600_000
"""A day whose minutes lie further apart than this had long gaps, and is dropped."""

OUTDOOR_SHARE_MIN = 0.9
"""Of the day the outdoor temperature must have been known for so much."""

LIFT_K_MIN = 5.0
OUTPUT_SHARE_MIN = 0.05
"""Below these, sun and people warm the room as much as the heating does: such a day tells nothing."""

CHANGE_K_MAX = 1.5
"""A room that ends the day warmer or colder by more than this has stored or given heat that is not counted."""

STARTS_MIN = 4
"""A day with fewer starts tells nothing about their length."""

OUTPUT_REST_MIN = 0.1
"""A run at nearly full output is no longer than at this rest: it ends by something else."""

SOLSTICE_MS = 1_734_772_860_000
"""The solstice of December 2024, 2024-12-21T09:21Z."""
YEAR_MS = 365.2422 * 86_400_000


class Indicator(StrEnum):
    """What is watched; the values are part of the local API."""

    WARMTH = "warmth"
    RUN_TIME = "run_time"


class SuddenIndicator(StrEnum):
    """What control reports of a zone at once; the value is part of the local API."""

    NO_WARMING = "no_warming"


class WearIndicator(StrEnum):
    """What wears with its use; the value is part of the local API."""

    SWITCHING = "switching"


class Sample(msgspec.Struct, frozen=True):
    """One zone over one minute or so.

    Attributes:
        room_c: Its temperature.
        outdoor_c: The temperature outside; `None` if it is not known.
        output: The share of full output that it gives, 0 to 1.
        dt_s: How long that lasted.
    """

    room_c: float
    outdoor_c: float | None
    output: float
    dt_s: float


class DayInProgress(msgspec.Struct, frozen=True):
    """The sums of a day that is not over.

    Attributes:
        began_utc_ms: When it began; `None` before the first sample.
        measured_s: The time that has been measured.
        outdoor_s: The part of it with a known outdoor temperature.
        on_s: The time with output.
        full_s: The output, in seconds of full output.
        lift_ks: The sum of room minus outside, in kelvin seconds.
        starts: How often the output came on.
        first_c: The room at the beginning.
        is_on: The output was on at the last sample; `None` where it is not known.
    """

    began_utc_ms: int | None = None
    measured_s: float = 0.0
    outdoor_s: float = 0.0
    on_s: float = 0.0
    full_s: float = 0.0
    lift_ks: float = 0.0
    starts: int = 0
    first_c: float = 0.0
    is_on: bool | None = None


class Day(msgspec.Struct, frozen=True):
    """One day of a zone.

    Attributes:
        ended_utc_ms: Its end.
        output: The mean output, as a share of full output.
        lift_k: How much warmer than outside the room was; `None` where that is not known.
        starts: How often the output came on.
        run_s: How long it stayed on each time; 0 without a start.
        change_k: How much warmer the room is at the end than at the beginning.
    """

    ended_utc_ms: int
    output: float
    lift_k: float | None
    starts: int
    run_s: float
    change_k: float


class Measured(msgspec.Struct, frozen=True):
    """An indicator of one day.

    Attributes:
        value: Of `Indicator.WARMTH` the mean output, of `Indicator.RUN_TIME` the logarithm of a run in minutes.
        load: What the value depends on: kelvin of room minus outside; the logarithm of what a run grows by with the
            output.
        sunshine: Where in the year the day lies: 0 at the solstice of winter, 1 at that of summer.
    """

    value: float
    load: float
    sunshine: float


def add_sample(day: DayInProgress, sample: Sample | None, utc_ms: int) -> tuple[DayInProgress, Day | None]:
    """Return the sums with a sample added, and the day that it completes.

    Args:
        day: The sums before.
        sample: What was measured; `None` for a time in which the zone's temperature is not the heating's doing, such as
            with an open window.
        utc_ms: The time of day.
    """
    if sample is None:
        return msgspec.structs.replace(day, is_on=None), None
    if day.began_utc_ms is None or not 0 <= utc_ms - day.began_utc_ms <= SPAN_MS_MAX:
        day = DayInProgress(began_utc_ms=utc_ms, first_c=sample.room_c, is_on=day.is_on)
    is_on = sample.output > 0.0
    is_known = sample.outdoor_c is not None
    lift_k = sample.room_c - sample.outdoor_c if sample.outdoor_c is not None else 0.0
    after = DayInProgress(
        began_utc_ms=day.began_utc_ms,
        measured_s=day.measured_s + sample.dt_s,
        outdoor_s=day.outdoor_s + (sample.dt_s if is_known else 0.0),
        on_s=day.on_s + (sample.dt_s if is_on else 0.0),
        full_s=day.full_s + sample.output * sample.dt_s,
        lift_ks=day.lift_ks + lift_k * sample.dt_s,
        starts=day.starts + (is_on and day.is_on is False),
        first_c=day.first_c,
        is_on=is_on,
    )
    if after.measured_s < DAY_S:
        return after, None
    is_outdoor_known = after.outdoor_s >= OUTDOOR_SHARE_MIN * after.measured_s
    done = Day(
        ended_utc_ms=utc_ms,
        output=after.full_s / after.measured_s,
        lift_k=after.lift_ks / after.outdoor_s if is_outdoor_known else None,
        starts=after.starts,
        run_s=after.on_s / after.starts if after.starts else 0.0,
        change_k=sample.room_c - after.first_c,
    )
    return DayInProgress(is_on=is_on), done


def measure(day: Day, indicator: Indicator, *, is_southern: bool = False) -> Measured | None:
    """Return an indicator of a day; `None` where the day tells nothing about it."""
    if day.output < OUTPUT_SHARE_MIN:
        return None
    sunshine = 0.5 * (1.0 - season_of(day.ended_utc_ms) * (-1.0 if is_southern else 1.0))
    if indicator is Indicator.WARMTH:
        if day.lift_k is None or day.lift_k < LIFT_K_MIN or abs(day.change_k) > CHANGE_K_MAX:
            return None
        return Measured(day.output, day.lift_k, sunshine)
    if day.starts < STARTS_MIN or day.run_s <= 0.0:
        return None
    return Measured(log(day.run_s / 60.0), -log(max(OUTPUT_REST_MIN, 1.0 - day.output)), sunshine)


def season_of(utc_ms: int) -> float:
    """Return where in the year a time lies: 1 at the solstice of December, -1 at that of June.

    Two days of the same value have about the same sun, in either hemisphere.
    """
    return cos(2.0 * pi * (utc_ms - SOLSTICE_MS) / YEAR_MS)
