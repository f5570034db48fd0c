"""Queries and pages: one form for every list."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.local import query
from agent.local.queries import CommandsQuery, LogQuery
from agent.local.routes import RequestRefused


def page(before: str | None = None, after: str | None = None, limit: int = 10) -> str:
    """Return a page of a list whose newest entry is `e`."""
    return "".join(query.page("edcba", str, before=before, after=after, limit=limit))


def test_a_page_has_the_newest_first() -> None:
    assert page(limit=2) == "ed"
    assert page(before="d", limit=2) == "cb"
    assert page(before="a") == ""
    assert page(after="c") == "ed"
    assert page(after="c", limit=1) == "e"
    assert page(before="e", after="b") == "dc"
    assert page(before="b", after="d") == ""


def test_an_entry_that_has_left_the_list_is_older_than_all() -> None:
    assert page(after="x") == "edcba"
    with pytest.raises(RequestRefused, match='read the list from its start: "x" is no longer listed'):
        page(before="x")


@given(st.lists(st.integers(), unique=True), st.integers(1, 5))
def test_page_after_page_is_the_whole_list(entries: list[int], limit: int) -> None:
    read: list[int] = []
    while part := query.page(entries, str, before=str(read[-1]) if read else None, after=None, limit=limit):
        assert len(part) <= limit
        read += part
    assert read == entries


def test_an_empty_value_counts_as_missing_and_an_unknown_name_is_ignored() -> None:
    assert query.read({"limit": "", "text": "", "other": "1"}, LogQuery) == LogQuery()
    assert query.read({"limit": "7", "level": "error", "before": "9"}, LogQuery) == LogQuery("error", "", 9, 0, 7)
    assert query.read({"before": "an-id"}, CommandsQuery).before == "an-id"


def test_a_refusal_of_a_word_names_those_that_are_allowed() -> None:
    with pytest.raises(RequestRefused, match='correct level: found "loud"; allowed are debug, info, '):
        query.read({"level": "loud"}, LogQuery)


def test_a_refusal_names_the_value_and_what_is_allowed() -> None:
    with pytest.raises(RequestRefused, match=r'^correct limit: found "5000"; expected `int` <= 1000$'):
        query.read({"limit": "5000"}, LogQuery)


@given(st.dictionaries(st.sampled_from(["limit", "before", "after", "level", "text"]), st.text()))
def test_any_query_is_read_or_refused(given_query: dict[str, str]) -> None:
    with contextlib.suppress(RequestRefused):
        assert 1 <= query.read(given_query, LogQuery).limit <= 1000
