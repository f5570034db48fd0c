from itertools import product

import pytest

from lab.refcloud.contract import OTA_EDGES, OTA_HISTORY_MAX
from lab.refcloud.models import OtaStatus
from lab.refcloud.records import OtaHistory, OtaStatusPost, ReadingTally, ReadingVerdict

STATUSES: tuple[OtaStatus, ...] = ("downloading", "downloaded", "verifying", "applying", "completed", "failed")
LEGAL = {
    ("downloading", "downloaded"),
    ("downloaded", "verifying"),
    ("verifying", "applying"),
    ("applying", "completed"),
    ("downloading", "failed"),
    ("downloaded", "failed"),
    ("verifying", "failed"),
    ("applying", "failed"),
    ("failed", "downloading"),
    ("completed", "downloading"),
}


def history(*posts: tuple[str, OtaStatus]) -> OtaHistory:
    kept = OtaHistory("a")
    for version, status in posts:
        legal = kept.is_legal(version, status)
        kept = kept.appended(OtaStatusPost(at_ms=0, version=version, status=status, is_legal=legal))
    return kept


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_allowed_transitions_of_one_update(before: OtaStatus, after: OtaStatus) -> None:
    legal = before == after or (before, after) in LEGAL
    assert history(("2", before)).is_legal("2", after) is legal


@pytest.mark.parametrize("status", STATUSES)
def test_update_begins_with_downloading(status: OtaStatus) -> None:
    assert history().is_legal("2", status) is (status == "downloading")
    assert history(("1", "completed")).is_legal("2", status) is (status == "downloading")
    assert history(("1", "failed")).is_legal("2", status) is (status == "downloading")
    assert not history(("1", "verifying")).is_legal("2", status)


def test_every_status_has_its_transitions() -> None:
    assert set(OTA_EDGES) == {"idle", *STATUSES}


def test_history_is_bounded_and_its_counts_continue() -> None:
    applying: tuple[str, OtaStatus] = ("2", "applying")
    kept = history(*[applying] * (OTA_HISTORY_MAX + 5))
    assert len(kept.posts) == OTA_HISTORY_MAX
    assert (kept.posts_total, kept.illegal_total) == (OTA_HISTORY_MAX + 5, 1)


def test_counts_add_up() -> None:
    tally = (
        ReadingTally("a")
        .added([ReadingVerdict.STORED, ReadingVerdict.DUPLICATE])
        .added([ReadingVerdict.CONFLICTING, ReadingVerdict.STORED])
    )
    assert tally == ReadingTally("a", batches=2, stored=2, duplicates=1, conflicting=1)
    assert tally.accepted == 4
