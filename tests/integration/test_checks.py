"""The checks of a running hub, over its port."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.local.routes import Role
from agent.port.checks import hub_probes
from agent.port.checks.facts import SensorHistory
from agent.port.checks.report import ChecksReport, Outcome
from agent.port.checks.table import CHECKS
from agent.port.history.series import Series
from hal.sim.network import SimNetwork
from tests.integration.port_rig import ZONES, open_port


async def test_a_running_hub_answers_every_check(tmp_path: Path) -> None:
    async with (
        open_port(tmp_path) as port,
        port.session(Role.VIEWER) as client,
        client.get("/v1/checks") as response,
    ):
        assert response.status == 200
        report = msgspec.json.decode(await response.read(), type=ChecksReport)
    found = {each.name: each for each in report.checks}
    assert list(found) == [check.name for check in CHECKS]
    assert found["hub-agent"].outcome is Outcome.PASS
    assert found["machine-disk"].fact.endswith("free")
    # Nobody answers at the port "discard" of this machine.
    assert (found["network-dns"].outcome, found["network-tcp"].outcome) == (Outcome.PASS, Outcome.FAIL)
    assert found["network-http"].fact == "not tried, because a layer below failed"
    assert found["zigbee-stick"].outcome is Outcome.UNKNOWN
    assert "defect" not in " ".join(each.fact for each in report.checks)
    assert report.outcome is Outcome.FAIL


async def test_checks_are_refused_without_sign_in(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session(None) as client, client.get("/v1/checks") as response:
        assert response.status == 401


async def test_radio_is_scanned_once_an_hour_and_the_history_is_used(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=f"{ZONES}[board.sim]\nsensors_count = 12\n") as port:
        network = port.hub.environment.board.network
        assert isinstance(network, SimNetwork)
        real, scans = network.energy_scan, []

        async def counted() -> Mapping[int, int]:
            scans.append(True)
            return await real()

        network.energy_scan = counted  # type: ignore[method-assign]
        for _ in range(2):
            port.hub.assembly.checks.forget()
            report = await port.hub.assembly.checks.run()
        assert len(scans) == 1
        port.clock.skip(3700)
        port.hub.assembly.checks.forget()
        await port.hub.assembly.checks.run()
        assert len(scans) == 2
    found = {each.name: each for each in report.checks}
    assert "channel 15 is at" in found["zigbee-noise"].fact
    assert found["zigbee-stick"].outcome is Outcome.PASS
    assert found["sensors-stuck"].fact == "no sensor has a history of 12 h yet"


def test_sensor_history_is_judged_over_its_whole_range() -> None:
    series = Series("sensor/0x01/t/temperature", [20.0, None, 21.0], low=[19.5, None, 21.0], high=[20.5, None, 21.0])
    assert hub_probes._behaviour(series, 900) == SensorHistory("0x01", "t", "temperature", 0.5, 1.5, 2)
    assert hub_probes._behaviour(Series("sensor/hub/a/temperature", [None]), 900).device == ""
