"""The climate in the local API and on the command line, through a real socket: what was set is shown."""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.cli import exit_codes, root
from agent.cli.climate import as_text
from agent.climate.fault_detection import StuckSensorState
from agent.climate.fusion import SensorReading
from agent.climate.model import HoldKind, Mode
from agent.climate.requests import EcoRequest, HoldRequest, SetRequest
from agent.climate.service import ClimateService
from agent.climate.settings import ClimateSettings, HeatSourceKind, HeatSourceSettings, ZoneSettings
from agent.climate.supply_pipe import SupplyPipe
from agent.errors import ClimahubError, SettingInvalid
from agent.foundation.disk import Disk, Operation, allow_operation
from agent.foundation.worker import InlineWorker
from agent.home.thermostats import Thermostats
from agent.local import climate as local_climate
from agent.local.routes import Caller, LocalRequest, RequestRefused, Role, refusal_of
from hal.interface import HvacDemand, ZoneOutput
from hal.radio import BinaryKind, BinaryState
from tests.unit.home.home_bench import make_home
from tests.unit.port.http.served import serve_handlers
from tests.unit.power_cut import Cutter, PowerCut

ZONES = ("living", "bath")
WEEK = b"""{"name": "week", "blocks": [
 {"label": "Day", "start": "06:00", "end": "22:00", "heat_setpoint_c": 21, "cool_setpoint_c": 26},
 {"label": "Night", "start": "22:00", "end": "06:00", "heat_setpoint_c": 17, "cool_setpoint_c": 27}]}"""


class Clock:
    boot_id = "boot"

    def monotonic_ms(self) -> int:
        return 10_000_000

    def utc_ms(self) -> int | None:
        return 1_768_392_000_000  # 2026-01-14, 13:00 in Berlin


class Outputs:
    zones = tuple(ZoneOutput(name) for name in ZONES)

    async def apply(self, demand: HvacDemand) -> None:
        """Nothing."""


def make(directory: Path, disk: Disk | None = None) -> ClimateService:
    settings = ClimateSettings(
        zones=tuple(ZoneSettings(zone_id=name, sensors=((name, 1.0),)) for name in ZONES),
        heat_source=HeatSourceSettings(kind=HeatSourceKind.BOILER),
    )
    return ClimateService(
        directory,
        settings=settings,
        outputs=Outputs(),
        readings=lambda: {"living": SensorReading(19.4, 10_000_000)},
        timezone=lambda: "Europe/Berlin",
        clock=Clock(),
        disk=disk or Disk(),
        worker=InlineWorker(),
    )


def thermostats_of(climate: ClimateService) -> Thermostats:
    return make_home(climate, Clock(), Path("unused")).thermostats


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def hub(tmp_path: Path, disk: Disk) -> AsyncIterator[tuple[Path, ClimateService]]:
    climate = make(tmp_path, disk)
    climate.control.step(climate.now(), {"living": SensorReading(19.4, 10_000_000)}, climate.timezone())
    path = tmp_path / "status.sock"
    thermostats = thermostats_of(climate)
    handlers = local_climate.handlers(climate, lambda: thermostats)
    task = asyncio.get_running_loop().create_task(serve_handlers(path, handlers))
    async with asyncio.timeout(60):
        while not path.exists():  # noqa: ASYNC110 - the file is the event
            await asyncio.sleep(0)
    yield path, climate
    task.cancel()
    await asyncio.wait({task})


async def climahub(path: Path, *words: str) -> int:
    return await asyncio.to_thread(root.run, ["climate", *words, "--socket", str(path)])


