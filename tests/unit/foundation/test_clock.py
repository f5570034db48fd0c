import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.foundation import clock
from agent.foundation.clock import NTP_GRACE_MS, STA_UNSYNC, SystemClock
from agent.foundation.clock_sources import CLOCK_FILE

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TRUE_AT_BOOT_MS = 1_800_000_000_000
AT_BOOT_US = 16_000_000
"""The bound with which the kernel begins, and at which it sets STA_UNSYNC."""


class Machine:
    """Stands for the C library and the kernel's clocks: what adjtimex(2) and clock_gettime(2) would say."""

    def __init__(self) -> None:
        self.result, self.status, self.maxerror_us = 5, STA_UNSYNC, AT_BOOT_US
        self.elapsed_ms = 600_000
        self.wall_off_ms = 0
        self.rtc_utc_ms: int | None = None
        self.rtc_looks = 0

    def adjtimex(self, timex: "ctypes._Pointer[ctypes.Structure]") -> int:
        timex._obj.status = self.status  # type: ignore[attr-defined]
        timex._obj.maxerror = self.maxerror_us  # type: ignore[attr-defined]
        return self.result

    @property
    def true_ms(self) -> int:
        return TRUE_AT_BOOT_MS + self.elapsed_ms

    def wall_ns(self) -> int:
        return (self.true_ms + self.wall_off_ms) * 1_000_000

    def read_rtc(self, _: int) -> int | None:
        self.rtc_looks += 1
        return self.rtc_utc_ms

    def ntp_answers(self) -> None:
        self.result, self.status, self.maxerror_us = 0, 0x2001, 250_000

    def ntp_falls_silent(self, for_ms: int) -> None:
        """What kernel/time/ntp.c does: 500 us a second, and STA_UNSYNC at 16 s."""
        self.elapsed_ms += for_ms
        self.maxerror_us = min(self.maxerror_us + for_ms // 2, AT_BOOT_US)
        if self.maxerror_us == AT_BOOT_US:
            self.result, self.status = 5, self.status | STA_UNSYNC

    def clock(self, memory: Path | None = None, *, trust_any_server: bool = False) -> SystemClock:
        return SystemClock(memory=memory, read_rtc=self.read_rtc, trust_any_server=trust_any_server)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.setattr(clock, "_libc", lambda: made)
    monkeypatch.setattr(clock, "_elapsed_ms", lambda: made.elapsed_ms)
    monkeypatch.setattr(time, "time_ns", made.wall_ns)
    yield made
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("result", "status", "maxerror_us", "expected"),
    [
        (0, 0, 0, 100),
        (0, 0x2001, 250_000, 250),
        (5, STA_UNSYNC, AT_BOOT_US, None),
        (0, STA_UNSYNC | 1, AT_BOOT_US, None),
        (0, STA_UNSYNC | 1, 0, None),
        (0, STA_UNSYNC | 1, 1_200_000, 1200),  # timesyncd, beside a battery clock in local time
        (0, STA_UNSYNC, 10_000_000, None),
        (-1, 0, 0, None),
    ],
)
def test_kernel_error_bound_decides_whether_the_time_is_known(
    machine: Machine, result: int, status: int, maxerror_us: int, expected: int | None
) -> None:
    machine.result, machine.status, machine.maxerror_us = result, status, maxerror_us
    assert clock.kernel_error_ms() == expected
    utc_ms = machine.clock().utc_ms()
    assert (utc_ms is not None) is (expected is not None)


def test_real_kernel_answers() -> None:
    assert (clock.kernel_error_ms() or 100) >= 100


def test_clock_is_the_machines_wall_clock() -> None:
    system = SystemClock(trust_wall_clock=True)
    utc_ms = system.utc_ms()
    assert utc_ms is not None
    assert abs(utc_ms - time.time() * 1000) < 5000
    assert abs(system.monotonic_ms() - time.monotonic() * 1000) < 5000
    assert len(system.boot_id) == 36
    assert system.boot_id == SystemClock().boot_id
    known = system.knowledge()
    assert known is not None
    assert (known.source, known.error_ms) == ("system", None)


@pytest.mark.parametrize("silent_ms", [9 * HOUR_MS, DAY_MS, 90 * DAY_MS])
def test_a_time_once_known_stays_known_however_long_ntp_is_silent(machine: Machine, silent_ms: int) -> None:
    system = machine.clock()
    machine.ntp_answers()
    assert system.utc_ms() == machine.true_ms
    machine.ntp_falls_silent(silent_ms)
    assert system.utc_ms() == machine.true_ms
    known = system.knowledge()
    assert known is not None
    assert known.source == "ntp"
    assert known.known_for_ms == known.confirmed_ms_ago == silent_ms
    assert known.error_ms == 250 + silent_ms // 2000


def test_manual_step_of_the_wall_clock_is_ignored(machine: Machine) -> None:
    system = machine.clock()
    machine.ntp_answers()
    assert system.utc_ms() == machine.true_ms
    machine.status, machine.maxerror_us, machine.wall_off_ms = STA_UNSYNC, AT_BOOT_US, -400 * DAY_MS
    machine.elapsed_ms += HOUR_MS
    assert system.utc_ms() == machine.true_ms


def test_ntp_correction_is_followed(machine: Machine) -> None:
    system = machine.clock()
    machine.ntp_answers()
    system.utc_ms()
    machine.wall_off_ms = 700
    assert system.utc_ms() == machine.true_ms + 700


