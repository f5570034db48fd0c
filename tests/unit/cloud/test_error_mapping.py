import errno
import json
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cloud.contract import Endpoint
from agent.cloud.error_mapping import RETRY_AFTER_S_MAX, error_for_response, no_answer_text, retry_after_s
from agent.errors import Cause, ClimahubError, CloudUnavailable, Refused, Throttled, Unauthorized

NOON = "Sun, 29 Mar 2026 12:00:00 GMT"
NOON_MS = 1_774_785_600_000


def wait_s(text: str, *, date: str = "", now_utc_ms: int | None = None) -> float | None:
    return retry_after_s({"Retry-After": text, "Date": date}, now_utc_ms=now_utc_ms)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0000000120", 120.0),
        ("86400", 86_400.0),
        ("86401", RETRY_AFTER_S_MAX),
        ("9" * 400, RETRY_AFTER_S_MAX),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("٣", None),
    ],
)
def test_retry_after_in_seconds(text: str, expected: float | None) -> None:
    assert wait_s(text) == expected


def test_missing_retry_after_is_no_wait() -> None:
    assert retry_after_s({}, now_utc_ms=NOON_MS) is None


def test_retry_after_date_is_relative_to_the_servers_date() -> None:
    later = "Sun, 29 Mar 2026 12:02:00 GMT"
    assert wait_s(later, date=NOON, now_utc_ms=0) == 120.0
    assert wait_s(later, now_utc_ms=NOON_MS) == 120.0
    assert wait_s(later) is None
    assert wait_s(later, date="yesterday", now_utc_ms=NOON_MS) == 120.0


def test_retry_after_date_is_bounded() -> None:
    assert wait_s("Sun, 29 Mar 2026 11:00:00 GMT", date=NOON) == 0.0
    assert wait_s("Sun, 29 Mar 2036 12:00:00 GMT", date=NOON) == RETRY_AFTER_S_MAX


def test_retry_after_date_in_obsolete_formats() -> None:
    assert wait_s("Sun Mar 29 12:00:30 2026", date=NOON) == 30.0
    assert wait_s("Sunday, 29-Mar-26 12:00:40 GMT", date=NOON) == 40.0
    assert wait_s("Sun, 29 Mar 2026 12:00:30 -0000", date=NOON) == 30.0
    assert wait_s("Sun, 29 Mar 2026 14:00:30 +0200", date=NOON) == 30.0


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, ?\d+ [A-Z][a-z]{2} \d{1,5} [\d:.]+ ?[+-]?\w{0,6}"))
def test_invalid_retry_after_is_ignored(text: str) -> None:
    for now_utc_ms in (None, NOON_MS):
        for date in ("", NOON, text):
            found = retry_after_s({"Retry-After": text, "Date": date}, now_utc_ms=now_utc_ms)
            assert found is None or 0.0 <= found <= RETRY_AFTER_S_MAX


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 20 Nov 9999999999 12:00:00 GMT",
        "Mon, 20 Nov 2026 12:00:00 +99999999999999",
        "Mon, 01 Jan 1969 00:00:00 +0100",
        "Mon, 20 Nov 2300 12:00:00 GMT",
        "Mon, 20 Nov 2026 99:00:00 GMT",
        "\udcff, 20 Nov \udcff",
        "²²²²",
    ],
)
def test_impossible_retry_after_date_is_ignored(text: str) -> None:
    assert wait_s(text, date=NOON) is None
    assert wait_s("Sun, 29 Mar 2026 12:02:00 GMT", date=text) is None
    assert wait_s("Sun, 29 Mar 2026 12:02:00 GMT", date=text, now_utc_ms=NOON_MS) == 120.0


def told(
    status: int, body: bytes = b"", *, endpoint: Endpoint = Endpoint.COMMANDS_ACK, **headers: str
) -> ClimahubError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_for_response(endpoint, status, body, named, now_utc_ms=None)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 415, 422])
def test_client_errors_are_permanent_refusals(status: int) -> None:
    error = told(status, b'{"error":"validation_error","message":"value is missing","more":1}')
    assert isinstance(error, Refused)
    assert (error.status, error.code) == (status, "validation_error")
    assert str(error) == f"POST /v1/commands/ack was answered {status}: value is missing"


@pytest.mark.parametrize("body", [b"<html>blocked</html>", b"[]", b'"no"', b"null"])
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_error_without_the_contracts_body_is_not_permanent(status: int, body: bytes) -> None:
    error = told(status, body)
    assert isinstance(error, CloudUnavailable)
    assert "no answer of the API" in str(error)


