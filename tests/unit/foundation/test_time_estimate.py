import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.time_estimate import TimeEstimate, TimeSource, from_server, http_date_ms, revise

NOW_MS = 1_800_000_000_000
CLOUD, NTP, RTC = TimeSource.CLOUD, TimeSource.NTP, TimeSource.RTC


def at(now_ms: int, off_ms: int, error_ms: int, source: TimeSource) -> TimeEstimate:
    return TimeEstimate(now_ms, NOW_MS + now_ms + off_ms, error_ms, source)


def test_first_estimate_is_accepted() -> None:
    offered = at(0, 0, 1, RTC)
    assert revise(None, offered) is offered


@pytest.mark.parametrize(
    ("known", "offered", "off_ms", "error_ms"),
    [
        # Both can be right: the time stays, the bound shrinks.
        (at(0, 0, 2000, CLOUD), at(0, 700, 1000, CLOUD), 0, 1700),
        (at(0, 0, 45_000, NTP), at(0, 500, 1000, CLOUD), 0, 1500),
        # The more exact one excludes it: it has drifted.
        (at(0, 0, 45_000, NTP), at(0, 4000, 1000, CLOUD), 4000, 1000),
        (at(0, 0, 300_000, RTC), at(0, 90_000, 1000, CLOUD), 90_000, 1000),
        # A less exact one changes nothing.
        (at(0, 0, 1000, CLOUD), at(0, 90_000, 300_000, RTC), 0, 1000),
        # A contradiction: the better kind wins.
        (at(0, 0, 1000, CLOUD), at(0, 9_000_000, 100, NTP), 9_000_000, 100),
        (at(0, 0, 45_000, NTP), at(0, 9_000_000, 1000, CLOUD), 0, 45_000),
        (at(0, 0, 1000, CLOUD), at(0, 9_000_000, 1000, CLOUD), 9_000_000, 1000),
    ],
)
def test_better_of_two_estimates_is_chosen(
    known: TimeEstimate, offered: TimeEstimate, off_ms: int, error_ms: int
) -> None:
    believed = revise(known, offered)
    assert (believed.utc_at(0) - NOW_MS, believed.error_at(0)) == (off_ms, error_ms)


@given(
    st.integers(0, 10**9),
    st.lists(st.tuples(st.sampled_from(TimeSource), st.integers(0, 10**6), st.floats(-1, 1), st.integers(0, 10**8))),
)
def test_true_time_stays_within_the_error_bound(
    first_error_ms: int, offers: list[tuple[TimeSource, int, float, int]]
) -> None:
    known, now_ms = at(0, first_error_ms, first_error_ms, RTC), 0
    for source, error_ms, share, later_ms in offers:
        now_ms += later_ms
        known = revise(known, at(now_ms, int(error_ms * share), error_ms, source))
        assert abs(known.utc_at(now_ms) - NOW_MS - now_ms) <= known.error_at(now_ms)


@given(st.integers(0, 60_000), st.integers(0, 60_000), st.integers(0, 10**12))
def test_the_true_time_is_within_the_bound_of_a_date(up_ms: int, down_ms: int, sent_ms: int) -> None:
    written_ms = sent_ms + up_ms
    estimate = from_server(written_ms // 1000 * 1000, round_trip_ms=up_ms + down_ms, at_ms=5)
    assert abs(estimate.utc_ms - (written_ms + down_ms)) <= estimate.error_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_799_000),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ("Sun, 31 Feb 2027 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 0٦ Nov 1994 08:49:37 GMT", None),
        ("", None),
    ],
)
def test_http_dates(text: str, expected: int | None) -> None:
    assert http_date_ms(text) == expected


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    assert http_date_ms(text) is None