async def test_status_shows_every_zone_with_its_reason(
    hub: tuple[Path, ClimateService], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await climahub(hub[0], "status") == exit_codes.OK
    text = capsys.readouterr().out
    assert "living  19.4 °C  20.0 to 26.0 °C  heat  off" in text
    assert "idle: 0.6 K below 20.0" in text
    assert "! bath: no sensor has reported yet" in text
    assert "heat source: off" in text
    assert await climahub(hub[0], "status", "--unit", "F") == exit_codes.OK
    assert "66.9 °F  68.0 to 78.8 °F" in capsys.readouterr().out
    assert await climahub(hub[0], "status", "--json") == exit_codes.OK
    assert msgspec.json.decode(capsys.readouterr().out, type=local_climate.ClimateReport).zones[0].room_c == 19.4


async def test_status_shows_what_contacts_say(
    hub: tuple[Path, ClimateService], capsys: pytest.CaptureFixture[str]
) -> None:
    path, climate = hub
    state = BinaryState("0x01", BinaryKind.CONTACT, is_active=True, since_ms=1, heard_ms=1)
    climate.control.step(climate.now(), {}, binary_states={"living": [state]})
    assert local_climate.build_climate(climate).zones[0].detected == ["living: open"]
    assert await climahub(path, "status") == exit_codes.OK
    assert "living: living: open" in capsys.readouterr().out


async def test_set_hold_eco_and_resume(hub: tuple[Path, ClimateService], capsys: pytest.CaptureFixture[str]) -> None:
    path, climate = hub
    assert await climahub(path, "set", "--mode", "auto", "--heat", "68F", "--cool", "25") == exit_codes.OK
    assert "bath: 20.0 to 25.0 °C, auto; no schedule" in capsys.readouterr().out
    assert (
        await climahub(path, "hold", "--zone", "living", "--heat", "22", "--for", "2h", "--id", "mine") == exit_codes.OK
    )
    said = capsys.readouterr().out
    assert said == "living: 22.0 to 25.0 °C, auto; hold, until Wed 15:00\n"
    assert await climahub(path, "status") == exit_codes.OK
    assert "living: hold mine, now, until Wed 14 Jan 15:00" in capsys.readouterr().out
    assert await climahub(path, "eco", "on", "--heat-limit", "18") == exit_codes.OK
    assert "living: 18.0 to 25.6 °C, auto; hold, bounded by eco" in capsys.readouterr().out
    assert await climahub(path, "eco", "off") == exit_codes.OK
    assert await climahub(path, "resume", "--zone", "living", "--id", "mine") == exit_codes.OK
    assert climate.control.zones["living"].program.holds == ()
    assert await climahub(path, "hold", "--away") == exit_codes.OK
    assert await climahub(path, "resume") == exit_codes.OK
    assert not any(zone.program.holds for zone in climate.control.zones.values())


async def test_change_that_the_disk_refuses_is_in_force_and_said_to_be_lost_at_a_restart(
    hub: tuple[Path, ClimateService], disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    path, climate = hub
    disk.on_operation = refuse
    assert await climahub(path, "set", "--heat", "23") == exit_codes.FAILED
    said = capsys.readouterr()
    assert "free some space" in said.err
    assert "The change is in force now; it is lost at a restart unless the disk takes it before" in said.err
    assert not said.out
    assert climate.control.zones["living"].program.setpoints.heat_setpoint_c == 23.0
    with pytest.raises(RequestRefused) as refused:
        await post(climate, b'{"do": "set", "heat_setpoint_c": 22}')
    assert (refused.value.status, refused.value.code) == (503, "storage_full")
    disk.on_operation = allow_operation
    await post(climate, b'{"do": "set", "heat_setpoint_c": 21}')
    assert make(path.parent).control.zones["living"].program.setpoints.heat_setpoint_c == 21.0


async def post(climate: ClimateService, body: bytes) -> None:
    """What `POST /v1/climate/living` does; an error is raised as it is answered."""
    thermostats = thermostats_of(climate)
    caller = Caller("anna", Role.SERVICE, "socket")
    try:
        handler = local_climate.handlers(climate, lambda: thermostats)["change_climate"]
        await handler(LocalRequest({"zone": "living"}, caller, body=body))
    except ClimahubError as error:
        raise refusal_of(error) from error


async def test_change_that_was_answered_outlives_a_power_cut_before_any_operation(tmp_path: Path) -> None:
    at, is_answered = 0, False
    while not is_answered:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        await post(make(directory), b'{"do": "set", "heat_setpoint_c": 19}')
        cutter = Cutter(at)
        with contextlib.suppress(PowerCut):
            await post(make(directory, Disk(cutter)), b'{"do": "set", "heat_setpoint_c": 23}')
            is_answered = True
        found = make(directory).control.zones["living"].program.setpoints.heat_setpoint_c
        assert found in ([23.0] if is_answered else [19.0, 23.0])
    assert cutter.operations >= 4


async def test_schedules_from_a_file(
    hub: tuple[Path, ClimateService], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, climate = hub
    file = tmp_path / "week.json"
    file.write_bytes(WEEK)
    assert await climahub(path, "schedule", "all", "--put", str(file)) == exit_codes.OK
    assert "bath: 21.0 to 26.0 °C, heat; schedule, Day, until Wed 22:00" in capsys.readouterr().out
    assert await climahub(path, "schedule", "living") == exit_codes.OK
    assert '"label": "Night"' in capsys.readouterr().out
    assert await climahub(path, "schedule", "living", "--none") == exit_codes.OK
    assert await climahub(path, "schedule", "living", "--follow", "week") == exit_codes.OK
    assert climate.control.zones["living"].program.schedule == "week"
    assert await climahub(path, "schedule", "living", "--drop", "week") == exit_codes.OK
    assert climate.control.zones["living"].program.schedules == {}
    file.write_bytes(b"{")
    assert await climahub(path, "schedule", "living", "--put", str(file)) == exit_codes.USAGE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "--zone", "attic", "--heat", "20"], "name another zone: there is no attic; there is living, bath"),
        (["set", "--heat", "50"], "allowed are 4 to 35"),
        (["hold", "--heat", "20", "--until", "next"], "follows no schedule"),
        (
            ["set", "--zone", "bath", "--mode", "cool"],
            "choose heat or auto or off: the equipment of bath cannot do cool",
        ),
        (["resume", "--id", "x"], "there is no hold x"),
        (["schedule", "living", "--follow", "x"], "there is no schedule x"),
    ],
)
async def test_invalid_request_is_refused_and_changes_nothing(
    hub: tuple[Path, ClimateService], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [zone.program for zone in hub[1].control.zones.values()]
    assert await climahub(hub[0], *words) == exit_codes.FAILED
    assert said in capsys.readouterr().err
    assert [zone.program for zone in hub[1].control.zones.values()] == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"do": "dance"}', 400),
        (b'{"do": "set", "x": 1}', 400),
        (b"\xff", 400),
        (b" " * 70_000, 413),
    ],
)
async def test_body_that_is_no_climate_request_is_refused(
    hub: tuple[Path, ClimateService], body: bytes, status: int
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(hub[0]))
    head = f"POST /v1/climate/living HTTP/1.1\r\nHost: hub\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(f"HTTP/1.1 {status}".encode())


