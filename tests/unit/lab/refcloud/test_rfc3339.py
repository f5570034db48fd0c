from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.refcloud.rfc3339 import format_ms, http_date, parse_ms

NOON_MS = 1_774_785_600_000
YEAR_1_MS = -62_135_596_800_000
YEAR_9999_END_MS = 253_402_300_799_999


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2026-03-29T12:00:00Z", NOON_MS),
        ("2026-03-29t12:00:00z", NOON_MS),
        ("2026-03-29T12:00:00+00:00", NOON_MS),
        ("2026-03-29T12:00:00-00:00", NOON_MS),
        ("2026-03-29T14:30:00+02:30", NOON_MS),
        ("2026-03-29T04:00:00-08:00", NOON_MS),
        ("2026-03-29T12:00:00.5Z", NOON_MS + 500),
        ("2026-03-29T12:00:00.123Z", NOON_MS + 123),
        ("2026-03-29T12:00:00.123000000Z", NOON_MS + 123),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_reads_what_rfc_3339_allows(text: str, at_ms: int) -> None:
    assert parse_ms(text) == at_ms


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-03-29T12:00:00", "with an offset"),
        ("2026-03-29 12:00:00Z", "not an RFC 3339"),
        ("2026-03-29", "not an RFC 3339"),
        ("20260329T120000Z", "not an RFC 3339"),
        ("2026-W13-7T12:00:00Z", "not an RFC 3339"),
        ("2026-03-29T12:00:00,5Z", "not an RFC 3339"),
        ("2026-03-29T12:00:00Z\n", "not an RFC 3339"),
        ("2026-03-29T24:00:00Z", "not an RFC 3339"),
        ("٢026-03-29T12:00:00Z", "not an RFC 3339"),
        ("2026-02-30T12:00:00Z", "no such day"),
        ("2026-03-29T12:60:00Z", "no such day"),
        ("2026-03-29T23:59:60Z", "no such day"),
        ("2026-03-29T12:00:00+24:00", "no such day"),
        ("2026-03-29T12:00:00.1234Z", "finer than a millisecond"),
        ("2026-03-29T12:00:00.123000001Z", "finer than a millisecond"),
    ],
)
def test_refuses_other_text_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_ms(text)


@given(st.integers(YEAR_1_MS, YEAR_9999_END_MS))
def test_reads_back_what_it_writes(at_ms: int) -> None:
    assert parse_ms(format_ms(at_ms)) == at_ms


def test_writes_whole_seconds_as_the_samples_do() -> None:
    assert format_ms(NOON_MS) == "2026-03-29T12:00:00Z"
    assert format_ms(NOON_MS + 50) == "2026-03-29T12:00:00.050Z"


def test_writes_http_dates() -> None:
    assert http_date(NOON_MS + 999) == "Sun, 29 Mar 2026 12:00:00 GMT"


@given(st.integers(YEAR_1_MS, YEAR_9999_END_MS))
def test_http_dates_are_those_of_the_standard_library(at_ms: int) -> None:
    assert http_date(at_ms) == formatdate(at_ms // 1000, usegmt=True)
