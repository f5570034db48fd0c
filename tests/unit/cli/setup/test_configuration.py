"""The configuration that setup writes, and how a later setup recognises its own."""

import tomllib
from pathlib import Path

import pytest

from agent.cli.setup.configuration import complete, configuration_text, is_untouched, resolve
from agent.config.reading import ConfigProblems

ZONE = {"id": "living", "sensors": ["i2c-1-0076/bme280/temperature"]}
DOCUMENT = {
    "climate": {"zones": [ZONE]},
    "cloud": {"base_url": "https://a.example"},
    "sensors": {"primary": {"temperature": "i2c-1-0076/bme280/temperature"}},
    "board": {"linux": {"relays": [{"name": "living", "heat_line": 17}]}},
}


def test_file_holds_what_was_answered_and_found() -> None:
    document = complete(DOCUMENT, has_stick=True)
    text = configuration_text(document)
    assert tomllib.loads(text) == document
    assert (document["board"]["name"], document["zigbee"]) == ("linux", {"port": "auto"})
    config = resolve(document, answers="", file="a.toml", directory=Path("/etc/climahub")).config
    assert config.climate.zones[0].sensors == ("i2c-1-0076/bme280/temperature",)
    assert text.index("[cloud]") < text.index("[climate]")


def test_what_was_answered_counts_before_what_was_found() -> None:
    document = complete({"board": {"name": "sim"}, "zigbee": {"port": "none"}}, has_stick=True)
    assert (document["board"]["name"], document["zigbee"]["port"]) == ("sim", "none")


def test_change_of_a_person_is_noticed() -> None:
    text = configuration_text(complete(DOCUMENT, has_stick=False))
    assert is_untouched(text)
    assert not is_untouched(text.replace("17", "27"))
    assert not is_untouched(text.partition("\n")[2])
    assert not is_untouched("")


def test_mistake_is_named_by_its_line_in_the_answers() -> None:
    answers = '[setup]\nreplace = true\n\n[cloud]\nbase_url = "https://a.example"\ngzip = "no"\nnonsense = 1\n'
    document = complete(tomllib.loads(answers), has_stick=False)
    del document["setup"]
    with pytest.raises(ConfigProblems) as caught:
        resolve(document, answers=answers, file="a.toml", directory=Path("/etc"))
    assert [(each.line, each.key) for each in caught.value.problems] == [(6, "cloud.gzip"), (7, "cloud.nonsense")]
