"""The pure files: table, policy, health."""

import itertools
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from agent.ota import policy
from agent.ota.launcher import FailedRelease
from agent.ota.launcher import LauncherState as Account
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
from agent.ota.recovery import ATTEMPTS_MAX, RESTARTS_MAX, reconcile_app
from agent.ota.trial import TrialProgress, Verdict, apply_checks, find_sensor_problem, judge
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


ON_TRIAL = Account(good="base", trial="a", trial_version="2.0.0", trial_sequence=2, tries_left=1)


@pytest.mark.parametrize(
    ("record", "account", "running", "event"),
    [
        (at(UpdateState.DOWNLOADING), ON_TRIAL, "a", None),
        (at(UpdateState.READY), ON_TRIAL, "a", UpdateEvent.STARTED),
        (at(UpdateState.TRIAL), ON_TRIAL, "a", None),
        (at(UpdateState.READY), ON_TRIAL, "base", None),
        (at(UpdateState.READY, restarts=RESTARTS_MAX), ON_TRIAL, "base", UpdateEvent.ABORT),
        (at(UpdateState.TRIAL), ON_TRIAL, "base", UpdateEvent.ABORT),
        (at(UpdateState.TRIAL), ON_TRIAL.with_failed_trial("late"), "base", UpdateEvent.FAIL),
        (at(UpdateState.READY), ON_TRIAL.with_failed_trial("damaged", is_damaged=True), "base", UpdateEvent.ABORT),
        (at(UpdateState.TRIAL), ON_TRIAL.with_failed_trial("damaged", is_damaged=True), "base", UpdateEvent.FAIL),
        (at(UpdateState.READY, slot="b"), Account(good="base", floor=2), "base", None),
        (at(UpdateState.APPLYING), Account(good="base", floor=2), "base", UpdateEvent.RESUME),
        (at(UpdateState.READY), Account(), "base", None),
        (at(UpdateState.APPLYING), Account(), "base", UpdateEvent.RESUME),
        (at(UpdateState.APPLYING, attempts=ATTEMPTS_MAX), Account(), "base", UpdateEvent.ABORT),
        (at(UpdateState.TRIAL), Account(good="a", floor=2), "a", UpdateEvent.CONFIRMED),
        (at(UpdateState.TRIAL), Account(good="b", floor=1, failed=FailedRelease("1.0.0", 1)), "b", UpdateEvent.ABORT),
        (at(UpdateState.COMPLETED), Account(), "base", None),
    ],
)
def test_interrupted_app_update_is_reconciled(
    record: UpdateRecord, account: Account, running: str, event: UpdateEvent | None
) -> None:
    found = reconcile_app(record, account, running)
    assert (found[0] if found else None) == event


def test_maintenance_window_may_span_midnight() -> None:
    night, over = policy.parse_maintenance_window("02:00-05:00"), policy.parse_maintenance_window("22:30-01:00")
    assert night is not None
    assert over is not None
    hours = {
        hour: (night.is_open(moment), over.is_open(moment))
        for hour in range(24)
        for moment in [datetime(2026, 1, 1, hour, 45, tzinfo=UTC)]
    }
    assert [hour for hour, found in hours.items() if found[0]] == [2, 3, 4]
    assert [hour for hour, found in hours.items() if found[1]] == [0, 22, 23]
    assert night.start == time(2, 0)
    assert policy.parse_maintenance_window("always") is None
    for wrong in ("2-5", "02:00-02:00", "24:00-01:00", ""):
        with pytest.raises(ValueError, match=wrong or "^$"):
            policy.parse_maintenance_window(wrong)


@pytest.mark.parametrize(
    ("local_hour", "metered", "held", "urgent", "rule", "downloads", "restarts"),
    [
        (3, False, False, False, "window", True, True),
        (12, False, False, False, "window", True, False),
        (12, False, False, True, "window", True, True),
        (12, False, True, True, "window", False, False),
        (None, False, False, False, "window", True, False),
        (12, True, False, False, "window", False, False),
        (3, True, False, False, "window", True, True),
        (3, True, False, False, "never", False, True),
        (12, True, False, True, "never", True, True),
        (12, True, False, False, "always", True, False),
    ],
)
def test_window_link_and_urgency_decide_on_download_and_restart(
    local_hour: int | None, metered: bool, held: bool, urgent: bool, rule: str, downloads: bool, restarts: bool
) -> None:
    local = None if local_hour is None else datetime(2026, 1, 1, local_hour, tzinfo=UTC)
    moment, window = (
        policy.UpdateConditions(local, metered, held, urgent),
        policy.parse_maintenance_window("02:00-05:00"),
    )
    assert (policy.reason_not_to_download(moment, window, rule) == "") is downloads
    assert (policy.reason_not_to_restart(moment, window) == "") is restarts


def test_a_release_is_confirmed_by_a_continuous_healthy_period() -> None:
    progress = apply_checks(TrialProgress(0.0), {"a": ""}, 5.0)
    assert judge(progress, 64.9, healthy_s=60, deadline_s=600) == (Verdict.OPEN, "")
    assert judge(progress, 65.0, healthy_s=60, deadline_s=600) == (Verdict.CONFIRMED, "")
    progress = apply_checks(progress, {"a": "broken", "b": ""}, 64.0)
    progress = apply_checks(progress, {"a": ""}, 70.0)
    assert judge(progress, 129.0, healthy_s=60, deadline_s=600)[0] is Verdict.OPEN
    verdict, why = judge(progress, 600.0, healthy_s=1000, deadline_s=600)
    assert verdict is Verdict.FAILED
    assert "a: broken" in why


def test_too_few_sensors_compared_with_before_fail_the_trial() -> None:
    assert find_sensor_problem(0, 0) == ""
    assert find_sensor_problem(4, 5) == ""
    assert "did before" in find_sensor_problem(3, 5)
