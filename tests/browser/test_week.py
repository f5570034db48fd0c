"""The week of a room on the page: edited by mouse, touch and keyboard, named, and never lost without a question."""

import re
from collections.abc import Iterable

from playwright.async_api import Dialog, Locator, Page, expect

from tests.browser.conftest import PHONE, WEEK, Visit, Visitor, change, zone_of
from tests.integration.port_rig import PortRig

UNSAVED = "Changed, not saved yet."


async def box_of(locator: Locator) -> tuple[float, float, float, float]:
    """Return left, top, width and height of an element on the screen."""
    await locator.scroll_into_view_if_needed()
    box = await locator.bounding_box()
    assert box
    return box["x"], box["y"], box["width"], box["height"]


async def blocks_of(hub: PortRig, schedule: int = 0) -> list[dict[str, object]]:
    return (await zone_of(hub))["schedules"][schedule]["blocks"]  # type: ignore[index]


async def drag_by_mouse(page: Page, points: Iterable[tuple[float, float]]) -> None:
    (first_x, first_y), *others = points
    await page.mouse.move(first_x, first_y)
    await page.mouse.down()
    for x, y in others:
        await page.mouse.move(x, y, steps=8)
    await page.mouse.up()


async def drag_by_touch(page: Page, points: Iterable[tuple[float, float]]) -> None:
    """Put a finger down, move it and lift it, as the browser gets it from a touch screen."""
    client = await page.context.new_cdp_session(page)
    kind = "touchStart"
    for x, y in points:
        await client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        kind = "touchMove"
    await client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


async def save(page: Page) -> None:
    await page.get_by_role("button", name="Save the week").click()
    await expect(page.get_by_text(UNSAVED)).to_have_count(0)


