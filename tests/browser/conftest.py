"""A real hub's page in Debian's Chromium."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.async_api import Browser, Page, Response, async_playwright, expect

from agent.local.routes import Role
from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.integration.conftest import WAIT_S
from tests.integration.port_rig import PortRig, open_port

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PHONE = (390, 844)
DESKTOP = (1280, 800)
PATIENCE_MS = 240_000
"""For a busy machine; what is waited for takes a second."""

TWO_ROOMS = """\
[board.sim]
tenant_thermostat = false
[climate]
heat_source = "boiler"
zones = [{ id = "living", sensors = ["sim/temperature"] }, { id = "bedroom", sensors = ["sim/temperature"] }]
"""

expect.set_options(timeout=PATIENCE_MS)


WEEK: dict[str, Any] = {
    "do": "put_schedule",
    "schedule": {
        "name": "Work",
        "blocks": [
            {"label": "Day", "start": "06:30", "end": "22:00", "heat_setpoint_c": 21, "cool_setpoint_c": 26},
            {"label": "Night", "start": "22:00", "end": "06:30", "heat_setpoint_c": 17, "cool_setpoint_c": 26},
        ],
    },
}


async def change(hub: PortRig, request: object, zone: str = "living") -> None:
    async with hub.socket_session() as client, client.post(f"/v1/climate/{zone}", json=request) as response:
        assert response.status == 200


async def zone_of(hub: PortRig, name: str = "living") -> dict[str, object]:
    async with hub.socket_session() as client, client.get("/v1/climate") as response:
        return next(zone for zone in (await response.json())["zones"] if zone["zone"] == name)


class Reachable(Protocol):
    """A running hub: its address, and codes for it."""

    @property
    def url(self) -> str:
        """Of the port."""
        ...

    async def make_code(self, role: Role) -> str:
        """Make a new code."""
        ...


async def listening(hub: Reachable) -> None:
    """Wait for the port of a hub that starts: its socket answers a moment earlier."""
    host, _, port = hub.url.rpartition("/")[2].rpartition(":")
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


class Visitor:
    """A person at the page.

    Attributes:
        page: Their tab.
        problems: What the browser complained about: errors of scripts, of the content policy, and answers over 499.
    """

    def __init__(self, page: Page, hub: Reachable) -> None:
        self.page = page
        self.hub = hub
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("response", self._look)

    def _hear(self, kind: str, text: str) -> None:
        # A refused request is shown on the page, and a test says which ones it expects.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.problems.append(text)

    def _look(self, response: Response) -> None:
        if response.status >= 500:
            self.problems.append(f"{response.status} {response.url}")

    async def sign_in(self, role: Role = Role.OWNER) -> None:
        """Open the page and type a new code."""
        await listening(self.hub)
        await self.page.goto(self.hub.url)
        await self.page.get_by_label("Code").fill(await self.hub.make_code(role))
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(self.page.locator(".bar .state")).to_have_text("live")

    async def go(self, view: str, heading: str) -> None:
        """Open a view by its address."""
        await self.page.goto(f"{self.hub.url}/#/{view}")
        await expect(self.page.get_by_role("heading", name=heading, level=1)).to_be_visible()

    async def picture(self, name: str) -> None:
        """Keep a screenshot as an artefact of the build."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = find_chromium()
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), timeout=PATIENCE_MS)
        yield made
        await made.close()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[PortRig]:
    async with open_port(tmp_path, config_text=TWO_ROOMS) as rig:
        yield rig


Visit = Callable[..., contextlib.AbstractAsyncContextManager[Visitor]]


@pytest.fixture
def visit(browser: Browser) -> Visit:
    @contextlib.asynccontextmanager
    async def make(
        hub: Reachable,
        *,
        size: tuple[int, int] = DESKTOP,
        is_dark: bool = False,
        language: str = "en-GB",
        has_touch: bool = False,
    ) -> AsyncIterator[Visitor]:
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if is_dark else "light",
            locale=language,
            has_touch=has_touch,
        )
        visitor = Visitor(await context.new_page(), hub)
        yield visitor
        await context.close()
        assert visitor.problems == []

    return make


@pytest.fixture
async def visitor(visit: Visit, hub: PortRig) -> AsyncIterator[Visitor]:
    """Somebody who has signed in as owner."""
    async with visit(hub) as made:
        await made.sign_in()
        yield made
