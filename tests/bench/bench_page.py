"""Measures the port's page: its weight, and how soon a browser shows the verdict of a hub on this machine.

python tests/bench/bench_page.py, with Chromium. "Useful" is the frame in which the verdict's words are painted, counted
from the beginning of the navigation: signed in, over loopback, median and worst of RUNS. "Cold" is an empty cache.
"""

import asyncio
import gzip
import json
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.port.page_files import PAGE_DIRECTORY, read_page_file, read_short_names
from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.integration.port_rig import PortRig, open_port
from tests.unit.test_page import weighed

RUNS = 9
GOAL_MS = 300

USEFUL = """
window.useful = new Promise((resolve) => {
  const look = () => {
    if (document.querySelector('.verdict p')) {
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
    } else {
      requestAnimationFrame(look);
    }
  };
  look();
});
"""


async def measure() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as directory:
        async with open_port(Path(directory)) as hub, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
            state = await _signed_in(browser, hub)
            cold = [await _visit(browser, hub, state, visits=1) for _ in range(RUNS)]
            warm = [await _visit(browser, hub, state, visits=2) for _ in range(RUNS)]
            await browser.close()
    names = read_short_names(PAGE_DIRECTORY)
    files = [read_page_file(path, names).compressed for path in weighed()]
    return {
        "page": {"raw_bytes": sum(len(gzip.decompress(file)) for file in files), "gzip_bytes": sum(map(len, files))},
        "first_useful_paint_ms": {
            name: {"median": round(statistics.median(times)), "worst": round(max(times))}
            for name, times in (("cold", cold), ("warm", warm))
        },
        "goal_ms": GOAL_MS,
    }


async def _signed_in(browser: Browser, hub: PortRig) -> object:
    context = await browser.new_context(locale="en-GB")
    page = await context.new_page()
    await page.goto(hub.url)
    await page.get_by_label("Code").fill(await hub.make_code())
    await page.get_by_role("button", name="Sign in").click()
    await page.locator(".verdict").wait_for()
    state = await context.storage_state()
    await context.close()
    return state


async def _visit(browser: Browser, hub: PortRig, state: object, *, visits: int) -> float:
    context = await browser.new_context(locale="en-GB", storage_state=state)  # type: ignore[arg-type]
    await context.add_init_script(USEFUL)
    page = await context.new_page()
    useful_ms = 0.0
    for _ in range(visits):
        await page.goto(hub.url)
        useful_ms = await page.evaluate("window.useful")
    await context.close()
    return useful_ms


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=2))
