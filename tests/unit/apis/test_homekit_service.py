"""HomeKit's memory over power cuts and refusing disks: a controller whose pairing was confirmed stays paired."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.apis.homekit.driver import HubDriver
from agent.apis.homekit.service import HomeKitService
from agent.apis.rate_limit import RateLimits
from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from hal.interface import SensorKind
from tests.unit.home.home_bench import HomeBench, make_home
from tests.unit.power_cut import Cutter, PowerCut

PHONE = b"8A3F0000-0000-4000-8000-000000000001"
TABLET = b"8A3F0000-0000-4000-8000-000000000002"
KEY = bytes(range(32))
ADMIN = b"\x01"


def service_of(bench: HomeBench, directory: Path, disk: Disk) -> HomeKitService:
    worker = InlineWorker()
    return HomeKitService(
        directory,
        home=bench.home,
        limits=RateLimits(directory, clock=bench.clock, disk=disk, worker=worker),
        clock=bench.clock,
        disk=disk,
        worker=worker,
        random_bytes=os.urandom,
        add_fault=lambda _: None,
    )


async def turns(times: int = 20) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(bench: HomeBench, directory: Path, disk: Disk | None = None) -> AsyncIterator[HomeKitService]:
    """Run the loop of HomeKit; a power cut in it ends the block with `PowerCut`."""
    made = service_of(bench, directory, disk or Disk())
    ended: list[BaseException] = []

    async def run() -> None:
        try:
            await made.run()
        except BaseException as error:  # noqa: BLE001 - a power cut ends everything
            ended.append(error)

    loop = asyncio.get_running_loop().create_task(run())
    await turns()
    try:
        if not ended:
            yield made
        await turns()
    finally:
        loop.cancel()
        await loop
    cuts = [each for each in ended if not isinstance(each, asyncio.CancelledError)]
    if cuts:
        raise PowerCut


def driver_of(service: HomeKitService) -> HubDriver:
    assert service.driver is not None
    return service.driver


async def saved(driver: HubDriver) -> None:
    async with asyncio.timeout(5):
        await driver.save()


async def test_who_was_told_to_be_paired_stays_paired_over_a_power_cut_before_any_operation(tmp_path: Path) -> None:
    at, is_done = 0, False
    while not is_done:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        bench = HomeBench(directory)
        told: list[bytes] = []
        identity = ""
        with contextlib.suppress(PowerCut, TimeoutError):
            async with running(bench, directory, Disk(Cutter(at))) as service:
                driver = driver_of(service)
                identity = service.record.accessory_id
                for who in (PHONE, TABLET):
                    driver.pair(who, KEY, ADMIN)
                    pending = driver.save()
                    await turns()
                    if not pending.done():
                        raise PowerCut
                    told.append(who)
                is_done = True
        async with running(bench, directory) as service:
            found = [each.id.encode() for each in service.record.controllers]
            assert found[: len(told)] == told, f"operation {at}"
            assert len(found) <= len(told) + 1
            if found:
                assert service.record.accessory_id == identity
                assert [zone.number for zone in service.record.zones.values()] == [2, 3]
    assert at > 6


async def test_a_disk_that_refuses_pairs_nobody_and_unpairs_nobody(tmp_path: Path) -> None:
    refusing = False

    def refuse(operation: Operation, target: str) -> None:
        if refusing:
            raise OSError(28, "No space left on device")

    bench = HomeBench(tmp_path)
    async with running(bench, tmp_path, Disk(refuse)) as service:
        driver = driver_of(service)
        driver.pair(PHONE, KEY, ADMIN)
        await saved(driver)
        refusing = True
        driver.pair(TABLET, KEY, ADMIN)
        with pytest.raises(StorageFull):
            await saved(driver)
        assert [each.id.encode() for each in driver.controllers()] == [PHONE]
        (phone,) = driver.state.paired_clients
        driver.unpair(phone)
        with pytest.raises(StorageFull):
            await saved(driver)
        assert [each.id.encode() for each in driver.controllers()] == [PHONE]
        with pytest.raises(StorageFull):
            await service.unpair()
        refusing = False
        assert await service.unpair() == 1
        assert driver.controllers() == ()


async def test_there_are_sixteen_controllers_at_most(tmp_path: Path) -> None:
    async with running(HomeBench(tmp_path), tmp_path) as service:
        driver = driver_of(service)
        for number in range(16):
            assert driver.pair(f"8A3F0000-0000-4000-8000-{number:012}".encode(), KEY, ADMIN)
        assert not driver.pair(b"8A3F0000-0000-4000-8000-000000000099", KEY, ADMIN)
        # One that is known may come again.
        assert driver.pair(b"8A3F0000-0000-4000-8000-000000000003", KEY, ADMIN)


async def test_with_the_last_administrator_all_go(tmp_path: Path) -> None:
    async with running(HomeBench(tmp_path), tmp_path) as service:
        driver = driver_of(service)
        driver.pair(PHONE, KEY, ADMIN)
        driver.pair(TABLET, KEY, b"\x00")
        await saved(driver)
        driver.unpair(next(iter(driver.state.paired_clients)))
        await saved(driver)
        assert service.record.controllers == ()
        assert service.new_code()


async def test_humidity_that_is_measured_later_is_another_configuration(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    async with running(bench, tmp_path) as service:
        driver = driver_of(service)
        before = service.announcement["c#"]
        bench.report(SensorKind.HUMIDITY, 41.0, device="living")
        service._changed.set()
        await turns()
        assert service.announcement["c#"] == str(int(before) + 1)
        accessory = driver.accessory.accessories[2]
        assert accessory.get_service("Thermostat").get_characteristic("CurrentRelativeHumidity").value == 41
    async with running(HomeBench(tmp_path), tmp_path) as service:
        assert service.announcement["c#"] == str(int(before) + 1)


async def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.apis.homekit.service.LIBRARY", "no_such_library")
    async with running(HomeBench(tmp_path), tmp_path) as service:
        assert "climahub[homekit]" in service.problem
        assert service.driver is None
        assert service.announcement == {}


async def test_a_controller_may_write_sixty_times_a_minute(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    async with running(bench, tmp_path) as service:
        driver_of(service).writer = "8A3F0000"
        for number in range(60):
            service._write("living", {"TargetTemperature": 20.0 + number / 10 % 3})
        with pytest.raises(Exception, match="wait 60 s"):
            service._write("living", {"TargetTemperature": 19.0})
        bench.clock.advance(60)
        service._write("living", {"TargetTemperature": 19.0})
        assert bench.home.thermostats.get("living").heat_setpoint_c == 19.0


async def test_the_unit_of_the_display_is_kept(tmp_path: Path) -> None:
    async with running(HomeBench(tmp_path), tmp_path) as service:
        service._write("bath", {"TemperatureDisplayUnits": 1})
        await turns()
    async with running(HomeBench(tmp_path), tmp_path) as service:
        assert service.record.zones["bath"].is_fahrenheit
        service._write("bath", {"TemperatureDisplayUnits": 0})
        await turns()
        assert not service.record.zones["bath"].is_fahrenheit


async def test_a_loop_that_is_started_again_goes_on_as_before(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    made = service_of(bench, tmp_path, Disk())
    for _ in range(2):
        loop = asyncio.get_running_loop().create_task(made.run())
        await turns()
        assert made.driver is not None
        assert set(made.driver.accessory.accessories) == {2, 3}
        assert not loop.done()
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop
        assert made.driver is None
    assert len(bench.home.changes._listeners) == 1


async def test_an_accessory_has_the_name_of_its_zone(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    home = make_home(bench.climate, bench.clock, tmp_path, names_follow_spaces=True)
    bench.home = home
    async with running(bench, tmp_path) as service:
        before = service.announcement["c#"]
        salon = await home.spaces.create("Salon")
        await home.spaces.place(salon, ["living"], known=["living", "bath"])
        service._changed.set()
        await turns()
        assert driver_of(service).accessory.accessories[2].display_name == "Salon"
        # The name is a value: what the hub offers is the same.
        assert service.announcement["c#"] == before
