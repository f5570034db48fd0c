"""Files whole or absent: the world is stopped at each operation, with a power cut and with each kind of full disk."""

import errno
import os
import socket
from pathlib import Path

import pytest

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.disk import QUARANTINED_MAX, Disk, Operation, allow_operation
from tests.unit.power_cut import PowerCut

WRITING = [Operation.WRITE, Operation.FSYNC, Operation.RENAME, Operation.FSYNC_DIRECTORY]


class Stop:
    """Raises at the n-th operation; notes all that came."""

    def __init__(self, at: int, error: BaseException) -> None:
        self.at = at
        self.error = error
        self.seen: list[tuple[Operation, str]] = []

    def __call__(self, operation: Operation, target: str) -> None:
        self.seen.append((operation, target))
        if len(self.seen) == self.at:
            raise self.error


def test_every_durable_step_is_announced_in_order(tmp_path: Path) -> None:
    seen: list[tuple[Operation, str]] = []
    disk = Disk(lambda operation, target: seen.append((operation, target)))
    disk.write(tmp_path / "a", b"1")
    assert seen == [(operation, "a") for operation in WRITING]
    seen.clear()
    disk.remove(tmp_path / "a")
    assert seen == [(Operation.REMOVE, "a"), (Operation.FSYNC_DIRECTORY, "a")]


def test_file_and_directory_are_synced_before_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    fsync, rename = os.fsync, os.replace

    def spy_fsync(descriptor: int) -> None:
        fsync(descriptor)
        happened.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    def spy_replace(self: Path, target: Path) -> Path:
        rename(self, target)
        happened.append("rename")
        return target

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    Disk().write(tmp_path / "a", b"1")
    assert happened == [str(tmp_path / "a.new"), "rename", str(tmp_path)]


@pytest.mark.parametrize("old", [b"old content", None])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_power_cut_leaves_the_old_or_the_new(tmp_path: Path, at: int, old: bytes | None) -> None:
    path = tmp_path / "settings.json"
    if old is not None:
        path.write_bytes(old)
    stop = Stop(at, PowerCut())
    with pytest.raises(PowerCut):
        Disk(stop).write(path, b"new content, longer")
    is_new = stop.seen[-1][0] is Operation.FSYNC_DIRECTORY
    assert Disk().read(path, bytes_max=100) == (b"new content, longer" if is_new else old)
    Disk().write(path, b"next")  # what the cut left behind is in nobody's way
    assert path.read_bytes() == b"next"
    assert [each.name for each in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_full_disk_keeps_the_old_content(tmp_path: Path, at: int, number: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(StorageFull, match="free some space"):
        Disk(Stop(at, OSError(number, "full"))).write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_other_errors_are_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="broken") as caught:
        Disk(Stop(2, OSError(errno.EIO, "broken"))).write(path, b"new")
    assert caught.value.errno == errno.EIO
    assert path.read_bytes() == b"old"
    assert not (tmp_path / "a.new").exists()


def test_read(tmp_path: Path) -> None:
    disk = Disk()
    assert disk.read(tmp_path / "absent", bytes_max=3) is None
    (tmp_path / "a").write_bytes(b"123")
    assert disk.read(tmp_path / "a", bytes_max=3) == b"123"
    with pytest.raises(Corrupt, match="larger than the 2 bytes"):
        disk.read(tmp_path / "a", bytes_max=2)


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket", "ring of links", "device", "link to a device"])
def test_irregular_file_is_refused_without_blocking(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "climate.json"
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case "ring of links":
            path.symlink_to(path)
        case "device":
            path = Path("/dev/zero")
        case _:
            path.symlink_to("/dev/zero")
    with pytest.raises(Corrupt, match="no regular file"):
        Disk().read(path, bytes_max=2)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ENOTDIR, errno.ETIMEDOUT])
def test_medium_error_is_a_failed_read_and_no_corruption(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> int:
        raise OSError(number, "broken")

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(ReadFailed, match="check the disk"):
        Disk().read(tmp_path / "a", bytes_max=2)


@pytest.mark.parametrize("kind", ["directory", "pipe", "ring of links"])
@pytest.mark.parametrize("is_secret", [True, False])
def test_obstacle_at_the_temporary_name_is_removed(tmp_path: Path, kind: str, is_secret: bool) -> None:
    path = tmp_path / "climate.json.new"
    match kind:
        case "directory":
            (path / "deep").mkdir(parents=True)
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(path)
    Disk().write(tmp_path / "climate.json", b"1", is_secret=is_secret)
    assert [each.name for each in tmp_path.iterdir()] == ["climate.json"]


def test_directories_and_files_are_quarantined_within_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for number in range(3 * QUARANTINED_MAX):
        if number % 3:
            path.write_bytes(b"broken")
        else:
            (path / "deep").mkdir(parents=True)
        Disk().quarantine(path)
    assert len(list(tmp_path.iterdir())) == QUARANTINED_MAX


def test_failed_quarantine_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"broken")
    stuck = Disk(Stop(1, OSError(errno.EROFS, "Read-only file system")))
    assert stuck.try_quarantine(path) == "it cannot be put aside (Read-only file system)"
    assert Disk().try_quarantine(path) == "it is kept as a.corrupt-1"


