"""Playing a recording: every row at its instant, once, and again after a crash if it was not confirmed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import async_solipsism
import pytest

from hal.interface import HUB, Board, Reading, SensorKind
from hal.replay import Recording, ReplayBoard
from hal.replay.board import ROWS_A_CALL_MAX

Record = Callable[..., Recording]


def in_virtual_time(test: Callable[[Callable[[], int]], Awaitable[None]]) -> None:
    """Run a test on a loop whose sleeps take no time, with that loop's milliseconds as its clock."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        await test(lambda: round(loop.time() * 1000))

    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        runner.run(run())


async def play(board: ReplayBoard) -> list[Reading]:
    readings: list[Reading] = []
    while not board.is_finished:
        readings += await board.network.receive()
    return readings


def key(reading: Reading) -> tuple[str, SensorKind, int]:
    return reading.device, reading.kind, reading.at_ms


def expected_readings(recording: Recording, *, start_ms: int) -> list[tuple[str, str, SensorKind, str, int]]:
    """Every reading of a recording, by the shortest way."""
    return [
        (
            channel.device,
            channel.column,
            channel.kind,
            values[row].hex(),
            start_ms + instant_ms - recording.instants_ms[0],
        )
        for row, instant_ms in enumerate(recording.instants_ms)
        for channel, values in zip(recording.channels, recording.values, strict=True)
        if values[row] == values[row]
    ]


def told(readings: Sequence[Reading]) -> list[tuple[str, str, SensorKind, str, int]]:
    return [(reading.device, reading.sensor, reading.kind, reading.value.hex(), reading.at_ms) for reading in readings]


def minutes(count: int) -> str:
    rows = "".join(f"2024-01-01T{i // 60:02}:{i % 60:02}:00,{i}.5,,\n" for i in range(count))
    return "time,a_c,a_rh,p_hpa\n" + rows


def test_whole_recording_arrives_at_its_times(three_rooms: Recording) -> None:
    async def test(monotonic_ms: Callable[[], int]) -> None:
        handed_out: list[Reading] = []
        start_ms = monotonic_ms() + 5000
        board = ReplayBoard(three_rooms, monotonic_ms=monotonic_ms, start_ms=start_ms, on_value=handed_out.append)
        readings: list[Reading] = []
        while not board.is_finished:
            batch = await board.network.receive()
            assert {reading.at_ms for reading in batch} == {monotonic_ms()}
            readings += batch
        assert told(readings) == expected_readings(three_rooms, start_ms=start_ms)
        assert handed_out == readings
        assert len({key(reading) for reading in readings}) == three_rooms.readings_count

    in_virtual_time(test)


def test_nine_room_recording_arrives_complete_and_exact(nine_rooms: Recording) -> None:
    async def test(monotonic_ms: Callable[[], int]) -> None:
        start_ms = monotonic_ms()
        readings = await play(ReplayBoard(nine_rooms, monotonic_ms=monotonic_ms, start_ms=start_ms))
        assert told(readings) == expected_readings(nine_rooms, start_ms=start_ms)
        assert len(readings) == 93_708

    in_virtual_time(test)


def test_replay_board_has_no_own_sensors_and_no_outputs(three_rooms: Recording) -> None:
    board: Board = ReplayBoard(three_rooms, monotonic_ms=lambda: 0, start_ms=0)
    assert (board.name, board.sensors, board.outputs) == ("replay", (), None)
    assert board.network is not None
    assert [sensor.name for sensor in board.network.sensors] == ["Kitchen", "Bedroom", "Bathroom"]
    asyncio.run(board.close())


def test_the_hubs_own_columns_arrive_as_its_own_readings(record: Record) -> None:
    recording = record("time,a_c,a_rh,p_hpa\n2024-01-01,,,1000.25\n")
    board = ReplayBoard(recording, monotonic_ms=lambda: 7, start_ms=7)
    assert asyncio.run(play(board)) == [Reading(HUB, "p_hpa", SensorKind.PRESSURE, 1000.25, 7)]


def test_empty_cells_and_empty_rows_give_no_reading(record: Record) -> None:
    recording = record("time,a_c,a_rh,p_hpa\n2024-01-01,,,\n2024-01-02,,,\n2024-01-03,1,,\n")
    board = ReplayBoard(recording, monotonic_ms=lambda: 10**9, start_ms=0)
    assert [key(reading) for reading in asyncio.run(play(board))] == [("A", SensorKind.TEMPERATURE, 2 * 86_400_000)]


