import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.rfc3339 import UTC_MS_MAX, is_plausible, parse, render


@pytest.mark.parametrize(
    ("text", "utc_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-03-30T14:00:00.250+02:00", 1_774_872_000_250),
        ("2199-12-31T23:59:59+00:00", UTC_MS_MAX - 1000),
    ],
)
def test_instants_from_1970_to_2200_are_read(text: str, utc_ms: int) -> None:
    assert parse(text) == utc_ms


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-05:00",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
        "2200-01-01T00:00:00Z",
        "2026-03-30T12:00:00",
        "tomorrow",
        "",
    ],
)
def test_other_instants_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the caller's
        parse(text)


@given(st.integers() | st.integers(-10, 10) | st.integers(UTC_MS_MAX - 10, UTC_MS_MAX + 10))
def test_every_accepted_instant_can_be_rendered(utc_ms: int) -> None:
    text = render(utc_ms)
    assert text.endswith("Z") if is_plausible(utc_ms) else text == "an instant that is not between 1970 and 2200"


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", fullmatch=True))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    try:
        assert is_plausible(parse(text))
    except ValueError:
        return
