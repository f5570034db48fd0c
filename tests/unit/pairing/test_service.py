"""The room between radio, cloud and disk: what it does at once, what again after a restart, what it never does."""

import errno
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.commands import factory_reset
from agent.errors import PairingRefused, Refused, StorageFull, UnknownSensor
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.pairing.actions import JoinWindowRequest
from agent.pairing.lifecycle import PairingStage, PairingStepKind
from agent.pairing.store import FILE_NAME, PairingStore
from hal.errors import NetworkLost, SensorUnavailable
from hal.interface import RelayedSensor, SensorKind
from hal.radio import InstallCode, JoinStep, SensorLink
from tests.unit.pairing.conftest import Network, address, sensor

Bench = Any
Service = Any

KEY = "sk_sensor_attic"
CODE = "83FED3407A939723A5C639B26916D505C3B5"
ONE = address(1)


def stage(service: Service, number: int = 1) -> PairingStage | None:
    record = service.queries.state.sensors.get(address(number))
    return record.stage if record else None


def steps(service: Service) -> list[PairingStepKind]:
    return [step.kind for step in service.queries.steps]


@pytest.fixture
async def service(bench: Bench) -> Service:
    made = bench.make()
    bench.start(made)
    return made


async def pair(bench: Bench, service: Service, number: int, **asked: Any) -> None:  # noqa: ANN401
    await service.actions.open_join_window(JoinWindowRequest(**asked))
    bench.radio.join(sensor(number))
    await bench.until(lambda: stage(service, number) is PairingStage.RELAYING)


# The way of a sensor.


async def test_from_the_window_to_the_cloud(bench: Bench, service: Service) -> None:
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


async def test_the_key_is_a_secret_on_the_disk_and_gone_after_success(bench: Bench, service: Service) -> None:
    path = bench.directory / FILE_NAME
    bench.cloud.is_up.clear()
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    assert KEY in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.KEYED)
    bench.cloud.is_up.set()
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)
    assert f'"{KEY}"' not in path.read_text()
    assert KEY not in str(service.queries.steps).replace(f"id-of-{KEY}", "")


async def test_without_a_key_it_waits_and_says_so(bench: Bench, service: Service) -> None:
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


async def test_the_same_key_given_again_is_tried_again_at_once(bench: Bench, service: Service) -> None:
    bench.cloud.errors = [Refused("the sensor is bound to another hub", status=409)]
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    bench.radio.join(sensor(1))
    await bench.until(lambda: PairingStepKind.REFUSED in steps(service))
    await bench.settle()
    assert len(bench.cloud.asked) == 1
    await service.actions.give_key(ONE, KEY)
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)


async def test_a_label_restricts_the_window_to_its_sensor(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(label=f"{ONE[2:].upper()}|{CODE} {KEY}"))
    assert bench.radio.opened == [(254, "", InstallCode(ONE, bytes.fromhex(CODE)))]
    bench.radio.join(sensor(2))
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)
    assert stage(service, 2) is PairingStage.INTERVIEWED
    assert CODE.lower() not in (bench.directory / FILE_NAME).read_text()


async def test_an_address_whose_order_nobody_knows_is_expected_both_ways(bench: Bench, service: Service) -> None:
    printed, turned = "0x1122334455667788", "0x8877665544332211"
    await service.actions.open_join_window(JoinWindowRequest(label=f"{printed[2:]} {CODE} {KEY}", name="attic"))
    assert bench.radio.opened == [(254, "", InstallCode(printed, bytes.fromhex(CODE), or_address=turned))]
    assert service.queries.steps[-1].device == printed
    bench.radio.join(RelayedSensor(turned, "maker model", (SensorKind.TEMPERATURE,), turned))
    await bench.until(
        lambda: turned in service.queries.state.sensors and service.queries.state.sensors[turned].sensor_id
    )
    assert service.queries.state.sensors[turned].name == "attic"


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


# Removing and replacing.


