"""The journal of a hub that does not answer, as log records. Must never wait for long, and changes nothing."""

import subprocess
from collections.abc import Mapping, Sequence

import msgspec

from agent.foundation import rfc3339
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import sanitize
from agent.local.log import LogEntry
from agent.port.bundle.machine import JOURNALS, UNIT, run_program

SEARCHED_LINES = 5000
"""Of the journal, where only some of them are wanted."""

_PRIORITIES: Mapping[str, str] = {"debug": "7", "info": "6", "warning": "4", "error": "3", "critical": "2"}
"""Of syslog, by level (systemd.journal-fields(7))."""
_LEVELS = {priority: level for level, priority in _PRIORITIES.items()} | {"0": "critical", "1": "critical", "5": "info"}

_TEXT_CHARACTERS_MAX = 4096


class _Record(msgspec.Struct):
    """One entry of `journalctl --output=json`, as far as it is used. A text that is no UTF-8 comes as a list."""

    utc_us: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    text: str | list[int] | None = msgspec.field(name="MESSAGE", default=None)
    priority: str = msgspec.field(name="PRIORITY", default="6")
    program: str = msgspec.field(name="SYSLOG_IDENTIFIER", default="")


def parse_record(line: str, now_ms: int) -> LogEntry | None:
    """Return one line of `journalctl --output=json` as a log record; `None` where it is none. Pure."""
    try:
        found = msgspec.json.decode(line, type=_Record)
        utc_ms = int(found.utc_us) // 1000
        text = bytes(found.text).decode(errors="replace") if isinstance(found.text, list) else found.text or ""
        utc = rfc3339.render(utc_ms)
    except (*DECODE_ERRORS, ValueError):
        return None
    return LogEntry(
        id=0,
        utc=utc,
        age_s=max(0, now_ms - utc_ms) // 1000,
        level=_LEVELS.get(found.priority, "info"),
        component=sanitize(found.program),
        text=sanitize(text, characters_max=_TEXT_CHARACTERS_MAX),
    )


def read_journal(*, level: str, text: str, lines: int, now_ms: int) -> Sequence[LogEntry]:
    """Return the last log records of the unit, the newest first; none where this user may read none.

    Args:
        level: The lowest level; one of `agent.foundation.log_ring.LEVELS`.
        text: Part of the text, in any case.
        lines: How many at most.
        now_ms: UTC.

    Raises:
        OSError: There is no journal on this machine.
    """
    command = ["journalctl", *JOURNALS, "--unit", UNIT, "--output", "json", "--no-pager", "--quiet"]
    command += ["--priority", _PRIORITIES[level], "--lines", str(SEARCHED_LINES if text else lines)]
    try:
        printed = run_program(command)
    except subprocess.SubprocessError:
        return ()
    entries = [entry for line in printed.splitlines() if (entry := parse_record(line, now_ms)) is not None]
    return [entry for entry in reversed(entries) if text.casefold() in entry.text.casefold()][:lines]
