"""One file that must not be lost: what is read after each damage, what is said of it, what is never written over."""

import asyncio
import errno
from pathlib import Path

import msgspec
import pytest

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation import durable_file
from agent.foundation.disk import Disk, Operation
from agent.foundation.durable_file import (
    CHECKSUM_BYTES,
    COPY_SUFFIX,
    MARKER_SUFFIX,
    READS_MAX,
    DurableFile,
    add_checksum,
    strip_checksum,
)
from agent.foundation.worker import InlineWorker

Content = dict[str, int]
LOSS = "the zones begin anew"


class FailingDisk(Disk):
    """Gives some files only after a while."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: dict[str, int] = {}

    def read(self, path: Path, *, bytes_max: int) -> bytes | None:
        if self.fails.get(path.name, 0) > 0:
            self.fails[path.name] -= 1
            raise ReadFailed(f"{path} cannot be read (Input/output error)")
        return super().read(path, bytes_max=bytes_max)


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "climate.json"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "climate.json.copy"


def make(path: Path, disk: Disk, written_bytes_max: int | None = None) -> DurableFile[Content]:
    return DurableFile(
        path,
        disk=disk,
        decode=lambda data: msgspec.json.decode(data, type=Content),
        loss=LOSS,
        bytes_max=1000,
        written_bytes_max=written_bytes_max,
    )


def kept(path: Path, disk: Disk) -> DurableFile[Content]:
    """A file that holds a 7, with its copy."""
    file = make(path, disk)
    assert file.read() is None
    assert file.problem == ""
    file.write(b'{"a": 7}')
    return make(path, disk)


@pytest.mark.parametrize("data", [b"{}", b"{ }", b'{"a":1}', b'{\n  "a": 1\n}\n'])
def test_checksum_is_a_member_that_other_readers_ignore(data: bytes) -> None:
    content = add_checksum(data)
    assert strip_checksum(content).split() == data.split()
    assert set(msgspec.json.decode(content)) - {"sha256"} == set(msgspec.json.decode(data))
    assert len(content) - len(data) <= CHECKSUM_BYTES
    assert strip_checksum(data) == data


def test_checksum_finds_every_changed_bit() -> None:
    content = add_checksum(b'{"a": 20.5}')
    head = len(b'{"sha256":"')
    for at in range(head, len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
            # Between checksum and content stand a quotation mark and a comma, which nobody reads.
            if at not in {head + 64, head + 65}:
                with pytest.raises(Corrupt, match="checksum"):
                    strip_checksum(bytes(damaged))


def test_only_objects_get_a_checksum() -> None:
    with pytest.raises(ValueError, match="JSON object"):
        add_checksum(b"[]")


def test_written_content_is_read(path: Path, copy: Path, disk: Disk) -> None:
    file = kept(path, disk)
    assert file.read() == {"a": 7}
    assert file.problem == ""
    assert copy.read_bytes() == path.read_bytes()


def test_a_file_of_an_older_release_is_read_and_copied(path: Path, copy: Path, disk: Disk) -> None:
    path.write_bytes(b'{"a": 7}')
    assert make(path, disk).read() == {"a": 7}
    path.unlink()
    file = make(path, disk)
    assert file.read() == {"a": 7}
    assert file.problem == "climate.json is missing; its last good copy is in force"
    assert path.exists()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\0" * 100, b"[]", b'{"a": "seven"}', b"\xff" * 40, b"x" * 2000, add_checksum(b"{}")[:-1]]
)
def test_damaged_file_is_quarantined_and_its_copy_used(path: Path, disk: Disk, damage: bytes) -> None:
    file = kept(path, disk)
    path.write_bytes(damage)
    assert file.read() == {"a": 7}
    assert "climate.json.corrupt-1, " not in file.problem
    assert "is kept as climate.json.corrupt-1; its last good copy is in force" in file.problem
    again = make(path, disk)
    assert again.read() == {"a": 7}
    assert again.problem == ""


def test_damaged_copy_is_replaced(path: Path, copy: Path, disk: Disk) -> None:
    file = kept(path, disk)

    def replace_by_directory() -> None:
        copy.unlink()
        copy.mkdir()

    for damage in (copy.unlink, lambda: copy.write_bytes(b"{"), replace_by_directory):
        damage()
        assert file.read() == {"a": 7}
        assert file.problem == ""
        assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("damaged_copy", [None, b"{"])
def test_loss_of_file_and_copy_is_reported(path: Path, copy: Path, disk: Disk, damaged_copy: bytes | None) -> None:
    file = kept(path, disk)
    path.write_bytes(b"{")
    if damaged_copy is None:
        copy.unlink()
    else:
        copy.write_bytes(damaged_copy)
    assert file.read() is None
    assert LOSS in file.problem
    assert "copy" in file.problem
    file.write(b'{"a": 8}')
    assert file.read() == {"a": 8}


def test_missing_file_with_a_broken_copy_is_reported(path: Path, copy: Path, disk: Disk) -> None:
    file = kept(path, disk)
    path.unlink()
    copy.write_bytes(b"{")
    assert file.read() is None
    assert file.problem.startswith("climate.json is missing; its copy could not be read either")
    assert LOSS in file.problem


async def test_a_read_error_is_no_corruption(
    path: Path, copy: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0.0)
    file = kept(path, disk)
    disk.fails = {"climate.json": READS_MAX - 1, copy.name: 1}
    assert file.read() is None
    assert LOSS in file.problem
    with pytest.raises(StorageFull, match="before its present content has been read"):
        file.write(b"{}")
    taken: list[Content] = []
    await file.settle(InlineWorker(), taken.append)
    assert taken == [{"a": 7}]
    assert file.problem == ""
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "climate.json",
        "climate.json.copy",
        "climate.json.made",
    ]
    file.write(b"{}")


async def test_copy_is_used_while_the_file_cannot_be_read(
    path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0.0)
    file = kept(path, disk)
    disk.fails["climate.json"] = READS_MAX
    assert file.read() == {"a": 7}
    assert "its last good copy is in force until it can" in file.problem
    await file.settle(InlineWorker(), lambda _: pytest.fail("there is nothing to take up"))
    assert "tried 6 times; it is kept as climate.json.corrupt-1" in file.problem
    file.write(b'{"a": 8}')
    assert make(path, disk).read() == {"a": 8}


async def test_failed_disk_is_read_again_until_it_works(
    path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0.0)
    file = kept(path, disk)
    disk.fails = {"climate.json": 3 * READS_MAX, "climate.json.copy": 1}

    def dead(operation: Operation, _: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    disk.on_operation = dead
    assert file.read() is None
    assert "neither can its copy" in file.problem
    taken: list[Content] = []
    async with asyncio.timeout(60):
        await file.settle(InlineWorker(), taken.append)
    assert taken == [{"a": 7}]


@pytest.mark.parametrize("after", ["broken", "missing"])
def test_file_found_broken_on_a_later_read_is_replaced_by_its_copy(path: Path, disk: FailingDisk, after: str) -> None:
    file = kept(path, disk)
    disk.fails = {"climate.json": 1, "climate.json.copy": 1}
    assert file.read() is None
    if after == "broken":
        path.write_bytes(b"{")
    else:
        path.unlink()
    assert file.read_again() == {"a": 7}
    assert "last good copy is in force" in file.problem
    assert not file.is_unread


def test_content_larger_than_the_reading_limit_is_not_written(path: Path, disk: Disk) -> None:
    file = kept(path, disk)
    assert file.read() == {"a": 7}
    with pytest.raises(StorageFull, match="more than the 1,000 bytes that are read again"):
        file.write(b'{"a":' + b"1" * 1000 + b"}")
    assert file.read() == {"a": 7}
    narrow = make(path, disk, written_bytes_max=CHECKSUM_BYTES + 10)
    assert narrow.read() == {"a": 7}
    with pytest.raises(StorageFull, match="more than"):
        narrow.write(b'{"a": 12345}')


def test_unwritable_copy_does_not_fail_the_write(
    path: Path, copy: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    file = kept(path, disk)
    assert file.read() == {"a": 7}

    def full(_: Operation, target: str) -> None:
        if target == copy.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    disk.on_operation = full
    for value in (b"8", b"9"):
        file.write(b'{"a": ' + value + b"}")
    assert file.read() == {"a": 9}
    assert caplog.text.count("has no new copy") == 1


def test_copy_is_used_on_a_read_only_disk(path: Path, disk: Disk) -> None:
    file = kept(path, disk)
    path.write_bytes(b"{")

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    disk.on_operation = read_only
    assert file.read() == {"a": 7}
    assert "cannot be put aside (Read-only file system); its last good copy is in force" in file.problem


def test_write_before_the_first_read_is_refused(path: Path, disk: Disk) -> None:
    with pytest.raises(StorageFull, match="before its present content has been read"):
        make(path, disk).write(b"{}")


def test_loss_of_file_and_copy_is_told_apart_from_a_new_hub(path: Path, disk: FailingDisk) -> None:
    assert make(path, disk).read() is None
    assert make(path, disk).problem == ""
    file = make(path, disk)
    file.read()
    file.write(b'{"a":7}')
    for each in (path, path.with_name(path.name + COPY_SUFFIX)):
        each.unlink()
    again = make(path, disk)
    assert again.read() is None
    assert again.problem == f"climate.json is missing; there is no copy of it: {LOSS}"


def test_file_of_an_older_release_is_missed_after_its_first_read(path: Path, disk: FailingDisk) -> None:
    path.write_bytes(b'{"a":7}')
    assert make(path, disk).read() is not None
    for each in path.parent.glob("climate.json*"):
        if not each.name.endswith(MARKER_SUFFIX):
            each.unlink()
    again = make(path, disk)
    assert again.read() is None
    assert "is missing; there is no copy of it" in again.problem
    again.write(b'{"a":7}')
    assert make(path, disk).read() is not None


def test_unwritable_marker_is_no_error(path: Path, disk: FailingDisk) -> None:
    def refuse(operation: Operation, target: str) -> None:
        if target.endswith(MARKER_SUFFIX):
            raise OSError(5, "Input/output error", target)

    file = make(path, Disk(refuse))
    file.read()
    file.write(b'{"a":7}')
    assert make(path, disk).read() is not None
