"""The relative air index as a sensor: read beside its chip, uncertain for a day, its baseline kept over restarts."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.sensors.air_index import CERTAIN_S, AirBaseline
from agent.sensors.air_quality import BASELINES_MAX, FILE_NAME, UNCERTAIN, AirFile, AirQuality
from hal.channels import Channel, ChannelReader, Quantity
from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import HUB, Quality, Reading, SensorKind
from hal.linux.board import LinuxBoard

CHIP = "i2c-1-0077/bme680"


class Board(LinuxBoard):
    """A machine with one BME680, whose values a test sets, and a clock."""

    boot_id = "boot"

    def __init__(self, directory: Path) -> None:
        super().__init__(sysfs_root=directory / "sys", proc_root=directory / "proc")
        self.values: dict[Quantity, float | Exception] = {
            Quantity.GAS_RESISTANCE: 100_000.0,
            Quantity.TEMPERATURE: 22.0,
            Quantity.HUMIDITY: 40.0,
        }
        self.now_ms = 0
        self.directory = directory

    @property
    def channels(self) -> list[ChannelReader]:
        return [_Reader(self, quantity) for quantity in self.values]

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return None

    def air(self, *, is_wanted: bool = True) -> AirQuality:
        return AirQuality(self.directory, self, is_wanted=is_wanted, clock=self, disk=Disk(), worker=InlineWorker())


class _Reader:
    def __init__(self, board: Board, quantity: Quantity) -> None:
        self.channel = Channel(f"{CHIP}/{quantity}", quantity, lambda: 0.0, "i2c-1", "0077", "bme680", "climahub")
        self._board = board

    async def read(self) -> float:
        value = self._board.values[self.channel.quantity]
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


async def index_after(board: Board, air: AirQuality, minutes: int) -> float:
    [sensor] = air.sensors
    for _ in range(minutes):
        board.now_ms += 60_000
        try:
            value = await sensor.read()
        except SensorUnavailable as error:
            if "wait ten minutes" not in str(error):
                raise
            value = -1.0
    return value


async def test_it_is_a_sensor_of_its_chip_on_the_bus_of_the_chip(board: Board) -> None:
    [sensor] = board.air().sensors
    assert (sensor.name, sensor.kind) == (f"{CHIP}/iaq", SensorKind.IAQ)
    assert (sensor.channel.bus, sensor.channel.unit) == ("i2c-1", "IAQ")


async def test_it_is_the_same_sensor_for_as_long_as_the_hub_runs(board: Board) -> None:
    air = board.air()
    [one], [other] = air.sensors, air.sensors
    assert one is other


async def test_without_the_configuration_there_is_none(board: Board) -> None:
    assert board.air(is_wanted=False).sensors == []
    assert board.air(is_wanted=False).loops() == {}
    board.values = {Quantity.TEMPERATURE: 20.0}
    assert board.air().sensors == []


async def test_worse_air_has_a_higher_index(board: Board) -> None:
    air = board.air()
    assert await index_after(board, air, 10) == -1
    assert await index_after(board, air, 20) == 0
    board.values[Quantity.GAS_RESISTANCE] = 50_000.0
    assert await index_after(board, air, 1) == pytest.approx(375, abs=1)


async def test_it_is_suspect_until_a_day_has_passed(board: Board) -> None:
    air = board.air()
    await index_after(board, air, 30)
    reading = Reading(HUB, f"{CHIP}/iaq", SensorKind.IAQ, 10.0, 0)
    assert air.judge(reading) == msgspec.structs.replace(reading, quality=Quality.SUSPECT, reason=UNCERTAIN)
    await index_after(board, air, 24 * 60)
    assert air.judge(reading) == reading


async def test_other_readings_are_left_as_they_are(board: Board) -> None:
    air = board.air()
    for other in (
        Reading(HUB, f"{CHIP}/temperature", SensorKind.TEMPERATURE, 20.0, 0),
        Reading("0x01", f"{CHIP}/iaq", SensorKind.IAQ, 20.0, 0),
        Reading(HUB, "elsewhere/iaq", SensorKind.IAQ, 20.0, 0),
        Reading(HUB, f"{CHIP}/iaq", SensorKind.IAQ, 20.0, 0, Quality.BAD, "range"),
    ):
        assert air.judge(other) == other


async def test_the_baseline_is_kept_over_a_restart(board: Board) -> None:
    air = board.air()
    await index_after(board, air, 24 * 60 + 20)
    await air.save()
    board.values[Quantity.GAS_RESISTANCE] = 50_000.0
    again = board.air()
    assert await index_after(board, again, 11) == pytest.approx(375, abs=1)
    assert again.judge(reading := Reading(HUB, f"{CHIP}/iaq", SensorKind.IAQ, 375.0, 0)) == reading


async def test_a_damaged_baseline_is_learned_anew(board: Board) -> None:
    (board.directory / FILE_NAME).write_bytes(msgspec.json.encode(AirFile({CHIP: AirBaseline(99.0, CERTAIN_S)})))
    assert board.air().sensors[0].state.baseline is None


async def test_the_older_baseline_is_gone_on_with(board: Board) -> None:
    """A disk may give the file late, when the sensor has begun a baseline of its own."""
    air = board.air()
    await index_after(board, air, 20)
    [sensor] = air.sensors
    begun = sensor.state.baseline
    sensor.adopt(AirBaseline(11.0, 1.0))
    sensor.adopt(None)
    assert sensor.state.baseline == begun
    sensor.adopt(AirBaseline(11.0, CERTAIN_S))
    assert sensor.state.baseline == AirBaseline(11.0, CERTAIN_S)


async def test_baselines_of_sensors_that_are_gone_are_kept_up_to_a_limit(board: Board) -> None:
    old = {f"i2c-{number}-0077/bme680": AirBaseline(11.0) for number in range(2, 40)}
    (board.directory / FILE_NAME).write_bytes(msgspec.json.encode(AirFile(old)))
    air = board.air()
    await index_after(board, air, 20)
    await air.save()
    kept = msgspec.json.decode((board.directory / FILE_NAME).read_bytes())["baselines"]
    assert len(kept) == BASELINES_MAX
    assert CHIP in kept


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
async def test_no_resistance_is_no_index(board: Board, value: float) -> None:
    board.values[Quantity.GAS_RESISTANCE] = value
    with pytest.raises(ReadingImplausible, match="is no resistance"):
        await board.air().sensors[0].read()


async def test_a_chip_that_is_read_by_somebody_else_serves_its_last_air(board: Board) -> None:
    air = board.air()
    await index_after(board, air, 20)
    board.values[Quantity.HUMIDITY] = SensorUnavailable("an earlier read has not returned")
    assert await index_after(board, air, 1) == 0
    board.now_ms += 600_001
    with pytest.raises(SensorUnavailable, match="an earlier read"):
        await air.sensors[0].read()


async def test_a_chip_that_shows_a_part_only_is_no_index(board: Board) -> None:
    del board.values[Quantity.HUMIDITY]
    with pytest.raises(SensorUnavailable, match="shows no humidity now"):
        await board.air().sensors[0].read()


async def test_two_who_read_at_once_read_one_after_the_other(board: Board) -> None:
    air = board.air()
    await index_after(board, air, 20)
    [sensor] = air.sensors
    assert await asyncio.gather(sensor.read(), sensor.read()) == [0, 0]
