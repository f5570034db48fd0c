"""One room temperature from several sensors, each with its age and quality. Pure.

A sensor counts by its weight, fades as it gets old and falls out when it is too old, suspect, bad or outside what a
room can be. One that contradicts the others is left out where it can be told which one is wrong.
"""

from collections.abc import Sequence

import msgspec

from hal.interface import Quality

INDOOR_C_MIN = -15.0
INDOOR_C_MAX = 55.0
"""What a sensor in a building can honestly say: an unheated attic in frost, a conservatory in July."""

DISAGREE_K = 4.0
"""Sensors of one zone that are farther apart than this do not measure the same room."""

CONTRADICTION_K = 6.0
"""Two that are farther apart than this, and nobody to tell which is wrong, have no middle that could be heated by."""

MAJORITY_MIN = 3


class SensorSample(msgspec.Struct, frozen=True):
    """The latest reading of one sensor.

    Attributes:
        sensor: Its name, for people.
        value_c: What it said.
        age_s: How old that is.
        quality: What its judge said.
        weight: How much it counts, above 0.
        last_valid_c: What it said last that was possible, where it has said something impossible since; else `None`.
    """

    sensor: str
    value_c: float
    age_s: float
    quality: Quality = Quality.GOOD
    weight: float = 1.0
    last_valid_c: float | None = None


class ZoneTemperature(msgspec.Struct, frozen=True):
    """What is known of a zone's temperature.

    Attributes:
        value_c: `None` where nothing can be believed, and where two sensors contradict each other strongly.
        age_s: Of the newest sensor that counts.
        used: How many sensors count.
        coldest_c: The lowest that any believable sensor of the zone says; without any, the lowest that a doubted one
            says. `None` where there is none.
        problem: What is the matter with the sensors, in words; empty where nothing is.
        warmest_c: The highest that any believable sensor says, one that another zone speaks against included: a limit
            goes by the warmest, not by the mean. `None` where there is none.
        values_c: What the sensors that count say, as they say it.
    """

    value_c: float | None
    age_s: float
    used: int
    coldest_c: float | None
    problem: str = ""
    warmest_c: float | None = None
    values_c: tuple[float, ...] = ()


NO_READING = ZoneTemperature(None, 0.0, 0, None, "no sensor has said anything yet")


def rejection_reason(sample: SensorSample, stale_s: float) -> str:
    """Return why a sensor does not count, in words; empty where it does."""
    if sample.quality is not Quality.GOOD:
        return f"{sample.sensor} is {sample.quality.value}"
    if not INDOOR_C_MIN <= sample.value_c <= INDOOR_C_MAX:
        return f"{sample.sensor} says {sample.value_c:.1f} °C"
    if sample.age_s > stale_s:
        return f"{sample.sensor} is silent for {sample.age_s / 60:.0f} min"
    if sample.last_valid_c is not None:
        return f"{sample.sensor} jumped from {sample.last_valid_c:.1f} to {sample.value_c:.1f} °C"
    return ""


def _is_only_doubted(sample: SensorSample, stale_s: float) -> bool:
    """Return whether nothing but its jump speaks against a sensor."""
    return sample.last_valid_c is not None and not rejection_reason(
        msgspec.structs.replace(sample, last_valid_c=None), stale_s
    )


def fuse(samples: Sequence[SensorSample], *, stale_s: float, home_median_c: float | None = None) -> ZoneTemperature:
    """Return the temperature of a zone.

    Args:
        samples: One of each sensor of the zone that has ever said anything.
        stale_s: Older readings do not count; from half of that age on they fade.
        home_median_c: The middle of all other zones, to tell which of two that disagree is wrong.
    """
    if not samples:
        return NO_READING
    good: list[SensorSample] = []
    problems: list[str] = []
    for sample in samples:
        if problem := rejection_reason(sample, stale_s):
            problems.append(problem)
        else:
            good.append(sample)
    if not good:
        # One that jumped down may be right: see `blind`.
        doubted_c = [sample.value_c for sample in samples if _is_only_doubted(sample, stale_s)]
        return ZoneTemperature(None, 0.0, 0, min(doubted_c, default=None), "; ".join(problems))
    usable = good
    if len(good) > 1:
        good = _agreed(good, home_median_c, problems)
    # What a majority speaks against is wrong; of two, the warmer one may be right for all that.
    warmest_c = max(sample.value_c for sample in (usable if len(usable) < MAJORITY_MIN else good))
    coldest_c = min(sample.value_c for sample in good)
    if len(good) < MAJORITY_MIN and warmest_c - coldest_c > CONTRADICTION_K and good is usable:
        return ZoneTemperature(None, 0.0, 0, coldest_c, "; ".join(problems), warmest_c)
    total = weights = 0.0
    for sample in good:
        weight = sample.weight * min(1.0, max(0.01, 2.0 - 2.0 * sample.age_s / stale_s))
        total += weight * sample.value_c
        weights += weight
    return ZoneTemperature(
        value_c=total / weights,
        age_s=min(sample.age_s for sample in good),
        used=len(good),
        coldest_c=coldest_c,
        problem="; ".join(problems),
        warmest_c=warmest_c,
        values_c=tuple([sample.value_c for sample in good]),
    )


def _agreed(good: list[SensorSample], home_median_c: float | None, problems: list[str]) -> list[SensorSample]:
    """Return the samples without those that contradict the others."""
    values = [sample.value_c for sample in good]
    if max(values) - min(values) <= DISAGREE_K:
        return good
    if len(good) >= MAJORITY_MIN:
        middle = sorted(values)[len(values) // 2]
    elif home_median_c is not None:
        middle = min(values, key=lambda value_c: abs(value_c - home_median_c))
    else:
        problems.append(f"{good[0].sensor} and {good[1].sensor} disagree by {max(values) - min(values):.1f} K")
        return good
    kept = [sample for sample in good if abs(sample.value_c - middle) <= DISAGREE_K]
    problems += [
        f"{sample.sensor} contradicts the others: {sample.value_c:.1f} °C"
        for sample in good
        if abs(sample.value_c - middle) > DISAGREE_K
    ]
    return kept
