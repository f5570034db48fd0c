"""Setting a hub up on its page: the zones by walking through the house, and the sheet that stays there on paper."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from agent.local.hardware import BoardChannelReport, LiveSensorReport
from agent.port import service
from agent.port.hardware import live_values
from tests.browser.conftest import DESKTOP, PHONE, Visit
from tests.integration.config_rig import DaemonRig, run_daemon
from tests.integration.port_rig import open_port

NARROW = (360, 740)
ADDRESS = "https://192.168.1.7:8480"
ROOMS = """\
[board.sim]
sensors_count = 40
[climate]
zones = [{ id = "living", sensors = ["sim/temperature"] }, { id = "kitchen", sensors = ["kitchen 1"] }]
"""
EIGHT: Mapping[str, object] = {
    "climate.zones": [
        {"id": f"room-{number}", "sensors": ["i2c-1-0076/bme280/temperature", f"00:12:4b:00:14:d1:00:{number:02}"]}
        for number in range(8)
    ],
    "board.linux.relays": [{"name": f"room-{number}", "heat_line": number + 4} for number in range(8)],
}
"""In the document of the configuration: the simulated board drives four rooms."""


class House:
    """Thermometers of which a person may hold one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = ""
        self.names: set[str] = set()
        self._read = live_values.thermometers
        monkeypatch.setattr(live_values, "thermometers", self.thermometers)

    def thermometers(
        self, sensors: Sequence[LiveSensorReport], channels: Sequence[BoardChannelReport]
    ) -> Mapping[str, float]:
        """Take the place of what the hub reads."""
        found = {**self._read(sensors, channels), "cellar": 12.0}
        self.names |= set(found)
        return {name: value + 4 * (name == self.held) for name, value in found.items()}


async def test_zones_get_their_thermometers_by_walking_through_the_house(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.port.config_editor.RESTART_DELAY_S", 0.05)
    house = House(monkeypatch)
    async with run_daemon(tmp_path) as hub, visit(hub, size=NARROW) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("tests", "Hardware tests")
        await page.get_by_role("link", name="Zones and thermometers").click()
        # The board drives four rooms, of which one is a zone.
        rows = page.locator("main li")
        await expect(rows).to_have_count(4)
        bedroom = rows.filter(has=page.get_by_label("bedroom", exact=True))
        await expect(bedroom.get_by_label("bedroom", exact=True)).to_have_value("")
        await expect(page.get_by_role("button", name="Save")).to_have_count(0)
        # By keys alone: the button says of which room it is, and what was found is read out.
        find = bedroom.get_by_role("button", name="Find it: bedroom")
        await find.focus()
        await page.keyboard.press("Enter")
        await expect(find).to_have_attribute("aria-pressed", "true")
        await expect(bedroom.get_by_role("status")).to_contain_text("Hold the thermometer in your hand")
        # One at a time: there is one hand.
        kitchen = rows.filter(has=page.get_by_label("kitchen", exact=True))
        await kitchen.get_by_role("button", name="Find it: kitchen").click()
        await expect(find).to_have_attribute("aria-pressed", "false")
        await find.click()
        await expect(kitchen.get_by_role("status")).to_be_empty()
        for _ in range(2):  # The first may be one that the kitchen has asked for.
            async with page.expect_response("**/v1/tests/sensors"):
                pass
        house.held = "cellar"
        await expect(bedroom.get_by_role("status")).to_have_text("It is cellar.")
        await expect(find).to_have_attribute("aria-pressed", "false")
        await expect(bedroom.get_by_label("bedroom", exact=True)).to_have_value("cellar")
        await visitor.picture("zones-narrow")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("On trial: climate.zones.")).to_be_visible()
        await hub.trial_started()
        await page.get_by_role("button", name="Keep it").click()
        await expect(page.get_by_text("On trial: climate.zones.")).to_have_count(0)
        assert await sensors_of(hub) == {"living": ["sim/temperature"], "bedroom": ["cellar"]}
        await expect(rows.filter(has_text="bedroom").locator("option").first).to_have_text("cellar")


