"""An Aqara endpoint as a network: polling, backoff, and the sensors that are known before it answers."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from hal.aqara.endpoint import EndpointLost, TokenRefused
from hal.aqara.network import FILE_BYTES_MAX, FILE_NAME, AqaraNetwork
from hal.aqara.sensors import SENSORS_MAX
from hal.errors import NetworkLost
from hal.interface import FindsSensors
from hal.radio import HasLinks, PairableNetwork


def listed(value: float, at_utc_ms: int, device_id: str = "lumi.1") -> list[dict[str, Any]]:
    traits = [{"traitCode": "CurrentTemperature", "value": value, "time": at_utc_ms}]
    functions = [{"functionCode": "Temperature", "traits": traits}]
    endpoints = [{"endpointId": 2, "functions": functions}]
    return [{"deviceId": device_id, "name": "Attic", "state": True, "endpoints": endpoints}]


class Endpoint:
    """Answers what a test has put in its queue; the last answer stays."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked = 0

    def list_devices(self) -> bytes:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


class Files:
    """Files in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.error: OSError | None = None

    def read(self, name: str) -> bytes | None:
        if self.error:
            raise self.error
        return self.content.get(name)

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        if self.error:
            raise self.error
        self.content[name] = data


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the network makes, none of which lasts."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("hal.aqara.network.asyncio.sleep", note)
    return pauses


def open_network(endpoint: Endpoint, files: Files | None = None) -> AqaraNetwork:
    return AqaraNetwork(
        lambda: endpoint, files or Files(), monotonic_ms=lambda: 1000, utc_ms=lambda: 500_000, poll_interval_s=60
    )


def test_network_is_what_the_agent_asks_for() -> None:
    made = open_network(Endpoint([]))
    assert isinstance(made, FindsSensors)
    assert isinstance(made, HasLinks)
    assert not isinstance(made, PairableNetwork)


async def test_list_is_polled_until_something_is_new(slept: list[float]) -> None:
    endpoint = Endpoint(listed(20, 1), listed(20, 1), listed(21, 2))
    made = open_network(endpoint)
    assert [each.value for each in await made.receive()] == [20]
    assert [each.value for each in await made.receive()] == [21]
    assert slept == [0, 60, 60]


async def test_endpoint_that_does_not_answer_is_asked_less_and_less(slept: list[float]) -> None:
    made = open_network(Endpoint(EndpointLost("check the network")))
    for _ in range(7):
        with pytest.raises(NetworkLost, match="check the network"):
            await made.receive()
    assert slept == [0, 60, 120, 240, 480, 900, 900]


async def test_answer_that_breaks_something_is_backed_off_from_the_first_one_on(slept: list[float]) -> None:
    made = open_network(Endpoint(MemoryError(), RecursionError(), listed(20, 1)))
    for error in (MemoryError, RecursionError):
        with pytest.raises(error):
            await made.receive()
    assert len(await made.receive()) == 1
    assert slept == [0, 60, 120]


async def test_answer_after_an_interruption_is_reported_without_readings(slept: list[float]) -> None:
    made = open_network(Endpoint(listed(20, 1), TokenRefused("get another token"), listed(20, 1)))
    await made.receive()
    with pytest.raises(NetworkLost, match="get another token"):
        await made.receive()
    assert list(await made.receive()) == []
    assert slept == [0, 60, 60]


@pytest.mark.parametrize("answer", [b"<html>", {"devices": []}, b'[{"deviceId": ', b"[" * 100_000])
async def test_bad_answers_are_asked_for_less_and_less(slept: list[float], answer: object) -> None:
    made = open_network(Endpoint(answer, answer, answer, listed(20, 1), listed(21, 2)))
    for _ in range(3):
        with pytest.raises(NetworkLost):
            await made.receive()
    for _ in range(2):
        assert len(await made.receive()) == 1
    assert slept == [0, 60, 120, 240, 60]


async def test_list_that_is_no_list_is_told(slept: list[float]) -> None:
    with pytest.raises(NetworkLost, match="check the address"):
        await open_network(Endpoint({"devices": []})).receive()


async def test_sensors_are_known_after_a_restart_and_told_when_they_are_found(slept: list[float]) -> None:
    files = Files()
    made = open_network(Endpoint(listed(20, 1), listed(20, 1, "lumi.1") + listed(5, 1, "lumi.2")), files)
    await made.receive()
    await asyncio.wait_for(made.sensors_changed(), 5)
    await made.receive()
    await asyncio.wait_for(made.sensors_changed(), 5)
    again = open_network(Endpoint([]), files)
    assert [each.device for each in again.sensors] == ["aqara:lumi.1", "aqara:lumi.2"]
    assert [each.name for each in again.sensors] == ["Attic", "Attic"]
    assert [link.is_online for link in again.links] == [None, None]


async def test_disk_that_fails_costs_nothing_but_the_file(slept: list[float]) -> None:
    files = Files()
    files.error = OSError("no space")
    made = open_network(Endpoint(listed(20, 1)), files)
    assert len(await made.receive()) == 1
    assert len(made.sensors) == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"sensors": 7}'])
def test_file_that_cannot_be_read_is_made_anew(content: bytes) -> None:
    files = Files()
    files.content[FILE_NAME] = content
    assert list(open_network(Endpoint([]), files).sensors) == []


async def test_largest_file_can_be_read_again(slept: list[float]) -> None:
    wide = "\U0001f3e0"
    devices = [
        {**each, "name": wide * 128}
        for number in range(SENSORS_MAX)
        for each in listed(20, 1, f"{number:03}" + wide * 125)
    ]
    files = Files()
    await open_network(Endpoint(devices), files).receive()
    assert 256 * 1024 < len(files.content[FILE_NAME]) < FILE_BYTES_MAX


async def test_request_that_hangs_holds_up_nobody() -> None:
    released = threading.Event()
    entered = threading.Event()

    class Stalled(Endpoint):
        def list_devices(self) -> bytes:
            entered.set()
            released.wait(10)
            return b"[]"

    made = open_network(Stalled([]))
    task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(_receive(made.receive))
    try:
        assert await asyncio.to_thread(entered.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.drain() == ()
        await made.close()
    finally:
        released.set()


async def _receive(receive: Callable[[], Any]) -> None:
    await receive()
