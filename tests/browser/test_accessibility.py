"""axe-core's rules on every view: no serious finding, in light and dark."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import axe_script
from tests.browser.conftest import PHONE, WEEK, Visit, listening
from tests.integration.config_rig import run_daemon
from tests.integration.port_rig import PortRig

VIEWS = {
    "": "Overview",
    "rooms/living": "Living",
    "week/living": "Living: week",
    "sensors": "Sensors",
    "cloud": "Cloud link",
    "outbox": "Outbox",
    "updates": "Updates",
    "log": "Log",
    "checks": "Checks",
    "tests": "Hardware tests",
    "zones": "Zones and thermometers",
    "settings": "Settings",
    "access": "Access",
    "sheet": "Provisioning sheet",
    "integrations": "Integrations",
}
NARROW = (360, 740)
WAITING = re.compile("One moment …|Einen Moment …|The hub checks itself|Der Hub prüft sich")
SERIOUS = {"serious", "critical"}


@pytest.mark.slow
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_no_view_has_a_serious_finding(visit: Visit, tmp_path: Path, is_dark: bool) -> None:
    axe = axe_script()
    async with run_daemon(tmp_path) as hub, visit(hub, size=PHONE, is_dark=is_dark) as visitor:
        assert (await hub.ask("POST", "/v1/climate/living", WEEK))[0] == 200
        page = visitor.page
        await listening(hub)
        await page.goto(hub.url)
        await page.get_by_label("Code").wait_for()
        found = {"sign-in": await findings(page, axe)}
        await visitor.sign_in()
        for view, heading in VIEWS.items():
            await show(page, f"{hub.url}/#/{view}")
            await page.get_by_role("heading", name=heading, level=1).wait_for()
            found[view] = [*await findings(page, axe), *await too_wide(page)]
    assert {view: problems for view, problems in found.items() if problems} == {}


async def show(page: Page, url: str) -> None:
    """Open a view with all that it holds: what the hub sends has come, and what is folded is unfolded."""
    await page.goto("about:blank")
    await page.goto(url)
    await page.get_by_role("heading", level=1).wait_for()
    await expect(page.locator("main")).not_to_contain_text(WAITING)
    await page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")


async def too_wide(page: Page) -> list[str]:
    """What makes a phone scroll sideways."""
    script = """
    [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
      .map((each) => each.outerHTML.slice(0, 100))"""
    return list(await page.evaluate(script))


async def test_the_rules_find_what_is_planted(visit: Visit, hub: PortRig) -> None:
    async with visit(hub) as visitor:
        await visitor.page.goto(hub.url)
        await visitor.page.get_by_label("Code").wait_for()
        await visitor.page.evaluate("document.querySelector('label').remove()")
        (found,) = await findings(visitor.page, axe_script())
    assert found.startswith("label-title-only: <input")


async def findings(page: Page, axe: str) -> list[str]:
    # Evaluated through the debugger, which the page's content policy does not concern.
    await page.evaluate(f"{axe}; undefined")
    report = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{found['id']}: {node['html'][:160]}"
        for found in report["violations"]
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
async def test_no_word_breaks_in_the_middle_on_a_phone(visit: Visit, tmp_path: Path, language: str) -> None:
    async with run_daemon(tmp_path) as hub, visit(hub, size=NARROW) as visitor:
        assert (await hub.ask("POST", "/v1/climate/living", WEEK))[0] == 200
        await visitor.sign_in()
        page = visitor.page
        if language == "de-DE":
            await page.get_by_role("button", name="Deutsch").click()
        found = {}
        for view in VIEWS:
            await show(page, f"{hub.url}/#/{view}")
            found[view] = await broken_words(page)
    assert {view: words for view, words in found.items() if words} == {}


async def broken_words(page: Page) -> list[str]:
    """Words whose parts stand in several lines without a hyphen; paths, keys and numbers may break anywhere."""
    script = """() => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const broken = [];
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (getComputedStyle(node.parentElement).hyphens === "auto" || node.parentElement.closest("code")) continue;
        for (const word of node.data.matchAll(/(?<=^|[\\s(„“"-])\\p{L}{3,}(?=[\\s).,:;?!“”"-]|$)/gu)) {
          const range = document.createRange();
          range.setStart(node, word.index);
          range.setEnd(node, word.index + word[0].length);
          if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
        }
      }
      return broken;
    }"""
    return list(await page.evaluate(script))
