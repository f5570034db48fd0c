import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import StorageFull
from agent.facts import service
from agent.facts.model import FactDraft, FactVersion
from agent.facts.retention import FactLimits
from agent.facts.service import FactService, TimeUnknown
from agent.facts.store import FactStore
from agent.foundation.disk import Disk, Operation
from agent.foundation.supervisor import cancel
from agent.foundation.worker import InlineWorker
from tests.unit.facts.fact_bench import ANNA, NOW_MS, asked


class Clock:
    """A clock that a test sets."""

    boot_id = "boot"

    def __init__(self) -> None:
        self.now: int | None = NOW_MS

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return self.now


class Bench:
    """A service whose disk and clock a test breaks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.faults: list[str] = []
        self.is_disk_broken = False
        self.facts = FactService(
            directory,
            clock=self.clock,
            disk=Disk(self.operate),
            worker=InlineWorker(),
            random_bits=random.Random(1).getrandbits,
            add_fault=self.faults.append,
            limits=FactLimits(disk_free_bytes_min=0),
        )

    def operate(self, operation: Operation, target: str) -> None:
        if self.is_disk_broken:
            raise OSError(5, "broken")

    async def add(self, text: str) -> None:
        async def work(store: FactStore, utc_ms: int) -> FactVersion:
            return await store.add(ANNA, FactDraft(text), utc_ms=utc_ms)

        await self.facts.use(work)

    async def texts(self) -> list[str]:
        shown = await self.facts.use(lambda store, utc_ms: store.shown(asked(ANNA), utc_ms=utc_ms))
        return [version.fact.text for version in shown]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.facts.run())
            await self.facts.wait_until_open()
            yield
            await cancel([task])
        await self.facts.close()


async def test_facts_are_there_again_after_a_restart(tmp_path: Path) -> None:
    for text, expected in (("one", ["one"]), ("two", ["two", "one"])):
        bench = Bench(tmp_path)
        async with bench.running():
            await bench.add(text)
            assert await bench.texts() == expected
        assert bench.faults == []


async def test_without_the_time_no_fact_is_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        bench.clock.now = None
        with pytest.raises(TimeUnknown, match="once the hub knows the time"):
            await bench.add("when?")
        bench.clock.now = NOW_MS
        assert await bench.texts() == []


async def test_before_the_store_is_open_and_after_it_is_closed_callers_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OPEN_S_MAX", 0.0)
    bench = Bench(tmp_path)
    with pytest.raises(StorageFull, match="not been opened yet"):
        await bench.texts()
    async with bench.running():
        assert await bench.texts() == []
    with pytest.raises(StorageFull, match="not been opened yet"):
        await bench.texts()


async def test_a_caller_right_after_the_start_waits_for_the_store(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    early = asyncio.ensure_future(bench.texts())
    await asyncio.sleep(0)
    async with bench.running():
        assert await early == []


async def test_a_disk_that_refuses_costs_the_fact_and_nothing_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        await bench.add("one")
        bench.is_disk_broken = True
        with pytest.raises(StorageFull, match="refused a write"):
            await bench.add("two")
        assert await bench.texts() == ["one"]
        bench.is_disk_broken = False
        await bench.add("three")
        assert await bench.texts() == ["three", "one"]


async def test_a_file_that_turns_out_unreadable_in_use_is_put_aside_and_replaced(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        await bench.add("one")
        overwrite(tmp_path)
        with pytest.raises(StorageFull, match="put aside"):
            await bench.add("two")
        for _ in range(20):
            await asyncio.sleep(0)
        await bench.facts.wait_until_open()
        await bench.add("three")
        assert await bench.texts() == ["three"]
    assert "is kept as facts.db.corrupt-1" in bench.faults[0]


def overwrite(directory: Path) -> None:
    for path in directory.glob("facts.db*"):
        path.write_bytes(b"\xff" * 65536)
