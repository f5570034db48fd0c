"""The control of a hub finds what its configuration names: here the plugs that measure its equipment."""

from pathlib import Path

import pytest

from agent.climate.assembly import build_climate
from agent.climate.service import ClimateService
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

    def __init__(self, living: str = "", attic: str = "") -> None:
        self.zones = (ZoneOutput("living", device=living), ZoneOutput("attic", device=attic))

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


def built(text: str, directory: Path, outputs: Outputs, network: Network | None) -> ClimateService:
    climate = build_climate(
        resolve_text(text, file="test", directory=directory, environ={}).config,
        outputs=outputs,
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
    return climate


@pytest.mark.parametrize(("network", "missing"), [(Network(), ["t", "0x2"]), (None, ["t", "panel", "0x2"])])
def test_plugs_are_found_by_name_and_those_that_do_not_report_are_missing(
    tmp_path: Path, network: Network | None, missing: list[str]
) -> None:
    climate = built(TEXT, tmp_path, Outputs("0x8", "0x9"), network)
    assert [zone.power_meter for zone in climate.settings.zones] == ["panel", "0x2"]
    assert list(climate._missing_sensors()) == missing
    assert climate._powers() == ({"panel": Network.power_states[0]} if network else {})


@pytest.mark.parametrize(
    ("living", "attic", "meters"),
    [
        ("", "", ["", ""]),
        ("0x1", "", ["0x1", ""]),
        ("0x1", "0x2", ["0x1", "0x2"]),
        # What both zones draw says nothing about one of them.
        ("0x1", "0x1", ["", ""]),
    ],
)
def test_the_plug_that_switches_a_zone_is_its_meter_unless_another_is_named(
    tmp_path: Path, living: str, attic: str, meters: list[str]
) -> None:
    text = TEXT.replace(', power_meter = "panel"', "").replace(', power_meter = "0x2"', "")
    climate = built(text, tmp_path, Outputs(living, attic), Network())
    assert [zone.power_meter for zone in climate.settings.zones] == meters
    assert climate._powers() == ({"0x1": Network.power_states[0]} if meters[0] else {})
    assert list(climate._missing_sensors()) == ["t"], "a plug that only switches is not missed"


def test_the_thermometers_of_floor_supply_and_return_are_read_and_missed_by_name(tmp_path: Path) -> None:
    probes = 'floor_sensor = "screed", supply_sensor = "supply", return_sensor = "return"'
    climate = built(TEXT.replace('power_meter = "panel"', probes), tmp_path, Outputs(), None)
    assert {"screed", "supply", "return"} <= set(climate._missing_sensors())
