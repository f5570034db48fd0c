import pytest

from agent.apis.aurra_facts import answers, translation, wire
from agent.apis.aurra_facts.translation import OutOfRange, WrongType
from agent.apis.face import ApiClient
from agent.facts.model import Fact, FactDraft, FactRefused, FactVersion, Tenant
from agent.facts.search import FoundFact
from agent.facts.store import FactQuery
from agent.facts.tables import FactFilter
from agent.home.devices import HUB_ID
from agent.home.fact_texts import HUB_TENANT

ANNA = ApiClient("acc_anna", "anna", "aurra_facts")
NARROW = ApiClient("acc_bert", "bert", "aurra_facts", zones=("bath",))
NOW_MS = 1_790_000_000_000


def found(text: str, similarity: float, *, superseded_by: str = "") -> FoundFact:
    fact = Fact(text, Tenant("o"), text, "t", "s", "", 5, "", "", 10, 20)
    return FoundFact(FactVersion(fact, 30 if superseded_by else None, superseded_by, 20, None), similarity)


def answer(*facts: FoundFact, as_of_ms: int | None = None) -> wire.QueryAnswer:
    query = FactQuery(FactFilter((Tenant("o"),)), 10, as_of_ms=as_of_ms)
    return answers.answer_of("?", query, facts, now_ms=NOW_MS, has_index=False)


def test_without_a_tenant_a_client_reads_its_default_tenant_and_the_hubs_facts() -> None:
    assert translation.filter_of(ANNA, None, ()) == FactFilter((Tenant("acc_anna"), HUB_TENANT), shared=HUB_ID)
    assert translation.filter_of(ANNA, "x", ("a",)) == FactFilter((Tenant("acc_anna", "x"),), ("a",), shared=HUB_ID)
    assert translation.filter_of(NARROW, "", ()).zones == ("bath",)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"limit": "0"}, OutOfRange),
        ({"limit": "101"}, OutOfRange),
        ({"limit": "ten"}, WrongType),
        ({"limit": "²"}, WrongType),
        ({"limit": "9" * 5000}, WrongType),
        ({"as_of": "yesterday"}, WrongType),
        ({"as_of": "2026-01-31T18:00:00"}, WrongType),
        ({"transaction_as_of": "9999-12-31T23:59:59Z"}, WrongType),
        ({"include_superseded": "maybe"}, WrongType),
        ({"tenant_id": "x" * 65}, FactRefused),
        ({"source": "\ud800"}, FactRefused),
    ],
)
def test_a_wrong_address_is_refused(query: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        translation.list_query(ANNA, query)


def test_an_address_without_anything_asks_for_what_is_true_now() -> None:
    query = translation.list_query(ANNA, {})
    assert (query.limit, query.as_of_ms, query.known_as_of_ms, query.has_superseded) == (20, None, None, False)
    assert translation.list_query(ANNA, {"limit": "100", "include_superseded": "True"}).has_superseded


def test_importance_is_a_number_a_word_or_the_middle() -> None:
    for given, expected in (({}, 5), ({"importance": "HIGH"}, 8), ({"importance": "low", "importance_score": 3}, 3)):
        draft = translation.draft_of(wire.AddRequest("x", **given), "anna")
        assert draft == FactDraft("x", author="anna", importance=expected)
    with pytest.raises(OutOfRange, match="low, medium or high"):
        translation.draft_of(wire.AddRequest("x", importance="huge"), "anna")


@pytest.mark.parametrize(
    "request_", [wire.AddRequest(), wire.AddRequest("x", messages=[]), wire.AddRequest(messages=[])]
)
def test_a_memory_is_one_text(request_: wire.AddRequest) -> None:
    with pytest.raises(OutOfRange, match="as content"):
        translation.draft_of(request_, "anna")


def test_settings_change_by_what_is_given_within_their_ranges() -> None:
    known = wire.FactSettings()
    changed = translation.changed_settings(known, wire.SettingsChange(excluded_categories=()))
    assert (changed.excluded_categories, changed.min_confidence) == ((), 0.85)
    for change in (
        wire.SettingsChange(),
        wire.SettingsChange(min_confidence=0.849),
        wire.SettingsChange(min_confidence=1.01),
        wire.SettingsChange(excluded_categories=("x",) * 33),
    ):
        with pytest.raises(OutOfRange):
            translation.changed_settings(known, change)
    with pytest.raises(FactRefused):
        translation.changed_settings(known, wire.SettingsChange(classifier_model="x" * 65))


def test_an_answer_quotes_the_most_similar_facts_and_cites_each() -> None:
    given = answer(found("one", 1.0), found("two", 0.7), found("three", 0.5), found("four", 0.2))
    assert (given.answer, given.answer_with_citations) == ("one two", "one [mem-1] two [mem-2]")
    assert [citation.cited_by_llm for citation in given.citations] == [True, True, False, False]
    assert given.memories_searched == 4
    assert given.search_type == "keyword_scan"


def test_an_answer_quotes_three_facts_at_most_and_says_of_when_it_is() -> None:
    given = answer(*(found(text, 1.0) for text in "abcd"), as_of_ms=0)
    assert given.answer == "As of 1970-01-01T00:00:00.000000+00:00: a b c"
    assert answer().answer_with_citations == answers.NOTHING_FOUND


def test_the_hash_of_a_proof_covers_answer_and_evidence() -> None:
    query = FactQuery(FactFilter((Tenant("o"),)), 10)

    def hash_of(*facts: FoundFact) -> str:
        proved = answers.with_proof(answer(*facts), query, {}, now_ms=NOW_MS)
        assert proved.proof_tree is not None
        return proved.proof_tree.answer_hash

    first = hash_of(found("one", 1.0), found("two", 0.1))
    assert hash_of(found("one", 1.0), found("two", 0.1)) == first
    assert len({first, hash_of(found("one", 1.0)), hash_of(found("one", 1.0), found("two", 0.2))}) == 3


def test_a_memory_shows_its_validity_twice_and_its_first_line_as_summary() -> None:
    memory = translation.memory_of(found("line\nother " + "x" * 500, 1.0, superseded_by="b").version, NOW_MS)
    assert memory.summary == "line"
    assert memory.decision.startswith("line\nother")
    assert (memory.valid_to, memory.temporal.valid_to) == ("1970-01-01T00:00:00.030000+00:00",) * 2
    assert (memory.temporal.is_superseded, memory.temporal.is_current, memory.temporal.is_expired) == (
        True,
        False,
        False,
    )
    assert (memory.tenant_id, memory.superseded_by) == (None, "b")
