"""When a finding becomes an alert, when the alert ends, and what people have answered. Pure.

An alert begins once when the confidence reaches the threshold, and ends when it has fallen well below it or when a
person says so. "Unknown" neither begins nor ends one.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from agent.foundation.phrase import plain
from agent.maintenance.assessment import NEEDED, Finding

END_MARGIN = 0.22
"""An alert ends when its confidence has fallen by this below the threshold: 0.5, where a fault is no more likely than
none. So a confidence that wavers about the threshold is one alert."""

GROWTH_SHARE = 0.5
GROWTH_MIN = 0.05
"""After a person has ended an alert, the same finding is an alert again when the indicator has become worse by half as
much again, and by at least 5 % of the usual value."""

ALERTS_MAX = 64
"""Open ones are never dropped: a home has fewer."""

ANSWERS_MAX = 100
NOTE_CHARACTERS_MAX = 300

HUB = "hub"
"""Who has ended an alert without a person."""


class Alert(msgspec.Struct, frozen=True):
    """One alert, with what was known when it began.

    Attributes:
        alert_id: Made once; webhooks carry it.
        zone_id: The zone.
        indicator: The name of the indicator.
        issue: What is wrong, for people.
        evidence: The numbers behind it, for people.
        action: What to do about it, for people.
        confidence: The probability that something is wrong, when the alert began.
        made_utc_ms: When it began.
        since_utc_ms: Since when the indicator is worse than usual; `None` where that is not known.
        resolved_utc_ms: When it ended; `None` for an open one.
        resolved_by: Who has ended it: a person, or `HUB`; empty for an open one.
    """

    alert_id: str
    zone_id: str
    indicator: str
    issue: str
    evidence: str
    action: str
    confidence: float
    made_utc_ms: int
    since_utc_ms: int | None = None
    resolved_utc_ms: int | None = None
    resolved_by: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it."""
        return self.resolved_utc_ms is None


class Mute(msgspec.Struct, frozen=True):
    """A finding that a person has dealt with: it is no alert again until it has grown.

    Attributes:
        zone_id: The zone.
        indicator: The name of the indicator.
        shift: By which share the indicator was worse than its usual value.
    """

    zone_id: str
    indicator: str
    shift: float

    def is_outgrown(self, shift: float) -> bool:
        """Return whether an indicator is clearly worse than when it was muted."""
        return shift >= self.shift + max(GROWTH_MIN, GROWTH_SHARE * self.shift)


class Verdict(StrEnum):
    """What a technician has found; the values are part of the local API."""

    CONFIRMED = "confirmed"
    NOTHING_FOUND = "nothing-found"
    SERVICED = "serviced"


class Answer(msgspec.Struct, frozen=True):
    """What a technician has found, with what was known then: a fleet's answers recalibrate the next release.

    Attributes:
        zone_id: The zone.
        indicator: The name of the indicator.
        verdict: What was found.
        note: In the technician's words; may be empty.
        by: Who says so.
        utc_ms: When.
        confidence: The probability that something was wrong; `None` where it was unknown.
        evidence: The numbers behind it, or why it was unknown, for people.
        features: What a calibrated model weighs (`Finding.features`).
        since_utc_ms: Since when the indicator was worse than usual; `None` where it was not.
    """

    zone_id: str
    indicator: str
    verdict: Verdict
    note: str
    by: str
    utc_ms: int
    confidence: float | None = None
    evidence: str = ""
    features: tuple[float, ...] = ()
    since_utc_ms: int | None = None


class AlertState(msgspec.Struct, frozen=True):
    """All that is kept.

    Attributes:
        alerts: The oldest first.
        mutes: At most one for each zone and indicator.
        answers: The oldest first.
    """

    alerts: tuple[Alert, ...] = ()
    mutes: tuple[Mute, ...] = ()
    answers: tuple[Answer, ...] = ()

    def last_answer(self, zone_id: str, indicator: str) -> Answer | None:
        """Return the newest answer about an indicator, if there is one."""
        found = (each for each in reversed(self.answers) if (each.zone_id, each.indicator) == (zone_id, indicator))
        return next(found, None)

    def serviced_utc_ms(self, zone_id: str) -> int | None:
        """Return when a zone was last serviced; `None` where it was not."""
        serviced = (each for each in self.answers if each.verdict is Verdict.SERVICED and each.zone_id == zone_id)
        return max((each.utc_ms for each in serviced), default=None)

    def open_alert(self, zone_id: str, indicator: str) -> Alert | None:
        """Return the alert of an indicator that nobody has ended, if there is one."""
        found = (each for each in self.alerts if (each.zone_id, each.indicator) == (zone_id, indicator))
        return next((each for each in found if each.is_open), None)

    def mute(self, zone_id: str, indicator: str) -> Mute | None:
        """Return the mute of an indicator, if there is one."""
        return next((each for each in self.mutes if (each.zone_id, each.indicator) == (zone_id, indicator)), None)