async def test_temperatures_and_durations_are_read_as_people_write_them(hub: tuple[Path, ClimateService]) -> None:
    assert await climahub(hub[0], "set", "--heat", "warm") == exit_codes.USAGE
    assert await climahub(hub[0], "hold", "--heat", "20", "--for", "soon") == exit_codes.USAGE
    assert await climahub(hub[0], "hold", "--heat", "20.5°C", "--for", "90") == exit_codes.OK


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"start": "2026-01-14T21:30:00Z", "end": "2026-01-15T05:00:00Z"},
            "from Wed 14 Jan 22:30, until Thu 15 Jan 06:00",
        ),
        ({"until": "time", "left_s": 3540.0}, "now, for 59 min more"),
        ({"until": "next_block"}, "now, until the next block"),
        ({}, "now, until resumed"),
    ],
)
async def test_hold_is_shown_with_its_end_in_local_time(
    hub: tuple[Path, ClimateService], changed: dict[str, object], said: str
) -> None:
    nothing = local_climate.HoldReport("h", "hold", 20.0, None, None, None, None, "changed", None)
    report = local_climate.build_climate(hub[1])
    zone = msgspec.structs.replace(report.zones[0], holds=[msgspec.structs.replace(nothing, **changed)])
    assert f"living: hold h, {said}" in as_text(msgspec.structs.replace(report, zones=[zone]))


