"""The trail of starts: how each process ended is known at the next, whatever the disk does."""

import errno
import json
from pathlib import Path

import msgspec
import pytest

from agent import outputs
from agent.foundation.disk import Disk, Operation
from agent.foundation.exit_cause import ExitCause
from agent.foundation.host import SERVICE_RESULT_FILE, ServiceResult, record_service_result
from agent.foundation.start_history import (
    FILE_NAME,
    STARTS_MAX,
    StartHistory,
    StartRecord,
    exit_cause_of,
    with_exit_cause,
    with_start,
)

NOON_MS = 1_774_785_600_000


class Clock:
    """A boot's clock."""

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self.utc: int | None = NOON_MS

    def monotonic_ms(self) -> int:
        return 1000

    def utc_ms(self) -> int | None:
        return self.utc


class Machine:
    """Processes of the agent, one after the other."""

    def __init__(self, directory: Path) -> None:
        self.state, self.run = directory / "state", directory / "run"
        self.state.mkdir()
        self.run.mkdir()
        self.clock = Clock()
        self.boot_reason = "power_on"
        self.disk = Disk()
        self.version = "1.0.0"

    def start(self) -> StartHistory:
        starts = StartHistory(
            self.state, self.run, disk=self.disk, clock=self.clock, version=self.version,
            boot_reason=lambda: self.boot_reason,
        )  # fmt: skip
        starts.begin()
        return starts

    def boot(self, reason: str = "unknown") -> None:
        self.clock.boot_id += "+"
        self.boot_reason = reason
        (self.run / SERVICE_RESULT_FILE).unlink(missing_ok=True)

    def systemd(self, result: str, code: str = "", status: str = "") -> None:
        record_service_result(
            {"RUNTIME_DIRECTORY": str(self.run), "SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def ends(starts: StartHistory) -> list[tuple[ExitCause, str, int]]:
    return [(start.end, start.detail, start.count) for start in starts.records]


def test_the_first_start_has_none_before_it(machine: Machine) -> None:
    assert machine.start().records == (StartRecord("boot-1", "power_on", "1.0.0", NOON_MS),)


def test_the_reason_of_an_orderly_stop_is_recorded_with_it(machine: Machine) -> None:
    starts = machine.start()
    starts.explain_stop("machine powered off")
    starts.stop()
    assert [(each.end, each.detail) for each in machine.start().records[:1]] == [
        (ExitCause.STOPPED, "machine powered off")
    ]


def test_orderly_stop_is_recorded_as_stopped(machine: Machine) -> None:
    machine.start().stop()
    machine.systemd("success", "exited", "0")
    assert ends(machine.start())[:-1] == [(ExitCause.STOPPED, "", 1)]


@pytest.mark.parametrize(
    ("said", "end", "detail"),
    [
        (("watchdog", "killed", "ABRT"), ExitCause.WATCHDOG, "it did not report to the watchdog in time"),
        (("signal", "killed", "KILL"), ExitCause.CRASHED, "signal KILL"),
        (("core-dump", "dumped", "SEGV"), ExitCause.CRASHED, "signal SEGV"),
        (("exit-code", "exited", "1"), ExitCause.CRASHED, "exit code 1"),
        (("oom-kill", "killed", "KILL"), ExitCause.OUT_OF_MEMORY, ""),
        (("timeout", "killed", "KILL"), ExitCause.CRASHED, "the service manager reports timeout"),
        (("success", "exited", "0"), ExitCause.STOPPED, ""),
    ],
)
def test_crash_is_recorded_with_the_service_managers_result(
    machine: Machine, said: tuple[str, str, str], end: ExitCause, detail: str
) -> None:
    machine.start()
    machine.systemd(*said)
    assert ends(machine.start())[0] == (end, detail, 1)


def test_missing_result_is_recorded_as_killed(machine: Machine) -> None:
    machine.start()
    assert ends(machine.start())[0] == (ExitCause.KILLED, "", 1)


@pytest.mark.parametrize(
    ("reason", "end"),
    [("watchdog", ExitCause.MACHINE_WATCHDOG), ("power_on", ExitCause.POWER_LOST), ("unknown", ExitCause.POWER_LOST)],
)
def test_new_boot_ends_the_running_process(machine: Machine, reason: str, end: ExitCause) -> None:
    machine.start()
    machine.boot(reason)
    assert ends(machine.start())[0] == (end, "", 1)


def test_a_crash_loop_is_one_entry_with_its_count(machine: Machine) -> None:
    machine.start().stop()
    for _ in range(50):
        machine.start()
        machine.systemd("exit-code", "exited", "1")
    records = ends(machine.start())
    assert records == [(ExitCause.STOPPED, "", 1), (ExitCause.CRASHED, "exit code 1", 50), (ExitCause.RUNNING, "", 1)]


def test_history_is_bounded(machine: Machine) -> None:
    for _ in range(3 * STARTS_MAX):
        machine.boot()
        records = machine.start().records
    assert len(records) == STARTS_MAX


def test_failed_start_is_recorded(machine: Machine) -> None:
    machine.start().stop()
    machine.systemd("exit-code", "exited", "78")
    records = ends(machine.start())
    assert records[1] == (ExitCause.CRASHED, "exit code 78: the configuration or a file that it names was refused", 1)


def test_service_result_is_used_once(machine: Machine) -> None:
    machine.start()
    machine.systemd("watchdog")
    machine.start()
    assert ends(machine.start())[1] == (ExitCause.KILLED, "", 1)


def test_the_time_is_noted_once_it_is_known(machine: Machine) -> None:
    machine.clock.utc = None
    starts = machine.start()
    starts.note_time()
    assert not starts.is_time_noted
    machine.clock.utc = NOON_MS + 5
    starts.note_time()
    assert starts.is_time_noted
    assert machine.start().records[0].at_utc_ms == NOON_MS + 5


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x00\x01", b'{"starts": 7}', b'{"starts": [{"boot_id": 1}]}', b"x" * 10**6]
)
def test_unreadable_history_starts_empty(machine: Machine, content: bytes) -> None:
    (machine.state / FILE_NAME).write_bytes(content)
    (machine.run / SERVICE_RESULT_FILE).write_bytes(content)
    assert len(machine.start().records) == 1
    assert len(machine.start().records) == 2


def test_failed_disk_costs_the_history_only(machine: Machine) -> None:
    def refuse(operation: Operation, target: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    machine.disk = Disk(refuse)
    starts = machine.start()
    starts.note_time()
    starts.stop()
    assert ends(starts) == [(ExitCause.STOPPED, "", 1)]


def test_unread_history_is_not_overwritten(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start().stop()
    before = (machine.state / FILE_NAME).read_bytes()

    def refuse(path: object, *flags: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("agent.foundation.disk.os.open", refuse)
        machine.start().stop()
    assert (machine.state / FILE_NAME).read_bytes() == before


def test_exec_stop_post_keeps_the_service_result(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """`climahub run --outputs-off`, which the unit starts as ExecStopPost=, whatever it thinks of the configuration."""
    machine.start()
    for name, value in (("RUNTIME_DIRECTORY", str(machine.run)), ("SERVICE_RESULT", "watchdog")):
        monkeypatch.setenv(name, value)
    outputs.main(machine.state / "config.toml")
    assert ends(machine.start())[0][0] is ExitCause.WATCHDOG


def test_no_result_is_written_without_a_service_manager(tmp_path: Path) -> None:
    record_service_result({"RUNTIME_DIRECTORY": str(tmp_path)})
    record_service_result({"SERVICE_RESULT": "watchdog"})
    record_service_result({"RUNTIME_DIRECTORY": str(tmp_path / "gone"), "SERVICE_RESULT": "watchdog"})
    assert list(tmp_path.iterdir()) == []


def test_service_result_is_sanitised(tmp_path: Path) -> None:
    record_service_result({"RUNTIME_DIRECTORY": str(tmp_path), "SERVICE_RESULT": "signal", "EXIT_STATUS": "\x1b[2J"})
    said = json.loads((tmp_path / SERVICE_RESULT_FILE).read_text())
    assert "\x1b" not in said["status"]
    assert exit_cause_of(msgspec.convert(said, ServiceResult))[0] is ExitCause.CRASHED


def test_known_end_is_not_changed() -> None:
    stopped = StartRecord("boot-1", end=ExitCause.STOPPED)
    assert with_exit_cause(stopped, ServiceResult("watchdog"), boot_id="boot-2", boot_reason="") is stopped
    assert with_start((), stopped) == (stopped,)
