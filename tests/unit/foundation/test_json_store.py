"""Load, validate, quarantine, save, notify: one life cycle for every value that is kept as JSON."""

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec
import pytest

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation import durable_file
from agent.foundation.disk import Disk, Operation
from agent.foundation.durable_file import COPY_SUFFIX
from agent.foundation.json_store import Change, JsonStore
from agent.foundation.worker import InlineWorker, ThreadWorker, Worker


class Content(msgspec.Struct, frozen=True):
    count: int = 0
    names: dict[str, int] = {}


class FailingDisk(Disk):
    """A disk that refuses writes or reads while the test asks for it."""

    def __init__(self) -> None:
        super().__init__(self._check)
        self.refuses_writes = False
        self.reads_refused = 0

    def _check(self, operation: Operation, target: str) -> None:
        del operation
        if self.refuses_writes:
            raise OSError(errno.EIO, "Input/output error", target)

    def read(self, path: Path, *, bytes_max: int) -> bytes | None:
        if self.reads_refused:
            self.reads_refused -= 1
            raise ReadFailed(f"{path} cannot be read")
        return super().read(path, bytes_max=bytes_max)


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


def make(path: Path, disk: Disk, bytes_max: int = 4096, worker: Worker | None = None) -> JsonStore[Content]:
    return JsonStore(
        path / "content.json",
        Content(),
        disk=disk,
        worker=worker or InlineWorker(),
        bytes_max=bytes_max,
        loss="everything is counted from 0",
    )


def with_count(count: int) -> Content:
    return Content(count)


async def test_a_committed_value_is_there_after_a_restart(tmp_path: Path, disk: FailingDisk) -> None:
    store = make(tmp_path, disk)
    assert store.load() == Content()
    assert await store.commit(lambda before: Content(before.count + 1, {"a": 1})) == Content(1, {"a": 1})
    again = make(tmp_path, disk)
    assert again.load() == Content(1, {"a": 1})
    assert (again.problem, again.is_lost, again.is_unread) == ("", False, False)


async def test_listeners_are_called_on_changes_only(tmp_path: Path, disk: FailingDisk) -> None:
    store, values = make(tmp_path, disk), list[Content]()
    store.load()
    store.on_change(values.append)
    await store.commit(lambda _: with_count(1))
    await store.commit(lambda _: with_count(1))
    await store.apply(lambda _: with_count(2))
    await store.apply_in_memory(lambda _: with_count(3))
    assert values == [with_count(1), with_count(2), with_count(3)]


async def test_a_value_set_in_memory_is_written_with_the_next_change(tmp_path: Path, disk: FailingDisk) -> None:
    store = make(tmp_path, disk)
    store.load()
    store.set_in_memory(with_count(3))
    assert not store.path.exists()
    await store.commit(lambda value: msgspec.structs.replace(value, names={"a": 1}))
    assert make(tmp_path, disk).load() == Content(3, {"a": 1})


async def test_commit_refused_by_the_disk_changes_nothing(tmp_path: Path, disk: FailingDisk) -> None:
    store = make(tmp_path, disk)
    store.load()
    disk.refuses_writes = True
    with pytest.raises(StorageFull, match=r"content\.json"):
        await store.commit(lambda _: with_count(1))
    assert store.value == Content()


async def test_applied_change_is_saved_with_the_next_one(tmp_path: Path, disk: FailingDisk) -> None:
    store = make(tmp_path, disk)
    store.load()
    disk.refuses_writes = True
    await store.apply(lambda _: with_count(1))
    assert (store.value.count, "content.json" in store.save_problem) == (1, True)
    assert make(tmp_path, disk).load() == Content()
    disk.refuses_writes = False
    await store.apply(lambda before: before)
    assert (store.save_problem, make(tmp_path, disk).load().count) == ("", 1)


async def test_unreadable_file_is_quarantined_and_its_copy_used(tmp_path: Path, disk: FailingDisk) -> None:
    store = make(tmp_path, disk)
    store.load()
    await store.commit(lambda _: with_count(7))
    (tmp_path / "content.json").write_bytes(b"\0\0")
    again = make(tmp_path, disk)
    assert again.load().count == 7
    assert "its last good copy is in force" in again.problem
    assert not again.is_lost
    assert (tmp_path / "content.json.corrupt-1").exists()


async def test_missing_copy_gives_the_default_and_reports_the_loss(tmp_path: Path, disk: FailingDisk) -> None:
    (tmp_path / "content.json").write_bytes(b"[]")
    store = make(tmp_path, disk)
    assert store.load() == Content()
    assert store.is_lost
    assert "everything is counted from 0" in store.problem


def test_unreadable_element_is_dropped_alone(tmp_path: Path, disk: FailingDisk) -> None:
    (tmp_path / "content.json").write_bytes(b'{"count": 3, "names": {"a": 1, "b": "many"}}')
    store = make(tmp_path, disk)
    assert store.load() == Content(3, {"a": 1})
    assert "names.b" in store.problem


