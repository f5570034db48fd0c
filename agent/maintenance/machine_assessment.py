"""What is known about one machine of which measurements are posted, and what people get of it. Pure.

A day of posts becomes one value for each operating state, the median; days are learned and judged by
`agent.maintenance.machine_drift`. "Unknown" is an answer and never an alert.
"""

from collections.abc import Collection, Mapping, Sequence
from math import exp, log
from types import MappingProxyType

import msgspec

from agent.foundation.median import median
from agent.foundation.phrase import Phrase, phrase
from agent.maintenance.assessment import FRESH_MS, NEEDED, Finding
from agent.maintenance.drift_finding import NO_TIME, finding_of, why_not_judged
from agent.maintenance.machine_drift import (
    BandValue,
    Drift,
    MachineModel,
    Scatter,
    add_bands,
    factor_of,
    features,
    jump_of,
)
from agent.maintenance.machine_readings import (
    CHANNEL_OF,
    SIGN_OF,
    Channel,
    MachineIndicator,
    Post,
    PowerPost,
    VibrationPost,
    ZoneState,
    readings_of,
    velocity_rms_mm_s,
)

DAY_MS = 86_400_000

SPACING_MS = 30_000
"""Of the posts of a kind one in this time counts: AURRA's clients send one a minute at most."""

AGE_MS_MAX = 26 * 3_600_000
AHEAD_MS_MAX = 300_000
"""A post from another time than this before or after now is none about the machine's present state."""

READINGS_MIN = 3
"""A day with fewer readings in an operating state tells nothing about it."""

READINGS_KEPT_MAX = 16
"""Of an operating state in a day; beyond that every second one is dropped, so that they stay spread over the day."""

DAY_BANDS_MAX = 12
"""Operating states in a day."""

JUMP: Mapping[Channel, float] = MappingProxyType(
    {Channel.CURRENT: 0.10, Channel.INRUSH: 0.15, Channel.AMPLITUDE: 0.20, Channel.POWER: 0.10}
)
"""A value that jumps by more than this (as a logarithm) is another sensor, another place, another machine or a repair
before it is wear (`machine_drift.jump_of`)."""


SCATTER: Mapping[Channel, Scatter] = MappingProxyType(
    {
        Channel.CURRENT: Scatter(sigma_min=0.02, season_sigma=0.04),
        Channel.INRUSH: Scatter(sigma_min=0.04, season_sigma=0.04),
        Channel.AMPLITUDE: Scatter(sigma_min=0.08, season_sigma=0.05),
        Channel.POWER: Scatter(sigma_min=0.02, season_sigma=0.04),
    }
)
"""A current at the same load repeats to a few percent, an amplitude less well; the season changes both little."""


class BandDay(msgspec.Struct, frozen=True):
    """The readings of one operating state in a day.

    Attributes:
        channel: What was measured.
        band: The operating state.
        seen: How many readings there were.
        stride: One reading of so many is kept.
        values: Those that are kept, as logarithms.
    """

    channel: Channel
    band: int
    seen: int = 0
    stride: int = 1
    values: tuple[float, ...] = ()


class MachineDrift(msgspec.Struct, frozen=True):
    """The drift of one indicator, and by which factor (as a logarithm) its value jumped when it began anew."""

    indicator: MachineIndicator
    drift: Drift = Drift()
    jump: float | None = None


class MachineRecord(msgspec.Struct, frozen=True):
    """What is kept of one machine.

    Attributes:
        zone_id: Of which zone.
        source: Who posts: readings of two senders are two machines.
        began_utc_ms: When the day in progress began; `None` before the first reading.
        energy_utc_ms: The time of the last energy post that was counted; `None` before the first.
        vibration_utc_ms: The same for vibration.
        frequency_hz: Of the last vibration post; 0 where it is not known.
        day: The readings of the day in progress.
        drifts: One for each indicator that has had a reading.
        name: Who posts, for people; empty where it was not known yet.
        power_utc_ms: The time of the last power of a plug that was counted; `None` before the first.
        is_own: The hub measures it itself, and nobody posts it.
    """

    zone_id: str
    source: str
    began_utc_ms: int | None = None
    energy_utc_ms: int | None = None
    vibration_utc_ms: int | None = None
    frequency_hz: float = 0.0
    day: tuple[BandDay, ...] = ()
    drifts: tuple[MachineDrift, ...] = ()
    name: str = ""
    power_utc_ms: int | None = None
    is_own: bool = False

    @property
    def last_utc_ms(self) -> int:
        """The time of the last post that was counted."""
        return max(self.energy_utc_ms or 0, self.vibration_utc_ms or 0, self.power_utc_ms or 0)

    def last_of(self, post: Post) -> int | None:
        """Return the time of the last post of the kind of this one; `None` before the first."""
        if isinstance(post, PowerPost):
            return self.power_utc_ms
        return self.vibration_utc_ms if isinstance(post, VibrationPost) else self.energy_utc_ms

    def drift(self, indicator: MachineIndicator) -> MachineDrift:
        """Return what is known about an indicator."""
        return next((each for each in self.drifts if each.indicator is indicator), MachineDrift(indicator))


