"""Hands what is known of the time from one process of a boot to the next, through a file that a reboot empties.

NTP may be gone by then, and the kernel's flags have forgotten it: without this a restart of the agent would not know
what it knew. Writes a few bytes into memory (`storage.run_dir`); a file that cannot be used is done without.
"""

import contextlib
import os
import struct
import zlib
from pathlib import Path

from agent.foundation.time_estimate import TimeEstimate, TimeSource

FILE_NAME = "clock"
WRITE_MS = 60_000
"""The same source is written again after this long."""

_RECORD = struct.Struct("<64sqqqq8s")
_SUM = struct.Struct("<I")


class ClockMemory:
    """One file with the last estimate of this boot."""

    def __init__(self, path: Path | None, boot_id: str) -> None:
        self._path = path
        self._name = f"climahub clock 1 {boot_id}".encode()[:64]
        self._written: TimeEstimate | None = None

    def read(self) -> tuple[int, TimeEstimate] | None:
        """Return since when the time is known, in milliseconds since the boot, and its last estimate."""
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                data = file.read(_RECORD.size + _SUM.size + 1)
            record, checksum = data[: _RECORD.size], data[_RECORD.size :]
            if checksum != _SUM.pack(zlib.crc32(record)):
                return None
            name, since_ms, at_ms, utc_ms, error_ms, source = _RECORD.unpack(record)
            if name.rstrip(b"\0") != self._name:
                return None
            return since_ms, TimeEstimate(at_ms, utc_ms, error_ms, TimeSource(source.rstrip(b"\0").decode()))
        except (OSError, struct.error, ValueError):
            return None

    def write(self, since_ms: int, estimate: TimeEstimate) -> None:
        """Keep an estimate, now and then."""
        last = self._written
        if self._path is None or (
            last is not None and last.source is estimate.source and estimate.at_ms - last.at_ms < WRITE_MS
        ):
            return
        self._written = estimate
        fields = (self._name, since_ms, estimate.at_ms, estimate.utc_ms, estimate.error_ms)
        record = _RECORD.pack(*fields, estimate.source.value.encode())
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
            try:
                os.pwrite(file, record + _SUM.pack(zlib.crc32(record)), 0)
            finally:
                os.close(file)
