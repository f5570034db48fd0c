"""The trail of boots: how each boot ended, and what happened in it, is known after it."""

import errno
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli.boots import as_text
from agent.foundation.boot_trail import (
    BOOTS_MAX,
    FILE_BYTES_MAX,
    FILE_NAME,
    POWER_PROBLEMS_MAX,
    SEEN_INTERVAL_S,
    TEXT_CHARACTERS_MAX,
    VERSIONS_MAX,
    AgentStart,
    BootEnd,
    BootRecord,
    BootTrail,
    with_agent_start,
    with_note,
)
from agent.foundation.disk import Disk, Operation
from agent.foundation.exit_cause import ExitCause
from agent.foundation.start_history import StartHistory
from agent.local.boots import build_boots

NOON_MS = 1_774_785_600_000


def start(boot_id: str = "b1", previous: ExitCause | None = None, **given: object) -> AgentStart:
    fields: dict[str, Any] = {"boot_reason": "power_on", "version": "1.0.0", "at_utc_ms": NOON_MS, "uptime_s": 20}
    end = previous.value if previous else ""
    return AgentStart(boot_id=boot_id, previous_end=end, was_stopped=previous is ExitCause.STOPPED, **fields | given)


FIRST = with_agent_start((), start())


def test_first_boot_has_no_predecessor() -> None:
    (boot,) = FIRST
    assert boot == BootRecord("b1", "power_on", NOON_MS - 20_000, 20, agent_starts=1, versions=("1.0.0",))
    assert boot.end is BootEnd.RUNNING


@pytest.mark.parametrize(
    ("previous", "reason", "end"),
    [
        (ExitCause.STOPPED, "unknown", BootEnd.RESTARTED),
        (ExitCause.POWER_LOST, "power_on", BootEnd.POWER_LOST),
        (ExitCause.MACHINE_WATCHDOG, "watchdog", BootEnd.MACHINE_WATCHDOG),
        (ExitCause.CRASHED, "power_on", BootEnd.UNKNOWN),
        (ExitCause.CRASHED, "watchdog", BootEnd.MACHINE_WATCHDOG),
        (None, "unknown", BootEnd.UNKNOWN),
    ],
)
def test_a_new_boot_ends_the_one_before(previous: ExitCause | None, reason: str, end: BootEnd) -> None:
    boots = with_agent_start(FIRST, start("b2", previous, boot_reason=reason))
    assert [boot.end for boot in boots] == [end, BootEnd.RUNNING]


def test_a_power_cut_is_no_end_of_the_agent() -> None:
    """It is the boot's; the agent did nothing wrong."""
    assert with_agent_start(FIRST, start("b2", ExitCause.POWER_LOST))[0].agent_ends == {}


def test_crashes_count_in_the_boot_in_which_they_happened() -> None:
    boots = with_agent_start(FIRST, start(previous=ExitCause.CRASHED))
    boots = with_agent_start(boots, start(previous=ExitCause.CRASHED))
    boots = with_agent_start(boots, start("b2", ExitCause.WATCHDOG))
    assert boots[0].agent_ends == {"crashed": 2, "watchdog": 1}
    assert (boots[0].agent_starts, boots[1].agent_starts, boots[1].agent_ends) == (3, 1, {})


def test_an_update_and_its_roll_back_show_as_versions() -> None:
    boots = FIRST
    for version in ("1.1.0", "1.1.0", "1.0.0"):
        boots = with_agent_start(boots, start(previous=ExitCause.STOPPED, version=version))
    assert boots[0].versions == ("1.0.0", "1.1.0", "1.0.0")


def test_known_end_is_not_changed() -> None:
    ended = (msgspec.structs.replace(FIRST[0], end=BootEnd.RESTARTED),)
    assert with_agent_start(ended, start("b2", ExitCause.POWER_LOST))[0].end is BootEnd.RESTARTED


