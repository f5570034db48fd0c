"""What is kept of the pair of thermometers of one zone: the day in progress, and the drift of each indicator. Pure.

A day in an operating state is the mean of its readings; `agent.maintenance.machine_drift` learns and judges days.
"""

from collections.abc import Collection, Mapping
from math import hypot
from types import MappingProxyType

import msgspec

from agent.foundation.median import median
from agent.maintenance.machine_drift import JUMP_DAYS, BandValue, Drift, Scatter, add_bands, factor_of, jump_of
from agent.maintenance.pipe_readings import (
    CHANNEL_OF,
    EXCESS_K_MAX,
    EXCESS_K_MIN,
    REST,
    SIGN_OF,
    PipeChannel,
    PipeIndicator,
    PipePair,
    Steady,
    follow_steady,
    is_swapped,
    readings_of,
    spread_of,
)

DAY_MS = 86_400_000

READINGS_MIN = 3
"""A day with fewer readings in an operating state, a quarter of an hour, tells nothing about it."""

READINGS_MAX = 1_000_000
"""More, and sums of more, come from a damaged file."""

DAY_BANDS_MAX = 24
"""Operating states in a day, of both quantities."""

JUMP: Mapping[PipeChannel, float] = MappingProxyType({PipeChannel.SPREAD: 0.12, PipeChannel.SUPPLY: 0.10})
"""A value that jumps by more than this (as a logarithm) is another heating curve, pump setting or place of a
thermometer, or a repair, before it is wear."""

SCATTER: Mapping[PipeChannel, Scatter] = MappingProxyType(
    {
        PipeChannel.SPREAD: Scatter(sigma_min=0.03, season_sigma=0.03),
        PipeChannel.SUPPLY: Scatter(sigma_min=0.03, season_sigma=0.04),
    }
)
"""A settled spread repeats to a few percent; radiator valves close a little more in a milder season."""

THERMOMETERS_K = 0.2
"""By so much two thermometers move against each other in some years."""


class PipeBandDay(msgspec.Struct, frozen=True):
    """The readings of one operating state in a day: how many there were, and the sum of their logarithms."""

    channel: PipeChannel
    band: int
    readings: int = 0
    total: float = 0.0


class PipeDrift(msgspec.Struct, frozen=True):
    """The drift of one indicator, and by which factor (as a logarithm) its value jumped when it began anew."""

    indicator: PipeIndicator
    drift: Drift = Drift()
    jump: float | None = None


class PipeRecord(msgspec.Struct, frozen=True):
    """What is kept of one pair.

    Attributes:
        sensors: The names of the thermometers: others begin anew.
        began_utc_ms: When the day in progress began; `None` before the first sample of the pair.
        steady: The heating now.
        day: The readings of the day in progress.
        swapped: How many readings of it had a return warmer than the supply.
        is_swapped: The last day with readings had more of these than others.
        is_outdoor_missing: It had no temperature outside.
        excess_k: Supply minus room at the last reading.
        drifts: One for each indicator that has had a day.
    """

    sensors: tuple[str, ...] = ()
    began_utc_ms: int | None = None
    steady: Steady = REST
    day: tuple[PipeBandDay, ...] = ()
    swapped: int = 0
    is_swapped: bool = False
    is_outdoor_missing: bool = False
    excess_k: float = 0.0
    drifts: tuple[PipeDrift, ...] = ()

    def drift(self, indicator: PipeIndicator) -> PipeDrift:
        """Return what is known about an indicator."""
        return next((each for each in self.drifts if each.indicator is indicator), PipeDrift(indicator))


NO_PIPES = PipeRecord()


def observe_pair(
    record: PipeRecord,
    pair: PipePair | None,
    *,
    room_c: float | None,
    outdoor_c: float | None,
    output: float,
    dt_s: float,
    utc_ms: int,
) -> PipeRecord:
    """Return what is known after some time. Without a pair nothing is; another pair begins anew.

    Args:
        record: What was known.
        pair: The thermometers; `None` for a zone without both.
        room_c: The room; `None` where it is not known, or not the heating's doing.
        outdoor_c: The temperature outside; `None` if it is not known.
        output: The share of full output, 0 to 1.
        dt_s: The time.
        utc_ms: The time of day.
    """
    if pair is None:
        return NO_PIPES
    if pair.sensors != record.sensors:
        record = PipeRecord(pair.sensors)
    record = _with_day_ended(record, utc_ms)
    steady = follow_steady(record.steady, pair, room_c, output, dt_s)
    if steady.is_complete:
        excess_k, spread_k = steady.supply_ks / steady.counted_s, steady.spread_ks / steady.counted_s
        record = add_reading(record, excess_k, spread_k, steady.output, outdoor_c)
        steady = msgspec.structs.replace(steady, counted_s=0.0, supply_ks=0.0, spread_ks=0.0)
    if steady is record.steady or steady == record.steady:
        return record
    return msgspec.structs.replace(record, steady=steady)


