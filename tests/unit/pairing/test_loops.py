"""Join events change the state, and the radio follows the state, across crashes and lost sticks."""

import errno
from typing import Any

import pytest

from agent.foundation.disk import Disk, Operation
from agent.pairing.actions import JoinWindowRequest
from agent.pairing.lifecycle import PairingStage, PairingStepKind
from agent.pairing.store import FILE_NAME
from hal.errors import NetworkLost
from hal.interface import RelayedSensor, SensorKind
from hal.radio import JoinStep
from tests.unit.pairing.conftest import KEY, ONE, PLUG, pair, sensor, stage, steps

Bench = Any
Service = Any


async def test_many_sensors_in_one_window(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(is_many=True))
    for number in range(1, 6):
        bench.radio.join(sensor(number))
    await bench.until(lambda: all(stage(service, number) is PairingStage.INTERVIEWED for number in range(1, 6)))
    assert bench.radio.until_ms is not None
    await service.actions.close_join_window()
    await bench.until(lambda: bench.radio.until_ms is None)


async def test_an_interview_that_fails_is_told_and_the_window_stays_open(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    bench.radio.tell(ONE, JoinStep.JOINED)
    bench.radio.tell(ONE, JoinStep.FAILED, detail="it fell asleep; press its button again")
    await bench.until(lambda: PairingStepKind.FAILED in steps(service))
    assert service.queries.problem_of(service.queries.state.sensors[ONE]) == "it fell asleep; press its button again"
    assert bench.radio.until_ms is not None
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)


async def test_one_that_leaves_by_itself_keeps_its_identity(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, key=KEY)
    bench.radio.tell(ONE, JoinStep.LEFT)
    await bench.until(lambda: service.queries.state.sensors[ONE].is_away)
    assert "has left the network" in service.queries.problem_of(service.queries.state.sensors[ONE])
    bench.radio.tell(ONE, JoinStep.JOINED)
    await bench.until(lambda: not service.queries.state.sensors[ONE].is_away)
    assert bench.cloud.asked == [(KEY, ONE)]
    assert stage(service) is PairingStage.RELAYING


async def test_what_measures_nothing_is_told_with_what_the_radio_says_of_it(bench: Bench, service: Service) -> None:
    guest = RelayedSensor(PLUG, "_TZE200_x TS0601 00ff", ())
    bench.radio.tell(PLUG, JoinStep.JOINED)
    bench.radio.tell(PLUG, JoinStep.INTERVIEWED, guest, "not in the table (zigbee.quirks may know it)")
    await bench.until(lambda: steps(service)[-1:] == [PairingStepKind.INTERVIEWED])
    assert service.queries.steps[-1].detail == (
        "_TZE200_x TS0601 00ff measures nothing that the hub relays; no key is needed; not in the table"
        " (zigbee.quirks may know it)"
    )
    assert PLUG not in service.queries.state.sensors


async def test_what_a_sensor_has_answered_for_is_what_it_measures(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, key=KEY)
    only = RelayedSensor(ONE, "maker model", (SensorKind.TEMPERATURE,), ONE)
    bench.radio.tell(ONE, JoinStep.CONFIGURED, only)
    await bench.until(lambda: service.queries.state.sensors[ONE].kinds == (SensorKind.TEMPERATURE,))


async def test_what_is_held_for_one_that_was_never_registered_is_given_up(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest())
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.INTERVIEWED)
    await service.actions.remove(ONE)
    await bench.until(lambda: stage(service) is None)
    assert (bench.abandoned, bench.released) == ([ONE], [])


async def test_removing_waits_for_a_radio_that_is_gone(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pairing.loops.RETRY_S", 0.0)
    await pair(bench, service, 1, key=KEY)
    bench.radio.errors = [NetworkLost("unplugged")] * 3
    await service.actions.remove(ONE)
    await bench.until(lambda: stage(service) is PairingStage.REMOVED)
    assert bench.radio.errors == []


async def test_a_radio_that_is_gone_is_listened_to_again(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pairing.loops.RETRY_S", 0.0)
    await bench.settle()
    bench.radio.losses = 3
    bench.radio.join(sensor(1))
    bench.radio.join(sensor(2))
    await bench.until(lambda: stage(service, 2) is PairingStage.INTERVIEWED)
    assert bench.radio.losses == 0


async def test_one_that_the_network_knows_and_the_book_does_not_is_not_waited_for(
    bench: Bench, service: Service
) -> None:
    """The book was lost, and a radio interviews nobody twice."""
    await bench.settle()
    bench.radio.sensors.append(sensor(1))
    bench.radio.tell(ONE, JoinStep.JOINED)
    await bench.until(lambda: stage(service) is PairingStage.INTERVIEWED)


async def test_an_open_window_is_opened_again_after_a_crash_for_the_rest_of_its_time(
    bench: Bench, service: Service
) -> None:
    await service.actions.open_join_window(JoinWindowRequest(seconds=100, name="attic"))
    bench.clock.now_ms += 40_000
    again = await bench.restart(service)
    await bench.until(lambda: len(bench.radio.opened) == 2)
    assert bench.radio.opened[1] == (60, "", None)
    assert again.queries.state.window.name == "attic"


async def test_a_window_does_not_outlive_a_reboot(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(seconds=100, key=KEY))
    bench.clock.boot_id = "boot-2"
    again = await bench.restart(service)
    await bench.until(lambda: again.queries.state.window is None)
    assert len(bench.radio.opened) == 1
    assert KEY not in (bench.directory / FILE_NAME).read_text()


async def test_a_disk_that_is_free_again_gets_what_it_missed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_sensor_of_a_restored_network_is_met(bench: Bench, service: Service) -> None:
    await bench.settle()
    bench.radio.sensors.append(sensor(3))
    await service.actions.restore(b"{}")
    await bench.until(lambda: stage(service, 3) is PairingStage.INTERVIEWED)
