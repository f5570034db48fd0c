import math
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from agent.cli.demo.outages import Phase, Weather
from agent.cli.demo.plain import Plain, line, weather
from agent.cli.demo.show import Options, Scene
from agent.cli.demo.view import ROOMS_MAX, View, bar_readings, draw
from agent.local.climate import ClimateReport, ZoneReport
from agent.local.status import RelayedReport

replace = msgspec.structs.replace


def drawn(scene: Scene, options: Options, pending_max: int = 100) -> str:
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(draw(scene, options, pending_max))
    console.file.close()
    return console.export_text()


def down(scene: Scene, pending: int) -> Scene:
    status = scene.status
    link = replace(status.link, state="down", reason="no route to the cloud")
    outbox = replace(status.outbox, pending=pending)
    return replace(
        scene, phase=Phase(Weather.UNREACHABLE, 0.0, 780.0), status=replace(status, link=link, outbox=outbox)
    )


def test_a_line(scene: Scene) -> None:
    assert line(scene) == (
        "Thu 15 Jan 12:00      50 taken      37 accepted     12 waiting  link up     "
        "  all is well; the next outage in 4 min"
    )


ZONE = ZoneReport(
    zone="living",
    room_c=19.4,
    sensors_used=1,
    sensor_problem="",
    mode="heat",
    heat_setpoint_c=21.0,
    cool_setpoint_c=26.0,
    why="schedule",
    label="Day",
    until=None,
    in_force="schedule, Day",
    is_eco=False,
    action="heat",
    duty=0.6,
    reason="heating: 1.6 K below 21.0",
    problem="",
    schedule="week",
    schedules=[],
    holds=[],
    rate_k_per_h=2.0,
    loss_k_per_h=0.3,
)


def heated(scene: Scene) -> Scene:
    return replace(scene, climate=ClimateReport([ZONE, replace(ZONE, zone="bath", action="off")], None, [], "UTC"))


def test_a_line_of_a_house_that_the_hub_heats(scene: Scene) -> None:
    assert "  19.4-19.4 °C, 1 of 2 heated  all is well" in line(heated(scene))


def test_the_picture_says_what_each_zone_does_and_why(scene: Scene, options: Options) -> None:
    text = drawn(heated(scene), options)
    assert "heating: 1.6 K below 21.0" in text
    assert "bath" in text


def test_a_line_of_a_house_that_does_not_know_the_time(scene: Scene) -> None:
    clock = replace(scene.status.clock, utc=None)
    assert line(replace(scene, status=replace(scene.status, clock=clock))).startswith("time unknown")


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (Phase(Weather.UNREACHABLE, 0, 780), "the cloud is unreachable for 12 min more"),
        (Phase(Weather.FAILING, 0, 120), "the cloud answers with errors for 1 min more"),
        (Phase(Weather.FAIR, 0, math.inf), "all is well"),
        (Phase(Weather.FAIR, 0, 30), "all is well; the next outage in 0 s"),
    ],
)
def test_what_is_happening(phase: Phase, told: str) -> None:
    assert weather(phase, 60.0) == told


def test_plain_writes_each_scene(scene: Scene) -> None:
    written: list[str] = []
    Plain(written.append).show(scene)
    assert written == [line(scene)]


def test_the_picture_shows_the_way_of_a_reading(scene: Scene, options: Options) -> None:
    text = drawn(down(scene, 50), options)
    for told in (
        "a simulated house, 60 times faster",
        "Thu 15 Jan 12:00",
        "the cloud is unreachable for 12 min more",
        "50 readings, each on the disk before it is sent",
        "█" * 20 + "░" * 20 + " 50 waiting, the oldest 20 s old, 14 KiB",
        "down for 10 min: no route to the cloud",
        "37 readings accepted",
        "climahub status --socket /run/demo/status.sock",
    ):
        assert told in text


def test_rooms_and_kinds(scene: Scene, options: Options) -> None:
    text = drawn(scene, options)
    rows = [row for row in text.splitlines() if "kitchen 1" in row or "hub  " in row]
    assert [row.strip("│ ").split() for row in rows] == [["hub", "20.5", "°C"], ["kitchen", "1", "45.0", "%"]]


def test_troubles_of_a_sensor_stand_beside_it(scene: Scene, options: Options) -> None:
    first, *others = scene.status.sensors
    status = replace(scene.status, sensors=[replace(first, quality="bad", reason="stuck"), *others])
    assert "temperature: bad: stuck" in drawn(replace(scene, status=status), options)


def test_before_the_first_reading(scene: Scene, options: Options) -> None:
    outbox = replace(scene.status.outbox, pending=0)
    status = replace(scene.status, sensors=[], outbox=outbox)
    text = drawn(replace(scene, status=status), options, 0)
    assert "no sensor has reported yet" in text
    assert "░" * 40 + " 0 waiting, 14 KiB" in text


def test_a_large_house_is_cut_short(scene: Scene, options: Options) -> None:
    one = scene.status.sensors[1]
    devices = [f"d{number:02}" for number in range(ROOMS_MAX + 4)]
    status = replace(
        scene.status,
        sensors=[replace(one, device=device) for device in devices],
        relayed=[RelayedReport(device, f"room {device}", None, "") for device in devices],
    )
    text = drawn(replace(scene, status=status), options)
    assert "room d00" in text
    assert "and 4 more" in text


@pytest.mark.parametrize(
    ("pending_max", "whole"), [(0, 100), (100, 100), (101, 200), (201, 500), (501, 1000), (1001, 2000)]
)
def test_the_bar_grows_with_the_outbox(pending_max: int, whole: int) -> None:
    assert bar_readings(pending_max) == whole


def test_the_saved_picture_is_that_of_the_fullest_outbox(scene: Scene, options: Options, tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    with View(options, picture) as view:
        for each in (scene, down(scene, 60), down(scene, 70), scene):
            view.show(each)
    text = picture.read_text().replace("&#160;", " ")
    assert text.startswith("<svg")
    assert "70 waiting" in text
    assert "url(http" not in text


def test_without_a_scene_there_is_no_picture(options: Options, tmp_path: Path) -> None:
    with View(options, tmp_path / "demo.svg"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_live(scene: Scene, options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    with View(options, None) as view:
        view.show(scene)
    assert "climahub demo" in capsys.readouterr().out
