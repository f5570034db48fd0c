"""Checks of the sensors: each check looks at all of them and names those with a problem. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from agent.config.primary import is_machine_part
from agent.foundation.format import duration
from agent.foundation.median import median
from agent.foundation.phrase import counted, phrase
from agent.local.climate import ClimateReport
from agent.local.document_problems import BATTERY_PERCENT_MIN
from agent.local.problems import STALE_INTERVALS, name_of
from agent.local.status import HubStatus, SensorReport
from agent.port.checks.facts import Documents, Facts, Heating, Missing, SensorHistory
from agent.port.checks.model import Check, Finding, check, failed, passed, unknown, warned
from agent.port.checks.report import Group, RepairOffer
from hal.interface import SensorKind
from hal.radio import NOT_REPORTED_YET

DISAGREE_K = 4.0
"""As `agent.climate.fusion`, which costs 2 MiB to import: sensors farther apart do not measure the same room."""
SELF_HEATED_K = 3.0
"""The hub's own warmth raises a sensor beside its processor by 3 to 10 K."""
BATTERY_WARN_PERCENT = 20
UNCERTAIN_K = 1.0
"""A sensor in the hub's case whose room is not known better than this has not learned enough yet."""
STUCK_HOURS = 12.0
STUCK_COUNT_MIN = 12
"""A room's temperature changes by a sensor's resolution within half a day."""
BAD_SHARE_MAX = 0.05
BAD_COUNT_MIN = 5


class SensorFacts(msgspec.Struct, frozen=True):
    """The documents, and the sensors' history where the hub keeps one."""

    documents: Documents
    history: tuple[SensorHistory, ...] | Missing


def _silent(found: Documents) -> Finding:
    status = found.status
    interval_s = int(status.settings.in_force.get("reporting_interval_seconds", 0))
    texts, repairs = [], []
    for sensor in status.sensors:
        is_late = interval_s and (sensor.age_s or 0) > STALE_INTERVALS * interval_s
        if not sensor.device and is_late:
            texts.append(f"{sensor.sensor} for {duration(sensor.age_s or 0)}")
    for paired in found.zigbee.sensors:
        if paired.is_online is False:
            last = "" if paired.last_seen_age_s is None else f" for {duration(paired.last_seen_age_s)}"
            texts.append(f"{paired.name}{last}")
            repairs += [RepairOffer("set-up-reporting", paired.device), RepairOffer("forget-sensor", paired.device)]
    if texts:
        remedy = "press its button, change its battery, bring it nearer; if it is gone for good, forget it"
        return failed(phrase("silent: {texts}", texts=", ".join(texts)), remedy, *repairs)
    heard = sum(sensor.age_s is not None for sensor in status.sensors)
    if not heard:
        remedy = "pair a sensor (climahub zigbee pair), or check the sensors of the board"
        late = (status.running_s or 0) > STALE_INTERVALS * max(1, interval_s)
        return failed("no sensor has reported", remedy) if late else unknown("no sensor has reported yet")
    return passed(
        phrase("{heard} of {values} reported, none overdue", heard=heard, values=counted(len(status.sensors), "value"))
    )


def _stuck(found: SensorFacts) -> Finding:
    zones = [zone for zone in found.documents.climate.zones if zone.is_sensor_stuck]
    if zones:
        text = phrase(
            "the value does not change while the room is heated: {value}", value=", ".join(zone.zone for zone in zones)
        )
        return failed(text, "take the battery out and insert it again, or replace the sensor")
    if isinstance(found.history, Missing):
        return unknown(found.history.reason)
    judged = [each for each in found.history if each.kind == "temperature" and each.hours >= STUCK_HOURS]
    stuck = [each for each in judged if each.count >= STUCK_COUNT_MIN and not each.spread]
    if stuck:
        names = _history_names(stuck, found.documents.status)
        text = phrase(
            "exactly the same temperature for {hours} h: {names}", hours=f"{STUCK_HOURS:.0f}", names=", ".join(names)
        )
        return warned(text, "breathe on the sensor and watch it; replace it if nothing changes")
    if not judged:
        return unknown(phrase("no sensor has a history of {hours} h yet", hours=f"{STUCK_HOURS:.0f}"))
    return passed(phrase("{sensors} with changing values", sensors=counted(len(judged), "sensor")))


