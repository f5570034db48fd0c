"""What the service manager says of the agent's last end, handed on to its next start (`starts`).

Owns `last-end.json` in the run directory. Must stay light to import: it is written by what switches the outputs off.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.foundation.text import sanitize

SERVICE_RESULT_FILE = "last-end.json"


class ServiceResult(msgspec.Struct, frozen=True):
    """What systemd says of a service's end: $SERVICE_RESULT, $EXIT_CODE, $EXIT_STATUS (systemd.exec(5))."""

    result: str
    code: str = ""
    status: str = ""


def record_service_result(environ: Mapping[str, str]) -> None:
    """Keep what systemd says of the service's end for its next start. For ExecStopPost=; raises nothing.

    Not durable, and need not be: the run directory is as old as the boot.
    """
    directory, result = environ.get("RUNTIME_DIRECTORY", ""), environ.get("SERVICE_RESULT", "")
    if not directory or not result:
        return
    path = Path(directory) / SERVICE_RESULT_FILE
    said = ServiceResult(*(sanitize(environ.get(name, "")) for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")))
    with contextlib.suppress(OSError):
        path.write_bytes(msgspec.json.encode(said))
