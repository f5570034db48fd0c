"""Programs that use the hub's APIs, on the page: who they are, where their events go, and what they report."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from agent.local.routes import Role
from tests.browser.chromium import axe_script
from tests.browser.conftest import PHONE, Visit
from tests.browser.test_accessibility import findings, too_wide
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.test_api_alerts import add as add_alert
from tests.integration.test_api_webhooks import receiving


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[ApiRig]:
    async with open_apis(tmp_path, "amps", "aurra_home") as rig:
        yield rig


async def status_of(apis: ApiRig, key: str) -> int:
    async with apis.session({"x-api-key": key}) as client, client.get("/amps/hvac") as response:
        return response.status


async def test_an_owner_sees_clients_and_revokes_one(visit: Visit, apis: ApiRig) -> None:
    made = await apis.client("amps", "garage", zones=("living",))
    async with visit(apis.port) as visitor:
        await visitor.sign_in()
        page = visitor.page
        await page.get_by_role("link", name="Integrations").click()
        row = page.get_by_role("listitem").filter(has_text="garage")
        await expect(row).to_contain_text("amps · living · last used: not since the start")
        assert await status_of(apis, made.secret) == 200
        await page.reload()
        await expect(row).to_contain_text(re.compile(r"last used: \d.* ago"))
        await row.get_by_role("button", name="Revoke").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(row).to_have_count(0)
        assert await status_of(apis, made.secret) == 401


async def test_a_webhook_is_registered_tested_and_removed(visit: Visit, apis: ApiRig) -> None:
    async with receiving() as integrator, visit(apis.port, size=PHONE, language="de-DE") as visitor:
        page = visitor.page
        await page.goto(apis.url)
        await page.get_by_label("Code").fill(await apis.port.make_code())
        await page.get_by_role("button", name="Anmelden").click()
        await page.get_by_role("link", name="Integrationen").click()
        begin = page.get_by_role("button", name="Webhook anlegen…")
        await begin.click()
        dialog = page.get_by_role("dialog")
        await dialog.locator("#url").fill(integrator.url)
        await dialog.get_by_role("button", name="Speichern").click()
        # What the hub refuses is said where it was asked.
        await expect(dialog.get_by_role("alert")).to_be_visible()
        await dialog.get_by_label("lokalen Netz").check()
        await dialog.get_by_role("button", name="Speichern").click()
        secret = page.locator(".code")
        await expect(secret).to_have_text(re.compile("^whsec_"))
        # A secret that somebody copies is not in capitals.
        assert await secret.evaluate("(each) => getComputedStyle(each).textTransform") == "none"
        await page.get_by_role("button", name="notiert").click()
        await expect(secret).to_have_count(0)
        row = page.get_by_role("listitem").filter(has_text=integrator.url)
        await expect(row).to_contain_text("nichts wartet")
        await row.get_by_role("button", name="Testen").click()
        await expect(row.get_by_role("status")).to_contain_text("204")
        assert len(integrator.received) == 1
        await visitor.picture("integrations-phone-german")
        await row.get_by_role("button", name="Entfernen").click()
        await dialog.get_by_role("button", name="Entfernen").click()
        await expect(row).to_have_count(0)


async def test_an_owner_sees_what_did_not_arrive_and_sends_it_again(visit: Visit, apis: ApiRig) -> None:
    hook = {"id": "h1", "api": "amps", "url": "https://example.com/hooks", "events": ["push.failed"], "waiting": 2}
    dead = {"id": "d1", "webhook": "h1", "event": "push.failed", "made": None, "attempts": 24, "reason": "no route"}
    report = {"webhooks": [hook], "dead_letters": [dead], "lost": 0, "problem": ""}
    sent: list[str] = []

    async def answer(route: Route) -> None:
        if route.request.method == "POST":
            sent.append(route.request.url.rpartition("/v1")[2])
            report["dead_letters"] = []
        await route.fulfill(json=report)

    async with visit(apis.port) as visitor:
        await visitor.sign_in()
        page = visitor.page
        await page.route("**/v1/webhooks**", answer)
        await page.route("**/v1/webhooks/**", answer)
        await visitor.go("integrations", "Integrations")
        row = page.get_by_role("listitem").filter(has_text="https://example.com/hooks")
        await expect(row).to_contain_text("1 not delivered")
        await expect(page.get_by_text("push.failed · no route")).to_be_visible()
        await row.get_by_role("button", name="Send again").click()
        await expect(row).to_contain_text("2 waiting")
        await expect(page.get_by_text("push.failed · no route")).to_have_count(0)
        assert sent == ["/webhooks/h1/retry"]


async def test_a_technician_resolves_an_alert_and_sees_no_secrets_of_the_owner(visit: Visit, apis: ApiRig) -> None:
    await apis.client("amps", "garage")
    await add_alert(apis, 1)
    async with visit(apis.port) as visitor:
        await visitor.sign_in(Role.SERVICE)
        page = visitor.page
        await visitor.go("integrations", "Integrations")
        row = page.get_by_role("listitem").filter(has_text="replace")
        await expect(row).to_contain_text("living · anna")
        await expect(page.get_by_text("garage")).to_be_visible()
        assert await findings(page, axe_script()) == []
        assert await too_wide(page) == []
        await visitor.picture("integrations")
        await row.get_by_role("button", name="Resolve").click()
        await expect(page.get_by_text("No alert is open.")).to_be_visible()
        for name in ("Revoke", "Register a webhook…"):
            await expect(page.get_by_role("button", name=name)).to_have_count(0)


async def test_no_alert_is_called_open_only_when_the_hub_has_answered(visit: Visit, apis: ApiRig) -> None:
    async with visit(apis.port) as visitor:
        await visitor.sign_in()
        page, asked, answer = visitor.page, asyncio.Event(), asyncio.Event()

        async def answer_late(route: Route) -> None:
            asked.set()
            await answer.wait()
            await route.continue_()

        await page.route("**/v1/alerts", answer_late)
        await visitor.go("integrations", "Integrations")
        await asked.wait()
        assert await page.get_by_text("No alert is open.").count() == 0
        answer.set()
        await expect(page.get_by_text("No alert is open.")).to_be_visible()


async def test_an_audit_trail_that_cannot_be_read_says_why(visit: Visit, apis: ApiRig) -> None:
    async with visit(apis.port) as visitor:
        await visitor.sign_in()
        page = visitor.page
        problem = {"type": "about:blank", "title": "Not found", "status": 404, "detail": "the trail is damaged"}
        await page.route("**/v1/audit", lambda route: route.fulfill(status=404, json=problem))
        await visitor.go("access", "Access")
        await expect(page.get_by_text("the trail is damaged")).to_be_visible()
