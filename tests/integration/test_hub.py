"""From sensor to accepted, through everything that a cloud and a house can do."""

import asyncio
import math
from pathlib import Path

import pytest

from agent import health
from agent.cloud import contract
from agent.errors import ConfigInvalid, StorageFull
from agent.telemetry import batching
from agent.telemetry.service import TelemetryService
from hal.errors import NetworkLost, ReadingImplausible, SensorUnavailable
from hal.interface import Reading, RelayedSensor, SensorKind
from lab.refcloud import faults
from lab.refcloud.contract import Endpoint
from tests.integration.conftest import KEY, WAIT_S, Cloud, HubClock, MakeHub, TestNetwork, TestSensor, until

T_KIND = SensorKind.TEMPERATURE


def thermometer(value: float = 21.5, source: str = "T1") -> TestSensor:
    return TestSensor(source, T_KIND, lambda: value)


async def test_reading_arrives_with_its_value_and_time(cloud: Cloud, make_hub: MakeHub) -> None:
    hub = make_hub(cloud.url, sensors=[thermometer(20.0 + 1 / 3)])
    hub.start()
    await until(lambda: cloud.accepted)
    (arrived,) = cloud.accepted
    (kept,) = hub.committed
    assert arrived.value.hex() == kept.value.hex() == (20.0 + 1 / 3).hex()
    assert arrived.sensor_type == "temperature"
    assert arrived.device_id == cloud.hub_id
    assert abs(hub.clock.zero_utc_ms + kept.at_ms - arrived.at_ms) < 50
    await until(lambda: hub.status().outbox.accepted)
    status = hub.status()
    assert (status.link.state, status.outbox.pending, status.outbox.accepted) == ("up", 0, 1)
    assert status.outbox.committed == 1
    assert hub.host.said[0] == "ready"


async def test_unrepresentable_time_of_a_reading_does_not_affect_the_others(cloud: Cloud, make_hub: MakeHub) -> None:
    hub = make_hub(cloud.url)
    hub.start()
    for at_ms in (10**15, -(10**15), hub.clock.monotonic_ms() - 5):
        hub.hub.telemetry.intake.offer(Reading("", "test", T_KIND, 20.0, at_ms))
    await until(lambda: hub.status().outbox.accepted == 1)
    await until(lambda: hub.status().outbox.pending == 0)
    status = hub.status()
    assert (len(cloud.stored), status.outbox.dead_letters, status.faults) == (1, 2, [])
    assert "not between 1970 and 2200" in status.outbox.last_refusal


async def test_stop_keeps_the_latest_readings(cloud: Cloud, make_hub: MakeHub) -> None:
    await cloud.down()
    first = make_hub(cloud.url, sensors=[thermometer()])
    first.start()
    await until(lambda: first.committed)
    first.report(20.1, 20.2, 20.3)
    await first.end()
    assert first.board.is_closed
    assert first.host.said[-1] == "stopping"
    await cloud.up()
    second = make_hub(cloud.url)
    second.start()
    await until(lambda: len(cloud.stored) == 4)
    assert {reading.value for reading in cloud.stored} == {21.5, 20.1, 20.2, 20.3}


async def test_outage_of_the_cloud_is_survived(cloud: Cloud, make_hub: MakeHub) -> None:
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(20.0)
    await until(lambda: len(cloud.stored) == 1)
    await cloud.down()
    hub.report(*(20 + n / 100 for n in range(250)))
    await until(lambda: hub.status().link.state == "down")
    assert hub.status().link.reason
    await until(lambda: hub.status().outbox.pending == 250)
    await cloud.up()
    await until(lambda: len(cloud.stored) == 251)
    assert len(cloud.accepted) == 251
    assert max(len(batch) for batch in cloud.batches) == 100
    await until(lambda: hub.status().outbox.pending == 0)
    assert hub.status().link.state == "up"