def review(
    state: AlertState,
    findings: Mapping[str, Sequence[Finding]],
    *,
    utc_ms: int,
    new_id: Callable[[], str],
    threshold: float = NEEDED,
) -> AlertState:
    """Return the alerts after a look at what is known.

    Args:
        state: The alerts before.
        findings: What is known of each zone, by id. The alerts of a zone or machine that is not among them end.
        utc_ms: The time of day.
        new_id: Makes the id of an alert.
        threshold: The confidence from which on a finding is an alert.
    """
    for zone_id, found in findings.items():
        for each in found:
            if each.confidence is not None:
                state = _judge(state, zone_id, each, each.confidence, utc_ms=utc_ms, new_id=new_id, threshold=threshold)
    watched = {(zone_id, each.indicator.value) for zone_id, found in findings.items() for each in found}
    for alert in state.alerts:
        if alert.is_open and (alert.zone_id, alert.indicator) not in watched:
            state = resolve(state, alert.alert_id, by=HUB, utc_ms=utc_ms)
    mutes = tuple(each for each in state.mutes if (each.zone_id, each.indicator) in watched)
    return msgspec.structs.replace(state, alerts=_bounded(state.alerts), mutes=mutes)


def _judge(
    state: AlertState,
    zone_id: str,
    finding: Finding,
    confidence: float,
    *,
    utc_ms: int,
    new_id: Callable[[], str],
    threshold: float,
) -> AlertState:
    indicator = finding.indicator.value
    is_over, is_reached = confidence < threshold - END_MARGIN, confidence >= threshold
    known, mute = state.open_alert(zone_id, indicator), state.mute(zone_id, indicator)
    if is_over and known:
        return resolve(state, known.alert_id, by=HUB, utc_ms=utc_ms)
    if is_over and mute:
        return unmuted(state, zone_id, indicator)
    if not is_reached or known or (mute and not mute.is_outgrown(finding.shift)):
        return state
    made = Alert(
        alert_id=f"alt_{new_id()}",
        zone_id=zone_id,
        indicator=indicator,
        issue=finding.advice.issue,
        evidence=plain(finding.evidence),
        action=finding.advice.action,
        confidence=confidence,
        made_utc_ms=utc_ms,
        since_utc_ms=finding.since_utc_ms,
    )
    return msgspec.structs.replace(unmuted(state, zone_id, indicator), alerts=(*state.alerts, made))


def resolve(state: AlertState, alert_id: str, *, by: str, utc_ms: int) -> AlertState:
    """Return the alerts with one ended; unchanged where there is none, or it has ended already."""
    ended = tuple(
        msgspec.structs.replace(each, resolved_utc_ms=utc_ms, resolved_by=by)
        if each.alert_id == alert_id and each.is_open
        else each
        for each in state.alerts
    )
    return msgspec.structs.replace(state, alerts=ended)


def answered(state: AlertState, answer: Answer, shift: float) -> AlertState:
    """Return the alerts after a technician's answer: an open alert ends. Nothing is learned from it.

    Args:
        state: The alerts before.
        answer: The answer. Unless the zone was serviced, the finding is muted as it is now.
        shift: By which share the indicator is worse than its usual value.
    """
    if alert := state.open_alert(answer.zone_id, answer.indicator):
        state = resolve(state, alert.alert_id, by=answer.by, utc_ms=answer.utc_ms)
    if answer.verdict is Verdict.SERVICED:
        state = unmuted(state, answer.zone_id, answer.indicator)
    else:
        state = muted(state, answer.zone_id, answer.indicator, shift)
    return msgspec.structs.replace(state, answers=(*state.answers, answer)[-ANSWERS_MAX:])


def muted(state: AlertState, zone_id: str, indicator: str, shift: float) -> AlertState:
    """Return the alerts with a finding muted as it is now."""
    state = unmuted(state, zone_id, indicator)
    return msgspec.structs.replace(state, mutes=(*state.mutes, Mute(zone_id, indicator, round(shift, 4))))


def unmuted(state: AlertState, zone_id: str, indicator: str) -> AlertState:
    """Return the alerts with a finding that may be an alert again."""
    others = tuple(each for each in state.mutes if (each.zone_id, each.indicator) != (zone_id, indicator))
    return msgspec.structs.replace(state, mutes=others)


def _bounded(alerts: tuple[Alert, ...]) -> tuple[Alert, ...]:
    """Return the alerts without the oldest ended ones that are too many."""
    surplus = len(alerts) - ALERTS_MAX
    if surplus <= 0:
        return alerts
    dropped = [each.alert_id for each in alerts if not each.is_open][:surplus]
    return tuple(each for each in alerts if each.alert_id not in dropped)
