import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Corrupt
from agent.telemetry.outbox import blobs

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


def test_what_a_sensor_rounds_is_small() -> None:
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
def test_a_corrupt_blob_is_told(blob: bytes) -> None:
    with pytest.raises(Corrupt, match="stored blob"):
        blobs.decode(blob, readings=2)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoder(blob: bytes) -> None:
    for each in (blob, zlib.compress(blob)):
        try:
            columns = blobs.decode(each, readings=2)
        except Corrupt:
            continue
        assert len(columns.series) == len(columns.offset_ms) == len(columns.values) == 2
