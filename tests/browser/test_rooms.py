"""Rooms on the page: setpoint, holds, boost, away, eco and mode. What the hub would refuse is not offered."""

import itertools
import json

import pytest
from playwright.async_api import Route, expect

from agent.errors import StorageFull
from tests.browser.conftest import DESKTOP, PHONE, Visit, Visitor, change, zone_of
from tests.integration.port_rig import PortRig


async def test_a_setpoint_becomes_a_hold_when_its_end_is_chosen(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await visitor.go("rooms/living", "Living")
    for _ in range(3):
        await page.get_by_role("button", name="Warmer").click()
    assert (await zone_of(hub))["heat_setpoint_c"] == 20.0
    await page.get_by_role("button", name="For 2 h").click()
    await expect(page.get_by_text("for 2 h more")).to_be_visible()
    assert (await zone_of(hub))["heat_setpoint_c"] == 21.5
    await page.get_by_role("button", name="End", exact=True).click()
    await expect(page.locator(".stepper output")).to_have_text("20.0\u00a0°C")
    assert (await zone_of(hub))["holds"] == []


async def test_boost_away_eco_and_mode(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await visitor.go("rooms/living", "Living")
    await page.get_by_role("button", name="Boost for 1 h").click()
    await expect(page.locator(".stepper output")).to_have_text("22.0\u00a0°C")
    await page.get_by_role("button", name="Away…").click()
    await page.get_by_role("button", name="Go away").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("button", name="Resume schedule").click()
    await expect(page.locator(".stepper output")).to_have_text("20.0\u00a0°C")
    await page.get_by_role("button", name="Eco on").click()
    await expect(page.get_by_role("button", name="Eco off")).to_be_visible()
    await page.get_by_role("button", name="Off", exact=True).click()
    await expect(page.get_by_role("button", name="Off", exact=True)).to_have_attribute("aria-pressed", "true")
    assert (await zone_of(hub))["mode"] == "off"
    await page.get_by_role("button", name="Heat", exact=True).click()
    await expect(page.get_by_role("button", name="Heat", exact=True)).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("button", name="Cool", exact=True)).to_have_count(0)


async def test_a_change_that_the_disk_refuses_is_shown_as_in_force_until_a_restart(
    visitor: Visitor, hub: PortRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> None:
        raise StorageFull("no room on the disk; free some space")

    climate = hub.hub.climate
    assert climate is not None
    monkeypatch.setattr(climate, "save", refuse)
    page = visitor.page
    await visitor.go("rooms/living", "Living")
    await page.get_by_role("button", name="Boost for 1 h").click()
    await expect(page.get_by_text("free some space. The change is in force now")).to_be_visible()
    await expect(page.locator(".stepper output")).to_have_text("22.0\u00a0°C")
    assert [each.split()[0] for each in visitor.problems] == ["503"]
    visitor.problems.clear()


async def test_what_would_have_no_effect_is_not_offered(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await visitor.go("rooms/living", "Living")
    boost, away = page.get_by_role("button", name="Boost for 1 h"), page.get_by_role("button", name="Away…")
    warmer = page.get_by_role("button", name="Warmer")
    await expect(boost).to_be_visible()
    await change(hub, {"do": "set", "mode": "off"})
    await expect(boost).to_have_count(0)
    await expect(away).to_have_count(0)
    await expect(warmer).to_have_count(0)
    await change(hub, {"do": "set", "mode": "heat"})
    # A hold would be without effect in eco; a boost wins.
    await page.get_by_role("button", name="Eco on").click()
    await expect(warmer).to_be_disabled()
    await expect(page.get_by_text("Eco decides here.")).to_be_visible()
    await boost.click()
    await expect(page.locator(".stepper output")).to_have_text("22.0\u00a0°C")
    await expect(page.get_by_text("Boost decides here.")).to_be_visible()
    await expect(warmer).to_be_disabled()
    await page.get_by_role("button", name="Resume schedule").click()
    await page.get_by_role("button", name="Eco off").click()
    await expect(warmer).to_be_enabled()


async def test_the_question_of_a_setpoint_goes_with_the_next_action(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await visitor.go("rooms/living", "Living")
    question = page.get_by_text("How long?")
    for name in ("Boost for 1 h", "Resume schedule", "Eco on", "Eco off"):
        if name in {"Boost for 1 h", "Eco on"}:
            await page.get_by_role("button", name="Warmer").click()
            await expect(question).to_be_visible()
        await page.get_by_role("button", name=name).click()
        await expect(question).to_have_count(0)
    # Somebody else acts.
    await page.get_by_role("button", name="Warmer").click()
    await change(hub, {"do": "hold", "heat_setpoint_c": 18, "for_s": 3600})
    await expect(page.locator(".stepper output")).to_have_text("18.0\u00a0°C")
    await expect(question).to_have_count(0)


LABEL_PX_MIN = 11
NARROW = (320, 700)


@pytest.mark.parametrize("size", [NARROW, PHONE, DESKTOP], ids=lambda size: f"{size[0]} px")
async def test_a_chart_is_readable_on_every_screen_and_read_by_arrow_keys(
    visit: Visit, hub: PortRig, size: tuple[int, int]
) -> None:
    values = [20.0 + number / 10 for number in range(20)]
    series = [{"channel": name, "mean": mean} for name, mean in (("t", values), ("s", [21.0] * 20))]
    report = {"time_base": "utc", "times": [1_700_000_000 + 300 * number for number in range(20)], "series": series}

    async def answer(route: Route) -> None:
        await route.fulfill(body=json.dumps(report), content_type="application/json")

    async with visit(hub, size=size) as visitor:
        page = visitor.page
        await page.route("**/v1/history?**", answer)
        await visitor.sign_in()
        await visitor.go("rooms/living", "Living")
        chart = page.get_by_role("img", name="The values over time")
        await expect(chart).to_be_visible()
        heights = await chart.locator("text").evaluate_all(
            "(all) => all.map((each) => parseFloat(getComputedStyle(each).fontSize) * each.getScreenCTM().a)"
        )
        assert min(heights) >= LABEL_PX_MIN
        boxes = await chart.locator("text").evaluate_all("(all) => all.map((each) => each.getBoundingClientRect())")
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= size[0] for box in boxes)
        axis = sorted((box["x"], box["x"] + box["width"]) for box in boxes if box["y"] == boxes[-1]["y"])
        assert len(axis) >= 2
        assert all(right < left for (_, right), (left, _) in itertools.pairwise(axis)), "the times stand apart"
        shown = page.locator("figcaption")
        await expect(shown).to_contain_text("21.9")
        await chart.focus()
        await page.keyboard.press("ArrowLeft")
        await expect(shown).to_contain_text("21.8")
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowLeft")
        await expect(shown).to_contain_text("21.6")
        await page.keyboard.press("ArrowRight")
        await expect(shown).to_contain_text("21.7")
        for _ in range(25):
            await page.keyboard.press("ArrowLeft")
        await expect(shown).to_contain_text("20.0")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
