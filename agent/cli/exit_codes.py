"""The exit codes of every command, with their meaning for a script, and the end of a help text, which lists them.

Codes above 63 are those of sysexits.h.
"""

from collections.abc import Mapping
from types import MappingProxyType

OK = 0
FAILED = 1
USAGE = 2
NO_DAEMON = 3
WARNED = 4
UNAVAILABLE = 69
CANNOT_CREATE = 73
ALREADY_RUNNING = 75
NO_PERMISSION = 77
CONFIG = 78
INTERRUPTED = 130
BROKEN_PIPE = 141

MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        OK: "done, no problem found",
        FAILED: "done, with a problem: a violation, a lost reading, a mistake, or a refusal",
        USAGE: "the command line is wrong",
        NO_DAEMON: "the hub does not answer",
        WARNED: "done, nothing fails, and something should be looked at (doctor)",
        UNAVAILABLE: "the cloud does not answer, or an optional package is not installed",
        CANNOT_CREATE: "a file, directory or port cannot be used",
        ALREADY_RUNNING: "another hub uses the same state directory (run)",
        NO_PERMISSION: "this user, key or token may not do that",
        CONFIG: "the configuration, recording or map cannot be used",
        INTERRUPTED: "stopped with Ctrl-C before the end",
    }
)


def as_text() -> str:
    """Return the table of exit codes, one per line."""
    return "\n".join(f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items())


def epilog(*examples: str, exits: str = "") -> str:
    """Return the end of a command's help, which click prints after the options: examples, then exit codes.

    Args:
        examples: Command lines, each shown on a line of its own.
        exits: The exit codes and their meaning, in one sentence.
    """
    # \b keeps click from joining the lines of a paragraph.
    shown = "\n".join(("\b\nExamples:", *(f"  {example}" for example in examples)))
    return f"{shown}\n\nExit codes: {exits}." if exits else shown
