"""The demo on real sockets, a real disk and a house whose time runs faster."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from agent.cli import exits, root
from agent.cli.demo import outages
from agent.cli.demo.audit import Account, Ledger
from agent.cli.demo.outages import Weather
from agent.cli.demo.pace import PacedClock
from agent.cli.demo.show import Options, Scene, play
from agent.cli.demo.town import Cloud, Stage, make_config
from hal import replay

DATA = Path(__file__).parents[1] / "data"
SPEED = 2000.0


class Crowd:
    """Remembers every scene."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []

    def show(self, scene: Scene) -> None:
        self.scenes.append(scene)


def played(
    *, for_s: float, speed: float = SPEED, has_outages: bool = False, recording: replay.Recording | None = None
) -> tuple[Account, list[Scene]]:
    crowd = Crowd()
    options = Options(
        stage=Stage(recording),
        for_s=for_s,
        speed=speed,
        seed=1,
        sensors=15,
        has_outages=has_outages,
        refresh_s=0.02,
    )
    return play(options, crowd, time.monotonic), crowd.scenes


def test_a_fair_day_brings_readings_to_the_cloud() -> None:
    account, scenes = played(for_s=0.6)
    assert account.is_clean
    assert account.accepted > 0
    assert account.taken == account.accepted + account.pending
    assert scenes[-1].status.link.state == "up"
    assert {sensor.kind for sensor in scenes[-1].status.sensors} >= {"temperature", "pressure"}
    assert all(sensor.sensor_id for sensor in scenes[-1].status.relayed)


def test_through_outages_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        outages,
        "PLAN_S",
        ((Weather.FAIR, 0.3), (Weather.UNREACHABLE, 0.4), (Weather.FAIR, 0.6), (Weather.FAILING, 0.8)),
    )
    account, scenes = played(for_s=3.0, has_outages=True)
    assert account.is_clean
    states = {(scene.phase.weather, scene.status.link.state) for scene in scenes}
    assert {(Weather.UNREACHABLE, "down"), (Weather.FAILING, "down"), (Weather.FAIR, "up")} <= states
    fullest = max(scene.status.outbox.pending for scene in scenes if scene.phase.weather is Weather.UNREACHABLE)
    emptied = [scene for scene in scenes if scene.phase.weather is Weather.FAIR and scene.stored > fullest]
    assert fullest > 50
    assert min(scene.status.outbox.pending for scene in emptied) < fullest / 2


def test_a_recording_arrives_whole_and_ends_the_demo() -> None:
    recording = replay.load(DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml")
    account, scenes = played(for_s=300.0, speed=86_400.0, recording=recording)
    assert account == Account(taken=670, accepted=670, pending=0, given_up=0, altered=0, lost=0)
    assert recording.readings_count == 670
    # It ends by itself: with the first scene in which all has arrived.
    assert [scene.stored == 670 for scene in scenes[-2:]] == [False, True]


async def test_a_recording_keeps_its_instants(tmp_path: Path) -> None:
    stage = Stage(replay.load(DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml"))
    assert stage.recording is not None
    clock = PacedClock(lambda: 61.5, stage.start_utc_ms)
    network = stage.board(make_config("http://127.0.0.1:1", tmp_path, seed=1, sensors=7).board, clock).network
    assert network is not None
    readings = await network.receive()
    assert {clock.zero_utc_ms + reading.at_ms for reading in readings} == {stage.recording.instants_ms[0]}


def test_a_lost_reading_is_found_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Planted: the audience notes a reading of which neither cloud nor outbox has ever heard."""
    real = Ledger.committed

    def one_more(self: Ledger, readings: list) -> None:  # type: ignore[type-arg]
        real(self, readings)
        self._taken["nobody", "temperature", 1] = 20.0

    monkeypatch.setattr(Ledger, "committed", one_more)
    assert root.run(["demo", "--for", "0.3", "--speed", "2000", "--plain", "--no-outages"]) == exits.FAILED
    assert "1 LOST" in capsys.readouterr().out


def test_the_command_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["demo", "--for", "0.3", "--speed", "2000", "--no-outages"]) == exits.OK
    lines = capsys.readouterr().out.splitlines()
    assert "link untried" in lines[0]
    assert "nothing lost" in lines[-2]


def test_the_command_with_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    recording, map_file = DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml"
    arguments = ["demo", "--board", f"replay:{recording}", "--map", str(map_file), "--for", "0.3", "--plain"]
    assert root.run(arguments) == exits.OK
    assert "nothing lost" in capsys.readouterr().out


def test_the_picture(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    assert root.run(["demo", "--for", "0.3", "--speed", "2000", "--svg", str(picture)]) == exits.OK
    assert "climahub" in picture.read_text()


def test_a_recording_needs_its_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["demo", "--board", f"replay:{DATA / 'three-rooms-1day.csv'}"]) == exits.USAGE
    assert "--map" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "agent", "demo", "--plain", "--speed", "600"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "link" in process.stdout.readline()
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == exits.OK
    assert "nothing lost" in out


async def test_the_weather_of_the_cloud() -> None:
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
        await cloud.set_weather(Weather.FAILING)
        assert await ask(session) == 503
        await cloud.set_weather(Weather.UNREACHABLE)
        with pytest.raises(aiohttp.ClientError):
            await ask(session)
        async with aiohttp.ClientSession() as another:
            with pytest.raises(aiohttp.ClientConnectorError):
                await ask(another)
        await cloud.set_weather(Weather.FAIR)
        assert await ask(session) == 200
    assert cloud.accepted == 0
    assert list(cloud.stored()) == []
    await cloud.close()
