"""Files of `/etc` that setup writes: their copies, and how the new one differs.

A difference that is shown holds no credentials: it may end in the log of a first boot.
"""

import difflib
from pathlib import Path

from agent.errors import ConfigInvalid, Corrupt
from agent.foundation.disk import Disk
from agent.foundation.log import redact

FILE_BYTES_MAX = 1024 * 1024
COPIES_MAX = 9
"""Copies of one file; the oldest makes room."""
DIFFERENCE_LINES_MAX = 60


def read_text(path: Path, disk: Disk) -> str:
    """Return a file's text; empty where there is none.

    Raises:
        ConfigInvalid: It is not a file of text that could be kept.
        ReadFailed: It cannot be read now.
    """
    try:
        content = disk.read(path, bytes_max=FILE_BYTES_MAX)
        return "" if content is None else content.decode()
    except (Corrupt, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"move {path} away: setup would replace it, and it is no text ({error})") from None


def difference(before: str, after: str, name: str) -> str:
    """Return how two texts differ, as diff(1) writes it, cut to a screen or two; empty where they do not."""
    lines = list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"{name} (before)", f"{name} (now)", "", "", 1, ""
        )
    )
    more = [f"... {len(lines) - DIFFERENCE_LINES_MAX} more lines"] if len(lines) > DIFFERENCE_LINES_MAX else []
    return redact("\n".join([*lines[:DIFFERENCE_LINES_MAX], *more]))


def keep_copy(path: Path, disk: Disk) -> Path:
    """Copy a file beside itself; return the copy's path.

    Raises:
        StorageFull, OSError: The disk refuses.
    """
    content = disk.read(path, bytes_max=FILE_BYTES_MAX) or b""
    places = [path.with_name(f"{path.name}.before-setup-{number}") for number in range(1, COPIES_MAX + 1)]
    free = next((place for place in places if not place.exists()), None)
    target = free or min(places, key=lambda place: place.stat().st_mtime_ns)
    disk.write(target, content)
    return target
