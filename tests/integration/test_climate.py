"""A hub that drives something: from its sensors to its relays and back off, on the real loop."""

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from agent.cli import exit_codes, root
from agent.climate import service
from agent.errors import ConfigInvalid, StorageFull
from agent.maintenance import service as maintenance
from hal.interface import HvacAction, HvacDemand, SensorKind, ZoneOutput
from tests.integration.conftest import WAIT_S, Cloud, MakeHub, RunningHub, TestNetwork, TestSensor, until

HEATED = """[climate]
relay_min_on_s = 0
relay_min_off_s = 0
zones = [{ id = "living", sensors = ["T1"] }, { id = "bedroom", sensors = ["far"] }]
"""


class Relays:
    """What they were told, the last first asked."""

    zones = (ZoneOutput("living"), ZoneOutput("bedroom"))

    def __init__(self) -> None:
        self.told: list[HvacDemand] = []

    async def apply(self, demand: HvacDemand) -> None:
        self.told.append(demand)

    def now(self, zone: str) -> HvacAction:
        return self.told[-1].zones.get(zone, HvacAction.OFF) if self.told else HvacAction.OFF


@pytest.fixture
def relays(monkeypatch: pytest.MonkeyPatch) -> Relays:
    monkeypatch.setattr(service, "DECISION_INTERVAL_S", 0.01)
    monkeypatch.setattr(service, "SNAPSHOT_DELAY_S", 0.0)
    made = Relays()
    monkeypatch.setattr("tests.integration.conftest.TestBoard.outputs", made)
    return made


def make(cloud: Cloud, make_hub: MakeHub, value_c: float = 15.0, *, serve: bool = False) -> RunningHub:
    cold = TestSensor("T1", SensorKind.TEMPERATURE, lambda: value_c)
    return make_hub(cloud.url, sensors=[cold], network=TestNetwork("far"), config_text=HEATED, serve=serve)


async def test_cold_sensors_switch_relays_on_and_a_stop_switches_them_off(
    cloud: Cloud, make_hub: MakeHub, relays: Relays
) -> None:
    hub = make(cloud, make_hub)
    hub.start()
    await until(lambda: relays.now("living") is HvacAction.HEAT)
    assert relays.now("bedroom") is HvacAction.OFF
    hub.report(14.0, device="far")
    await until(lambda: relays.now("bedroom") is HvacAction.HEAT)
    await hub.end()
    assert relays.told[-1] == HvacDemand()
    assert (hub.hub.config.storage.state_dir / service.FILE_NAME).exists()


async def test_stop_switches_outputs_off_before_waiting_for_the_disk(
    cloud: Cloud, make_hub: MakeHub, relays: Relays
) -> None:
    hub = make(cloud, make_hub)
    hub.start()
    await until(lambda: relays.now("living") is HvacAction.HEAT)
    synced = threading.Event()
    syncing = asyncio.get_running_loop().create_task(hub.hub.environment.worker.run(lambda: synced.wait(WAIT_S)))
    await asyncio.sleep(0)
    hub.stop.set()
    await until(lambda: relays.told[-1] == HvacDemand())
    assert hub.task is not None
    assert not hub.task.done()
    synced.set()
    await syncing
    await hub.end()


async def test_unknown_configured_sensor_is_a_fault(
    cloud: Cloud, make_hub: MakeHub, relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MISSING_SENSOR_S", 0.0)
    hub = make(cloud, make_hub)
    hub.start()
    await until(lambda: any("no sensor is called far" in fault.text for fault in hub.hub.faults.entries))
    assert relays.told
    hub.report(14.0, device="far")
    climate = hub.hub.climate
    assert climate is not None
    await until(lambda: not climate.sensor_problem)


async def test_hub_heats_without_a_cloud_and_without_an_outbox(
    cloud: Cloud, make_hub: MakeHub, relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StorageFull("the disk takes nothing")

    await cloud.down()
    monkeypatch.setattr("agent.telemetry.service.open_outbox", refuse)
    hub = make(cloud, make_hub)
    hub.start()
    await until(lambda: relays.now("living") is HvacAction.HEAT)
    await until(lambda: hub.status().outbox.problem)


async def test_command_line_changes_a_zone(
    cloud: Cloud, make_hub: MakeHub, relays: Relays, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = make(cloud, make_hub, serve=True)
    hub.start()
    await until(lambda: relays.now("living") is HvacAction.HEAT)
    socket: Path = hub.hub.config.local_api.socket
    await until(socket.exists)
    words = ["climate", "set", "--zone", "living", "--mode", "off", "--socket", str(socket)]
    assert await asyncio.to_thread(root.run, words) == exit_codes.OK
    await until(lambda: relays.now("living") is HvacAction.OFF)
    assert "living: 20.0 to 26.0 °C, off" in capsys.readouterr().out


async def test_maintenance_watches_every_heated_zone_and_is_kept_at_the_end(
    cloud: Cloud, make_hub: MakeHub, relays: Relays, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "SAMPLE_S", 0.01)
    hub = make(cloud, make_hub, serve=True)
    hub.start()
    await until(lambda: relays.now("living") is HvacAction.HEAT)
    watched = hub.hub.maintenance
    assert watched is not None
    await until(lambda: "living" in watched.records and watched.records["living"].day.full_s > 0.0)
    socket: Path = hub.hub.config.local_api.socket
    await until(socket.exists)
    words = ["maintenance", "status", "--socket", str(socket)]
    assert await asyncio.to_thread(root.run, words) == exit_codes.OK
    shown = capsys.readouterr().out
    assert shown.count("still learning: 0 of 14 days of heating") == 4
    await hub.end()
    kept = msgspec.json.decode((hub.hub.config.storage.state_dir / maintenance.FILE_NAME).read_bytes())
    day = kept["zones"]["living"]["day"]
    assert day["full_s"] > 0.0
    assert kept["zones"]["bedroom"]["day"]["measured_s"] == 0.0


async def test_hung_control_loop_stops_the_watchdog_notifications(
    cloud: Cloud, make_hub: MakeHub, relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make(cloud, make_hub)
    hub.host.watchdog_s = 0.02
    hub.start()
    await until(lambda: len(hub.host.said) > 3)
    monkeypatch.setattr(service, "HUNG_S", -1.0)
    count, decisions = len(hub.host.said), len(relays.told)
    await until(lambda: len(relays.told) > decisions + 20)
    assert len(hub.host.said) == count


async def test_zone_without_an_output_is_refused(cloud: Cloud, make_hub: MakeHub) -> None:
    with pytest.raises(ConfigInvalid, match="this board drives nothing"):
        make(cloud, make_hub)
