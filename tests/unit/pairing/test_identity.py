"""Relayed sensors get their names from the cloud, keep them, and never lose one to a broken file or a full disk."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.cloud.wire import RegisterAnswer
from agent.errors import ClimahubError, CloudUnavailable, Refused, Throttled, Unauthorized
from agent.foundation.disk import Disk
from agent.foundation.operations import Operation
from agent.foundation.worker import InlineWorker
from agent.model import SensorKind
from agent.pairing.identity import FILE_NAME, Identities
from hal.interface import RelayedSensor

KEYS = {"T1": "sk_sensor_one", "T2": "sk_sensor_two"}
T1 = RelayedSensor("T1", "attic", (SensorKind.TEMPERATURE,), "0x00158d0001a2b3c4")
T2 = RelayedSensor("T2", "cellar", (SensorKind.TEMPERATURE,))
T3 = RelayedSensor("T3", "without a key", (SensorKind.TEMPERATURE,))


class Cloud:
    """What `CloudClient` does for a registration."""

    def __init__(self) -> None:
        self.errors: list[ClimahubError] = []
        self.asked: list[tuple[str, str]] = []

    async def ready(self, endpoint: Endpoint) -> None:
        await asyncio.sleep(0)

    async def register_sensor(self, sensor_api_key: str, ieee_address: str) -> RegisterAnswer:
        self.asked.append((sensor_api_key, ieee_address))
        if self.errors:
            raise self.errors.pop(0)
        return RegisterAnswer(sensor_id=f"id-of-{sensor_api_key}", serial_number=None)


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cloud = Cloud()
        self.disk = Disk()
        self.registered: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    def make(self) -> Identities:
        return Identities(
            self.directory,
            keys=KEYS,
            disk=self.disk,
            worker=InlineWorker(),
            client=cast("CloudClient", self.cloud),
        )

    def start(self, identities: Identities, *sensors: RelayedSensor) -> None:
        async def registered(device: str) -> None:
            self.registered.append(device)

        work = identities.run(lambda: list(sensors), registered)
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - the loop under test has no event for it
                await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
            await asyncio.wait({task})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.end()


async def test_every_sensor_with_a_key_gets_its_name_and_keeps_it(bench: Bench) -> None:
    identities = bench.make()
    assert identities.sensor_id("T1") is None
    bench.start(identities, T1, T2, T3)
    await bench.until(lambda: len(bench.registered) == 2)
    assert bench.cloud.asked == [("sk_sensor_one", "0x00158d0001a2b3c4"), ("sk_sensor_two", "")]
    again = bench.make()
    for known in (identities, again):
        assert known.sensor_id("T1") == "id-of-sk_sensor_one"
        assert known.is_known("T2")
        assert not known.is_known("T3")
        assert sorted(known.devices) == ["T1", "T2"]
    assert "relay.sensor_keys_file" in identities.problems["T3"]
    asked = len(bench.cloud.asked)
    bench.start(again, T1, T2)
    await asyncio.sleep(0)
    assert len(bench.cloud.asked) == asked


async def test_no_key_is_kept(bench: Bench) -> None:
    bench.start(bench.make(), T1)
    await bench.until(lambda: bench.registered)
    (kept,) = (path.read_text() for path in bench.directory.iterdir())
    assert kept.count("sk_sensor_one") == 1  # within the name that this cloud gave


@pytest.mark.parametrize("error", [CloudUnavailable("down"), Throttled("429"), Unauthorized("401")])
async def test_it_asks_until_there_is_an_answer(bench: Bench, error: ClimahubError) -> None:
    bench.cloud.errors = [error] * 3
    bench.start(bench.make(), T1)
    await bench.until(lambda: bench.registered == ["T1"])
    assert len(bench.cloud.asked) == 4


@pytest.mark.parametrize(
    ("status", "advice"),
    [(403, "ClimaSense support"), (404, "against the label"), (409, "another hub"), (400, "its key"), (422, "its key")],
)
async def test_a_refused_sensor_waits_with_advice_and_does_not_hold_up_the_others(
    bench: Bench, status: int, advice: str
) -> None:
    bench.cloud.errors = [Refused("no", status=status)]
    identities = bench.make()
    bench.start(identities, T1, T2)
    await bench.until(lambda: bench.registered == ["T2"])
    assert advice in identities.problems["T1"]
    assert "sk_sensor" not in identities.problems["T1"]


async def test_a_full_disk_does_not_keep_a_sensor_out(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def full(operation: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.disk = Disk(full)
    identities = bench.make()
    bench.start(identities, T1)
    await bench.until(lambda: bench.registered == ["T1"])
    assert identities.is_known("T1")
    assert "not kept over a restart" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"lost",
        b"[]",
        b'{"T1":5}',
        b'{"T1":{}}',
        b'{"T1":{"sensor_id":"\xff"}}',
        b'{"a":' * 90_000,
        b" " * 2_000_000,
    ],
)
async def test_a_broken_file_is_put_aside_and_sensors_register_again(bench: Bench, content: bytes) -> None:
    (bench.directory / FILE_NAME).write_bytes(content)
    identities = bench.make()
    assert "could not be read" in identities.file_problem
    assert (bench.directory / f"{FILE_NAME}.corrupt-1").read_bytes() == content
    bench.start(identities, T1)
    await bench.until(lambda: bench.registered == ["T1"])
