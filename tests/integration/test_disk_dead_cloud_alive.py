"""The disk takes nothing and the cloud everything: readings go out from memory, and it is said what is wrong."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.status import as_text
from agent.foundation.disk import Disk, Operation, allow_operation
from lab.refcloud import faults
from lab.refcloud.contract import Endpoint
from tests.integration.conftest import Cloud, HubClock, MakeHub, TestNetwork, until

READINGS = [20 + n / 100 for n in range(250)]


def failing(number: int) -> Callable[[Operation, str], None]:
    def fail(operation: Operation, target: str) -> None:
        raise OSError(number, os.strerror(number), target)

    return fail


DEAD = pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC], ids=errno.errorcode.__getitem__)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.telemetry.intake.RETRY_S", 0.05)
    monkeypatch.setattr("agent.telemetry.service.OUTBOX_RETRY_S", 0.05)


@DEAD
async def test_readings_are_sent_from_memory_after_a_minute(
    cloud: Cloud, make_hub: MakeHub, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    disk, clock = Disk(), HubClock()
    hub = make_hub(cloud.url, disk=disk, clock=clock)
    hub.start()
    hub.report(19.0)
    await until(lambda: cloud.accepted)
    disk.on_operation = failing(number)
    hub.report(*READINGS)
    await until(lambda: hub.status().outbox.problem)
    assert os.strerror(number) in hub.status().outbox.problem
    assert len(cloud.stored) == 1
    assert hub.status().outbox.in_memory == 250
    clock.skip(61)
    await until(lambda: len(cloud.stored) == 251)
    # The cloud has them before the hub has its answer.
    await until(lambda: hub.status().outbox.accepted_from_memory == 250)
    assert hub.status().outbox.problem, "that the disk is dead is said all the same"
    hub.report(*READINGS)
    await until(lambda: len(cloud.stored) == 501)
    disk.on_operation = allow_operation
    hub.report(18.0)
    await until(lambda: len(cloud.stored) == 502)
    await until(lambda: not hub.status().outbox.problem)
    assert len(cloud.accepted) == 502, "nothing goes out twice"
    await until(lambda: hub.status().outbox.accepted_from_memory == 500)
    assert hub.status().faults == []
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum("readings stay in memory" in text for text in said) == 1, "a lasting problem is logged once"


@DEAD
async def test_readings_are_sent_from_memory_where_the_disk_fails_from_the_start(
    cloud: Cloud, make_hub: MakeHub, number: int
) -> None:
    disk, clock = Disk(failing(number)), HubClock()
    hub = make_hub(cloud.url, disk=disk, clock=clock)
    hub.start()
    hub.report(*READINGS)
    await until(lambda: hub.hub.telemetry.intake.disk_failing_since_ms)
    assert os.strerror(number) in hub.status().outbox.problem
    clock.skip(61)
    await until(lambda: len(cloud.stored) == 250)
    disk.on_operation = allow_operation
    hub.report(18.0)
    await until(lambda: len(cloud.stored) == 251)

    def is_well() -> bool:
        # A reading that was sent from memory proves nothing of the disk; the next one that is written does.
        hub.report(18.0)
        return hub.status().outbox.problem == ""

    await until(is_well)
    assert not [fault for fault in hub.status().faults if fault.component != "commands"]


async def test_lost_answer_gives_no_reading_a_second_timestamp(cloud: Cloud, make_hub: MakeHub) -> None:
    disk, clock = Disk(), HubClock()
    hub = make_hub(cloud.url, disk=disk, clock=clock)
    hub.start()
    hub.report(19.0)
    await until(lambda: cloud.accepted)
    disk.on_operation = failing(errno.EIO)
    hub.report(*READINGS[:50])
    await until(lambda: hub.status().outbox.problem)
    cloud.faults(faults.FaultRule(faults.CutAfter(), endpoint=Endpoint.TELEMETRY))
    clock.skip(61)
    await until(lambda: len(cloud.stored) == 51)
    # The clock is corrected, and the process ends before the hub has learnt that they arrived.
    clock.off_ms = 300
    disk.on_operation = allow_operation
    await hub.end()
    cloud.faults()
    again = make_hub(cloud.url, clock=clock)
    again.start()
    await until(lambda: again.status().outbox.accepted == 50)
    assert len(cloud.stored) == 51


async def test_readings_of_an_unregistered_sensor_stay(cloud: Cloud, make_hub: MakeHub) -> None:
    disk, clock = Disk(), HubClock()
    hub = make_hub(cloud.url, disk=disk, clock=clock, network=TestNetwork("T1"))
    hub.start()
    disk.on_operation = failing(errno.EIO)
    hub.report(20.1, 20.2, device="T1")
    hub.report(21.0)
    await until(lambda: hub.hub.telemetry.intake.disk_failing_since_ms)
    clock.skip(61)
    await until(lambda: len(cloud.stored) == 1)
    # The cloud has it a moment before the hub knows.
    await until(lambda: hub.status().outbox.in_memory == 2)
    disk.on_operation = allow_operation
    await until(lambda: hub.status().outbox.unregistered == 2)


async def test_full_disk_is_shown_before_the_first_write(cloud: Cloud, make_hub: MakeHub) -> None:
    class Full(Disk):
        def problem_of(self, directory: Path) -> str:
            return f"the disk of {directory} is full; free some space"

    hub = make_hub(cloud.url, disk=Full())
    hub.start()
    await until(lambda: "is full" in hub.status().outbox.problem)
    assert hub.status().outbox.in_memory == 0
    assert "NO PROBLEMS" not in as_text(hub.status())
