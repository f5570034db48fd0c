"""Files by name for a layer that knows no disk."""

import errno
import os
import stat
from pathlib import Path

import pytest

from agent import environment
from agent.foundation.disk import Disk, Operation
from agent.foundation.state_files import StateFiles
from hal.zigbee.options import STICK_FILE


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    files = StateFiles(tmp_path, Disk(), bytes_max=200)
    # One that was written carelessly before, and what a power cut left of it.
    for name in ("secret", "secret.new"):
        (tmp_path / name).write_text("old")
        (tmp_path / name).chmod(0o644)
    files.write("secret", b'{"key": 1}', is_secret=True)
    files.write("plain", b"{}", is_secret=False)
    assert files.read("secret") == b'{"key": 1}'
    assert mode(tmp_path / "secret") == mode(tmp_path / "secret.copy") == 0o600
    assert mode(tmp_path / "plain") & 0o400


def test_a_secret_is_never_readable_by_others_while_it_is_written(tmp_path: Path) -> None:
    modes = []

    def look(operation: Operation, _: str) -> None:
        if operation in {Operation.FSYNC, Operation.RENAME} and (tmp_path / "secret.new").exists():
            modes.append(mode(tmp_path / "secret.new"))

    StateFiles(tmp_path, Disk(look), bytes_max=200).write("secret", b"{}", is_secret=True)
    assert modes == [0o600, 0o600]


def test_oversized_file_is_quarantined(tmp_path: Path) -> None:
    files = StateFiles(tmp_path, Disk(), bytes_max=10)
    (tmp_path / "file").write_bytes(b"x" * 11)
    assert files.read("file") is None
    assert not files.path("file").exists()
    assert (tmp_path / "file.corrupt-1").exists()
    assert files.read("file") is None


def test_companion_files_are_removed_with_their_database(tmp_path: Path) -> None:
    for name in ("z.db", "z.db-wal", "z.db-shm"):
        (tmp_path / name).write_bytes(b"x")
    StateFiles(tmp_path, Disk(), bytes_max=10).put_aside("z.db")
    assert [path.name for path in tmp_path.iterdir()] == ["z.db.corrupt-1"]


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    def full(operation: Operation, _: str) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="free some space"):
        StateFiles(tmp_path, Disk(full), bytes_max=200).write("file", b"{}", is_secret=False)


def test_unreadable_file_is_not_treated_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = StateFiles(tmp_path, Disk(), bytes_max=200)
    files.write("network", b'{"key": 1}', is_secret=True)
    (tmp_path / "network.copy").unlink()

    def failing(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "open", failing)
        with pytest.raises(OSError, match="Input/output error"):
            files.read("network")
        with pytest.raises(OSError, match="before its present content has been read"):
            files.write("network", b"{}", is_secret=True)
    assert files.read("network") == b'{"key": 1}'


def test_radio_ownership_file_survives_a_factory_reset() -> None:
    kept = {STICK_FILE, "launcher.json", "update.json", "keyring.json", "starts.json", "boots.json"}
    assert kept == environment.OUTLIVES_RESET