def test_of_all_zones_those_that_are_off_are_left_as_they_are(tmp_path: Path) -> None:
    climate = make(tmp_path)
    boost = HoldRequest(kind=HoldKind.BOOST)
    thermostats_of(climate).apply("bath", SetRequest(mode=Mode.OFF), by="anna")
    assert thermostats_of(climate).apply("all", boost, by="anna") == ("living",)
    assert [len(zone.holds) for zone in local_climate.build_climate(climate).zones] == [1, 0]
    for zone_id in ("bath", "living"):
        thermostats_of(climate).apply(zone_id, SetRequest(mode=Mode.OFF), by="anna")
        with pytest.raises(SettingInvalid, match=f"choose a mode for {zone_id} first"):
            thermostats_of(climate).apply(zone_id, boost, by="anna")
    with pytest.raises(SettingInvalid, match="it is off"):
        thermostats_of(climate).apply("all", boost, by="anna")


def test_a_program_sees_what_is_wrong_with_a_zone_without_reading_its_words(tmp_path: Path) -> None:
    climate = make(tmp_path)
    living, bath = climate.control.state.zones
    living = msgspec.structs.replace(living, supply_pipe=SupplyPipe(is_failing=True))
    bath = msgspec.structs.replace(bath, stuck_sensor=StuckSensorState(is_stuck=True))
    climate.control.state = msgspec.structs.replace(climate.control.state, zones=(living, bath))
    flags = [(zone.is_heated_in_vain, zone.is_sensor_stuck) for zone in local_climate.build_climate(climate).zones]
    assert flags == [(True, False), (False, True)]
    reported = msgspec.structs.replace(bath, stuck_sensor=StuckSensorState(is_reported=True))
    assert reported.is_heated_in_vain, "whether it is the sensor or the heating is not known"


def test_flags_say_what_holds_a_zone_and_that_its_sensors_contradict_each_other(tmp_path: Path) -> None:
    climate = make(tmp_path)
    (living, _), control = climate.control.zones.values(), climate.control
    living.temperature = msgspec.structs.replace(living.temperature, has_contradiction=True)
    flags = [(zone.is_held, zone.has_contradiction) for zone in local_climate.build_climate(climate).zones]
    assert flags == [(False, True), (False, False)]
    made = control.step(climate.now(), {}, climate.timezone())
    control.last = msgspec.structs.replace(made, held=(False, True))
    assert [zone.is_held for zone in local_climate.build_climate(climate).zones] == [False, True]


def test_eco_is_shown_as_switched_on_where_it_changes_nothing(tmp_path: Path) -> None:
    climate = make(tmp_path)
    thermostats_of(climate).apply("living", EcoRequest(is_enabled=True), by="anna")
    thermostats_of(climate).apply("living", HoldRequest(kind=HoldKind.AWAY), by="anna")
    zone = local_climate.build_climate(climate).zones[0]
    assert (zone.is_eco, zone.is_eco_enabled) == (False, True)


def test_a_hub_without_zones_says_so() -> None:
    assert "drives nothing" in as_text(local_climate.build_climate(None))


def test_command_without_a_running_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["climate", "status", "--socket", str(tmp_path / "none.sock")]) == exit_codes.NO_DAEMON
    assert "climahub config check" in capsys.readouterr().err


def never() -> Thermostats:
    raise AssertionError("nothing to change")


async def test_hub_without_zones_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "idle.sock"
    task = asyncio.get_running_loop().create_task(serve_handlers(path, local_climate.handlers(None, never)))
    async with asyncio.timeout(60):
        while not path.exists():  # noqa: ASYNC110 - the file is the event
            await asyncio.sleep(0)
    assert await climahub(path, "status") == exit_codes.OK
    assert "drives nothing" in capsys.readouterr().out
    assert await climahub(path, "resume") == exit_codes.FAILED
    assert "add zones" in capsys.readouterr().err
    task.cancel()
    await asyncio.wait({task})
