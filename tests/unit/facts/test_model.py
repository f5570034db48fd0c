import pytest

from agent.facts.model import (
    ENDINGS_MAX,
    Ending,
    Fact,
    FactDraft,
    FactRefused,
    FactVersion,
    Tenant,
    check_draft,
    check_ending,
    check_supersession,
    choose_view,
    render_instant,
    versions,
)


def fact(identifier: str = "a", valid_from_ms: int = 10, known_from_ms: int = 20, tenant: str = "") -> Fact:
    return Fact(identifier, Tenant("o", tenant), "text", "t", "s", "", 5, "", "", valid_from_ms, known_from_ms)


def version(identifier: str = "a", valid_to_ms: int | None = None, superseded_by: str = "") -> FactVersion:
    return FactVersion(fact(identifier), valid_to_ms, superseded_by, 20, None)


def test_a_fact_is_valid_from_its_beginning_up_to_not_including_its_end() -> None:
    ended = version(valid_to_ms=30)
    assert [ended.is_valid_at(at_ms) for at_ms in (9, 10, 29, 30)] == [False, True, True, False]
    assert [ended.is_expired_at(at_ms) for at_ms in (29, 30)] == [False, True]
    assert [ended.is_current_at(at_ms) for at_ms in (29, 30)] == [True, False]
    replaced = version(valid_to_ms=30, superseded_by="b")
    assert (replaced.is_expired_at(40), replaced.is_current_at(20)) == (False, False)


def test_each_ending_begins_a_version_where_the_one_before_ends() -> None:
    endings = [Ending(100, "", "", 30), Ending(90, "b", "", 40)]
    found = versions(fact(), endings)
    assert [(each.known_from_ms, each.known_to_ms) for each in found] == [(20, 30), (30, 40), (40, None)]
    assert [each.valid_to_ms for each in found] == [None, 100, 90]


def test_four_views() -> None:
    assert choose_view(50).known_at_ms == choose_view(50).valid_at_ms == 50
    assert choose_view(50, has_superseded=True).valid_at_ms is None
    past = choose_view(50, as_of_ms=5)
    assert (past.known_at_ms, past.valid_at_ms) == (50, 5)
    believed = choose_view(50, known_as_of_ms=25)
    assert (believed.known_at_ms, believed.valid_at_ms) == (25, None)
    both = choose_view(50, as_of_ms=5, known_as_of_ms=25)
    assert (both.known_at_ms, both.valid_at_ms) == (25, 5)


def test_what_is_not_known_yet_belongs_to_no_view() -> None:
    assert not choose_view(50, known_as_of_ms=19, has_superseded=True).shows(version())
    assert choose_view(50, known_as_of_ms=20).shows(version())


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (FactDraft(" \n"), "give the fact a text"),
        (FactDraft("ä" * 2049), "shorten the fact"),
        (FactDraft("a\x00b"), "leave NUL out"),
        (FactDraft("x", topic="t" * 65), "shorten the topic"),
        (FactDraft("x", source="\n"), "cannot be printed"),
        (FactDraft("x", subject="s" * 161), "shorten the subject"),
        (FactDraft("x", importance=0), "from 1 to 10"),
        (FactDraft("x", importance=11), "from 1 to 10"),
        (FactDraft("x", valid_from_ms=101), "in the past"),
    ],
)
def test_a_draft_that_cannot_be_stored_is_refused(draft: FactDraft, message: str) -> None:
    with pytest.raises(FactRefused, match=message):
        check_draft(draft, 100)


def test_a_draft_at_every_limit_is_stored() -> None:
    check_draft(FactDraft("ä" * 2048, "t" * 64, "s" * 64, importance=10, subject="s" * 160, valid_from_ms=100), 100)


def test_a_replacement_that_would_break_the_chain_is_refused() -> None:
    def none(_: str) -> list[str]:
        return ["b"]

    check_supersession(version("a"), version("b"), none)
    with pytest.raises(FactRefused, match="none replaces itself"):
        check_supersession(version("a"), version("a"), none)
    with pytest.raises(FactRefused, match="replace c instead"):
        check_supersession(version("a", 30, "c"), version("b"), none)
    with pytest.raises(FactRefused, match="same tenant"):
        check_supersession(version("a"), FactVersion(fact("b", tenant="x"), None, "", 20, None), none)
    with pytest.raises(FactRefused, match="name a newer fact"):
        check_supersession(version("a"), version("b", 30, "a"), lambda _: ["b", "a"])


def test_an_end_is_after_the_beginning_and_corrected_a_few_times_only() -> None:
    check_ending(version(), 11, ENDINGS_MAX - 1)
    with pytest.raises(FactRefused, match="after the beginning"):
        check_ending(version(), 10, 0)
    with pytest.raises(FactRefused, match="corrected 16 times"):
        check_ending(version(), 11, ENDINGS_MAX)
    with pytest.raises(FactRefused, match="end b instead"):
        check_ending(version("a", 30, "b"), 40, 1)


def test_instants_have_microseconds_and_an_offset() -> None:
    assert render_instant(1_790_000_000_123) == "2026-09-21T14:13:20.123000+00:00"
    assert render_instant(0) == "1970-01-01T00:00:00.000000+00:00"
