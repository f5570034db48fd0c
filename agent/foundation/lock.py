"""One agent per state directory: two would send the same readings and exceed the quota.

The lock is on the directory itself, opened for reading, so that it works on a disk that refuses writes. A failing disk
must never keep a hub from heating: only another agent that holds the lock does.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from agent.errors import ClimahubError

_log = logging.getLogger(__name__)

FILE_NAME = "climahub.lock"
"""The file that releases up to 0.1 lock in the state directory; locked as well where it exists."""


class AlreadyRunning(ClimahubError):
    """Another agent works on the same state directory."""


@contextlib.contextmanager
def hold(directory: Path, fallback: Path | None = None) -> Iterator[None]:
    """Hold the lock of a state directory; the kernel releases it when the process ends, however it ends.

    Args:
        directory: The state directory. Nothing is written there.
        fallback: The runtime directory: locked instead where the state directory cannot be (no permission, a dead disk,
            or a file system without such locks).

    Raises:
        AlreadyRunning: Another process holds it.
    """
    with contextlib.ExitStack() as held:
        problem = _lock(directory, os.O_DIRECTORY, held, directory)
        if problem is None:
            _lock(directory / FILE_NAME, os.O_NONBLOCK, held, directory)
        elif fallback is not None and not _lock(fallback, os.O_DIRECTORY, held, directory):
            _log.warning("%s cannot be locked; %s is locked instead", problem, fallback)
        else:
            _log.error("%s cannot be locked: ensure that no second climahub is started", problem)
        yield


def _lock(path: Path, flags: int, held: contextlib.ExitStack, directory: Path) -> str | None:
    """Lock a file or directory until ``held`` ends; return why it cannot be locked, `None` where it is.

    Raises:
        AlreadyRunning: Another process holds it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except OSError as error:
        return f"{path} ({error.strerror})"
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AlreadyRunning(
            f"another climahub works on {directory}; stop it first (systemctl stop climahub)"
        ) from error
    except OSError as error:
        return f"{path} ({error.strerror})"
    return None
