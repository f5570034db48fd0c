"""What an answers file may hold, and what is said of one that is wrong; never its key."""

import pytest

from agent.cli.setup.answers import read_answers
from agent.errors import ConfigInvalid

KEY = "cs_dev_" + "a1B2" * 8


def test_table_setup_is_apart_from_the_configuration() -> None:
    text = f'[setup]\nkey = "{KEY}"\ntime_zone = "Europe/Berlin"\n[cloud]\nbase_url = "https://a.example"\n'
    answers = read_answers(text, file="a.toml")
    assert answers.document == {"cloud": {"base_url": "https://a.example"}}
    assert (answers.key, answers.time_zone, answers.replace) == (KEY, "Europe/Berlin", False)
    assert KEY not in repr(answers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[setup\n", "a.toml: not valid TOML"),
        ("setup = 1\n", "setup: found 1"),
        ("[setup]\nkeyfile = 'x'\n", 'a.toml: setup.keyfile: there is no such key; did you mean "key_file"?'),
        ("[setup]\nreplace = 'yes'\n", 'setup.replace: found "yes" (text); allowed is true or false'),
        ("[setup]\ntime_zone = 'Berlin'\n", "setup.time_zone: timezone is"),
        (f"[setup]\nkey = '{KEY}x'\n", "setup.key: copy it again: found 40 characters (not shown)"),
    ],
)
def test_mistake_is_named_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_answers(text, file="a.toml")
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
