"""The one place that every durable operation passes, so that a test can stop the world at operation 1, 2, 3, ...

Owns the names of the operations. Does nothing by itself.
"""

from collections.abc import Callable
from enum import StrEnum


class Operation(StrEnum):
    """A step whose effect outlives the process."""

    WRITE = "write"
    FSYNC = "fsync"
    RENAME = "rename"
    FSYNC_DIRECTORY = "fsync_directory"
    REMOVE = "remove"
    COMMIT = "commit"


OnOperation = Callable[[Operation, str], None]
"""Called just before each durable operation with the name of its file. Raising `OSError` there is a disk that fails;
raising anything that is no `Exception` is a power cut."""


def allow_operation(operation: Operation, target: str) -> None:
    """Let the operation happen: what runs on a real hub."""
    del operation, target
