"""Changes of the facts that the checks look at, one line each in the tests."""

from collections.abc import Callable
from typing import Any

import msgspec

from agent.local.boots import BootReport
from agent.local.maintenance import FindingReport, ZoneMaintenance
from agent.local.status import HubStatus, MachineReport, SensorReport, UpsReport
from agent.local.zigbee import RadioOutputReport
from agent.port.checks.facts import DiskRoom, Documents, Facts, Missing, Unit

replace = msgspec.structs.replace

Change = Callable[[Facts], Facts]


def fact(**changes: Any) -> Change:  # noqa: ANN401 - any fact
    return lambda facts: replace(facts, **changes)


def doc(name: str, **changes: Any) -> Change:  # noqa: ANN401 - fields of a document
    def change(facts: Facts) -> Facts:
        documents: Any = facts.documents
        made = replace(getattr(documents, name), **changes)
        return replace(facts, documents=replace(documents, **{name: made}))

    return change


def outbox(**changes: Any) -> Change:  # noqa: ANN401 - fields of the outbox
    return lambda facts: doc("status", outbox=replace(status_of(facts).outbox, **changes))(facts)


def link(**changes: Any) -> Change:  # noqa: ANN401 - fields of the link
    return lambda facts: doc("status", link=replace(status_of(facts).link, **changes))(facts)


def moved_card() -> Change:
    machine = MachineReport(is_card_moved=True)
    return lambda facts: doc("status", machine=machine)(link(state="unprovisioned")(facts))


def ups(**fields: Any) -> Change:  # noqa: ANN401 - fields of the battery
    found = UpsReport(**fields)
    return doc("status", machine=MachineReport(is_mains_off=found.is_mains_on is False, ups=found))


def card(bytes_per_day: int, card_bytes: int) -> Change:
    machine = MachineReport(written_bytes_per_day=bytes_per_day)
    room = DiskRoom(card_bytes, card_bytes, 0)
    return lambda facts: replace(doc("status", machine=machine)(facts), wear=(), disk=room)


def first_zone(**changes: Any) -> Change:  # noqa: ANN401 - fields of the zone
    def change(facts: Facts) -> Facts:
        documents: Any = facts.documents
        return doc("climate", zones=[replace(documents.climate.zones[0], **changes)])(facts)

    return change


def first_paired(**changes: Any) -> Change:  # noqa: ANN401 - fields of the sensor
    def change(facts: Facts) -> Facts:
        documents: Any = facts.documents
        return doc("zigbee", sensors=[replace(documents.zigbee.sensors[0], **changes)])(facts)

    return change


def radio_output(**changes: Any) -> Change:  # noqa: ANN401 - fields of the output
    return doc("zigbee", outputs=[RadioOutputReport("zigbee-0/valve/1", "maker valve", "bath", **changes)])


def first_boot(**changes: Any) -> Change:  # noqa: ANN401 - fields of the boot
    return lambda facts: replace(facts, boots=(boots_of(facts)[0], replace(boots_of(facts)[1], **changes)))


def sensors(index: int, **changes: Any) -> Change:  # noqa: ANN401 - fields of the sensor
    def change(facts: Facts) -> Facts:
        made: list[SensorReport] = list(status_of(facts).sensors)
        made[index] = replace(made[index], **changes)
        return doc("status", sensors=made)(facts)

    return change


def way(**changes: Any) -> Change:  # noqa: ANN401 - fields of the way to the cloud
    return lambda facts: replace(facts, cloud=replace(facts.cloud, **changes))


def update(**changes: Any) -> Change:  # noqa: ANN401 - fields of the update
    return doc("update", **changes)


def status_of(facts: Facts) -> HubStatus:
    documents: Any = facts.documents
    status: HubStatus = documents.status
    return status


def unit_of(facts: Facts) -> Unit:
    assert not isinstance(facts.unit, Missing)
    return facts.unit


def docs_of(facts: Facts) -> Documents:
    assert not isinstance(facts.documents, Missing)
    return facts.documents


def boots_of(facts: Facts) -> tuple[BootReport, ...]:
    assert not isinstance(facts.boots, Missing)
    return facts.boots


USUAL = FindingReport("warmth", "usual", 0.02, "", "needs the same run time as usual", None, "", name="heat")
LESS_HEAT = msgspec.structs.replace(
    USUAL,
    state="needed",
    confidence=0.87,
    issue="less heat",
    evidence="31 % more run time",
    since="2026-01-02T00:00:00Z",
    action="check the filter",
)


def maintenance(*findings: FindingReport, **changes: object) -> Change:
    """Change what predictive maintenance has found in the bedroom."""
    return doc("maintenance", zones=[ZoneMaintenance("bedroom", list(findings))], **changes)