def observe_post(record: MachineRecord, post: Post, state: ZoneState, utc_ms: int) -> MachineRecord:
    """Return what is known after a post. One that is repeated, too early, too old or of the future changes nothing.

    Args:
        record: What was known.
        post: The measurement.
        state: What the hub does in the zone.
        utc_ms: The time of day.
    """
    if why_not_counted(record, post, state, utc_ms):
        return record
    record = _with_day_ended(record, utc_ms)
    day = record.day
    for reading in readings_of(post, state):
        day = _with_reading(day, reading.channel, reading.band, reading.value)
    if isinstance(post, PowerPost):
        return msgspec.structs.replace(record, day=day, power_utc_ms=post.utc_ms)
    if isinstance(post, VibrationPost):
        return msgspec.structs.replace(record, day=day, vibration_utc_ms=post.utc_ms, frequency_hz=post.frequency_hz)
    return msgspec.structs.replace(record, day=day, energy_utc_ms=post.utc_ms)


def why_not_counted(record: MachineRecord, post: Post, state: ZoneState, utc_ms: int) -> str:
    """Return why a post changes nothing of what is known, for people; empty where it counts. As `observe_post`."""
    last_ms = record.last_of(post)
    if not utc_ms - AGE_MS_MAX <= post.utc_ms <= utc_ms + AHEAD_MS_MAX:
        return "its time is more than 26 hours ago, or in the future"
    # A time after now is one of a clock that has been set back since: the posts of now count again.
    if last_ms is not None and last_ms <= utc_ms + AHEAD_MS_MAX and post.utc_ms < last_ms + SPACING_MS:
        return "its time is not 30 seconds after that of the last post of its kind"
    if not readings_of(post, state):
        return "the machine did not run, or a value is none that a machine has"
    return ""


def _with_day_ended(record: MachineRecord, utc_ms: int) -> MachineRecord:
    began = record.began_utc_ms
    # A clock that steps back a little goes on with the day; one that is set back by more than a day begins another.
    if began is not None and abs(utc_ms - began) < DAY_MS:
        return record
    if began is not None and began < utc_ms:
        record = complete_day(record, record.day, began + DAY_MS)
    return msgspec.structs.replace(record, began_utc_ms=utc_ms, day=())


def _with_reading(day: tuple[BandDay, ...], channel: Channel, band: int, value: float) -> tuple[BandDay, ...]:
    before = next((each for each in day if (each.channel, each.band) == (channel, band)), None)
    if before is None:
        if sum(each.channel is channel for each in day) >= DAY_BANDS_MAX:
            return day
        before = BandDay(channel, band)
    values, stride = before.values, before.stride
    if before.seen % stride == 0:
        values = (*values, round(value, 4))
    if len(values) > READINGS_KEPT_MAX:
        values, stride = values[::2], 2 * stride
    after = BandDay(channel, band, before.seen + 1, stride, values)
    return (*[each for each in day if each is not before], after)


def complete_day(record: MachineRecord, day: Sequence[BandDay], utc_ms: int) -> MachineRecord:
    """Return what is known after a day that ended at a time.

    How its operating states are learned and judged: `machine_drift.add_bands`.
    """
    drifts = []
    for indicator in MachineIndicator:
        of_channel = (each for each in day if each.channel is CHANNEL_OF[indicator] and each.values)
        bands = [
            BandValue(each.band, each.seen, SIGN_OF[indicator] * median(each.values))
            for each in of_channel
            if each.seen >= READINGS_MIN
        ]
        known = record.drift(indicator)
        drift = add_bands(known.drift, bands, utc_ms, SCATTER[CHANNEL_OF[indicator]])
        if drift is not known.drift:
            drifts.append(_checked(msgspec.structs.replace(known, drift=drift)))
        elif known != MachineDrift(indicator):
            drifts.append(known)
    return msgspec.structs.replace(record, drifts=tuple(drifts))


