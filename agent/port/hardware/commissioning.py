"""The commissioning walk: each zone is heated in turn until a sensor answers, so that swapped wires are found. Pure.

All other zones rest meanwhile (frost protection stays in force), so the sensor that gets warmer is in the heated room.
Before each turn every sensor's own drift is measured for `SETTLE_S`; a rise counts above that drift only. Must never
name a room that another one could be: an unclear answer is reported as unclear.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import sqrt

import msgspec

from agent.climate.output_test import OutputTest
from agent.foundation.phrase import phrase
from agent.port.hardware.output_test import LEASE_S, Observation, lease_end_ms
from hal.interface import HvacAction

SETTLE_S = 600.0
"""The drift of a room is known after this time, and what the turn before has left in its radiator is mostly spent."""

START_S_MAX = 1800.0
"""How long a zone may be kept from starting by the minimum times of its relay and of the heat source."""

RISE_K = 0.4
"""Of the sensor that answers, above its drift: four steps of a sensor of 0.1 K."""
MARGIN_K = 0.25
"""By which it is ahead of every sensor of another zone ..."""
RATIO = 2.0
"""... and how many times as much it has risen: warm air goes through open doors."""
CONFIRM_S = 120.0
"""For so long the same zone must be ahead."""

NOISE_K = 0.05
"""The least noise of a sensor: one that shows none has a coarse step."""

DRIFT_S_MAX = 600.0
"""A drift is continued for this long, then the room counts as settled."""


class Verdict(StrEnum):
    """What a zone's turn has shown."""

    OWN = "own"
    """The zone's own sensor answered."""
    OTHER = "other"
    """A sensor of another zone answered."""
    NONE = "none"
    """No sensor answered in time."""
    UNCLEAR = "unclear"
    """Sensors of several zones rose alike."""
    SKIPPED = "skipped"
    """The zone could not be heated."""


class PlannedZone(msgspec.Struct, frozen=True):
    """A zone of the walk: its sensors, whether its output heats, and how long it is heated at most."""

    zone_id: str
    sensors: tuple[str, ...]
    can_heat: bool
    heat_s_max: float


class Trend(msgspec.Struct, frozen=True):
    """The line through the values of one sensor, by sums: time in seconds, value in °C."""

    count: int = 0
    t: float = 0.0
    v: float = 0.0
    tt: float = 0.0
    tv: float = 0.0
    vv: float = 0.0

    def with_value(self, t_s: float, value_c: float) -> "Trend":
        """Return the trend with one more value."""
        return Trend(
            self.count + 1,
            self.t + t_s,
            self.v + value_c,
            self.tt + t_s * t_s,
            self.tv + t_s * value_c,
            self.vv + value_c * value_c,
        )

    @property
    def slope(self) -> float:
        """The drift in K/s."""
        spread = self.count * self.tt - self.t * self.t
        return (self.count * self.tv - self.t * self.v) / spread if spread > 0 else 0.0

    def at(self, t_s: float) -> float:
        """Return the value of the line."""
        return (self.v + self.slope * (self.count * t_s - self.t)) / self.count

    @property
    def noise_k(self) -> float:
        """The scatter around the line."""
        mean, slope = self.v / self.count, self.slope
        around_mean = self.vv / self.count - mean * mean
        explained = slope * (self.tv / self.count - self.t / self.count * mean)
        return max(NOISE_K, sqrt(max(0.0, around_mean - explained)))


class Rise(msgspec.Struct, frozen=True):
    """How far a sensor is above its drift, and its noise."""

    rise_k: float
    noise_k: float = NOISE_K


class ZoneFinding(msgspec.Struct, frozen=True):
    """What a zone's turn has shown.

    Attributes:
        zone: Whose output was heated.
        verdict: What was found.
        answered_by: The zone whose sensor rose most; empty for none.
        sensor: That sensor.
        rise_k: Its rise above its drift.
        margin_k: By how much it was ahead of the sensors of all other zones.
        certainty: That it is the sensor in the heated room: 0 to 1.
        heated_s: For how long the output was on.
        text: The reason where the verdict alone does not tell.
    """

    zone: str
    verdict: Verdict
    answered_by: str = ""
    sensor: str = ""
    rise_k: float = 0.0
    margin_k: float = 0.0
    certainty: float = 0.0
    heated_s: float = 0.0
    text: str = ""


class WalkPhase(StrEnum):
    """Where a walk stands."""

    SETTLING = "settling"
    HEATING = "heating"
    DONE = "done"


