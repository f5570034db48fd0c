"""The board of a Linux machine, on made-up trees in the shape of /sys and /proc."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.channels import Channel, Quantity
from hal.errors import SensorUnavailable
from hal.interface import Board, SensorKind
from hal.linux.board import LinuxBoard, LinuxSensor
from hal.linux.bus_threads import BusThreads
from tests.unit.hal.linux.conftest import Machine, sources, until


async def test_machine_without_chips_is_a_board_without_sensors(machine: Machine) -> None:
    board: Board = machine.board()
    assert (board.name, list(board.sensors), board.network, board.outputs) == ("linux", [], None, None)
    await board.close()


async def test_sensors_of_the_present_machine_can_be_read() -> None:
    board = LinuxBoard()
    assert len(set(sources(board))) == len(sources(board))
    await board.close()


def replace(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.fixture
def hanging(machine: Machine, cpu: Path) -> Iterator[Path]:
    """The chip's file is a pipe: a read waits until somebody writes."""
    pipe = cpu / "temp1_input"
    pipe.unlink()
    os.mkfifo(pipe)
    yield pipe
    # A writer that comes and goes sets free whoever still reads.
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


async def test_a_hanging_read_blocks_neither_the_event_loop_nor_piles_up_others(
    machine: Machine, hanging: Path
) -> None:
    machine.supply("AC", type="Mains", online="1")
    board = machine.board()
    sensor, mains = board.sensors
    assert isinstance(sensor, LinuxSensor)
    reading = asyncio.ensure_future(sensor.read())
    # The thread opens the pipe, so nobody can take the read back from it any more.
    pipe = await asyncio.to_thread(hanging.open, "w")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    for each in (sensor, mains, sensor):
        with pytest.raises(SensorUnavailable, match="an earlier read of hwmon/cpu_thermal/temp1 has not returned"):
            await each.read()
    with pipe:
        pipe.write("20000\n")
    replace(hanging, "21000\n")
    await until(lambda: not board._threads.hanging(""))
    assert await sensor.read() == 21
    assert await mains.read() == 1
    await board.close()


async def test_a_turn_and_a_single_read_know_when_the_other_hangs(machine: Machine, hanging: Path) -> None:
    machine.supply("AC", type="Mains", online="1")
    board = machine.board()
    sensor, mains = board.sensors
    assert isinstance(sensor, LinuxSensor)
    assert isinstance(mains, LinuxSensor)
    turn = sensor.turn([sensor, mains], timeout_s=0.2)
    late, behind = *await turn.advance(), *await turn.advance()
    assert str(late) == "no answer within 0 s"
    for error in (behind, *await mains.turn([mains], timeout_s=0.2).advance()):
        assert "power_supply/mains: check the wiring" in str(error)
    with pytest.raises(SensorUnavailable, match="an earlier read of hwmon/cpu_thermal/temp1 has not returned"):
        await mains.read()
    await board.close()


async def test_a_read_that_has_not_begun_is_taken_back(machine: Machine, hanging: Path) -> None:
    machine.supply("AC", type="Mains", online="1")
    board = machine.board()
    sensor, mains = board.sensors
    first, second = asyncio.ensure_future(sensor.read()), asyncio.ensure_future(mains.read())
    pipe = await asyncio.to_thread(hanging.open, "w")
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    with pipe:
        pipe.write("20000\n")
    assert await first == 20
    assert await mains.read() == 1
    await board.close()


@pytest.mark.parametrize("error", [OSError(5, "bus"), ValueError("no number"), EOFError(), ZeroDivisionError()])
async def test_the_errors_of_a_driver_are_translated(error: Exception) -> None:
    def read() -> float:
        raise error

    sensor = LinuxSensor(Channel("hwmon/chip/temp1", Quantity.TEMPERATURE, read), SensorKind.TEMPERATURE, BusThreads())
    with pytest.raises(SensorUnavailable, match=f"^hwmon/chip/temp1: {type(error).__name__}: "):
        await sensor.read()


def test_sensors_are_ordered_temperatures_power_signals(machine: Machine, cpu: Path) -> None:
    machine.wireless("wlan0: 0000 54. -56. -256")
    machine.supply("AC", type="Mains", online="1")
    machine.supply("BAT0", type="Battery", capacity="87")
    assert sources(machine.board()) == [
        "hwmon/cpu_thermal/temp1",
        "power_supply/mains",
        "power_supply/BAT0",
        "wireless/wlan0",
    ]
