"""The verdict on a hub in words: is all well, what is wrong, what to do, and what the hub can do itself. Pure.

Says that all is well only where every part has been seen to work; a part that has not shown it yet is named. Must
change nothing and read nothing but the documents of the local API.
"""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import msgspec

from agent.foundation.format import duration
from agent.foundation.phrase import Template, counted, listed, parts, phrase, plain, sentence
from agent.local.climate import UNDECIDED, ClimateReport, ZoneReport
from agent.local.document_problems import (
    battery_problem,
    document_problems,
    names_by_place,
    silence,
    zones_without_temperature,
)
from agent.local.problem import Level, Problem
from agent.local.problems import STALE_INTERVALS, problems, trouble
from agent.local.repair_table import REPAIRS
from agent.local.status import HubStatus
from agent.local.updates import UpdateReport
from agent.local.zigbee import ZigbeeReport

SENSORS_SPOKEN_MAX = 3
PROBLEMS_SPOKEN_MAX = 3
"""More sentences do not fit a verdict; all problems are listed below it."""

_CLOUD_PROBLEM = "cloud: "
"""How `agent.local.problems` begins those of the link."""

_CLOUD = {
    "untried": "not asked yet",
    "up": "fine",
    "degraded": "works in part",
    "down": "cannot be reached for {time}",
    "key_refused": "refuses the hub's key for {time}",
    "unprovisioned": "not asked, as the hub has no key, for {time}",
}

_DOING = {"heat": "Heating {zones}.", "cool": "Cooling {zones}."}
"""By `hal.interface.HvacAction`."""

ALL_WELL = "All is well."

WAITS_K = 0.5
"""A zone that is idle this far from its setpoint waits; less is within what the control law lets it swing."""


class Action(msgspec.Struct, frozen=True):
    """What the hub can do at a press of a button: one request to the local API without a body.

    Attributes:
        title: The words on the button.
        method: The HTTP method.
        path: The route, with its query.
        role: What the caller must be allowed to do.
    """

    title: str
    method: str
    path: str
    role: str


class Verdict(msgspec.Struct, frozen=True):
    """The verdict.

    Attributes:
        level: The most urgent level of all problems.
        sentences: What a person reads first, complete sentences, the most urgent first.
        problems: All problems with their remedies, the most urgent first.
        actions: What the hub can do now.
        phrases: How those of the texts above were made that have values in them, for translations.
    """

    level: Level
    sentences: list[str]
    problems: list[Problem]
    actions: list[Action]
    phrases: Mapping[str, Template] = {}


CONFIRM_CONFIG = Action("Keep the changed configuration", "POST", "/v1/config/confirm", "owner")
ROLL_BACK_CONFIG = Action("Undo the change of the configuration", "POST", "/v1/config/rollback", "owner")
CONFIRM_RESET = Action("Reset the hub and erase its data", "POST", "/v1/confirm/button", "owner")
ROLL_BACK = Action("Return to the release before", "POST", "/v1/update/rollback", "owner")


def verdict(
    status: HubStatus, climate: ClimateReport, zigbee: ZigbeeReport, update: UpdateReport | None = None
) -> Verdict:
    """Return the verdict.

    Args:
        status: The status document.
        climate: The climate document; without zones where the hub drives nothing.
        zigbee: The Zigbee document.
        update: The update document; `None` where the hub cannot be updated.
    """
    mild = {f"{zone.zone}: {zone.sensor_problem}" for zone in climate.zones if zone.room_c is not None}
    texts = [fault.text for fault in status.faults]
    of_zones = {
        f"{zone.zone}: {problem}": phrase("{zone}: {problem}", zone=zone.zone, problem=problem)
        for zone in climate.zones
        for problem in (
            zone.problem,
            zone.sensor_problem,
            *(text.removeprefix(f"{zone.zone}: ") for text in texts if text.startswith(f"{zone.zone}: ")),
        )
    }
    found = sorted(
        [
            *problems(status, mild=mild, of_zones=of_zones),
            *document_problems(status, climate, zigbee, update),
        ],
        key=lambda problem: problem.level is not Level.FAULT,
    )
    level = max((problem.level for problem in found), key=list(Level).index, default=Level.OK)
    unseen = [*_unseen(status, climate, zigbee)]
    if unseen and level is Level.OK:
        level = Level.ATTENTION
    head = [ALL_WELL] if level is Level.OK else [*_troubles(found, status, climate, zigbee), *unseen]
    actions = [
        *_config_actions(status),
        *([CONFIRM_RESET] if status.machine.reset_left_s is not None else []),
        *_radio_actions(zigbee),
        *_hub_actions(status, zigbee),
        *_update_actions(update),
    ]
    rest = [*_heating(climate), _cloud(status)]
    if any(problem.what.startswith(_CLOUD_PROBLEM) for problem in found):
        rest.reverse()
    sentences = [*head, *rest]
    texts = [*sentences, *(problem.what for problem in found), *(action.title for action in actions)]
    return Verdict(
        level,
        [*map(plain, sentences)],
        [msgspec.structs.replace(problem, what=plain(problem.what)) for problem in found],
        [msgspec.structs.replace(action, title=plain(action.title)) for action in actions],
        parts(texts),
    )


