"""What is sent back is small enough, parses, and holds no secret."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.payloads import (
    ERROR_MESSAGE_BYTES_MAX,
    RESULT_BYTES_MAX,
    limit_message,
    limit_result,
    redact_json,
)

KEY = "cs_dev_" + "a1" * 16


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@given(st.text(max_size=3000))
def test_a_message_fits_and_is_whole_characters(text: str) -> None:
    found = limit_message(text)
    assert len(found.encode()) <= ERROR_MESSAGE_BYTES_MAX


def test_a_long_message_keeps_its_beginning_and_says_that_it_was_cut() -> None:
    found = limit_message("ü" * 1024)
    assert found == "ü" * 510 + "..."
    assert limit_message("short") == "short"


def test_secrets_go_before_the_cut() -> None:
    assert KEY not in limit_message("x" * 1000 + KEY)
    assert limit_message(f"key {KEY} refused") == "key cs_dev_[redacted] refused"


def test_secrets_go_from_everywhere() -> None:
    value = {KEY: [f"Bearer {KEY}", {"deep": (KEY, 1, None, True, 2.5)}]}
    told = json.dumps(redact_json(value))
    assert KEY not in told
    assert "2.5" in told


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=2000), max_size=8), st.integers(64, 4000))
def test_a_result_fits_and_parses_and_names_what_is_missing(sections: dict[str, str], bytes_max: int) -> None:
    found = limit_result(sections, bytes_max=bytes_max)
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert len(text) <= bytes_max
    for name, section in found.items():
        if name != "omitted":
            assert redact_json(sections)[name] == section


def test_the_largest_sections_go_first() -> None:
    sections: dict[str, Any] = {"a": "x" * 100, "sensors": ["y" * 100] * 1000, "b": 1, "log": "z" * 60_000}
    assert limit_result(sections) == {"a": "x" * 100, "b": 1, "log": "z" * 60_000, "omitted": ["sensors"]}
    assert len(json.dumps(limit_result(sections))) < RESULT_BYTES_MAX


def test_where_not_even_the_names_fit_they_are_counted() -> None:
    assert limit_result({"n" * 100: 1, "m" * 100: 2}, bytes_max=60) == {"omitted": 2}


def test_what_fits_stays_as_it_is() -> None:
    assert limit_result({"memory": {"total_bytes": 1}}) == {"memory": {"total_bytes": 1}}


@pytest.mark.parametrize("value", [nested(900), object(), [10**5000], {1: {2j: 3}}])
def test_a_section_that_json_cannot_hold_says_so_in_its_place(value: object) -> None:
    found = limit_result({"good": 1, "bad": value})
    assert found["good"] == 1
    assert found["bad"]["problem"].startswith("this cannot be shown: ")
    json.dumps(found)


def test_half_a_surrogate_pair_is_spelt() -> None:
    assert limit_result({"a\ud83c": ["b\ud83c\n"]}) == {"a\\ud83c": ["b\\ud83c\\u000a"]}
    assert limit_message("a\nb\x1b\ud83c") == "a b\\u001b\\ud83c"