def test_many_empty_rows_are_passed_over(record: Record) -> None:
    header, *rows, last = minutes(200).splitlines()
    empty = [row.split(",")[0] + ",,," for row in rows]
    recording = record("\n".join((header, *empty, last)))
    board = ReplayBoard(recording, monotonic_ms=lambda: 10**9, start_ms=0)
    assert [reading.value for reading in asyncio.run(play(board))] == [199.5]


def test_overdue_rows_arrive_in_order_in_bounded_numbers(record: Record) -> None:
    async def test(_: Callable[[], int]) -> None:
        board = ReplayBoard(record(minutes(200)), monotonic_ms=lambda: 10**9, start_ms=0)
        sizes, values = [], []
        while not board.is_finished:
            readings = await board.network.receive()
            sizes.append(len(readings))
            values += [reading.value for reading in readings]
        assert sizes == [ROWS_A_CALL_MAX] * 3 + [200 - 3 * ROWS_A_CALL_MAX]
        assert values == [i + 0.5 for i in range(200)]

    in_virtual_time(test)


def test_catching_up_yields_to_the_event_loop(record: Record) -> None:
    async def test(_: Callable[[], int]) -> None:
        board = ReplayBoard(record(minutes(200)), monotonic_ms=lambda: 10**9, start_ms=0)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(other())
            await play(board)
            task.cancel()
        assert turns >= 3

    in_virtual_time(test)


def test_first_row_may_lie_before_this_boot(record: Record) -> None:
    board = ReplayBoard(record(minutes(2)), monotonic_ms=lambda: 0, start_ms=-60_000)
    assert [reading.at_ms for reading in asyncio.run(play(board))] == [-60_000, 0]


@pytest.mark.parametrize("confirm_after", [0, 1, 2, 3])
def test_unconfirmed_rows_arrive_again_after_a_restart(record: Record, confirm_after: int) -> None:
    async def test(monotonic_ms: Callable[[], int]) -> None:
        board = ReplayBoard(record(minutes(4)), monotonic_ms=monotonic_ms, start_ms=monotonic_ms())
        for given in range(1, 4):
            await board.network.receive()
            if given == confirm_after:
                board.network.confirm()
        board.restart(monotonic_ms() + 1_000_000)
        again = await play(board)
        assert [reading.value for reading in again] == [i + 0.5 for i in range(confirm_after, 4)]
        assert again[0].at_ms == monotonic_ms() - (3 - confirm_after) * 60_000

    in_virtual_time(test)


def test_finished_board_replays_unconfirmed_rows_after_a_restart(record: Record) -> None:
    board = ReplayBoard(record(minutes(2)), monotonic_ms=lambda: 10**9, start_ms=0)
    finished = [board.is_finished]
    asyncio.run(play(board))
    finished.append(board.is_finished)
    board.restart(0)
    finished.append(board.is_finished)
    assert len(asyncio.run(play(board))) == 2
    board.network.confirm()
    board.restart(0)
    finished.append(board.is_finished)
    assert finished == [False, True, False, True]


def test_a_cancelled_wait_loses_nothing(record: Record) -> None:
    async def test(monotonic_ms: Callable[[], int]) -> None:
        board = ReplayBoard(record(minutes(2)), monotonic_ms=monotonic_ms, start_ms=monotonic_ms())
        await board.network.receive()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await board.network.receive()
        assert [reading.value for reading in await board.network.receive()] == [1.5]

    in_virtual_time(test)


def test_board_waits_forever_after_the_last_row(record: Record) -> None:
    async def test(monotonic_ms: Callable[[], int]) -> None:
        board = ReplayBoard(record(minutes(1)), monotonic_ms=monotonic_ms, start_ms=monotonic_ms())
        await board.network.receive()
        await board.network.receive()

    # The loop of virtual time raises this when nothing can ever happen again: no timer was left behind.
    with pytest.raises(async_solipsism.SleepForeverError):
        in_virtual_time(test)


def test_long_pause_is_slept_in_parts(record: Record) -> None:
    async def test(monotonic_ms: Callable[[], int]) -> None:
        recording = record("time,a_c,a_rh,p_hpa\n2024-01-01,1,,\n2024-01-09,2,,\n")
        board = ReplayBoard(recording, monotonic_ms=monotonic_ms, start_ms=monotonic_ms())
        assert [reading.value for reading in await play(board)] == [1, 2]

    in_virtual_time(test)
