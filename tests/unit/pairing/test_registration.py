"""Sensors are registered with their keys and keep their identity; labels of the keys file match in any spelling."""

import errno
from typing import Any

import pytest

from agent.errors import ClimahubError, CloudUnavailable, Refused, Throttled, Unauthorized
from agent.foundation.disk import Disk, Operation
from agent.pairing.lifecycle import PairingRecord, PairingStage
from agent.pairing.registration import SensorKeys, canonical
from agent.pairing.store import FILE_NAME
from hal.interface import RelayedSensor, SensorKind

Bench = Any
KEYS = {"T1": "sk_sensor_one", "0x00158d0001a2b3c5": "sk_sensor_two"}
T1 = RelayedSensor("T1", "attic", (SensorKind.TEMPERATURE,), "0x00158d0001a2b3c4")
T2 = RelayedSensor("T2", "cellar", (SensorKind.TEMPERATURE,), "0x00158d0001a2b3c5")
T3 = RelayedSensor("T3", "without a key", (SensorKind.TEMPERATURE,))


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """A board without a radio: its sensors are simply known, and their keys stand in the keys file."""
    bench.radio.sensors = [T1, T2, T3]
    bench.keys = KEYS
    return bench


def problem(service: Any, device: str) -> str:  # noqa: ANN401 (a room)
    told: str = service.queries.problem_of(service.queries.state.sensors[device])
    return told


async def test_every_sensor_with_a_key_gets_its_name_and_keeps_it(bench: Bench) -> None:
    service = bench.make()
    assert service.identities.sensor_id("T1") is None
    bench.start(service)
    await bench.until(lambda: len(bench.released) == 2)
    assert bench.cloud.asked == [("sk_sensor_one", "0x00158d0001a2b3c4"), ("sk_sensor_two", "0x00158d0001a2b3c5")]
    again = bench.make()
    for known in (service, again):
        assert known.identities.sensor_id("T1") == "id-of-sk_sensor_one"
        assert known.identities.is_registered("T2")
        assert not known.identities.is_registered("T3")
        assert sorted(known.identities.registered_devices) == ["T1", "T2"]
    assert "relayed_sensors.sensor_keys_file" in problem(service, "T3")
    bench.start(again)
    await bench.settle()
    assert len(bench.cloud.asked) == 2


async def test_keys_are_deleted_after_registration(bench: Bench) -> None:
    bench.start(bench.make())
    await bench.until(lambda: bench.released)
    names = {"relayed.json", "relayed.json.copy"}
    assert {path.name for path in bench.directory.iterdir()} == {*names, "relayed.json.made"}
    for path in (bench.directory / name for name in names):
        assert path.read_text().count("sk_sensor_one") == 1  # within the name that this cloud gave


@pytest.mark.parametrize("error", [CloudUnavailable("down"), Throttled("429"), Unauthorized("401")])
async def test_registration_is_retried_until_it_is_answered(bench: Bench, error: ClimahubError) -> None:
    bench.cloud.errors = [error] * 3
    bench.start(bench.make())
    await bench.until(lambda: bench.released == ["T1", "T2"])
    assert len(bench.cloud.asked) == 5


@pytest.mark.parametrize(
    ("status", "advice"),
    [(403, "ClimaSense support"), (404, "against the label"), (409, "another hub"), (400, "its key"), (422, "its key")],
)
async def test_a_refused_sensor_waits_with_advice_and_does_not_hold_up_the_others(
    bench: Bench, status: int, advice: str
) -> None:
    bench.cloud.errors = [Refused("no", status=status)]
    service = bench.make()
    bench.start(service)
    await bench.until(lambda: bench.released == ["T2"])
    assert advice in problem(service, "T1")
    assert "sk_sensor" not in problem(service, "T1")
    await bench.settle()
    assert len(bench.cloud.asked) == 2


