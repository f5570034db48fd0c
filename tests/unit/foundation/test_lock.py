import subprocess
import sys
from pathlib import Path

import pytest

from agent.foundation import lock

_HOLDER = """
import pathlib, sys
from agent.foundation import lock
held = lock.hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_agent_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with (
        lock.hold(tmp_path),
        pytest.raises(lock.AlreadyRunning, match="stop it first"),
    ):
        lock.hold(tmp_path)
    lock.hold(tmp_path).close()


def test_the_kernel_releases_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(lock.AlreadyRunning):
            lock.hold(tmp_path)
        holder.kill()
        holder.wait()
    lock.hold(tmp_path).close()