class Walk(msgspec.Struct, frozen=True):
    """A walk.

    Attributes:
        test_id: Names it in renewals.
        plan: The zones in their order.
        turns: How many of them are heated, from the first; the others only rest and are compared.
        lease_ms: When it ends unless it is renewed, on the clock of the people who renew it.
        phase_ms: Since when it has been in its phase.
        phase: Where it stands.
        turn: The number of the zone whose turn it is.
        on_ms: Since when that zone's output has been on; `None` before.
        trends: The drift of each sensor.
        rises: Of each sensor now.
        leader: The zone whose sensor is ahead by enough; empty for none.
        leader_ms: Since when.
        findings: Of the zones so far.
        text: Why it waits or has ended early.
    """

    test_id: str
    plan: tuple[PlannedZone, ...]
    turns: int
    lease_ms: int
    phase_ms: int
    phase: WalkPhase = WalkPhase.SETTLING
    turn: int = 0
    on_ms: int | None = None
    trends: Mapping[str, Trend] = {}
    rises: Mapping[str, Rise] = {}
    leader: str = ""
    leader_ms: int = 0
    findings: tuple[ZoneFinding, ...] = ()
    text: str = ""

    @property
    def zone(self) -> PlannedZone | None:
        """The zone whose turn it is."""
        return self.plan[self.turn] if self.phase is not WalkPhase.DONE and self.turn < self.turns else None


def begin(test_id: str, plan: Sequence[PlannedZone], now_ms: int, *, turns: int | None = None) -> Walk:
    """Return a new walk through the zones in their order.

    Args:
        test_id: Names it in renewals.
        plan: All zones of the home.
        now_ms: Boot time.
        turns: How many of them are heated, from the first; `None` for all.
    """
    turns = len(plan) if turns is None else turns
    return _skip_unheated(Walk(test_id, tuple(plan), turns, lease_end_ms(now_ms), now_ms), now_ms)


def renew(walk: Walk, now_ms: int) -> Walk:
    """Return the walk with its lease renewed."""
    return msgspec.structs.replace(walk, lease_ms=lease_end_ms(now_ms))


def expire(walk: Walk, now_ms: int) -> Walk:
    """Return the walk, ended where its lease is over.

    Args:
        walk: From the last step.
        now_ms: On the clock of the people who renew it.
    """
    return walk if now_ms < walk.lease_ms else stop(walk, f"nobody has renewed it for {LEASE_S:.0f} s")


def stop(walk: Walk, text: str = "stopped by hand") -> Walk:
    """Return the walk, ended early; what was found so far stays."""
    return walk if walk.phase is WalkPhase.DONE else msgspec.structs.replace(walk, phase=WalkPhase.DONE, text=text)


def demand(walk: Walk) -> OutputTest | None:
    """Return what the walk demands of the outputs now; `None` once it is done."""
    zone = walk.zone
    if zone is None:
        return None
    actions = {each.zone_id: HvacAction.OFF for each in walk.plan}
    if walk.phase is WalkPhase.HEATING:
        actions[zone.zone_id] = HvacAction.HEAT
    return OutputTest(actions, walk.lease_ms)


def advance(walk: Walk, values_c: Mapping[str, float], seen: Observation, now_ms: int) -> Walk:
    """Return the walk as it stands now.

    Args:
        walk: From the last step.
        values_c: The present value of each sensor that has one.
        seen: What the control law has made of the demand on the zone whose turn it is.
        now_ms: Boot time.
    """
    zone = walk.zone
    if zone is None:
        return walk
    if seen.problem:
        return stop(walk, seen.problem)
    if walk.phase is WalkPhase.SETTLING:
        return _settle(walk, values_c, now_ms)
    return _await_heat(walk, zone, seen, now_ms) if walk.on_ms is None else _heat(walk, zone, values_c, seen, now_ms)


def _settle(walk: Walk, values_c: Mapping[str, float], now_ms: int) -> Walk:
    """Return the walk with the drift of each sensor measured further."""
    in_phase_s = (now_ms - walk.phase_ms) / 1000.0
    measured = {name: walk.trends.get(name, Trend()).with_value(in_phase_s, value) for name, value in values_c.items()}
    walk = msgspec.structs.replace(walk, trends={**walk.trends, **measured})
    if in_phase_s < SETTLE_S:
        return walk
    return msgspec.structs.replace(walk, phase=WalkPhase.HEATING, phase_ms=now_ms)


def _await_heat(walk: Walk, zone: PlannedZone, seen: Observation, now_ms: int) -> Walk:
    """Return the walk while the minimum times still keep the zone off."""
    if seen.is_on:
        return msgspec.structs.replace(walk, on_ms=now_ms, text="")
    if (now_ms - walk.phase_ms) / 1000.0 >= START_S_MAX:
        return _next(walk, ZoneFinding(zone.zone_id, Verdict.SKIPPED, text=seen.reason), now_ms)
    return msgspec.structs.replace(walk, text=seen.reason)


