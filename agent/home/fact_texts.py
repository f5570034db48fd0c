"""What the hub writes down about itself: changes of the home as facts, one chain for each subject. Pure.

A subject is what can have one value at a time: the setpoints of one zone, the firmware of the hub. A fact is one
sentence that is true until the next one about its subject; a fault ends with nothing in its place.
"""

import hashlib
from datetime import UTC, datetime

import msgspec

from agent.climate.model import Eco, Hold, HoldKind, Mode, Schedule, Setpoints
from agent.facts.model import LABEL_CHARACTERS_MAX, SUBJECT_CHARACTERS_MAX, FactDraft, Tenant
from agent.facts.tables import SubjectEnd
from agent.foundation.text import sanitize
from agent.home.changes import HUB, ChangeKind
from agent.home.devices import DeviceKind, HomeDevice, Measurement
from agent.home.thermostat import Thermostat
from agent.maintenance.alerts import AlertState
from agent.sensors.calibration import OFFSET_MAX

HUB_TENANT = Tenant("hub")
"""The owner of the hub's own facts. The id of a client begins with `acc_`."""

TEXT_CHARACTERS_MAX = 1000
"""Of a long schedule the rest is left out; its name and first blocks stay. At most four bytes each fit a fact."""

DIGEST_CHARACTERS = 12
"""Of the digest that stands for what a label cannot hold: 48 bits keep the schedules of a home apart."""

VISIT = "visit"
"""The quality of a device that service visits are about."""

FactChange = FactDraft | SubjectEnd

_ENDED_HOLDS = frozenset({ChangeKind.HOLD_ENDED, ChangeKind.HOLD_CANCELLED})


class About(msgspec.Struct, frozen=True):
    """What a fact is about, and since when it is true.

    Attributes:
        device_id: The zone or other device.
        name: Of the device, for people.
        is_zone: It is a zone.
        at_ms: Since when, in UTC.
        by: Who caused it.
    """

    device_id: str
    name: str
    is_zone: bool
    at_ms: int
    by: str = HUB

    def fact(self, what: str, text: str, *, topic: str = "") -> FactDraft:
        """Return a fact about one quality of the device."""
        return FactDraft(
            sanitize(f"{self.name}: {text}", characters_max=TEXT_CHARACTERS_MAX),
            topic=topic or what,
            source=HUB_TENANT.owner,
            author=_label(self.by, LABEL_CHARACTERS_MAX),
            subject=self.subject(what),
            zone=self.device_id if self.is_zone else "",
            valid_from_ms=self.at_ms,
        )

    def end(self, what: str) -> SubjectEnd:
        """Return that a quality of the device has ended with nothing in its place."""
        return SubjectEnd(self.subject(what), self.at_ms, _label(self.by, LABEL_CHARACTERS_MAX))

    def subject(self, what: str) -> str:
        """Return the subject of facts about one quality of the device."""
        return _label(f"{self.device_id}/{what}", SUBJECT_CHARACTERS_MAX)


def facts_of_change(kind: ChangeKind, about: About, old: object, new: object) -> list[FactChange]:
    """Return what a change of the home says; nothing for what is no fact, such as the output of a zone.

    Args:
        kind: Of the change.
        about: Of what, when and by whom.
        old: Before; see `ChangeKind`.
        new: After; see `ChangeKind`.
    """
    what = text = topic = ""
    match new:
        case Setpoints() if kind is ChangeKind.SETPOINTS:
            what, text = "setpoints", f"setpoints: {_setpoints(new.heat_setpoint_c, new.cool_setpoint_c)}."
        case Mode() if kind is ChangeKind.MODE:
            what, text = "mode", f"the mode is {new.value}."
        case Eco() if kind is ChangeKind.ECO:
            limits = f"on: heat to at most {new.heat_limit_c:g} °C, cool to at least {new.cool_limit_c:g} °C"
            what, text = "eco", f"eco is {limits if new.is_enabled else 'off'}."
        case str() if kind is ChangeKind.SCHEDULE:
            what, text = "schedule", f"follows the schedule {new}." if new else "follows no schedule."
        case Schedule() if kind is ChangeKind.SCHEDULE_STORED:
            what, text, topic = f"schedule/{new.name}", _week(new), "schedule"
        case Hold() if kind is ChangeKind.HOLD_BEGUN:
            what, text, topic = f"hold/{new.kind.value}", _hold(new), "hold"
    return [about.fact(what, text, topic=topic)] if what else _facts_of_end(kind, about, old, new)