def _history_names(stuck: Sequence[SensorHistory], status: HubStatus) -> Iterator[str]:
    names = {relayed.device: relayed.name for relayed in status.relayed_sensors}
    return (names.get(each.device, each.device) or each.sensor for each in stuck)


def _stuck_fact(facts: Facts) -> SensorFacts | Missing:
    return facts.documents if isinstance(facts.documents, Missing) else SensorFacts(facts.documents, facts.history)


def _implausible(found: Documents) -> Finding:
    status = found.status
    bad = [each for each in status.sensors if each.quality == "bad" or each.problem]
    suspect = [each for each in status.sensors if each.quality == "suspect" and each.reason != NOT_REPORTED_YET]
    if bad:
        text = "; ".join(f"{name_of(each, status)}: {each.problem or each.reason}" for each in bad)
        return failed(text, "check the sensor's cable and place, or replace it")
    if suspect:
        text = "; ".join(f"{name_of(each, status)}: {each.reason}" for each in suspect)
        return warned(text, "watch it: a jump that persists is believed")
    if told := [each for each in status.sensors if each.doubt]:
        text = "; ".join(f"{name_of(each, status)}: {each.doubt}" for each in told)
        return warned(text, "follow the message")
    often = [each for each in status.sensors if _is_often_bad(each)]
    if often:
        text = ", ".join(f"{name_of(each, status)} ({each.bad} of {each.good + each.bad})" for each in often)
        return warned(phrase("often implausible: {text}", text=text), "replace the sensor if this continues")
    if not any(each.quality == "good" for each in status.sensors):
        return unknown("no sensor has reported yet")
    return passed("all values are plausible")


def _is_often_bad(sensor: SensorReport) -> bool:
    return sensor.bad >= BAD_COUNT_MIN and sensor.bad > BAD_SHARE_MAX * (sensor.good + sensor.bad)


def _temperatures(status: HubStatus) -> Mapping[str, float]:
    """Return the good temperatures by the names that zones use."""
    names = {relayed.device: relayed.name for relayed in status.relayed_sensors}
    found = {}
    for sensor in status.sensors:
        if sensor.kind == SensorKind.TEMPERATURE and sensor.quality == "good" and sensor.value is not None:
            found[names.get(sensor.device, sensor.device) if sensor.device else sensor.sensor] = sensor.value
    return found


def _contradiction(found: Documents) -> Finding:
    values = _temperatures(found.status)
    texts, compared = [], 0
    for zone in found.climate.zones:
        here = {name: values[name] for name in zone.sensors if name in values}
        compared += len(here) > 1
        if len(here) > 1 and max(here.values()) - min(here.values()) > DISAGREE_K:
            shown = ", ".join(f"{name} {value:.1f} °C" for name, value in here.items())
            texts.append(f"{zone.zone}: {shown}")
        elif zone.has_contradiction:
            texts.append(f"{zone.zone}: {zone.sensor_problem}")
    if texts:
        return warned("; ".join(texts), "move the wrong one off sun, draught and radiators, or replace it")
    if not compared:
        return unknown("no zone has two sensors that can be compared")
    return passed(
        phrase(
            "the sensors of {zones} agree within {kelvin} K", zones=counted(compared, "zone"), kelvin=f"{DISAGREE_K:g}"
        )
    )


def _battery(found: Documents) -> Finding:
    status = found.status
    levels = [each for each in status.sensors if each.kind == SensorKind.BATTERY_LEVEL and each.value is not None]
    if not levels:
        return unknown("no sensor reports a battery")
    low = [each for each in levels if (each.value or 0) < BATTERY_WARN_PERCENT]
    text = ", ".join(f"{name_of(each, status)} {each.value:.0f} %" for each in low)
    if any((each.value or 0) < BATTERY_PERCENT_MIN for each in low):
        return failed(phrase("nearly empty: {text}", text=text), "change the battery now")
    if low:
        return warned(phrase("low: {text}", text=text), "change the battery at the next visit")
    return passed(
        phrase(
            "{batteries}, none below {percent} %",
            batteries=counted(len(levels), "battery", "batteries"),
            percent=BATTERY_WARN_PERCENT,
        )
    )


