"""What a technician can do, and what is refused."""

import errno
from typing import Any

import pytest

from agent.errors import PairingRefused, StorageFull, UnknownSensor
from agent.foundation.disk import Disk, Operation
from agent.pairing.lifecycle import PairingStage
from agent.pairing.requests import JoinWindowRequest
from agent.pairing.store import FILE_NAME
from hal.errors import NetworkLost, SensorUnavailable
from hal.interface import RelayedSensor, SensorKind
from hal.radio import InstallCode, SensorLink
from tests.unit.pairing.conftest import CODE, KEY, ONE, PLUG, Network, address, pair, sensor, stage

Bench = Any
Service = Any


async def test_label_restricts_the_join_window_to_its_sensor(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(label=f"{ONE[2:].upper()}|{CODE} {KEY}"))
    assert bench.radio.opened == [(254, "", InstallCode(ONE, bytes.fromhex(CODE)))]
    bench.radio.join(sensor(2))
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)
    assert stage(service, 2) is PairingStage.INTERVIEWED
    assert CODE.lower() not in (bench.directory / FILE_NAME).read_text()


async def test_address_of_unknown_byte_order_is_expected_in_both(bench: Bench, service: Service) -> None:
    printed, turned = "0x1122334455667788", "0x8877665544332211"
    await service.actions.open_join_window(JoinWindowRequest(label=f"{printed[2:]} {CODE} {KEY}", name="attic"))
    assert bench.radio.opened == [(254, "", InstallCode(printed, bytes.fromhex(CODE), or_address=turned))]
    assert service.queries.steps[-1].device == printed
    bench.radio.join(RelayedSensor(turned, "maker model", (SensorKind.TEMPERATURE,), turned))
    await bench.until(
        lambda: turned in service.queries.state.sensors and service.queries.state.sensors[turned].sensor_id
    )
    assert service.queries.state.sensors[turned].name == "attic"


async def test_removed_sensor_is_not_relayed_and_leaves_the_network(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await service.actions.remove("attic")
    assert not service.identities.is_relayed(ONE)
    assert service.identities.is_registered(ONE)  # what it has measured still goes out
    await bench.until(lambda: stage(service) is PairingStage.REMOVED)
    assert bench.radio.removed == [ONE]
    with pytest.raises(UnknownSensor):
        await service.actions.remove("attic")


async def test_a_sensor_is_addressed_by_the_name_that_the_list_shows(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, key=KEY)
    await service.actions.rename(service.queries.network_names[ONE], "attic")
    assert service.queries.state.sensors[ONE].name == "attic"


@pytest.mark.parametrize("wanted", [PLUG, "00:15:8D:00:00:00:00:FF", "climahub plug"])
async def test_network_member_without_a_record_can_be_removed(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setattr("agent.pairing.loops.RETRY_S", 0.0)
    bench.radio.guests = [SensorLink(PLUG, "climahub", "plug", is_sleepy=False)]
    bench.radio.errors = [NetworkLost("unplugged")]
    await service.actions.remove(wanted)
    await bench.until(lambda: bench.radio.removed == [PLUG])
    await bench.until(lambda: PLUG not in service.queries.state.sensors)
    with pytest.raises(UnknownSensor, match="climahub zigbee list"):
        await service.actions.remove(wanted)


async def test_members_of_the_same_name_are_told_apart_by_address(bench: Bench, service: Service) -> None:
    bench.radio.guests = [SensorLink(f"0x00158d00000000f{number}", "climahub", "plug") for number in (1, 2)]
    with pytest.raises(PairingRefused, match="several"):
        await service.actions.remove("climahub plug")
    await service.actions.remove("0x00158d00000000f2")
    await bench.until(lambda: bench.radio.removed == ["0x00158d00000000f2"])


async def test_removed_sensor_that_is_still_a_member_can_be_removed_again(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await service.actions.remove("attic")
    await bench.until(lambda: stage(service) is PairingStage.REMOVED)
    bench.radio.guests = [SensorLink(ONE)]
    await service.actions.remove(ONE)
    await bench.until(lambda: bench.radio.removed == [ONE, ONE] and stage(service) is PairingStage.REMOVED)
    assert service.identities.is_registered(ONE)


async def test_member_already_forgotten_by_the_radio_counts_as_removed(bench: Bench, service: Service) -> None:
    bench.radio.guests = [SensorLink(PLUG)]
    bench.radio.is_forgetful = True
    await service.actions.remove(PLUG)
    await bench.until(lambda: PLUG not in service.queries.state.sensors)


async def test_replacement_takes_over_name_and_identity(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await pair(bench, service, 2, replaces="attic")
    assert service.identities.sensor_id(address(2)) == service.identities.sensor_id(ONE) == f"id-of-{KEY}"
    assert service.queries.state.sensors[address(2)].name == "attic"
    assert not service.identities.is_relayed(ONE)
    await bench.until(lambda: bench.radio.removed == [ONE])
    assert len(bench.cloud.asked) == 1


async def test_sensor_waiting_for_its_key_can_be_the_replacement(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await service.actions.open_join_window(JoinWindowRequest())
    bench.radio.join(sensor(2))
    await bench.until(lambda: stage(service, 2) is PairingStage.INTERVIEWED)
    await service.actions.replace("attic", address(2))
    await bench.until(lambda: stage(service, 2) is PairingStage.RELAYING and stage(service) is PairingStage.REMOVED)


@pytest.mark.parametrize("error", [NetworkLost("no stick"), SensorUnavailable("the router does not answer")])
async def test_join_window_that_cannot_be_opened_is_reported_at_once(
    bench: Bench, service: Service, error: Exception
) -> None:
    bench.radio.errors = [error]
    with pytest.raises(type(error)):
        await service.actions.open_join_window(JoinWindowRequest())
    assert service.queries.state.window is None
    await bench.settle()
    assert bench.radio.opened == []


async def test_unusable_install_code_is_reported_and_opens_no_window(bench: Bench, service: Service) -> None:
    label = f"RB01SG{'0' * 34}{ONE[2:].upper()}DLK999F98A7DFBCA6DD3955823AD9089631"
    with pytest.raises(PairingRefused, match="cannot use the label's code") as caught:
        await service.actions.open_join_window(JoinWindowRequest(label=label))
    assert "999F98A7" not in str(caught.value).upper()
    assert service.queries.state.window is None


async def test_a_full_disk_opens_no_window_and_takes_no_key(bench: Bench) -> None:
    def full(operation: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.disk = Disk(full)
    service = bench.make()
    with pytest.raises(StorageFull):
        await service.actions.open_join_window(JoinWindowRequest())
    assert bench.radio.opened == []
    assert service.queries.state.window is None


async def test_board_without_a_radio_only_renames(bench: Bench) -> None:
    service = bench.make(Network(sensor(1)))
    bench.start(service)
    for act in (
        service.actions.open_join_window(JoinWindowRequest()),
        service.actions.remove(ONE),
        service.actions.backup(),
        service.actions.restore(b"{}"),
    ):
        with pytest.raises(PairingRefused, match="no radio to pair with"):
            await act
    await service.actions.rename(ONE, "attic")
    assert bench.make(Network(sensor(1))).queries.state.sensors[ONE].name == "attic"


async def test_backup_can_be_restored(bench: Bench, service: Service) -> None:
    bench.radio.network = b'{"network": 1}'
    data = await service.actions.backup()
    bench.radio.network = b"{}"
    await service.actions.restore(data)
    assert bench.radio.network == data
    with pytest.raises(PairingRefused, match="no backup of a Zigbee network"):
        await service.actions.restore(b"holiday.jpg")