BROKEN = [
    faults.ConnectionRefused(),
    faults.CutBefore(),
    faults.CutAfter(),
    faults.CutAfter(body_bytes=5),
    faults.ErrorStatus(status=500),
    faults.ErrorStatus(status=503, retry_after_s=0),
    faults.ErrorStatus(status=503, retry_after_s=1, retry_after_form="date"),
    faults.ErrorStatus(status=502, is_json=False),
    faults.ErrorStatus(status=504, is_processed=True),
    faults.ErrorStatus(status=429, retry_after_s=0),
    faults.ErrorStatus(status=408),
    faults.Redirect(location="/v1/telemetry", status=307),
    faults.BrokenJson(),
    faults.TruncatedJson(),
    faults.OversizedBody(body_bytes=2_000_000),
    faults.WrongShape(shape="string"),
    faults.WrongShape(shape="missing"),
    faults.WrongShape(shape="null"),
]
HARMLESS = [
    faults.ExtraFields(),
    faults.WrongContentType(),
    faults.SlowDrip(piece_bytes=3, pause_s=0.01),
    faults.LatencyUp(min_s=0.05, max_s=0.1),
    faults.LatencyDown(min_s=0.05, max_s=0.1),
    faults.ClockOff(offset_s=-400 * 86_400),
]


@pytest.mark.parametrize("fault", BROKEN, ids=str)
async def test_every_invalid_answer_leads_to_an_identical_retry(
    cloud: Cloud, make_hub: MakeHub, fault: faults.Fault
) -> None:
    cloud.faults(faults.FaultRule(fault, endpoint=Endpoint.TELEMETRY, next_n=1))
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(20.1, 20.2, 20.3)
    await until(lambda: hub.status().outbox.accepted == 3)
    await until(lambda: hub.status().outbox.pending == 0)
    assert len(cloud.stored) == 3
    assert hub.status().faults == []
    assert hub.status().outbox.dead_letters == 0


@pytest.mark.parametrize("fault", BROKEN, ids=str)
async def test_every_invalid_settings_answer_changes_nothing(
    cloud: Cloud, make_hub: MakeHub, fault: faults.Fault
) -> None:
    cloud.faults(faults.FaultRule(fault, endpoint=Endpoint.SETTINGS_GET, next_n=1))
    hub = make_hub(cloud.url)
    hub.start()
    await until(lambda: 200 in cloud.answered(Endpoint.SETTINGS_GET)[-1:])
    assert hub.hub.settings.current.reporting_interval_seconds == 60
    assert hub.status().faults == []


@pytest.mark.parametrize("fault", HARMLESS, ids=str)
async def test_unusual_but_valid_answers_are_accepted(cloud: Cloud, make_hub: MakeHub, fault: faults.Fault) -> None:
    cloud.faults(faults.FaultRule(fault, endpoint=Endpoint.TELEMETRY))
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(20.1, 20.2)
    await until(lambda: hub.status().outbox.accepted == 2)
    assert len(cloud.accepted) == 2
    assert hub.status().outbox.retrying == 0


async def test_lower_accepted_count_is_counted_and_not_sent_again(cloud: Cloud, make_hub: MakeHub) -> None:
    cloud.faults(faults.FaultRule(faults.AcceptedLower(by=2), endpoint=Endpoint.TELEMETRY, next_n=1))
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(20.1, 20.2, 20.3)
    await until(lambda: hub.status().outbox.pending == 0 and hub.status().outbox.accepted)
    assert (hub.status().outbox.accepted, hub.status().outbox.unconfirmed) == (1, 2)
    assert len(cloud.accepted) == 3


async def test_refused_key_is_probed_slowly_while_sampling_continues(cloud: Cloud, make_hub: MakeHub) -> None:
    cloud.reference.admin.replace_key(cloud.hub_id)
    sensor = thermometer()
    hub = make_hub(cloud.url, sensors=[sensor])
    hub.start()
    await until(lambda: hub.status().link.state == "key_refused")
    assert "key" in hub.status().link.reason
    asked = len(cloud.requests)
    assert asked == 3
    hub.report(*(20 + n / 100 for n in range(20)))
    await until(lambda: hub.status().outbox.pending == 21)
    assert len(cloud.requests) == asked
    assert hub.hub.client.wait_s(contract.Endpoint.TELEMETRY) > 5
    assert KEY not in str(hub.status())


async def test_a_new_key_is_picked_up_from_its_file(cloud: Cloud, make_hub: MakeHub) -> None:
    new_key = cloud.reference.admin.replace_key(cloud.hub_id).api_key
    keys = [KEY, KEY]  # the first for the client, the second for the phase of sampling
    hub = make_hub(cloud.url, read_key=lambda: keys.pop() if keys else new_key)
    hub.start()
    hub.report(20.1)
    await until(lambda: cloud.accepted)
    assert hub.status().link.state == "up"


