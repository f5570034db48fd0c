import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.clock import Now
from agent.port.history.blocks import CHANNEL_CHARACTERS_MAX, CHANNELS_MAX, HistoryBlock, encode
from agent.port.history.buffer import BLOCK_ROWS, INTERVAL_MS, HistoryBuffer


def at(number: int, *, late_ms: int = 0, utc_ms: int | None = None, boot_id: str = "boot") -> Now:
    return Now(boot_id, 5000 + number * INTERVAL_MS + late_ms, utc_ms)


def filled(rows: int) -> tuple[HistoryBuffer, list[HistoryBlock]]:
    buffer, done = HistoryBuffer(), []
    for number in range(rows):
        done += buffer.add(at(number), {"a": float(number)})
    return buffer, done


def test_a_block_is_done_after_a_quarter_of_an_hour() -> None:
    buffer, done = filled(BLOCK_ROWS - 1)
    assert done == []
    (block,) = buffer.add(at(BLOCK_ROWS - 1), {"a": 1.0})
    assert (block.start_ms, block.rows, block.interval_ms, block.zero_utc_ms) == (5000, BLOCK_ROWS, INTERVAL_MS, None)
    assert buffer.block() is None


def test_a_channel_that_comes_or_goes_has_gaps() -> None:
    buffer = HistoryBuffer()
    buffer.add(at(0), {"a": 1.0})
    buffer.add(at(1), {"b": 2.0, "never": None})
    buffer.add(at(2), {"a": 3.0, "b": None})
    block = buffer.block()
    assert block is not None
    assert {channel: block.values(channel) for channel in block.differences} == {
        "a": (1.0, None, 3.0),
        "b": (None, 2.0, None),
    }


def test_a_row_beside_its_instant_begins_another_block() -> None:
    for now in (at(2, late_ms=INTERVAL_MS), at(2, late_ms=-INTERVAL_MS), at(2, boot_id="another")):
        buffer, _ = filled(2)
        (block,) = buffer.add(now, {"a": 9.0})
        assert block.values("a") == (0.0, 1.0)
        rest = buffer.block()
        assert rest is not None
        assert (rest.start_ms, rest.boot_id, rest.values("a")) == (now.now_ms, now.boot_id, (9.0,))
    buffer, _ = filled(2)
    assert buffer.add(at(2, late_ms=900), {"a": 9.0}) == []


def test_the_time_that_was_learnt_last_counts() -> None:
    buffer, _ = filled(2)
    buffer.add(at(2, utc_ms=1_000_000_000), {"a": 1.0})
    block = buffer.block()
    assert block is not None
    assert block.zero_utc_ms == 1_000_000_000 - 5000 - 2 * INTERVAL_MS


def test_rows_without_any_value_leave_no_block() -> None:
    buffer = HistoryBuffer()
    for number in range(BLOCK_ROWS):
        assert buffer.add(at(number), {"a": None}) == []
    assert buffer.take() == []


def test_channels_and_their_names_are_bounded() -> None:
    buffer = HistoryBuffer()
    buffer.add(at(0), {"x" * (CHANNEL_CHARACTERS_MAX + 1): 1.0})
    assert buffer.block() is None
    buffer.add(at(1), {f"{number:0{CHANNEL_CHARACTERS_MAX}}": 1.0 for number in range(CHANNELS_MAX + 5)})
    block = buffer.block()
    assert block is not None
    assert len(block.differences) == CHANNELS_MAX


def test_the_largest_block_can_be_written() -> None:
    buffer, done, rng = HistoryBuffer(), [], random.Random(1)
    for number in range(BLOCK_ROWS):
        row = {f"{channel:0{CHANNEL_CHARACTERS_MAX}}": rng.uniform(-1e7, 1e7) for channel in range(CHANNELS_MAX)}
        done += buffer.add(at(number), row)
    (block,) = done
    assert encode(block)


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.floats(-50, 50)), max_size=60))
def test_every_value_is_in_one_block_at_its_time(steps: list[tuple[int, float | None]]) -> None:
    buffer, blocks, expected, minute = HistoryBuffer(), [], {}, 0
    for skipped, value in steps:
        minute += 1 + skipped
        blocks += buffer.add(at(minute), {"a": value})
        if value is not None:
            expected[at(minute).now_ms] = value
    blocks += buffer.take()
    found = {
        block.start_ms + row * block.interval_ms: value
        for block in blocks
        for row, value in enumerate(block.values("a"))
        if value is not None
    }
    # Hundredths: a half may go either way, for 0.085 is not exactly half.
    assert found == pytest.approx(expected, abs=0.005 + 1e-9)
