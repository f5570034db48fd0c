"""What is known about the heating of one zone, and what people get of it: findings in words with numbers. Pure.

"Unknown" is an answer: no baseline yet, no outdoor temperature, other sensors. It is never an alert.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from agent.foundation.phrase import phrase
from agent.maintenance.confidence import CalibratedModel, features
from agent.maintenance.curve import CurveDay, with_day
from agent.maintenance.drift import BASELINE_DAYS, DAY_MS, RECENT_DAYS, Drift, add_day
from agent.maintenance.indicators import (
    Day,
    DayInProgress,
    Indicator,
    Sample,
    SuddenIndicator,
    WearIndicator,
    add_sample,
    measure,
)
from agent.maintenance.machine_readings import MachineIndicator
from agent.maintenance.pipe_readings import PipeIndicator
from agent.maintenance.pipe_record import NO_PIPES, PipeRecord
from agent.maintenance.signature import SIGNATURES
from agent.maintenance.sudden import NoWarming, Response
from agent.maintenance.switching import RATED_STARTS, Switching

LIKELY = 0.5
"""From this confidence on a fault is more likely than not: a prediction is shown."""

NEEDED = 0.72
"""From this confidence on maintenance is needed, unless configured otherwise: AURRA Home's documented threshold of
alerts."""

FRESH_MS = 30 * 86_400_000
"""A finding whose last judged day is older than this is unknown: a summer tells nothing about heating."""


class FindingState(StrEnum):
    """The answer to whether something is wrong; the values are part of the local API."""

    UNKNOWN = "unknown"
    USUAL = "usual"
    LIKELY = "likely"
    NEEDED = "needed"


class Advice(msgspec.Struct, frozen=True):
    """What an indicator is called, what it means when it is worse than usual, and what to do about it."""

    name: str
    issue: str
    action: str


AnyIndicator = Indicator | SuddenIndicator | WearIndicator | PipeIndicator | MachineIndicator

ADVICE: Mapping[AnyIndicator, Advice] = MappingProxyType(
    {
        Indicator.WARMTH: Advice(
            "heat of the run time",
            "less heat from the same run time",
            "check filter, water pressure, pump, refrigerant and heat exchanger, then insulation and open flaps",
        ),
        Indicator.RUN_TIME: Advice(
            "length of a run",
            "the heating starts more often and runs for a shorter time",
            "bleed the circuit and check flow, pump and limiter, then whether a sensor hangs beside the emitter",
        ),
        SuddenIndicator.NO_WARMING: Advice(
            "warming when heated",
            "the zone is heated and does not get warmer",
            "look for an open window, then check boiler or heat pump, its pump and the valve of the zone",
        ),
        WearIndicator.SWITCHING: Advice(
            "switching of the output",
            "the output has been switched nearly as often as relays are made for",
            "have its relay looked at before winter",
        ),
        PipeIndicator.SPREAD: Advice(
            "spread of supply and return",
            "supply and return are further apart than usual: too little water flows",
            "check the water pressure, bleed the circuit, clean filter and dirt separator, then check pump and valves",
        ),
        PipeIndicator.LOW_SPREAD: Advice(
            "spread of supply and return, too small",
            "the return is warmer than usual: the heat is not given off",
            "bleed the emitters, then check bypass, valves and the setting of the pump",
        ),
        PipeIndicator.LOW_SUPPLY: Advice(
            "supply temperature",
            "the supply gets less warm than usual in the same weather",
            "check the heating curve, then have burner, heat exchanger or refrigerant of the heat source checked",
        ),
        MachineIndicator.CURRENT: Advice(
            "current of a machine",
            "a machine draws more current at the same load",
            "clean filter and coil, then have run capacitor, bearings and wiring checked",
        ),
        MachineIndicator.LOW_CURRENT: Advice(
            "current of a machine, too low",
            "a machine draws less current at the same load",
            "change the filter and check flaps, belt and pump, then have the refrigerant checked",
        ),
        MachineIndicator.INRUSH: Advice(
            "current at a start",
            "a machine draws more current when it starts",
            "have start capacitor and wiring checked, then whether the machine turns freely",
        ),
        MachineIndicator.VIBRATION: Advice(
            "vibration of a machine",
            "a machine vibrates more at the same speed",
            "clean the fan wheel, tighten mounts and screws, then have the machine's vibration recorded and analysed",
        ),
        MachineIndicator.POWER: Advice(
            "power at the plug",
            "a machine draws more power at the same load",
            "clean filter and coil, then have run capacitor, bearings and wiring checked",
        ),
        MachineIndicator.LOW_POWER: Advice(
            "power at the plug, too low",
            "a machine draws less power at the same load",
            "change the filter and check flaps, belt and pump, then have the refrigerant checked",
        ),
    }
)


class Finding(msgspec.Struct, frozen=True):
    """What is known about one indicator.

    Attributes:
        indicator: Which.
        state: The answer.
        confidence: The probability that something is wrong, 0 to 1; `None` where it is unknown.
        evidence: The numbers behind it, or why it is unknown, for people.
        since_utc_ms: Since when the indicator is worse than usual; `None` where it is not.
        shift: By which share the indicator is worse than its usual value now; below 0 where it is better.
        features: What a calibrated model weighs; empty where nothing has been measured yet.
    """

    indicator: AnyIndicator
    state: FindingState
    confidence: float | None
    evidence: str
    since_utc_ms: int | None = None
    shift: float = 0.0
    features: tuple[float, ...] = ()

    @property
    def advice(self) -> Advice:
        """What it means and what to do, where something is wrong."""
        return ADVICE[self.indicator]

    @property
    def is_fault(self) -> bool:
        """Whether something is more likely wrong than not."""
        return self.state in {FindingState.LIKELY, FindingState.NEEDED}


class ZoneRecord(msgspec.Struct, frozen=True):
    """What is kept of one zone.

    Attributes:
        sensors: The names of its sensors, each with the address of its device; empty for one of the hub's own, or one
            that is not known yet.
        day: The day that is not over.
        warmth: The drift of `Indicator.WARMTH`.
        run_time: That of `Indicator.RUN_TIME`.
        is_outdoor_missing: The last day had no outdoor temperature.
        warmth_curve: The last days of `Indicator.WARMTH` (see `agent.maintenance.curve`). A service begins the drift
            anew and not the curve.
        run_time_curve: Those of `Indicator.RUN_TIME`.
        no_warming: The last report of control about `SuddenIndicator.NO_WARMING`.
        switching: How often its output has been switched on.
        pipes: What the thermometers on its supply and return have shown.
    """

    sensors: tuple[tuple[str, str], ...] = ()
    day: DayInProgress = DayInProgress()
    warmth: Drift = Drift()
    run_time: Drift = Drift()
    is_outdoor_missing: bool = False
    warmth_curve: bytes = b""
    run_time_curve: bytes = b""
    no_warming: NoWarming = NoWarming()
    switching: Switching = Switching()
    pipes: PipeRecord = NO_PIPES

    def curve(self, indicator: Indicator) -> bytes:
        """Return the last days of an indicator."""
        return self.warmth_curve if indicator is Indicator.WARMTH else self.run_time_curve

    def drift(self, indicator: Indicator) -> Drift:
        """Return the drift of an indicator."""
        return self.warmth if indicator is Indicator.WARMTH else self.run_time


def observe(
    record: ZoneRecord, sensors: Mapping[str, str], sample: Sample | None, utc_ms: int, *, is_southern: bool = False
) -> ZoneRecord:
    """Return what is known after one more sample. Other sensors begin anew: they see another part of the room.

    Args:
        record: What was known.
        sensors: The zone's sensors with the addresses of their devices, as far as these are known.
        sample: See `add_sample`.
        utc_ms: The time of day.
        is_southern: The house is in the southern hemisphere.
    """
    known = dict(record.sensors)
    if known and are_others(known, sensors):
        record, known = ZoneRecord(switching=record.switching, pipes=record.pipes), {}
    now = tuple(sorted((name, device or known.get(name, "")) for name, device in sensors.items()))
    day, done = add_sample(record.day, sample, utc_ms)
    record = msgspec.structs.replace(record, sensors=now, day=day)
    return record if done is None else complete_day(record, done, is_southern=is_southern)


def are_others(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return whether a zone has other sensors than before. A device whose address is not known yet may be the same."""
    return before.keys() != now.keys() or any(
        before[name] and device and before[name] != device for name, device in now.items()
    )


