"""The commissioning walk on the page, from its question to the printed report, and the radio's channels."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.async_api import expect

from agent.climate import service
from agent.climate.service import ClimateService
from agent.port.hardware import commissioning, runner
from agent.port.hardware.runner import HardwareTestService
from hal.interface import HvacAction
from tests.browser.conftest import PHONE, Visit
from tests.integration.port_rig import open_port

ZONES = """\
[board.sim]
sensors_count = 20
[climate]
relay_min_on_s = 0
relay_min_off_s = 0
zones = [{ id = "living", sensors = ["sim/temperature"] }, { id = "kitchen", sensors = ["kitchen 1"] }]
"""
SENSORS: Mapping[str, str] = {"living": "sim/temperature", "kitchen": "kitchen 1"}
STEP_K = 0.02


class House:
    """Rooms that get warmer while they are heated: by the wire of the other one."""

    def __init__(self) -> None:
        self.values_c = dict.fromkeys(SENSORS.values(), 20.0)

    def values(self, climate: ClimateService) -> dict[str, float]:
        """Take the place of the sensors' last values."""
        last = climate.control.last
        for zone, other in (("living", "kitchen"), ("kitchen", "living")):
            if last is not None and last.demand.zones[zone] is HvacAction.HEAT:
                self.values_c[SENSORS[other]] += STEP_K
        return dict(self.values_c)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (runner, "TICK_S", 0.02),
        (service, "DECISION_INTERVAL_S", 0.02),
        (commissioning, "SETTLE_S", 1.0),
        (commissioning, "CONFIRM_S", 0.5),
    ):
        monkeypatch.setattr(module, name, value)


async def test_a_walk_finds_swapped_wires_and_its_report_is_printed(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House()
    monkeypatch.setattr(HardwareTestService, "_values_c", lambda _, climate: house.values(climate))
    async with open_port(tmp_path, config_text=ZONES) as hub, visit(hub, size=PHONE) as visitor:
        page = visitor.page
        await page.add_init_script("window.print = () => { window.prints = (window.prints ?? 0) + 1; };")
        await visitor.sign_in()
        await visitor.go("tests", "Hardware tests")
        walk = page.get_by_role("region", name="Commissioning walk")
        await walk.get_by_role("button", name="Begin the walk").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("All zones rest")
        await dialog.get_by_role("button", name="Begin the walk").click()
        await expect(walk.get_by_role("button", name="Stop")).to_be_visible()
        await expect(walk.get_by_text("wrong sensor")).to_have_count(2)
        await expect(walk.get_by_role("button", name="Stop")).to_have_count(0)
        await expect(walk).to_contain_text(re.compile("[Ss]wap.*living.*kitchen"))
        await visitor.picture("walk-phone")
        await walk.get_by_role("button", name="Print").click()
        assert await page.evaluate("window.prints") == 1
        # On paper stands the report, and nothing to press.
        await page.emulate_media(media="print")
        await expect(walk.get_by_text("wrong sensor").first).to_be_visible()
        await expect(page.get_by_role("button", name="Print")).to_be_hidden()
        await visitor.picture("walk-printed")
        await page.emulate_media(media="screen")
        await page.get_by_role("button", name="Deutsch").click()
        await expect(page.get_by_text("Die Leitungen von kitchen und living tauschen")).to_be_visible()


async def test_channels_are_measured_and_the_own_one_is_marked(visit: Visit, tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=ZONES) as hub, visit(hub, size=PHONE) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("tests", "Hardware tests")
        scan = page.get_by_role("region", name="Radio channels")
        await scan.get_by_role("button", name="Measure for 5 s").click()
        await expect(scan).to_contain_text("Channel 15 is quiet enough")
        await expect(scan.locator("meter")).to_have_count(16)
        await expect(scan.get_by_text(re.compile("^15 ●$"))).to_be_visible()
        await expect(scan.get_by_text("●")).to_have_count(1)
        await visitor.picture("scan-phone")
