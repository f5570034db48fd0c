"""Reports of relayed sensors are taken in and judged, but for those of sensors that were removed."""

import asyncio
from collections.abc import Sequence

import pytest

from agent.telemetry.intake import CHANNELS_MAX, Intake
from agent.telemetry.relayed_sensors import RelayedSensorReceiver
from hal.errors import NetworkLost
from hal.interface import Quality, Reading, RelayedSensor, SensorKind
from tests.unit.telemetry.fakes import AllRegistered


class Network:
    """Gives what it is given, then waits."""

    sensors: Sequence[RelayedSensor] = ()

    def __init__(self, *given: list[Reading] | NetworkLost) -> None:
        self._given = [*given]
        self.is_empty = asyncio.Event()
        self.left: list[Reading] = []

    async def receive(self) -> Sequence[Reading]:
        if not self._given:
            self.is_empty.set()
            await asyncio.Event().wait()
        given = self._given.pop(0)
        if isinstance(given, NetworkLost):
            raise given
        return given

    def drain(self) -> Sequence[Reading]:
        return self.left

    def confirm(self) -> None: ...


def reading(device: str, value: float, at_ms: int = 1) -> Reading:
    return Reading(device, device, SensorKind.TEMPERATURE, value, at_ms)


async def relayed(network: Network, removed: set[str]) -> tuple[RelayedSensorReceiver, Intake]:
    intake = Intake(
        commit_interval_s=1.0,
        readings_max=100,
        identities=AllRegistered(),
        on_committed=lambda _: None,
        on_all_durable=lambda: None,
        now_ms=lambda: 0,
    )
    relay = RelayedSensorReceiver(network, intake=intake, kinds=lambda: None, identities=AllRegistered(removed))
    task = asyncio.get_running_loop().create_task(relay.run())
    async with asyncio.timeout(60):
        await network.is_empty.wait()
    task.cancel()
    await asyncio.wait({task})
    return relay, intake


async def test_reports_of_a_removed_sensor_are_ignored() -> None:
    network = Network([reading("T1", 20.0), reading("T2", 21.0)], [reading("T2", 21.5, 2)])
    relay, intake = await relayed(network, removed={"T2"})
    assert {device for device, _, _ in intake.channels} == {"T1"}
    assert (intake.uncommitted, relay.skipped) == (1, 2)


async def test_implausible_value_is_marked_bad_and_not_sent() -> None:
    _, intake = await relayed(Network([reading("T1", 900.0)]), removed=set())
    (state,) = intake.channels.values()
    assert state.latest is not None
    assert state.latest.quality is Quality.BAD
    assert intake.uncommitted == 0


async def test_lost_network_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.telemetry.relayed_sensors.RETRY_S", 0.0)
    relay, intake = await relayed(Network(NetworkLost("unplugged"), [reading("T1", 20.0)]), removed=set())
    assert relay.problem == ""
    assert intake.uncommitted == 1


async def test_last_reports_are_taken_in_at_the_stop() -> None:
    network = Network([reading("T1", 20.0)])
    relay, intake = await relayed(network, removed={"T2"})
    network.left = [reading("T1", 20.5, 2), reading("T1", 900.0, 3), reading("T2", 21.0, 4)]
    relay.finish()
    assert (intake.uncommitted, relay.skipped) == (2, 1)


async def test_sensors_that_come_and_go_for_years_take_no_more_memory_than_there_is_room_for() -> None:
    network = Network([reading(f"T{number}", 20.0) for number in range(CHANNELS_MAX + 20)])
    relay, intake = await relayed(network, removed=set())
    assert (len(relay._checks.entries), len(intake.channels)) == (CHANNELS_MAX, CHANNELS_MAX)