def _self_heated(found: Documents) -> Finding:
    values = _temperatures(found.status)
    own = {each.sensor for each in found.status.sensors if not each.device}
    chips = _zones_on_chips(found.climate)
    if chips:
        text = phrase("a zone is controlled by the temperature of the machine: {chips}", chips=", ".join(chips))
        return failed(text, "name a sensor of the room in climate.zones")
    in_case = {each.sensor: each.uncertainty for each in found.status.sensors if not each.device and each.uncertainty}
    if vague := [name for name in values if in_case.get(name, 0.0) > UNCERTAIN_K]:
        text = phrase("how much the hub warms it is not learned yet: {names}", names=", ".join(vague))
        return warned(text, "enter the room's temperature: climahub sensors calibrate NAME --reads")
    others = [value for name, value in values.items() if name not in own]
    rooms = {name: value for name, value in values.items() if name in own and not is_machine_part(name)}
    if not rooms or not others:
        return unknown("there is no pair of an own and another sensor to compare")
    reference_c = median(others)
    warm = [f"{name} {value - reference_c:.1f} K above the others" for name, value in rooms.items()
            if value - reference_c > SELF_HEATED_K]  # fmt: skip
    if warm:
        return warned(", ".join(warm), "move the sensor away from the hub on a cable; the hub warms it")
    return passed("the hub's own sensors are not warmer than the others")


def _zones_on_chips(climate: ClimateReport) -> list[str]:
    return [f"{zone.zone} by {name}" for zone in climate.zones for name in zone.sensors_in_use if is_machine_part(name)]


def _missing(found: Heating) -> Finding:
    if found.sensor_problem:
        return failed(found.sensor_problem, "correct the name (climahub status lists them), or pair the sensor")
    return passed("every sensor that a zone names has reported")


def _identity(found: Documents) -> Finding:
    status = found.status
    texts = [f"{each.name}: {each.problem}" for each in status.relayed_sensors if each.problem]
    texts += [status.relay_problem] if status.relay_problem and not status.relayed_sensors else []
    texts += [f"the key for {label} fits no sensor" for label in status.unmatched_keys]
    if texts:
        remedy = "follow the message; after a correction let the hub try again"
        return warned("; ".join(texts), remedy, RepairOffer("retry-registrations"))
    return passed(phrase("{sensors} without a problem", sensors=counted(len(status.relayed_sensors), "relayed sensor")))


CHECKS: Sequence[Check[Any]] = (
    check(
        Group.SENSORS,
        "silent",
        "Silent sensors",
        "A room without a reporting sensor is heated by estimate.",
        lambda facts: facts.documents,
        _silent,
    ),
    check(
        Group.SENSORS,
        "stuck",
        "Stuck sensors",
        "A value that never changes is none: its room would be heated for ever.",
        _stuck_fact,
        _stuck,
    ),
    check(
        Group.SENSORS,
        "implausible",
        "Implausible values",
        "Values that a room cannot have are not used.",
        lambda facts: facts.documents,
        _implausible,
    ),
    check(
        Group.SENSORS,
        "contradiction",
        "Contradicting sensors",
        "Two sensors of one room that differ by several kelvin: one is wrong, or in the wrong place.",
        lambda facts: facts.documents,
        _contradiction,
    ),
    check(
        Group.SENSORS,
        "battery",
        "Batteries",
        "A sensor falls silent soon after its battery is low.",
        lambda facts: facts.documents,
        _battery,
    ),
    check(
        Group.SENSORS,
        "self-heated",
        "Self-heated sensors",
        "A sensor that the hub itself warms lets the room go cold.",
        lambda facts: facts.documents,
        _self_heated,
    ),
    check(
        Group.SENSORS,
        "missing",
        "Sensors that do not exist",
        "A misspelt name in the configuration leaves a zone without a sensor.",
        lambda facts: facts.heating,
        _missing,
    ),
    check(
        Group.SENSORS,
        "identity",
        "Registration",
        "A sensor without an identity in the cloud is used here, and its readings wait.",
        lambda facts: facts.documents,
        _identity,
    ),
)
