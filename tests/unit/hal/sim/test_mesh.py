"""The simulated Zigbee network keeps the promises of `PairableNetwork`: windows, interviews, a stick that goes."""

import asyncio
import json
from typing import Any

import pytest

from hal import sim
from hal.errors import NetworkLost, SensorUnavailable
from hal.radio import InstallCode, JoinStep, PairableNetwork, RadioState
from hal.sim import mesh as mesh_module
from hal.sim.network import SimNetwork

Step = JoinStep


class Bench:
    """A world whose time stands still until it is told to go on."""

    def __init__(self, boxed: int = 2) -> None:
        self.now_ms = 5000
        self.world = sim.SimEnvironment(
            sim.SimOptions(seed=1, start_utc_ms=0, sensors_count=7 + 14, unpaired_count=boxed, report_interval_s=10.0)
        )
        assert self.world.mesh is not None
        self.mesh = self.world.mesh
        self.devices = [sensor.device for sensor in self.world.options.relayed]
        self.boxed = self.devices[len(self.devices) - boxed :]
        self.network = self.boot()

    def boot(self) -> SimNetwork:
        board = sim.SimBoard(self.world, monotonic_ms=lambda: self.now_ms, utc_ms=lambda: self.now_ms)
        assert board.network is not None
        return board.network

    async def events(self) -> list[tuple[str, JoinStep]]:
        async with asyncio.timeout(5):
            return [(event.device, event.step) for event in await self.network.join_events()]

    def press(self, device: str) -> bool:
        return self.mesh.press_button(device, self.now_ms)


@pytest.fixture(autouse=True)
def no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_module, "FAILED_SHARE", 0.0)


async def test_new_sensor_joins_is_interviewed_and_reports() -> None:
    bench = Bench()
    device = bench.boxed[0]
    assert isinstance(bench.network, PairableNetwork)
    assert device not in {sensor.device for sensor in bench.network.sensors}
    assert not bench.press(device)  # the window is closed
    await bench.network.open_join_window(60)
    assert bench.network.radio.join_window_until_ms == 65_000
    assert bench.press(device)
    assert await bench.events() == [(device, Step.JOINED)]
    bench.now_ms += 20_000
    assert await bench.events() == [(device, Step.INTERVIEWED), (device, Step.CONFIGURED)]
    assert device in {sensor.device for sensor in bench.network.sensors}
    bench.now_ms += 20_000
    assert device in {reading.device for reading in await bench.network.receive()}


async def test_before_it_is_configured_it_does_not_report() -> None:
    bench = Bench()
    bench.now_ms += 60_000
    assert not {reading.device for reading in await bench.network.receive()} & set(bench.boxed)


async def test_join_window_ends_by_timeout_by_request_and_with_the_host() -> None:
    bench = Bench()
    await bench.network.open_join_window(10)
    bench.now_ms += 10_000
    assert bench.network.radio.join_window_until_ms is None
    assert not bench.press(bench.boxed[0])
    await bench.network.open_join_window(10)
    await bench.network.close_join_window()
    assert not bench.press(bench.boxed[0])
    await bench.network.open_join_window(10)
    bench.network = bench.boot()
    assert not bench.press(bench.boxed[0])
    with pytest.raises(ValueError, match="1 to 254"):
        await bench.network.open_join_window(255)


async def test_an_install_code_lets_one_sensor_in() -> None:
    bench = Bench()
    await bench.network.open_join_window(10, install_code=InstallCode(bench.boxed[1], b"c" * 18))
    assert [bench.press(device) for device in bench.boxed] == [False, True]


async def test_sensors_join_through_the_router_and_through_no_sensor() -> None:
    bench = Bench()
    (router,) = [link for link in bench.network.links if not link.is_sleepy]
    assert router.device not in {sensor.device for sensor in bench.network.sensors}
    for no_router in (bench.devices[0], bench.boxed[0]):
        with pytest.raises(SensorUnavailable, match="does not answer"):
            await bench.network.open_join_window(10, through=no_router)
        assert not bench.press(bench.boxed[0])
    await bench.network.open_join_window(10, through=router.device)
    assert bench.press(bench.boxed[0])


async def test_interview_restarts_with_each_boot() -> None:
    bench = Bench()
    await bench.network.open_join_window(10)
    bench.press(bench.boxed[0])
    bench.network = bench.boot()
    bench.now_ms += 20_000
    assert await bench.events() == [(bench.boxed[0], Step.INTERVIEWED), (bench.boxed[0], Step.CONFIGURED)]


async def test_an_interview_may_fail_and_is_repeated_by_the_button(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    await bench.network.open_join_window(100)
    monkeypatch.setattr(mesh_module, "FAILED_SHARE", 1.0)
    bench.press(bench.boxed[0])
    await bench.events()
    bench.now_ms += 20_000
    assert await bench.events() == [(bench.boxed[0], Step.FAILED)]
    monkeypatch.setattr(mesh_module, "FAILED_SHARE", 0.0)
    bench.press(bench.boxed[0])
    await bench.events()
    bench.now_ms += 20_000
    assert (await bench.events())[0] == (bench.boxed[0], Step.INTERVIEWED)


async def test_sensors_leave_die_and_come_back() -> None:
    bench = Bench()
    device = bench.devices[0]
    bench.mesh.empty_battery(device, bench.now_ms)
    assert not bench.press(device)
    online = {link.device: link.is_online for link in bench.network.links}
    assert (online[device], online[bench.devices[1]]) == (False, True)
    bench.mesh.replace_battery(device, bench.now_ms)
    assert await bench.events() == [(device, Step.JOINED)]
    bench.mesh.factory_reset(device, bench.now_ms)
    assert await bench.events() == [(device, Step.LEFT)]
    assert not bench.press(device)
    await bench.network.remove(device)  # gone already: forgotten all the same
    await bench.network.remove(bench.devices[1])
    assert not bench.mesh.is_joined(bench.devices[1])


async def test_unplugged_stick() -> None:
    bench = Bench()
    bench.mesh.set_lost(is_lost=True, at_ms=bench.now_ms)
    assert bench.network.radio.state is RadioState.LOST
    for ask in (
        bench.network.open_join_window(5), bench.network.close_join_window(), bench.network.remove("x"),
        bench.network.backup(), bench.network.restore(b""), bench.network.receive(),
    ):  # fmt: skip
        work: Any = ask
        with pytest.raises(NetworkLost):
            await work
    bench.mesh.set_lost(is_lost=False, at_ms=bench.now_ms)
    assert bench.network.radio.state is RadioState.UP
    bench.now_ms += 60_000
    assert await bench.network.receive()


async def test_a_backup_brings_the_members_of_its_day_back() -> None:
    bench = Bench()
    data = await bench.network.backup()
    assert json.loads(data)["metadata"]["format"] == "zigpy/open-coordinator-backup"
    await bench.network.remove(bench.devices[0])
    await bench.network.restore(data)
    assert bench.mesh.is_joined(bench.devices[0])
    assert not bench.mesh.is_joined(bench.boxed[0])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"metadata": {"format": "x"}}', b'{"metadata": 5}', b"[" * 9999])
async def test_invalid_backup_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any words will do
        await Bench().network.restore(data)


def test_number_of_unpaired_sensors_is_limited() -> None:
    with pytest.raises(ValueError, match="unpaired_count"):
        Bench(boxed=9)
