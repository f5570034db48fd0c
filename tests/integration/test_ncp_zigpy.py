"""The emulated coordinator with the real zigpy and bellows as its host, over a pseudo terminal."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bellows")

import bellows.ash
import zigpy.exceptions
import zigpy.util
from bellows.zigbee.application import ControllerApplication
from zigpy.device import Device
from zigpy.types import EUI64
from zigpy.zcl.foundation import Status

from lab.ncp import ash, models, serial_port
from lab.ncp.coordinator import JoinOutcome
from lab.ncp.ezsp import VERSIONS
from lab.ncp.server import EmulatorServer
from tests.integration.conftest import WAIT_S
from tests.integration.zigbee_bench import Stick

INSTALL_CODE = "83fed3407a939723a5c639b26916d505c3b5"

HOUSE = f"""
seed = 11

[[device]]
name = "bedroom"
model = "weather"

[[device]]
name = "plug"
model = "router"
lqi = 77

[[device]]
name = "attic"
model = "climate"
parent = "plug"
lqi = 33

[[device]]
name = "secret"
model = "temperature"
install_code = "{INSTALL_CODE}"
"""


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    return request.param


class Bench(Stick):
    """A stick, and a host whose database is kept."""

    def __init__(self, directory: Path, version: int, house: str = HOUSE) -> None:
        super().__init__(directory, house=house, version=version)

    @contextlib.asynccontextmanager
    async def host(self, *, is_validating: bool = False) -> AsyncIterator["Host"]:
        app = await ControllerApplication.new(
            {
                "database_path": str(self.directory / "zigbee.db"),
                "device": {"path": str(self.directory / "port")},
                "use_thread": False,
                "topology_scan_enabled": False,
                "backup_enabled": False,
                "ota": {"enabled": False},
                "network": {},
                "validate_network_settings": is_validating,
            },
            start_radio=False,
        )
        host = Host(app)
        try:
            await app.startup(auto_form=True)
            yield host
        finally:
            await app.shutdown()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[EmulatorServer, "Host"]]:
        async with self.plugged_in() as sensors, self.host() as host:
            yield sensors, host


class Host:
    """zigpy with ears."""

    def __init__(self, app: ControllerApplication) -> None:
        self.app = app
        self.initialized: asyncio.Queue[Device] = asyncio.Queue()
        self.left: asyncio.Queue[Device] = asyncio.Queue()
        self.lost: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        app.add_listener(self)

    def device_initialized(self, device: Device) -> None:
        if device.nwk != 0:
            self.initialized.put_nowait(device)

    def device_left(self, device: Device) -> None:
        self.left.put_nowait(device)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)

    async def pair(self, sensors: EmulatorServer, name: str, *, through: Device | None = None) -> Device:
        await self.app.permit(60, node=through.ieee if through else None)
        async with asyncio.timeout(WAIT_S):
            assert sensors.press(name) is JoinOutcome.JOINED
            return await self.initialized.get()

    async def reports_of(self, device: Device, *names: str) -> asyncio.Queue[tuple[str, object]]:
        received: asyncio.Queue[tuple[str, object]] = asyncio.Queue()
        for name in names:
            cluster = getattr(device.endpoints[1], name)
            assert await cluster.bind() == [Status.SUCCESS]
            answer = await cluster.configure_reporting("measured_value", 0, 3600, 1)
            assert set(answer.values()) == {Status.SUCCESS}
            cluster.on_event("attribute_report", lambda event, name=name: received.put_nowait((name, event.raw_value)))
        return received


async def take(queue: asyncio.Queue[Any], count: int) -> list[Any]:
    async with asyncio.timeout(WAIT_S):
        return [await queue.get() for _ in range(count)]


def network_of(host: Host) -> tuple[object, ...]:
    state = host.app.state
    info = state.network_info
    return state.node_info.ieee, info.pan_id, info.extended_pan_id, info.channel, info.network_key.key


async def test_join_interview_bind_report_and_restart(tmp_path: Path, version: int) -> None:
    bench = Bench(tmp_path, version)
    async with bench.running() as (sensors, host):
        formed = network_of(host)
        device = await host.pair(sensors, "bedroom")
        assert (device.manufacturer, device.model) == ("climahub", "weather")
        assert device.node_desc is not None
        assert not device.node_desc.is_mains_powered
        received = await host.reports_of(device, "temperature", "humidity", "pressure")
        sent = [2000 + count for count in range(50)]
        for value in sent:
            sensors.set_values("bedroom", {"temperature_c": value / 100})
        assert await take(received, 50) == [("temperature", value) for value in sent]

    async with bench.running() as (sensors, host):
        assert network_of(host) == formed
        again = host.app.get_device(ieee=device.ieee)
        received = asyncio.Queue()
        again.endpoints[1].humidity.on_event("attribute_report", lambda event: received.put_nowait(event.raw_value))
        sensors.set_values("bedroom", {"humidity_percent": 51.5})
        assert await take(received, 1) == [5150]
        assert (await again.endpoints[1].temperature.read_attributes(["measured_value"]))[0] == {"measured_value": 2049}


async def test_blank_stick_takes_over_and_no_sensor_is_paired_again(tmp_path: Path, version: int) -> None:
    bench = Bench(tmp_path, version)
    async with bench.running() as (sensors, host):
        formed = network_of(host)
        device = await host.pair(sensors, "bedroom")
        await host.reports_of(device, "temperature")
        await host.app.backups.create_backup(load_devices=True)

    bench.stick = None
    async with bench.plugged_in(seed=99) as sensors:
        assert sensors.emulator.stick.eui64 != str(formed[0])
        async with bench.host(is_validating=True) as host:
            assert network_of(host) == formed
            again = host.app.get_device(ieee=device.ieee)
            received: asyncio.Queue[object] = asyncio.Queue()
            again.endpoints[1].temperature.on_event(
                "attribute_report", lambda event: received.put_nowait(event.raw_value)
            )
            sensors.set_values("bedroom", {"temperature_c": 30})
            assert await take(received, 1) == [3000]
            assert await again.endpoints[1].temperature.read_attributes(["measured_value"]) is not None


async def test_foreign_stick_is_refused(tmp_path: Path, version: int) -> None:
    bench = Bench(tmp_path, version)
    async with bench.running() as (_, host):
        await host.app.backups.create_backup(load_devices=True)
    foreign = Bench(tmp_path / "foreign", version)
    async with foreign.plugged_in(seed=99), foreign.host():
        pass

    bench.stick = foreign.stick
    async with bench.plugged_in():
        with pytest.raises(zigpy.exceptions.NetworkSettingsInconsistent):
            async with bench.host(is_validating=True):
                pass


async def test_install_code_is_needed_and_is_enough(tmp_path: Path, version: int) -> None:
    async with Bench(tmp_path, version).running() as (sensors, host):
        await host.app.permit(60)
        assert sensors.press("secret") is JoinOutcome.WRONG_KEY
        ieee = EUI64.convert(sensors.emulator.radio_medium.node("secret").eui64)
        key = zigpy.util.convert_install_code(bytes.fromhex(INSTALL_CODE))
        await host.app.permit_with_link_key(ieee, key, 60)
        assert sensors.press("bedroom") is JoinOutcome.DENIED
        assert sensors.press("secret") is JoinOutcome.JOINED
        async with asyncio.timeout(WAIT_S):
            assert (await host.initialized.get()).ieee == ieee


async def test_reports_survive_a_bad_cable(tmp_path: Path, version: int, quick_retries: Callable[[], None]) -> None:
    async with Bench(tmp_path, version).running() as (sensors, host):
        device = await host.pair(sensors, "bedroom")
        received = await host.reports_of(device, "temperature")
        quick_retries()
        sensors.inject(serial_port.parse("corrupt=0.05"))
        sent = [1000 + count for count in range(200)]
        for value in sent:
            sensors.set_values("bedroom", {"temperature_c": value / 100})
        assert [value for _, value in await take(received, 200)] == sent
        assert not host.lost.done()


@pytest.mark.parametrize("words", ["silence=60", "reset", "gone=60"])
async def test_loss_of_the_stick_is_noticed(
    tmp_path: Path, version: int, words: str, quick_retries: Callable[[], None]
) -> None:
    async with Bench(tmp_path, version).running() as (sensors, host):
        quick_retries()
        sensors.inject(serial_port.parse(words))
        asking = asyncio.ensure_future(host.app._ezsp.nop())
        async with asyncio.timeout(WAIT_S):
            await host.lost
            with contextlib.suppress(Exception):
                await asking


async def test_stick_is_back_after_it_was_pulled_out(tmp_path: Path, version: int) -> None:
    bench = Bench(tmp_path, version)
    async with bench.plugged_in() as sensors:
        async with bench.host() as host:
            formed = network_of(host)
            sensors.pull_out()
            async with asyncio.timeout(WAIT_S):
                await host.lost
        assert not (tmp_path / "port").is_symlink()
        sensors.put_back()
        async with bench.host() as host:
            assert network_of(host) == formed


async def test_full_buffers_refuse_messages_until_they_empty(tmp_path: Path, version: int) -> None:
    async with Bench(tmp_path, version).running() as (sensors, host):
        device = await host.pair(sensors, "bedroom")
        sensors.inject(serial_port.parse("full=60"))
        with pytest.raises(zigpy.exceptions.DeliveryError):
            await device.endpoints[1].basic.read_attributes(["zcl_version"])
        sensors.emulator.coordinator.is_full = False
        assert (await device.endpoints[1].basic.read_attributes(["zcl_version"]))[0] == {"zcl_version": 8}


async def test_reports_wait_for_a_slow_host(tmp_path: Path, version: int) -> None:
    async with Bench(tmp_path, version).running() as (sensors, host):
        device = await host.pair(sensors, "bedroom")
        received = await host.reports_of(device, "temperature")
        sensors.inject(serial_port.parse("slow_host=0.6"))
        sent = [1500 + count for count in range(20)]
        for value in sent:
            sensors.set_values("bedroom", {"temperature_c": value / 100})
        assert [value for _, value in await take(received, 20)] == sent


async def test_sensor_behind_a_router(tmp_path: Path, version: int) -> None:
    async with Bench(tmp_path, version).running() as (sensors, host):
        assert sensors.press("attic") is JoinOutcome.NO_OPEN_NETWORK
        router = await host.pair(sensors, "plug")
        sensor = await host.pair(sensors, "attic", through=router)
        assert sensor.lqi == router.lqi == 77
        assert sensor.relays == [router.nwk]
        neighbours = await router.zdo.Mgmt_Lqi_req(0)
        assert {row.nwk for row in neighbours[1].NeighborTableList} == {0, sensor.nwk}

        received = await host.reports_of(sensor, "temperature")
        sensors.unplug("plug")
        sensors.set_values("attic", {"temperature_c": 7})
        assert await take(received, 1) == [("temperature", 700)]
        assert sensor.lqi == 33


async def test_sensor_that_is_told_to_leave_leaves(tmp_path: Path, version: int) -> None:
    async with Bench(tmp_path, version).running() as (sensors, host):
        device = await host.pair(sensors, "bedroom")
        await device.zdo.leave()
        async with asyncio.timeout(WAIT_S):
            assert await host.left.get() is device
        assert sensors.emulator.radio_medium.node("bedroom").membership is None


@pytest.mark.parametrize("model", sorted(models.MODELS))
async def test_every_model_is_interviewed(tmp_path: Path, model: str) -> None:
    house = f'[[device]]\nname = "one"\nmodel = "{model}"\n'
    async with Bench(tmp_path, 14, house).running() as (sensors, host):
        device = await host.pair(sensors, "one")
        known = models.MODELS[model]
        assert (device.manufacturer, device.model) == (known.manufacturer, known.name)
        assert set(device.endpoints[1].in_clusters) == {cluster.id for cluster in known.endpoints[0].servers}


async def test_contact_is_enrolled_and_reports_its_changes(tmp_path: Path) -> None:
    house = '[[device]]\nname = "door"\nmodel = "contact"\n'
    async with Bench(tmp_path, 14, house).running() as (sensors, host):
        device = await host.pair(sensors, "door")
        zone = device.endpoints[1].ias_zone
        heard: asyncio.Queue[tuple[int, object]] = asyncio.Queue()
        zone.add_listener(_Commands(heard))
        await zone.write_attributes({"cie_addr": host.app.state.node_info.ieee})
        assert [command for command, _ in await take(heard, 1)] == [1]
        await zone.enroll_response(enroll_response_code=0, zone_id=4)
        for is_open in (1, 0):
            sensors.set_values("door", {"contact": is_open})
        assert [int(args.zone_status) for _, args in await take(heard, 2)] == [1, 0]


class _Commands:
    def __init__(self, heard: asyncio.Queue[tuple[int, Any]]) -> None:
        self._heard = heard

    def cluster_command(self, tsn: int, command_id: int, args: object) -> None:
        self._heard.put_nowait((command_id, args))


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Shorten the patience of both ends, so that a test of its timeouts does not last for eleven seconds."""

    def shorten() -> None:
        monkeypatch.setattr(bellows.ash, "T_RX_ACK_MIN", 0.05)
        monkeypatch.setattr(bellows.ash, "T_RX_ACK_MAX", 1.0)
        monkeypatch.setattr(ash, "ACK_TIMEOUT_MIN_S", 0.05)
        monkeypatch.setattr(ash, "ACK_TIMEOUT_MAX_S", 1.0)

    return shorten