async def test_the_week_is_edited_by_mouse(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await change(hub, WEEK)
    await visitor.go("week/living", "Living: week")
    left, top, width, height = await box_of(page.locator(".track").first)

    def at(hour: float, off: float = 0.0) -> tuple[float, float]:
        return left + width * hour / 24 + off, top + height / 2

    start, end = page.get_by_label("Start"), page.get_by_label("End", exact=True)
    await page.mouse.click(*at(14))
    await expect(start).to_have_value("06:30")
    await drag_by_mouse(page, [at(6.5, 4), at(5)])
    await expect(start).to_have_value("05:00")
    # No edge passes the other, and none is dragged over midnight.
    await drag_by_mouse(page, [at(22, -4), at(3)])
    await expect(end).to_have_value("05:15")
    await end.fill("21:00")
    await drag_by_mouse(page, [at(21, -4), at(24.5)])
    await expect(end).to_have_value("00:00")
    await end.fill("22:00")
    # All of it one hour later.
    await drag_by_mouse(page, [at(14), at(15)])
    await expect(start).to_have_value("06:00")
    await visitor.picture("week-desktop")
    await save(page)
    day = (await blocks_of(hub))[0]
    assert (day["start"], day["end"]) == ("06:00", "23:00")


async def test_the_week_is_edited_by_touch(visit: Visit, hub: PortRig) -> None:
    await change(hub, WEEK)
    async with visit(hub, size=PHONE, has_touch=True) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("week/living", "Living: week")
        left, top, width, height = await box_of(page.locator(".track").nth(2))
        assert height > width, "days are columns on a phone"

        def at(hour: float, off: float = 0.0) -> tuple[float, float]:
            return left + width / 2, top + height * hour / 24 + off

        await page.touchscreen.tap(*at(14))
        start, end = page.get_by_label("Start"), page.get_by_label("End", exact=True)
        await expect(start).to_have_value("06:30")
        await drag_by_touch(page, [at(6.5, 6), at(7.5), at(8, 6)])
        await expect(start).to_have_value(re.compile("08:[01]"))
        await drag_by_touch(page, [at(14), at(13), at(12)])
        await expect(end).to_have_value("20:00")
        await expect(start).to_have_value(re.compile("06:[01]"))
        await save(page)
    day = (await blocks_of(hub))[0]
    assert (str(day["start"])[:2], day["end"]) == ("06", "20:00")


async def test_the_week_is_edited_by_keyboard_and_on_a_phone(visit: Visit, hub: PortRig) -> None:
    await change(hub, WEEK)
    async with visit(hub, size=PHONE) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("week/living", "Living: week")
        block = page.get_by_role("list", name="Blocks").get_by_role("button").first
        await block.focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Shift+ArrowLeft")
        await expect(block).to_contain_text(re.compile("06:45 . 22:00"))
        await page.get_by_role("button", name="Saturday").click()
        await page.get_by_role("group", name="Heat to").get_by_role("button", name="Warmer").click()
        await visitor.picture("week-phone")
        await save(page)
    day = (await blocks_of(hub))[0]
    assert (day["start"], day["end"], day["heat_setpoint_c"]) == ("06:45", "22:00", 21.5)
    assert "sat" not in day["days"]  # type: ignore[operator]


async def test_an_end_before_the_start_is_said_to_be_on_the_next_day(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await change(hub, WEEK)
    await visitor.go("week/living", "Living: week")
    day, night = (page.get_by_role("list", name="Blocks").get_by_role("button").nth(index) for index in range(2))
    await expect(night).to_contain_text("next day")
    await expect(day).not_to_contain_text("next day")
    await day.click()
    await expect(page.get_by_text("Lasts 15.50 h.")).to_be_visible()
    await page.get_by_label("End", exact=True).fill("06:00")
    await expect(page.get_by_text("Lasts 23.50 h, over midnight")).to_be_visible()
    await expect(day).to_contain_text("next day")


async def test_a_new_week_is_named_and_reaches_the_hub_when_it_is_saved(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await change(hub, WEEK)
    await visitor.go("week/living", "Living: week")
    await expect(page.get_by_text("Follows the schedule “Work”.")).to_be_visible()
    await page.get_by_role("button", name="Begin a new week").click()
    name = page.get_by_label("Name of the week")
    await expect(name).to_have_value("Week")
    await name.fill("Work")
    await page.get_by_role("button", name="Save the week").click()
    await expect(page.get_by_role("alert")).to_contain_text("Choose another name")
    assert [each["name"] for each in (await zone_of(hub))["schedules"]] == ["Work"]  # type: ignore[attr-defined]
    await name.fill("Holiday")
    await save(page)
    assert [each["name"] for each in (await zone_of(hub))["schedules"]] == ["Work", "Holiday"]  # type: ignore[attr-defined]
    await expect(page.get_by_text("“Holiday” is not followed.")).to_be_visible()
    # The week that is followed gets another name and is still followed.
    await page.get_by_label("Schedule").select_option("Work")
    await name.fill("Office")
    await save(page)
    await expect(page.get_by_text("Follows the schedule “Office”.")).to_be_visible()
    zone = await zone_of(hub)
    assert zone["schedule"] == "Office"
    assert {each["name"] for each in zone["schedules"]} == {"Office", "Holiday"}  # type: ignore[attr-defined]


async def test_a_changed_week_is_not_lost_without_a_question(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await change(hub, WEEK)
    await change(hub, {**WEEK, "schedule": {**WEEK["schedule"], "name": "Holiday"}, "is_followed": False})
    await visitor.go("rooms/living", "Living")
    await page.get_by_role("link", name="Open the week").click()
    await page.get_by_role("button", name="Add a block").click()
    await expect(page.get_by_text(UNSAVED)).to_be_visible()
    question = page.get_by_role("dialog", name="Leave without saving")

    async def stay() -> None:
        await expect(question).to_be_visible()
        await question.get_by_role("button", name="Cancel").click()
        await expect(question).to_have_count(0)
        assert page.url.endswith("#/week/living")
        await expect(page.get_by_text(UNSAVED)).to_be_visible()

    await page.go_back()
    await stay()
    await page.get_by_role("link", name="climahub").click()
    await stay()
    await page.goto(f"{hub.url}/#/week/bedroom")
    await stay()
    await page.get_by_label("Schedule").select_option("Holiday")
    await stay()
    await page.get_by_role("button", name="Sign out").click()
    await stay()
    # The tab is closed, or the page read again: the browser itself asks.
    asked = []

    async def refuse(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.once("dialog", refuse)
    await page.evaluate("location.reload()")
    await expect(page.get_by_text(UNSAVED)).to_be_visible()
    assert asked == ["beforeunload"]
    await page.get_by_role("link", name="climahub").click()
    await question.get_by_role("button", name="Leave without saving").click()
    await expect(page.get_by_role("link", name="Living")).to_be_visible()
    # Nothing is asked where nothing is lost.
    await visitor.go("week/living", "Living: week")
    await page.get_by_role("link", name="climahub").click()
    await expect(page.get_by_role("link", name="Living")).to_be_visible()
    assert len(await blocks_of(hub)) == 2


async def test_the_hub_refuses_and_the_page_says_why(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    await change(hub, WEEK)
    await visitor.go("week/living", "Living: week")
    # Taken away meanwhile, by somebody else.
    await change(hub, {"do": "drop_schedule", "name": "Work"})
    await expect(page.get_by_text("There is no week yet.")).to_be_visible()
    await page.get_by_role("button", name="Begin a new week").click()
    await page.get_by_label("Name of the week").fill(" ")
    await page.get_by_role("button", name="Save the week").click()
    await expect(page.get_by_role("alert")).to_contain_text("a name of 1 to 64 characters is needed")
    await page.get_by_label("Name of the week").fill("Week")
    await save(page)
    await expect(page.get_by_text("Follows the schedule “Week”.")).to_be_visible()
