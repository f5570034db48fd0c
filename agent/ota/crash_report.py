"""Why a release died: what it has left behind, for the words in which its failure is told. Pure, but for one file.

A release in a slot notes its own end, as far as it still can: `build.ENTRY` writes the traceback or the last lines into
`crash-SLOT.txt`, and the interpreter writes there what it died of (faulthandler). The service manager says the exit
code or the signal. The next release that is well reads both.
"""

import contextlib
from pathlib import Path

from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.text import sanitize

CRASH_BYTES_MAX = 64 * 1024
LINES_MAX = 3
LINE_CHARS_MAX = 160
"""Three lines and the reason fit into the 500 characters that the cloud is told."""


def crash_file_name(slot: str) -> str:
    """Return the name, in the state directory, of what the release in a slot has left."""
    return f"crash-{slot}.txt"


def read(directory: Path, slot: str, disk: Disk) -> str:
    """Return what the release in a slot has left; empty for nothing. Blocks."""
    with contextlib.suppress(Corrupt, StorageFull, OSError):
        data = disk.read(directory / crash_file_name(slot), bytes_max=CRASH_BYTES_MAX)
        return (data or b"").decode("utf-8", "replace")
    return ""


def add_crash_report(reason: str, end: str, crash: str) -> str:
    """Return why a release failed, with how its last process ended and what that said.

    Args:
        reason: What the launcher or the trial says.
        end: What the service manager says ("crashed, exit code 1"); empty where nobody does.
        crash: What the release has left.
    """
    lines = [line.strip() for line in crash.splitlines() if line.strip()]
    # A traceback says what happened in its last line; what the interpreter writes when it dies, in its first.
    chosen = lines[:LINES_MAX] if crash.startswith("Fatal Python error") else lines[-LINES_MAX:]
    said = " | ".join(sanitize(line, characters_max=LINE_CHARS_MAX) for line in chosen)
    ending = f"its last process ended: {end}" if end else ""
    return "; ".join(filter(None, (reason, ending, f"it said: {said}" if said else "")))
