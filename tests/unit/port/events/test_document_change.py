"""A document is news when it says more than that time has passed."""

from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from agent.local.climate import ClimateReport
from agent.local.status import HubStatus
from agent.local.updates import UpdateReport
from agent.local.verdict import Verdict
from agent.local.zigbee import ZigbeeReport
from agent.port.events import document_change
from agent.port.events.document_change import Json, is_changed

SECONDS_OF_THEIR_OWN = {"window_s"}
"""Durations that do not move with the clock."""


@pytest.mark.parametrize(
    ("before", "after", "elapsed_s", "is_news"),
    [
        ({"value": 1}, {"value": 1}, 60.0, False),
        ({"value": 1}, {"value": 2}, 0.0, True),
        ({"value": 1}, {"other": 1}, 0.0, True),
        ({"value": 1}, {"value": None}, 0.0, True),
        ([1, 2], [1], 0.0, True),
        ([{"age_s": 5}], [{"age_s": 65}], 60.0, False),
        ({"age_s": 5.0}, {"age_s": 6.9}, 0.0, False),
        ({"age_s": 5.0}, {"age_s": 7.1}, 0.0, True),
        # A new value of the same size: the age begins again.
        ({"age_s": 50.0}, {"age_s": 1.0}, 10.0, True),
        # The same age after a minute is a younger thing.
        ({"age_s": 50.0}, {"age_s": 50.0}, 60.0, True),
        ({"age_s": None}, {"age_s": 0.0}, 1.0, True),
        ({"age_s": None}, {"age_s": None}, 60.0, False),
        ({"stalled_s": 0}, {"stalled_s": 0}, 60.0, False),
        ({"stalled_s": 0}, {"stalled_s": 1}, 60.0, True),
        ({"left_s": 100}, {"left_s": 40}, 60.0, False),
        ({"left_s": 30}, {"left_s": 0}, 60.0, False),
        ({"left_s": 100}, {"left_s": 100}, 60.0, False),
        ({"left_s": 100}, {"left_s": 200}, 1.0, True),
        ({"error_s": 0.5}, {"error_s": 0.6}, 60.0, False),
        ({"error_s": 0.5}, {"error_s": 9.0}, 60.0, True),
        ({"utc": "2026-03-29T12:00:00Z"}, {"utc": "2026-03-29T12:01:00Z"}, 60.0, False),
        ({"utc": "2026-03-29T12:00:00Z"}, {"utc": "2026-03-29T13:00:00Z"}, 60.0, True),
        ({"utc": None}, {"utc": "2026-03-29T13:00:00Z"}, 60.0, True),
        ({"utc": "soon"}, {"utc": "now"}, 60.0, True),
        ({"a": {"since_s": 1, "state": "up"}}, {"a": {"since_s": 2, "state": "down"}}, 1.0, True),
        (True, 1, 0.0, False),
    ],
)
def test_changed_documents_are_detected(*, before: Json, after: Json, elapsed_s: float, is_news: bool) -> None:
    assert is_changed(before, after, elapsed_s=elapsed_s) is is_news


def seconds_of(struct: type[msgspec.Struct]) -> set[str]:
    """Return the fields in seconds of a document and of all structs inside it."""
    found: set[str] = set()
    seen: set[Any] = set()
    left: list[Any] = [struct]
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.add(each)
        left += get_args(each)
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            hints = get_type_hints(each)
            left += hints.values()
            found |= {name for name in hints if name.endswith(("_s", "_s_ago"))}
    return found


@pytest.mark.parametrize("struct", [HubStatus, ClimateReport, ZigbeeReport, UpdateReport, Verdict])
def test_every_field_in_seconds_of_a_document_has_its_rule(struct: type[msgspec.Struct]) -> None:
    known = document_change.GROWS | document_change.SHRINKS | document_change.DRIFTS | SECONDS_OF_THEIR_OWN
    assert seconds_of(struct) - known == set()
