"""A stick and an endpoint at once: all sensors, and each fails alone."""

import asyncio
from collections.abc import Sequence

import pytest

from hal import combined
from hal.combined import CombinedNetwork
from hal.errors import NetworkLost
from hal.interface import HasParts, Reading, RelayedSensor, SensorKind, parts_of
from hal.radio import (
    BinaryKind,
    BinaryState,
    HasBinarySensors,
    HasLinks,
    LimitsSilence,
    MeasuresPower,
    PowerState,
    SensorLink,
)


class Part:
    """A network that reports what a test puts in."""

    def __init__(self, *devices: str) -> None:
        self.sensors = [RelayedSensor(each, each, (SensorKind.TEMPERATURE,)) for each in devices]
        self.links = [SensorLink(each, is_online=True) for each in devices]
        self.reports: asyncio.Queue[Sequence[Reading] | Exception] = asyncio.Queue()
        self.pending: list[Reading] = []
        self.confirmed = 0
        self.is_closed = False
        self.close_error: Exception | None = None

    async def receive(self) -> Sequence[Reading]:
        found = await self.reports.get()
        if isinstance(found, Exception):
            raise found
        return found

    def drain(self) -> Sequence[Reading]:
        return self.pending

    def confirm(self) -> None:
        self.confirmed += 1

    async def close(self) -> None:
        if self.close_error:
            raise self.close_error
        self.is_closed = True


def reading(device: str, value: float = 20.0) -> Reading:
    return Reading(device, "t", SensorKind.TEMPERATURE, value, 1000)


@pytest.fixture
def parts() -> tuple[Part, Part]:
    return Part("0x01", "shared"), Part("lumi.1", "shared")


@pytest.fixture
def network(parts: tuple[Part, Part], monkeypatch: pytest.MonkeyPatch) -> CombinedNetwork:
    monkeypatch.setattr(combined, "RETRY_S", 0.0)
    return CombinedNetwork(*parts)


def test_it_has_the_sensors_and_links_of_both_and_each_once(network: CombinedNetwork) -> None:
    assert [each.device for each in network.sensors] == ["0x01", "shared", "lumi.1"]
    assert [each.device for each in network.links] == ["0x01", "shared", "lumi.1"]
    assert isinstance(network, HasLinks)
    assert isinstance(network, HasParts)


def test_what_only_one_can_do_is_asked_of_that_part(network: CombinedNetwork, parts: tuple[Part, Part]) -> None:
    assert tuple(parts_of(network)) == parts
    assert parts_of(None) == ()
    assert parts_of(parts[0]) == (parts[0],)


def test_the_part_with_a_radio_limits_the_silence_of_its_sensors() -> None:
    radio = Part("0x01")
    radio.allowed_silence_s = lambda device, _: 2760.0 if device == "0x01" else None  # type: ignore[attr-defined]
    both = CombinedNetwork(radio, Part("lumi.1"))
    assert isinstance(both, LimitsSilence)
    kind = SensorKind.TEMPERATURE
    assert [both.allowed_silence_s(device, kind) for device in ("0x01", "lumi.1")] == [2760.0, None]


def test_contacts_and_motion_sensors_are_those_of_all_parts() -> None:
    radio, window = Part("0x01"), BinaryState("0x01", BinaryKind.CONTACT, is_active=True, since_ms=1, heard_ms=2)
    radio.binary_states = [window]  # type: ignore[attr-defined]
    both = CombinedNetwork(radio, Part("lumi.1"))
    assert isinstance(both, HasBinarySensors)
    assert both.binary_states == [window]


def test_plugs_are_those_of_all_parts() -> None:
    radio, plug = Part("0x01"), PowerState("0x01", 40.0, 2)
    radio.power_states = [plug]  # type: ignore[attr-defined]
    both = CombinedNetwork(radio, Part("lumi.1"))
    assert isinstance(both, MeasuresPower)
    assert both.power_states == [plug]


async def test_readings_of_both_arrive_and_none_is_lost(network: CombinedNetwork, parts: tuple[Part, Part]) -> None:
    for number in range(3):
        parts[0].reports.put_nowait([reading("0x01", number)])
        parts[1].reports.put_nowait([reading("lumi.1", number)])
    found = [each for _ in range(6) for each in await network.receive()]
    assert sorted((each.device, each.value) for each in found) == [
        (device, value) for device in ("0x01", "lumi.1") for value in (0, 1, 2)
    ]


async def test_a_part_that_is_lost_holds_nothing_back_and_says_why(
    network: CombinedNetwork, parts: tuple[Part, Part]
) -> None:
    parts[1].reports.put_nowait(NetworkLost("renew the token"))
    waiting = asyncio.ensure_future(network.receive())
    for _ in range(10):
        await asyncio.sleep(0)
    assert network.problem == "renew the token"
    parts[0].reports.put_nowait([reading("0x01")])
    assert (await waiting)[0].device == "0x01"
    assert network.problem == "renew the token"
    parts[1].reports.put_nowait([])
    assert await network.receive() == []
    assert network.problem == ""


async def test_where_all_are_lost_so_is_the_network(network: CombinedNetwork, parts: tuple[Part, Part]) -> None:
    parts[0].reports.put_nowait(NetworkLost("plug the stick in"))
    parts[1].reports.put_nowait(NetworkLost("renew the token"))
    with pytest.raises(NetworkLost, match="plug the stick in; renew the token"):
        await network.receive()
    parts[0].reports.put_nowait([reading("0x01")])
    assert (await network.receive())[0].device == "0x01"
    assert network.problem == "renew the token"


async def test_at_a_stop_what_was_received_is_handed_out(network: CombinedNetwork, parts: tuple[Part, Part]) -> None:
    parts[0].reports.put_nowait([reading("0x01", 1)])
    parts[1].reports.put_nowait([reading("lumi.1", 2)])
    first = await network.receive()
    for _ in range(3):
        await asyncio.sleep(0)
    parts[0].pending.append(reading("0x01", 3))
    found = [*first, *network.drain()]
    assert sorted(each.value for each in found) == [1, 2, 3]
    network.confirm()
    assert (parts[0].confirmed, parts[1].confirmed) == (1, 1)


async def test_a_stop_while_it_waits_ends_all(network: CombinedNetwork) -> None:
    before = asyncio.all_tasks()
    waiting = asyncio.ensure_future(network.receive())
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert network.drain() == []


async def test_one_that_cannot_be_closed_keeps_no_other_open(
    network: CombinedNetwork, parts: tuple[Part, Part]
) -> None:
    parts[0].close_error = OSError("stuck")
    with pytest.raises(OSError, match="stuck"):
        await network.close()
    assert parts[1].is_closed
