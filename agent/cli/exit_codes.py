"""The exit codes of every command, each with what it tells a script. Those above 63 are those of sysexits.h."""

from collections.abc import Mapping
from types import MappingProxyType

OK = 0
FAILED = 1
USAGE = 2
NO_DAEMON = 3
UNAVAILABLE = 69
CANNOT_CREATE = 73
ALREADY_RUNNING = 75
NO_PERMISSION = 77
CONFIG = 78
INTERRUPTED = 130
BROKEN_PIPE = 141

MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        OK: "done, and all is well",
        FAILED: "done, and something is wrong: a violation, a lost reading, a mistake, or a refusal",
        USAGE: "the command line was not understood",
        NO_DAEMON: "the hub does not answer (status)",
        UNAVAILABLE: "the cloud does not answer, or an optional package is not installed",
        CANNOT_CREATE: "a file, directory or port cannot be used",
        ALREADY_RUNNING: "another hub works on the same state directory (run)",
        NO_PERMISSION: "this user, key or token may not do that",
        CONFIG: "the configuration, recording or map cannot be used",
        INTERRUPTED: "stopped with Ctrl-C before it was done",
    }
)


def as_text() -> str:
    """Return the table of exit codes, one a line."""
    return "\n".join(f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items())