def add_reading(
    record: PipeRecord, excess_k: float, spread_k: float, output: float, outdoor_c: float | None
) -> PipeRecord:
    """Return what is known after a reading, whose arguments are those of `readings_of`."""
    if is_swapped(excess_k, spread_k):
        return msgspec.structs.replace(record, swapped=min(READINGS_MAX, record.swapped + 1))
    day = record.day
    readings = readings_of(excess_k, spread_k, output, outdoor_c)
    for each in readings:
        before = next((one for one in day if (one.channel, one.band) == (each.channel, each.band)), None)
        if before is None:
            if len(day) >= DAY_BANDS_MAX:
                continue
            before = PipeBandDay(each.channel, each.band)
        count, total = min(READINGS_MAX, before.readings + 1), round(before.total + each.value, 4)
        after = PipeBandDay(each.channel, each.band, count, total)
        day = (*[one for one in day if one is not before], after)
    return msgspec.structs.replace(record, day=day, excess_k=round(excess_k, 1)) if readings else record


def _with_day_ended(record: PipeRecord, utc_ms: int) -> PipeRecord:
    began = record.began_utc_ms
    # A clock that steps back a little goes on with the day; one that is set back by more than a day begins another.
    if began is not None and abs(utc_ms - began) < DAY_MS:
        return record
    if began is not None and began < utc_ms:
        record = complete_day(record, began + DAY_MS)
    return msgspec.structs.replace(record, began_utc_ms=utc_ms, day=(), swapped=0)


def complete_day(record: PipeRecord, utc_ms: int) -> PipeRecord:
    """Return what is known after the day in progress, which ended at a time; `machine_drift.add_bands` judges it."""
    seen = sum(each.readings for each in record.day if each.channel is PipeChannel.SPREAD)
    if not seen and not record.swapped:
        return record
    if record.swapped > seen:
        return msgspec.structs.replace(record, is_swapped=True)
    drifts = []
    for indicator in PipeIndicator:
        channel = CHANNEL_OF[indicator]
        bands = [
            BandValue(each.band, each.readings, SIGN_OF[indicator] * each.total / each.readings)
            for each in record.day
            if each.channel is channel and each.readings >= READINGS_MIN
        ]
        known = record.drift(indicator)
        drift = add_bands(known.drift, bands, utc_ms, _scatter(known, record.excess_k))
        if drift is not known.drift:
            known = _checked(PipeDrift(indicator, drift, known.jump))
        if known != PipeDrift(indicator):
            drifts.append(known)
    has_outdoor = any(each.channel is PipeChannel.SUPPLY for each in record.day)
    return msgspec.structs.replace(record, drifts=tuple(drifts), is_swapped=False, is_outdoor_missing=not has_outdoor)


def _scatter(known: PipeDrift, excess_k: float) -> Scatter:
    """Return how much an indicator changes without a reason: a smaller spread more, by the thermometers."""
    channel = CHANNEL_OF[known.indicator]
    scatter, usual_k = SCATTER[channel], min(EXCESS_K_MAX, max(EXCESS_K_MIN, excess_k))
    learned = [each for each in known.drift.baselines if each.values]
    if channel is PipeChannel.SPREAD and learned:
        units = factor_of(SIGN_OF[known.indicator] * median(max(learned, key=lambda each: len(each.values)).values))
        usual_k = max(THERMOMETERS_K, spread_of(units, usual_k))
    return Scatter(hypot(scatter.sigma_min, THERMOMETERS_K / usual_k), scatter.season_sigma)


def _checked(known: PipeDrift) -> PipeDrift:
    """Return a drift begun anew where its value has jumped, or is another than it was learned from the first day on."""
    limit, below = JUMP[CHANNEL_OF[known.indicator]], [change for change, _ in known.drift.recent]
    jump = jump_of(known.drift, limit)
    if len(below) == JUMP_DAYS and (min(below) > limit or max(below) < -limit):
        jump = -median(below)
    if jump is not None:
        return PipeDrift(known.indicator, Drift(), round(SIGN_OF[known.indicator] * jump, 3))
    return PipeDrift(known.indicator, known.drift) if known.drift.is_judged else known


def begun_anew(record: PipeRecord, indicators: Collection[PipeIndicator]) -> PipeRecord:
    """Return a record without what was learned of some indicators: the heating was serviced."""
    kept = tuple(each for each in record.drifts if each.indicator not in indicators)
    return record if len(kept) == len(record.drifts) else msgspec.structs.replace(record, drifts=kept)
