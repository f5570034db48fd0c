"""Secrets never appear in a log, an error, a page or a support bundle: this is where they are blacked out. Pure."""

import logging
import re

from agent.foundation.text import escape, sanitize

# Device keys (ClimaSense contract 1.1 and 7), and anything that follows an Authorization header's scheme,
# and what stands before the host of a URL: the credentials of a proxy.
_SECRETS = re.compile(
    r"(cs_dev_|sk_sensor_)[A-Za-z0-9_.\-]+|\b((?i:bearer|basic)\s+)[^\s\"',;]+|(://)[^\s/@\"'<>]+(?=@)"
)


def redact(text: str) -> str:
    """Return ``text`` with every key blacked out, its prefix left so that one still sees what stood there."""
    return _SECRETS.sub(lambda match: f"{next(filter(None, match.groups()))}[redacted]", text)


LINE_CHARACTERS_MAX = 4096
"""Of one entry in the log, its traceback aside."""


class RedactingFilter(logging.Filter):
    """Blacks out secrets in whatever is logged, arguments and tracebacks included, and makes foreign text harmless.

    An entry is one line. The lines of a traceback are indented, so that none of them passes for an entry of its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place and let it pass."""
        record.msg = redact(sanitize(record.getMessage(), characters_max=LINE_CHARACTERS_MAX))
        record.args = None
        if record.exc_info and not record.exc_text:
            lines = redact(logging.Formatter().formatException(record.exc_info)).splitlines()
            record.exc_text = "\n".join(f"  {escape(line)}" for line in lines)
        return True
