"""The demo on real sockets, a real disk and a house whose time runs faster."""

import asyncio
import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from agent.cli import exit_codes, root
from hal import replay
from lab.demo import environment, runner
from lab.demo.environment import Cloud, CloudCondition, Scenario, make_config
from lab.demo.paced_loop import PacedClock
from lab.demo.runner import Audit, AuditResult, DemoSnapshot, Options, run_demo
from tests.integration.conftest import WAIT_S

DATA = Path(__file__).parents[1] / "data"
SPEED = 2000.0
FOR_EVER_S = 300.0
"""A busy machine gets its time; what is waited for takes a second or two."""


class Crowd:
    """Remembers every scene, and looks at its watch until it has seen enough: then the time is over."""

    def __init__(self, has_seen_enough: Callable[[list[DemoSnapshot]], bool]) -> None:
        self.scenes: list[DemoSnapshot] = []
        self._has_seen_enough = has_seen_enough
        self._skipped_s = 0.0

    def show(self, scene: DemoSnapshot) -> None:
        self.scenes.append(scene)
        if self._has_seen_enough(self.scenes):
            self._skipped_s = FOR_EVER_S

    def watch_s(self) -> float:
        return time.monotonic() + self._skipped_s


def played(
    *,
    for_s: float,
    speed: float = SPEED,
    has_outages: bool = False,
    recording: replay.Recording | None = None,
    until: Callable[[list[DemoSnapshot]], bool] = lambda _: False,
) -> tuple[AuditResult, list[DemoSnapshot]]:
    crowd = Crowd(until)
    options = Options(
        scenario=Scenario(recording),
        for_s=for_s,
        speed=speed,
        seed=1,
        sensors=15,
        has_outages=has_outages,
        refresh_s=0.02,
    )
    return run_demo(options, crowd, crowd.watch_s), crowd.scenes


def test_day_without_outages_delivers_readings() -> None:
    def is_seen(scenes: list[DemoSnapshot]) -> bool:
        last = scenes[-1]
        return (
            last.stored > 0
            and bool(last.status.relayed_sensors)
            and all(each.sensor_id for each in last.status.relayed_sensors)
        )

    account, scenes = played(for_s=FOR_EVER_S, until=is_seen)
    assert account.is_clean
    assert account.accepted > 0
    assert account.taken == account.accepted + account.pending
    assert scenes[-1].status.link.state == "up"
    assert {sensor.kind for sensor in scenes[-1].status.sensors} >= {"temperature", "pressure"}
    assert all(sensor.sensor_id for sensor in scenes[-1].status.relayed_sensors)


def test_the_page_is_served_and_its_code_signs_in() -> None:
    """A browser has time enough, although the house's time runs faster."""
    found: list[int] = []

    def sign_in(scene: DemoSnapshot) -> None:
        host = scene.page.removeprefix("http://")
        body = json.dumps({"code": scene.code})
        connection = http.client.HTTPConnection(host, timeout=WAIT_S)
        connection.request("POST", "/v1/session", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        found.append(response.status)
        cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
        connection.close()
        # The browser of a slow person: at 2000 times, a session would have ended.
        time.sleep(1.5)
        for path in ("/", "/v1/status", "/v1/log", "/v1/config", "/v1/history"):
            connection.request("GET", path, headers={"Cookie": cookie})
            found.append(connection.getresponse().status)
            connection.close()

    browser: list[threading.Thread] = []

    def is_seen(scenes: list[DemoSnapshot]) -> bool:
        if scenes[-1].page and not browser:
            browser.append(threading.Thread(target=sign_in, args=(scenes[-1],)))
            browser[0].start()
        return bool(browser) and not browser[0].is_alive()

    played(for_s=FOR_EVER_S, until=is_seen)
    assert found == [200] * 6


def fullest(scenes: list[DemoSnapshot]) -> int:
    """Return how many readings waited at most while the cloud could not be reached."""
    pending = (scene.status.outbox.pending for scene in scenes if scene.phase.weather is CloudCondition.UNREACHABLE)
    return max(pending, default=0)


def has_emptied(scene: DemoSnapshot, most: int) -> bool:
    """Tell whether most of what waited is with the cloud."""
    return scene.stored > most and scene.status.outbox.pending < most / 2


def test_no_reading_is_lost_through_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        environment,
        "PLAN_S",
        (
            (CloudCondition.FAIR, 0.3),
            (CloudCondition.UNREACHABLE, 0.4),
            (CloudCondition.FAIR, 0.6),
            (CloudCondition.FAILING, 0.8),
        ),
    )
    wanted = {(CloudCondition.UNREACHABLE, "down"), (CloudCondition.FAILING, "down"), (CloudCondition.FAIR, "up")}

    def is_seen(scenes: list[DemoSnapshot]) -> bool:
        states = {(scene.phase.weather, scene.status.link.state) for scene in scenes}
        last, most = scenes[-1], fullest(scenes)
        is_fair = last.phase.weather is CloudCondition.FAIR
        return wanted <= states and most > 50 and is_fair and has_emptied(last, most)

    account, scenes = played(for_s=FOR_EVER_S, has_outages=True, until=is_seen)
    assert account.is_clean
    most = fullest(scenes)
    assert most > 50
    assert any(scene.phase.weather is CloudCondition.FAIR and has_emptied(scene, most) for scene in scenes)


