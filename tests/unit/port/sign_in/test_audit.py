"""The audit trail on the disk: durable, bounded per role, and never in the way of a request."""

import asyncio
import errno
import gc
import warnings
from pathlib import Path

import pytest

from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation
from agent.local.routes import Caller, Role
from agent.port.sign_in.audit import FILE_NAME, Audit
from agent.port.sign_in.audit_entries import STORED_ENTRIES_MAX, AuditEntry
from tests.unit.port.sign_in.access_bench import UTC_MS, Bench
from tests.unit.power_cut import Cutter, PowerCut

OWNER = Caller("session 1", Role.OWNER, "192.168.1.7")
NOBODY = Caller("", Role.PUBLIC, "192.168.1.66")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def shown(audit: Audit, entries_max: int = 50) -> list[tuple[str, str, int]]:
    found = await audit.entries(entries_max=entries_max)
    return [(each.entry.action, each.entry.target, each.entry.count) for each in found]


async def written(audit: Audit) -> None:
    async with asyncio.timeout(10):
        while audit._buffer.unwritten():  # noqa: ASYNC110 - the disk has no event
            await asyncio.sleep(0.001)


def refuse(operation: Operation, name: str) -> None:
    raise OSError(errno.ENOSPC, "full")


async def test_entries_are_newest_first_and_survive_a_restart(bench: Bench) -> None:
    audit = bench.audit()
    audit.record(OWNER, "check_update", "/v1/update/check", "200")
    audit.record(NOBODY, "sign_in", "", "wrong_code")
    assert await shown(audit) == [("sign_in", "", 1), ("check_update", "/v1/update/check", 1)]
    await audit.close()
    again = bench.audit()
    assert await shown(again) == [("sign_in", "", 1), ("check_update", "/v1/update/check", 1)]
    await again.close()


async def test_unused_port_writes_no_audit_file(bench: Bench) -> None:
    audit = bench.audit()
    assert await audit.flush()
    await audit.close()
    assert list(bench.directory.iterdir()) == []


async def test_entries_are_written_within_their_delay(bench: Bench) -> None:
    audit = bench.audit()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(audit.run())
        audit.record(OWNER, "check_update", "", "200")
        await written(audit)
        task.cancel()
    # Nothing was closed: as after a power cut.
    again = bench.audit()
    assert await shown(again) == [("check_update", "", 1)]
    await again.close()
    await audit.close()


async def test_entries_that_are_not_due_wait(bench: Bench) -> None:
    audit = bench.audit()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(audit.run())
        audit.record(NOBODY, "sign_in", "", "wrong_code")
        await asyncio.sleep(0.05)
        assert audit._buffer.unwritten()
        bench.clock.now_ms = 60_000
        audit.record(NOBODY, "sign_in", "", "wrong_code")
        await written(audit)
        task.cancel()
    await audit.close()


async def test_a_count_is_written_into_its_entry(bench: Bench) -> None:
    audit = bench.audit()
    for _ in range(3):
        audit.record(OWNER, "check_update", "", "200")
        await audit.flush()
    assert await shown(audit) == [("check_update", "", 3)]
    await audit.close()


async def test_entry_recorded_during_a_write_is_not_lost(bench: Bench) -> None:
    audit = bench.audit()
    audit.record(OWNER, "check_update", "", "200")
    bench.disk.on_operation = lambda operation, name: (
        audit.record(OWNER, "check_update", "", "200") if operation is Operation.COMMIT and audit._database else None
    )
    await audit.flush()
    bench.disk.on_operation = Disk().on_operation
    assert audit._buffer.unwritten()
    assert await shown(audit) == [("check_update", "", 2)]
    await audit.close()


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_has_entries_of_its_own_on_the_disk(bench: Bench, role: Role) -> None:
    audit = bench.audit()
    others = [each for each in Role if each is not role]
    for other in others:
        audit.record(Caller("", other, "a"), "kept", other.value, "200")
    count = STORED_ENTRIES_MAX[role] + 30
    for number in range(count):
        # Each in a window of its own, as after months.
        bench.clock.now_ms += 600_000
        audit.record(Caller("", role, "a"), "flood", str(number), "200")
        if not number % 100:
            await audit.flush()
    found = await shown(audit, 5000)
    flood = [target for action, target, _ in found if action == "flood"]
    assert flood == [str(number) for number in range(count - 1, 29, -1)]
    assert {target for action, target, _ in found if action == "kept"} == {each.value for each in others}
    await audit.close()


async def test_pages_follow_each_other(bench: Bench) -> None:
    audit = bench.audit()
    for number in range(7):
        audit.record(OWNER, "act", str(number), "200")
    targets: list[str] = []
    before: int | None = None
    while page := await audit.entries(before=before, entries_max=3):
        targets += [each.entry.target for each in page]
        before = page[-1].number
    assert targets == ["6", "5", "4", "3", "2", "1", "0"]
    assert [each.number for each in await audit.entries(after=5, entries_max=3)] == [7, 6]
    await audit.close()


