"""Secrets never appear in a log, an error, a page or a support bundle: this is where they are blacked out. Pure."""

import logging
import re

# Device keys (ClimaSense contract 1.1 and 7), and anything that follows an Authorization header's scheme.
_SECRETS = re.compile(r"(cs_dev_|sk_sensor_)[A-Za-z0-9_.\-]+|\b((?i:bearer)\s+)[^\s\"',;]+")


def redact(text: str) -> str:
    """Return ``text`` with every key blacked out, its prefix left so that one still sees what stood there."""
    return _SECRETS.sub(lambda match: f"{match.group(1) or match.group(2)}[redacted]", text)


class RedactingFilter(logging.Filter):
    """Blacks out secrets in whatever is logged, arguments and tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place and let it pass."""
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True
