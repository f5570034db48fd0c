"""What is written into a file that grows in steps: the old content is never touched, a part of the new may be there."""

import errno
import os
import resource
from pathlib import Path

import pytest

from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk, Operation
from tests.unit.power_cut import PowerCut

STEP = 16


def write(disk: Disk, path: Path, offset: int, data: bytes) -> None:
    disk.write_at(path, offset, data, step_bytes=STEP)


def test_each_step_is_announced_and_the_directory_is_synced_once(tmp_path: Path) -> None:
    seen: list[Operation] = []
    disk = Disk(lambda operation, _: seen.append(operation))
    write(disk, tmp_path / "a", 0, b"one ")
    assert seen == [Operation.WRITE, Operation.FSYNC, Operation.FSYNC_DIRECTORY]
    seen.clear()
    write(disk, tmp_path / "a", 4, b"two")
    assert seen == [Operation.WRITE, Operation.FSYNC]
    assert (tmp_path / "a").read_bytes() == b"one two".ljust(STEP, b"\0")
    write(disk, tmp_path / "a", 14, b"three")
    assert (tmp_path / "a").read_bytes() == b"one two".ljust(14, b"\0") + b"three".ljust(18, b"\0")


def test_a_write_that_fits_changes_no_size_and_syncs_data_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append("all"))
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append("data"))
    write(Disk(), tmp_path / "a", 0, b"1")
    synced.clear()
    write(Disk(), tmp_path / "a", 1, b"2")
    assert synced == ["data"]


@pytest.mark.parametrize("at", [Operation.WRITE, Operation.FSYNC])
def test_a_power_cut_leaves_the_old_content_and_what_came_of_the_new(tmp_path: Path, at: Operation) -> None:
    path = tmp_path / "a"
    write(Disk(), path, 0, b"old ")

    def cut(operation: Operation, _: str) -> None:
        if operation is at:
            raise PowerCut

    with pytest.raises(PowerCut):
        write(Disk(cut), path, 4, b"new")
    assert path.read_bytes().rstrip(b"\0") in {b"old ", b"old new"}


def test_urgent_write_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(os, "fdatasync", fail)
    disk = Disk()
    disk.hurry()
    write(disk, tmp_path / "a", 0, b"1")
    write(disk, tmp_path / "a", 1, b"2")
    assert (tmp_path / "a").read_bytes().rstrip(b"\0") == b"12"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_raises(tmp_path: Path, number: int) -> None:
    def fail(operation: Operation, _: str) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageFull, match="free some space"):
        write(Disk(fail), tmp_path / "a", 0, b"1")


def test_other_disk_errors_raise(tmp_path: Path) -> None:
    def fail(operation: Operation, _: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        write(Disk(fail), tmp_path / "a", 0, b"1")


def test_partial_write_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old ")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6, before[1]))
    try:
        with pytest.raises(StorageFull):
            write(Disk(), path, 4, b"more than fits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old "


def test_irregular_file_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("directory", "pipe", "loop"):
        with pytest.raises(Corrupt, match="no regular file"):
            write(Disk(), tmp_path / name, 0, b"1")
