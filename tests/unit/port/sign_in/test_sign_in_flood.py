"""10,000 sign-in tries from 5,000 addresses in 100 s: nobody gets in, people do, the card and the memory are spared."""

import gc
import tracemalloc
from pathlib import Path

import pytest

from agent.foundation.disk import Disk, Operation
from agent.local.routes import Caller, RequestRefused, Role
from agent.port.sign_in.audit import Audit
from agent.port.sign_in.credentials import Credentials
from agent.port.sign_in.throttle import SOURCES_MAX
from tests.unit.port.sign_in.access_bench import Bench

TRIES = 10_000
STEP_MS = 10
PERSON, CABLE = "192.168.1.251", "10.12.194.2"
COMMITS_MAX = 4
MEMORY_BYTES_MAX = 30_000
"""Entries of the audit trail that wait, and what Python keeps of strings; the table of sources is full before."""


class Flood:
    """A hub that somebody attacks from the local network."""

    def __init__(self, bench: Bench, credentials: Credentials, audit: Audit) -> None:
        self.bench = bench
        self.credentials = credentials
        self.audit = audit
        self.admitted = 0
        self.looked_at = 0

    async def run(self, tries: int) -> None:
        for number in range(tries):
            self.bench.clock.now_ms += STEP_MS
            try:
                self.credentials.sign_in(f"{number:016}", f"192.168.{number // 250 % 20}.{number % 250}")
                self.admitted += 1
            except RequestRefused as refused:
                self.looked_at += refused.code == "wrong_code"
            due_ms = self.audit._buffer.due_ms()
            if due_ms is not None and due_ms <= self.bench.clock.now_ms:
                await self.audit.flush()


@pytest.fixture
async def flood(tmp_path: Path) -> Flood:
    bench = Bench(tmp_path)
    audit = bench.audit()
    return Flood(bench, await bench.credentials(audit), audit)


async def test_flood_admits_nobody_and_few_attempts_are_checked(flood: Flood) -> None:
    await flood.credentials.make_code(Role.OWNER)
    await flood.run(TRIES)
    assert flood.admitted == 0
    assert flood.credentials.sessions.current(flood.bench.clock.now_ms) == []
    assert 0 < flood.looked_at < 300
    await flood.audit.close()


async def test_valid_sign_in_works_during_a_flood(flood: Flood) -> None:
    code, _ = await flood.credentials.make_code(Role.OWNER)
    flood.credentials.sign_in(code, PERSON)
    await flood.run(TRIES)
    flood.credentials.sign_in(code, PERSON)
    flood.credentials.sign_in(code, CABLE)
    flood.credentials.sign_in(code, "127.0.0.1")
    await flood.audit.close()


async def test_flood_writes_little_and_keeps_the_audit_trail(flood: Flood) -> None:
    await flood.credentials.make_code(Role.OWNER)
    flood.audit.record(Caller("session 1", Role.OWNER, PERSON), "restore_network", "/v1/zigbee/restore", "200")
    await flood.audit.flush()
    operations: list[Operation] = []
    flood.bench.disk.on_operation = lambda operation, name: operations.append(operation)
    await flood.run(TRIES)
    assert operations.count(Operation.COMMIT) <= COMMITS_MAX
    assert set(operations) <= {Operation.COMMIT}
    found = await flood.audit.entries(entries_max=100)
    assert len(found) < 25
    assert found[-1].entry.action == "restore_network"
    assert sum(each.entry.count for each in found if each.entry.role is Role.PUBLIC) == TRIES
    flood.bench.disk.on_operation = Disk().on_operation
    await flood.audit.close()


async def test_flood_grows_no_memory(flood: Flood) -> None:
    tracemalloc.start()
    try:
        await flood.credentials.make_code(Role.OWNER)
        await flood.run(600)
        for number in range(SOURCES_MAX):
            flood.credentials.throttle.add_wrong(f"10.0.1.{number}", flood.bench.clock.now_ms)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        await flood.run(TRIES)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < MEMORY_BYTES_MAX
    await flood.audit.close()
