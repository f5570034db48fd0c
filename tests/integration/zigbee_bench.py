"""A stick, its sensors and the hub's radio on it: what the tests of the radio share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.foundation.clock import SystemClock
from hal.errors import NetworkLost
from hal.interface import Reading
from hal.radio import JoinEvent, JoinStep, RadioState
from hal.zigbee import RadioContext, RadioOptions, ZigbeeNetwork
from hal.zigbee.output_table import LineUse
from lab.ncp import ash, device_file, models
from lab.ncp.coordinator import JoinOutcome
from lab.ncp.server import EmulatorFiles, EmulatorServer, build_server
from lab.ncp.zcl import DataType
from tests.integration.conftest import WAIT_S

HOUSE = """
seed = 11

[[device]]
name = "bedroom"
model = "weather"
latency_s = 0.01
values = { temperature_c = 20.5, humidity_percent = 48, pressure_hpa = 1001, battery_percent = 77 }

[[device]]
name = "attic"
model = "climate"
latency_s = 0.01
parent = "plug"
lqi = 33

[[device]]
name = "plug"
model = "router"
lqi = 77
"""


CHILDREN_MAX = 32


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the patience of both ends, so that a test of it does not last for eleven seconds."""
    import bellows.ash  # noqa: PLC0415 - it may not be installed
    from bellows.zigbee.application import ControllerApplication  # noqa: PLC0415

    from hal.zigbee import network, radio  # noqa: PLC0415

    monkeypatch.setattr(bellows.ash, "T_RX_ACK_MIN", 0.05)
    monkeypatch.setattr(bellows.ash, "T_RX_ACK_MAX", 1.0)
    monkeypatch.setattr(ash, "ACK_TIMEOUT_MIN_S", 0.05)
    monkeypatch.setattr(ash, "ACK_TIMEOUT_MAX_S", 1.0)
    monkeypatch.setattr(ControllerApplication, "_watchdog_period", 0.5)
    monkeypatch.setattr(radio, "BACKUP_CALM_S", 0.2)
    monkeypatch.setattr(radio, "REFUSED_RETRY_S", 0.5)
    monkeypatch.setattr(radio, "RESTART_DELAYS_S", (0.2,))
    monkeypatch.setattr(network, "GATHER_S", 0)
    # For a backup, bellows asks for 256 children, a command each: half of all commands. The emulated stick has 32.
    monkeypatch.setattr("bellows.ezsp.v7.range", lambda *_: range(CHILDREN_MAX), raising=False)


def one(model: str) -> str:
    """A house with one device, called "one"."""
    return f'[[device]]\nname = "one"\nmodel = "{model}"\nlatency_s = 0.01\n'


def build(
    manufacturer: str, name: str, *endpoints: models.EndpointModel, dialect: models.VendorDialect
) -> models.DeviceModel:
    """A battery-powered product; the Basic cluster is added to its first endpoint."""
    first, *others = endpoints
    basic = models.ClusterModel(
        models.BASIC,
        (
            models.AttributeModel(0x0000, DataType.UINT8, 8),
            models.AttributeModel(0x0004, DataType.TEXT, manufacturer),
            models.AttributeModel(0x0005, DataType.TEXT, name),
            models.AttributeModel(0x0007, DataType.ENUM8, 3),
        ),
    )
    first = models.EndpointModel(first.id, first.device_id, (basic, *first.servers), first.clients)
    return models.DeviceModel(
        manufacturer=manufacturer,
        name=name,
        manufacturer_code=0x1141,
        oui="a4:c1:38",
        role=models.DeviceRole.SLEEPY,
        endpoints=(first, *others),
        dialect=dialect,
    )


def sell(monkeypatch: pytest.MonkeyPatch, key: str, model: models.DeviceModel) -> None:
    """Let device files name a further product."""
    every = MappingProxyType({**models.MODELS, key: model})
    monkeypatch.setattr(models, "MODELS", every)
    monkeypatch.setattr(device_file, "MODELS", every)


