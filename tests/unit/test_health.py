"""The checks of a release on trial."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agent.cloud.connectivity import ConnectivityState
from agent.foundation.disk import Disk
from agent.foundation.machine_monitor import MachineMonitor
from agent.foundation.worker import InlineWorker
from agent.health import Health, fresh_sensors, radio_problem, sensor_problem, trial_checks
from agent.local.machine_problems import card_moved
from agent.local.problems import GIVE_KEY
from agent.local.status import HubStatus
from hal.radio import RadioState, RadioStatus
from lab.simulation.virtual_loop import VirtualLoop


async def test_local_api_check_requests_the_status(tmp_path: Path) -> None:
    status = cast("HubStatus", SimpleNamespace(outbox=SimpleNamespace(problem="full")))
    checks = trial_checks(lambda: status, socket=tmp_path / "s", control_problem=str, radio_problem=str)
    assert await checks["outbox"]() == "full"
    assert await checks["control"]() == ""
    assert (
        await trial_checks(lambda: status, socket=None, control_problem=lambda: "hung", radio_problem=str)["control"]()
        == "hung"
    )
    assert await checks["local API"]() != ""
    for said, is_healthy in ((b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 500 no\r\n\r\n", False), (b"", False)):

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = said) -> None:
            await reader.readline()
            writer.write(said)
            await writer.drain()
            writer.close()

        (tmp_path / "s").unlink(missing_ok=True)
        server = await asyncio.start_unix_server(answer, tmp_path / "s")
        assert (await checks["local API"]() == "") is is_healthy
        server.close()
        await server.wait_closed()
    assert await trial_checks(lambda: status, socket=None, control_problem=str, radio_problem=str)["local API"]() == ""


async def test_missing_radio_software_fails_a_trial_and_a_missing_stick_does_not() -> None:
    missing = RadioStatus(RadioState.LOST, "zigpy is not installed", needs_software=True)
    gone = RadioStatus(RadioState.LOST, "the stick is gone")
    assert radio_problem(missing, is_needed=True) == "zigpy is not installed"
    assert radio_problem(missing, is_needed=False) == ""
    assert radio_problem(gone, is_needed=True) == ""
    checks = trial_checks(
        lambda: cast("HubStatus", SimpleNamespace()), socket=None, control_problem=str, radio_problem=lambda: "missing"
    )
    assert await checks["radio"]() == "missing"


def test_fresh_sensors_have_a_recent_good_value() -> None:
    sensors = [SimpleNamespace(age_s=age, quality=quality) for age, quality in
               ((10.0, "good"), (None, "good"), (10.0, "bad"), (9999.0, "good"))]  # fmt: skip
    assert fresh_sensors(cast("HubStatus", SimpleNamespace(sensors=sensors)), 60.0) == 1


def test_without_a_fresh_sensor_a_hub_is_not_ready() -> None:
    def problem(*ages_s: float | None) -> str:
        sensors = [SimpleNamespace(age_s=age_s, quality="good") for age_s in ages_s]
        return sensor_problem(cast("HubStatus", SimpleNamespace(sensors=sensors)), 60.0)

    assert problem() == problem(None, 300.0) == ""
    assert problem(None, 300.1) == (
        "check the sensors (climahub status): of 2 measured values none was good in the last 300 s"
    )


@pytest.mark.parametrize(
    ("state", "is_moved", "rest"),
    [
        (ConnectivityState.UP, False, ""),
        (ConnectivityState.UNPROVISIONED, False, f"; {GIVE_KEY}"),
        (ConnectivityState.UNPROVISIONED, True, f"; {card_moved().advice}"),
    ],
)
async def test_the_service_managers_status_line_names_the_way_to_a_key(
    state: ConnectivityState, is_moved: bool, rest: str
) -> None:
    said: list[str] = []

    def alive(line: str) -> None:
        said.append(line)
        raise asyncio.CancelledError

    outbox = SimpleNamespace(stats=lambda: SimpleNamespace(pending=2))
    parts = {
        "status": lambda: SimpleNamespace(machine=SimpleNamespace(is_card_moved=is_moved)),
        "telemetry": SimpleNamespace(outbox=outbox),
        "cloud_state": lambda: state,
        "climate": lambda: None,
        "host": SimpleNamespace(watchdog_s=None, alive=alive),
    }
    health = Health(pairing=None, starts=None, socket=None, **parts)  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await health.feed_watchdog()
    assert said == [f"cloud {state.value}, 2 readings waiting{rest}"]


def test_the_watchdog_is_fed_when_the_machine_is_looked_at_so_that_both_wake_the_processor_once(tmp_path: Path) -> None:
    loop = VirtualLoop()
    fed_s: list[int] = []
    looked_s: list[int] = []

    class Watched(Disk):
        def problem_of(self, directory: Path) -> str:
            looked_s.append(round(loop.time()))
            return super().problem_of(directory)

    parts = {
        "telemetry": SimpleNamespace(outbox=None),
        "cloud_state": lambda: ConnectivityState.UP,
        "climate": lambda: None,
        "host": SimpleNamespace(watchdog_s=120.0, alive=lambda _: fed_s.append(round(loop.time()))),
    }
    health = Health(status=None, pairing=None, starts=None, socket=None, **parts)  # type: ignore[arg-type]
    monitor = MachineMonitor(tmp_path, disk=Watched(), worker=InlineWorker())

    async def both() -> None:
        await asyncio.sleep(7)
        loops = [asyncio.create_task(health.feed_watchdog())]
        await asyncio.sleep(2)
        loops.append(asyncio.create_task(monitor.run()))
        await asyncio.sleep(300)
        for each in loops:
            each.cancel()

    began_s = round(loop.time())
    loop.run_until_complete(both())
    loop.close()
    assert (fed_s[0], looked_s[0]) == (began_s + 7, began_s + 9)
    assert len(looked_s) == 1 + 5
    assert set(looked_s[1:]) <= set(fed_s)
    assert len(fed_s) == 11
