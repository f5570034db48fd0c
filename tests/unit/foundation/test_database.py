# ruff: noqa: ASYNC240 (a test may wait for the disk)
"""Every commit synced, every failure told, every unreadable file put aside."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.errors import Corrupt, StorageFull
from agent.foundation.database import LOG_BYTES, PAGE_BYTES, WAL_PAGES_MAX, Database, open_database, set_aside
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker, ThreadWorker, Worker

SCHEMA = "CREATE TABLE words (word TEXT NOT NULL);"
Spoil = Callable[[bytes], bytes]


@pytest.fixture(params=["inline", "thread"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    made: Worker = InlineWorker() if request.param == "inline" else ThreadWorker("test")
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.db"


def open_words(path: Path, worker: Worker, disk: Disk | None = None, version: int = 1) -> tuple[Database, Path | None]:
    return open_database(path, schema=SCHEMA, version=version, worker=worker, disk=disk or Disk())


def writer(database: Database, *words: str) -> "Words":
    return Words(database, words)


class Words:
    def __init__(self, database: Database, words: tuple[str, ...]) -> None:
        self._database = database
        self._words = words

    def __call__(self, connection: sqlite3.Connection) -> None:
        with self._database.transaction(connection):
            for word in self._words:
                connection.execute("INSERT INTO words VALUES (?)", (word,))


def all_words(connection: sqlite3.Connection) -> list[str]:
    return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY rowid")]


async def test_committed_rows_survive_without_a_close(path: Path, worker: Worker, tmp_path: Path) -> None:
    database, quarantined = open_words(path, worker)
    assert quarantined is None
    await database.run(writer(database, "a", "b"))
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("words.db", "words.db-wal"):
        shutil.copy(tmp_path / name, copy / name)
    other, quarantined = open_words(copy / "words.db", InlineWorker())
    assert quarantined is None
    assert await other.run(all_words) == ["a", "b"]
    await other.close()
    await database.close()


async def test_each_commit_is_announced_before_it_happens(path: Path, worker: Worker) -> None:
    seen: list[tuple[Operation, str]] = []
    database, _ = open_words(path, worker, Disk(lambda *operation: seen.append(operation)))
    assert seen == [(Operation.COMMIT, "words.db")]
    await database.run(writer(database, "a"))
    assert seen == [(Operation.COMMIT, "words.db")] * 2
    await database.close()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("a defect")])
async def test_a_failed_commit_changes_nothing(path: Path, worker: Worker, error: Exception) -> None:
    disk = Disk()
    database, _ = open_words(path, worker, disk)
    await database.run(writer(database, "a"))

    def fail(operation: Operation, target: str) -> None:
        raise error

    disk.on_operation = fail
    with pytest.raises(StorageFull if isinstance(error, OSError) else RuntimeError):
        await database.run(writer(database, "b"))
    disk.on_operation = lambda *_: None
    await database.run(writer(database, "c"))
    assert await database.run(all_words) == ["a", "c"]
    await database.close()


async def test_full_database_file_raises_storage_full(path: Path, worker: Worker) -> None:
    database, _ = open_words(path, worker)

    def limit(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count=4")

    await database.run(limit)
    with pytest.raises(StorageFull, match="free some space"):
        await database.run(writer(database, *("x" * 900 for _ in range(10))))
    assert await database.run(all_words) == []
    await database.close()


async def test_every_commit_is_synced(path: Path, worker: Worker) -> None:
    database, _ = open_words(path, worker)
    assert database.syncs_commits()

    def loosen(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    await database.run(loosen)
    assert not database.syncs_commits()
    await database.close()


COMMITS = 25
_PROGRAM = f"""
import asyncio, pathlib, sys
from agent.foundation.database import open_database
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker

async def main():
    database, _ = open_database(pathlib.Path(sys.argv[1]), schema={SCHEMA!r}, version=1,
                                worker=InlineWorker(), disk=Disk())
    def put(connection):
        with database.transaction(connection):
            connection.execute("INSERT INTO words VALUES ('w')")
    for _ in range(int(sys.argv[2])):
        await database.run(put)

