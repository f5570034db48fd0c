import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from agent.foundation import lock

_HOLDER = """
import pathlib, sys
from agent.foundation import lock
with lock.hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_agent_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with (
        lock.hold(tmp_path),
        pytest.raises(lock.AlreadyRunning, match="stop it first"),
        lock.hold(tmp_path),
    ):
        pass
    with lock.hold(tmp_path):
        assert not list(tmp_path.iterdir())


def test_the_kernel_releases_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(lock.AlreadyRunning), lock.hold(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with lock.hold(tmp_path):
        pass


def test_lock_file_of_an_older_release_is_respected(tmp_path: Path) -> None:
    with (tmp_path / lock.FILE_NAME).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(lock.AlreadyRunning), lock.hold(tmp_path):
            pass
    with lock.hold(tmp_path), (tmp_path / lock.FILE_NAME).open("ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_run_directory_is_locked_where_the_state_directory_cannot_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    absent = tmp_path / "absent"
    with lock.hold(absent, tmp_path):
        assert "is locked instead" in caplog.text
        with pytest.raises(lock.AlreadyRunning), lock.hold(absent, tmp_path):
            pass


def test_agent_starts_without_a_lock_where_none_can_be_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with lock.hold(tmp_path, tmp_path):
        assert "no second climahub" in caplog.text