def _heat(walk: Walk, zone: PlannedZone, values_c: Mapping[str, float], seen: Observation, now_ms: int) -> Walk:
    heated_s = (now_ms - (walk.on_ms or now_ms)) / 1000.0
    # The drift was measured from the start of the settling time on.
    drift_s = SETTLE_S + min(DRIFT_S_MAX, (now_ms - walk.phase_ms) / 1000.0)
    rises = {
        name: Rise(value - trend.at(drift_s), trend.noise_k)
        for name, value in values_c.items()
        if (trend := walk.trends.get(name)) is not None
    }
    finding = msgspec.structs.replace(judge(zone.zone_id, walk.plan, rises), heated_s=heated_s)
    leader = finding.answered_by if finding.verdict in {Verdict.OWN, Verdict.OTHER} else ""
    leader_ms = walk.leader_ms if leader == walk.leader else now_ms
    walk = msgspec.structs.replace(walk, rises=rises, leader=leader, leader_ms=leader_ms)
    if leader and (now_ms - leader_ms) / 1000.0 >= CONFIRM_S:
        return _next(walk, finding, now_ms)
    if not seen.is_on:
        return _next(walk, msgspec.structs.replace(finding, verdict=Verdict.SKIPPED, text=seen.reason), now_ms)
    if heated_s >= zone.heat_s_max:
        return _next(walk, msgspec.structs.replace(finding, text="no answer in time"), now_ms)
    return walk


def judge(zone_id: str, plan: Sequence[PlannedZone], rises: Mapping[str, Rise]) -> ZoneFinding:
    """Return which sensor rose most, by how much, and with which certainty.

    Args:
        zone_id: The heated zone.
        plan: All zones with their sensors.
        rises: Of each sensor that has a value.
    """
    best = {}
    for each in plan:
        present = [(rises[name].rise_k, name) for name in each.sensors if name in rises]
        if present:
            best[each.zone_id] = max(present)
    ranked = sorted(best.items(), key=lambda found: -found[1][0])
    if not ranked:
        return ZoneFinding(zone_id, Verdict.NONE)
    first, (rise_k, sensor) = ranked[0]
    second_k = max(0.0, ranked[1][1][0]) if len(ranked) > 1 else 0.0
    margin_k = rise_k - second_k
    noise_k = rises[sensor].noise_k
    certainty = max(0.0, min(1.0, margin_k / (rise_k + 2 * noise_k))) if rise_k > 0 else 0.0
    if rise_k < max(RISE_K, 3 * noise_k):
        verdict = Verdict.NONE
    elif margin_k < MARGIN_K or rise_k < RATIO * second_k:
        verdict = Verdict.UNCLEAR
    else:
        verdict = Verdict.OWN if first == zone_id else Verdict.OTHER
    return ZoneFinding(
        zone_id,
        verdict,
        answered_by="" if verdict is Verdict.NONE else first,
        sensor="" if verdict is Verdict.NONE else sensor,
        rise_k=round(rise_k, 2),
        margin_k=round(margin_k, 2),
        certainty=round(certainty, 2),
    )


def _next(walk: Walk, finding: ZoneFinding, now_ms: int) -> Walk:
    """Return the walk with a finding, at the beginning of the next turn."""
    walk = msgspec.structs.replace(
        walk,
        findings=(*walk.findings, finding),
        turn=walk.turn + 1,
        phase=WalkPhase.SETTLING,
        phase_ms=now_ms,
        on_ms=None,
        trends={},
        rises={},
        leader="",
        text="",
    )
    return _skip_unheated(walk, now_ms)


def _skip_unheated(walk: Walk, now_ms: int) -> Walk:
    if walk.turn >= walk.turns:
        return msgspec.structs.replace(walk, phase=WalkPhase.DONE)
    zone = walk.plan[walk.turn]
    if zone.can_heat:
        return walk
    return _next(walk, ZoneFinding(zone.zone_id, Verdict.SKIPPED, text="its output does not heat"), now_ms)


def sentences(findings: Sequence[ZoneFinding]) -> list[str]:
    """Return what the findings mean, for people: one sentence for each zone or swapped pair, problems first."""
    answers = {each.zone: each.answered_by for each in findings if each.verdict is Verdict.OTHER}
    told: list[str] = []
    for zone, other in answers.items():
        if answers.get(other) == zone:
            if zone < other:
                swap = "Swap the wires of {zone} and {other}, or their sensors: each output heats the other's room."
                told.append(phrase(swap, zone=zone, other=other))
        else:
            check = "Check the wires and the sensors of {zone}: its output heats the room of a sensor of {other}."
            told.append(phrase(check, zone=zone, other=other))
    for each in findings:
        if each.verdict is Verdict.NONE:
            silent = "Check the wires, the valve and the heat source of {zone}: no sensor rose in {minutes} min."
            told.append(phrase(silent, zone=each.zone, minutes=f"{each.heated_s / 60:.0f}"))
        elif each.verdict is Verdict.UNCLEAR:
            told.append(
                phrase("Close the doors and repeat {zone}: sensors of several rooms rose alike.", zone=each.zone)
            )
        elif each.verdict is Verdict.SKIPPED:
            why = each.text or "no reason is known"
            told.append(phrase("Repeat {zone} later: it was not heated ({why}).", zone=each.zone, why=why))
    told += [
        phrase(
            "{zone} is right: {sensor} rose by {rise} K.", zone=each.zone, sensor=each.sensor, rise=f"{each.rise_k:.1f}"
        )
        for each in findings
        if _is_right(each)
    ]
    return told


def _is_right(finding: ZoneFinding) -> bool:
    return finding.verdict is Verdict.OWN