def complete_day(record: ZoneRecord, day: Day, *, is_southern: bool = False) -> ZoneRecord:
    """Return what is known after one more day; in the southern hemisphere the sun is highest in December."""
    known: dict[str, Drift | bytes] = {}
    for indicator in Indicator:
        measured = measure(day, indicator, is_southern=is_southern)
        if measured is not None:
            signature = SIGNATURES[indicator]
            drift = add_day(record.drift(indicator), measured, day.ended_utc_ms, signature)
            expected = signature.shown(signature.expect((*drift.reference, 0.0), measured).value)
            added = CurveDay(day.ended_utc_ms // DAY_MS, signature.shown(measured.value), expected)
            known[indicator.value] = drift
            known[f"{indicator.value}_curve"] = with_day(record.curve(indicator), added)
    return msgspec.structs.replace(record, **known, is_outdoor_missing=day.lift_k is None)


def find(
    record: ZoneRecord,
    indicator: Indicator,
    model: CalibratedModel | None,
    utc_ms: int | None,
    *,
    threshold: float = NEEDED,
) -> Finding:
    """Return what is known about an indicator.

    Args:
        record: What is known about the zone.
        indicator: Which.
        model: Gives the confidence; `None` where there is none for this indicator.
        utc_ms: The time of day; `None` if it is not known.
        threshold: The confidence from which on maintenance is needed.
    """
    drift = record.drift(indicator)
    weighed = tuple(round(each, 4) for each in (features(drift.signs[-1]) if drift.signs else ()))
    if reason := _why_unknown(record, indicator, utc_ms):
        return Finding(indicator, FindingState.UNKNOWN, None, reason, features=weighed)
    evidence = _evidence(indicator, drift)
    if model is None:
        return Finding(indicator, FindingState.UNKNOWN, None, evidence, drift.since_utc_ms, features=weighed)
    confidence = round(model.probability(drift), 3)
    state = state_of(confidence, threshold)
    return Finding(indicator, state, confidence, evidence, drift.since_utc_ms, round(drift.shift, 4), weighed)


def find_sudden(known: NoWarming, seen: Response) -> Finding | None:
    """Return what is known about a zone that control has reported as heated and not getting warmer; `None` without.

    Args:
        known: The last report.
        seen: What control says now.
    """
    if known.since_utc_ms is None:
        return None
    hours = known.lasted_s / 3600.0
    room_c = known.lowest_c if seen.room_c is None else seen.room_c
    if seen.room_c is None:
        evidence = phrase(_BLIND, hours=f"{hours:.1f}", room=f"{room_c:.1f}")
    elif known.is_reported:
        evidence = phrase(
            _IN_VAIN,
            hours=f"{hours:.1f}",
            room=f"{room_c:.1f}",
            then=f"{known.first_c:.1f}",
            setpoint=f"{known.setpoint_c:.1f}",
        )
    else:
        evidence = phrase(_NOT_WARMER_YET, room=f"{room_c:.1f}", wanted=f"{known.recovered_c:.1f}")
    weighed = (round(hours, 2), round(max(0.0, known.setpoint_c - room_c), 2))
    return Finding(
        SuddenIndicator.NO_WARMING, FindingState.UNKNOWN, None, evidence, known.since_utc_ms, features=weighed
    )


def find_wear(known: Switching) -> Finding:
    """Return what is known of the switching of an output; shown only near the end of a relay's life."""
    evidence = phrase(_SWITCHED, starts=str(known.starts), rated=str(RATED_STARTS))
    weighed = (round(known.starts / RATED_STARTS, 4),)
    return Finding(WearIndicator.SWITCHING, FindingState.UNKNOWN, None, evidence, features=weighed)


_SWITCHED = (
    "switched on {starts} times; relays are made for {rated} at rated load: have this one looked at before winter,"
    " then answer that it was serviced"
)
_IN_VAIN = (
    "control has reported for {hours} h that heating has no effect: {room} °C, {then} °C at its beginning,"
    " setpoint {setpoint} °C; not calibrated: its confidence is unknown"
)
_BLIND = (
    "control reported for {hours} h that heating has no effect; now the temperature of the zone, last {room} °C,"
    " is not known"
)
_NOT_WARMER_YET = (
    "control no longer reports that heating has no effect; the room has {room} °C, it works again from {wanted} °C on"
)


def state_of(confidence: float, threshold: float = NEEDED) -> FindingState:
    """Return the answer that a confidence is, with the threshold from which on maintenance is needed."""
    if confidence >= threshold:
        return FindingState.NEEDED
    return FindingState.LIKELY if confidence >= LIKELY else FindingState.USUAL


def _why_unknown(record: ZoneRecord, indicator: Indicator, utc_ms: int | None) -> str:
    drift = record.drift(indicator)
    if not drift.is_judged:
        if indicator is Indicator.WARMTH and record.is_outdoor_missing and not drift.days:
            return "set climate.outdoor_sensor: without the temperature outside the run time says nothing"
        if drift.days_learned < BASELINE_DAYS:
            return phrase(
                "still learning: {days} of {wanted} days of heating", days=drift.days_learned, wanted=BASELINE_DAYS
            )
        return phrase(
            "learned; {days} of {wanted} days to compare with it", days=drift.days_compared, wanted=RECENT_DAYS
        )
    if utc_ms is None:
        return "the time of day is not known"
    if drift.last_utc_ms is None or utc_ms - drift.last_utc_ms > FRESH_MS:
        return "no comparable day for 30 days: the heating has hardly run, or in other weather than before"
    return ""


_MORE = (
    "needs {percent} % more run time than usual for the same warmth:"
    " full output warms the room by {now} K, usually by {then} K"
)
_LESS = (
    "needs {percent} % less run time than usual for the same warmth:"
    " full output warms the room by {now} K, usually by {then} K"
)
_SAME = (
    "needs the same run time as usual for the same warmth: full output warms the room by {now} K, usually by {then} K"
)
_RUN = "runs for {now} minutes a start, usually {then} at the same load"


def _evidence(indicator: Indicator, drift: Drift) -> str:
    """Return the numbers of the last judged days."""
    now, then = drift.now_and_then or (1.0, 1.0)
    if indicator is Indicator.WARMTH:
        more = round((then / now - 1.0) * 100)
        template = _MORE if more > 0 else _LESS if more < 0 else _SAME
        return phrase(template, percent=str(abs(more)), now=f"{now:.1f}", then=f"{then:.1f}")
    return phrase(_RUN, now=f"{now:.1f}", then=f"{then:.1f}")
