"""The control of a hub finds what its configuration names: here the plugs that measure its equipment."""

from pathlib import Path

import pytest

from agent.climate.assembly import build_climate
from agent.config import resolve_text
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from hal.interface import HvacDemand, Reading, ZoneOutput
from hal.radio import PowerState

TEXT = """
[cloud]
base_url = "https://a.example"
[climate]
zones = [
  { id = "living", sensors = ["t"], power_meter = "panel" },
  { id = "attic", sensors = ["t"], power_meter = "0x2" },
]
"""


class Outputs:
    """Two zones."""

    zones = (ZoneOutput("living"), ZoneOutput("attic"))

    async def apply(self, demand: HvacDemand) -> None:
        """Nothing."""


class Network:
    """A network with one plug that measures its load."""

    sensors = ()
    power_states = (PowerState("0x1", 900.0, 0),)

    async def receive(self) -> list[Reading]:
        return []

    def drain(self) -> list[Reading]:
        return []

    def confirm(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(("network", "missing"), [(Network(), ["t", "0x2"]), (None, ["t", "panel", "0x2"])])
def test_plugs_are_found_by_name_and_those_that_do_not_report_are_missing(
    tmp_path: Path, network: Network | None, missing: list[str]
) -> None:
    config = resolve_text(TEXT, file="test", directory=tmp_path, environ={}).config
    climate = build_climate(
        config,
        outputs=Outputs(),
        channels={},
        devices=lambda: {"panel": "0x1"},
        network=network,
        timezone=lambda: "UTC",
        clock=SystemClock(),
        disk=Disk(),
        worker=InlineWorker(),
        add_fault=lambda _: None,
    )
    assert climate is not None
    assert [zone.power_meter for zone in climate.settings.zones] == ["panel", "0x2"]
    assert list(climate._missing_sensors()) == missing
    assert climate._powers() == ({"panel": Network.power_states[0]} if network else {})
