"""One agent a state directory: two would send the same readings and overrun the quota."""

import fcntl
from pathlib import Path
from typing import BinaryIO

from agent.errors import ClimahubError

FILE_NAME = "climahub.lock"


class AlreadyRunning(ClimahubError):
    """Another agent works on the same state directory."""


def hold(directory: Path) -> BinaryIO:
    """Take the directory's lock, or find it taken; the kernel releases it when the process ends, however it ends.

    Returns:
        The open file: the lock is held as long as it is not closed.

    Raises:
        AlreadyRunning: Another process holds it.
    """
    file = (directory / FILE_NAME).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise AlreadyRunning(
            f"another climahub works on {directory}; stop it first (systemctl stop climahub)"
        ) from error
    return file
