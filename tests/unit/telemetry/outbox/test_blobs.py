import json
import zlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Corrupt
from agent.telemetry.outbox import blobs
from agent.telemetry.outbox.blobs import GROUP_MAX, BlobSummary, blobs_to_drop, every_second, groups_to_downsample

finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(st.integers(1, 2**40), st.integers(-(2**50), 2**50), finite), max_size=blobs.READINGS_MAX)


@given(rows)
def test_every_finite_value_comes_back_to_the_bit(readings: list[tuple[int, int, float]]) -> None:
    series, offset_ms, values = [row[0] for row in readings], [row[1] for row in readings], [row[2] for row in readings]
    columns = blobs.decode(blobs.encode(series, offset_ms, values), readings=len(readings))
    assert columns.series == series
    assert columns.offset_ms == offset_ms
    assert [value.hex() for value in columns.values] == [float(value).hex() for value in values]


def test_the_longest_blob_can_be_read_again() -> None:
    count = blobs.READINGS_MAX
    worst = -2.2250738585072014e-308
    blob = blobs.encode([2**62 + n for n in range(count)], [-(2**62) + n for n in range(count)], [worst] * count)
    assert len(blobs.decode(blob, readings=count).values) == count


def test_rounded_values_are_encoded_small() -> None:
    blob = blobs.encode(
        [1, 2, 3, 4] * 25, [n // 4 * 60_000 for n in range(100)], [20.0 + n % 7 / 100 for n in range(100)]
    )
    assert len(blob) < 400


def deflated(document: object) -> bytes:
    return zlib.compress(json.dumps(document).encode())


GOOD = blobs.encode([1, 1], [0, 60_000], [21.5, 21.6])


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 40, id="zeros"),
        pytest.param(GOOD[:-1], id="cut"),
        pytest.param(GOOD[:5], id="cut short"),
        pytest.param(GOOD[:-4] + b"\0\0\0\0", id="wrong checksum"),
        pytest.param(GOOD[: len(GOOD) // 2] + b"\xff" + GOOD[len(GOOD) // 2 + 1 :], id="one byte"),
        pytest.param(GOOD + GOOD, id="something behind"),
        pytest.param(deflated([[1, 1], [0, 1], [21.5]]), id="unequal columns"),
        pytest.param(deflated([[1], [0], [21.5]]), id="one reading too few"),
        pytest.param(deflated([[1, 1, 1], [0, 1, 2], [1, 2, 3]]), id="one reading too many"),
        pytest.param(deflated([[1], [0]]), id="two columns"),
        pytest.param(deflated({"series": []}), id="an object"),
        pytest.param(deflated([[1], [0], [None]]), id="no value"),
        pytest.param(deflated([[1], [0], ["21.5"]]), id="text"),
        pytest.param(deflated([[1.5], [0], [21.5]]), id="half a series"),
        pytest.param(zlib.compress(b"[[1],[0],[1e999]]"), id="beyond a double"),
        pytest.param(zlib.compress(b"[[1],[0],[NaN]]"), id="NaN"),
        pytest.param(zlib.compress(b'[["\xff"],[0],[1]]'), id="not UTF-8"),
        pytest.param(zlib.compress(b"[" * 50_000), id="too deep"),
        pytest.param(zlib.compress(b"[[],[],[]]" + b" " * blobs.BLOB_BYTES_MAX), id="a bomb"),
    ],
)
def test_corrupt_blob_raises(blob: bytes) -> None:
    with pytest.raises(Corrupt, match="stored blob"):
        blobs.decode(blob, readings=2)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_raise_corrupt(blob: bytes) -> None:
    for each in (blob, zlib.compress(blob)):
        try:
            columns = blobs.decode(each, readings=2)
        except Corrupt:
            continue
        assert len(columns.series) == len(columns.offset_ms) == len(columns.values) == 2


def blob(seq: int, *, boot: int = 1, waiting_device: int = 0, size_bytes: int = 100, level: int = 0) -> BlobSummary:
    return BlobSummary(
        seq=seq, boot=boot, waiting_device=waiting_device, readings=10, size_bytes=size_bytes, level=level
    )


def seqs(groups: list[list[BlobSummary]]) -> list[list[int]]:
    return [[summary.seq for summary in group] for group in groups]


def test_oldest_neighbouring_blobs_are_downsampled_first() -> None:
    blobs = [blob(seq) for seq in range(1, 50)]
    assert seqs(groups_to_downsample(blobs, excess_bytes=150)) == [[1, 2, 3]]
    assert groups_to_downsample(blobs, excess_bytes=0) == []


def test_length_of_runs_is_bounded() -> None:
    groups = groups_to_downsample([blob(seq) for seq in range(1, 21)], excess_bytes=10_000)
    assert [len(group) for group in groups] == [GROUP_MAX, GROUP_MAX, 4]


def test_only_blobs_of_one_kind_are_downsampled_together() -> None:
    blobs = [
        blob(1),
        blob(2),
        blob(3, boot=2),
        blob(4, boot=2),
        blob(5, waiting_device=7),
        blob(6, waiting_device=7),
        blob(7, level=1),
    ]
    assert seqs(groups_to_downsample(blobs, excess_bytes=10_000)) == [[1, 2], [3, 4], [5, 6]]


def test_single_blob_is_not_downsampled() -> None:
    assert groups_to_downsample([blob(1)], excess_bytes=10_000) == []
    assert groups_to_downsample([blob(1), blob(2, boot=2), blob(3)], excess_bytes=10_000) == []
    assert groups_to_downsample([], excess_bytes=10_000) == []


def test_oldest_blobs_are_dropped_until_there_is_room() -> None:
    blobs = [blob(seq) for seq in range(1, 10)]
    assert [summary.seq for summary in blobs_to_drop(blobs, excess_bytes=201)] == [1, 2, 3]
    assert [summary.seq for summary in blobs_to_drop(blobs, excess_bytes=200)] == [1, 2]
    assert blobs_to_drop(blobs, excess_bytes=0) == []
    assert blobs_to_drop(blobs, excess_bytes=10_000) == blobs


summaries = st.lists(
    st.builds(
        BlobSummary,
        seq=st.integers(1, 10**6),
        boot=st.integers(1, 2),
        waiting_device=st.integers(0, 1),
        readings=st.integers(1, 100),
        size_bytes=st.integers(20, 2000),
        level=st.integers(0, 1),
    ),
    max_size=60,
)


@given(summaries, st.integers(0, 20_000))
def test_groups_hold_consecutive_blobs_of_one_kind(blobs: list[BlobSummary], excess_bytes: int) -> None:
    groups = groups_to_downsample(blobs, excess_bytes=excess_bytes)
    places = [
        place for group in groups for place in (index for index, each in enumerate(blobs) for g in group if each is g)
    ]
    assert len(set(places)) == len(places)
    for group in groups:
        assert 2 <= len(group) <= GROUP_MAX
        assert len({(each.boot, each.waiting_device, each.level) for each in group}) == 1
    without_last = [each for group in groups[:-1] for each in group]
    assert sum(each.size_bytes for each in without_last) / 2 <= excess_bytes


@given(st.lists(st.integers(1, 5), max_size=200))
def test_every_second_reading_of_a_series_is_kept(series: list[int]) -> None:
    verdict = every_second(series)
    before, kept = Counter(series), Counter(n for n, stays in zip(series, verdict, strict=True) if stays)
    assert all(kept[number] == (before[number] + 1) // 2 for number in before)
    seen: Counter[int] = Counter()
    for number, stays in zip(series, verdict, strict=True):
        assert stays is (seen[number] % 2 == 0)
        seen[number] += 1
