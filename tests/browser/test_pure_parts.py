"""The page's scripts that decide something without markup, run in the browser and held against the hub's own code."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page

from agent.cli.setup.wizard import changed_thermometer
from agent.cli.zigbee.pairing_progress import PairingProgress
from agent.climate.model import WEEK, Block, Schedule
from agent.climate.schedule import build_timeline
from agent.config.report import toml_value
from agent.config.tables import KEYS
from agent.local.zigbee import RadioReport, StepReport, ZigbeeReport
from agent.port.page_files import PAGE_DIRECTORY, read_short_names
from tests.integration.port_rig import PortRig

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
SCHEDULES = 25
EXPORTED = read_short_names(PAGE_DIRECTORY).exported
"""Under which names the scripts give what others use: they are sent with short ones."""


@pytest.fixture
async def page(browser: Browser, hub: PortRig) -> Page:
    made = await browser.new_page()
    await made.goto(hub.url)
    return made


async def call(page: Page, module: str, function: str, *arguments: object) -> Any:  # noqa: ANN401 - any JSON
    script = f"async (given) => (await import('/{module}.js')).{EXPORTED.get(function, function)}(...given)"
    return await page.evaluate(script, list(arguments))


def some_schedule(rng: random.Random) -> Schedule:
    def time() -> str:
        return f"{rng.randrange(24):02}:{rng.choice((0, 15, 30, 45)):02}"

    blocks = [
        Block(str(index), time(), time(), 20.0, 26.0, tuple(day for day in WEEK if rng.random() < 0.6) or (WEEK[0],))
        for index in range(rng.randint(1, 6))
    ]
    return Schedule("some", tuple(blocks))


async def test_the_picture_of_a_week_is_what_the_hub_follows(page: Page) -> None:
    rng = random.Random(14)
    for _ in range(SCHEDULES):
        schedule = some_schedule(rng)
        timeline = build_timeline(schedule, utc_ms=round(MONDAY.timestamp() * 1000), timezone=UTC)
        blocks = [
            {"label": block.label, "start": block.start, "end": block.end, "days": list(block.days)}
            for block in schedule.blocks
        ]
        drawn = await call(page, "week_model", "pieces", blocks)
        for day, pieces in enumerate(drawn):
            assert (pieces[0]["from"], pieces[-1]["to"]) == (0, 1440)
            for piece in pieces:
                at = MONDAY + timedelta(days=day, minutes=(piece["from"] + piece["to"]) / 2)
                segment = timeline.segment_at(round(at.timestamp() * 1000))
                assert segment is not None
                assert schedule.blocks[piece["index"]] == segment.block, (blocks, day, piece)


async def test_gestures_keep_a_block_valid(page: Page) -> None:
    night = {
        "label": "",
        "start": "22:00",
        "end": "06:00",
        "days": ["mon"],
        "heat_setpoint_c": 17,
        "cool_setpoint_c": 26,
    }
    assert await call(page, "week_model", "lengthOf", night) == 480
    (moved,) = await call(page, "week_model", "moveBlock", [night], 0, 130)
    assert (moved["start"], moved["end"]) == ("00:15", "08:15")
    for edge, hour, expected in (
        ("end", 31, ("22:00", "07:00")),
        ("end", 24, ("22:00", "00:00")),
        ("end", 23.4, ("22:00", "23:30")),
        ("end", 20, ("22:00", "22:15")),
        ("end", 50, ("22:00", "22:00")),
        ("start", 20, ("20:00", "06:00")),
        ("start", 31, ("05:45", "06:00")),
        ("start", 1, ("06:00", "06:00")),
    ):
        (made,) = await call(page, "week_model", "moveEdge", [night], 0, edge, hour * 60 + 5)
        assert (made["start"], made["end"]) == expected, "a block keeps a step at least and a day at most"
    for end, is_over in (("06:00", True), ("22:00", True), ("00:00", False), ("23:00", False)):
        assert await call(page, "week_model", "isOverMidnight", {**night, "end": end}) is is_over
    (kept,) = await call(page, "week_model", "toggleDay", [night], 0, "mon")
    assert kept["days"] == ["mon"], "the last day stays"
    _, added = await call(page, "week_model", "addBlock", [night], 0, 720, 840, "New", night)
    assert (added["start"], added["end"], added["days"], added["heat_setpoint_c"]) == ("12:00", "14:00", ["mon"], 17)


async def test_every_key_that_can_be_changed_has_an_editor_that_takes_its_default(page: Page) -> None:
    for key in KEYS:
        if key.edit == "file" or key.default is None:
            continue
        editor = await call(page, "settings", "editorOf", {"allowed": key.type.allowed, "value": key.default})
        if "options" in editor:
            assert toml_value(key.default).strip('"') in editor["options"], key.path
        elif isinstance(key.default, (int, float)):
            assert editor["type"] == "number", key.path
        elif isinstance(key.default, str):
            assert editor["kind"] == "input", key.path


async def test_a_chart_has_round_ticks_gaps_and_never_a_flat_range(page: Page) -> None:
    assert await call(page, "chart", "rangeOf", [[None, None]]) is None
    assert await call(page, "chart", "rangeOf", [[20.0, None], [20.0]]) == {"low": 19.5, "high": 20.5}
    ticks = await call(page, "chart", "ticksOf", {"low": 18.3, "high": 21.7})
    assert [round(tick, 6) for tick in ticks] == [19, 20, 21]
    draw = EXPORTED["pathOf"]
    script = f"async () => (await import('/chart.js')).{draw}([1, 2, null, 3], (at) => at, (value) => value)"
    assert await page.evaluate(script) == "M0.0 1.0L1.0 2.0M3.0 3.0"


STORIES = {
    "done": [("window_open", ""), ("joined", "a"), ("interviewed", "a"), ("keyed", "a"), ("accepted", "a")],
    "needs_key": [("window_open", ""), ("joined", "a"), ("waits", "a")],
    "refused": [("joined", "a"), ("keyed", "a"), ("refused", "a")],
    "": [("joined", "a"), ("waits", "a"), ("keyed", "a")],
    "nobody": [("window_open", ""), ("window_closed", "")],
}


@pytest.mark.parametrize("end", STORIES, ids=lambda end: end or "goes on")
async def test_a_pairing_ends_as_on_the_command_line(page: Page, end: str) -> None:
    steps = [StepReport(number, 0.0, what, device, "") for number, (what, device) in enumerate(STORIES[end], 1)]
    is_open = end == ""
    before = ZigbeeReport(RadioReport("up"), [], [], "")
    after = ZigbeeReport(RadioReport("up", join_window_left_s=9 if is_open else None), [], steps, "")
    progress = PairingProgress(before, is_many=False, now_s=0.0)
    progress.advance(after, 1.0)
    typed = progress.end(after, 1.0)
    begun = await call(page, "pairing_progress", "beginPairing", as_json(before), {"isMany": False, "now_s": 0})
    advanced = await call(page, "pairing_progress", "advancePairing", begun, as_json(after), 1)
    shown = await call(page, "pairing_progress", "endOfPairing", advanced, as_json(after), 1)
    assert shown == ("" if typed is None else typed.value.replace(" ", "_")) == end


def as_json(report: ZigbeeReport) -> dict[str, Any]:
    built = msgspec.to_builtins(report)
    assert isinstance(built, dict)
    return built


async def test_the_thermometer_in_the_hand_is_found_as_by_setup_on_a_terminal(page: Page) -> None:
    rng = random.Random(18)
    found = []
    for _ in range(SCHEDULES):
        names = rng.sample(("living", "bath", "cellar", "gone"), rng.randint(0, 3))
        before = {name: rng.choice((19.0, 20.25)) for name in names}
        shown = rng.sample(("living", "bath", "cellar", "new"), 3)
        now = {name: rng.choice((19.0, 19.5, 20.25, 21.5)) for name in shown}
        expected = changed_thermometer(before, now)
        assert await call(page, "zones", "changedThermometer", before, now) == expected, (before, now)
        found.append(expected)
    assert len(set(found)) > 2


async def test_zones_keep_what_is_not_their_thermometers(page: Page) -> None:
    zones = [
        {"id": "living", "sensors": ["a", "b"], "weights": [1, 2], "emitter": "floor"},
        {"id": "bath", "sensors": ["c"], "weights": [1]},
    ]
    changed = await call(page, "zones", "withThermometers", zones, {"living": "d", "hall": "e", "bath": ""})
    # What is undefined is not sent.
    assert [{name: value for name, value in zone.items() if value is not None} for zone in changed] == [
        {"id": "living", "sensors": ["d"], "emitter": "floor"},
        {"id": "bath", "sensors": ["c"], "weights": [1]},
        {"id": "hall", "sensors": ["e"]},
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("heating: 1.2 K below 21.0 at 40 %", "heating: 1.2\u00a0K below 21.0 at 40\u00a0%"),
        ("silent for 3 h, then 7 min; 0.0 s", "silent for 3\u00a0h, then 7\u00a0min; 0.0\u00a0s"),
        ("frost is near, 3.9 °C.", "frost is near, 3.9\u00a0°C."),
        ("3 sensors and 2 hubs", "3 sensors and 2 hubs"),
    ],
)
async def test_a_number_and_its_unit_stay_in_one_line(page: Page, text: str, shown: str) -> None:
    assert await call(page, "words", "say", text) == shown
    assert await call(page, "words", "t", text) == shown


async def test_a_zone_keeps_the_name_that_people_gave_it(browser: Browser, hub: PortRig) -> None:
    page = await browser.new_page(locale="de-DE")
    await page.goto(hub.url)
    await page.locator("html[lang=de]").wait_for()
    text = "bad: the zone is heated and does not get warmer"
    parts = {"key": "{zone}: {problem}", "parameters": dict(zip(("zone", "problem"), text.split(": "), strict=True))}
    await call(page, "words", "learn", "verdict", {text: parts})
    assert await call(page, "words", "say", text) == "bad: die Zone wird beheizt und nicht wärmer"
    assert await call(page, "words", "say", "bad") != "bad", "it is a word of the hub, too"