def test_unchanged_note_is_not_written() -> None:
    assert with_note((), uptime_s=9, at_utc_ms=None, power_problems=()) == ()
    assert with_note(FIRST, uptime_s=20 + SEEN_INTERVAL_S - 1, at_utc_ms=NOON_MS + 9, power_problems=()) is FIRST
    later = with_note(FIRST, uptime_s=20 + SEEN_INTERVAL_S, at_utc_ms=None, power_problems=())
    assert later[0].seen_s == 20 + SEEN_INTERVAL_S
    low = with_note(FIRST, uptime_s=21, at_utc_ms=None, power_problems=["under_voltage"])
    assert low[0].power_problems == ("under_voltage",)
    assert with_note(low, uptime_s=22, at_utc_ms=None, power_problems=["under_voltage"]) is low
    # What has passed since is still part of this boot.
    assert with_note(low, uptime_s=22, at_utc_ms=None, power_problems=[]) is low


def test_the_time_is_noted_once_it_is_known() -> None:
    unknown = with_agent_start((), start(at_utc_ms=None))
    known = with_note(unknown, uptime_s=30, at_utc_ms=NOON_MS, power_problems=())
    assert (known[0].at_utc_ms, known[0].seen_s) == (NOON_MS - 30_000, 30), "when it began, not when the time was known"
    late = with_agent_start((), start(uptime_s=86_400))
    assert late[0].at_utc_ms == NOON_MS - 86_400_000, "the agent was installed a day after the boot"


def test_trail_is_bounded(tmp_path: Path) -> None:
    boots: tuple[BootRecord, ...] = ()
    for number in range(BOOTS_MAX + 5):
        for cause in ExitCause:
            for version in range(VERSIONS_MAX):
                text = f"{version}-{'v' * 100}"
                boots = with_agent_start(boots, start(f"{number:036}", cause, version=text, uptime_s=10**9))
        problems = [f"{each}-{'p' * 100}" for each in range(POWER_PROBLEMS_MAX + 3)]
        boots = with_note(boots, uptime_s=0, at_utc_ms=None, power_problems=problems)
    assert len(boots) == BOOTS_MAX
    assert {len(boot.versions) for boot in boots} == {VERSIONS_MAX}
    assert {len(boot.power_problems) for boot in boots} == {POWER_PROBLEMS_MAX}
    assert max(len(text) for boot in boots for text in boot.versions) == TEXT_CHARACTERS_MAX
    assert len(msgspec.json.encode(boots)) < FILE_BYTES_MAX


class Clock:
    """The clock of a boot."""

    boot_id = "b1"
    now_ms = 20_000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return NOON_MS


def history(directory: Path, clock: Clock, disk: Disk, *power: str) -> StartHistory:
    starts = StartHistory(
        directory, directory, disk=disk, clock=clock, version="1.0.0", boot_reason=lambda: "power_on",
        power_problems=lambda: power,
    )  # fmt: skip
    starts.begin()
    return starts


def test_trail_survives_reboots(tmp_path: Path) -> None:
    """As `climahub boots` prints it: a power cut under low voltage, a restart in order, a crash."""
    clock = Clock()
    history(tmp_path, clock, Disk(), "under_voltage").note_boot()
    clock.boot_id = "b2"
    starts = history(tmp_path, clock, Disk())
    clock.now_ms = 7_200_000
    starts.stop()
    clock.boot_id, clock.now_ms = "b3", 15_000
    history(tmp_path, clock, Disk())
    report = build_boots(history(tmp_path, clock, Disk()).boots)
    assert [boot.end for boot in report.boots] == ["running", "restarted", "power_lost"]
    text = as_text(report)
    assert "power came on; restarted in order, seen for 2 h" in text
    assert "! the agent was killed, 1 time" in text
    assert "! under-voltage: use the maker's power supply" in text
    assert as_text(build_boots(())) == "this hub keeps no trail of boots"


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b'{"boots": 7}', b'{"boots": [{"boot_id": 1}]}', b"x" * 10**6])
def test_unreadable_trail_starts_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert len(history(tmp_path, Clock(), Disk()).boots) == 1


def test_failed_disk_costs_the_trail_only(tmp_path: Path) -> None:
    def refuse(operation: Operation, target: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    starts = history(tmp_path, Clock(), Disk(refuse), "under_voltage")
    starts.note_boot()
    starts.stop()
    assert starts.boots[0].power_problems == ("under_voltage",)


def test_a_trail_that_never_began_has_nothing_to_stop(tmp_path: Path) -> None:
    BootTrail(tmp_path, Disk()).stop(uptime_s=5)
    assert list(tmp_path.iterdir()) == []
