"""Takes the README's picture of the page, docs/port.png, from the demo's hub: `make picture`. Needs Chromium.

The demo runs fast and without outages, so that its charts have half a day to show.
"""

import asyncio
import base64
import re
import sys
from pathlib import Path

from playwright.async_api import Browser, async_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.chromium import ARGUMENTS, find_chromium

TARGET = Path(__file__).parents[2] / "docs" / "port.png"
DEMO = ("demo", "--plain", "--no-outages", "--speed", "900", "--sensors", "25")
BYTES_MAX = 150_000
LIVES_S = 45
SIGN_IN = re.compile(r"in a browser: (\S+)\s+sign in with (\S+)")
FRAME = """
<body style="margin:0;background:#dcd9d0;display:flex;gap:28px;padding:28px;align-items:flex-start;width:max-content">
%s</body>"""
IMAGE = '<img style="border-radius:12px;display:block" src="data:image/png;base64,%s">'


async def main() -> None:
    """Run the demo, look at two views, and put them side by side."""
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *DEMO, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert demo.stdout is not None
        while not (found := SIGN_IN.search((await demo.stdout.readline()).decode())):
            pass
        draining = asyncio.ensure_future(demo.stdout.read())
        await asyncio.sleep(LIVES_S)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
            views = [
                await _view(browser, found, "", size=(920, 700), is_dark=False),
                await _view(browser, found, "rooms/living", size=(380, 700), is_dark=True),
            ]
            page = await browser.new_page(viewport={"width": 1500, "height": 780})
            await page.set_content(FRAME % "".join(IMAGE % base64.b64encode(view).decode() for view in views))
            picture = await page.locator("body").screenshot()
            await browser.close()
        draining.cancel()
    finally:
        demo.terminate()
        await demo.wait()
    if len(picture) > BYTES_MAX:
        raise ValueError(f"make it smaller: {len(picture)} bytes; at most {BYTES_MAX} are wanted")
    TARGET.write_bytes(picture)


async def _view(browser: Browser, found: re.Match[str], view: str, *, size: tuple[int, int], is_dark: bool) -> bytes:
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if is_dark else "light", locale="en-GB"
    )
    page = await context.new_page()
    await page.goto(found[1])
    await page.get_by_label("Code").fill(found[2])
    await page.get_by_role("button", name="Sign in").click()
    await page.locator(".tile").first.wait_for()
    await page.goto(f"{found[1]}/#/{view}")
    await page.locator("h1").first.wait_for(state="attached")
    await page.wait_for_load_state("load")
    await page.mouse.move(0, 0)
    picture = await page.screenshot()
    await context.close()
    return picture


if __name__ == "__main__":
    asyncio.run(main())
