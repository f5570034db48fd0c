"""What an API sees of a zone, and the one path of requests."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.climate.effective_setpoint import SetpointReason
from agent.climate.model import Mode
from agent.climate.requests import EcoRequest, HoldRequest, SetRequest
from agent.errors import SettingInvalid, StorageFull, UnknownDevice
from agent.home import thermostats as thermostats_module
from agent.home.temperatures import from_fahrenheit, to_fahrenheit
from agent.home.thermostats import Thermostats
from hal.interface import HUB, HvacAction, Quality, SensorKind
from tests.unit.home.home_bench import HomeBench


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


def humidity(bench: HomeBench, device: str, sensor: str, value: float, quality: Quality = Quality.GOOD) -> None:
    bench.report(SensorKind.HUMIDITY, value, device, sensor, quality)


def test_a_zone_as_a_thermostat(bench: HomeBench) -> None:
    bench.home.thermostats.apply("living", HoldRequest(heat_setpoint_c=18.5, mode=Mode.AUTO, id="mine"), by="anna")
    bench.step()
    living, bath = bench.home.thermostats.all()
    assert (living.zone_id, living.temperature_c, living.humidity_percent) == ("living", 19.4, None)
    assert (living.mode, living.heat_setpoint_c, living.cool_setpoint_c) == (Mode.AUTO, 18.5, 26.0)
    assert living.modes == (Mode.HEAT, Mode.COOL, Mode.AUTO, Mode.OFF)
    assert living.hold is not None
    assert (living.hold.id, living.setpoint_reason) == ("mine", SetpointReason.HOLD)
    assert (living.action, living.is_online, living.problem) == (HvacAction.OFF, True, "")
    assert (bath.can_heat, bath.can_cool, bath.hold) == (True, False, None)


def test_unknown_zones(bench: HomeBench) -> None:
    with pytest.raises(UnknownDevice, match="there is no attic; there is living, bath"):
        bench.home.thermostats.get("attic")
    with pytest.raises(UnknownDevice):
        bench.home.thermostats.apply("attic", SetRequest(Mode.OFF), by="anna")


def test_a_mode_that_one_zone_cannot_do_changes_none(bench: HomeBench) -> None:
    with pytest.raises(SettingInvalid, match="the equipment of bath cannot do cool"):
        bench.home.thermostats.apply("all", SetRequest(Mode.COOL), by="anna")
    assert [each.mode for each in bench.home.thermostats.all()] == [Mode.HEAT, Mode.HEAT]


@pytest.mark.parametrize("end", ["the disk answers", "the disk refuses"])
async def test_a_change_waits_for_a_disk_that_hangs_only_as_long_as_its_caller(
    bench: HomeBench, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    thermostats, climate, answer = bench.home.thermostats, bench.climate, asyncio.Event()
    saves: list[str] = []

    async def hang() -> None:
        saves.append("begun")
        await answer.wait()
        if end == "the disk refuses":
            raise StorageFull("full")

    monkeypatch.setattr(thermostats_module, "SAVE_S_MAX", 0.01)
    with monkeypatch.context() as hung:
        hung.setattr(climate, "save", hang)
        thermostats.apply("living", SetRequest(heat_setpoint_c=23.0), by="anna")
        for _ in range(3):
            callers = [asyncio.create_task(thermostats.save_in_time()) for _ in range(2)]
            for caller in callers:
                with pytest.raises(StorageFull, match=r"check the disk.*The change is in force now; it is lost"):
                    await asyncio.wait_for(caller, 30.0)
        gone = asyncio.create_task(thermostats.save_in_time())
        await asyncio.sleep(0)
        gone.cancel()
    assert (saves, thermostats.get("living").heat_setpoint_c) == (["begun"], 23.0)
    answer.set()
    while thermostats._saving is not None:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    await thermostats.save_in_time()


async def test_a_change_during_the_write_of_another_one_is_written_after_it(
    bench: HomeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    thermostats, answer = bench.home.thermostats, asyncio.Event()
    written: list[float] = []

    async def save() -> None:
        setpoint_c = thermostats.get("living").heat_setpoint_c
        await answer.wait()
        written.append(setpoint_c)

    monkeypatch.setattr(bench.climate, "save", save)
    callers = []
    for setpoint_c in (22.0, 23.0):
        thermostats.apply("living", SetRequest(heat_setpoint_c=setpoint_c), by="anna")
        callers.append(asyncio.create_task(thermostats.save_in_time()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    answer.set()
    await asyncio.gather(*callers)
    assert written == [22.0, 23.0]


def test_a_hub_without_zones(bench: HomeBench) -> None:
    idle = Thermostats(None, humidity=bench.home.thermostats._humidity, changes=bench.home.changes, new_id=str)
    assert idle.all() == ()
    with pytest.raises(UnknownDevice, match="there is none"):
        idle.apply("all", SetRequest(Mode.OFF), by="anna")


def test_humidity_of_the_zones_own_devices(bench: HomeBench) -> None:
    bench.pairing.pair("0x01", "living")
    humidity(bench, "0x01", "humidity", 47.5)
    humidity(bench, "0x02", "humidity", 80.0)
    humidity(bench, HUB, "cellar/humidity1", 90.0)
    assert [each.humidity_percent for each in bench.home.thermostats.all()] == [47.5, None]


def test_humidity_is_that_of_channels_that_are_there_although_the_table_is_as_large_as_ever(bench: HomeBench) -> None:
    bench.pairing.pair("0x01", "living")
    humidity(bench, "0x01", "humidity", 47.5)
    assert bench.home.thermostats.get("living").humidity_percent == 47.5
    del bench.channels["0x01", "humidity", SensorKind.HUMIDITY]
    humidity(bench, "0x02", "humidity", 80.0)
    assert bench.home.thermostats.get("living").humidity_percent is None


def test_humidity_is_neither_stale_nor_doubtful(bench: HomeBench) -> None:
    bench.pairing.pair("0x01", "living")
    humidity(bench, "0x01", "humidity", 47.5, Quality.SUSPECT)
    assert bench.home.thermostats.get("living").humidity_percent is None
    humidity(bench, "0x01", "humidity", 47.5)
    bench.clock.advance(7200)
    assert bench.home.thermostats.get("living").humidity_percent == 47.5
    bench.clock.advance(1)
    assert bench.home.thermostats.get("living").humidity_percent is None


@pytest.mark.parametrize(
    ("name", "sensor", "is_found"),
    [
        ("hwmon/sht3x/temp1", "hwmon/sht3x/humidity1", True),
        ("hwmon/sht3x/temp1#2", "hwmon/sht3x/humidity1#2", True),
        ("hwmon/sht3x/temp1#2", "hwmon/sht3x/humidity1", False),
        ("hwmon/cpu_thermal/temp1", "hwmon/sht3x/humidity1", False),
    ],
)
def test_humidity_of_the_hubs_own_chip(tmp_path: Path, name: str, sensor: str, *, is_found: bool) -> None:
    bench = HomeBench(tmp_path, living_sensor=name)
    humidity(bench, HUB, sensor, 40.0)
    assert (bench.home.thermostats.get("living").humidity_percent is not None) == is_found


REQUESTED_C = [*map(from_fahrenheit, range(40, 91)), *[tenths / 10 for tenths in range(40, 351)]]
SEVENTH_C = REQUESTED_C[::7]


@pytest.mark.parametrize(("is_hold", "values_c"), [(False, REQUESTED_C), (True, SEVENTH_C)])
async def test_every_setpoint_survives_a_power_cut_exactly(
    bench: HomeBench, values_c: list[float], *, is_hold: bool
) -> None:
    """Every whole degree Fahrenheit of AURRA and every tenth of a degree Celsius, through the real file."""
    for value_c in values_c:
        mode = Mode.HEAT if value_c < 34 else Mode.COOL
        heat_c, cool_c = (value_c, None) if mode is Mode.HEAT else (None, value_c)
        request = HoldRequest(mode=mode, heat_setpoint_c=heat_c, cool_setpoint_c=cool_c, id="x")
        changed = request if is_hold else SetRequest(mode, heat_c, cool_c)
        bench.home.thermostats.apply("living", changed, by="anna")
        await bench.climate.rewrite()
        bench.start()
        found = bench.home.thermostats.get("living")
        assert value_c == (found.heat_setpoint_c if mode is Mode.HEAT else found.cool_setpoint_c)


def test_a_whole_day_does_not_move_a_setpoint(bench: HomeBench) -> None:
    value_c = from_fahrenheit(69)
    bench.home.thermostats.apply("living", HoldRequest(heat_setpoint_c=value_c, id="x"), by="anna")
    for _ in range(24):
        bench.advance(3600)
        assert bench.home.thermostats.get("living").heat_setpoint_c == value_c


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(40, 85), min_size=1, max_size=5))
def test_a_client_that_writes_back_what_it_reads_changes_nothing(values_f: list[int]) -> None:
    bench = HomeBench(Path("unused"))
    thermostats = bench.home.thermostats
    for value_f in values_f:
        thermostats.apply("living", SetRequest(heat_setpoint_c=from_fahrenheit(value_f)), by="anna")
        before_c = thermostats.get("living").heat_setpoint_c
        shown_f = to_fahrenheit(before_c)
        assert shown_f == value_f
        thermostats.apply("living", SetRequest(heat_setpoint_c=from_fahrenheit(shown_f, before_c)), by="anna")
        assert thermostats.get("living").heat_setpoint_c == before_c


def test_eco_bounds_and_gives_back(bench: HomeBench) -> None:
    thermostats = bench.home.thermostats
    thermostats.apply("living", SetRequest(heat_setpoint_c=from_fahrenheit(71)), by="anna")
    thermostats.apply("living", EcoRequest(is_enabled=True, heat_limit_c=from_fahrenheit(62)), by="anna")
    assert to_fahrenheit(thermostats.get("living").heat_setpoint_c) == 62
    thermostats.apply("living", EcoRequest(is_enabled=False), by="anna")
    assert thermostats.get("living").heat_setpoint_c == from_fahrenheit(71)
