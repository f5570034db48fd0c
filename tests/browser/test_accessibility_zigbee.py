"""axe-core's rules on the network and the pairing wizard, which need a hub with a radio; in light and dark."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.chromium import axe_script
from tests.browser.conftest import PHONE, TWO_ROOMS, Visit
from tests.browser.test_accessibility import findings, too_wide
from tests.integration.port_rig import open_port, radio_board


@pytest.mark.slow
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_no_view_of_the_radio_has_a_serious_finding(visit: Visit, tmp_path: Path, is_dark: bool) -> None:
    axe = axe_script()
    async with (
        open_port(tmp_path, config_text=TWO_ROOMS, make_board=radio_board) as hub,
        visit(hub, size=PHONE, is_dark=is_dark) as visitor,
    ):
        page = visitor.page
        device = hub.hub.reports.zigbee().sensors[0].device
        await visitor.sign_in()
        found = {}
        for view, heading in (
            ("zigbee", "Zigbee"),
            (f"zigbee/{device}", "Zigbee"),
            (f"zigbee/replace/{device}", "Replace"),
            ("zigbee/pair", "Pair a sensor"),
        ):
            await visitor.go(view, heading)
            found[view] = [*await findings(page, axe), *await too_wide(page)]
        await page.get_by_role("button", name="Let it join").click()
        await expect(page.get_by_text("Press the sensor's button now.")).to_be_visible()
        found["waiting"] = [*await findings(page, axe), *await too_wide(page)]
        await visitor.picture(f"pairing-waiting-{'dark' if is_dark else 'light'}")
    assert {view: problems for view, problems in found.items() if problems} == {}
