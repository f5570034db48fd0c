"""A hub whose disk is full, broken, or gives back rubbish: it samples on, says so, and loses no more than it must."""

import errno
import json
import sqlite3
from pathlib import Path

import pytest

from agent.foundation.disk import Disk, Operation, allow_operation
from agent.telemetry import intake
from hal.interface import SensorKind
from lab.refcloud import faults
from lab.refcloud.contract import Endpoint
from tests.integration.conftest import Cloud, MakeHub, TestNetwork, TestSensor, until


def full(operation: Operation, target: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", target)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "RETRY_S", 0.05)
    monkeypatch.setattr("agent.telemetry.service.OUTBOX_RETRY_S", 0.05)


@pytest.mark.parametrize("content", [b"", b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_unreadable_outbox_is_quarantined_and_reported(
    cloud: Cloud, make_hub: MakeHub, tmp_path: Path, content: bytes
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "outbox.db").write_bytes(content)
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(20.1)
    await until(lambda: cloud.accepted)
    told = [fault.text for fault in hub.status().faults]
    assert len(told) == bool(content)
    if content:
        assert "outbox.db.corrupt-1" in told[0]
        assert (state / "outbox.db.corrupt-1").read_bytes() == content


async def test_outbox_corrupted_in_use_is_quarantined_and_reported(
    cloud: Cloud, make_hub: MakeHub, tmp_path: Path
) -> None:
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(20.1)
    await until(lambda: cloud.accepted)
    broken = sqlite3.connect(tmp_path / "state" / "outbox.db", isolation_level=None)
    broken.execute("DROP TABLE blobs")
    broken.close()
    hub.report(20.2, 20.3)
    await until(lambda: len(cloud.accepted) == 3)
    texts = [fault.text for fault in hub.status().faults]
    assert any("outbox.db.corrupt-1" in text for text in texts)
    hub.report(20.4)
    await until(lambda: len(cloud.accepted) == 4)


async def test_full_disk_is_reported_and_readings_in_memory_are_sent_later(cloud: Cloud, make_hub: MakeHub) -> None:
    disk = Disk()
    sensor = TestSensor("T1", SensorKind.TEMPERATURE, lambda: 21.5)
    hub = make_hub(cloud.url, disk=disk, sensors=[sensor])
    hub.start()
    await until(lambda: cloud.accepted)
    disk.on_operation = full
    hub.report(20.1, 20.2, 20.3)
    await until(lambda: "free some space" in hub.status().outbox.problem)
    assert hub.status().outbox.in_memory == 3
    disk.on_operation = allow_operation
    await until(lambda: len(cloud.accepted) == 4)
    await until(lambda: hub.status().outbox.problem == "")
    assert hub.status().faults == []


async def test_a_disk_that_is_full_from_the_start(cloud: Cloud, make_hub: MakeHub) -> None:
    disk = Disk(full)
    hub = make_hub(cloud.url, disk=disk)
    hub.start()
    hub.report(20.1)
    await until(lambda: "free some space" in hub.status().outbox.problem)
    disk.on_operation = allow_operation
    await until(lambda: cloud.accepted)
    assert hub.status().outbox.problem == ""


async def test_readings_of_a_device_registered_on_a_full_disk_are_sent(cloud: Cloud, make_hub: MakeHub) -> None:
    keys = {"T1": cloud.sensor_key("T1")}
    cloud.reference.listening = False
    disk = Disk()
    hub = make_hub(cloud.url, disk=disk, network=TestNetwork("T1"), sensor_keys=keys)
    hub.start()
    hub.report(19.1, 19.2, device="T1")
    await until(lambda: hub.status().outbox.unregistered == 2)
    disk.on_operation = full
    cloud.reference.listening = True
    await until(lambda: hub.hub.pairing.identities.is_registered("T1"))
    disk.on_operation = allow_operation
    await hub.end()
    again = make_hub(cloud.url, network=TestNetwork("T1"), sensor_keys=keys)
    again.start()
    await until(lambda: len(cloud.stored) == 2)
    assert {reading.device_id for reading in cloud.stored} == {again.hub.pairing.identities.sensor_id("T1")}


async def test_settings_of_a_broken_file_are_fetched_from_the_cloud(
    cloud: Cloud, make_hub: MakeHub, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "settings.json").write_bytes(b'{"settings":{"timezone":"\xff"}}')
    (state / "relayed.json").write_bytes(b'{"T1":{"sensor_id":"\xff"}}')
    hub = make_hub(cloud.url)
    assert len(hub.status().settings.problems) == 2
    hub.start()
    await until(lambda: len(hub.status().settings.problems) == 1)
    await until((state / "settings.json").exists)
    assert json.loads((state / "settings.json").read_bytes())["settings"]["reporting_interval_seconds"] == 60


async def test_crash_of_the_cloud_before_its_answer_duplicates_nothing(cloud: Cloud, make_hub: MakeHub) -> None:
    cloud.faults(faults.FaultRule(faults.CutAfter(), endpoint=Endpoint.TELEMETRY, next_n=2))
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(*(20 + n / 100 for n in range(130)))
    await until(lambda: hub.status().outbox.accepted == 130)
    assert len(cloud.accepted) > 130
    assert len(cloud.stored) == 130
