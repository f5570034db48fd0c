import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.port.history.blocks import (
    CHANNELS_MAX,
    CONTENT_BYTES_MAX,
    FRAME_BYTES_MAX,
    MAGIC,
    ROWS_MAX,
    VALUE_MAX,
    HistoryBlock,
    decode,
    encode,
    make_block,
)

values = st.none() | st.integers(-int(VALUE_MAX) * 100, int(VALUE_MAX) * 100).map(lambda number: number / 100)


@st.composite
def blocks(draw: st.DrawFn) -> HistoryBlock:
    rows = draw(st.integers(1, 15))
    column = st.lists(values, min_size=rows, max_size=rows)
    return make_block(
        draw(st.text(max_size=8)),
        start_ms=draw(st.integers(-(2**40), 2**40)),
        interval_ms=draw(st.integers(1, 10**6)),
        zero_utc_ms=draw(st.none() | st.integers(0, 2**42)),
        columns=draw(st.dictionaries(st.text(max_size=8), column, min_size=1, max_size=5)),
    )


def block(number: int = 0) -> HistoryBlock:
    columns = {"zone/a/temperature": [20.0, None, 20.37 + number]}
    return make_block("boot", start_ms=number * 900_000, interval_ms=60_000, zero_utc_ms=None, columns=columns)


def blocks_in(data: bytes) -> list[HistoryBlock | None]:
    return [each for each, _ in decode(data)]


@given(st.lists(blocks(), max_size=4))
def test_written_block_is_read(written: list[HistoryBlock]) -> None:
    assert blocks_in(b"".join(map(encode, written))) == written


def test_values_are_kept_in_hundredths_and_what_is_no_number_is_a_gap() -> None:
    column = (20.123, float("nan"), float("inf"), 2 * VALUE_MAX, -0.004)
    made = make_block("b", start_ms=0, interval_ms=1, zero_utc_ms=None, columns={"c": column})
    (read,) = blocks_in(encode(made))
    assert read is not None
    assert read.values("c") == (20.12, None, None, None, 0.0)
    assert read.values("another") == ()


@given(st.lists(values, min_size=1, max_size=15))
def test_values_round_trip(column: list[float | None]) -> None:
    made = make_block("b", start_ms=0, interval_ms=1, zero_utc_ms=None, columns={"c": column})
    assert list(made.values("c")) == column


@given(st.integers(0, 200), st.binary(min_size=1, max_size=30), st.booleans())
def test_damage_costs_the_block_it_hits_and_no_other(at: int, junk: bytes, is_inserted: bool) -> None:
    frames = [encode(block(number)) for number in range(3)]
    middle = frames[1]
    at = min(at, len(middle) - 1)
    damaged = middle[:at] + junk + middle[at if is_inserted else at + len(junk) :]
    read = blocks_in(frames[0] + damaged + frames[2])
    assert read[0] == block(0)
    assert block(2) in read
    assert all(each is None or each in (block(0), block(1), block(2)) for each in read)


@pytest.mark.parametrize("length", range(len(encode(block()))))
def test_a_write_that_was_cut_short_costs_itself(length: int) -> None:
    read = blocks_in(encode(block(1))[:length] + encode(block(2)))
    assert read == ([None, block(2)] if length else [block(2)])


@given(st.lists(blocks(), max_size=3), st.integers(0, 100))
def test_zeros_behind_the_last_block_are_room(written: list[HistoryBlock], room: int) -> None:
    data = b"".join(map(encode, written))
    found = list(decode(data + bytes(room)))
    assert [each for each, _ in found] == written
    assert [end for _, end in found][-1:] == [len(data)][: len(written)]


def test_damage_in_a_row_is_one_gap() -> None:
    junk = MAGIC + b"\xff" * 20
    assert blocks_in(junk + junk + junk + encode(block(1))) == [None, block(1)]


@given(st.binary(max_size=300))
def test_junk_holds_no_block_and_raises_nothing(junk: bytes) -> None:
    assert set(blocks_in(junk)) <= {None}
    assert set(blocks_in(MAGIC + junk)) <= {None}


def framed(packed: bytes) -> bytes:
    return MAGIC + len(packed).to_bytes(4, "little") + zlib.crc32(packed).to_bytes(4, "little") + packed


@pytest.mark.parametrize(
    "content",
    [
        ["b", 0, 60_000, None, 2, {"c": [1]}],
        ["b", 0, 60_000, None, 0, {}],
        ["b", 0, 0, None, 1, {"c": [1]}],
        ["b", 0, 60_000, None, ROWS_MAX + 1, {"c": [1] * (ROWS_MAX + 1)}],
        ["b", 0, 60_000, None, 1, {str(number): [1] for number in range(CHANNELS_MAX + 1)}],
        ["b", 0, 60_000, None, 1, {"c": ["one"]}],
        [],
    ],
)
def test_a_valid_frame_with_a_content_that_contradicts_itself_is_no_block(content: object) -> None:
    assert blocks_in(framed(zlib.compress(msgspec.msgpack.encode(content)))) == [None]


def test_a_small_frame_cannot_fill_the_memory() -> None:
    bomb = zlib.compress(b"\xc0" * (50 * CONTENT_BYTES_MAX))
    assert len(bomb) < FRAME_BYTES_MAX
    assert blocks_in(framed(bomb)) == [None]


def test_a_block_that_no_reader_would_accept_is_not_written() -> None:
    with pytest.raises(ValueError, match="cannot be read again"):
        encode(HistoryBlock("b", 0, 1, None, ROWS_MAX + 1, {}))
    with pytest.raises(ValueError, match="cannot be read again"):
        encode(HistoryBlock("b", 0, 1, None, 1, {str(number): [1] for number in range(CHANNELS_MAX + 1)}))
