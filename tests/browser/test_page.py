"""The page of a running hub as a person uses it: sign-in, verdict, live values, addresses and languages."""

import contextlib
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from agent.foundation.system_info import Power
from agent.local.routes import Role
from agent.port.sign_in import throttle
from tests.browser.conftest import PHONE, TWO_ROOMS, Visit, Visitor, change
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port


async def test_a_wrong_code_is_refused_in_words_and_a_right_one_opens_the_page(visit: Visit, hub: PortRig) -> None:
    code = await hub.make_code()
    async with visit(hub) as visitor:
        page = visitor.page
        await page.goto(hub.url)
        await expect(page.get_by_role("heading", name="Sign in to this hub")).to_be_visible()
        await page.get_by_label("Code").fill("0000-0000-0000-0000")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text(re.compile("^This code is wrong[^0-9]*$"))
        # Typed as people do: small letters, no dashes.
        await page.get_by_label("Code").fill("")
        await page.get_by_label("Code").press_sequentially(code.replace("-", "").lower())
        await expect(page.get_by_label("Code")).to_have_value(code)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("link", name="Living")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Code")).to_be_visible()


async def test_who_types_wrong_codes_is_told_the_tries_left_and_then_the_wait_in_their_language(
    visit: Visit, hub: PortRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if from another machine: this one never has to wait.
    monkeypatch.setattr(throttle, "network_of", lambda _: "192.168.0.0/16")
    await hub.make_code()
    # No wait is over before the next try.
    hub.clock.stand_still()
    async with visit(hub, size=PHONE, language="de-DE") as visitor:
        page = visitor.page
        await page.goto(hub.url)
        said = ["Code .* falsch.*Noch 4 Versuche", "Noch 3 Versuche", "Noch 2 Versuche", "Noch 1 Versuch,"]
        said += [
            "Der nächste Versuch zählt in [12]\u00a0s",
            "Zu viele falsche Codes. Der nächste Versuch zählt in [12]\u00a0s",
        ]
        for each in said:
            await page.get_by_label("Code").fill("0000-0000-0000-0000")
            await page.get_by_role("button", name="Anmelden").click()
            await expect(page.get_by_role("alert")).to_have_text(re.compile(each))
        await visitor.picture("sign-in-phone-german")


async def test_the_verdict_comes_first_in_words_and_tiles_lead_deeper(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    verdict = page.locator(".verdict")
    await expect(verdict).to_contain_text("Cloud")
    # What the page says is what the hub says, word for word.
    async with hub.socket_session() as client, client.get("/v1/verdict") as response:
        sentence = (await response.json())["sentences"][0]
    await expect(verdict).to_contain_text(sentence.partition(" for ")[0])
    for name, heading in (("Sensors", "Sensors"), ("Outbox", "Outbox"), ("Cloud link", "Cloud link")):
        await page.goto(hub.url)
        await page.get_by_role("link", name=re.compile(f"^{name}")).click()
        title = page.get_by_role("heading", name=heading, level=1)
        await expect(title).to_be_visible()
        await expect(title).to_be_focused()


async def test_no_part_is_red_while_the_verdict_is_amber(
    visitor: Visitor, hub: PortRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visitor.page
    # The cloud cannot be reached, and the house is heated.
    link = page.get_by_role("link", name=re.compile("^Cloud link"))
    await expect(link).to_contain_text("cannot be reached")
    await expect(page.locator(".verdict.warn")).to_be_visible()
    await expect(page.locator(".tile .level.fail")).to_have_count(0)
    await expect(link.locator(".level.warn")).to_have_count(1)
    low = Power(now=("under_voltage",))
    monkeypatch.setattr(hub.hub.machine.monitor, "_look", lambda: ("", None, low))
    hub.hub.machine.monitor.power = low
    await expect(page.locator(".verdict.fail")).to_contain_text("supply voltage is below")
    await expect(link.locator(".level.fail")).to_have_count(1)


async def test_a_change_elsewhere_is_shown_by_itself(visitor: Visitor, hub: PortRig) -> None:
    await visitor.go("rooms/living", "Living")
    await expect(visitor.page.locator(".stepper output")).to_have_text("20.0\u00a0°C")
    await change(hub, {"do": "set", "heat_setpoint_c": 22.5})
    await expect(visitor.page.locator(".stepper output")).to_have_text("22.5\u00a0°C")


async def test_an_address_that_is_opened_while_the_page_is_being_drawn_is_shown(visit: Visit, hub: PortRig) -> None:
    """The page listened only after its first drawing: on a slow device it stayed at the overview."""
    async with visit(hub) as visitor:
        slow = """
            const later = window.setTimeout;
            window.requestAnimationFrame = (draw) => later(draw, 2000);
            window.setTimeout = (act, delay_ms, ...given) => later(act, delay_ms <= 100 ? 2000 : delay_ms, ...given);
        """
        await visitor.page.context.add_init_script(slow)
        await visitor.sign_in()
        await visitor.go("rooms/living", "Living")
        await expect(visitor.page.locator(".stepper output")).to_have_text("20.0\u00a0°C")


async def test_tabs_share_one_stream(visitor: Visitor, hub: PortRig) -> None:
    for _ in range(3):
        other = await visitor.page.context.new_page()
        await other.goto(hub.url)
        await expect(other.locator(".bar .state")).to_have_text("live")
    await until(lambda: hub.hub.port.events.clients == 1)


async def test_tabs_share_one_stream_where_the_browser_has_no_shared_worker(visit: Visit, hub: PortRig) -> None:
    async with visit(hub) as visitor:
        await visitor.page.context.add_init_script("delete window.SharedWorker")
        await visitor.sign_in()
        other = await visitor.page.context.new_page()
        await other.goto(f"{hub.url}/#/rooms/living")
        await expect(other.locator(".stepper output")).to_have_text("20.0\u00a0°C")
        await until(lambda: hub.hub.port.events.clients == 1)
        # The tab that leads is closed: the other one takes over.
        await visitor.page.goto("about:blank")
        await until(lambda: hub.hub.port.events.clients == 1)
        await change(hub, {"do": "set", "heat_setpoint_c": 23})
        await expect(other.locator(".stepper output")).to_have_text("23.0\u00a0°C")


async def test_a_session_that_ends_at_the_hub_ends_on_the_page(visitor: Visitor, hub: PortRig) -> None:
    await expect(visitor.page.get_by_role("link", name="Living")).to_be_visible()
    async with hub.socket_session() as client, client.delete("/v1/sessions") as response:
        assert (await response.json())["sessions_ended"] == 1
    await expect(visitor.page.get_by_label("Code")).to_be_visible()


@pytest.mark.slow
async def test_a_silent_hub_is_told_with_the_age_of_what_is_shown_until_it_is_back(
    visit: Visit, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        running = contextlib.AsyncExitStack()
        hub = await running.enter_async_context(open_port(tmp_path, config_text=TWO_ROOMS))
        visitor = await stack.enter_async_context(visit(hub))
        page = visitor.page
        await visitor.sign_in()
        await expect(page.get_by_role("link", name="Living")).to_be_visible()
        await running.aclose()
        await expect(page.locator(".banner")).to_contain_text("The hub does not answer.")
        await expect(page.locator(".banner")).to_contain_text("What you see is")
        await expect(page.get_by_role("link", name="Living")).to_be_visible()
        port = hub.url.rpartition(":")[2]
        await stack.enter_async_context(open_port(tmp_path, config_text=TWO_ROOMS, port_text=f"port = {port}\n"))
        # Sessions end with the agent.
        await expect(page.get_by_label("Code")).to_be_visible()


async def test_a_viewer_sees_everything_and_changes_nothing(visit: Visit, hub: PortRig) -> None:
    async with visit(hub) as visitor:
        await visitor.sign_in(Role.VIEWER)
        await visitor.go("rooms/living", "Living")
        await expect(visitor.page.get_by_text("Sign in as service or owner")).to_be_visible()
        await expect(visitor.page.get_by_role("button", name="Warmer")).to_be_disabled()
        await expect(visitor.page.get_by_role("button", name="Boost for 1 h")).to_have_count(0)


@pytest.mark.parametrize(
    ("view", "heading"),
    [
        ("rooms/nowhere", "There is no such room"),
        ("week/nowhere", "There is no such room"),
        ("nowhere", "There is no such page"),
        ("constructor", "There is no such page"),
        ("%", "There is no such page"),
    ],
)
async def test_an_address_of_nothing_says_so_and_leads_back(visitor: Visitor, view: str, heading: str) -> None:
    await visitor.go(view, heading)
    await visitor.page.reload()
    await expect(visitor.page.get_by_role("heading", name=heading, level=1)).to_be_focused()
    await visitor.page.get_by_role("link", name="Overview").click()
    await expect(visitor.page.get_by_role("link", name="Living")).to_be_visible()


async def test_german(visit: Visit, hub: PortRig) -> None:
    async with visit(hub, size=PHONE, is_dark=True, language="de-DE") as visitor:
        page = visitor.page
        await page.goto(hub.url)
        await page.get_by_label("Code").fill(await hub.make_code())
        await page.get_by_role("button", name="Anmelden").click()
        await expect(page.get_by_role("heading", name="Räume")).to_be_visible()
        assert await page.locator("html").get_attribute("lang") == "de"
        await expect(page.locator(".tile .big").first).to_contain_text(",")
        # What the hub itself says is German too: the verdict with its values, what to do, and the buttons.
        verdict = page.locator(".verdict")
        await expect(verdict).to_contain_text(re.compile(r"Cloud .*; wartend: (1 Messwert|[\d.]+ Messwerte), neuester"))
        await expect(page.get_by_role("button", name="Cloud jetzt versuchen")).to_be_visible()
        await page.get_by_text(re.compile("^Was fehlt")).click()
        await expect(page.get_by_text(re.compile("Kabel .* WLAN prüfen, dann den Router"))).to_be_visible()
        await expect(page.get_by_text("Cloud: nicht erreichbar, seit")).to_be_visible()
        await visitor.picture("home-phone-dark-german")
        await visitor.go("checks", "Prüfungen")
        await expect(page.get_by_text("Dem Hub Luft geben").or_(page.get_by_text("Verbindungsaufbau"))).to_be_visible()
        await visitor.picture("checks-phone-dark-german")
        # In English nobody loads a translation of what is English.
        loaded: list[str] = []
        page.on("request", lambda request: loaded.append(request.url))
        await page.get_by_role("button", name="English").click()
        await expect(page.get_by_role("heading", name="Checks", level=1)).to_be_visible()
        assert any(url.endswith("texts/en.json") for url in loaded)
        assert not [url for url in loaded if "hub.json" in url]
