"""The pure files: table, policy, health."""

import itertools
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from agent.ota import health, policy
from agent.ota.health import Trial, Verdict
from agent.ota.launcher import Failed
from agent.ota.launcher import State as Account
from agent.ota.lifecycle import (
    ATTEMPTS_MAX,
    EDGES,
    POSTS_MAX,
    REFUSALS_MAX,
    RESTARTS_MAX,
    Event,
    Post,
    Record,
    State,
    after,
    picture,
    queued,
    reconciled,
    refusal_of,
)
from agent.ota.manifest import Offer
from agent.refcloud.contract import OTA_EDGES

OFFER = Offer("2.0.0", "ab" * 32, 100)


def at(state: State, **changes: object) -> Record:
    return Record(state=state, offer=OFFER, sequence=2, **changes)  # type: ignore[arg-type]


def test_the_picture_in_the_manual_is_the_table() -> None:
    assert picture() in (Path(__file__).parents[3] / "docs" / "updates.md").read_text()


def test_what_the_table_does_not_have_cannot_happen() -> None:
    for state in State:
        for event in Event:
            if (state, event) not in EDGES:
                with pytest.raises(ValueError, match="cannot happen"):
                    after(at(state), event, offer=OFFER, reason="", sequence=1, slot="a", digest="")


def test_the_cloud_is_told_legal_words_only() -> None:
    record = after(Record(), Event.OFFER, offer=OFFER)
    for event in (
        Event.FETCHED,
        Event.VERIFY,
        Event.VERIFIED,
        Event.PLACED,
        Event.RESTART,
        Event.STARTED,
        Event.PROVEN,
    ):
        record = after(record, event, sequence=2, slot="a", digest="d")
    words = [post.status for post in record.posts]
    assert words == ["downloading", "downloaded", "verifying", "applying", "completed"]
    assert all(late in OTA_EDGES[early] for early, late in itertools.pairwise(words))


def test_the_cloud_is_told_of_a_file_that_was_brought_as_well() -> None:
    record = after(Record(), Event.BRING, offer=OFFER)
    for event in (Event.VERIFY, Event.VERIFIED, Event.PLACED, Event.RESTART, Event.STARTED):
        record = after(record, event, sequence=2, slot="a", digest="d")
    record = after(record, Event.FAIL, reason="late")
    words = [post.status for post in record.posts]
    assert words == ["downloading", "downloaded", "verifying", "applying", "failed"]
    assert all(late in OTA_EDGES[early] for early, late in itertools.pairwise(words))
    assert record.posts[-1].error_message == "late"


def test_a_failure_is_remembered_by_version_and_checksum() -> None:
    failed = after(at(State.VERIFYING), Event.FAIL, reason="damaged")
    assert refusal_of(failed, OFFER) == "damaged"
    assert refusal_of(failed, Offer("2.0.0", "cd" * 32)) == ""
    lost = after(at(State.VERIFYING), Event.LOSE, reason="gone")
    assert (lost.error, refusal_of(lost, OFFER)) == ("gone", "")
    for number in range(2 * REFUSALS_MAX):
        failed = after(after(failed, Event.OFFER, offer=Offer(str(number))), Event.FAIL, reason="x")
    assert len(failed.refusals) == REFUSALS_MAX


def test_of_progress_the_newest_says_all() -> None:
    posts: tuple[Post, ...] = ()
    for percent in range(0, 100, 10):
        posts = queued(posts, Post("2", "downloading", percent))
    assert posts == (Post("2", "downloading", 90),)
    for number in range(20):
        posts = queued(posts, Post(str(number), "failed"))
    assert len(posts) == POSTS_MAX


ON_TRIAL = Account(good="base", trial="a", trial_version="2.0.0", trial_sequence=2, tries_left=1)


