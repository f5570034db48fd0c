"""Nothing of a foreign text moves a cursor, begins a line, hides, or turns the writing round."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.text import CHARACTERS_MAX, escape, escape_lines, sanitize, sanitize_value

SPOOF = "quota\x1b]0;title\x07 exceeded\n2026-11-28 00:00:00,000 ERROR   agent.daemon: made up\r\u202e gnp"


def test_control_sequences_and_fake_lines_are_escaped() -> None:
    assert sanitize(SPOOF) == (
        "quota\\u001b]0;title\\u0007 exceeded 2026-11-28 00:00:00,000 ERROR   agent.daemon: made up \\u202e gnp"
    )


@pytest.mark.parametrize(
    "text", ["Küche", "Žofín №5", "жилая комната", "居間", "מטבח", "🏠 home", 'a "b" \\x', "21.5 °C"]
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert sanitize(text) == escape(text) == escape_lines(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\n\tb", "a b"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("\x00\x7f\x9b31m", "\\u0000\\u007f\\u009b31m"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\u2066x\u2069\u061c", "\\u2066x\\u2069\\u061c"),
        ("\ud83c", "\\ud83c"),
        ("\U000e0041", "\\udb40\\udc41"),
    ],
)
def test_each_kind_of_unsafe_character_is_escaped(text: str, shown: str) -> None:
    assert sanitize(text) == shown


def test_length_is_bounded() -> None:
    assert sanitize("x" * 201) == "x" * 197 + "..."
    assert sanitize("x" * 200) == "x" * 200
    assert sanitize("x" * 10_000_000, characters_max=5) == "xx..."


def test_nested_values_are_sanitised() -> None:
    assert sanitize_value({"a\n": ["\x1b", 1, None, {"b": "c\r"}], "t": (True,)}) == {
        "a ": ["\\u001b", 1, None, {"b": "c "}],
        "t": [True],
    }
    nested: object = "x"
    for _ in range(900):
        nested = [nested]
    assert "..." in str(sanitize_value(nested))


def test_own_line_breaks_are_kept_on_a_terminal() -> None:
    assert escape_lines("a\n  b\x1b[2J\nc\rd") == "a\n  b\\u001b[2J\nc\\u000dd"


@given(st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_any_text_is_bounded_idempotent_and_without_controls(text: str) -> None:
    line = sanitize(text)
    assert len(line) <= CHARACTERS_MAX
    assert sanitize(line) == line
    line.encode()
    for character in escape(text):
        assert unicodedata.category(character) not in {"Cc", "Cs"}
        assert unicodedata.bidirectional(character) not in {
            "RLE",
            "LRE",
            "RLO",
            "LRO",
            "PDF",
            "RLI",
            "LRI",
            "FSI",
            "PDI",
        }
