"""No reading vanishes or doubles on its way through splits and re-sends; none is given up on the cloud's fault."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.telemetry.batching import (
    PAUSE_MS,
    PAUSE_MS_MAX,
    REFUSALS_IN_A_ROW_MAX,
    SUSPECT_RETRY_MS,
    SUSPECT_RETRY_MS_MAX,
    SUSPECTS_MAX,
    UNREGISTERED_READINGS_MAX,
    UNREGISTERED_RETRY_MS,
    Batch,
    RetryQueue,
    UplinkState,
    next_lane,
    split_batch,
)
from agent.telemetry.outbox.protocol import Lane, PendingReading
from hal.interface import HUB, SensorKind


def item(number: int, device: str = HUB) -> PendingReading:
    return PendingReading(device=device, kind=SensorKind.TEMPERATURE, utc_ms=number, value=float(number), seq=1)


def items(count: int, device: str = HUB) -> list[PendingReading]:
    return [item(number, device) for number in range(count)]


USUAL = UplinkState(fresh=0, fresh_age_ms=0, has_backlog=False, backlog_wait_ms=0, linger_ms=60_000, readings_max=100)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"fresh": 100}, Lane.FRESH),
        ({"fresh": 99}, 60_000),
        ({"fresh": 1, "fresh_age_ms": 59_999}, 1),
        ({"fresh": 1, "fresh_age_ms": 60_000}, Lane.FRESH),
        ({"fresh": 1, "fresh_age_ms": 10**9}, Lane.FRESH),
        ({"has_backlog": True}, Lane.BACKLOG),
        ({"has_backlog": True, "backlog_wait_ms": 700}, 700),
        ({"has_backlog": True, "fresh": 100}, Lane.FRESH),
        ({"has_backlog": True, "fresh": 1, "fresh_age_ms": 60_000}, Lane.FRESH),
        ({"has_backlog": True, "fresh": 1}, Lane.BACKLOG),
        ({"has_backlog": True, "backlog_wait_ms": 700, "fresh": 1}, 700),
        ({"has_backlog": True, "backlog_wait_ms": 700, "fresh": 1, "fresh_age_ms": 59_500}, 500),
        ({"fresh": 1, "linger_ms": 0}, Lane.FRESH),
    ],
)
def test_lanes_take_turns(changes: dict[str, int | bool], expected: Lane | int | None) -> None:
    assert next_lane(msgspec.structs.replace(USUAL, **changes)) == expected


def test_a_batch_of_several_devices_is_split_by_device_the_hub_first() -> None:
    mixed = [item(1, "b"), item(2), item(3, "a"), item(4, "b"), item(5)]
    assert split_batch(mixed, 403) == [[item(2), item(5)], [item(1, "b"), item(4, "b")], [item(3, "a")]]


def test_batch_refused_as_too_large_is_halved_by_size() -> None:
    mixed = [item(1, "b"), item(2), item(3, "a")]
    assert split_batch(mixed, 413) == [[item(1, "b")], [item(2), item(3, "a")]]


def test_a_batch_of_one_device_is_halved() -> None:
    assert [len(part) for part in split_batch(items(7), 422)] == [3, 4]


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=2, max_size=100), st.sampled_from([400, 403, 413, 422]))
def test_a_split_keeps_every_reading_once(devices: list[str], status: int) -> None:
    batch = [item(number, device) for number, device in enumerate(devices)]
    parts = split_batch(batch, status)
    assert sorted(each.utc_ms for part in parts for each in part) == list(range(len(devices)))
    assert all(0 < len(part) < len(batch) for part in parts)


def test_failed_batch_is_sent_again_first_and_unchanged() -> None:
    resends, part = RetryQueue(), Batch(items(3))
    resends.requeue(Batch(items(1, "later")))
    resends.requeue(part)
    assert len(resends) == 4
    assert resends.take(0) is part
    assert len(resends) == 1


def test_a_reading_refused_alone_waits_longer_each_time() -> None:
    resends, now_ms = RetryQueue(), 1_000
    waits_ms = []
    part: Batch | None = Batch(items(1))
    for _ in range(12):
        assert part is not None
        assert resends.handle_refusal(part, 422, now_ms) is None
        assert resends.suspects == 1
        wait_ms = resends.wait_ms(now_ms)
        assert wait_ms is not None
        assert resends.take(now_ms + wait_ms - 1) is None
        now_ms += wait_ms
        waits_ms.append(wait_ms)
        part = resends.take(now_ms)
    assert waits_ms[:3] == [SUSPECT_RETRY_MS, 2 * SUSPECT_RETRY_MS, 4 * SUSPECT_RETRY_MS]
    assert waits_ms[-1] == SUSPECT_RETRY_MS_MAX


def test_no_lane_without_readings() -> None:
    assert RetryQueue().wait_ms(0) is None
    assert RetryQueue().take(0) is None
    assert RetryQueue().suspects == 0


def test_refused_reading_becomes_a_dead_letter_only_after_others_were_accepted() -> None:
    resends = RetryQueue()
    resends.record_accepted(50)
    resends.handle_refusal(Batch(items(1)), 422, 0)
    again = resends.take(SUSPECT_RETRY_MS)
    assert again is not None
    assert resends.handle_refusal(again, 422, SUSPECT_RETRY_MS) is None
    resends.record_accepted(1)
    again = resends.take(10 * SUSPECT_RETRY_MS)
    assert again is not None
    assert resends.handle_refusal(again, 422, 10 * SUSPECT_RETRY_MS) == item(0)
    assert len(resends) == 0


def test_reading_refused_once_is_not_a_dead_letter_yet() -> None:
    resends = RetryQueue()
    resends.record_accepted(1000)
    assert resends.handle_refusal(Batch(items(1)), 422, 0) is None


def test_too_many_suspect_readings_stop_new_ones() -> None:
    resends = RetryQueue()
    was_full = []
    for number in range(SUSPECTS_MAX + 1):
        was_full.append(resends.is_full)
        resends.handle_refusal(Batch([item(number)]), 422, 0)
    assert was_full == [False] * SUSPECTS_MAX + [True]


def test_when_everything_is_refused_sending_pauses_and_each_pause_is_longer() -> None:
    resends, now_ms = RetryQueue(), 1_000
    pauses_ms = []
    for _ in range(8):
        for _ in range(REFUSALS_IN_A_ROW_MAX - 1):
            resends.handle_refusal(Batch(items(1)), 422, now_ms)
            assert resends.paused_until_ms <= now_ms
        resends.handle_refusal(Batch(items(1)), 422, now_ms)
        pauses_ms.append(resends.paused_until_ms - now_ms)
        now_ms = resends.paused_until_ms
    assert pauses_ms == [min(PAUSE_MS << index, PAUSE_MS_MAX) for index in range(8)]
    resends.record_accepted(1)
    for _ in range(REFUSALS_IN_A_ROW_MAX):
        resends.handle_refusal(Batch(items(1)), 422, now_ms)
    assert resends.paused_until_ms - now_ms == PAUSE_MS


def test_finding_one_bad_reading_in_a_full_batch_never_pauses() -> None:
    for bad in range(100):
        resends = RetryQueue()
        part: Batch | None = Batch([item(number, "ab"[number % 2]) for number in range(100)])
        while part is not None:
            if any(each.utc_ms == bad for each in part.items):
                assert resends.handle_refusal(part, 422, 0) is None
            else:
                resends.record_accepted(len(part.items))
            part = resends.take(0)
        assert resends.paused_until_ms == 0
        assert len(resends) == 1


def test_parked_readings_stop_the_backlog_only_when_there_are_many() -> None:
    resends = RetryQueue()
    resends.defer_unregistered(items(UNREGISTERED_READINGS_MAX - 1, "T1"), 0)
    assert not resends.blocks_backlog
    assert resends.take(UNREGISTERED_RETRY_MS - 1) is None
    resends.defer_unregistered(items(1, "T1"), 0)
    assert (resends.blocks_backlog, resends.is_full, len(resends)) == (True, False, UNREGISTERED_READINGS_MAX)
    part = resends.take(UNREGISTERED_RETRY_MS)
    assert part is not None
    assert part.refusals_alone == 0
    assert len(resends) == 1


def test_too_many_suspect_readings_stop_the_backlog() -> None:
    resends = RetryQueue()
    for number in range(SUSPECTS_MAX):
        resends.handle_refusal(Batch([item(number)]), 422, 0)
    assert resends.blocks_backlog


outcomes = st.lists(st.sampled_from(["accept", "refuse", "too large", "fail"]), max_size=150)


@given(outcomes, st.lists(st.integers(1, 100), min_size=1, max_size=4), st.integers(1, 4))
def test_no_reading_is_lost_or_duplicated(plan: Sequence[str], sizes: Sequence[int], devices: int) -> None:
    resends, now_ms, number = RetryQueue(), 0, 0
    batches = []
    for size in sizes:
        batches.append(Batch([item(number + index, "abcd"[index % devices]) for index in range(size)]))
        number += size
    record_accepted: list[int] = []
    buried: list[int] = []
    refusals_alone: Counter[int] = Counter()
    taken_at_first_refusal: dict[int, int] = {}
    for outcome in plan:
        now_ms += SUSPECT_RETRY_MS_MAX
        part = resends.take(now_ms) or (batches.pop() if batches else None)
        if part is None:
            break
        assert 1 <= len(part.items) <= 100
        first = part.items[0].utc_ms
        if outcome == "accept":
            resends.record_accepted(len(part.items))
            record_accepted += [each.utc_ms for each in part.items]
        elif outcome == "fail":
            resends.requeue(part)
        else:
            if len(part.items) == 1:
                refusals_alone[first] += 1
                taken_at_first_refusal.setdefault(first, len(record_accepted))
            hopeless = resends.handle_refusal(part, 413 if outcome == "too large" else 422, now_ms)
            if hopeless is not None:
                assert refusals_alone[first] >= 2
                assert len(record_accepted) > taken_at_first_refusal[first]
                buried.append(hopeless.utc_ms)
    uncommitted = [each.utc_ms for part in batches for each in part.items]
    assert len(record_accepted) + len(buried) + len(resends) + len(uncommitted) == number
    while (part := resends.take(now_ms + SUSPECT_RETRY_MS_MAX)) is not None:
        uncommitted += [each.utc_ms for each in part.items]
    assert sorted(record_accepted + buried + uncommitted) == list(range(number))