def _troubles(found: Sequence[Problem], status: HubStatus, climate: ClimateReport, zigbee: ZigbeeReport) -> list[str]:
    """Return the problems as sentences, faults first.

    Those of one sensor are one sentence, with what its zone does without it.
    """
    sensors, names = _troubled_sensors(status, zigbee), names_by_place(status, zigbee)
    known = {name for place in sensors for name in (place, names.get(place, place))}
    # The cloud has a sentence of its own, and a zone's sensor stands in that of the sensor.
    explained = {f"climate: {zone.zone}: {zone.sensor_problem}" for zone in climate.zones if known & set(zone.sensors)}
    others = [
        problem
        for problem in found
        if not problem.what.startswith((_CLOUD_PROBLEM, "sensor ")) and problem.what not in explained
    ]
    faults = sum(problem.level is Level.FAULT for problem in others[:PROBLEMS_SPOKEN_MAX])
    spoken = [sentence(problem.what) for problem in others[:PROBLEMS_SPOKEN_MAX]]
    said = [
        _sensor_sentence(place, names.get(place, place), text, climate)
        for place, text in list(sensors.items())[:SENSORS_SPOKEN_MAX]
    ]
    more = len(sensors) + len(others) - len(said) - len(spoken)
    rest = [sentence(counted(more, "further problem"))] if more else []
    return [*spoken[:faults], *said, *spoken[faults:], *rest]


def _troubled_sensors(status: HubStatus, zigbee: ZigbeeReport) -> Mapping[str, str]:
    """Return one problem of each sensor that has any, by device or by the board's name for it."""
    interval_s = int(status.settings.in_force.get("reporting_interval_seconds", 0))
    texts: dict[str, str] = {}
    for sensor in status.sensors:
        if text := trouble(sensor, interval_s=interval_s) or battery_problem(sensor):
            texts.setdefault(sensor.device or sensor.sensor, text)
    for relayed in status.relayed_sensors:
        if relayed.problem:
            texts[relayed.device] = relayed.problem
    for paired in zigbee.sensors:
        if paired.is_online is False:
            texts[paired.device] = silence(paired)
    return texts


def _sensor_sentence(place: str, name: str, text: str, climate: ClimateReport) -> str:
    template = "{name} {problem}" if text.startswith("silent") else "{name}: {problem}"
    said = phrase(template, name=name, problem=text)
    for consequence in _consequences({place, name}, climate):
        said = phrase("{what}; {then}", what=said, then=consequence)
    return sentence(said)


def _consequences(names: set[str], climate: ClimateReport) -> Iterator[str]:
    for zone in climate.zones:
        if not names & set(zone.sensors) or names & set(zone.sensors_in_use):
            continue
        if zone.room_c is None or not zone.sensors_in_use:
            yield phrase("{zone} without a temperature: {why}", zone=zone.zone, why=zone.reason)
        else:
            yield phrase("{zone} is controlled by {sensors}", zone=zone.zone, sensors=listed(zone.sensors_in_use))


def _heating(climate: ClimateReport) -> Iterator[str]:
    zones = climate.zones
    if not zones or any(zone.reason == UNDECIDED for zone in zones):
        return
    for action, template in _DOING.items():
        if active := [zone.zone for zone in zones if zone.action == action]:
            yield phrase(template, zones=listed(active))
    waiting = [*filter(None, map(_wait, zones))]
    yield from waiting
    is_idle = all(zone.action not in _DOING and not zone.duty and zone.room_c is not None for zone in zones)
    if is_idle and not waiting:
        yield "No zone needs heating or cooling."