async def test_missing_key_file_does_not_stop_the_hub(cloud: Cloud, make_hub: MakeHub) -> None:
    cloud.reference.admin.replace_key(cloud.hub_id)
    keys = [KEY, KEY]

    def read_key() -> str:
        if not keys:
            raise ConfigInvalid("the secret cannot be read")
        return keys.pop()

    hub = make_hub(cloud.url, read_key=read_key)
    hub.start()
    hub.report(20.1)
    await until(lambda: hub.status().link.state == "key_refused")
    assert hub.status().faults == []


async def test_refused_reading_does_not_delay_the_others(
    cloud: Cloud, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It comes from a sensor that belongs to another hub by now."""
    monkeypatch.setattr(batching, "SUSPECT_RETRY_MS", 50)
    state = tmp_path / "state"
    state.mkdir()
    (state / "relayed.json").write_text('{"T9": {"sensor_id": "00000000-0000-4000-8000-000000000099"}}')
    hub = make_hub(cloud.url, network=TestNetwork("T9"))
    hub.start()
    values = [20 + n / 100 for n in range(60)]
    hub.report(*values[:30])
    hub.report(19.0, device="T9")
    hub.report(*values[30:])
    await until(lambda: hub.status().outbox.accepted == 60)
    hub.report(20.9)
    await until(lambda: hub.status().outbox.dead_letters == 1)
    await until(lambda: hub.status().outbox.pending == 0)
    assert sorted(reading.value for reading in cloud.stored) == sorted([*values, 20.9])
    assert hub.hub.telemetry.outbox is not None
    (letter,) = await hub.hub.telemetry.outbox.dead_letters()
    assert (letter.device, letter.value) == ("T9", 19.0)
    assert hub.status().outbox.last_refusal


async def test_refused_gzip_is_disabled(make_hub: MakeHub) -> None:
    cloud = Cloud(is_gzip_accepted=False)
    await cloud.up()
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(*(20 + n / 100 for n in range(50)))
    await until(lambda: len(cloud.stored) == 50)
    await until(lambda: hub.status().link.compression == "off")
    hub.report(*(21 + n / 100 for n in range(50)))
    await until(lambda: len(cloud.stored) == 100)
    assert cloud.answered().count(415) == 1
    await cloud.down()


async def test_accepted_gzip_is_confirmed(cloud: Cloud, make_hub: MakeHub) -> None:
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(*(20 + n / 100 for n in range(50)))
    await until(lambda: len(cloud.stored) == 50)
    # The cloud has them before the hub has its answer.
    await until(lambda: hub.status().link.compression == "proven")


# Relayed sensors.


async def test_sensor_key_by_name_is_used_and_an_unmatched_one_reported(cloud: Cloud, make_hub: MakeHub) -> None:
    network = TestNetwork("T1")
    network.sensors = [RelayedSensor("0x00158d0001a2b3c4", "Attic", (T_KIND,))]
    keys = {"attic": cloud.sensor_key("Attic"), "cellar": "cs_sen_x"}
    hub = make_hub(cloud.url, network=network, sensor_keys=keys)
    hub.start()
    await until(lambda: hub.hub.pairing.identities.sensor_id("0x00158d0001a2b3c4"))
    assert hub.status().unmatched_keys == ["cellar"]


async def test_relayed_sensor_registers_and_has_its_own_readings(cloud: Cloud, make_hub: MakeHub) -> None:
    network = TestNetwork("T1", "T2")
    hub = make_hub(cloud.url, network=network, sensor_keys={"T1": cloud.sensor_key("T1")})
    hub.start()
    now_ms = hub.clock.monotonic_ms()
    network.reports.put_nowait([Reading(device, device, T_KIND, 19.5, now_ms) for device in ("T1", "T2")])
    await until(lambda: cloud.accepted)
    (arrived,) = cloud.accepted
    assert arrived.device_id == hub.hub.pairing.identities.sensor_id("T1")
    await until(lambda: hub.status().outbox.unregistered == 1)
    first, second = hub.status().relayed_sensors
    assert (first.sensor_id, first.problem) == (arrived.device_id, "")
    assert second.sensor_id is None
    assert "relayed_sensors.sensor_keys_file" in second.problem
    assert network.confirmed


async def test_held_readings_are_sent_once_the_sensor_is_registered(cloud: Cloud, make_hub: MakeHub) -> None:
    keys = {"T1": cloud.sensor_key("T1")}
    first = make_hub(cloud.url, network=TestNetwork("T1"))
    first.start()
    first.report(19.1, 19.2, 19.3, device="T1")
    await until(lambda: first.status().outbox.unregistered == 3)
    await first.end()
    second = make_hub(cloud.url, network=TestNetwork("T1"), sensor_keys=keys)
    second.start()
    await until(lambda: len(cloud.stored) == 3)
    assert {reading.device_id for reading in cloud.stored} == {second.hub.pairing.identities.sensor_id("T1")}


async def test_relayed_reading_is_never_sent_as_the_hubs_own(cloud: Cloud, make_hub: MakeHub, tmp_path: Path) -> None:
    """Its identity was lost on the disk while readings of it waited: they wait on."""
    network = TestNetwork("T1")
    first = make_hub(cloud.url, network=network, sensor_keys={"T1": cloud.sensor_key("T1")})
    first.start()
    await until(lambda: first.hub.pairing.identities.is_registered("T1"))
    await cloud.down()
    first.report(19.1, 19.2, device="T1")
    await until(lambda: first.status().outbox.pending == 2)
    await first.end()
    for name in ("relayed.json", "relayed.json.copy"):
        (tmp_path / "state" / name).write_text("lost")
    await cloud.up()
    second = make_hub(cloud.url, network=TestNetwork("T1"))
    second.start()
    second.report(22.0)
    await until(lambda: any(reading.value == 22.0 for reading in cloud.accepted))
    await until(lambda: second.status().outbox.pending == 2)
    assert [reading.value for reading in cloud.stored if reading.device_id == cloud.hub_id] == [22.0]
    assert second.status().outbox.pending == 2


async def test_lost_network_is_reported_and_read_again(cloud: Cloud, make_hub: MakeHub) -> None:
    network = TestNetwork("T1")
    hub = make_hub(cloud.url, network=network, sensor_keys={"T1": cloud.sensor_key("T1")})
    hub.start()
    network.reports.put_nowait(NetworkLost("the coordinator does not answer"))
    await until(lambda: "coordinator" in hub.status().relayed_sensors[0].problem)


# Sensors.


async def test_failing_and_implausible_sensors_do_not_delay_the_others(cloud: Cloud, make_hub: MakeHub) -> None:
    def fail(error: Exception) -> TestSensor:
        def act() -> float:
            raise error

        return TestSensor(f"{type(error).__name__}", T_KIND, act)

    failing = [
        fail(SensorUnavailable("bus error")),
        fail(ReadingImplausible("text")),
        fail(OSError(5, "Input/output error")),
        fail(TimeoutError(110, "Connection timed out")),
        fail(ValueError("no number")),
    ]
    lying = [
        TestSensor("nan", SensorKind.HUMIDITY, lambda: math.nan),
        TestSensor("inf", SensorKind.PRESSURE, lambda: math.inf),
        TestSensor("wild", SensorKind.IAQ, lambda: -40.0),
    ]
    primary = '[sensors.primary]\ntemperature = "T1"\n'
    hub = make_hub(cloud.url, sensors=[*failing, *lying, thermometer()], config_text=primary)
    hub.start()
    await until(lambda: cloud.accepted)
    await until(lambda: all(sensor.failures + sensor.bad + sensor.good for sensor in hub.status().sensors))
    assert [(reading.sensor_type, reading.value) for reading in cloud.accepted] == [("temperature", 21.5)]
    shown = {sensor.sensor: sensor for sensor in hub.status().sensors}
    assert len(shown) == 9
    assert shown["SensorUnavailable"].problem == "bus error"
    assert "timed out" in shown["TimeoutError"].problem
    assert all(shown[sensor.name].failures == 1 for sensor in failing)
    assert all(shown[sensor.name].bad == 1 for sensor in lying)
    assert hub.status().faults == []


async def test_hub_starts_with_a_missing_sensor(cloud: Cloud, make_hub: MakeHub) -> None:
    gone = "hwmon/w1_slave_temp@28-0000000000aa/temp1"
    hub = make_hub(cloud.url, sensors=[thermometer()], config_text=f'[sensors.primary]\ntemperature = "{gone}"\n')
    hub.start()
    await until(lambda: [sensor.good for sensor in hub.status().sensors] == [1])
    # It is read, for the control law and the page, and does not speak in the other's place.
    (told,) = [problem for problem in hub.status().settings.problems if gone in problem]
    assert told.startswith(f'sensors.primary.temperature: this board has no sensor "{gone}"')
    assert hub.committed == []


# Time.


async def test_readings_without_the_time_wait_and_then_get_their_timestamps(cloud: Cloud, make_hub: MakeHub) -> None:
    clock = HubClock()
    clock.is_synchronised = False
    clock.off_ms = -1_700_000_000_000  # what the wall clock says before NTP does not matter
    hub = make_hub(cloud.url, clock=clock)
    hub.start()
    hub.report(20.1, 20.2)
    await until(lambda: hub.status().outbox.unanchored == len(hub.committed) == 2)
    measured_ms = [reading.at_ms for reading in hub.committed]
    assert not cloud.accepted
    assert hub.status().clock.synchronised is False
    for off_ms in (365 * 86_400_000, -365 * 86_400_000, 0):
        clock.off_ms = off_ms
    clock.is_synchronised = True
    await until(lambda: len(cloud.accepted) == 2)
    assert all(abs(a.at_ms - clock.zero_utc_ms - m) < 50 for a, m in zip(cloud.accepted, measured_ms, strict=True))


@pytest.fixture
async def boot_without_ntp(cloud: Cloud, make_hub: MakeHub) -> None:
    """Leave two readings behind whose boot never learnt the time."""
    clock = HubClock()
    clock.is_synchronised = False
    clock.boot_id = "a boot without NTP"
    hub = make_hub(cloud.url, clock=clock)
    hub.start()
    hub.report(20.1, 20.2)
    await until(lambda: hub.status().outbox.unanchored == 2)
    await hub.end()


@pytest.mark.usefixtures("boot_without_ntp")
async def test_a_boot_that_never_learnt_the_time_keeps_its_readings(cloud: Cloud, make_hub: MakeHub) -> None:
    second = make_hub(cloud.url)
    second.start()
    second.report(21.0)
    await until(lambda: cloud.accepted)
    await until(lambda: second.status().outbox.pending == 2)
    assert second.status().outbox.unanchored == 2
    assert [reading.value for reading in cloud.stored] == [21.0]


async def test_full_disk_does_not_prevent_a_reboot(
    cloud: Cloud, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: TelemetryService) -> None:
        del self
        raise StorageFull("the outbox is full")

    hub = make_hub(cloud.url)
    hub.start()
    hub.report(20.1)
    await until(lambda: hub.status().outbox.accepted == 1)
    monkeypatch.setattr(TelemetryService, "flush", full)
    await hub.hub.health.wait_for_clock()
    await hub.hub.health.reboot("an update")
    assert "reboot" in hub.host.said
    monkeypatch.undo()


@pytest.mark.usefixtures("boot_without_ntp")
async def test_readings_without_the_time_do_not_delay_a_restart_beyond_its_limit(
    cloud: Cloud, make_hub: MakeHub
) -> None:
    second = make_hub(cloud.url)
    second.start()
    second.report(21.0)
    await until(lambda: cloud.accepted)
    assert second.status().outbox.unanchored == 2
    async with asyncio.timeout(WAIT_S):
        await second.hub.health.wait_for_clock()


async def test_restart_waits_until_the_time_is_known(
    cloud: Cloud, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ANCHOR_POLL_S", 0.01)
    clock = HubClock()
    clock.is_synchronised = False
    hub = make_hub(cloud.url, clock=clock)
    hub.start()
    hub.report(20.1)
    await until(lambda: hub.status().outbox.unanchored == 1)
    waiting = asyncio.get_running_loop().create_task(hub.hub.health.wait_for_clock())
    hub.report(20.2)
    await until(lambda: hub.status().outbox.unanchored == 2)
    assert not waiting.done()
    clock.is_synchronised = True
    async with asyncio.timeout(WAIT_S):
        await waiting
    assert hub.status().outbox.unanchored == 0