def test_custom_validation_is_applied(tmp_path: Path, disk: FailingDisk) -> None:
    def decode(data: bytes, left_out: list[str]) -> Content:
        del left_out
        found = msgspec.json.decode(data, type=Content)
        if found.count < 0:
            raise Corrupt("count is negative")
        return found

    (tmp_path / "content.json").write_bytes(b'{"count": -1}')
    store = JsonStore(
        tmp_path / "content.json",
        Content(),
        disk=disk,
        worker=InlineWorker(),
        bytes_max=100,
        loss="nothing is known",
        decode=decode,
    )
    assert store.load() == Content()
    assert "count is negative" in store.problem


async def test_a_value_that_is_too_large_is_shrunk_or_refused(tmp_path: Path, disk: FailingDisk) -> None:
    large = Content(1, {f"name {number}": number for number in range(100)})
    store = make(tmp_path, disk, bytes_max=200)
    store.load()
    with pytest.raises(StorageFull, match="more than"):
        await store.commit(lambda _: large)
    shrinking = JsonStore(
        tmp_path / "content.json",
        Content(),
        disk=disk,
        worker=InlineWorker(),
        bytes_max=200,
        loss="",
        shrink=lambda value: Content(value.count),
    )
    shrinking.load()
    await shrinking.commit(lambda _: large)
    assert shrinking.value == large
    assert make(tmp_path, disk).load() == with_count(1)


async def test_unread_file_is_read_later_and_merged(
    tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0.0)
    first = make(tmp_path, disk)
    first.load()
    await first.commit(lambda _: with_count(5))
    disk.reads_refused = 3
    store = make(tmp_path, disk)
    assert store.load() == Content()
    assert store.is_unread
    assert "until" in store.problem
    await store.apply(lambda before: Content(before.count + 1))
    assert store.save_problem
    async with asyncio.timeout(1):
        await store.retry_read(lambda present, found: Content(present.count + found.count))
    assert (store.value.count, store.problem, store.is_unread) == (6, "", False)


async def test_patient_loading_waits_for_the_disk(
    tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0.0)
    first = make(tmp_path, disk)
    first.load()
    first.save_blocking(with_count(5))
    disk.reads_refused = 3
    assert (await make(tmp_path, disk).load_patiently()).count == 5


@pytest.mark.parametrize("method", ["commit", "apply"])
async def test_a_change_before_the_file_is_read_does_not_replace_it(
    tmp_path: Path, disk: FailingDisk, method: str
) -> None:
    first = make(tmp_path, disk)
    first.load()
    first.save_blocking(Content(5, {"old": 1}))
    worker, busy = ThreadWorker("test"), threading.Event()
    store = make(tmp_path, disk, worker=worker)
    job = asyncio.create_task(worker.run(busy.wait))
    loading = asyncio.create_task(store.load_patiently())
    change: Change[Content] = lambda before: Content(before.count, {**before.names, "new": 2})  # noqa: E731
    changing = asyncio.create_task(store.commit(change) if method == "commit" else store.apply(change))
    # Both have come as far as they can before the worker is free.
    for _ in range(5):
        await asyncio.sleep(0)
    busy.set()
    await asyncio.gather(job, loading, changing)
    worker.close()
    both = Content(5, {"old": 1, "new": 2})
    assert store.value == both
    assert make(tmp_path, disk).load() == both


@pytest.mark.parametrize("method", ["commit", "apply", "rewrite"])
async def test_a_value_without_the_file_is_not_written_when_the_disk_gives_it_at_last(
    tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0.0)
    first = make(tmp_path, disk)
    first.load()
    first.save_blocking(Content(5, {"old": 1}))
    store = make(tmp_path, disk)
    disk.reads_refused = 2
    store.load()
    read_again = store._file.read_again

    def read_and_lose_the_turn() -> Content | None:
        # A change comes between the worker's reading and the loop's learning of it.
        found = read_again()
        if found is not None:
            writes: dict[str, Callable[[], Coroutine[None, None, object]]] = {
                "commit": lambda: store.commit(lambda _: Content(0, {"new": 2})),
                "apply": lambda: store.apply(lambda _: Content(0, {"new": 2})),
                "rewrite": store.rewrite,
            }
            with contextlib.suppress(StopIteration, StorageFull):
                writes[method]().send(None)
        return found

    monkeypatch.setattr(store._file, "read_again", read_and_lose_the_turn)
    await store.retry_read(lambda present, found: Content(found.count, {**found.names, **present.names}))
    assert make(tmp_path, disk).load() == Content(5, {"old": 1})
    assert store.value.names == {"old": 1} | ({"new": 2} if method == "apply" else {})
    await store.commit(lambda before: Content(before.count + 1, before.names))
    assert make(tmp_path, disk).load() == store.value


async def test_a_change_before_anybody_reads_the_file_is_refused(tmp_path: Path, disk: FailingDisk) -> None:
    store = make(tmp_path, disk)
    assert store.is_unread
    with pytest.raises(StorageFull, match="has been read"):
        await store.commit(lambda _: with_count(1))
    assert store.value == with_count(0)


def test_a_copy_is_written_with_each_save(tmp_path: Path, disk: FailingDisk) -> None:
    store = make(tmp_path, disk)
    store.load()
    store.save_blocking(with_count(1))
    file = tmp_path / "content.json"
    assert file.with_name(file.name + COPY_SUFFIX).read_bytes() == file.read_bytes()