@pytest.mark.parametrize("status", [413, 415])
def test_status_413_and_415_of_a_proxy_are_permanent(status: int) -> None:
    assert isinstance(told(status, b"<html>too large</html>"), Refused)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refusal_may_come_without_a_body(status: int) -> None:
    assert isinstance(told(status), Refused)


@pytest.mark.parametrize(
    "endpoint", [Endpoint.TELEMETRY, Endpoint.SETTINGS_GET, Endpoint.SETTINGS_PUT, Endpoint.COMMANDS_PENDING]
)
def test_status_404_without_a_resource_concerns_the_address(endpoint: Endpoint) -> None:
    error = told(404, endpoint=endpoint)
    assert isinstance(error, CloudUnavailable)
    assert error.cause is Cause.WRONG_ADDRESS
    assert "check cloud.base_url" in str(error)


@pytest.mark.parametrize(
    ("status", "cause"), [(500, Cause.SERVER_ERROR), (503, Cause.SERVER_ERROR), (405, Cause.UNUSABLE_ANSWER)]
)
def test_message_names_what_to_check(status: int, cause: Cause) -> None:
    error = told(status)
    assert isinstance(error, CloudUnavailable)
    assert error.cause is cause


def test_status_401_is_a_refused_key() -> None:
    error = told(401)
    assert isinstance(error, Unauthorized)
    assert "check that the hub's key" in str(error)


@pytest.mark.parametrize(("text", "expected"), [("30", 30.0), ("x", None)])
def test_status_429_is_throttling(text: str, expected: float | None) -> None:
    error = told(429, Retry_After=text)
    assert isinstance(error, Throttled)
    assert error.retry_after_s == expected


@pytest.mark.parametrize("status", [402, 405, 408, 410, 418, 451, 499, 500, 501, 502, 503, 504, 507, 599])
def test_other_statuses_are_transient(status: int) -> None:
    error = told(status, Retry_After="9")
    assert isinstance(error, CloudUnavailable)
    assert error.retry_after_s == 9.0


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 399])
def test_a_redirect_names_the_configuration_to_check(status: int) -> None:
    error = told(status, Location="https://elsewhere.example.org/")
    assert isinstance(error, CloudUnavailable)
    assert "cloud.base_url" in str(error)


def test_status_304_is_no_redirect() -> None:
    error = told(304)
    assert isinstance(error, CloudUnavailable)
    assert "which was not asked; check for a cache" in str(error)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error":"validation_error","message":null}', "validation_error", ""),
        (b'{"error":{"code":7},"message":"value is missing"}', "", ": value is missing"),
        (b'{"error":"bad","message":"half \\ud83c","x":1e999}', "bad", ""),
    ],
)
def test_a_refusal_is_read_member_by_member(body: bytes, code: str, message: str) -> None:
    error = told(400, body)
    assert isinstance(error, Refused)
    assert (error.code, str(error)) == (code, f"POST /v1/commands/ack was answered 400{message}")


def test_server_text_is_sanitised() -> None:
    said = json.dumps({"error": "x\x1b", "message": "quota\x1b]0;title\x07\nERROR made up\u202e"}).encode()
    error = told(403, said)
    assert str(error) == "POST /v1/commands/ack was answered 403: quota\\u001b]0;title\\u0007 ERROR made up\\u202e"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"message":"\xff"}',
        b'{"error":5}',
        b'{"message":',
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b'{"message":"\\ud800"}',
    ],
)
def test_any_error_body_is_handled(body: bytes) -> None:
    error = told(503, body)
    assert isinstance(error, CloudUnavailable)
    assert str(error) == "POST /v1/commands/ack was answered 503"


def test_server_text_is_cut_and_redacted() -> None:
    key = "cs_dev_" + "a1" * 16
    text = str(told(403, json.dumps({"error": "forbidden", "message": f"{key} is wrong " + "x" * 500}).encode()))
    assert "a1a1" not in text
    assert "cs_dev_[redacted] is wrong" in text
    assert len(text) < 300


SELF_SIGNED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] (_ssl.c:992)")
SELF_SIGNED.verify_message = "self-signed certificate"
PLACE: Any = SimpleNamespace(host="hub.local", port=8480, ssl=True, is_ssl=True)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerTimeoutError("Timeout on reading data from socket"), "no answer in time"),
        (
            aiohttp.ClientConnectorError(PLACE, OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 8480)")),
            "no connection to hub.local:8480 (Connection refused)",
        ),
        (
            aiohttp.ClientConnectorCertificateError(PLACE, SELF_SIGNED),
            "the certificate of hub.local:8480 is not accepted (self-signed certificate)",
        ),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (aiohttp.ClientPayloadError(), "ClientPayloadError"),
    ],
)
def test_missing_answer_is_reported_without_the_librarys_names(error: Exception, text: str) -> None:
    assert no_answer_text(error) == text
