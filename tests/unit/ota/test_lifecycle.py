"""The state machine of an update: its transitions, its reports to the cloud, and the releases that it refuses."""

import itertools
from pathlib import Path

import pytest

from agent.ota.lifecycle import (
    EDGES,
    REFUSALS_MAX,
    REPORTS_MAX,
    StatusReport,
    UpdateEvent,
    UpdateRecord,
    UpdateState,
    append_report,
    find_refusal,
    to_mermaid,
    transition,
)
from agent.ota.manifest import Offer
from lab.refcloud.contract import OTA_EDGES

OFFER = Offer("2.0.0", "ab" * 32, 100)


def at(state: UpdateState, **changes: object) -> UpdateRecord:
    return UpdateRecord(state=state, offer=OFFER, sequence=2, **changes)  # type: ignore[arg-type]


def test_documented_diagram_matches_the_table() -> None:
    assert to_mermaid() in (Path(__file__).parents[3] / "docs" / "updates.md").read_text()


def test_transition_outside_the_table_raises() -> None:
    for state in UpdateState:
        for event in UpdateEvent:
            if (state, event) not in EDGES:
                with pytest.raises(ValueError, match="cannot happen"):
                    transition(at(state), event, offer=OFFER, reason="", sequence=1, slot="a", digest="")


def test_reported_states_are_those_of_the_contract() -> None:
    record = transition(UpdateRecord(), UpdateEvent.OFFER, offer=OFFER)
    for event in (
        UpdateEvent.DOWNLOADED,
        UpdateEvent.VERIFY,
        UpdateEvent.VERIFIED,
        UpdateEvent.INSTALLED,
        UpdateEvent.RESTART,
        UpdateEvent.STARTED,
        UpdateEvent.CONFIRMED,
    ):
        record = transition(record, event, sequence=2, slot="a", digest="d")
    words = [post.status for post in record.reports]
    assert words == ["downloading", "downloaded", "verifying", "applying", "completed"]
    assert all(late in OTA_EDGES[early] for early, late in itertools.pairwise(words))


def test_sideloaded_update_is_reported_to_the_cloud() -> None:
    record = transition(UpdateRecord(), UpdateEvent.SIDELOAD, offer=OFFER)
    for event in (
        UpdateEvent.VERIFY,
        UpdateEvent.VERIFIED,
        UpdateEvent.INSTALLED,
        UpdateEvent.RESTART,
        UpdateEvent.STARTED,
    ):
        record = transition(record, event, sequence=2, slot="a", digest="d")
    record = transition(record, UpdateEvent.FAIL, reason="late")
    words = [post.status for post in record.reports]
    assert words == ["downloading", "downloaded", "verifying", "applying", "failed"]
    assert all(late in OTA_EDGES[early] for early, late in itertools.pairwise(words))
    assert record.reports[-1].error_message == "late"


def test_a_failure_is_remembered_by_version_and_checksum() -> None:
    failed = transition(at(UpdateState.VERIFYING), UpdateEvent.FAIL, reason="damaged")
    assert find_refusal(failed, OFFER) == "damaged"
    assert find_refusal(failed, Offer("2.0.0", "cd" * 32)) == ""
    lost = transition(at(UpdateState.VERIFYING), UpdateEvent.ABORT, reason="gone")
    assert (lost.error, find_refusal(lost, OFFER)) == ("gone", "")
    for number in range(2 * REFUSALS_MAX):
        failed = transition(
            transition(failed, UpdateEvent.OFFER, offer=Offer(str(number))), UpdateEvent.FAIL, reason="x"
        )
    assert len(failed.refusals) == REFUSALS_MAX


def test_only_the_newest_progress_report_is_kept() -> None:
    posts: tuple[StatusReport, ...] = ()
    for percent in range(0, 100, 10):
        posts = append_report(posts, StatusReport("2", "downloading", percent))
    assert posts == (StatusReport("2", "downloading", 90),)
    for number in range(20):
        posts = append_report(posts, StatusReport(str(number), "failed"))
    assert len(posts) == REPORTS_MAX
