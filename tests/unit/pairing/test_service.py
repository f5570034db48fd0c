"""From the join window to the first accepted reading, wherever the power fails."""

from typing import Any

import pytest

from agent.commands import factory_reset
from agent.errors import Refused
from agent.foundation.disk import Disk
from agent.pairing.lifecycle import PairingStage, PairingStepKind
from agent.pairing.requests import JoinWindowRequest
from agent.pairing.store import FILE_NAME
from tests.unit.pairing.conftest import KEY, ONE, address, pair, sensor, stage, steps
from tests.unit.power_cut import Cutter, PowerCut

Bench = Any
Service = Any


async def test_sensor_is_paired_from_join_window_to_cloud(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(seconds=60, name="attic", key=KEY))
    assert bench.radio.opened == [(60, "", None)]
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)
    await bench.until(lambda: bench.radio.until_ms is None)  # one sensor: the window closes
    assert service.queries.state.sensors[ONE].name == "attic"
    assert service.identities.sensor_id(ONE) == f"id-of-{KEY}"
    assert bench.cloud.asked == [(KEY, ONE)]
    assert bench.released == [ONE]
    service.identities.record_acceptance([ONE])
    service.identities.record_acceptance([ONE])
    unordered = {PairingStepKind.CONFIGURED, PairingStepKind.WINDOW_CLOSED}  # these may come at any time
    told = [step for step in steps(service) if step not in unordered]
    assert told == [
        PairingStepKind.WINDOW_OPEN,
        PairingStepKind.JOINED,
        PairingStepKind.INTERVIEWED,
        PairingStepKind.KEYED,
        PairingStepKind.REGISTERED,
        PairingStepKind.RELAYING,
        PairingStepKind.ACCEPTED,
    ]
    assert len(steps(service)) == len(told) + 2


async def test_sensor_without_a_key_waits_and_is_reported(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest())
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.INTERVIEWED)
    await bench.settle()
    record = service.queries.state.sensors[ONE]
    assert "waits for its key" in service.queries.problem_of(record)
    assert service.identities.is_relayed(ONE)  # its readings are kept
    assert not service.identities.is_registered(ONE)  # and not sent
    await service.actions.give_key(ONE, KEY)
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)
    assert service.queries.problem_of(service.queries.state.sensors[ONE]) == ""


async def test_a_refused_key_can_be_corrected_at_once(bench: Bench, service: Service) -> None:
    bench.cloud.errors = [Refused("no sensor has this key", status=404)]
    await service.actions.open_join_window(JoinWindowRequest(key="sk_sensor_wrong"))
    bench.radio.join(sensor(1))
    await bench.until(lambda: PairingStepKind.REFUSED in steps(service))
    assert "check it against the label" in service.queries.problem_of(service.queries.state.sensors[ONE])
    await service.actions.give_key(ONE, KEY)
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)


async def test_same_key_given_again_is_retried_at_once(bench: Bench, service: Service) -> None:
    bench.cloud.errors = [Refused("the sensor is bound to another hub", status=409)]
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    bench.radio.join(sensor(1))
    await bench.until(lambda: PairingStepKind.REFUSED in steps(service))
    await bench.settle()
    assert len(bench.cloud.asked) == 1
    await service.actions.give_key(ONE, KEY)
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)


async def test_factory_reset_erases_the_pairing_state(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    await bench.end()
    (bench.directory / f"{FILE_NAME}.new").write_text(KEY)  # as a power cut leaves it
    factory_reset.bar_key(bench.directory, Disk(), "cs_dev_of_the_hub")
    assert factory_reset.finish_erasing(bench.directory, Disk(), key_file=None)
    assert {path.name for path in bench.directory.iterdir()} == {
        factory_reset.FILE_NAME,
        f"{factory_reset.FILE_NAME}.copy",
    }


async def scenario(bench: Bench, service: Service) -> None:
    """Pair two sensors, replace one, remove the other: as far as the power lasts, then again as a person would."""
    if service.queries.state.sensors.get(ONE) is None:
        await pair(bench, service, 1, name="attic", key=KEY)
    await bench.until(lambda: stage(service) in {PairingStage.RELAYING, PairingStage.LEAVING, PairingStage.REMOVED})
    if service.queries.state.sensors.get(address(2)) is None:
        await pair(bench, service, 2, replaces=ONE)
    await bench.until(lambda: stage(service, 2) in {PairingStage.RELAYING, PairingStage.LEAVING, PairingStage.REMOVED})
    await bench.until(lambda: stage(service) is PairingStage.REMOVED)
    if service.identities.is_relayed(address(2)):
        await service.actions.remove(address(2))
    await bench.until(lambda: stage(service, 2) is PairingStage.REMOVED)


@pytest.mark.parametrize("first_at", range(1, 60, 1))
async def test_pairing_completes_after_a_power_cut_at_any_step(bench: Bench, first_at: int) -> None:
    cutter = Cutter(first_at)
    bench.disk = Disk(cutter)
    service = bench.make()
    bench.start(service)
    try:
        await scenario(bench, service)
    except PowerCut:
        pass
    except BaseExceptionGroup as error:
        assert error.subgroup(PowerCut) is not None  # noqa: PT017 - the cut may come in any loop
    # The sensor that joined stays in the network, its interview on the radio's disk; a window is lost with its stick.
    bench.disk = Disk()
    service = await bench.restart(service)
    await scenario_again(bench, service)
    assert {key for key, _ in bench.cloud.asked} <= {KEY}
    assert service.identities.sensor_id(ONE) == service.identities.sensor_id(address(2)) == f"id-of-{KEY}"
    assert sorted(set(bench.radio.removed)) == [ONE, address(2)]
    assert bench.radio.sensors == []
    assert service.queries.state.window is None


async def scenario_again(bench: Bench, service: Service) -> None:
    """Go on after a power cut: what was asked for and not done is asked for again, as its person would."""
    await bench.settle()
    requests = (JoinWindowRequest(name="attic", key=KEY), JoinWindowRequest(replaces=ONE))
    for number, request in enumerate(requests, 1):
        record = service.queries.state.sensors.get(address(number))
        if record is not None and record.stage is PairingStage.INTERVIEWED and not record.replaces:
            await service.actions.close_join_window()
            await (service.actions.give_key(ONE, KEY) if number == 1 else service.actions.replace(ONE, address(2)))
        elif record is None or record.stage is PairingStage.JOINED:
            await service.actions.open_join_window(request)
            bench.radio.join(sensor(number))
        ends = {PairingStage.RELAYING, PairingStage.LEAVING, PairingStage.REMOVED}
        await bench.until(lambda: stage(service, number) in ends)  # noqa: B023 - awaited in the loop
        await bench.settle()
    await scenario(bench, service)