asyncio.run(main())
"""


def syncs(directory: Path, commits: int) -> int:
    trace = directory / f"trace-{commits}"
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace), sys.executable, "-c", _PROGRAM]
    # The process ends without closing, so that the fold at the end adds nothing that differs.
    subprocess.run([*command, str(directory / f"{commits}.db"), str(commits)], check=True)
    return sum("sync(" in line for line in trace.read_text().splitlines())


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: system calls cannot be counted")
def test_each_commit_makes_a_sync_system_call(tmp_path: Path) -> None:
    assert syncs(tmp_path, 1 + COMMITS) - syncs(tmp_path, 1) >= COMMITS


async def test_a_zero_byte_file_is_a_new_one(path: Path, worker: Worker) -> None:
    path.touch()
    database, quarantined = open_words(path, worker)
    assert quarantined is None
    await database.run(writer(database, "a"))
    await database.close()


def make(path: Path, words: int) -> bytes:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size=1024")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(f"{SCHEMA} PRAGMA user_version=1;")
    connection.executemany("INSERT INTO words VALUES (?)", [(f"{number:0900}",) for number in range(words)])
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda good: b"not a database at all, but long enough to look at. " * 40, id="text"),
        pytest.param(lambda good: bytes(4096), id="zeros"),
        pytest.param(lambda good: good[:100], id="header only"),
        pytest.param(lambda good: good[:512], id="cut within the first page"),
        pytest.param(lambda good: good[:1024], id="cut after the first page"),
        pytest.param(lambda good: good[:1024] + bytes(len(good) - 1024), id="zeros after the first page"),
        pytest.param(lambda good: good[:100] + b"\xff" * 900 + good[1000:], id="schema overwritten"),
    ],
)
async def test_unreadable_file_is_quarantined(path: Path, worker: Worker, spoil: Spoil) -> None:
    spoilt = spoil(make(path, 30))
    path.write_bytes(spoilt)
    database, quarantined = open_words(path, worker)
    assert quarantined is not None
    assert quarantined.read_bytes() == spoilt
    await database.run(writer(database, "after"))
    assert await database.run(all_words) == ["after"]
    await database.close()


async def test_file_without_tables_is_quarantined(path: Path, worker: Worker) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=1")
    connection.close()
    database, quarantined = open_words(path, worker)
    assert quarantined is not None
    await database.run(writer(database, "after"))
    await database.close()


async def test_damage_found_while_reading_raises_corrupt(path: Path, worker: Worker) -> None:
    good = make(path, 60)
    path.write_bytes(good[: 20 * 1024] + b"\xff" * (len(good) - 20 * 1024))
    database, quarantined = open_words(path, worker)
    assert quarantined is None
    with pytest.raises(Corrupt, match="cannot be read"):
        await database.run(all_words)
    await database.close()


async def test_newer_schema_is_quarantined(path: Path, worker: Worker) -> None:
    database, _ = open_words(path, worker, version=3)
    await database.close()
    database, quarantined = open_words(path, worker, version=2)
    assert quarantined is not None
    await database.run(writer(database, "a"))
    await database.close()


def test_wal_is_quarantined_with_its_file(path: Path, tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).write_text(suffix)
    assert set_aside(path, Disk()) == tmp_path / "words.db.corrupt-1"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "words.db-shm.corrupt-1",
        "words.db-wal.corrupt-1",
        "words.db.corrupt-1",
    ]
    assert set_aside(path, Disk()) is None


async def test_file_in_use_is_not_quarantined(path: Path, worker: Worker) -> None:
    database, _ = open_words(path, worker)

    def hurry(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA busy_timeout=1")

    await database.run(hurry)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFull, match="second agent"):
        await database.run(writer(database, "a"))
    other.close()
    await database.close()
    assert path.exists()


@pytest.mark.parametrize("is_old_unreadable", [False, True])
def test_full_disk_while_creating_the_file(path: Path, worker: Worker, is_old_unreadable: bool) -> None:
    if is_old_unreadable:
        path.write_bytes(b"x" * 4000)

    def full(operation: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFull):
        open_words(path, worker, Disk(full))


def test_missing_directory_while_creating_the_file(tmp_path: Path, worker: Worker) -> None:
    with pytest.raises(StorageFull, match="check the disk"):
        open_words(tmp_path / "absent" / "words.db", worker)


async def test_closing_twice_is_harmless_and_use_after_close_raises(path: Path, worker: Worker) -> None:
    database, _ = open_words(path, worker)
    await database.close()
    await database.close()
    with pytest.raises(Corrupt):
        await database.run(all_words)


async def test_commit_without_sync_is_readable_by_the_next_process(path: Path, worker: Worker, tmp_path: Path) -> None:
    disk = Disk()
    database, _ = open_words(path, worker, disk)
    await database.run(writer(database, "a"))
    disk.hurry()
    await database.run(writer(database, "b"))
    assert not await database.run(lambda _: database.syncs_commits())
    await database.close()
    left = tmp_path / "left"
    left.mkdir()
    # As the process that ends leaves it: with its log.
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, left)
    other, aside = open_words(left / path.name, worker)
    assert aside is None
    assert await other.run(all_words) == ["a", "b"]
    await other.close()
    database._connection.close()


@pytest.mark.parametrize("kind", ["directory", "pipe", "ring", "device", "stranger"])
async def test_file_that_is_no_database_is_quarantined(path: Path, worker: Worker, kind: str) -> None:
    match kind:
        case "directory":
            (path / "deep").mkdir(parents=True)
        case "pipe":
            os.mkfifo(path)
        case "ring":
            path.symlink_to(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            with closing(sqlite3.connect(path)) as stranger:
                stranger.execute("CREATE TABLE stranger (x)")
    database, quarantined = open_words(path, worker)
    assert quarantined is not None
    await database.run(writer(database, "after"))
    assert await database.run(all_words) == ["after"]
    await database.close()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
async def test_invalid_companion_file_does_not_cost_the_database(path: Path, worker: Worker, suffix: str) -> None:
    path.write_bytes(make(path, 3))
    path.with_name(path.name + suffix).mkdir()
    database, quarantined = open_words(path, worker)
    assert quarantined is None
    assert len(await database.run(all_words)) == 3
    await database.close()


def open_busy(path: Path, worker: Worker, disk: Disk | None = None) -> Database:
    database, aside = open_database(path, schema=SCHEMA, version=1, worker=worker, disk=disk or Disk(), is_busy=True)
    assert aside is None
    return database


async def test_commits_of_a_busy_file_leave_its_log_as_long_as_it_is(path: Path, worker: Worker) -> None:
    database = open_busy(path, worker)
    log = path.with_name(f"{path.name}-wal")
    assert log.stat().st_size == LOG_BYTES
    page = "a" * PAGE_BYTES
    for _ in range(WAL_PAGES_MAX // 8):
        await database.run(writer(database, *[page] * 10))
        assert log.stat().st_size == LOG_BYTES
    assert not path.with_name(f"{path.name}-shm").exists()
    await database.close()


@pytest.mark.parametrize("commits", [0, 1, 3])
async def test_zeros_behind_the_log_of_a_power_cut_cost_no_commit(
    path: Path, worker: Worker, tmp_path: Path, commits: int
) -> None:
    database = open_busy(path, worker)
    for number in range(commits):
        await database.run(writer(database, f"word {number}"))
    left = tmp_path / "left"
    left.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), left / name)
    await database.close()
    again = open_busy(left / path.name, worker)
    assert await again.run(all_words) == [f"word {number}" for number in range(commits)]
    await again.run(writer(again, "more"))
    await again.close()
    at_rest, _ = open_words(left / path.name, worker)
    assert await at_rest.run(all_words) == [*(f"word {number}" for number in range(commits)), "more"]
    await at_rest.close()


async def test_busy_file_opens_on_a_disk_without_room_for_its_log(path: Path, worker: Worker) -> None:
    def full(operation: Operation, target: str) -> None:
        if target.endswith("-wal"):
            raise OSError(errno.ENOSPC, "No space left on device")

    database = open_busy(path, worker, Disk(full))
    await database.run(writer(database, "word"))
    assert await database.run(all_words) == ["word"]
    assert path.with_name(f"{path.name}-wal").stat().st_size < LOG_BYTES
    await database.close()


async def test_busy_file_keeps_other_processes_out_and_lets_this_one_read(path: Path, worker: Worker) -> None:
    database = open_busy(path, worker)
    await database.run(writer(database, "word"))
    probe = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('SELECT 1 FROM words')"
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        [sys.executable, "-c", probe], check=False, capture_output=True, text=True
    )
    assert "database is locked" in done.stderr
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        assert all_words(reader) == ["word"]
    await database.close()
