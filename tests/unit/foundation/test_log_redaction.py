import logging
import sys

import pytest

from agent.foundation.log import RedactingFilter, redact

KEY = "cs_dev_0123456789abcdefghijABCDEFGHIJ01"
SENSOR_KEY = "sk_sensor_Ab-9.x_y"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"key={KEY}",
        f'{{"api_key":"{KEY}"}}',
        f"https://example.org/?k={KEY}&x=1",
        f"Bearer%20{KEY}",
        f"old_{KEY}",
        f"Authorization: Bearer {KEY}",
        f"authorization: bearer {KEY}",
        f"AUTHORIZATION: BEARER {KEY}",
        SENSOR_KEY,
        f"relay {SENSOR_KEY}, {KEY}; {SENSOR_KEY}",
    ],
)
def test_api_keys_are_redacted(text: str) -> None:
    redacted = redact(text)
    assert "0123456789" not in redacted
    assert "Ab-9" not in redacted
    assert "[redacted]" in redacted


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_tokens_of_authorization_headers_are_redacted(scheme: str) -> None:
    assert redact(f"{scheme} some-other-token, next") == f"{scheme} [redacted], next"


@pytest.mark.parametrize(
    "text", ["http://user:s3cret@proxy:1/x", "Proxy-Authorization: Basic czNjcmV0s3cret", "//no@place"]
)
def test_proxy_credentials_are_redacted(text: str) -> None:
    assert "s3cret" not in redact(text)
    assert redact("http://user:s3cret@proxy:1") == "http://[redacted]@proxy:1"


def test_key_prefix_is_kept() -> None:
    assert redact(f"({KEY})") == "(cs_dev_[redacted])"


def test_text_without_secrets_is_unchanged() -> None:
    text = "POST /v1/telemetry: no route to host; cs_dev and sk_sensor begin keys"
    assert redact(text) == text


def record(message: str, *args: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("room", logging.ERROR, __file__, 1, message, args, exc_info)  # type: ignore[arg-type]


def test_filter_redacts_arguments() -> None:
    entry = record("%s said %d", KEY, 401)
    assert RedactingFilter().filter(entry)
    assert entry.getMessage() == "cs_dev_[redacted] said 401"


def test_filter_redacts_tracebacks() -> None:
    try:
        raise ValueError(KEY)
    except ValueError:
        entry = record("failed", exc_info=sys.exc_info())
    RedactingFilter().filter(entry)
    shown = logging.Formatter().format(entry)
    assert "Traceback" in shown
    assert KEY not in shown
    assert "ValueError: cs_dev_[redacted]" in shown


def test_filter_is_idempotent() -> None:
    entry = record("100 %% sure")
    entry.exc_text = "kept"
    entry.exc_info = (ValueError, ValueError(KEY), None)
    RedactingFilter().filter(entry)
    RedactingFilter().filter(entry)
    assert entry.exc_text == "kept"