async def test_refused_write_blocks_no_request_and_is_retried(bench: Bench) -> None:
    audit = bench.audit()
    bench.disk.on_operation = refuse
    audit.record(OWNER, "check_update", "", "200")
    assert await audit.flush() is False
    assert "free some space" in audit.problem
    page = await audit.entries(entries_max=10)
    assert [(each.number, each.entry.action) for each in page] == [(None, "check_update")]
    bench.disk.on_operation = Disk().on_operation
    assert await audit.flush() is True
    assert audit.problem == ""
    page = await audit.entries(entries_max=10)
    assert [(each.number, each.entry.action) for each in page] == [(1, "check_update")]
    await audit.close()


async def test_damaged_file_is_quarantined_and_replaced(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (bench.directory / FILE_NAME).write_bytes(b"\x00" * 4096)
    audit = bench.audit()
    audit.record(OWNER, "check_update", "", "200")
    assert await shown(audit) == [("check_update", "", 1)]
    assert (bench.directory / f"{FILE_NAME}.corrupt-1").exists()
    assert "a new one is begun" in caplog.text
    await audit.close()


async def test_file_damaged_in_use_is_quarantined(bench: Bench) -> None:
    audit = bench.audit()
    audit.record(OWNER, "first", "", "200")
    await audit.flush()
    assert audit._database is not None
    await audit._database.run(lambda connection: connection.execute("DROP TABLE audit"))
    audit.record(OWNER, "second", "", "200")
    assert await audit.flush() is False
    assert await audit.flush() is True
    assert await shown(audit) == [("second", "", 1)]
    await audit.close()


async def test_damaged_row_does_not_affect_the_others(bench: Bench) -> None:
    audit = bench.audit()
    for number in range(3):
        audit.record(OWNER, "act", str(number), "200")
    await audit.flush()
    assert audit._database is not None
    await audit._database.run(lambda connection: connection.execute("UPDATE audit SET entry='{' WHERE number=2"))
    assert [target for _, target, _ in await shown(audit)] == ["2", "0"]
    await audit.close()


async def test_an_entry_from_before_the_time_was_known_gets_its_time_later(bench: Bench) -> None:
    bench.clock.is_time_known = False
    audit = bench.audit()
    bench.clock.now_ms = 5000
    audit.record(OWNER, "early", "", "200")
    await audit.flush()
    bench.clock.now_ms, bench.clock.is_time_known = 60_000, True
    page = await audit.entries(entries_max=10)
    assert [each.entry.utc_ms for each in page] == [UTC_MS + 5000]
    # Another entry of the same boot writes it down for the time after.
    audit.record(OWNER, "late", "", "200")
    await audit.close()
    bench.clock.boot_id = "boot-2"
    page = await (again := bench.audit()).entries(entries_max=10)
    assert [each.entry.utc_ms for each in page] == [UTC_MS + 60_000, UTC_MS + 5000]
    await again.close()


async def test_an_entry_of_a_boot_that_never_learnt_the_time_has_none(bench: Bench) -> None:
    bench.clock.is_time_known = False
    audit = bench.audit()
    audit.record(OWNER, "early", "", "200")
    await audit.close()
    bench.clock.boot_id, bench.clock.is_time_known = "boot-2", True
    page = await (again := bench.audit()).entries(entries_max=10)
    assert [(each.entry.utc_ms, each.entry.boot_id) for each in page] == [(None, "boot-1")]
    await again.close()


async def test_a_listener_is_given_each_new_entry(bench: Bench) -> None:
    audit, heard = bench.audit(), list[AuditEntry]()
    audit.on_entry(heard.append)
    for number in range(1000):
        audit.record(OWNER, "one", "", "200")
        audit.record(Caller("", Role.PUBLIC, str(number)), "sign_in", "", "wrong_code")
    assert [each.action for each in heard] == ["one", *["sign_in"] * 8, "others"]


@pytest.mark.parametrize("at", range(1, 12))
async def test_a_power_cut_at_any_operation_loses_nothing_that_was_written(tmp_path: Path, at: int) -> None:
    bench, kept = Bench(tmp_path), list[str]()
    bench.disk = Disk(Cutter(at))
    audit = bench.audit()
    try:
        for number in range(6):
            audit.record(OWNER, "act", str(number), "200")
            assert await audit.flush()
            kept.append(str(number))
    except PowerCut:
        pass
    # A dead process closes no database, of which Python 3.13 complains.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del audit
        gc.collect()
    bench.disk = Disk()
    found = await (again := bench.audit()).entries(entries_max=50)
    targets = [each.entry.target for each in found][::-1]
    assert targets[: len(kept)] == kept
    assert len(targets) <= len(kept) + 1
    await again.close()


async def test_a_database_that_cannot_even_be_made_costs_the_request_nothing(bench: Bench) -> None:
    bench.directory.chmod(0o500)
    audit = Audit(bench.directory / "missing", clock=bench.clock, disk=bench.disk, worker=bench.worker)
    audit.record(OWNER, "act", "", "200")
    try:
        assert await audit.flush() is False
    except StorageFull as error:  # pragma: no cover
        pytest.fail(str(error))
    finally:
        bench.directory.chmod(0o700)
    assert audit.problem
