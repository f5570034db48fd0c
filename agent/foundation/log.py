"""Where log lines go and what they look like. Their number is bounded, and every line is redacted and made printable.

`redact` is the one place that removes secrets, for logs, errors, pages and support bundles alike.
"""

import json
import logging
import queue
import re
import sys
import threading
from collections.abc import Callable
from typing import Literal

from agent.foundation.text import escape, plural, sanitize

LINES_PER_MINUTE_MAX = 600
"""Above this, lines are dropped and counted: a log must fill neither the card nor the CPU of a hub."""

LINES_WAITING_MAX = 500
"""Lines that may wait to be written; further ones are dropped, as when nothing reads the log."""
DRAIN_S_MAX = 0.5
"""How long the end of the process waits for the last lines."""

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class RateLimit(logging.Filter):
    """Passes a bounded number of lines per minute and reports how many it dropped."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__()
        self._now_ms = now_ms
        self._minute = -1
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Count the line; refuse it past the limit."""
        minute = self._now_ms() // 60_000
        if minute != self._minute:
            dropped = self._lines - LINES_PER_MINUTE_MAX
            self._minute, self._lines = minute, 0
            if dropped > 0:
                record.msg = f"({plural(dropped, 'line')} dropped in the minute before) {record.getMessage()}"
                record.args = None
        self._lines += 1
        return self._lines <= LINES_PER_MINUTE_MAX


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"level": record.levelname.lower(), "component": record.name, "text": record.getMessage()}
        if record.exc_info or record.exc_text:
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type] # set
        return json.dumps(line, ensure_ascii=False)


class _Journal(logging.Formatter):
    """One line for each entry, with the priority in front that journald reads (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITIES.get(record.levelno, 6)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def set_up(level: str, form: Literal["text", "json", "journal"], *, now_ms: Callable[[], int]) -> None:
    """Send the log to standard error in the given form. Replaces what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RateLimit(now_ms))
    handler.addFilter(RedactingFilter())
    formatters = {
        "text": logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"),
        "json": _Json(),
        "journal": _Journal("%(name)s: %(message)s"),
    }
    handler.setFormatter(formatters[form])
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    set_level(level)


class BackgroundHandler(logging.Handler):
    """Passes lines to a thread that writes them: a paused terminal or a hanging journal stops no loop."""

    def __init__(self, inner: logging.Handler) -> None:
        """Begin.

        Args:
            inner: Filters, formats and writes.
        """
        super().__init__()
        self._inner = inner
        self._waiting: queue.Queue[logging.LogRecord] = queue.Queue(LINES_WAITING_MAX)
        self._dropped = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue a line; where too many wait already, drop and count it."""
        if not self._inner.filter(record):
            return False
        if self._dropped:
            record.msg = f"({self._dropped} lines were dropped: the log was not read) {record.getMessage()}"
            record.args = None
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._dropped += 1
            return False
        self._dropped = 0
        return True

    def drain(self, within_s: float) -> None:
        """Wait until all lines are written, but no longer than so many seconds."""
        with self._waiting.all_tasks_done:
            self._waiting.all_tasks_done.wait_for(lambda: not self._waiting.unfinished_tasks, within_s)

    def _write(self) -> None:
        while True:
            record = self._waiting.get()
            # Without the handler's lock: the end of the process would wait for it.
            self._inner.emit(record)
            self._waiting.task_done()


def write_in_background() -> None:
    """Write the log on a thread from now on."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        root.addHandler(BackgroundHandler(handler))


def drain(within_s: float = DRAIN_S_MAX) -> None:
    """Wait until the log is written, for a short time at most."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, BackgroundHandler):
            handler.drain(within_s)


def set_level(level: str) -> None:
    """Write lines of this level and above from now on."""
    logging.getLogger().setLevel(level.upper())


# Device keys (ClimaSense contract 1.1 and 7), and anything that follows an Authorization header's scheme,
# and what stands before the host of a URL: the credentials of a proxy. Then what opens the port: API tokens, session
# cookies, and codes as they are shown (agent.port.sign_in.codes, agent.port.sign_in.tokens). Last what webhooks are
# signed with (agent.apis.webhooks.signatures).
_SECRETS = re.compile(
    r"(cs_dev_|sk_sensor_)[A-Za-z0-9_.\-]+|\b((?i:bearer|basic)\s+)[^\s\"',;]+|(://)[^\s/@\"'<>]+(?=@)"
    r"|(climahub_)[0-9a-hjkmnp-tv-z]{32}|(climahub_session=)[^\s\"',;]+"
    r"|(whsec_)[A-Za-z0-9+/=]+"
    r"|()(?<![0-9A-Za-z-])(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}(?![0-9A-Za-z-])"
)


def redact(text: str) -> str:
    """Return ``text`` with every secret replaced; the prefix stays, to show what kind of secret it was."""
    return _SECRETS.sub(lambda match: f"{match[match.lastindex or 0]}[redacted]", text)


LINE_CHARACTERS_MAX = 4096
"""Of one entry in the log, without its traceback."""


class RedactingFilter(logging.Filter):
    """Redacts secrets in log entries, including arguments and tracebacks, and sanitizes untrusted text.

    An entry is one line. The lines of a traceback are indented, so that none of them passes for an entry of its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place and pass it on."""
        record.msg = redact(sanitize(record.getMessage(), characters_max=LINE_CHARACTERS_MAX))
        record.args = None
        if record.exc_info and not record.exc_text:
            lines = redact(logging.Formatter().formatException(record.exc_info)).splitlines()
            record.exc_text = "\n".join(f"  {escape(line)}" for line in lines)
        return True


class ProblemLog:
    """Logs one lasting problem: its beginning, its changes and its end, but not each occurrence.

    Attributes:
        text: What is wrong now; empty where nothing is.
    """

    def __init__(self, log: logging.Logger, what: str, *, level: int = logging.ERROR) -> None:
        """Begin without a problem.

        Args:
            log: Where it is written.
            what: The effect, as the beginning of a sentence: "readings stay in memory".
            level: Of its beginning; its end is an information.
        """
        self._log = log
        self._what = what
        self._level = level
        self.text = ""

    def report(self, text: str) -> None:
        """Report that the problem exists, or still exists."""
        if text != self.text:
            self._log.log(self._level, "%s: %s", self._what, text)
            self.text = text

    def clear(self) -> None:
        """Report that the problem does not exist any more."""
        if self.text:
            self._log.info("no longer: %s", self._what)
            self.text = ""
