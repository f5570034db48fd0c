"""An owner gives the hub its key of the cloud on the page, and sees what has become of it."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from agent.local.routes import Role
from agent.port import cloud_key
from tests.browser.conftest import Visit
from tests.integration.conftest import KEY, Cloud, cloud
from tests.integration.key_rig import hub

__all__ = ["cloud"]

NARROW = (360, 740)
OTHER_KEY = "cs_dev_" + "Z9y8" * 8


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the rig's directory for that of systemd's credentials."""
    monkeypatch.setattr(cloud_key, "CREDENTIALS_PARENT", tmp_path / "credentials")


async def test_owner_gives_the_hub_a_key_on_the_page(visit: Visit, cloud: Cloud, tmp_path: Path) -> None:
    async with hub(tmp_path, cloud.url) as (port, root), visit(port, size=NARROW) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("cloud", "Cloud link")
        await page.get_by_role("button", name="Give a key").click()
        dialog = page.get_by_role("dialog")
        field = dialog.get_by_label("ClimaSense key")
        await expect(field).to_have_attribute("type", "password")
        await field.fill(OTHER_KEY)
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("have the cloud issue another")
        await visitor.picture("cloud-key-refused-360")
        await field.fill(KEY)
        await dialog.get_by_label("Time zone of the home").fill("Europe/Berlin")
        await dialog.get_by_role("button", name="Save").click()
        note = page.get_by_role("note").filter(has_text="The key is stored")
        await expect(note).to_contain_text("for root alone to read")
        await expect(dialog).to_have_count(0)
        await visitor.picture("cloud-key-stored-360")
        assert root.keys.read() == KEY
        assert KEY not in await page.content()
        assert await page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]


async def test_key_is_asked_for_in_german_and_of_owners_only(visit: Visit, cloud: Cloud, tmp_path: Path) -> None:
    async with hub(tmp_path, cloud.url) as (port, _):
        async with visit(port) as somebody:
            await somebody.sign_in(Role.SERVICE)
            await somebody.go("cloud", "Cloud link")
            await expect(somebody.page.get_by_text("Compression")).to_be_visible()
            await expect(somebody.page.get_by_role("button", name="Give a key")).to_have_count(0)
        async with visit(port, language="de-DE", size=NARROW) as owner:
            page = owner.page
            await page.goto(port.url)
            await page.get_by_label("Code").fill(await port.make_code())
            await page.get_by_role("button", name="Anmelden").click()
            await page.get_by_role("button", name="Abmelden").first.wait_for()
            await owner.go("cloud", "Cloud-Verbindung")
            await page.get_by_role("button", name="Schlüssel eingeben").click()
            dialog = page.get_by_role("dialog")
            await expect(dialog.get_by_label("Auch speichern, wenn die Cloud nicht antwortet")).to_be_visible()
            await expect(dialog).to_contain_text("Dieser Browser:")
            await owner.picture("cloud-key-german-360")