class Room:
    """What statvfs(2) says of a file system."""

    f_flag, f_bavail, f_files, f_favail = 0, 1, 1, 1


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("f_flag", os.ST_RDONLY, "read-only"),
        ("f_bavail", 0, "is full; free some space"),
        ("f_favail", 0, "no free inode"),
        ("f_files", 0, ""),
    ],
)
def test_directory_problem_is_described(
    tmp_path: Path, name: str, value: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room()
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    assert Disk().problem_of(tmp_path) == ""
    setattr(room, name, value)
    found = Disk().problem_of(tmp_path)
    assert problem in found if problem else found == ""


def test_unusable_directory_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be used (No such file or directory)" in Disk().problem_of(tmp_path / "absent")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "may not read and write" in Disk().problem_of(tmp_path)


def test_removing_an_absent_file_is_harmless(tmp_path: Path) -> None:
    Disk().remove(tmp_path / "absent")


def test_wiped_file_is_zeros_before_it_is_gone(tmp_path: Path) -> None:
    path, seen = tmp_path / "a", list[tuple[Operation, bytes]]()
    path.write_bytes(b"secret")
    disk = Disk(lambda operation, _: seen.append((operation, path.read_bytes() if path.exists() else b"")))
    disk.wipe(path)
    assert seen == [
        (Operation.WRITE, b"secret"),
        (Operation.FSYNC, bytes(6)),
        (Operation.REMOVE, bytes(6)),
        (Operation.FSYNC_DIRECTORY, b""),
    ]
    disk.wipe(path)
    path.symlink_to(tmp_path / "other")
    (tmp_path / "other").write_bytes(b"kept")
    with pytest.raises(OSError, match="symbolic"):
        disk.wipe(path)
    assert (tmp_path / "other").read_bytes() == b"kept"


def test_quarantine_keeps_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"broken")
    aside = Disk().quarantine(path)
    assert not path.exists()
    assert aside.read_bytes() == b"broken"
    assert aside.parent == tmp_path


def test_quarantine_is_bounded_and_drops_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for number in range(QUARANTINED_MAX + 3):
        path.write_bytes(str(number).encode())
        os.utime(path, ns=(number * 10**9, number * 10**9))
        Disk().quarantine(path)
    kept = sorted(each.read_bytes() for each in tmp_path.iterdir())
    assert kept == [b"3", b"4", b"5", b"6"]


def test_quarantine_announces_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"broken")
    stop = Stop(1, PowerCut())
    with pytest.raises(PowerCut):
        Disk(stop).quarantine(path)
    assert path.read_bytes() == b"broken"
    Disk(stop).quarantine(path)
    assert [operation for operation, _ in stop.seen[1:]] == [Operation.RENAME, Operation.FSYNC_DIRECTORY]


def test_free_bytes(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    assert 0 <= Disk().free_bytes(tmp_path) <= stat.f_blocks * stat.f_frsize


def test_every_operation_is_allowed_by_default() -> None:
    for operation in Operation:
        allow_operation(operation, "a")


def test_secret_file_is_private_from_the_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    (tmp_path / "secret.new").write_bytes(b"left by a crash, for all to read")
    (tmp_path / "secret.new").chmod(0o666)
    modes = []

    def watch(operation: Operation, target: str) -> None:
        if operation is Operation.FSYNC:
            modes.append((tmp_path / "secret.new").stat().st_mode & 0o777)

    Disk(watch).write(path, b"key", is_secret=True)
    assert modes == [0o600]
    assert path.stat().st_mode & 0o777 == 0o600


def test_urgent_write_syncs_the_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").is_dir()))
    disk = Disk()
    disk.write(tmp_path / "a", b"1")
    assert synced == [False, True]
    disk.hurry()
    disk.write(tmp_path / "a", b"2")
    assert synced == [False, True, False]
    assert (tmp_path / "a").read_bytes() == b"2"