def _wait(zone: ZoneReport) -> str:
    """Return for what a zone that is idle and away from its setpoint waits; empty for any other."""
    if zone.action in _DOING or zone.room_c is None:
        return ""
    is_cold = zone.room_c <= zone.heat_setpoint_c - WAITS_K and zone.mode in {"heat", "auto"} and "heat" in zone.modes
    is_warm = zone.room_c >= zone.cool_setpoint_c + WAITS_K and zone.mode in {"cool", "auto"} and "cool" in zone.modes
    if not is_cold and not is_warm:
        return ""
    # A limit stands behind the setpoint's description, which ends with the last bracket.
    why = zone.reason.rpartition(")")[2].removeprefix("; ") if ")" in zone.reason else ""
    if not why and zone.duty:
        why = phrase("{percent} % of the time is enough", percent=f"{zone.duty * 100:.0f}")
    template = "{zone} waits to heat: {why}" if is_cold else "{zone} waits to cool: {why}"
    return sentence(phrase(template, zone=zone.zone, why=why or zone.reason.removeprefix("idle: ")))


def _cloud(status: HubStatus) -> str:
    link, outbox = status.link, status.outbox
    state = _CLOUD.get(link.state, link.state)
    state = phrase(state, time=duration(link.since_s)) if "{time}" in state else state
    readings = counted(outbox.pending, "reading")
    ages = [sensor.age_s for sensor in status.sensors if sensor.age_s is not None]
    if not ages:
        return phrase("Cloud {state}, {readings} waiting.", state=state, readings=readings)
    newest = duration(min(ages))
    return phrase("Cloud {state}, {readings} waiting, newest {age} old.", state=state, readings=readings, age=newest)


def _unseen(status: HubStatus, climate: ClimateReport, zigbee: ZigbeeReport) -> Iterator[str]:
    """Yield what has not been seen to work yet, without being wrong."""
    interval_s = int(status.settings.in_force.get("reporting_interval_seconds", 0))
    is_late = (status.running_s or 0) > STALE_INTERVALS * interval_s
    if not any(sensor.good for sensor in status.sensors):
        yield "No sensor has reported a good value yet."
    elif is_late and all(sensor.age_s is None for sensor in status.sensors):
        yield "No sensor has reported since the start."
    if status.link.state == "untried":
        yield "The cloud has not answered yet."
    if not status.clock.synchronised:
        yield "The time is not known yet."
    if starting := [zone.zone for zone in climate.zones if zone.reason == UNDECIDED]:
        yield phrase("Nothing is decided yet for {zones}.", zones=listed(starting))
    elif cold := _not_yet_measured(status, climate):
        yield phrase("No temperature is known for {zones}.", zones=listed(cold))
    if zigbee.radio.state == "starting":
        yield "The radio is starting."


def _not_yet_measured(status: HubStatus, climate: ClimateReport) -> list[str]:
    late = zones_without_temperature(status, climate)
    return [zone.zone for zone in climate.zones if zone.room_c is None and zone not in late]


def _repair(name: str, *, target: str = "", what: str = "") -> Action:
    repair = REPAIRS[name]
    path = f"/v1/repairs/{name}" + (f"?target={quote(target, safe='')}" if target else "")
    title = phrase("{what} ({name})", what=repair.title, name=what) if what else repair.title
    return Action(title, "POST", path, repair.role.value)


def _radio_actions(zigbee: ZigbeeReport) -> Iterator[Action]:
    if zigbee.radio.state == "lost":
        yield _repair("restart-radio")
        return
    silent = [each for each in zigbee.sensors if each.is_online is False]
    for each in silent[:SENSORS_SPOKEN_MAX]:
        yield _repair("set-up-reporting", target=each.device, what=each.name)


def _hub_actions(status: HubStatus, zigbee: ZigbeeReport) -> Iterator[Action]:
    if status.outbox.problem:
        yield _repair("free-space")
    if status.link.state in {"down", "degraded", "key_refused"}:
        yield _repair("retry-cloud")
    if not status.clock.synchronised:
        yield _repair("fetch-time")
    if zigbee.problem or any(".json" in text for text in status.settings.problems):
        yield _repair("rebuild-stores")


def _config_actions(status: HubStatus) -> list[Action]:
    trial = status.config_trial
    return [CONFIRM_CONFIG, ROLL_BACK_CONFIG] if trial is not None and trial.is_started else []


def _update_actions(update: UpdateReport | None) -> Iterator[Action]:
    if update is None:
        return
    if update.is_paused:
        yield _repair("resume-updates")
    if update.trial_problems:
        yield ROLL_BACK
    if update.state == "failed" and update.error:
        yield _repair("reset-update")
