"""The document of predictive maintenance: what is known about the heating of each zone, with the numbers behind it.

The JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from agent.errors import UnknownDevice
from agent.foundation import rfc3339
from agent.foundation.phrase import Template, parts, plain
from agent.foundation.text import quote, sanitize
from agent.local.routes import Handler, LocalRequest, RequestRefused

if TYPE_CHECKING:
    from agent.maintenance.alerts import Answer
    from agent.maintenance.assessment import Finding
    from agent.maintenance.curve import CurveDay
    from agent.maintenance.service import MaintenanceService


DAY_S = 86_400

OFF = "add a zone that is heated first: this hub drives nothing"


class AnswerReport(msgspec.Struct, frozen=True):
    """What a technician has found, with what was known then.

    Attributes:
        zone: The id of the zone.
        indicator: As in `FindingReport`.
        answer: "confirmed", "nothing-found" or "serviced".
        note: In the technician's words.
        by: Who says so.
        at: When, in UTC.
        confidence: The probability that something was wrong; nothing where it was unknown.
        evidence: The numbers behind it, or why it was unknown, for people.
        features: What a calibrated model weighs; empty before the first day that can be compared. Of the heating: the
            logarithm of the loss, the same in standard deviations, these up to three, and by how much the last days
            were better than expected. Of "no_warming": the hours of the report, and the kelvin below the setpoint. Of
            "switching": the share of the rated number. Of a machine: the logarithm of one more than the CUSUM, the
            shift in standard deviations, and that as a share.
        since: Since when the indicator was worse than usual, in UTC; nothing where it was not.
        effect: What becomes of it, for people.
    """

    zone: str
    indicator: str
    answer: str
    note: str
    by: str
    at: str
    confidence: float | None
    evidence: str
    features: list[float]
    since: str | None
    effect: str


class AnswersReport(msgspec.Struct, frozen=True):
    """The answers that are kept, the oldest first."""

    answers: list[AnswerReport]


EFFECTS = {
    "confirmed": "the alert has ended; it returns only if it grows clearly, or after a time without",
    "nothing-found": "the alert has ended; it returns only if it grows clearly, or after a time without",
    "serviced": "the usual behaviour is learned anew: for the next weeks it is unknown whether something is wrong",
}


CURVES = {
    "warmth": ("share of full output on each day", "%"),
    "run_time": ("length of a run on each day", "min"),
}
"""What a curve shows, for people, and its unit."""

GAP_DAYS = 7
"""After so many days without a value a curve is interrupted."""


class CurveReport(msgspec.Struct, frozen=True):
    """An indicator on each of the last days on which it could be measured, at most 90, the oldest first.

    Attributes:
        about: What it is, for people.
        unit: "%" or "min".
        times: The days: their beginnings in UTC, in seconds since 1970.
        measured: What was measured; nothing between two days that are more than a week apart.
        expected: What the usual behaviour says about a day of this weather or load; nothing where `measured` has none.
    """

    about: str
    unit: str
    times: list[int]
    measured: list[float | None]
    expected: list[float | None]


class FindingReport(msgspec.Struct, frozen=True):
    """What is known about one indicator.

    Attributes:
        indicator: "warmth" (the heat of the same run time), "run_time" (how long the heating runs each time), or
            "no_warming" while control has reported that the zone is heated and does not get warmer, "switching" once
            its output was switched on nearly as often as relays are made for; of a zone with thermometers on supply and
            return "spread", "low_spread" and "low_supply"; of posted measurements "current",
            "low_current", "inrush" and "vibration"; of a plug "power" and "low_power".
        state: "unknown" (never an alert), "usual", "likely" (a fault is more likely than not) or "needed" (its
            confidence is at least `maintenance.alert_threshold`, 0.72 unless configured).
        confidence: The probability that something is wrong, 0 to 1; nothing where it is unknown.
        issue: What is wrong where the state is "likely" or "needed", for people; else empty.
        evidence: The numbers behind it, or why it is unknown, for people.
        since: Since when the indicator is worse than usual, in UTC; nothing where it is not.
        action: What to do about the issue, for people; empty without one.
        answer: The last answer of a technician: "confirmed", "nothing-found" or "serviced"; empty without one.
        answered: When, in UTC; nothing without one.
        answered_by: Who says so.
        answer_note: In the technician's words.
        name: What is watched, for people.
        curve: The days behind it; nothing before the first one, or for a posted machine.
    """

    indicator: str
    state: str
    confidence: float | None
    issue: str
    evidence: str
    since: str | None
    action: str
    answer: str = ""
    answered: str | None = None
    answered_by: str = ""
    answer_note: str = ""
    name: str = ""
    curve: CurveReport | None = None


class ZoneMaintenance(msgspec.Struct, frozen=True):
    """One zone."""

    zone: str
    findings: list[FindingReport]


class MaintenanceReport(msgspec.Struct, frozen=True):
    """The whole home; without zones where the hub drives nothing.

    Attributes:
        problem: Why what was learned before is lost; empty where it is not.
        phrases: How those of the texts were made that have values in them, for translations.
    """

    zones: list[ZoneMaintenance]
    problem: str = ""
    phrases: Mapping[str, Template] = {}


def build_maintenance(maintenance: "MaintenanceService | None") -> MaintenanceReport:
    """Return the report; `None` where the hub drives nothing."""
    if maintenance is None:
        return MaintenanceReport([])
    findings = maintenance.findings()
    zones = [ZoneMaintenance(zone_id, _reports(zone_id, found, maintenance)) for zone_id, found in findings.items()]
    texts = [each.evidence for found in findings.values() for each in found]
    return MaintenanceReport(zones, maintenance.problem, parts(texts))


def _reports(zone_id: str, findings: "Sequence[Finding]", maintenance: "MaintenanceService") -> list[FindingReport]:
    answers = {each.indicator: maintenance.alerts.state.last_answer(zone_id, each.indicator) for each in findings}
    return [
        FindingReport(
            indicator=each.indicator.value,
            state=each.state.value,
            confidence=each.confidence,
            issue=each.advice.issue if each.is_fault else "",
            evidence=plain(each.evidence),
            since=rfc3339.render_known(each.since_utc_ms),
            action=each.advice.action if each.is_fault else "",
            answer=answer.verdict.value if (answer := answers[each.indicator]) else "",
            answered=rfc3339.render(answer.utc_ms) if answer else None,
            answered_by=answer.by if answer else "",
            answer_note=answer.note if answer else "",
            name=each.advice.name,
            curve=curve_report(each.indicator.value, maintenance.curve(zone_id, each.indicator)),
        )
        for each in findings
    ]


def curve_report(indicator: str, days: "Sequence[CurveDay]") -> CurveReport | None:
    """Return the report of a curve; `None` without a day."""
    if not days:
        return None
    about, unit = CURVES[indicator]
    rows: list[tuple[int, float | None, float | None]] = []
    before = days[0].day
    for each in days:
        if each.day - before > GAP_DAYS:
            rows.append((before + 1, None, None))
        rows.append((each.day, round(each.measured, 2), round(each.expected, 2)))
        before = each.day
    return CurveReport(
        about=about,
        unit=unit,
        times=[day * DAY_S for day, _, _ in rows],
        measured=[measured for _, measured, _ in rows],
        expected=[expected for _, _, expected in rows],
    )


def _answer_report(answer: "Answer") -> AnswerReport:
    return AnswerReport(
        zone=answer.zone_id,
        indicator=answer.indicator,
        answer=answer.verdict.value,
        note=answer.note,
        by=answer.by,
        at=rfc3339.render(answer.utc_ms),
        confidence=answer.confidence,
        evidence=answer.evidence,
        features=list(answer.features),
        since=rfc3339.render_known(answer.since_utc_ms),
        effect=EFFECTS[answer.verdict.value],
    )


def handlers(maintenance: "Callable[[], MaintenanceService | None]") -> Mapping[str, Handler]:
    """Return the handlers of predictive maintenance."""

    def known() -> "MaintenanceService":
        if (found := maintenance()) is None:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", OFF)
        return found

    async def get_maintenance(_: LocalRequest) -> MaintenanceReport:
        return build_maintenance(maintenance())

    async def get_maintenance_answers(_: LocalRequest) -> AnswersReport:
        return AnswersReport([_answer_report(each) for each in known().alerts.state.answers])

    async def answer_maintenance(request: LocalRequest) -> AnswerReport:
        watched, body = known(), request.body
        from agent.maintenance.alerts import NOTE_CHARACTERS_MAX, Verdict  # noqa: PLC0415 - hubs without zones
        from agent.maintenance.service import AnswerRefused  # noqa: PLC0415 - as above

        if body.answer not in list(Verdict):
            text = f"answer {', '.join(Verdict)}: {quote(body.answer)} is no answer"
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
        if len(body.note) > NOTE_CHARACTERS_MAX:
            text = f"shorten the note: it may have {NOTE_CHARACTERS_MAX} characters"
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
        note = sanitize(body.note, characters_max=NOTE_CHARACTERS_MAX)
        try:
            made = await watched.answer(
                body.zone, body.indicator, Verdict(body.answer), note=note, by=request.caller.name
            )
        except UnknownDevice as error:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", str(error)) from error
        except AnswerRefused as error:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", str(error)) from error
        return _answer_report(made)

    return {each.__name__: each for each in (get_maintenance, get_maintenance_answers, answer_maintenance)}
