"""What predictive maintenance knows about a room, on its view: faults, "unknown", and a technician's answer."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Locator, Page, Route, expect

from agent.local.routes import Role
from agent.maintenance.assessment import ZoneRecord
from agent.maintenance.curve import CurveDay, with_day
from agent.maintenance.drift import DAY_MS
from agent.maintenance.service import FILE_NAME, MaintenanceFile
from tests.browser.chromium import axe_script
from tests.browser.conftest import TWO_ROOMS, Visit
from tests.browser.test_accessibility import findings, too_wide
from tests.integration.conftest import HubClock
from tests.integration.port_rig import PortRig, open_port
from tests.integration.test_api_aurra_home import ill

NARROW = (360, 740)


@pytest.fixture
async def worn(tmp_path: Path) -> AsyncIterator[PortRig]:
    """A hub whose living room has lost 30 % of its heat, and that is still learning the bedroom."""
    begun = HubClock().utc_ms()
    assert begun is not None
    curve = b""
    for ago in range(90, 0, -1):
        curve = with_day(curve, CurveDay(begun // DAY_MS - ago, 37.5 if ago > 30 else 53.6, 38.0))
    living = ZoneRecord((("sim/temperature", ""),), warmth=ill(begun), warmth_curve=curve)
    (tmp_path / "state").mkdir()
    for name in (FILE_NAME, f"{FILE_NAME}.copy"):
        (tmp_path / "state" / name).write_bytes(msgspec.json.encode(MaintenanceFile({"living": living})))
    async with open_port(tmp_path, config_text=TWO_ROOMS) as rig:
        yield rig


def card(page: Page, name: str = "Maintenance") -> Locator:
    return page.get_by_role("region", name=name)


async def test_a_fault_is_shown_with_its_numbers_and_ends_with_an_answer(visit: Visit, worn: PortRig) -> None:
    async with visit(worn) as visitor:
        await visitor.sign_in(Role.SERVICE)
        page = visitor.page
        await visitor.go("rooms/living", "Living")
        fault = card(page).get_by_role("listitem").filter(has_text="less heat from the same run time")
        await expect(fault).to_contain_text("Fault very likely: 9")
        await expect(fault).to_contain_text("needs 42 % more run time than usual")
        await expect(fault).to_contain_text("since ")
        await expect(fault).to_contain_text("What to do: check filter")
        await visitor.picture("maintenance")
        await fault.get_by_role("button", name="Nothing found…").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("It returns when the fault grows clearly.")
        await dialog.get_by_label("Note").fill("checked filter and pump")
        # What the hub refuses is said where it was asked.
        refused = {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "the time is not known"}
        await page.route("**/v1/maintenance/answers", lambda route: route.fulfill(status=409, json=refused))
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog.get_by_role("alert")).to_have_text("the time is not known")
        await page.unroute("**/v1/maintenance/answers")
        await dialog.get_by_role("button", name="Save").click()
        await expect(fault).to_contain_text("Nothing found · ")
        await expect(fault).to_contain_text("checked filter and pump")
        assert worn.hub.maintenance
        (answer,) = worn.hub.maintenance.alerts.state.answers
        assert (answer.zone_id, answer.indicator, answer.verdict) == ("living", "warmth", "nothing-found")
        await fault.get_by_role("button", name="Serviced…").click()
        await expect(dialog).to_contain_text("What is usual is learned anew")
        await dialog.get_by_role("button", name="Save").click()
        await expect(card(page)).to_contain_text("still learning: 0 of 14 days of heating")
        await expect(fault).to_have_count(0)
        # Without a fault the answers are folded away.
        again = card(page).get_by_role("listitem").filter(has_text="heat of the run time")
        await expect(again.get_by_role("button", name="Serviced…")).to_be_hidden()
        await again.get_by_text("Answer", exact=True).click()
        await expect(again.get_by_role("button", name="Serviced…")).to_be_visible()


async def test_the_curve_has_axes_with_units_and_says_its_last_day_in_words(visit: Visit, worn: PortRig) -> None:
    async with visit(worn) as visitor:
        await visitor.sign_in(Role.VIEWER)
        page = visitor.page
        await visitor.go("rooms/living", "Living")
        words = re.compile(r"share of full output on each day, 90 days\. The last day: 54\s%, expected 38\s%\.")
        chart = card(page).get_by_role("img", name=words)
        await expect(chart).to_be_visible()
        labels = await chart.locator("text").all_text_contents()
        assert [each for each in labels if each.endswith("\u00a0%")], labels
        assert len([each for each in labels if re.search("[A-Z][a-z]{2}", each) and ":" not in each]) == 3, labels
        lines = await chart.locator("path").evaluate_all("(all) => all.map((each) => each.getAttribute('d'))")
        assert [each.count("L") for each in lines] == [89, 89]
        caption = card(page).locator("figcaption")
        await expect(caption).to_contain_text("measured 54\u00a0%")
        await chart.focus()
        await page.keyboard.press("ArrowLeft")
        for _ in range(40):
            await page.keyboard.press("ArrowLeft")
        await expect(caption).to_contain_text("measured 38\u00a0%")
        box = await chart.bounding_box()
        assert box
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 40)
        await expect(caption).to_contain_text("measured 54\u00a0%")


async def test_unknown_is_quiet_and_says_why(visit: Visit, worn: PortRig) -> None:
    async with visit(worn) as visitor:
        await visitor.sign_in(Role.VIEWER)
        page = visitor.page
        await visitor.go("rooms/bedroom", "Bedroom")
        found = card(page).get_by_role("listitem")
        await expect(found).to_have_count(2)
        for each in await found.all():
            await expect(each).to_contain_text("unknown")
            await expect(each).to_contain_text("still learning: 0 of 14 days of heating")
        assert await card(page).locator(".ok, .warn, .fail").count() == 0
        assert await card(page).get_by_role("button").count() == 0, "who may only look cannot answer"


@pytest.mark.parametrize("is_refused", [False, True], ids=["answer", "refusal"])
async def test_nothing_is_said_about_a_room_before_the_hub_has_answered(
    visit: Visit, worn: PortRig, is_refused: bool
) -> None:
    problem = {"type": "about:blank", "title": "Not found", "status": 404, "detail": "the hub is starting"}
    async with visit(worn) as visitor:
        await visitor.sign_in()
        page, asked, answer = visitor.page, asyncio.Event(), asyncio.Event()

        async def answer_late(route: Route) -> None:
            asked.set()
            await answer.wait()
            await (route.fulfill(status=404, json=problem) if is_refused else route.continue_())

        await page.route("**/v1/maintenance", answer_late)
        await visitor.go("rooms/living", "Living")
        await asked.wait()
        await expect(card(page)).to_contain_text("One moment")
        assert await card(page).locator(".level, li").count() == 0
        answer.set()
        await expect(card(page)).to_contain_text("the hub is starting" if is_refused else "Fault very likely")
        await expect(card(page).get_by_text("One moment")).to_have_count(0)


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_the_card_is_german_fits_a_phone_and_has_no_serious_finding(
    visit: Visit, worn: PortRig, is_dark: bool
) -> None:
    async with visit(worn, size=NARROW, language="de-DE", is_dark=is_dark) as visitor:
        page = visitor.page
        await page.goto(worn.url)
        await page.get_by_label("Code").fill(await worn.make_code(Role.SERVICE))
        await page.get_by_role("button", name="Anmelden").click()
        await page.get_by_role("heading", name="Räume").wait_for()
        await visitor.go("rooms/living", "Living")
        await expect(card(page, "Wartung")).to_contain_text("braucht 42 % mehr Laufzeit")
        await expect(card(page, "Wartung")).to_contain_text("erwärmt den Raum um 33,9 K, sonst um 48,1 K")
        await expect(card(page, "Wartung")).to_contain_text("lernt noch: 0 von 14 Heiztagen")
        assert await card(page, "Wartung").locator("[lang=en]").count() == 0
        assert await too_wide(page) == []
        assert await findings(page, axe_script()) == []
        await visitor.picture(f"maintenance-phone-german-{'dark' if is_dark else 'light'}")
