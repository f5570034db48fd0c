"""Join events change the state, and the radio follows the state, across crashes and lost sticks."""

import errno
from typing import Any

import pytest

from agent.foundation.disk import Disk, Operation
from agent.pairing.lifecycle import PairingStage, PairingStepKind
from agent.pairing.requests import JoinWindowRequest
from agent.pairing.store import FILE_NAME
from hal.errors import NetworkLost
from hal.interface import RelayedSensor, SensorKind
from hal.radio import JoinStep
from tests.unit.pairing.conftest import KEY, ONE, PLUG, pair, sensor, stage, steps

Bench = Any
Service = Any


async def test_many_sensors_join_in_one_window(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(is_many=True))
    for number in range(1, 6):
        bench.radio.join(sensor(number))
    await bench.until(lambda: all(stage(service, number) is PairingStage.INTERVIEWED for number in range(1, 6)))
    assert bench.radio.until_ms is not None
    await service.actions.close_join_window()
    await bench.until(lambda: bench.radio.until_ms is None)


async def test_failed_interview_is_reported_and_the_window_stays_open(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    bench.radio.tell(ONE, JoinStep.JOINED)
    bench.radio.tell(ONE, JoinStep.FAILED, detail="it fell asleep; press its button again")
    await bench.until(lambda: PairingStepKind.FAILED in steps(service))
    assert service.queries.problem_of(service.queries.state.sensors[ONE]) == "it fell asleep; press its button again"
    assert bench.radio.until_ms is not None
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)


async def test_sensor_that_leaves_by_itself_keeps_its_identity(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, key=KEY)
    bench.radio.tell(ONE, JoinStep.LEFT)
    await bench.until(lambda: service.queries.state.sensors[ONE].is_away)
    assert "has left the network" in service.queries.problem_of(service.queries.state.sensors[ONE])
    bench.radio.tell(ONE, JoinStep.JOINED)
    await bench.until(lambda: not service.queries.state.sensors[ONE].is_away)
    assert bench.cloud.asked == [(KEY, ONE)]
    assert stage(service) is PairingStage.RELAYING


async def test_device_without_measurements_is_reported_with_its_description(bench: Bench, service: Service) -> None:
    guest = RelayedSensor(PLUG, "_TZE200_x TS0601 00ff", ())
    bench.radio.tell(PLUG, JoinStep.JOINED)
    bench.radio.tell(PLUG, JoinStep.INTERVIEWED, guest, "not in the table (zigbee.quirks may know it)")
    await bench.until(lambda: steps(service)[-1:] == [PairingStepKind.INTERVIEWED])
    assert service.queries.steps[-1].detail == (
        "_TZE200_x TS0601 00ff measures nothing that the hub relays; no key is needed; not in the table"
        " (zigbee.quirks may know it)"
    )
    assert PLUG not in service.queries.state.sensors


async def test_reported_kinds_become_the_sensors_kinds(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, key=KEY)
    only = RelayedSensor(ONE, "maker model", (SensorKind.TEMPERATURE,), ONE)
    bench.radio.tell(ONE, JoinStep.CONFIGURED, only)
    await bench.until(lambda: service.queries.state.sensors[ONE].kinds == (SensorKind.TEMPERATURE,))


async def test_readings_of_a_never_registered_sensor_are_dropped(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest())
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.INTERVIEWED)
    await service.actions.remove(ONE)
    await bench.until(lambda: stage(service) is None)
    assert (bench.abandoned, bench.released) == ([ONE], [])


async def test_removal_waits_for_a_missing_radio(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pairing.loops.RETRY_S", 0.0)
    await pair(bench, service, 1, key=KEY)
    bench.radio.errors = [NetworkLost("unplugged")] * 3
    await service.actions.remove(ONE)
    await bench.until(lambda: stage(service) is PairingStage.REMOVED)
    assert bench.radio.errors == []


async def test_events_are_received_again_after_a_radio_failure(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pairing.loops.RETRY_S", 0.0)
    await bench.settle()
    bench.radio.losses = 3
    bench.radio.join(sensor(1))
    bench.radio.join(sensor(2))
    await bench.until(lambda: stage(service, 2) is PairingStage.INTERVIEWED)
    assert bench.radio.losses == 0


async def test_network_member_without_a_record_is_not_waited_for(bench: Bench, service: Service) -> None:
    """The book was lost, and a radio interviews nobody twice."""
    await bench.settle()
    bench.radio.sensors.append(sensor(1))
    bench.radio.tell(ONE, JoinStep.JOINED)
    await bench.until(lambda: stage(service) is PairingStage.INTERVIEWED)


async def test_join_window_is_reopened_after_a_crash_for_its_remaining_time(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(seconds=100, name="attic"))
    bench.clock.now_ms += 40_000
    again = await bench.restart(service)
    await bench.until(lambda: len(bench.radio.opened) == 2)
    assert bench.radio.opened[1] == (60, "", None)
    assert again.queries.state.window.name == "attic"


async def test_join_window_does_not_survive_a_reboot(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(seconds=100, key=KEY))
    bench.clock.boot_id = "boot-2"
    again = await bench.restart(service)
    await bench.until(lambda: again.queries.state.window is None)
    assert len(bench.radio.opened) == 1
    assert KEY not in (bench.directory / FILE_NAME).read_text()


async def test_unsaved_changes_are_written_once_the_disk_has_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pairing.loops.RETRY_S", 0.0)
    is_full = True

    def full(operation: Operation, target: str) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    bench.disk = Disk(full)
    service = bench.make()
    bench.start(service)
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.INTERVIEWED)
    assert "no room" in service.queries.file_problem
    is_full = False
    await bench.until(lambda: service.queries.file_problem == "")
    assert stage(bench.make()) is PairingStage.INTERVIEWED


async def test_sensor_of_a_restored_network_is_registered(bench: Bench, service: Service) -> None:
    await bench.settle()
    bench.radio.sensors.append(sensor(3))
    await service.actions.restore(b"{}")
    await bench.until(lambda: stage(service, 3) is PairingStage.INTERVIEWED)
