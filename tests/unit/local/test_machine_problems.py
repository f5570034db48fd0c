"""What is wrong with the machine: level, words and remedy."""

import msgspec
import pytest

from agent.local.machine_problems import (
    CLOCK_ERROR_S_MAX,
    CLOCK_GRACE_S,
    SPARE_DISK_FACTOR,
    clock_level,
    disk_short,
    machine_problems,
)
from agent.local.problem import Level
from agent.local.problems import problems
from agent.local.status import ClockStatus, HubStatus, MachineReport, UpsReport
from agent.local.verdict import verdict
from agent.machine.panel import BUTTON_ID
from tests.unit.local.test_verdict import CLIMATE, UPDATE, ZIGBEE

MIB = 1024 * 1024
CLOCK = ClockStatus(synchronised=True, utc="2026-01-15T12:00:00Z", boot_id="b", uptime_s=10)


@pytest.mark.parametrize(
    ("machine", "level", "words"),
    [
        (
            MachineReport(["under_voltage"], ["under_voltage"]),
            Level.FAULT,
            "power: the supply voltage is below 4.63 V now",
        ),
        (MachineReport([], ["under_voltage"]), Level.ATTENTION, "power: the supply voltage has been below"),
        (MachineReport(is_mains_off=True), Level.FAULT, "power: the mains power is off"),
        (
            MachineReport(is_mains_off=True, ups=UpsReport(is_mains_on=False, minutes_left=35)),
            Level.FAULT,
            "power: the mains power is off: the battery lasts about 35 min",
        ),
        (
            MachineReport(ups=UpsReport(problem="check the gauge")),
            Level.ATTENTION,
            "power: the battery cannot be relied on",
        ),
        (MachineReport(button_problem="replace it"), Level.ATTENTION, "button: it does nothing"),
        (MachineReport(is_card_moved=True), Level.FAULT, "card: the card was copied or moved to another board"),
        (MachineReport(holds_back=True), Level.ATTENTION, "card: what the card recorded on another board is held back"),
        (MachineReport(is_card_moved=True, holds_back=True), Level.FAULT, "card: the card was copied or moved"),
        (MachineReport(reset_left_s=300), Level.ATTENTION, "button: it asks for a factory reset"),
        (MachineReport(disk_free_bytes=500 * MIB, disk_free_bytes_min=500 * MIB), Level.FAULT, "disk: 500 MiB free"),
        (
            MachineReport(disk_free_bytes=SPARE_DISK_FACTOR * 500 * MIB - 1, disk_free_bytes_min=500 * MIB),
            Level.ATTENTION,
            "the outbox stops at 500 MiB",
        ),
    ],
)
def test_a_problem_of_the_machine_is_in_the_verdict_with_its_remedy(
    status: HubStatus, machine: MachineReport, level: Level, words: str
) -> None:
    status = msgspec.structs.replace(status, machine=machine)
    (found,) = machine_problems(machine)
    assert (found.level, words in found.what) == (level, True)
    assert found.advice
    assert problems(status) == [found]
    judged = verdict(status, CLIMATE, ZIGBEE, UPDATE)
    assert judged.level is level
    assert judged.sentences[0].lower().startswith(found.what.lower()[:20])


@pytest.mark.parametrize(
    "machine",
    [
        MachineReport(),
        MachineReport([], ["throttled"]),
        MachineReport(disk_free_bytes=SPARE_DISK_FACTOR * 500 * MIB, disk_free_bytes_min=500 * MIB),
        MachineReport(disk_free_bytes=1, disk_free_bytes_min=0),
    ],
)
def test_a_good_machine_has_no_problem(machine: MachineReport) -> None:
    assert not [*machine_problems(machine)]


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, Level.OK),
        ({"error_s": CLOCK_ERROR_S_MAX}, Level.OK),
        ({"error_s": CLOCK_ERROR_S_MAX + 1}, Level.ATTENTION),
        ({"synchronised": False, "uptime_s": CLOCK_GRACE_S - 1}, Level.ATTENTION),
        ({"synchronised": False, "uptime_s": CLOCK_GRACE_S}, Level.FAULT),
    ],
)
def test_a_clock_that_is_not_set_becomes_urgent(changes: dict[str, object], level: Level) -> None:
    assert clock_level(msgspec.structs.replace(CLOCK, **changes)) is level


def test_the_verdict_offers_the_reset_that_the_button_asks_for(status: HubStatus) -> None:
    offered = [each.path for each in verdict(status, CLIMATE, ZIGBEE, UPDATE).actions]
    asked = msgspec.structs.replace(status, machine=MachineReport(reset_left_s=300))
    actions = verdict(asked, CLIMATE, ZIGBEE, UPDATE).actions
    (added,) = [each for each in actions if each.path not in offered]
    assert (added.method, added.path, added.role) == ("POST", f"/v1/confirm/{BUTTON_ID}", "owner")


def test_a_moved_card_is_one_problem_and_not_also_a_missing_key(status: HubStatus) -> None:
    unprovisioned = msgspec.structs.replace(status.link, state="unprovisioned", reason="the hub has no key")
    status = msgspec.structs.replace(status, machine=MachineReport(is_card_moved=True), link=unprovisioned)
    assert [problem.what.partition(":")[0] for problem in problems(status)] == ["card"]


def test_a_full_disk_has_nothing_free() -> None:
    for free_bytes, said in (
        (0, "nothing free: the outbox stops at 1 KiB"),
        (100, "100 B free: the outbox stops at 1 KiB"),
    ):
        problem = disk_short(free_bytes, 1024)
        assert problem is not None
        assert str(problem.what) == said
