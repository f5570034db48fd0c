"""Checks of heating and cooling: what no other product looks at. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.foundation.format import plural
from agent.foundation.phrase import Template, counted, phrase, respelt
from agent.local.climate import UNDECIDED, ClimateReport
from agent.local.document_problems import FROST_C, is_setpoint_late, zones_without_temperature
from agent.local.machine_problems import clock_level
from agent.local.maintenance import FindingReport, MaintenanceReport
from agent.local.problem import Problem
from agent.local.zigbee import RadioOutputReport
from agent.port.checks.facts import Documents, Facts, Heating, Missing
from agent.port.checks.model import Check, Finding, check, failed, judged, passed, unknown, warned
from agent.port.checks.report import Group

FROST_WARN_C = 8.0

STAYING_REMEDY = "use a plug with a timer, or see docs/hardware.md"


class ResponseFacts(msgspec.Struct, frozen=True):
    """The zones and the control."""

    climate: ClimateReport
    heating: Heating
    radio_outputs: Sequence[RadioOutputReport] = ()


def _zones(facts: Facts) -> ClimateReport | Missing:
    """Return the document of a hub that heats or cools."""
    if isinstance(facts.documents, Missing):
        return facts.documents
    climate = facts.documents.climate
    return climate if climate.zones else Missing("this hub drives no heating or cooling")


def _zone_documents(facts: Facts) -> Documents | Missing:
    zones = _zones(facts)
    return zones if isinstance(zones, Missing) else facts.documents


def _response_facts(facts: Facts) -> ResponseFacts | Missing:
    zones = _zones(facts)
    if isinstance(zones, Missing):
        return zones
    if isinstance(facts.documents, Missing):
        return facts.documents
    if isinstance(facts.heating, Missing):
        return facts.heating
    return ResponseFacts(zones, facts.heating, facts.documents.zigbee.outputs)


def _relays(found: ResponseFacts) -> Finding:
    if found.heating.output_problem:
        # Each message carries its remedy.
        return failed(found.heating.output_problem, "follow the message")
    if any(zone.reason == UNDECIDED for zone in found.climate.zones):
        return unknown("nothing was switched yet")
    if staying := [each.line for each in found.radio_outputs if each.drives and each.goes_off_alone is False]:
        return warned(phrase("stays on if the hub dies: {lines}", lines=", ".join(staying)), STAYING_REMEDY)
    active = [zone.zone for zone in found.climate.zones if zone.action != "off"]
    return passed(
        phrase("every output was read back as commanded; on now: {active}", active=", ".join(active) or "none")
    )


def _follows(found: ClimateReport) -> Finding:
    texts = [phrase("{zone}: {problem}", zone=zone.zone, problem=zone.problem) for zone in found.zones if zone.problem]
    if texts:
        return failed(_one_after_another(texts), "check boiler, pump, valve and relay of these zones")
    if all(zone.room_c is None for zone in found.zones):
        return unknown("no room has a temperature to watch")
    return passed("no room fails to follow its relay")


def _source(found: ClimateReport) -> Finding:
    if found.heat_source is None:
        return unknown("the zones share no heat source")
    heated = [zone for zone in found.zones if zone.action == "heat"]
    failing = [zone for zone in found.zones if zone.is_heated_in_vain]
    if failing and len(failing) >= max(1, len(heated)):
        text = phrase("no heated zone gets warmer: {value}", value=", ".join(zone.zone for zone in failing))
        return failed(text, "check boiler or heat pump: its display, its pressure, its fuel, the pump")
    if failing:
        text = phrase(
            "{failing} of {zones} without a rise in temperature",
            failing=len(failing),
            zones=counted(len(heated), "heated zone"),
        )
        return warned(text, "check their valves first")
    return passed(
        phrase("the heat source is {action}, and no zone was heated in vain", action=found.heat_source.action)
    )


def _minimum_times(found: ResponseFacts) -> Finding:
    at_limit = [each for each in found.heating.equipment if each.starts_max and each.starts >= each.starts_max]
    if at_limit:
        text = ", ".join(f"{each.name}: {plural(each.starts, 'start')} within an hour" for each in at_limit)
        return warned(text, "raise minimum times or deadband in climate, so that it runs longer and more rarely")
    waiting = [zone.zone for zone in found.climate.zones if zone.is_held]
    more = f"; a minimum time holds {', '.join(waiting)}" if waiting else ""
    return passed(phrase("no equipment is at its limit of starts{more}", more=more))


def _schedule(found: Documents) -> Finding:
    scheduled = [zone for zone in found.climate.zones if zone.schedule]
    if not scheduled:
        return unknown("no zone follows a schedule")
    names = ", ".join(zone.zone for zone in scheduled)
    if not found.status.clock.synchronised:
        what = f"the time is not known, so these wait for it: {names}"
        return judged(Problem(what, "check the time (machine-clock)", clock_level(found.status.clock)))
    late = [zone.zone for zone in scheduled if is_setpoint_late(zone, found.status)]
    if late:
        return failed(
            phrase("setpoints that have ended are in force: {late}", late=", ".join(late)), "systemctl restart climahub"
        )
    return passed(phrase("these follow their schedules: {names}", names=names))


def _frost(found: ClimateReport) -> Finding:
    rooms = [(zone.room_c, zone.zone) for zone in found.zones if zone.room_c is not None]
    if not rooms:
        return unknown("no room has a temperature")
    cold = ", ".join(f"{name} {room_c:.1f} °C" for room_c, name in sorted(rooms) if room_c < FROST_WARN_C)
    if min(rooms)[0] < FROST_C:
        return failed(
            phrase("frost is near: {cold}", cold=cold),
            "heat these rooms by other means, and find why the heating does not",
        )
    if cold:
        return warned(phrase("cold: {cold}", cold=cold), "check radiators, windows and the setpoints")
    return passed(
        phrase("the coldest room is {rooms} with {rooms2} °C", rooms=min(rooms)[1], rooms2=f"{min(rooms)[0]:.1f}")
    )


def _temperature(found: Documents) -> Finding:
    zones = found.climate.zones
    if blind := zones_without_temperature(found.status, found.climate):
        names = ", ".join(f"{zone.zone} ({zone.reason})" for zone in blind)
        return failed(phrase("no trusted temperature: {names}", names=names), "see the checks of the sensors")
    if any(zone.room_c is None for zone in zones):
        return unknown("not every sensor has reported yet")
    return passed(phrase("{zones} with a trusted temperature, none without", zones=counted(len(zones), "zone")))


def _programs(found: Heating) -> Finding:
    if found.file_problem:
        return failed(found.file_problem, "check the card; the zones go on until the next restart")
    return passed("setpoints, holds and schedules are on the disk")


def _holds(found: ClimateReport) -> Finding:
    endless = [zone.zone for zone in found.zones if any(hold.until == "changed" for hold in zone.holds)]
    if endless:
        return warned(
            phrase("holds without an end: {endless}", endless=", ".join(endless)),
            "climahub climate resume ZONE ends them",
        )
    return passed("no hold lasts until somebody changes it")


def _maintenance_report(facts: Facts) -> MaintenanceReport | Missing:
    zones = _zones(facts)
    if isinstance(zones, Missing):
        return zones
    if isinstance(facts.documents, Missing):
        return facts.documents
    found = facts.documents.maintenance
    return found if found.zones else Missing("no zone is heated: only heating is watched")


def _maintenance(found: MaintenanceReport) -> Finding:
    known = [(zone.zone, each) for zone in found.zones for each in zone.findings]
    if faults := sorted([one for one in known if one[1].issue], key=lambda one: -(one[1].confidence or 0.0)):
        remedies = [phrase("{zone}: {action}", zone=zone, action=each.action) for zone, each in faults]
        return warned(
            _one_after_another([_fault_text(zone, each, found.phrases) for zone, each in faults]),
            _one_after_another(remedies),
        )
    if found.problem:
        return warned(found.problem, "check the card: see machine-wear and machine-read-only")
    if not any(each.confidence is not None for _, each in known):
        zone, first = known[0] if known else (found.zones[0].zone, None)
        reason = _translatable(first.evidence, found.phrases) if first else ""
        return unknown(phrase("{zone}: {reason}", zone=zone, reason=reason))
    waiting = [f"{zone}/{each.indicator}" for zone, each in known if each.confidence is None]
    usual = counted(len(known) - len(waiting), "finding")
    if waiting:
        return passed(phrase("{usual} as usual; not known yet: {waiting}", usual=usual, waiting=", ".join(waiting)))
    return passed(phrase("{usual} as usual", usual=usual))


def _fault_text(zone: str, found: FindingReport, phrases: Mapping[str, Template]) -> str:
    return phrase(
        "{zone}: {issue}, with a probability of {percent} %, since {day}: {evidence}",
        zone=zone,
        issue=found.issue,
        percent=f"{100.0 * (found.confidence or 0.0):.0f}",
        day=found.since[:10] if found.since else "?",
        evidence=_translatable(found.evidence, phrases),
    )


def _translatable(text: str, phrases: Mapping[str, Template]) -> str:
    """Return a text of a document as the phrase that it was made as."""
    made = phrases.get(text)
    return text if made is None else respelt(text, made.key, made.parameters)


def _one_after_another(texts: Sequence[str]) -> str:
    first, *others = texts
    return phrase("{first}; {others}", first=first, others=_one_after_another(others)) if others else first


CHECKS: Sequence[Check[Any]] = (
    check(
        Group.HEATING,
        "relays",
        "Relays answer",
        "Each output is read back after it was switched.",
        _response_facts,
        _relays,
    ),
    check(
        Group.HEATING,
        "follows",
        "Rooms follow their relays",
        "A room that is heated must get warmer, and one that is not must not.",
        _zones,
        _follows,
    ),
    check(
        Group.HEATING,
        "source",
        "Heat source responds",
        "If no heated room gets warmer, the boiler or heat pump does not work.",
        _zones,
        _source,
    ),
    check(
        Group.HEATING,
        "maintenance",
        "Predictive maintenance",
        "Heating that gets worse slowly fails in winter.",
        _maintenance_report,
        _maintenance,
    ),
    check(
        Group.HEATING,
        "minimum-times",
        "Minimum times",
        "Equipment that starts too often wears out.",
        _response_facts,
        _minimum_times,
    ),
    check(
        Group.HEATING,
        "schedule",
        "Schedule against the clock",
        "The block in force must be the one of this hour.",
        _zone_documents,
        _schedule,
    ),
    check(Group.HEATING, "frost", "Frost", "Pipes freeze in rooms that are too cold.", _zones, _frost),
    check(
        Group.HEATING,
        "temperature",
        "Zones have a temperature",
        "A zone without one is heated by estimate.",
        _zone_documents,
        _temperature,
    ),
    check(
        Group.HEATING,
        "programs",
        "Programs are kept",
        "Setpoints and schedules must survive a restart.",
        lambda facts: facts.heating,
        _programs,
    ),
    check(Group.HEATING, "holds", "Holds", "A forgotten hold overrules the schedule for ever.", _zones, _holds),
)