def _checked(known: MachineDrift) -> MachineDrift:
    """Return a drift begun anew where its value has jumped."""
    jump = jump_of(known.drift, JUMP[CHANNEL_OF[known.indicator]])
    if jump is not None:
        return MachineDrift(known.indicator, Drift(), round(SIGN_OF[known.indicator] * jump, 3))
    return known if known.jump is None or not known.drift.is_judged else MachineDrift(known.indicator, known.drift)


def begun_anew(record: MachineRecord, indicators: Collection[MachineIndicator]) -> MachineRecord:
    """Return a record without what was learned of some indicators: the machine was serviced."""
    kept = tuple(each for each in record.drifts if each.indicator not in indicators)
    return record if len(kept) == len(record.drifts) else msgspec.structs.replace(record, drifts=kept)


def find(
    record: MachineRecord,
    models: Mapping[MachineIndicator, MachineModel],
    utc_ms: int | None,
    *,
    threshold: float = NEEDED,
) -> list[Finding]:
    """Return what is known about the indicators of which the machine has had readings.

    Args:
        record: What is known about the machine.
        models: Give the confidence; without one an indicator is unknown, and says so.
        utc_ms: The time of day; `None` if it is not known.
        threshold: The confidence from which on maintenance is needed.
    """
    begun = {each.channel for each in record.day}
    return [
        _found(record, indicator, models.get(indicator), utc_ms, threshold)
        for indicator in MachineIndicator
        if CHANNEL_OF[indicator] in begun or record.drift(indicator).drift.baselines or record.drift(indicator).jump
    ]


def _found(
    record: MachineRecord,
    indicator: MachineIndicator,
    model: MachineModel | None,
    utc_ms: int | None,
    threshold: float,
) -> Finding:
    known = record.drift(indicator)
    return finding_of(
        indicator,
        known.drift,
        weighed=features(known.drift),
        unknown=_why_unknown(known, utc_ms),
        evidence=_evidence(record, indicator, known.drift),
        model=model,
        threshold=threshold,
    )


_MORE = "{percent} % more"
_LESS = "{percent} % less"
_ANEW = "{change} from one day to the next: another sensor, place or machine, or a repair, is learned anew; {rest}"
_NOT_FRESH = "no comparable day for 30 days: nothing is measured, or in another operating state than before"


def _why_unknown(known: MachineDrift, utc_ms: int | None) -> str:
    drift = known.drift
    if not drift.is_judged:
        rest = why_not_judged(drift)
        change = "" if known.jump is None else _change(factor_of(known.jump))
        return phrase(_ANEW, change=change, rest=rest) if change else rest
    if utc_ms is None:
        return NO_TIME
    return _NOT_FRESH if drift.last_utc_ms is None or utc_ms - drift.last_utc_ms > FRESH_MS else ""


_MEASURED: Mapping[Channel, tuple[str, str]] = MappingProxyType(
    {
        Channel.CURRENT: ("draws {value} A", "A"),
        Channel.INRUSH: ("draws at a start {value} A", "A"),
        Channel.AMPLITUDE: ("vibrates with {value} g", "g"),
        Channel.POWER: ("draws {value} W", "W"),
    }
)
"""What a machine does, and the unit of it."""

_DIFFERENT = "{now}, {change} than usual ({then} {unit}) in the same operating state"
_SAME = "{now}, the same as usual ({then} {unit}) in the same operating state"
_VELOCITY = "{evidence}; {velocity} mm/s RMS at {frequency} Hz"


def _evidence(record: MachineRecord, indicator: MachineIndicator, drift: Drift) -> Phrase:
    """Return the numbers of the last judged days."""
    below_now, below_then = drift.now_and_then or (1.0, 1.0)
    now, then = (exp(SIGN_OF[indicator] * log(each)) for each in (below_now, below_then))
    measured, unit = _MEASURED[CHANNEL_OF[indicator]]
    named = {"now": phrase(measured, value=_written(now)), "then": _written(then), "unit": unit}
    change = _change(now / then)
    text = phrase(_DIFFERENT, change=change, **named) if change else phrase(_SAME, **named)
    velocity = velocity_rms_mm_s(now, record.frequency_hz) if indicator is MachineIndicator.VIBRATION else None
    if velocity is None:
        return text
    return phrase(_VELOCITY, evidence=text, velocity=f"{velocity:.2g}", frequency=f"{record.frequency_hz:.3g}")


def _change(factor: float) -> str:
    """Return by how much a value has changed, in words; empty for less than half a percent."""
    more = round((factor - 1.0) * 100)
    return phrase(_MORE if more > 0 else _LESS, percent=str(abs(more))) if more else ""


def _written(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"
