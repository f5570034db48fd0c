"""The wizard as a step machine: each answer leads on, back, or to what is wrong with it and what to do."""

from collections.abc import Sequence

import pytest

from agent.cli.setup.wizard import (
    Facts,
    WizardState,
    advance,
    answers_of,
    changed_thermometer,
    current,
    questions,
    summary,
)

KEY = "cs_dev_" + "a1B2" * 8
SENSORS = ("i2c-1-0076/bme280/temperature", "w1-28-0a/temperature")
FACTS = Facts(time_zone="Europe/Berlin", thermometers=SENSORS)


def walk(*typed: str, facts: Facts = FACTS) -> WizardState:
    state = WizardState()
    for each in typed:
        state = advance(state, each, facts)
        assert KEY not in state.said
    return state


def asked(state: WizardState, facts: Facts = FACTS) -> str:
    question = current(state, facts)
    return "" if question is None else question.name


TO_ZONES = ("https://a.example", KEY, "", "")


def test_defaults_make_a_hub_that_measures() -> None:
    state = walk(*TO_ZONES, "", "")
    assert current(state, FACTS) is None
    answers = answers_of(state.given)
    assert answers.document == {"cloud": {"base_url": "https://a.example"}, "port": {"listen": ["127.0.0.1"]}}
    assert (answers.key, answers.time_zone) == (KEY, "Europe/Berlin")
    assert KEY not in "\n".join(summary(state.given))


def test_zones_get_relay_and_thermometer() -> None:
    state = walk(*TO_ZONES, "2", "", "17", "", "bath", "i2c-1-0020/pcf8574/0", "2", "yes")
    document = answers_of(state.given).document
    assert document["board"]["linux"]["relays"] == [
        {"name": "living", "heat_line": 17},
        {"name": "bath", "heat_line": "i2c-1-0020/pcf8574/0"},
    ]
    assert [(zone["id"], *zone["sensors"]) for zone in document["climate"]["zones"]] == [
        ("living", SENSORS[0]),
        ("bath", SENSORS[1]),
    ]


def test_thermometer_of_a_zone_before_is_not_offered_again() -> None:
    question = current(walk(*TO_ZONES, "2", "", "17", "", "", "27"), FACTS)
    assert question is not None
    assert (question.default, question.can_watch) == (SENSORS[1], True)


@pytest.mark.parametrize("steps", range(9))
def test_every_question_can_be_gone_back_from(steps: int) -> None:
    typed = (*TO_ZONES, "1", "", "17", "", "yes")[:steps]
    before = walk(*typed[:-1])
    after = walk(*typed, "<")
    assert asked(after) == asked(before)
    assert bool(after.said) == (steps == 0)


def test_fewer_zones_after_going_back_are_fewer_questions() -> None:
    state = walk(*TO_ZONES, "2", "<", "1", "", "17", "", "")
    assert asked(state) == ""
    assert len(answers_of(state.given).document["climate"]["zones"]) == 1


@pytest.mark.parametrize(
    ("before", "typed", "said"),
    [
        ((), "http://a.example", "type it again; allowed is an https URL"),
        (("https://a.example",), f"{KEY}x", "copy it again: found 40 characters"),
        (("https://a.example", KEY), "Berlin", "type it again: timezone is"),
        (("https://a.example", KEY, ""), "eth0;", "type addresses or names"),
        (TO_ZONES, "9", "type a number from 0 to 8"),
        ((*TO_ZONES, "1"), "living room", "type up to 32 letters"),
        ((*TO_ZONES, "1", ""), "pin 11", "type it again: a: no line is called"),
        ((*TO_ZONES, "1", "", "17"), "3", "type a number from 1 to 2"),
        ((*TO_ZONES, "2", "", "17", ""), "living", "type another: living is taken"),
        ((*TO_ZONES, "2", "", "17", "", ""), "17", "type another: 17 is taken"),
        ((*TO_ZONES, "0"), "no", "type yes to begin"),
    ],
)
def test_wrong_answer_is_asked_again_with_what_to_do(before: Sequence[str], typed: str, said: str) -> None:
    state = walk(*before)
    after = advance(state, typed, FACTS)
    assert said in after.said
    assert asked(after) == asked(state)


def test_every_question_helps_and_has_a_default_where_there_can_be_one() -> None:
    facts = Facts(base_url="https://a.example", has_key=True, thermometers=SENSORS)
    all_questions = questions({"zones": "2"}, facts)
    assert all(len(question.help) > 10 for question in all_questions)
    assert {question.name.partition(".")[2] for question in all_questions if not question.default} == {"line"}
    assert walk("?").said.startswith("the root of its API")


def test_key_may_be_kept_or_in_a_file() -> None:
    facts = Facts(base_url="https://a.example", has_key=True)
    assert answers_of(walk("", "", "", "", "", "", facts=facts).given).key_file == ""
    stick = Facts(base_url="https://a.example", key_files=["/media/stick/hub.key"])
    assert answers_of(walk("", "", "", "", "", "", facts=stick).given).key_file == "/media/stick/hub.key"


@pytest.mark.parametrize(
    ("now", "found"),
    [({"a": 20.4, "b": 20.0}, ""), ({"a": 21.0, "b": 20.1}, "a"), ({"a": 21.0, "b": 20.6}, ""), ({"b": 18.0}, "b")],
)
def test_thermometer_in_the_hand_changes_alone(now: dict[str, float], found: str) -> None:
    assert changed_thermometer({"a": 20.0, "b": 20.0}, now) == found