def test_clock_step_between_reading_and_bound_is_rejected(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def stepped_by_ntp_just_now() -> int:
        machine.ntp_answers()
        return TRUE_AT_BOOT_MS * 1_000_000 - 10 * DAY_MS * 1_000_000

    monkeypatch.setattr(time, "time_ns", stepped_by_ntp_just_now)
    assert machine.clock().utc_ms() is None


def test_next_process_of_a_boot_restores_the_known_time(machine: Machine, tmp_path: Path) -> None:
    memory = tmp_path / CLOCK_FILE
    machine.ntp_answers()
    machine.clock(memory).utc_ms()
    machine.ntp_falls_silent(10 * HOUR_MS)
    known = machine.clock(memory).knowledge()
    assert machine.clock(memory).utc_ms() == machine.true_ms
    assert known is not None
    assert known.known_for_ms == 10 * HOUR_MS


@pytest.mark.parametrize("damage", [b"", b"x", bytes(108), None])
def test_damaged_saved_time_is_ignored(machine: Machine, tmp_path: Path, damage: bytes | None) -> None:
    memory = tmp_path / CLOCK_FILE
    machine.ntp_answers()
    machine.clock(memory).utc_ms()
    machine.ntp_falls_silent(10 * HOUR_MS)
    if damage is None:
        data = bytearray(memory.read_bytes())
        data[75] ^= 4
        memory.write_bytes(data)
    else:
        memory.write_bytes(damage)
    assert machine.clock(memory).utc_ms() is None


def test_saved_time_of_another_boot_is_ignored(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, boot_id = tmp_path / CLOCK_FILE, tmp_path / "boot_id"
    machine.ntp_answers()
    machine.clock(memory).utc_ms()
    machine.ntp_falls_silent(10 * HOUR_MS)
    boot_id.write_text("another\n")
    monkeypatch.setattr(clock, "_BOOT_ID", boot_id)
    assert machine.clock(memory).utc_ms() is None


def test_unwritable_saved_time_is_no_error(machine: Machine, tmp_path: Path) -> None:
    machine.ntp_answers()
    assert machine.clock(tmp_path / "missing" / CLOCK_FILE).utc_ms() == machine.true_ms


def offer(system: SystemClock, machine: Machine, *, off_ms: int = 0, is_verified: bool = True) -> None:
    date_ms = (machine.true_ms + off_ms) // 1000 * 1000
    system.offer_server_time(date_ms, round_trip_ms=0, is_verified=is_verified)


def test_cloud_time_is_used_where_ntp_never_synchronises(machine: Machine) -> None:
    machine.wall_off_ms = -400 * DAY_MS
    system = machine.clock()
    offer(system, machine)
    assert system.utc_ms() is None
    machine.elapsed_ms += 15_000
    offer(system, machine)
    machine.elapsed_ms += DAY_MS
    known, utc_ms = system.knowledge(), system.utc_ms()
    assert known is not None
    assert utc_ms is not None
    assert (known.source, known.error_ms) == ("cloud", 1000 + DAY_MS // 2000)
    assert abs(utc_ms - machine.true_ms) <= 1000


def test_contradicting_server_times_are_rejected(machine: Machine) -> None:
    system = machine.clock()
    offer(system, machine)
    offer(system, machine, off_ms=HOUR_MS)
    assert system.utc_ms() is None


@pytest.mark.parametrize("off_ms", [-TRUE_AT_BOOT_MS, -2000 * DAY_MS, 200_000 * DAY_MS])
def test_implausible_server_time_is_rejected(machine: Machine, off_ms: int) -> None:
    system = machine.clock()
    for _ in range(3):
        offer(system, machine, off_ms=off_ms)
    assert system.utc_ms() is None


def test_unverified_server_time_is_used_only_where_configured(machine: Machine) -> None:
    for trusts in (False, True):
        system = machine.clock(trust_any_server=trusts)
        for _ in range(2):
            offer(system, machine, is_verified=False)
        assert (system.utc_ms() is not None) is trusts


def test_ntp_has_a_grace_period_before_other_sources_are_used(machine: Machine) -> None:
    machine.elapsed_ms, machine.rtc_utc_ms = 10_000, machine.true_ms
    system = machine.clock()
    for _ in range(3):
        offer(system, machine)
    assert system.utc_ms() is None
    machine.elapsed_ms = NTP_GRACE_MS
    machine.rtc_utc_ms = machine.true_ms
    assert system.utc_ms() == machine.true_ms


def test_cloud_time_does_not_change_ntp_time(machine: Machine) -> None:
    system = machine.clock()
    machine.ntp_answers()
    system.utc_ms()
    machine.ntp_falls_silent(2 * DAY_MS)
    for _ in range(3):
        offer(system, machine, off_ms=-365 * DAY_MS)
    assert system.utc_ms() == machine.true_ms


def test_late_ntp_corrects_a_wrong_cloud_time(machine: Machine) -> None:
    system = machine.clock()
    for _ in range(2):
        offer(system, machine, off_ms=DAY_MS)
    assert system.utc_ms() is not None
    machine.ntp_answers()
    assert system.utc_ms() == machine.true_ms


def test_hardware_clock_is_polled_until_it_has_given_the_time(machine: Machine) -> None:
    system = machine.clock()
    for _ in range(5):
        assert system.utc_ms() is None
    assert machine.rtc_looks == 1
    machine.elapsed_ms += clock.RTC_INTERVAL_MS
    machine.rtc_utc_ms = machine.true_ms + 90_000
    assert system.utc_ms() == machine.true_ms + 90_000
    known = system.knowledge()
    assert known is not None
    assert (known.source, known.error_ms) == ("rtc", 300_000)
    assert machine.rtc_looks == 2
    for _ in range(2):
        offer(system, machine)
    utc_ms = system.utc_ms()
    assert utc_ms is not None
    assert abs(utc_ms - machine.true_ms) <= 1000