def _facts_of_end(kind: ChangeKind, about: About, old: object, new: object) -> list[FactChange]:
    if kind is ChangeKind.SCHEDULE_DROPPED and isinstance(old, Schedule):
        return [about.end(f"schedule/{old.name}")]
    if kind in _ENDED_HOLDS and isinstance(old, Hold):
        return [about.end(f"hold/{old.kind.value}")]
    if kind is ChangeKind.ONLINE:
        return facts_of_reach(about, is_online=new if isinstance(new, bool) else None)
    return []


def facts_of_reach(about: About, *, is_online: bool | None) -> list[FactChange]:
    """Return whether a device belongs to the home, and whether it can be reached.

    Args:
        about: The device.
        is_online: `None` for a device that has gone.
    """
    if is_online is None:
        return [about.end("placement"), about.end("fault")]
    kind = "zone" if about.is_zone else "sensor"
    placed = about.fact("placement", f"is a {kind} of this home.")
    return [placed, about.end("fault") if is_online else about.fact("fault", "cannot be reached, or has no value.")]


def facts_of_zone(zone: Thermostat, at_ms: int) -> list[FactChange]:
    """Return the facts about the present state of a zone: so what changed while the hub was off is found."""
    about = About(zone.zone_id, zone.name, is_zone=True, at_ms=at_ms)
    present: list[tuple[ChangeKind, object]] = [
        (ChangeKind.SETPOINTS, Setpoints(zone.heat_setpoint_c, zone.cool_setpoint_c)),
        (ChangeKind.MODE, zone.mode),
        (ChangeKind.ECO, zone.eco),
        (ChangeKind.SCHEDULE, zone.schedule),
        *((ChangeKind.SCHEDULE_STORED, each) for each in zone.schedules.values()),
        *((ChangeKind.HOLD_BEGUN, each) for each in zone.holds if each.start_utc_ms is None),
    ]
    begun = {hold.kind for hold in zone.holds if hold.start_utc_ms is None}
    sensors = ", ".join(zone.sensors) or "no sensor"
    able = " and ".join(word for word, can in (("heats", zone.can_heat), ("cools", zone.can_cool)) if can)
    return [
        *(fact for kind, new in present for fact in facts_of_change(kind, about, None, new)),
        *(about.end(f"hold/{kind.value}") for kind in HoldKind if kind not in begun),
        about.fact("sensors", f"is measured by {sensors}.", topic="placement"),
        about.fact("output", f"the output of this name {able or 'is not used'}.", topic="placement"),
        *facts_of_reach(about, is_online=zone.is_online),
    ]


