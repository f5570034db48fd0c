"""The service: calibrations are durable, belong to one sensor, and nothing here costs a reading."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.errors import SettingInvalid, StorageFull, UnknownSensor
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.sensors import calibration
from agent.sensors.calibration import LEARNED_MAX, OFFSETS_MAX, Calibration, Offset
from agent.sensors.self_heating import LAGS_S, SelfHeating
from agent.sensors.service import FILE_NAME, READS_AGE_MS_MAX, CalibrationChange, SensorsService
from hal.interface import HUB, Quality, Reading, SensorKind

T, RH = SensorKind.TEMPERATURE, SensorKind.HUMIDITY
BOARD = "i2c-1-0076/bme280/temperature"
PIPE = "w1-28-00000a1b2c3d/ds18b20/temperature"
CPU = "hwmon/cpu_thermal/temp1"
OLD, NEW = "0x00158d0001a2b3c4", "0x00158d0001a2b3c5"


class Clock:
    boot_id = "boot"

    def __init__(self) -> None:
        self.now_ms = 1000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return 1_800_000_000_000 + self.now_ms


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.allow: Callable[[Operation, str], None] = lambda *_: None
        self.devices = {"Attic": OLD}
        self.service = self.start()

    def start(self) -> SensorsService:
        self.service = SensorsService(
            self.directory,
            in_case=[BOARD],
            rooms=[(BOARD, "Attic")],
            devices=lambda: self.devices,
            clock=self.clock,
            disk=Disk(self._before),
            worker=InlineWorker(),
        )
        return self.service

    def _before(self, operation: Operation, target: str) -> None:
        self.allow(operation, target)

    def report(self, sensor: str, value: float, *, kind: SensorKind = T, device: str = HUB) -> Reading:
        return self.service.judge(Reading(device, sensor, kind, value, self.clock.now_ms))

    def settle(self) -> Reading:
        for _ in range(20):
            self.clock.now_ms += round(LAGS_S[-1] * 500)
            self.report(CPU, 45.0)
            self.clock.now_ms += 1000
            reading = self.report(BOARD, 25.0)
            self.report(CPU, 45.0)
        for _ in range(200):
            self.clock.now_ms += 600_000
            self.report(CPU, 45.0)
            reading = self.report(BOARD, 25.0)
        return reading

    async def calibrate(self, sensor: str, kind: SensorKind | None = None, **change: Any) -> float:  # noqa: ANN401
        wanted = CalibrationChange(**change)
        return (await self.service.calibrate(sensor, kind, wanted, by="anna")).offset


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.report(PIPE, 21.0)
    bench.report("", 20.0, device=OLD)
    bench.report("", 45.0, device=OLD, kind=RH)
    return bench


def refuse(operation: Operation, target: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_the_true_value_becomes_an_offset_over_restarts(bench: Bench) -> None:
    assert await bench.calibrate("Attic", reads=20.6) == pytest.approx(0.6)
    bench.start()
    assert bench.report("", 20.0, device=OLD).value == pytest.approx(20.6)
    kept = bench.service.note(OLD, "", T)
    assert kept is not None
    assert kept.offset == pytest.approx(0.6)
    # A second comparison corrects the first, and adds nothing to it.
    assert await bench.calibrate("Attic", reads=20.2) == pytest.approx(0.2)
    offset = bench.service._store.value.offsets[f"{OLD}/temperature"]
    assert (offset.by, offset.at[:4]) == ("anna", "2027")


async def test_offsets_by_kind_and_clear(bench: Bench) -> None:
    await bench.calibrate(OLD, RH, offset=-3.0)
    assert bench.report("", 45.0, device=OLD, kind=RH).value == 42.0
    assert bench.report("", 20.0, device=OLD).value == 20.0
    await bench.calibrate(OLD, RH, clear=True)
    assert bench.report("", 45.0, device=OLD, kind=RH).value == 45.0
    await bench.calibrate(PIPE, offset=0.25)
    assert bench.report(PIPE, 21.0).value == 21.25


async def test_a_replacement_starts_without_unless_it_is_wanted(bench: Bench) -> None:
    await bench.calibrate("Attic", offset=0.6)
    bench.devices["Attic"] = NEW
    assert bench.report("", 20.0, device=NEW).value == 20.0
    assert await bench.calibrate("Attic", take_from=OLD) == 0.6
    assert bench.report("", 20.0, device=NEW).value == 20.6
    with pytest.raises(UnknownSensor, match="no offset for temperature is kept of nobody"):
        await bench.calibrate("Attic", take_from="nobody")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"offset": 10.5}, "replace the sensor"),
        ({"offset": float("nan")}, "replace the sensor"),
        ({"reads": 200.0}, "cannot be true"),
        ({"reads": 31.0}, "replace the sensor"),
        ({}, "give one of"),
        ({"reads": 20.0, "clear": True}, "give one of"),
    ],
)
async def test_what_cannot_be(bench: Bench, change: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingInvalid, match=text):
        await bench.calibrate("Attic", **change)
    assert not bench.service._store.value.offsets


async def test_only_some_kinds_have_an_offset(bench: Bench) -> None:
    with pytest.raises(UnknownSensor, match="climahub sensors"):
        await bench.calibrate("Attic", SensorKind.BATTERY_LEVEL, offset=1.0)
    with pytest.raises(SettingInvalid, match="battery_level has no offset"):
        calibration.checked(SensorKind.BATTERY_LEVEL, 1.0)


async def test_unknown_and_silent_sensors(bench: Bench) -> None:
    with pytest.raises(UnknownSensor):
        await bench.calibrate("Cellar", reads=20.0)
    bench.clock.now_ms += READS_AGE_MS_MAX + 1
    with pytest.raises(SettingInvalid, match="wait until Attic reports"):
        await bench.calibrate("Attic", reads=20.0)
    assert await bench.calibrate("Attic", offset=0.5) == 0.5


async def test_a_disk_that_refuses_changes_nothing(bench: Bench) -> None:
    bench.allow = refuse
    with pytest.raises(StorageFull):
        await bench.calibrate("Attic", offset=0.5)
    assert bench.report("", 20.0, device=OLD).value == 20.0


async def test_a_sensor_in_the_case_learns_instead(bench: Bench) -> None:
    assert bench.settle().value == pytest.approx(22.0, abs=0.1)
    done = await bench.service.calibrate(BOARD, None, CalibrationChange(reads=20.5), by="anna")
    assert (done.is_learned, done.offset) == (True, 0.0)
    assert bench.report(BOARD, 25.0).value == pytest.approx(20.5, abs=0.1)
    bench.start()
    assert bench.settle().value == pytest.approx(20.5, abs=0.2)
    await bench.calibrate(BOARD, clear=True)
    assert not bench.service._store.value.self_heating
    assert bench.report(BOARD, 25.0).value > 24.9 or bench.settle().value == pytest.approx(22.0, abs=0.1)


async def test_without_a_processor_a_sensor_in_the_case_has_an_offset(bench: Bench) -> None:
    bench.report(BOARD, 25.0)
    assert await bench.calibrate(BOARD, reads=22.0) == -3.0


async def test_what_is_learned_is_saved_now_and_then(bench: Bench) -> None:
    bench.settle()
    await bench.service.save()
    assert not (bench.directory / FILE_NAME).exists()
    bench.clock.now_ms += 1000
    bench.report("", 20.0, device=OLD)
    bench.settle()
    bench.service._judge.enter(BOARD, 21.0)
    await bench.service.save()
    assert (bench.directory / FILE_NAME).exists()


def test_a_damaged_file_shifts_no_temperature(bench: Bench) -> None:
    path = bench.directory / FILE_NAME
    path.write_bytes(
        b'{"offsets":{"a":{"value":1e9},"b":{"value":0.5}},"self_heating":{"%s":{"hypotheses":[]}}}' % BOARD.encode()
    )
    service = bench.start()
    assert service._store.value.offsets == {"b": Offset(0.5)}
    assert not service._store.value.self_heating
    assert "impossible numbers" in service.problem


def test_a_defect_costs_no_reading(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Reading) -> Reading:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.service._judge, "judge", broken)
    reading = Reading(HUB, "x", RH, 101.0, 0)
    assert bench.service.judge(reading).value == 100.0
    assert bench.service.judge(reading).quality is Quality.GOOD
    assert "is used as it measures" in bench.service.problem


def test_limits() -> None:
    full = Calibration({str(number): Offset(1.0) for number in range(OFFSETS_MAX)})
    with pytest.raises(SettingInvalid, match="clear the offsets"):
        calibration.with_offset(full, "one more", Offset(1.0))
    assert calibration.with_offset(full, "0", Offset(2.0)).offsets["0"] == Offset(2.0)
    assert len(calibration.with_offset(full, "0", None).offsets) == OFFSETS_MAX - 1
    many = calibration.with_learned(Calibration(), {str(number): SelfHeating() for number in range(LEARNED_MAX + 3)})
    assert next(iter(many.self_heating)) == "3"
    assert len(many.self_heating) == LEARNED_MAX