@pytest.mark.parametrize(
    ("record", "account", "running", "event"),
    [
        (at(State.DOWNLOADING), ON_TRIAL, "a", None),
        (at(State.READY), ON_TRIAL, "a", Event.STARTED),
        (at(State.TRIAL), ON_TRIAL, "a", None),
        (at(State.READY), ON_TRIAL, "base", None),
        (at(State.READY, restarts=RESTARTS_MAX), ON_TRIAL, "base", Event.LOSE),
        (at(State.TRIAL), ON_TRIAL, "base", Event.LOSE),
        (at(State.TRIAL), ON_TRIAL.given_up("late"), "base", Event.FAIL),
        (at(State.READY), ON_TRIAL.given_up("damaged", is_damaged=True), "base", Event.LOSE),
        (at(State.TRIAL), ON_TRIAL.given_up("damaged", is_damaged=True), "base", Event.FAIL),
        (at(State.READY, slot="b"), Account(good="base", floor=2), "base", None),
        (at(State.APPLYING), Account(good="base", floor=2), "base", Event.RESUME),
        (at(State.READY), Account(), "base", None),
        (at(State.APPLYING), Account(), "base", Event.RESUME),
        (at(State.APPLYING, attempts=ATTEMPTS_MAX), Account(), "base", Event.LOSE),
        (at(State.TRIAL), Account(good="a", floor=2), "a", Event.PROVEN),
        (at(State.TRIAL), Account(good="b", floor=1, failed=Failed("1.0.0", 1)), "b", Event.LOSE),
        (at(State.COMPLETED), Account(), "base", None),
    ],
)
def test_what_happened_while_nobody_looked(record: Record, account: Account, running: str, event: Event | None) -> None:
    found = reconciled(record, account, running)
    assert (found[0] if found else None) == event


def test_windows_may_lie_over_midnight() -> None:
    night, over = policy.window_from("02:00-05:00"), policy.window_from("22:30-01:00")
    assert night is not None
    assert over is not None
    hours = {
        hour: (night.is_open(moment), over.is_open(moment))
        for hour in range(24)
        for moment in [datetime(2026, 1, 1, hour, 45, tzinfo=UTC)]
    }
    assert [hour for hour, found in hours.items() if found[0]] == [2, 3, 4]
    assert [hour for hour, found in hours.items() if found[1]] == [0, 22, 23]
    assert night.begins == time(2, 0)
    assert policy.window_from("always") is None
    for wrong in ("2-5", "02:00-02:00", "24:00-01:00", ""):
        with pytest.raises(ValueError, match=wrong or "^$"):
            policy.window_from(wrong)


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
def test_when_what_may_be_done(
    local_hour: int | None, metered: bool, held: bool, urgent: bool, rule: str, downloads: bool, restarts: bool
) -> None:
    local = None if local_hour is None else datetime(2026, 1, 1, local_hour, tzinfo=UTC)
    moment, window = policy.Moment(local, metered, held, urgent), policy.window_from("02:00-05:00")
    assert (policy.hindrance_to_download(moment, window, rule) == "") is downloads
    assert (policy.hindrance_to_restart(moment, window) == "") is restarts


def test_a_trial_is_proven_by_being_well_on_end() -> None:
    trial = health.looked(Trial(0.0), {"a": ""}, 5.0)
    assert health.judged(trial, 64.9, healthy_s=60, deadline_s=600) == (Verdict.OPEN, "")
    assert health.judged(trial, 65.0, healthy_s=60, deadline_s=600) == (Verdict.PROVEN, "")
    trial = health.looked(trial, {"a": "broken", "b": ""}, 64.0)
    trial = health.looked(trial, {"a": ""}, 70.0)
    assert health.judged(trial, 129.0, healthy_s=60, deadline_s=600)[0] is Verdict.OPEN
    verdict, why = health.judged(trial, 600.0, healthy_s=1000, deadline_s=600)
    assert verdict is Verdict.FAILED
    assert "a: broken" in why


def test_sensors_are_measured_against_before() -> None:
    assert health.sensors_problem(0, 0) == ""
    assert health.sensors_problem(4, 5) == ""
    assert "did before" in health.sensors_problem(3, 5)
