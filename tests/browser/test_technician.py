"""What a technician does on the page: checks and repairs, an output's test, settings with the way back, the bundle."""

import asyncio
import logging
import re
from pathlib import Path

import pytest
from playwright.async_api import Route as BrowserRoute
from playwright.async_api import expect

from agent.local.routes import Role
from tests.browser.conftest import DESKTOP, PHONE, Visit, Visitor
from tests.integration.config_rig import run_daemon
from tests.integration.conftest import Cloud, cloud
from tests.integration.port_rig import PortRig, open_port, radio_board

__all__ = ["cloud"]

KEY = "cloud.request_timeout_s"


async def test_checks_say_what_is_wrong_and_a_repair_is_carried_out(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go("checks", "Checks")
    # No cloud answers in this test.
    wrong = page.locator("details.card", has=page.get_by_role("heading", name="Wrong"))
    await expect(wrong).to_be_visible()
    await visitor.picture("checks-desktop")
    check = page.locator("li > details", has_text="Try the cloud now").first
    await check.locator("summary").click()
    await check.get_by_role("button", name="Try the cloud now").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Ends the waiting after failures")
    await dialog.get_by_role("button", name="Try the cloud now").click()
    await expect(page.get_by_role("note").filter(has_text="tried")).to_be_visible()


async def test_an_output_is_switched_on_by_a_person_who_watches_and_goes_off_without_them(
    visitor: Visitor, hub: PortRig
) -> None:
    page = visitor.page
    await visitor.go("tests", "Hardware tests")
    output = page.get_by_role("region", name="Outputs").get_by_role("listitem").first
    await output.get_by_role("button", name="Switch on…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Is somebody watching?")
    await dialog.get_by_label("Skip the rest time of this relay").check()
    await dialog.get_by_role("button", name="Switch on").click()
    await expect(output.get_by_role("status")).to_be_visible()
    await visitor.picture("tests-desktop")
    await output.get_by_role("button", name="Stop").click()
    await expect(output).to_contain_text("stopped")
    async with hub.socket_session() as client, client.get("/v1/tests") as response:
        assert (await response.json())["test"]["outcome"] == "stopped"


@pytest.mark.slow
async def test_only_the_tab_that_began_a_test_keeps_it_on_and_others_can_stop_it(
    visit: Visit, visitor: Visitor, hub: PortRig
) -> None:
    mine = visitor.page
    await visitor.go("tests", "Hardware tests")
    await mine.get_by_role("button", name="Switch on…").first.click()
    await mine.get_by_role("dialog").get_by_role("button", name="Switch on").click()
    await expect(mine.get_by_role("button", name="Stop")).to_be_visible()
    async with visit(hub) as somebody:
        await somebody.sign_in(Role.SERVICE)
        renewals: list[str] = []
        somebody.page.on("request", lambda asked: renewals.append(asked.url) if "renew" in asked.url else None)
        await somebody.go("tests", "Hardware tests")
        foreign = "Somebody else has begun this test."
        await expect(somebody.page.get_by_text(foreign)).to_be_visible()
        for _ in range(2):
            async with mine.expect_response("**/v1/tests/renew") as renewed:
                pass
            assert (await renewed.value).status == 200
        await expect(mine.get_by_text(foreign)).to_have_count(0)
        assert renewals == []
        await somebody.page.get_by_role("button", name="Stop").click()
        await expect(mine.get_by_text("stopped", exact=True)).to_be_visible()


async def test_live_sensors_are_read_each_second_and_have_names(visit: Visit, tmp_path: Path) -> None:
    async with (
        open_port(tmp_path, config_text="", make_board=radio_board) as hub,
        hub.socket_session() as client,
        visit(hub) as visitor,
    ):
        async with client.get("/v1/zigbee") as response:
            paired = (await response.json())["sensors"][0]
        assert paired["name"] != paired["device"]
        await visitor.sign_in()
        await visitor.go("tests", "Hardware tests")
        await visitor.page.get_by_role("button", name="Watch").click()
        card = visitor.page.get_by_role("region", name="Sensors each second")
        await expect(card.get_by_text("sim/temperature")).to_be_visible()
        await expect(card.get_by_text(paired["name"], exact=True).first).to_be_visible()
        await expect(card).not_to_contain_text(paired["device"])
        await expect(card.get_by_role("listitem").filter(has_text="Mains power")).to_contain_text("there")


async def test_a_setting_is_changed_on_trial_and_kept(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.port.config_editor.RESTART_DELAY_S", 0.05)
    async with run_daemon(tmp_path) as daemon, visit(daemon, size=PHONE) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("settings", "Settings")
        await page.get_by_label("With the words").fill(KEY)
        await page.get_by_role("button", name=f"Change {KEY}").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Value").fill("1000")
        await dialog.get_by_role("button", name="Save").click()
        # The hub refuses by the table of its keys, in its words.
        await expect(dialog.get_by_role("alert")).to_contain_text("300")
        await dialog.get_by_label("Value").fill("7")
        await visitor.picture("settings-phone")
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.get_by_text(f"On trial: {KEY}.")).to_be_visible()
        await daemon.trial_started()
        await page.get_by_role("button", name="Keep it").click()
        await expect(page.get_by_text(f"On trial: {KEY}.")).to_have_count(0)
        assert await daemon.value(KEY) == 7


async def test_a_setting_on_trial_is_undone(visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.port.config_editor.RESTART_DELAY_S", 0.05)
    async with run_daemon(tmp_path) as daemon, visit(daemon) as visitor:
        await daemon.ask("PATCH", "/v1/config", {"changes": {KEY: 7}})
        await daemon.trial_started()
        await visitor.sign_in()
        # It stands on the first view: whoever comes back to the hub sees it first.
        await visitor.page.get_by_role("button", name="Undo it").click()
        await daemon.until(lambda report: {KEY: 30} in [{each["key"]: each["value"]} for each in report["keys"]])


async def test_the_support_bundle_is_one_file(visitor: Visitor) -> None:
    async with visitor.page.expect_download() as downloading:
        await visitor.page.get_by_role("link", name="Support bundle").click()
    bundle = await downloading.value
    assert bundle.suggested_filename.endswith((".tar.zst", ".zip"))
    assert (await bundle.path()).stat().st_size > 1000


async def test_the_cloud_link_says_what_went_wrong_last_and_what_it_costs(
    visit: Visit, cloud: Cloud, tmp_path: Path
) -> None:
    trusted = '[clock]\ntrust = "system"\n'
    async with open_port(tmp_path, config_text=trusted, cloud_url=cloud.url) as hub, visit(hub, size=PHONE) as visitor:
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("cloud", "Cloud link")
        cost = page.get_by_role("region", name="What the link costs")
        await expect(cost).to_contain_text(re.compile(r"20\d\d-\d\d-\d\d.*\d+\u00a0kB sent, \d+\u00a0kB received"))
        await expect(cost).to_contain_text("known after an hour")
        (usage,) = hub.hub.status().link.usage.days
        assert min(usage.requests, usage.sent_bytes, usage.received_bytes) > 0
        hub.clock.skip(3600)
        # Sessions end meanwhile.
        await visitor.sign_in()
        await visitor.go("cloud", "Cloud link")
        await expect(cost).to_contain_text(re.compile(r"In 30 days\d+\.\d\u00a0MB"))
        await visitor.picture("cloud-phone")


async def test_history_offers_a_day_and_a_week(visitor: Visitor, hub: PortRig) -> None:
    await visitor.go("rooms/living", "Living")
    card = visitor.page.get_by_role("region", name="The last days")
    await expect(card.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")
    await card.get_by_role("button", name="7 days").click()
    await expect(card.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")


async def test_who_changed_what_is_shown_and_a_code_is_made_once(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    async with hub.session() as client, client.post("/v1/session", json={"code": "AAAA-AAAA-AAAA-AAAA"}) as response:
        assert response.status == 401
    await visitor.go("access", "Access")
    audit = page.get_by_role("region", name="Who changed what")
    await expect(audit.get_by_role("listitem").first).to_contain_text("sign-in wrong code")
    await expect(audit).not_to_contain_text("signed in")
    codes = page.get_by_role("region", name="Codes")
    await codes.get_by_role("listitem").filter(has_text="viewer").get_by_role("button", name="New code").click()
    code = await codes.locator(".code").inner_text()
    await page.get_by_role("button", name="I have noted it").click()
    await expect(codes.locator(".code")).to_have_count(0)
    async with hub.session() as client, client.post("/v1/session", json={"code": code}) as response:
        assert response.status == 200


async def test_the_log_is_filtered_by_the_hub(visit: Visit, tmp_path: Path) -> None:
    async with run_daemon(tmp_path) as daemon, visit(daemon, size=DESKTOP) as visitor:
        page = visitor.page
        await visitor.sign_in(Role.VIEWER)
        logging.getLogger("agent.test").warning("the pump rattles")
        logging.getLogger("agent.test").warning("the valve sticks")
        await visitor.go("log", "Log")
        entries = page.locator("ol.log > li")
        await expect(entries.filter(has_text="the valve sticks")).to_be_visible()
        await page.get_by_label("With the words").fill("pump rattles")
        await expect(entries).to_have_count(1)
        await page.get_by_label("From level").select_option("error")
        await expect(page.get_by_text("Nothing of this kind is kept.")).to_be_visible()
        await expect(entries).to_have_count(0)


async def test_the_log_is_called_empty_only_when_the_hub_has_answered(visit: Visit, tmp_path: Path) -> None:
    async with run_daemon(tmp_path) as daemon, visit(daemon, size=DESKTOP) as visitor:
        page, asked = visitor.page, asyncio.Event()

        async def answer_never(route: BrowserRoute) -> None:
            del route
            asked.set()

        await visitor.sign_in(Role.VIEWER)
        await page.route("**/v1/log?*", answer_never)
        await visitor.go("log", "Log")
        await asked.wait()
        assert await page.get_by_text("Nothing of this kind is kept.").count() == 0
