"""What the page asks where the card was copied or moved to another board, and what becomes of each answer."""

from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from agent.machine.moved_card import FILE_NAME
from tests.browser.conftest import DESKTOP, Visit, Visitor
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port

NARROW = (360, 740)
OTHER_KEY = "cs_dev_" + "Z9y8" * 8


async def has_recorded(hub: PortRig) -> None:
    """Wait until readings of this board wait on its disk, and the key is known to be used on it."""
    await until((hub.directory / "state" / FILE_NAME).exists)
    await until(lambda: hub.hub.telemetry.failover.stats().sendable > 3)


async def opened(visitor: Visitor, title: str) -> Locator:
    """Return a check of the page, opened."""
    await visitor.go("checks", "Checks")
    check = visitor.page.locator("li > details", has_text=title)
    await check.locator("summary").click()
    return check


async def fits(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("size", [NARROW, DESKTOP])
async def test_owner_says_that_the_card_was_moved(visit: Visit, tmp_path: Path, size: tuple[int, int]) -> None:
    async with open_port(tmp_path, board_serial="A") as hub:
        await has_recorded(hub)
    async with open_port(tmp_path, board_serial="B") as hub, visit(hub, size=size) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await expect(page.get_by_text("copied or moved to another board").first).to_be_visible()
        await visitor.picture(f"card-moved-home-{size[0]}")
        check = await opened(visitor, "copied or moved to another board")
        await visitor.picture(f"card-moved-check-{size[0]}")
        await check.get_by_role("button", name="The card was copied").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("erased")
        await visitor.picture(f"card-copied-dialog-{size[0]}")
        await dialog.get_by_role("button", name="Cancel").click()
        await check.get_by_role("button", name="The card was moved").click()
        await expect(dialog).to_contain_text("no other hub")
        await visitor.picture(f"card-moved-dialog-{size[0]}")
        assert await fits(page)
        await dialog.get_by_role("button", name="The card was moved").click()
        await expect(page.get_by_role("note").filter(has_text="used on this board from now on")).to_be_visible()
        await expect(page.get_by_text("copied or moved to another board")).to_have_count(0)
        assert hub.hub.telemetry.failover.stats().held == 0


@pytest.mark.parametrize(
    ("size", "answer", "effect"),
    [(NARROW, "Discard", "All else stays on the card"), (DESKTOP, "Send", "under the present key")],
)
async def test_owner_answers_for_what_is_held_back(
    visit: Visit, tmp_path: Path, size: tuple[int, int], answer: str, effect: str
) -> None:
    async with open_port(tmp_path, board_serial="A") as hub:
        await has_recorded(hub)
    async with open_port(tmp_path, board_serial="B", key=OTHER_KEY) as hub, visit(hub, size=size) as visitor:
        page = visitor.page
        held = hub.hub.telemetry.failover.stats().held
        assert held > 3
        await visitor.sign_in()
        await visitor.picture(f"card-held-home-{size[0]}")
        await visitor.go("outbox", "Outbox")
        await visitor.picture(f"card-held-outbox-{size[0]}")
        check = await opened(visitor, "held back")
        await visitor.picture(f"card-held-check-{size[0]}")
        await check.get_by_role("button", name=f"{answer} what is held back").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text(effect)
        await visitor.picture(f"card-held-dialog-{size[0]}")
        assert await fits(page)
        await dialog.get_by_role("button", name=f"{answer} what is held back").click()
        await expect(page.get_by_role("note").filter(has_text=f"{held} readings")).to_be_visible()
        await visitor.picture(f"card-held-answered-{size[0]}")
        assert hub.hub.telemetry.failover.stats().held == 0
