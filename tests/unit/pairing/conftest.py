"""A simulated radio, cloud and clock, and the pairing service between them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from agent.cloud.client import ProvisioningClient
from agent.cloud.contract import Endpoint, RegisterResponse
from agent.errors import ClimahubError
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.pairing.lifecycle import PairingStage, PairingStepKind
from agent.pairing.requests import JoinWindowRequest
from agent.pairing.service import PairingService
from hal.errors import HalError, NetworkLost
from hal.interface import Reading, RelayedSensor, SensorKind, SensorNetwork
from hal.radio import InstallCode, JoinEvent, JoinStep, RadioState, RadioStatus, SensorLink

KINDS = (SensorKind.TEMPERATURE, SensorKind.HUMIDITY)


def address(number: int) -> str:
    return f"0x00158d{number:010x}"


def sensor(number: int, name: str = "") -> RelayedSensor:
    return RelayedSensor(address(number), name or f"sensor {number}", KINDS, address(number))


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.boot_id = "boot-1"

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return None


class Network:
    """Sensors that are simply known."""

    def __init__(self, *sensors: RelayedSensor) -> None:
        self.sensors: list[RelayedSensor] = list(sensors)

    async def receive(self) -> Sequence[Reading]:
        await asyncio.Event().wait()
        return []

    def drain(self) -> Sequence[Reading]:
        return []

    def confirm(self) -> None: ...


class Radio(Network):
    """A radio that remembers what it was told, and fails as often as a test wants."""

    def __init__(self, clock: Clock, *sensors: RelayedSensor) -> None:
        super().__init__(*sensors)
        self._clock = clock
        self._events: asyncio.Queue[JoinEvent] = asyncio.Queue()
        self.until_ms: int | None = None
        self.opened: list[tuple[int, str, InstallCode | None]] = []
        self.removed: list[str] = []
        self.errors: list[HalError] = []
        self.losses = 0
        self.guests: list[SensorLink] = []
        self.is_forgetful = False
        self.network = b"{}"

    @property
    def radio(self) -> RadioStatus:
        return RadioStatus(RadioState.UP, join_window_until_ms=self.until_ms)

    @property
    def links(self) -> Sequence[SensorLink]:
        return [*(SensorLink(each.device) for each in self.sensors), *self.guests]

    async def join_events(self) -> Sequence[JoinEvent]:
        event = await self._events.get()
        if self.losses:
            self.losses -= 1
            self._events.put_nowait(event)
            raise NetworkLost("unplugged")
        if event.sensor is not None and event.sensor not in self.sensors:
            self.sensors.append(event.sensor)
        return [event]

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    async def open_join_window(
        self, seconds: int, *, through: str = "", install_code: InstallCode | None = None
    ) -> None:
        self._fail()
        if install_code is not None and install_code.is_link_key:
            raise ValueError("link keys are not for this radio")
        self.opened.append((seconds, through, install_code))
        self.until_ms = self._clock.now_ms + seconds * 1000

    async def close_join_window(self) -> None:
        self._fail()
        self.until_ms = None

    async def remove(self, device: str) -> None:
        self._fail()
        if self.is_forgetful:
            raise ValueError(f"there is no {device}")
        self.removed.append(device)
        self.guests = [each for each in self.guests if each.device != device]
        self.sensors = [each for each in self.sensors if each.device != device]

    async def backup(self) -> bytes:
        self._fail()
        return self.network

    async def restore(self, data: bytes) -> None:
        self._fail()
        if not data.startswith(b"{"):
            raise ValueError("not JSON")
        self.network = data

    def tell(self, device: str, step: JoinStep, sensor: RelayedSensor | None = None, detail: str = "") -> None:
        self._events.put_nowait(JoinEvent(device, step, self._clock.now_ms, sensor, detail))

    def join(self, each: RelayedSensor) -> None:
        self.tell(each.device, JoinStep.JOINED)
        self.tell(each.device, JoinStep.INTERVIEWED, each, "maker model")
        self.tell(each.device, JoinStep.CONFIGURED)


class Cloud:
    """What `ProvisioningClient` does for a registration."""

    def __init__(self) -> None:
        self.errors: list[ClimahubError] = []
        self.asked: list[tuple[str, str]] = []
        self.is_up = asyncio.Event()
        self.is_up.set()

    async def ready(self, endpoint: Endpoint) -> None:
        await asyncio.sleep(0)
        await self.is_up.wait()

    async def register_sensor(self, sensor_api_key: str, ieee_address: str) -> RegisterResponse:
        self.asked.append((sensor_api_key, ieee_address))
        if self.errors:
            raise self.errors.pop(0)
        return RegisterResponse(sensor_id=f"id-of-{sensor_api_key}", serial_number=None)


class Bench:
    """A pairing service and everything around it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.cloud = Cloud()
        self.radio = Radio(self.clock)
        self.disk = Disk()
        self.keys: dict[str, str] = {}
        self.released: list[str] = []
        self.abandoned: list[str] = []
        self.failures: list[BaseException] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def drop_unregistered(self, device: str) -> None:
        self.abandoned.append(device)

    async def mark_registered(self, device: str) -> None:
        self.released.append(device)

    def make(self, network: SensorNetwork | None = None) -> PairingService:
        return PairingService(
            self.directory,
            network=network or self.radio,
            keys=self.keys,
            clock=self.clock,
            port_clock=self.clock,
            disk=self.disk,
            worker=InlineWorker(),
            client=cast("ProvisioningClient", self.cloud),
        )

    def start(self, service: PairingService) -> None:
        self._tasks += [asyncio.get_running_loop().create_task(loop()) for loop in service.loops(self).values()]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled() and task.exception() is not None:
                self.failures.append(cast("BaseException", task.exception()))
        self._tasks.clear()

    async def restart(self, service: PairingService) -> PairingService:
        """Kill the service and start another on the same state directory."""
        await self.end()
        del service
        self.radio.until_ms = None
        again = self.make()
        self.start(again)
        return again


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.end()


KEY = "sk_sensor_attic"
CODE = "83FED3407A939723A5C639B26916D505C3B5"
ONE = address(1)
PLUG = "0x00158d00000000ff"


def stage(service: PairingService, number: int = 1) -> PairingStage | None:
    record = service.queries.state.sensors.get(address(number))
    return record.stage if record else None


def steps(service: PairingService) -> list[PairingStepKind]:
    return [step.kind for step in service.queries.steps]


@pytest.fixture
async def service(bench: Bench) -> PairingService:
    made = bench.make()
    bench.start(made)
    return made


async def pair(bench: Bench, service: PairingService, number: int, **asked: Any) -> None:  # noqa: ANN401
    await service.actions.open_join_window(JoinWindowRequest(**asked))
    bench.radio.join(sensor(number))
    await bench.until(lambda: stage(service, number) is PairingStage.RELAYING)
