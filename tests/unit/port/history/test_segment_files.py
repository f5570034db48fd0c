"""The files of the history: bounded, and a damaged or lost one costs only itself."""

import os
from pathlib import Path

import pytest

from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation
from agent.port.history import segment_files
from agent.port.history.blocks import HistoryBlock, encode, make_block
from agent.port.history.segment_files import (
    SEGMENT_BYTES_MAX,
    SEGMENT_ROWS_MAX,
    SEGMENTS_MAX,
    STEP_BYTES,
    HistorySegments,
)
from tests.unit.power_cut import Cutter, PowerCut


def block(number: int, rows: int = 15) -> HistoryBlock:
    columns = {"c": [float(number)] * rows}
    return make_block("boot", start_ms=number * 900_000, interval_ms=60_000, zero_utc_ms=None, columns=columns)


def numbers_in(segments: HistorySegments) -> list[int]:
    return [each.start_ms // 900_000 for number in segments.numbers() for each in segments.read(number)]


def test_what_was_added_is_read_by_another_process(tmp_path: Path) -> None:
    segments = HistorySegments(tmp_path, Disk())
    for number in range(3):
        segments.append([block(number)])
    again = HistorySegments(tmp_path, Disk())
    again.append([block(3)])
    assert numbers_in(again) == [0, 1, 2, 3]
    assert [each.name for each in tmp_path.iterdir()] == ["history-00000001.seg"]


def test_seven_days_are_kept_and_the_oldest_segment_makes_room(tmp_path: Path) -> None:
    blocks_a_segment = SEGMENT_ROWS_MAX // 15
    count = blocks_a_segment * (SEGMENTS_MAX + 2) + 5
    segments = HistorySegments(tmp_path, Disk())
    for number in range(count):
        segments.append([block(number)])
        assert len(segments.numbers()) <= SEGMENTS_MAX
    kept = numbers_in(segments)
    assert kept == list(range(kept[0], count))
    assert len(kept) * 15 >= 7 * 1440


def test_several_blocks_are_one_write_as_far_as_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[Operation] = []
    segments = HistorySegments(tmp_path, Disk(lambda operation, _: syncs.append(operation)))
    blocks = [block(number) for number in range(4)]
    assert segments.append(blocks) == 4
    assert syncs.count(Operation.FSYNC) == 1
    monkeypatch.setattr(segment_files, "WRITE_BYTES_MAX", len(encode(block(0))) + len(encode(block(1))))
    assert segments.append(blocks) == 2
    monkeypatch.setattr(segment_files, "WRITE_BYTES_MAX", 1)
    assert segments.append(blocks) == 1
    assert numbers_in(segments) == [0, 1, 2, 3, 0, 1, 0]


def test_a_segment_is_bounded_by_size_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SEGMENTS_MAX * SEGMENT_BYTES_MAX <= 4 * 1024 * 1024
    size_bytes = len(encode(block(0)))
    monkeypatch.setattr(segment_files, "SEGMENT_BYTES_MAX", 2 * size_bytes + size_bytes // 2)
    segments = HistorySegments(tmp_path, Disk())
    for number in range(5):
        segments.append([block(number)])
    assert segments.numbers() == [1, 2, 3]
    assert numbers_in(segments) == [0, 1, 2, 3, 4]


def test_a_power_cut_at_any_operation_costs_no_block_but_the_one_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_files, "SEGMENT_ROWS_MAX", 30)
    monkeypatch.setattr(segment_files, "SEGMENTS_MAX", 3)

    def run(directory: Path, cut_at: int) -> int:
        """Write seven blocks, cut the power at an operation, go on; return how many operations there were."""
        cutter, written = Cutter(cut_at), 0
        try:
            segments = HistorySegments(directory, Disk(cutter))
            for number in range(7):
                segments.append([block(number)])
                written += 1
        except PowerCut:
            pass
        again = HistorySegments(directory, Disk())
        before = numbers_in(again)
        assert set(range(max(0, written - 4), written)) <= set(before)
        again.append([block(99)])
        assert numbers_in(again)[-1] == 99
        assert again.problem == ""
        return cutter.operations

    total = run(tmp_path_of(tmp_path, 0), 10**9)
    seen = [run(tmp_path_of(tmp_path, cut_at), cut_at) for cut_at in range(1, total + 1)]
    assert seen == list(range(1, total + 1))
    assert total > 14


def tmp_path_of(tmp_path: Path, number: int) -> Path:
    directory = tmp_path / str(number)
    directory.mkdir()
    return directory


def test_a_torn_write_is_reported_and_costs_itself(tmp_path: Path) -> None:
    segments = HistorySegments(tmp_path, Disk())
    segments.append([block(0)])
    path = tmp_path / "history-00000001.seg"
    frame = encode(block(0))
    torn = frame + encode(block(1, rows=60))[:-3]
    path.write_bytes(torn + bytes(STEP_BYTES - len(torn)))
    again = HistorySegments(tmp_path, Disk())
    assert numbers_in(again) == [0]
    assert "damaged: history-00000001.seg" in again.problem
    again = HistorySegments(tmp_path, Disk())
    again.append([block(2)])
    assert numbers_in(again) == [0, 2]
    assert again.problem == ""
    assert path.stat().st_size == STEP_BYTES


def test_damage_in_the_middle_is_left_where_it_is(tmp_path: Path) -> None:
    segments = HistorySegments(tmp_path, Disk())
    for number in range(3):
        segments.append([block(number)])
    path = tmp_path / "history-00000001.seg"
    data = bytearray(path.read_bytes())
    data[len(encode(block(0))) + 20] ^= 0xFF
    path.write_bytes(data)
    again = HistorySegments(tmp_path, Disk())
    again.append([block(3)])
    assert numbers_in(again) == [0, 2, 3]
    assert "damaged" in again.problem


def test_a_lost_segment_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_files, "SEGMENT_ROWS_MAX", 15)
    segments = HistorySegments(tmp_path, Disk())
    for number in range(3):
        segments.append([block(number)])
    (tmp_path / "history-00000002.seg").unlink()
    segments.append([block(3)])
    assert numbers_in(segments) == [0, 2, 3]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_put_aside(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "history-00000001.seg")
    segments = HistorySegments(tmp_path, Disk())
    segments.append([block(0)])
    assert numbers_in(segments) == [0]
    assert os.path.lexists(tmp_path / "history-00000001.seg.corrupt-1")


def test_a_disk_that_refuses_loses_the_block_and_nothing_else(tmp_path: Path) -> None:
    is_refused = True

    def refuse(_: Operation, __: str) -> None:
        if is_refused:
            raise OSError(5, "Input/output error")

    segments = HistorySegments(tmp_path, Disk(refuse))
    with pytest.raises(StorageFull, match="Input/output error"):
        segments.append([block(0)])
    is_refused = False
    segments.append([block(1)])
    assert numbers_in(segments) == [1]


def test_other_files_are_left_alone_and_all_segments_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text("{}")
    (tmp_path / "history-1.seg").write_text("")
    segments = HistorySegments(tmp_path, Disk())
    segments.append([block(0)])
    segments.remove_all()
    assert segments.numbers() == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["history-1.seg", "history.json"]
    segments.append([block(1)])
    assert numbers_in(segments) == [1]


def test_a_directory_that_cannot_be_listed_has_no_history(tmp_path: Path) -> None:
    assert HistorySegments(tmp_path / "none", Disk()).numbers() == []
