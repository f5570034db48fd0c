from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import keywords, search
from agent.facts.model import FactDraft
from agent.facts.store import FactQuery, FactStore
from agent.facts.tables import FactFilter
from tests.unit.facts.fact_bench import ANNA, BERT, HUB, NOW_MS, add, open_store

LATER_MS = NOW_MS + 1000


async def find(store: FactStore, question: str, *, as_of_ms: int | None = None) -> list[str]:
    query = FactQuery(FactFilter((ANNA, HUB)), 10, as_of_ms=as_of_ms)
    return [each.version.fact.text for each in await store.found(query, question, utc_ms=LATER_MS)]


@pytest.mark.parametrize("may_index", [True, False])
async def test_facts_are_found_by_their_words_the_most_similar_first(tmp_path: Path, may_index: bool) -> None:
    store = await open_store(tmp_path, may_index=may_index)
    assert store.has_index == may_index
    await add(store, ANNA, "The bedroom is at the attic")
    await add(store, ANNA, "The heat setpoints of the bedroom are high")
    await add(store, ANNA, "Café de Flore")
    await add(store, BERT, "The setpoint of a stranger's bedroom")
    await store.record(HUB, [FactDraft("bedroom: 19 °C", subject="bedroom/heat")], utc_ms=NOW_MS)
    found = await find(store, "What is the setpoint in the bedroom?")
    assert found[0] == "The heat setpoints of the bedroom are high"
    assert sorted(found[1:]) == ["The bedroom is at the attic", "bedroom: 19 °C"]
    assert await find(store, "CAFE?") == ["Café de Flore"]
    assert await find(store, "boiler") == []
    assert await find(store, "?!") == []


@pytest.mark.parametrize("may_index", [True, False])
async def test_only_facts_that_held_at_the_instant_are_found(tmp_path: Path, may_index: bool) -> None:
    store = await open_store(tmp_path, may_index=may_index)
    for utc_ms, text in ((NOW_MS, "the setpoint is 19"), (NOW_MS + 100, "the setpoint is 21")):
        await store.record(HUB, [FactDraft(text, subject="heat")], utc_ms=utc_ms)
    assert await find(store, "setpoint") == ["the setpoint is 21"]
    assert await find(store, "setpoint", as_of_ms=NOW_MS + 99) == ["the setpoint is 19"]
    assert await find(store, "setpoint", as_of_ms=NOW_MS - 1) == []


async def test_facts_that_were_stored_without_an_index_are_found_once_there_is_one(tmp_path: Path) -> None:
    await add(await open_store(tmp_path), ANNA, "with an index")
    await add(await open_store(tmp_path, may_index=False), ANNA, "without an index")
    store = await open_store(tmp_path)
    assert sorted(await find(store, "index")) == ["with an index", "without an index"]


@given(st.text(max_size=200))
def test_no_question_is_an_error_of_syntax(question: str) -> None:
    asked = keywords.question_words(question)
    expression = keywords.match_expression(asked)
    assert len(asked) <= keywords.QUESTION_WORDS_MAX
    assert expression.count('"') == 2 * len(asked)


async def test_no_question_upsets_fts5(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await add(store, ANNA, "a fact")
    for question in ('"', "NEAR(", "a AND NOT b*", "text:x", "-", "^a", "{a b}", "\x00", "ß ﬁ ½ ² Ⅷ", "a_b"):
        await find(store, question)


def test_a_question_of_stop_words_alone_keeps_them() -> None:
    assert keywords.question_words("what is it") == ("what", "is", "it")
    assert keywords.question_words("What is the SETPOINT, the setpoint?") == ("setpoint",)


def test_similarity_is_the_share_of_the_questions_words() -> None:
    assert keywords.similarity(("heat", "bath"), "heating of the bedroom") == 0.5
    assert keywords.similarity(("at",), "attic") == 0
    assert keywords.similarity((), "anything") == 0


def test_what_a_text_costs_is_bounded_by_its_characters_and_not_by_what_they_stand_for() -> None:
    words = keywords.split_words("aaaa " + "\ufdfa" * 1360)
    assert sum(map(len, words)) <= keywords.TEXT_CHARACTERS_MAX
    assert keywords.similarity(("aaaa", "zzzz"), "aaaa " + "\ufdfa" * 1360) == 0.5
    assert len(keywords.question_words("\ufdfa" * 10_000)) <= keywords.QUESTION_WORDS_MAX


async def test_few_of_many_facts_that_match_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await open_store(tmp_path)
    for number in range(search.CANDIDATES_MAX + 20):
        await add(store, ANNA, f"the boiler {number}")
    compared: list[str] = []
    similarity = keywords.similarity

    def compare(asked: tuple[str, ...], text: str) -> float:
        compared.append(text)
        return similarity(asked, text)

    monkeypatch.setattr(keywords, "similarity", compare)
    assert len(await find(store, "boiler")) == 10
    assert len(compared) == search.CANDIDATES_MAX <= 50