async def sensors_of(hub: DaemonRig) -> dict[str, list[str]]:
    zones = await hub.value("climate.zones")
    assert isinstance(zones, list)
    return {zone["id"]: zone["sensors"] for zone in zones}


async def test_a_thermometer_is_chosen_by_hand_and_a_person_is_asked_before_the_choice_is_lost(
    visit: Visit, tmp_path: Path
) -> None:
    async with open_port(tmp_path, config_text=ROOMS, is_editable=True) as hub, visit(hub, size=DESKTOP) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("zones", "Zones and thermometers")
        await page.get_by_label("living", exact=True).select_option(index=2)
        await visitor.picture("zones-desktop")
        await page.get_by_role("link", name="Hardware tests").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("not saved")
        await dialog.get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="Save").click()
        # This hub cannot restart by itself, and says so: nothing is lost.
        await expect(page.get_by_role("alert")).to_contain_text("this hub cannot restart by itself")
        await expect(page.get_by_label("living", exact=True)).not_to_have_value("")


async def test_the_sheet_is_one_page_of_paper_with_the_new_code_and_a_picture_of_the_address(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "typed_addresses", lambda *_: ["http://127.0.0.1:8480", ADDRESS])
    async with open_port(tmp_path, config_text=ROOMS, is_editable=True) as hub, visit(hub, size=NARROW) as visitor:
        page = visitor.page
        await page.add_init_script("window.print = () => { window.prints = (window.prints ?? 0) + 1; };")
        await visitor.sign_in()
        await visitor.go("access", "Access")
        await page.get_by_role("link", name="Provisioning sheet").click()
        sheet = page.get_by_role("region", name="Provisioning sheet")
        await expect(sheet).to_contain_text(ADDRESS)
        await expect(sheet).not_to_contain_text("127.0.0.1:8480")
        await expect(sheet).to_contain_text("kitchen 1")
        picture = sheet.get_by_role("img", name=ADDRESS)
        await expect(picture).to_be_visible()
        assert await picture.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0
        read = "async () => (await import('/qr.js')).readCode(await (await fetch('/v1/port/qr')).blob())"
        assert await page.evaluate(read) == ADDRESS
        await page.get_by_role("button", name="New code").click()
        await page.get_by_role("dialog").get_by_role("button", name="New code").click()
        # The old code's sessions end, and the one that shows the new one goes on.
        await expect(sheet.locator(".code")).to_have_text(re.compile(r"^\w{4}(-\w{4}){3}$"))
        code = await sheet.locator(".code").inner_text()
        await visitor.picture("sheet-narrow")
        await page.get_by_role("button", name="Print").click()
        assert await page.evaluate("window.prints") == 1
        await page.emulate_media(media="print")
        await expect(page.get_by_role("button", name="Print")).to_be_hidden()
        await expect(page.get_by_role("link", name="Access")).to_be_hidden()
        await visitor.picture("sheet-printed")
        await page.emulate_media(media="screen")
        async with hub.session() as client, client.post("/v1/session", json={"code": code}) as response:
            assert response.status == 200
        await page.get_by_role("button", name="Deutsch").click()
        await expect(page.get_by_role("heading", name="Inbetriebnahmeblatt")).to_be_visible()
        await expect(page.locator(".code")).to_have_count(0)


async def test_the_sheet_of_eight_zones_is_one_page_of_a4(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "typed_addresses", lambda *_: [ADDRESS, "https://[fd00::1]:8480"])

    async def with_eight_zones(route: Route) -> None:
        answer = await route.fetch()
        report = await answer.json()
        for key in report["keys"]:
            key["value"] = EIGHT.get(key["key"], key["value"])
        await route.fulfill(response=answer, json=report)

    async with open_port(tmp_path, config_text=ROOMS, is_editable=True) as hub, visit(hub, size=PHONE) as visitor:
        page = visitor.page
        await page.route("**/v1/config", with_eight_zones)
        await visitor.sign_in()
        await visitor.go("sheet", "Provisioning sheet")
        await expect(page.get_by_text("room-7")).to_be_visible()
        await expect(page.locator("dl")).to_contain_text("relay on line 11")
        await page.get_by_role("img").wait_for()
        paper = await page.pdf(format="A4")
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
