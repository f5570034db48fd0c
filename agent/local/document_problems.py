"""Problems that the status document does not know: of zones, radio, sensors on the air and updates. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from agent.foundation import rfc3339
from agent.foundation.format import DAY_S, duration
from agent.foundation.phrase import phrase
from agent.local.climate import UNDECIDED, ClimateReport, ZoneReport
from agent.local.problem import Level, Problem
from agent.local.problems import STALE_INTERVALS
from agent.local.status import HubStatus, SensorReport
from agent.local.updates import UNSIGNED_WARNING, UpdateReport
from agent.local.zigbee import PairedSensor, ZigbeeReport
from agent.ota.lifecycle import UpdateState
from hal.interface import SensorKind

BATTERY_PERCENT_MIN = 8
"""A coin cell drops from here to nothing within days in the cold."""

FROST_C = 4.0
"""Pipes in an outer wall freeze while the room is still at 3 °C."""

SETPOINTS_LATE_MS = 120_000
"""The control decides every 10 s: setpoints that ended two minutes ago should not be in force."""

OUTBOX_OLD_S = 14 * DAY_S
"""Somebody should have seen by then that nothing reaches the cloud."""


def document_problems(
    status: HubStatus, climate: ClimateReport, zigbee: ZigbeeReport, update: UpdateReport | None
) -> Iterator[Problem]:
    """Yield the problems of the other documents, those of the heating first."""
    for zone in zones_without_temperature(status, climate):
        if not any(text.startswith(f"{zone.zone}: ") for text in status.climate_problems):
            what = phrase("climate: {zone}: no sensor gives its temperature", zone=zone.zone)
            yield Problem(what, "see climahub sensors; check batteries and radio", Level.FAULT)
    for zone in climate.zones:
        yield from _zone_problems(zone, status)
    yield from _radio_problems(zigbee)
    yield from _sensor_problems(status, zigbee)
    if status.outbox.pending and (age_s := status.outbox.oldest_age_s or 0) > OUTBOX_OLD_S:
        what = phrase("outbox: the oldest reading has been waiting for {time}", time=duration(age_s))
        yield Problem(what, "see climahub doctor network")
    yield from _update_problems(update)


def _zone_problems(zone: ZoneReport, status: HubStatus) -> Iterator[Problem]:
    if zone.problem and f"{zone.zone}: {zone.problem}" not in status.climate_problems:
        what = phrase("climate: {zone}: {problem}", zone=zone.zone, problem=zone.problem)
        yield Problem(what, "see climahub climate for the zones", Level.FAULT)
    if zone.room_c is not None and zone.room_c < FROST_C:
        advice = "heat it by other means, and find why the heating does not"
        what = phrase("climate: {zone}: frost is near, {value} °C", zone=zone.zone, value=f"{zone.room_c:.1f}")
        yield Problem(what, advice, Level.FAULT)
    if is_setpoint_late(zone, status):
        advice = "systemctl restart climahub; report it with a support bundle"
        what = phrase("climate: {zone}: setpoints that have ended are in force", zone=zone.zone)
        yield Problem(what, advice, Level.FAULT)
    if zone.is_sensor_stuck:
        what = phrase("climate: {zone}: {problem}", zone=zone.zone, problem=zone.reason)
        yield Problem(what, "take the battery out and insert it again, or replace it")


def zones_without_temperature(status: HubStatus, climate: ClimateReport) -> Sequence[ZoneReport]:
    """Return the zones without a trusted temperature, once every sensor has had the time to report."""
    interval_s = int(status.settings.in_force.get("reporting_interval_seconds", 0))
    if (status.running_s or 0) <= STALE_INTERVALS * interval_s:
        return []
    return [zone for zone in climate.zones if zone.room_c is None and zone.reason != UNDECIDED]


def is_setpoint_late(zone: ZoneReport, status: HubStatus) -> bool:
    """Tell whether the setpoints of a zone should have ended by the hub's own clock."""
    if not status.clock.synchronised or status.clock.utc is None or zone.until is None:
        return False
    try:
        return rfc3339.parse(zone.until) < rfc3339.parse(status.clock.utc) - SETPOINTS_LATE_MS
    except ValueError:
        # A clock far outside its bounds: its text is no time.
        return False


def names_by_place(status: HubStatus, zigbee: ZigbeeReport) -> Mapping[str, str]:
    """Return the names for people of relayed sensors, by device."""
    names = {relayed.device: relayed.name for relayed in status.relayed_sensors}
    return names | {paired.device: paired.name for paired in zigbee.sensors}


def _radio_problems(zigbee: ZigbeeReport) -> Iterator[Problem]:
    radio = zigbee.radio
    if radio.state in {"lost", "refused"}:
        level = Level.FAULT if zigbee.sensors else Level.ATTENTION
        what = phrase("radio: {problem}", problem=radio.problem or radio.state)
        yield Problem(what, "see climahub zigbee status", level)
    if zigbee.problem:
        yield Problem(phrase("sensors' book: {problem}", problem=zigbee.problem))


def _sensor_problems(status: HubStatus, zigbee: ZigbeeReport) -> Iterator[Problem]:
    """Yield what the status does not know: sensors off the air, and batteries that soon take one there."""
    reported = {relayed.device for relayed in status.relayed_sensors if relayed.problem}
    for each in zigbee.sensors:
        if each.is_online is False and each.device not in reported:
            advice = "press its button, change its battery, or bring it nearer"
            yield Problem(phrase("sensor {name}: {problem}", name=each.name, problem=silence(each)), advice)
    names = names_by_place(status, zigbee)
    for sensor in status.sensors:
        if text := battery_problem(sensor):
            place = sensor.device or sensor.sensor
            what = phrase("sensor {name}: {problem}", name=names.get(place, place), problem=text)
            yield Problem(what, "change its battery")


def battery_problem(sensor: SensorReport) -> str:
    """Return what is wrong with a sensor's battery; empty where nothing is, or where this is no battery."""
    is_low = sensor.kind == SensorKind.BATTERY_LEVEL and sensor.value is not None and sensor.value < BATTERY_PERCENT_MIN
    return phrase("its battery is at {percent} %", percent=f"{sensor.value:.0f}") if is_low else ""


def silence(sensor: PairedSensor) -> str:
    """Return for how long a sensor has been off the air, in words."""
    age_s = sensor.last_seen_age_s
    return "silent since the start" if age_s is None else phrase("silent for {time}", time=duration(age_s))


def _update_problems(update: UpdateReport | None) -> Iterator[Problem]:
    if update is None:
        return
    if update.launcher and update.slot != update.good and update.state != UpdateState.TRIAL:
        slots = "updates: slot {slot} runs, and slot {good} is the confirmed one"
        what = phrase(slots, slot=update.slot, good=update.good)
        yield Problem(what, "systemctl restart climahub: the launcher starts the confirmed release")
    if update.is_paused:
        yield Problem("updates: paused by a technician", "climahub update resume")
    if update.warning == UNSIGNED_WARNING:
        yield Problem(
            phrase("updates: {problem}", problem=update.warning), "remove ota.allow_unsigned from the configuration"
        )
    if update.state == "failed" and update.error:
        what = phrase("updates: {release} failed: {why}", release=update.target, why=update.error)
        yield Problem(what, "see climahub update status")
    for name, text in sorted(update.trial_problems.items()):
        what = phrase("updates: {release} fails its trial: {check}: {why}", release=update.target, check=name, why=text)
        yield Problem(what, "it is rolled back by itself")
