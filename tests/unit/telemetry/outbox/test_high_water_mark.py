"""An outbox that lost what it had promised is missed; one that lost nothing is not."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.telemetry.outbox import high_water_mark
from agent.telemetry.outbox.high_water_mark import HighWaterMark, HighWaterMarkFile, lost_readings
from agent.telemetry.outbox.protocol import Lane, OutboxLimits
from agent.telemetry.outbox.store import FILE_NAME, SqliteOutbox, open_outbox
from hal.interface import HUB, Reading, SensorKind

LIMITS = OutboxLimits(2**40, 0, 100)


async def opened(directory: Path, limits: OutboxLimits = LIMITS) -> SqliteOutbox:
    outbox, _ = await open_outbox(directory, boot_id="boot", limits=limits, worker=InlineWorker(), disk=Disk())
    return outbox


async def promise(outbox: SqliteOutbox, count: int, at_ms: int = 0) -> None:
    readings = [Reading(HUB, "T", SensorKind.TEMPERATURE, 20.0 + n, at_ms + n) for n in range(count)]
    await outbox.append(readings, is_registered=lambda _: True)


def leave(outbox: SqliteOutbox) -> None:
    """End without a word, as a power cut does."""
    outbox.database._connection.close()


def mapped_files() -> str:
    return Path("/proc/self/maps").read_text()


async def test_closed_outbox_holds_no_file(tmp_path: Path) -> None:
    """A process in which a hub restarts has one open file of each kind, not one of every hub that it has run."""
    outbox = await opened(tmp_path)
    assert str(tmp_path / high_water_mark.FILE_NAME) in mapped_files()
    await outbox.close()
    assert str(tmp_path) not in mapped_files()


def test_missing_readings_are_counted() -> None:
    assert lost_readings(HighWaterMark(7, 100), seq=7, pending=0) == 0
    assert lost_readings(HighWaterMark(7, 100), seq=6, pending=20) == 80
    assert lost_readings(HighWaterMark(7, 10), seq=6, pending=20) == 0
    assert lost_readings(HighWaterMark(), seq=0, pending=0) == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "pipe"])
async def test_deleted_outbox_is_reported_once(tmp_path: Path, damage: str) -> None:
    outbox = await opened(tmp_path)
    assert outbox.lost_count == 0
    await promise(outbox, 130)
    await outbox.close()
    path = tmp_path / FILE_NAME
    path.unlink()
    match damage:
        case "empty":
            path.touch()
        case "garbage":
            path.write_bytes(b"garbage" * 1000)
        case "pipe":
            import os  # noqa: PLC0415 - only here

            os.mkfifo(path)
    outbox = await opened(tmp_path)
    assert outbox.lost_count == 130
    await promise(outbox, 3)
    await outbox.close()
    outbox = await opened(tmp_path)
    assert outbox.lost_count == 0
    await outbox.close()


async def test_lost_commits_are_reported(tmp_path: Path) -> None:
    outbox = await opened(tmp_path)
    await promise(outbox, 50)
    await outbox.close()
    outbox = await opened(tmp_path)
    before = (tmp_path / f"{FILE_NAME}-wal").read_bytes() if (tmp_path / f"{FILE_NAME}-wal").exists() else b""
    await promise(outbox, 80, 1000)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (FILE_NAME, high_water_mark.FILE_NAME):
        shutil.copy(tmp_path / name, copy / name)
    (copy / f"{FILE_NAME}-wal").write_bytes(before)
    await outbox.close()
    again = await opened(copy)
    assert again.lost_count == 80
    await again.close()


async def test_use_by_an_older_release_is_no_loss(tmp_path: Path) -> None:
    outbox = await opened(tmp_path)
    await promise(outbox, 150)
    await outbox.close()
    # It knows no tally, and removes what was accepted.
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("DELETE FROM blobs")
    connection.commit()
    connection.close()
    outbox = await opened(tmp_path)
    assert outbox.lost_count == 0
    await outbox.close()


@pytest.mark.parametrize("seed", range(12))
async def test_no_loss_is_reported_without_one(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    limits = OutboxLimits(rng.choice([2000, 2**40]), 0, 100)
    outbox = await opened(tmp_path, limits)
    for step in range(60):
        match rng.choice(["promise", "promise", "send", "tidy", "close", "cut"]):
            case "promise":
                await promise(outbox, rng.randrange(1, 130), step * 1000)
            case "send":
                await outbox.anchor(now_ms=10**6, utc_ms=1_774_785_600_000)
                await outbox.settle(await outbox.claim(rng.choice(list(Lane)), rng.randrange(1, 120)))
            case "tidy":
                await outbox.maintain()
            case "close":
                await outbox.close()
                outbox = await opened(tmp_path, limits)
            case _:
                leave(outbox)
                outbox = await opened(tmp_path, limits)
        assert outbox.lost_count == 0
    await outbox.close()


def spoil_directory(path: Path) -> None:
    path.mkdir()


def spoil_content(path: Path) -> None:
    path.write_bytes(b"\xff" * 24)


def spoil_size(path: Path) -> None:
    path.write_bytes(b"tally  1" + b"\x01" * 100)


@pytest.mark.parametrize("spoil", [spoil_directory, spoil_content, spoil_size])
async def test_unusable_mark_is_no_error(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / high_water_mark.FILE_NAME)
    outbox = await opened(tmp_path)
    assert outbox.lost_count == 0
    await promise(outbox, 10)
    await outbox.close()


def test_mark_round_trips(tmp_path: Path) -> None:
    tally = HighWaterMarkFile(tmp_path / "tally")
    assert tally.found == HighWaterMark()
    tally.write(2**40, 12)
    tally.close()
    tally.write(1, 1)
    assert HighWaterMarkFile(tmp_path / "tally").found == HighWaterMark(2**40, 12)
