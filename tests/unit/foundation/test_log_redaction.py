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


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("use climahub_v6nyzmptq8barm963mnz87z926jh8dtq now", "use climahub_[redacted] now"),
        ("Cookie: climahub_session=Ab-9_x; more", "Cookie: climahub_session=[redacted]; more"),
        ("/v1/codes/7H2K-9QXM-4TNA-W0CE", "/v1/codes/[redacted]"),
        ('{"code":"7H2K-9QXM-4TNA-W0CE"}', '{"code":"[redacted]"}'),
    ],
)
def test_what_opens_the_port_is_redacted(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "boot 7f3a1b2c-9d8e-4f5a-8b7c-0123456789ab",
        "BOOT 7F3A1B2C-9D8E-4F5A-8B7C-0123456789AB",
        "2026-11-28T18:00:00Z",
        "climahub_sensor_temperature_celsius{sensor=1}",
        "0000-1111-2222",
    ],
)
def test_what_resembles_it_is_not(text: str) -> None:
    assert redact(text) == text


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
