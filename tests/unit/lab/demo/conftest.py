from pathlib import Path

import pytest

from agent.local.climate import build_climate
from agent.local.status import HubStatus
from lab.demo.environment import CloudCondition, OutagePhase, Scenario
from lab.demo.runner import DemoSnapshot, Options


@pytest.fixture
def options() -> Options:
    return Options(scenario=Scenario(), for_s=None, speed=60.0, seed=1, sensors=15, has_outages=True, refresh_s=1.0)


@pytest.fixture
def scene(status: HubStatus) -> DemoSnapshot:
    return DemoSnapshot(
        status=status,
        phase=OutagePhase(CloudCondition.FAIR, 0.0, 300.0),
        house_s=60.0,
        real_s=1.0,
        taken=50,
        stored=37,
        socket=Path("/run/demo/status.sock"),
        climate=build_climate(None),
    )
