"""The checks of a running hub, over its port."""

from pathlib import Path

import msgspec

from agent.local.routes import Role
from agent.port.checks.report import ChecksReport, Outcome
from agent.port.checks.table import CHECKS
from tests.integration.port_rig import open_port


async def test_a_running_hub_answers_every_check_within_ten_seconds(tmp_path: Path) -> None:
    async with (
        open_port(tmp_path) as port,
        port.session(Role.VIEWER) as client,
        client.get("/v1/checks") as response,
    ):
        assert response.status == 200
        report = msgspec.json.decode(await response.read(), type=ChecksReport)
    found = {each.name: each for each in report.checks}
    assert list(found) == [check.name for check in CHECKS]
    assert report.took_s < 10
    assert found["hub-agent"].outcome is Outcome.PASS
    assert found["machine-disk"].fact.endswith("free")
    # Nobody answers at the port "discard" of this machine.
    assert (found["network-dns"].outcome, found["network-tcp"].outcome) == (Outcome.PASS, Outcome.FAIL)
    assert found["network-http"].fact == "not tried, because a layer below failed"
    assert found["zigbee-stick"].outcome is Outcome.UNKNOWN
    assert "defect" not in " ".join(each.fact for each in report.checks)
    assert report.outcome is Outcome.FAIL


async def test_nobody_else_is_told(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session(None) as client, client.get("/v1/checks") as response:
        assert response.status == 401
