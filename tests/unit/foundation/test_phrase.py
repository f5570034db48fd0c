"""Texts that remember how they were made: the same English as before, and everything that a translation needs."""

import msgspec
import pytest

from agent.foundation.phrase import Phrase, Template, counted, listed, parts, phrase, plain, respelt, sentence


def test_a_phrase_is_its_english_text() -> None:
    made = phrase("{zone} waits for {count} s", zone="attic", count=2500)
    assert made == "attic waits for 2,500 s"
    assert (made.key, made.values) == ("{zone} waits for {count} s", {"zone": "attic", "count": "2,500"})


@pytest.mark.parametrize(("number", "text"), [(0, "0 tries"), (1, "1 try"), (2, "2 tries"), (1200, "1,200 tries")])
def test_one_and_many_are_phrases_of_their_own(number: int, text: str) -> None:
    made = counted(number, "try", "tries")
    assert (made, made.key) == (text, "1 try" if number == 1 else "{count} tries")


def test_the_name_of_a_key_keeps_its_spelling_at_the_beginning_of_a_sentence() -> None:
    assert sentence("relayed_sensors.sensor_keys_file: the key fits no sensor").startswith("relayed_sensors.")
    assert sentence("cloud fine") == "Cloud fine."
    assert sentence("wait.") == "Wait."


def test_a_sentence_keeps_its_template() -> None:
    made = sentence(phrase("{zone} is cold", zone="attic"))
    assert isinstance(made, Phrase)
    assert (made, made.key) == ("Attic is cold.", "{zone} is cold")
    assert sentence(" what now? ") == "What now?"


def test_names_are_listed_in_words() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_parts_are_those_of_every_value_too() -> None:
    made = sentence(phrase("{what}; {then}", what=phrase("{n} sleeps", n="a"), then=listed(["x", "y"])))
    assert parts(["plain", made]) == {
        "A sleeps; x and y.": Template("{what}; {then}", {"what": "a sleeps", "then": "x and y"}),
        "a sleeps": Template("{n} sleeps", {"n": "a"}),
        "x and y": Template("{names} and {last}", {"names": "x", "last": "y"}),
    }


def test_a_plain_text_can_be_sent() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(respelt("a", "a", {}))
    assert msgspec.json.encode(plain(respelt("a", "a", {}))) == b'"a"'