async def test_refused_registration_is_retried_after_an_hour(bench: Bench) -> None:
    bench.cloud.errors = [Refused("no", status=404)]
    service = bench.make()
    bench.start(service)
    await bench.until(lambda: bench.released == ["T2"])
    bench.clock.now_ms += 3_600_000
    await service.actions.rename("T2", "cellar 2")  # any change wakes it
    await bench.until(lambda: bench.released == ["T2", "T1"])
    assert problem(service, "T1") == ""


async def test_sensor_is_registered_on_a_full_disk(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def full(operation: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.disk = Disk(full)
    service = bench.make()
    bench.start(service)
    await bench.until(lambda: bench.released == ["T1", "T2"])
    assert service.identities.is_registered("T1")
    assert "not kept over a restart" in caplog.text
    assert "no room" in service.queries.file_problem


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"lost",
        b"[]",
        b'{"T1":5}',
        b'{"T1":{}}',
        b'{"T1":{"sensor_id":"\xff"}}',
        b'{"version":2,"sensors":{"T1":{"device":"T1","stage":"unheard of"}}}',
        b'{"a":' * 90_000,
        b" " * 2_000_000,
    ],
)
async def test_broken_file_is_quarantined_and_sensors_register_again(bench: Bench, content: bytes) -> None:
    (bench.directory / FILE_NAME).write_bytes(content)
    service = bench.make()
    assert "could not be read" in service.queries.file_problem
    assert (bench.directory / f"{FILE_NAME}.corrupt-1").read_bytes() == content
    bench.start(service)
    await bench.until(lambda: "T1" in bench.released)


async def test_identities_of_releases_without_pairing_are_kept(bench: Bench) -> None:
    (bench.directory / FILE_NAME).write_bytes(b'{"T1":{"sensor_id":"of old","serial_number":"S"}}')
    service = bench.make()
    assert service.identities.sensor_id("T1") == "of old"
    bench.start(service)
    await bench.until(lambda: len(bench.released) == 2)
    assert [key for key, _ in bench.cloud.asked] == ["sk_sensor_two"]
    assert bench.make().queries.state.sensors["T1"].stage is PairingStage.RELAYING


async def test_one_key_does_not_merge_two_sensors(bench: Bench) -> None:
    bench.keys = {"T1": "sk_sensor_one", "T3": "sk_sensor_one"}
    service = bench.make()
    bench.start(service)
    await bench.until(lambda: "is that of" in problem(service, "T3"))
    assert service.identities.sensor_id("T3") is None
    assert bench.released == ["T1"]


IEEE = "0x00158d0001a2b3c4"
ATTIC = PairingRecord("00:15:8d:00:01:a2:b3:c4", name="Attic north", ieee_address=IEEE)


@pytest.mark.parametrize(
    "label",
    [
        IEEE,
        IEEE.upper(),
        "00158D0001A2B3C4",
        "00:15:8D:00:01:A2:B3:C4",
        "00-15-8d-00-01-a2-b3-c4",
        "Attic north",
        "attic  NORTH ",
    ],
)
def test_a_key_is_found_by_address_and_by_name_in_any_spelling(label: str) -> None:
    keys = SensorKeys({"other": "no", label: "the key"})
    assert keys.key_of(ATTIC) == "the key"
    assert keys.unmatched([ATTIC], {}) == ["other"]


def test_network_name_is_used_until_a_person_names_the_sensor() -> None:
    keys = SensorKeys({"T1": "one"})
    assert keys.key_of(PairingRecord("dev"), network_name="T1") == "one"
    assert keys.key_of(PairingRecord("dev", name="hall"), network_name="T1") == ""
    assert keys.unmatched([PairingRecord("dev")], {"dev": "T1"}) == []


def test_address_takes_precedence_over_a_name() -> None:
    keys = SensorKeys({"Attic north": "by name", IEEE: "by address"})
    assert keys.key_of(ATTIC) == "by address"


def test_empty_name_matches_no_key() -> None:
    assert SensorKeys({"": "x"}).key_of(PairingRecord("dev")) == ""
    assert SensorKeys({}).key_of(ATTIC) == ""


def test_name_of_hexadecimal_digits_is_no_address() -> None:
    assert canonical("a.b") == "a.b"
    assert canonical("dead beef") == "dead beef"