class MemoryStore:
    """Files in a directory, without the agent's disk; counts what is written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.written: list[str] = []
        self.before_write: Callable[[str], None] = lambda _: None
        self.after_write: Callable[[str], None] = lambda _: None

    def read(self, name: str) -> bytes | None:
        path = self.directory / name
        return path.read_bytes() if path.exists() else None

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        self.before_write(name)
        self.written.append(name)
        # In one step: a test may look at the file meanwhile.
        temporary = self.directory / f"{name}.new"
        temporary.write_bytes(data)
        temporary.rename(self.directory / name)
        self.after_write(name)

    def put_aside(self, name: str) -> None:
        (self.directory / name).rename(self.directory / f"{name}.aside")

    def path(self, name: str) -> Path:
        return self.directory / name


class Stick:
    """A stick and the sensors around it, whose flash is kept between the times when it is plugged in."""

    def __init__(self, directory: Path, *, house: str, version: int) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.house = house
        self.version = version
        self.stick: bytes | None = None
        self.devices_memory: bytes | None = None

    @contextlib.asynccontextmanager
    async def plugged_in(self, *, seed: int | None = None) -> AsyncIterator[EmulatorServer]:
        setup = EmulatorFiles(
            device_file=self.house,
            device_file_name="house",
            stick=self.stick,
            devices_memory=self.devices_memory,
            version=self.version,
            seed=seed,
        )
        server = build_server(
            setup, link=self.directory / "port", faults=(), keep_stick=self._keep_stick, keep_devices=self._keep_devices
        )
        server.open()
        try:
            yield server
        finally:
            server.close()

    def _keep_stick(self, content: bytes) -> None:
        self.stick = content

    def _keep_devices(self, content: bytes) -> None:
        self.devices_memory = content


class Stand(Stick):
    """A stick, and a hub whose files are kept."""

    def __init__(self, directory: Path, *, house: str = HOUSE, version: int = 13) -> None:
        super().__init__(directory, house=house, version=version)
        self.store = MemoryStore(directory)
        self.boot_id = "boot"
        self.now: datetime | None = datetime.now(ZoneInfo("Europe/Berlin"))
        self.uses: Sequence[LineUse] = ()

    @contextlib.asynccontextmanager
    async def hub(self, **options: object) -> AsyncIterator["Hub"]:
        clock = SystemClock(trust_wall_clock=True)
        settings: dict[str, Any] = {
            "port": str(self.directory / "port"),
            "report_interval_s_min": 0,
            "channel": 15,
            **options,
        }
        radio_network = ZigbeeNetwork(
            RadioOptions(**settings), RadioContext(self.store, clock.monotonic_ms, self.boot_id), self.uses
        )
        radio_network.show_time(self.now)
        hub = Hub(radio_network)
        try:
            async with asyncio.TaskGroup() as group:
                listening = [group.create_task(hub.listen()), group.create_task(hub.watch())]
                try:
                    yield hub
                finally:
                    for task in listening:
                        task.cancel()
        finally:
            await radio_network.close()

    @contextlib.asynccontextmanager
    async def running(self, **options: object) -> AsyncIterator[tuple[EmulatorServer, "Hub"]]:
        async with self.plugged_in() as sensors, self.hub(**options) as hub:
            await hub.state(RadioState.UP)
            yield sensors, hub


class Hub:
    """The network, with all that it says."""

    def __init__(self, network: ZigbeeNetwork) -> None:
        self.network = network
        self.readings: list[Reading] = []
        self.events: list[JoinEvent] = []
        self.losses: list[str] = []
        self._may_listen = asyncio.Event()
        self._may_listen.set()
        self.pause, self.resume = self._may_listen.clear, self._may_listen.set

    async def listen(self) -> None:
        while True:
            await self._may_listen.wait()
            try:
                self.readings += await self.network.receive()
            except NetworkLost as error:
                self.losses.append(str(error))
                await asyncio.sleep(0.02)

    async def watch(self) -> None:
        while True:
            self.events += await self.network.join_events()

    async def until(self, condition: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():  # noqa: ASYNC110 - the radio's report has no event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError("\n".join(("never came true", *self.network.radio.steps))) from None

    async def state(self, state: RadioState) -> None:
        await self.until(lambda: self.network.radio.state is state)

    async def lost(self) -> None:
        """Wait until the radio has said that the stick was lost; it may be back by then."""
        await self.until(lambda: any("the stick was lost" in step for step in self.network.radio.steps))

    async def pair(self, sensors: EmulatorServer, name: str, *, through: str = "") -> str:
        """Press a sensor's button in an open window; return its device once it is set up."""
        before = len(self.events)
        await self.network.open_join_window(60, through=through)
        assert sensors.press(name) is JoinOutcome.JOINED
        device = "0x" + sensors.emulator.radio_medium.node(name).eui64.replace(":", "")
        await self.until(lambda: self.steps(device, before)[-1:] == [JoinStep.CONFIGURED])
        return device

    def steps(self, device: str, since: int = 0) -> list[JoinStep]:
        return [event.step for event in self.events[since:] if event.device == device]

    def values(self, device: str, kind: str) -> list[float]:
        return [reading.value for reading in self.readings if (reading.device, reading.kind) == (device, kind)]

    def latest(self, device: str) -> Mapping[str, float]:
        return {str(reading.kind): reading.value for reading in self.readings if reading.device == device}