async def test_a_removed_sensor_is_not_relayed_and_leaves_the_network(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await service.actions.remove("attic")
    assert not service.identities.is_relayed(ONE)
    assert service.identities.is_registered(ONE)  # what it has measured still goes out
    await bench.until(lambda: stage(service) is PairingStage.REMOVED)
    assert bench.radio.removed == [ONE]
    with pytest.raises(UnknownSensor):
        await service.actions.remove("attic")


PLUG = "0x00158d00000000ff"


@pytest.mark.parametrize("wanted", [PLUG, "00:15:8D:00:00:00:00:FF", "climahub plug"])
async def test_a_member_that_the_book_does_not_know_can_be_removed(
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


async def test_of_two_members_that_are_called_alike_the_address_tells(bench: Bench, service: Service) -> None:
    bench.radio.guests = [SensorLink(f"0x00158d00000000f{number}", "climahub", "plug") for number in (1, 2)]
    with pytest.raises(PairingRefused, match="several"):
        await service.actions.remove("climahub plug")
    await service.actions.remove("0x00158d00000000f2")
    await bench.until(lambda: bench.radio.removed == ["0x00158d00000000f2"])


async def test_a_removed_sensor_that_is_still_a_member_can_be_removed_again_and_stays_known(
    bench: Bench, service: Service
) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await service.actions.remove("attic")
    await bench.until(lambda: stage(service) is PairingStage.REMOVED)
    bench.radio.guests = [SensorLink(ONE)]
    await service.actions.remove(ONE)
    await bench.until(lambda: bench.radio.removed == [ONE, ONE] and stage(service) is PairingStage.REMOVED)
    assert service.identities.is_registered(ONE)


async def test_a_member_that_the_radio_has_forgotten_meanwhile_is_gone(bench: Bench, service: Service) -> None:
    bench.radio.guests = [SensorLink(PLUG)]
    bench.radio.is_forgetful = True
    await service.actions.remove(PLUG)
    await bench.until(lambda: PLUG not in service.queries.state.sensors)


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


async def test_a_replacement_takes_name_and_history_over(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await pair(bench, service, 2, replaces="attic")
    assert service.identities.sensor_id(address(2)) == service.identities.sensor_id(ONE) == f"id-of-{KEY}"
    assert service.queries.state.sensors[address(2)].name == "attic"
    assert not service.identities.is_relayed(ONE)
    await bench.until(lambda: bench.radio.removed == [ONE])
    assert len(bench.cloud.asked) == 1


async def test_one_that_waits_can_be_the_replacement(bench: Bench, service: Service) -> None:
    await pair(bench, service, 1, name="attic", key=KEY)
    await service.actions.open_join_window(JoinWindowRequest())
    bench.radio.join(sensor(2))
    await bench.until(lambda: stage(service, 2) is PairingStage.INTERVIEWED)
    await service.actions.replace("attic", address(2))
    await bench.until(lambda: stage(service, 2) is PairingStage.RELAYING and stage(service) is PairingStage.REMOVED)


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


async def test_a_factory_reset_leaves_nothing_of_it(bench: Bench, service: Service) -> None:
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    await bench.end()
    (bench.directory / f"{FILE_NAME}.new").write_text(KEY)  # as a power cut leaves it
    factory_reset.bar_key(bench.directory, Disk(), "cs_dev_of_the_hub")
    assert factory_reset.finish_erasing(bench.directory, Disk(), key_file=None)
    assert {path.name for path in bench.directory.iterdir()} == {
        factory_reset.FILE_NAME,
        f"{factory_reset.FILE_NAME}.copy",
    }


# The window.


@pytest.mark.parametrize("error", [NetworkLost("no stick"), SensorUnavailable("the router does not answer")])
async def test_a_window_that_cannot_be_opened_is_told_at_once(bench: Bench, service: Service, error: Exception) -> None:
    bench.radio.errors = [error]
    with pytest.raises(type(error)):
        await service.actions.open_join_window(JoinWindowRequest())
    assert service.queries.state.window is None
    await bench.settle()
    assert bench.radio.opened == []


async def test_a_code_that_the_radio_cannot_use_is_told_and_opens_nothing(bench: Bench, service: Service) -> None:
    label = f"RB01SG{'0' * 34}{ONE[2:].upper()}DLK999F98A7DFBCA6DD3955823AD9089631"
    with pytest.raises(PairingRefused, match="cannot use the label's code") as caught:
        await service.actions.open_join_window(JoinWindowRequest(label=label))
    assert "999F98A7" not in str(caught.value).upper()
    assert service.queries.state.window is None


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


async def test_a_full_disk_opens_no_window_and_takes_no_key(bench: Bench) -> None:
    def full(operation: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.disk = Disk(full)
    service = bench.make()
    with pytest.raises(StorageFull):
        await service.actions.open_join_window(JoinWindowRequest())
    assert bench.radio.opened == []
    assert service.queries.state.window is None


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


# Boards without a radio; what the network knows and the book does not.


async def test_a_board_without_a_radio_pairs_nothing_but_gives_names(bench: Bench) -> None:
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


async def test_a_sensor_of_a_restored_network_is_met(bench: Bench, service: Service) -> None:
    await bench.settle()
    bench.radio.sensors.append(sensor(3))
    await service.actions.restore(b"{}")
    await bench.until(lambda: stage(service, 3) is PairingStage.INTERVIEWED)


async def test_a_backup_goes_out_and_comes_back(bench: Bench, service: Service) -> None:
    bench.radio.network = b'{"network": 1}'
    data = await service.actions.backup()
    bench.radio.network = b"{}"
    await service.actions.restore(data)
    assert bench.radio.network == data
    with pytest.raises(PairingRefused, match="no backup of a Zigbee network"):
        await service.actions.restore(b"holiday.jpg")


# A power cut at each durable operation.


class PowerCut(BaseException):
    pass


class Cutter:
    """Cuts the power before operation number `at`, and lets nothing happen after it."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.operations = 0

    def __call__(self, operation: Operation, target: str) -> None:
        self.operations += 1
        if self.operations >= self.at:
            raise PowerCut


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
async def test_it_gets_there_from_wherever_the_power_was_cut(bench: Bench, first_at: int) -> None:
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
    for number, asked in ((1, {"name": "attic", "key": KEY}), (2, {"replaces": ONE})):
        record = service.queries.state.sensors.get(address(number))
        if record is not None and record.stage is PairingStage.INTERVIEWED and not record.replaces:
            await service.actions.close_join_window()
            await (service.actions.give_key(ONE, KEY) if number == 1 else service.actions.replace(ONE, address(2)))
        elif record is None or record.stage is PairingStage.JOINED:
            await service.actions.open_join_window(JoinWindowRequest(**asked))
            bench.radio.join(sensor(number))
        ends = {PairingStage.RELAYING, PairingStage.LEAVING, PairingStage.REMOVED}
        await bench.until(lambda: stage(service, number) in ends)  # noqa: B023 - awaited in the loop
        await bench.settle()
    await scenario(bench, service)


@pytest.mark.parametrize(
    ("changes", "stays"),
    [({"kinds": ["temperature", "smell"]}, True), ({"about": 7}, True), ({"stage": "dreaming"}, False), (7, False)],
)
def test_one_sensor_in_the_file_that_makes_no_sense_costs_no_other(
    tmp_path: Path, changes: object, stays: bool
) -> None:
    good = {"device": "0xa", "stage": "registered", "sensor_id": "s-a", "name": "attic"}
    bad = {**good, "device": "0xb", "sensor_id": "s-b", **changes} if isinstance(changes, dict) else changes
    document = {"version": 2, "sensors": {"0xa": good, "0xb": bad}}
    (tmp_path / FILE_NAME).write_bytes(msgspec.json.encode(document))
    book = PairingStore(tmp_path, disk=Disk(), worker=InlineWorker())
    assert book.state.sensors["0xa"].sensor_id == "s-a"
    assert ("0xb" in book.state.sensors) is stays
    assert not stays or book.state.sensors["0xb"].sensor_id == "s-b"
    assert "sensors.0xb" in book.file_problem