def test_recording_arrives_complete_and_ends_the_demo() -> None:
    recording = replay.load(DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml")
    account, scenes = played(for_s=FOR_EVER_S, speed=86_400.0, recording=recording)
    assert account == AuditResult(taken=670, accepted=670, pending=0, given_up=0, altered=0, lost=0)
    assert recording.readings_count == 670
    # It ends by itself: with the first scene in which all has arrived.
    assert [scene.stored == 670 for scene in scenes[-2:]] == [False, True]


async def test_recording_keeps_its_timestamps(tmp_path: Path) -> None:
    stage = Scenario(replay.load(DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml"))
    assert stage.recording is not None
    clock = PacedClock(lambda: 61.5, stage.start_utc_ms)
    network = stage.board(
        make_config("http://127.0.0.1:1", tmp_path, seed=1, sensors=7).config.board, clock, speed=1
    ).network
    assert network is not None
    readings = await network.receive()
    assert {clock.zero_utc_ms + reading.at_ms for reading in readings} == {stage.recording.instants_ms[0]}


def test_lost_reading_is_found_by_the_audit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Planted: the audience notes a reading of which neither cloud nor outbox has ever heard."""

    class OneMore(Audit):
        def __init__(self, zero_utc_ms: int) -> None:
            super().__init__(zero_utc_ms)
            self._taken["nobody", "temperature", 1] = 20.0

    monkeypatch.setattr(runner, "Audit", OneMore)
    assert root.run(["demo", "--for", "0.3", "--speed", "2000", "--plain", "--no-outages"]) == exit_codes.FAILED
    assert "1 LOST" in capsys.readouterr().out


def test_demo_command_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["demo", "--for", "0.3", "--speed", "2000", "--no-outages"]) == exit_codes.OK
    lines = capsys.readouterr().out.splitlines()
    assert "link untried" in lines[0]
    assert "nothing lost" in lines[-2]


def test_demo_command_with_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    recording, map_file = DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml"
    arguments = ["demo", "--board", f"replay:{recording}", "--map", str(map_file), "--for", "0.3", "--plain"]
    assert root.run(arguments) == exit_codes.OK
    assert "nothing lost" in capsys.readouterr().out


def test_demo_command_saves_the_display(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    assert root.run(["demo", "--for", "0.3", "--speed", "2000", "--svg", str(picture)]) == exit_codes.OK
    assert "climahub" in picture.read_text()


def test_a_recording_needs_its_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["demo", "--board", f"replay:{DATA / 'three-rooms-1day.csv'}"]) == exit_codes.USAGE
    assert "--map" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_demo_with_a_summary(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "agent", "demo", "--plain", "--speed", "600"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "link" in process.stdout.readline()
        process.send_signal(number)
        out, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == exit_codes.OK
    assert "nothing lost" in out


async def test_outages_of_the_cloud_follow_the_plan() -> None:
    clock = PacedClock(asyncio.get_running_loop().time, 1_768_456_800_000)
    cloud = Cloud(clock, random.Random(1))
    key, sensor_keys = cloud.provision(["kitchen"])
    assert set(cloud.device_of.values()) == {"", "kitchen"}
    assert set(sensor_keys) == {"kitchen"}
    url = await cloud.open()

    async def ask(session: aiohttp.ClientSession) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        async with session.get(f"{url}/v1/settings", headers=headers) as response:
            return response.status

    async with aiohttp.ClientSession() as session:
        assert await ask(session) == 200
        await cloud.set_weather(CloudCondition.FAILING)
        assert await ask(session) == 503
        await cloud.set_weather(CloudCondition.UNREACHABLE)
        with pytest.raises(aiohttp.ClientError):
            await ask(session)
        async with aiohttp.ClientSession() as another:
            with pytest.raises(aiohttp.ClientConnectorError):
                await ask(another)
        await cloud.set_weather(CloudCondition.FAIR)
        assert await ask(session) == 200
    assert cloud.accepted == 0
    assert list(cloud.stored()) == []
    await cloud.close()
