"""The loop: outputs off however it ends, heat with a full disk, programs survive, a hang is noticed."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC
from pathlib import Path

import msgspec
import pytest

from agent.climate import service, snapshot
from agent.climate.fusion import SensorReading
from agent.climate.heat_source import HeatSourceState
from agent.climate.holds import HOLDS_MAX, with_hold
from agent.climate.model import WEEK, Block, Hold, HoldKind, Mode, Schedule, Setpoints, ZoneProgram
from agent.climate.requests import SCHEDULES_MAX, HoldRequest, PutScheduleRequest, apply
from agent.climate.schedule import BLOCKS_MAX
from agent.climate.sensor_validation import ValidationState
from agent.climate.service import FILE_NAME, ClimateService
from agent.climate.settings import ZONES_MAX, ClimateSettings, HeatSourceKind, HeatSourceSettings, ZoneSettings
from agent.climate.short_cycle_protection import STARTS_MAX, ShortCycleLimits, ShortCycleState
from agent.climate.snapshot import ClimateSnapshot, ZoneSnapshot
from agent.config.zones import SENSORS_MAX
from agent.errors import SettingInvalid
from agent.foundation.clock import Now
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from hal.errors import ActuatorFault
from hal.interface import HvacAction, HvacDemand, ZoneOutput

HEAT, OFF = HvacAction.HEAT, HvacAction.OFF
SETTINGS = ClimateSettings(
    zones=(ZoneSettings(zone_id="z", sensors=(("t", 1.0),), limits=ShortCycleLimits(60.0, 60.0, 60)),)
)


class Outputs:
    """Relays that remember; `act` may raise or hang."""

    def __init__(self) -> None:
        self.zones = (ZoneOutput("z"),)
        self.applied: list[HvacDemand] = []
        self.act: Callable[[], object] = lambda: None
        self.hang: asyncio.Event | None = None
        self.hanging: HvacDemand | None = None

    async def apply(self, demand: HvacDemand) -> None:
        if self.hang is not None:
            self.hanging = demand
            await self.hang.wait()
        self.act()
        self.applied.append(demand)


class Clock:
    """A minute passes with each look at the sensors."""

    boot_id = "boot"

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.utc: int | None = 1_768_400_000_000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return self.utc


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.outputs = Outputs()
        self.disk = Disk()
        self.faults: list[str] = []
        self.value_c = 15.0
        self.timezone = "Europe/Berlin"
        self.fail: Exception | None = None
        self.missing: list[str] = []
        self.is_silent = False
        self._task: asyncio.Task[None] | None = None

    def observed(self) -> Mapping[str, SensorReading]:
        self.clock.now_ms += 60_000
        if self.fail is not None:
            raise self.fail
        if self.is_silent:
            return {}
        return {"t": SensorReading(self.value_c, self.clock.now_ms)}

    def make(self, settings: ClimateSettings = SETTINGS) -> ClimateService:
        return ClimateService(
            self.directory,
            settings=settings,
            outputs=self.outputs,
            readings=self.observed,
            timezone=lambda: self.timezone,
            clock=self.clock,
            disk=self.disk,
            worker=InlineWorker(),
            missing_sensors=lambda: self.missing,
            add_fault=self.faults.append,
        )

    def start(self, climate: ClimateService) -> None:
        _task = self.running(climate)

    def running(self, climate: ClimateService) -> asyncio.Task[None]:
        self._task = asyncio.get_running_loop().create_task(climate.run())
        return self._task

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - the loop under test has no event for it
                await asyncio.sleep(0)

    async def heats(self) -> None:
        await self.until(lambda: self.outputs.applied and self.outputs.applied[-1].zones.get("z") is HEAT)

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    for name in ("DECISION_INTERVAL_S", "SNAPSHOT_DELAY_S", "SNAPSHOT_RETRY_S"):
        monkeypatch.setattr(service, name, 0.0)
    made = Bench(tmp_path)
    yield made
    await made.end()


async def test_cold_zone_is_heated_and_a_stop_switches_outputs_off(bench: Bench) -> None:
    bench.start(bench.make())
    await bench.heats()
    await bench.end()
    assert bench.outputs.applied[-1] == HvacDemand()


async def test_output_on_a_device_is_given_the_temperature_of_its_room(bench: Bench) -> None:
    bench.outputs.zones = (ZoneOutput("z", device="0x01"),)
    bench.start(bench.make())
    await bench.heats()
    assert bench.outputs.applied[-1].room_c == {"z": 15.0}
    await bench.end()
    assert bench.outputs.applied[-1] == HvacDemand()


async def test_repeated_cancellation_still_waits_for_slow_outputs_to_go_off(bench: Bench) -> None:
    """The daemon cancels again each second what has not ended."""
    task = bench.running(bench.make())
    await bench.heats()
    bench.outputs.hang = asyncio.Event()
    task.cancel()
    await bench.until(lambda: bench.outputs.hanging == HvacDemand())
    for _ in range(3):
        task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
    assert not task.done()
    bench.outputs.hang.set()
    await asyncio.wait({task})
    assert task.cancelled()
    assert bench.outputs.applied[-1] == HvacDemand()
    assert (bench.directory / FILE_NAME).exists()


async def test_stop_does_not_wait_for_outputs_that_never_go_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "OFF_S_MAX", 0.01)
    task = bench.running(bench.make())
    await bench.heats()
    bench.outputs.hang = asyncio.Event()
    task.cancel()
    await asyncio.wait({task})
    assert "did not go off" in caplog.text


async def test_defect_switches_outputs_off_and_the_next_run_waits_its_minimum_off_time(bench: Bench) -> None:
    climate = bench.make()
    task = bench.running(climate)
    await bench.heats()
    bench.fail = RuntimeError("a defect")
    await asyncio.wait({task})
    assert task.exception() is not None
    assert bench.outputs.applied[-1] == HvacDemand()
    bench.fail = None
    count = len(bench.outputs.applied)
    bench.start(climate)
    await bench.until(lambda: len(bench.outputs.applied) > count)
    assert bench.outputs.applied[count].zones == {"z": OFF}


async def test_full_disk_does_not_stop_heating_and_is_reported(bench: Bench) -> None:
    def full(operation: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", target)

    bench.disk.on_operation = full
    climate = bench.make()
    bench.start(climate)
    await bench.heats()
    await bench.until(lambda: "no room on the disk" in climate.file_problem)
    before = len(bench.outputs.applied)
    await bench.until(lambda: len(bench.outputs.applied) > before + 10)
    bench.disk.on_operation = lambda operation, target: None
    await bench.until(lambda: not climate.file_problem)
    assert (bench.directory / FILE_NAME).exists()


async def test_a_program_survives_a_restart(bench: Bench) -> None:
    climate = bench.make()
    program = with_hold(ZoneProgram(setpoints=Setpoints(18.0, 25.0)), Hold("h", heat_setpoint_c=22.0), climate.now())
    climate.set_program("z", program)
    bench.start(climate)
    await bench.until((bench.directory / FILE_NAME).exists)
    await bench.end()
    assert bench.make().control.zones["z"].program == climate.control.zones["z"].program
    with pytest.raises(KeyError):
        climate.set_program("attic", program)


async def test_snapshots_are_soon_at_the_start_and_rare_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    climate = bench.make()
    waits: list[tuple[int, float | None]] = []

    async def wait(timeout_s: float | None = None) -> bool:
        waits.append((bench.clock.now_ms - 1_000_000, timeout_s))
        await asyncio.sleep(0)
        return True

    monkeypatch.setattr(climate._snapshot_due, "wait", wait)
    bench.start(climate)
    await bench.until(lambda: waits and waits[-1][0] > 900_000)
    assert all(timeout_s == snapshot.interval_s(run_ms / 1000) for run_ms, timeout_s in waits)
    assert waits[0][1] == waits[0][0] / 1000 == 60.0
    assert waits[-1][1] == 900.0


async def test_a_request_is_decided_on_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DECISION_INTERVAL_S", 3600.0)
    climate = bench.make()
    bench.start(climate)
    await bench.until(lambda: bench.outputs.applied)
    assert climate.control.last is not None
    assert "20.0" in climate.control.last.reasons[0]
    climate.set_program("z", ZoneProgram(setpoints=Setpoints(10.0, 26.0)))
    await bench.until(lambda: len(bench.outputs.applied) > 1)
    assert "10.0" in climate.control.last.reasons[0]


async def test_unreadable_file_is_quarantined(bench: Bench) -> None:
    (bench.directory / FILE_NAME).write_bytes(b"{")
    climate = bench.make()
    assert f"kept as {FILE_NAME}.corrupt-1" in climate.file_problem
    assert bench.faults == [climate.file_problem]
    bench.start(climate)
    await bench.heats()


async def test_outputs_that_fail_are_reported_once_and_tried_again(bench: Bench) -> None:
    def broken() -> None:
        raise ActuatorFault("relay 3 does not answer; check its cable")

    bench.outputs.act = broken
    climate = bench.make()
    bench.start(climate)
    await bench.until(lambda: climate.control.state.at_ms > 2_000_000)
    assert bench.faults == ["relay 3 does not answer; check its cable"]
    assert climate.output_problem == bench.faults[0]
    bench.outputs.act = lambda: None
    await bench.heats()
    assert climate.output_problem == ""


@pytest.mark.parametrize(("zone_min_s", "boiler_min_s"), [(600.0, 60.0), (60.0, 600.0)])
async def test_output_that_comes_on_late_runs_for_its_minimum_on_time(
    bench: Bench, zone_min_s: float, boiler_min_s: float
) -> None:
    def broken() -> None:
        raise ActuatorFault("the plug does not answer; check its supply")

    zone = ZoneSettings(zone_id="z", sensors=(("t", 1.0),), limits=ShortCycleLimits(zone_min_s, 60.0, 60))
    boiler = HeatSourceSettings(kind=HeatSourceKind.BOILER, limits=ShortCycleLimits(boiler_min_s, 60.0, 60))
    climate = bench.make(ClimateSettings(zones=(zone,), heat_source=boiler))
    bench.outputs.act = broken
    bench.start(climate)
    await bench.until(lambda: climate.control.state.zones[0].relay.is_on)
    demanded_ms = climate.control.state.zones[0].relay.changed_ms
    await bench.until(lambda: climate.control.state.at_ms >= demanded_ms + 480_000)
    bench.outputs.act = lambda: None
    await bench.heats()
    on_ms = climate.control.state.at_ms
    bench.value_c = 25.0
    await bench.until(lambda: bench.outputs.applied[-1].zones["z"] is OFF)
    assert climate.control.state.at_ms - on_ms >= 600_000


async def test_hanging_outputs_do_not_block_the_control_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "APPLY_S_MAX", 0.0)
    bench.outputs.hang = asyncio.Event()
    climate = bench.make()
    bench.start(climate)
    await bench.until(lambda: "did not respond" in climate.output_problem)
    before_ms = climate.control.state.at_ms
    await bench.until(lambda: climate.control.state.at_ms > before_ms)


async def test_control_loop_without_a_decision_for_a_minute_counts_as_hung(bench: Bench) -> None:
    climate = bench.make()
    assert not climate.is_hung
    bench.clock.now_ms += 60_001
    assert climate.is_hung


async def test_control_loop_that_fails_after_each_start_counts_as_hung(bench: Bench) -> None:
    climate = bench.make()
    bench.start(climate)
    await bench.until(lambda: bench.outputs.applied)
    await bench.end()
    assert not climate.is_hung
    bench.fail = ValueError("a defect")
    for _ in range(3):
        with pytest.raises(ExceptionGroup):
            await bench.running(climate)
    assert climate.is_hung


async def test_a_zone_that_does_not_get_warmer_is_reported_once(bench: Bench) -> None:
    bench.start(bench.make())
    await bench.until(lambda: bench.faults)
    assert "z: restart or replace the sensor, then check the heating" in bench.faults[0]
    before = len(bench.outputs.applied)
    await bench.until(lambda: len(bench.outputs.applied) > before + 50)
    assert len(bench.faults) == 1


async def test_unknown_time_zone_falls_back_to_utc(bench: Bench) -> None:
    climate = bench.make()
    assert str(climate.timezone()) == "Europe/Berlin"
    bench.timezone = "Mars/Olympus"
    assert str(climate.timezone()) == "UTC"


async def test_a_missing_sensor_is_reported_once_until_it_reports(bench: Bench) -> None:
    bench.value_c = 20.0
    bench.missing = ["kitchn 1"]
    climate = bench.make()
    begin_ms = bench.clock.now_ms
    bench.start(climate)
    await bench.until(lambda: climate.sensor_problem)
    assert bench.clock.now_ms - begin_ms >= service.MISSING_SENSOR_S * 1000
    assert "no sensor is called kitchn 1" in climate.sensor_problem
    before = len(bench.outputs.applied)
    await bench.until(lambda: len(bench.outputs.applied) > before + 10)
    assert bench.faults == [climate.sensor_problem]
    bench.missing = []
    await bench.until(lambda: not climate.sensor_problem)


async def test_the_largest_programs_that_are_accepted_fit_into_the_file_of_every_release(bench: Bench) -> None:
    ids = tuple(f"{number}-" + "z" * 30 for number in range(ZONES_MAX))
    names = tuple(f"{number:03}" + "n" * 125 for number in range(ZONES_MAX * SENSORS_MAX))
    settings = ClimateSettings(
        zones=tuple(
            ZoneSettings(
                zone_id=zone_id,
                sensors=tuple((name, 1.0) for name in names[number * SENSORS_MAX : (number + 1) * SENSORS_MAX]),
            )
            for number, zone_id in enumerate(ids)
        )
    )
    climate = bench.make(settings)
    moment = climate.now()
    program = largest_program(moment)
    for zone_id in ids:
        climate.set_program(zone_id, program)
    starts_ms = tuple(1_000_000_000_000 + number for number in range(STARTS_MAX))
    full = ShortCycleState(is_on=False, changed_ms=starts_ms[-1], starts_ms=starts_ms)
    validations = dict.fromkeys((*names, "gone"), ValidationState(20.123456789012345, starts_ms[-1], is_suspect=True))
    control = climate.control
    control.validations |= validations
    control.state = msgspec.structs.replace(
        control.state,
        zones=tuple(msgspec.structs.replace(zone, relay=full) for zone in control.state.zones),
        heat_source=HeatSourceState(full, full, full),
    )
    task = bench.running(climate)
    await bench.until((bench.directory / FILE_NAME).exists)
    await bench.end()
    assert task.cancelled()
    size = (bench.directory / FILE_NAME).stat().st_size
    remembered = control.zones[ids[0]].program.last
    assert remembered
    assert len(remembered.sensors) == SENSORS_MAX
    assert (
        service.SNAPSHOT_BYTES_MAX * 3 // 4 < size <= service.SNAPSHOT_BYTES_MAX == 1024 * 1024 < service.FILE_BYTES_MAX
    )
    again = bench.make(settings)
    assert again.file_problem == ""
    assert [again.control.zones[zone_id].program for zone_id in ids] == [
        control.zones[zone_id].program for zone_id in ids
    ]
    assert "gone" not in again.control.validations


def largest_program(now: Now) -> ZoneProgram:
    """Return a program to which nothing can be added: the longest schedules, then holds without an end."""
    program = ZoneProgram()
    label = "\N{SNOWMAN}" * 64
    block = Block(label, "00:00", "23:59", 20.123456789012345, 26.123456789012345, WEEK[:6])
    sensors = ("n" * 2000,) * SENSORS_MAX
    for number in range(SCHEDULES_MAX):
        for count in range(BLOCKS_MAX, 0, -1):
            # The sensors of the block in force are kept once more.
            last = block if number else msgspec.structs.replace(block, sensors=sensors)
            blocks = (*(block,) * (count - 1), last)
            put = PutScheduleRequest(Schedule(f"{number:02}" + label[2:], blocks), is_followed=not number)
            with contextlib.suppress(SettingInvalid):
                program = apply(program, put, now, UTC, new_id="")
                break
    for number in range(HOLDS_MAX):
        hold = HoldRequest(
            HoldKind.BOOST, 20.123456789012345, 26.123456789012345, Mode.AUTO, start="2026-12-01T00:00:00.001+00:00",
            until="2026-12-31T00:00:00.001+00:00", id=f"{number:02}" + "\N{GRINNING FACE}" * 62,
        )  # fmt: skip
        program = apply(program, hold, now, UTC, new_id="")
    return program


async def test_the_loss_of_a_sensor_and_its_return_are_saved(bench: Bench) -> None:
    bench.value_c = 25.0
    climate = bench.make()
    bench.start(climate)

    def written() -> ClimateSnapshot | None:
        path = bench.directory / FILE_NAME
        return msgspec.json.decode(path.read_bytes(), type=ClimateSnapshot) if path.exists() else None

    def is_lost() -> bool | None:
        kept = written()
        return None if kept is None else kept.zones["z"].lost_for_s is not None

    await bench.until(lambda: is_lost() is False)
    bench.is_silent = True
    await bench.until(is_lost)
    bench.is_silent = False
    await bench.until(lambda: is_lost() is False)


async def test_invalid_part_of_the_file_does_not_affect_the_others(bench: Bench) -> None:
    climate = bench.make()
    (zone_id,) = climate.control.zones
    week = Schedule("week", (Block("All", "00:00", "00:00", 19.5, 30.0),))
    program = ZoneProgram(schedules={"week": week}, schedule="week")
    kept = msgspec.to_builtins(ClimateSnapshot(zones={zone_id: ZoneSnapshot(program), "other": ZoneSnapshot(program)}))
    kept["zones"]["other"]["program"] = 7
    kept["zones"][zone_id]["program"]["holds"] = [{"id": "a", "kind": "siesta"}, {"id": "b", "heat_setpoint_c": 18.0}]
    kept["zones"][zone_id]["mean_duty"] = "half"
    await bench.end()
    (bench.directory / FILE_NAME).write_bytes(msgspec.json.encode(kept))
    again = bench.make()
    found = again.control.zones[zone_id].program
    assert found.schedules == {"week": week}
    assert [hold.id for hold in found.holds] == ["b"]
    assert "zones.other" in again.file_problem
    assert f"zones.{zone_id}.program.holds[0]" in again.file_problem
    assert bench.faults == [again.file_problem]


async def test_schedule_without_times_is_dropped_and_reported(bench: Bench) -> None:
    good = Schedule("good", (Block("All", "00:00", "00:00", 19.5, 30.0),))
    bad = Schedule("bad", (Block("All", "noon", "00:00", 19.5, 30.0),))
    program = ZoneProgram(schedules={"good": good, "bad": bad}, schedule="bad")
    saved = ClimateSnapshot(zones={"z": ZoneSnapshot(program)})
    (bench.directory / FILE_NAME).write_bytes(msgspec.json.encode(saved))
    climate = bench.make()
    assert climate.control.zones["z"].program.schedules == {"good": good}
    assert bench.faults == [f"{FILE_NAME}: schedule 'bad' of z is damaged and was dropped; store it again"]
    bench.start(climate)
    await bench.heats()
