import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.telemetry.outbox.lookup_tables import DRIFT_MS_MAX, UtcAnchor, UtcAnchors

NOON_MS = 1_774_785_600_000


@pytest.fixture
def anchors() -> UtcAnchors:
    made = UtcAnchors()
    made.add(1, UtcAnchor(from_ms=5_000, utc_at_zero_ms=NOON_MS))
    return made


def test_a_boot_without_an_anchor_has_no_time(anchors: UtcAnchors) -> None:
    assert anchors.has(1)
    assert not anchors.has(2)
    with pytest.raises(KeyError):
        anchors.utc_ms(2, 0)
    assert not anchors.has(2)


def test_first_segment_covers_all_earlier_times(anchors: UtcAnchors) -> None:
    assert anchors.utc_ms(1, 0) == NOON_MS
    assert anchors.utc_ms(1, -70) == NOON_MS - 70
    assert anchors.utc_ms(1, 9_999) == NOON_MS + 9_999


def test_second_segment_applies_from_its_start(anchors: UtcAnchors) -> None:
    anchors.add(1, UtcAnchor(from_ms=60_000, utc_at_zero_ms=NOON_MS + 2_000))
    assert anchors.utc_ms(1, 59_999) == NOON_MS + 59_999
    assert anchors.utc_ms(1, 60_000) == NOON_MS + 62_000
    assert anchors.utc_ms(1, -5) == NOON_MS - 5


def test_segments_may_come_in_any_order(anchors: UtcAnchors) -> None:
    anchors.add(1, UtcAnchor(from_ms=90_000, utc_at_zero_ms=NOON_MS + 9_000))
    anchors.add(1, UtcAnchor(from_ms=60_000, utc_at_zero_ms=NOON_MS + 2_000))
    assert anchors.utc_ms(1, 70_000) == NOON_MS + 72_000
    assert anchors.utc_ms(1, 90_000) == NOON_MS + 99_000


def test_the_first_clock_begins_the_first_segment() -> None:
    assert UtcAnchors().next_segment(7, now_ms=3_000, utc_ms=NOON_MS) == UtcAnchor(3_000, NOON_MS - 3_000)


@pytest.mark.parametrize("off_ms", [0, DRIFT_MS_MAX, -DRIFT_MS_MAX])
def test_jitter_starts_no_segment(anchors: UtcAnchors, off_ms: int) -> None:
    assert anchors.next_segment(1, now_ms=80_000, utc_ms=NOON_MS + 80_000 + off_ms) is None


@pytest.mark.parametrize("off_ms", [DRIFT_MS_MAX + 1, -DRIFT_MS_MAX - 1, 365 * 86_400_000, -365 * 86_400_000])
def test_clock_step_starts_a_segment(anchors: UtcAnchors, off_ms: int) -> None:
    found = anchors.next_segment(1, now_ms=80_000, utc_ms=NOON_MS + 80_000 + off_ms)
    assert found == UtcAnchor(80_000, NOON_MS + off_ms)


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(-(10**9), 10**9)), min_size=1, max_size=8),
    st.lists(st.integers(-(10**6), 10**7), max_size=20),
)
def test_earlier_readings_keep_their_time(steps: list[tuple[int, int]], at_ms: list[int]) -> None:
    anchors, now_ms = UtcAnchors(), 0
    told: dict[int, int] = {}
    for pause_ms, utc_at_zero_ms in steps:
        now_ms += pause_ms
        segment = anchors.next_segment(1, now_ms=now_ms, utc_ms=utc_at_zero_ms + now_ms)
        if segment is not None:
            anchors.add(1, segment)
        for instant_ms in at_ms:
            if instant_ms < now_ms:
                utc_ms = anchors.utc_ms(1, instant_ms)
                assert told.setdefault(instant_ms, utc_ms) == utc_ms