def facts_of_maintenance(zone: Thermostat, state: AlertState) -> list[FactChange]:
    """Return what predictive maintenance says about a zone: its alerts while open, and technicians' answers."""
    facts: list[FactChange] = []
    about = About(zone.zone_id, zone.name, is_zone=True, at_ms=0)
    for alert in {each.indicator: each for each in state.alerts if each.zone_id == zone.zone_id}.values():
        what = f"maintenance/{alert.indicator}"
        if alert.resolved_utc_ms is None:
            text = f"maintenance is needed: {alert.issue}: {alert.evidence}."
            begun = msgspec.structs.replace(about, at_ms=alert.made_utc_ms)
            facts.append(begun.fact(what, text, topic="maintenance"))
        else:
            ended = msgspec.structs.replace(about, at_ms=alert.resolved_utc_ms, by=alert.resolved_by)
            facts.append(ended.end(what))
    for answer in {each.indicator: each for each in state.answers if each.zone_id == zone.zone_id}.values():
        day = datetime.fromtimestamp(answer.utc_ms / 1000, UTC).date().isoformat()
        note = f": {answer.note}" if answer.note else ""
        text = f"a technician answered {answer.verdict.value} about {answer.indicator} on {day}{note}."
        made = msgspec.structs.replace(about, at_ms=answer.utc_ms, by=answer.by)
        facts.append(made.fact(f"maintenance/{answer.indicator}/answer", text, topic="maintenance"))
    return facts


def fact_of_visit(about: About, day: str, text: str) -> FactDraft:
    """Return a service visit, which is the last one until the next. The day keeps two visits with one text apart.

    Args:
        about: What was serviced, when and by whom.
        day: The day of the visit, as people write it down.
        text: What was done.
    """
    return about.fact(VISIT, f"was last serviced on {day}: {text}", topic="service")


def facts_of_device(device: HomeDevice, at_ms: int) -> list[FactChange]:
    """Return the facts about a device that is no zone: firmware, model, calibration, whether a sensor is reached."""
    about = About(device.device_id, device.name, is_zone=False, at_ms=at_ms)
    made = " ".join(part for part in (device.manufacturer, device.model) if part)
    facts: list[FactChange] = []
    if device.kind is DeviceKind.SENSOR:
        # After a restart, a sensor that sleeps is no fault until it has been received once.
        facts += facts_of_reach(about, is_online=device.is_online or device.last_seen_s is None)
    facts += [fact for each in device.measurements for fact in _facts_of_calibration(about, device.kind, each)]
    if device.firmware:
        facts.append(about.fact("firmware", f"runs the firmware {device.firmware}."))
    if made:
        facts.append(about.fact("model", f"is a {made}.", topic="placement"))
    return facts


def _facts_of_calibration(about: About, kind: DeviceKind, measured: Measurement) -> list[FactChange]:
    """Return what is added to the values of one sensor, and who has set it. The hub has several sensors of a kind."""
    if measured.kind not in OFFSET_MAX:
        return []
    is_own = kind is DeviceKind.HUB
    what = f"calibration/{measured.sensor if is_own else measured.kind.value}"
    offset = measured.calibration
    if offset is None:
        return [about.end(what)]
    whose = measured.sensor if is_own else f"its {measured.kind.value}"
    added = f"{offset.value:+g} {measured.unit} is added to each value of {whose}."
    return [msgspec.structs.replace(about, by=offset.by or HUB).fact(what, added, topic="calibration")]


def _label(text: str, characters_max: int) -> str:
    """Return a text as a label that the store takes: another for each text, and the same for the same."""
    if len(text) <= characters_max and text.isprintable():
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return f"{plain[: characters_max - DIGEST_CHARACTERS - 1]}#{digest}"


def _setpoints(heat_c: float | None, cool_c: float | None) -> str:
    words = (("heat to", heat_c), ("cool to", cool_c))
    return ", ".join(f"{word} {round(value, 2):g} °C" for word, value in words if value is not None)


def _hold(hold: Hold) -> str:
    parts = [f"mode {hold.mode.value}" if hold.mode else "", _setpoints(hold.heat_setpoint_c, hold.cool_setpoint_c)]
    return f"{hold.kind.value}: {', '.join(part for part in parts if part) or 'as before'}."


def _week(schedule: Schedule) -> str:
    blocks = (
        f"{block.label} {'-'.join(day.value for day in block.days)} {block.start} to {block.end}"
        f" {_setpoints(block.heat_setpoint_c, block.cool_setpoint_c)}"
        for block in schedule.blocks
    )
    return f"the schedule {schedule.name} is {'; '.join(blocks)}."
