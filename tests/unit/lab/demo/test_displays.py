import math
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from agent.local.climate import ClimateReport, ZoneReport
from agent.local.status import RelayedReport
from hal.interface import SensorKind
from lab.demo.displays import (
    PICTURE_LINES,
    ROOMS_MAX,
    LiveDisplay,
    PlainDisplay,
    bar_readings,
    draw,
    line,
    status_hint,
    weather,
)
from lab.demo.environment import CloudCondition, OutagePhase
from lab.demo.runner import DemoSnapshot, Options

replace = msgspec.structs.replace


def drawn(
    scene: DemoSnapshot, options: Options, pending_max: int = 100, *, columns: int = 110, lines_max: int = PICTURE_LINES
) -> str:
    console = Console(width=columns, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(draw(scene, options, pending_max, lines_max=lines_max))
    console.file.close()
    return console.export_text()


def down(scene: DemoSnapshot, pending: int) -> DemoSnapshot:
    status = scene.status
    link = replace(status.link, state="down", reason="no route to the cloud")
    outbox = replace(status.outbox, pending=pending)
    return replace(
        scene,
        phase=OutagePhase(CloudCondition.UNREACHABLE, 0.0, 780.0),
        status=replace(status, link=link, outbox=outbox),
    )


def test_line_of_plain_output(scene: DemoSnapshot) -> None:
    assert line(scene) == (
        "Thu 15 Jan 12:00      50 taken      37 accepted     12 waiting  link up     "
        "  all is well; the next outage in 4 min"
    )


def test_the_page_is_shown_once_in_plain_output_and_always_in_the_picture(
    scene: DemoSnapshot, options: Options
) -> None:
    served = replace(scene, page="http://127.0.0.1:4711", code="AAAA-BBBB-CCCC-DDDD")
    hint = "in a browser: http://127.0.0.1:4711   sign in with AAAA-BBBB-CCCC-DDDD"
    written: list[str] = []
    display = PlainDisplay(written.append)
    for each in (scene, served, served):
        display.show(each)
    assert written == [line(scene), hint, line(served), line(served)]
    assert hint in drawn(served, options)
    assert "browser" not in drawn(scene, options)


ZONE = ZoneReport(
    zone="living",
    room_c=19.4,
    sensors_used=1,
    sensor_problem="",
    mode="heat",
    heat_setpoint_c=21.0,
    cool_setpoint_c=26.0,
    setpoint_reason="schedule",
    label="Day",
    until=None,
    setpoint_text="schedule, Day",
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


def heated(scene: DemoSnapshot) -> DemoSnapshot:
    return replace(scene, climate=ClimateReport([ZONE, replace(ZONE, zone="bath", action="off")], None, [], "UTC"))


def test_plain_line_of_a_heated_house(scene: DemoSnapshot) -> None:
    assert "  19.4-19.4 °C, 1 of 2 heated  all is well" in line(heated(scene))


def test_display_shows_what_each_zone_does_and_why(scene: DemoSnapshot, options: Options) -> None:
    text = drawn(heated(scene), options)
    assert "heating: 1.6 K below 21.0" in text
    assert "bath" in text


def test_plain_line_while_the_time_is_unknown(scene: DemoSnapshot) -> None:
    clock = replace(scene.status.clock, utc=None)
    assert line(replace(scene, status=replace(scene.status, clock=clock))).startswith("time unknown")


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (OutagePhase(CloudCondition.UNREACHABLE, 0, 780), "the cloud is unreachable for 12 min more"),
        (OutagePhase(CloudCondition.FAILING, 0, 120), "the cloud answers with errors for 1 min more"),
        (OutagePhase(CloudCondition.FAIR, 0, math.inf), "all is well"),
        (OutagePhase(CloudCondition.FAIR, 0, 30), "all is well; the next outage in 0 s"),
    ],
)
def test_headline_describes_the_present_phase(phase: OutagePhase, told: str) -> None:
    assert weather(phase, 60.0) == told


def test_plain_output_writes_each_state(scene: DemoSnapshot) -> None:
    written: list[str] = []
    PlainDisplay(written.append).show(scene)
    assert written == [line(scene)]


def test_display_shows_the_path_of_a_reading(scene: DemoSnapshot, options: Options) -> None:
    text = drawn(down(scene, 50), options)
    for told in (
        "a simulated house, 60 times faster",
        "Thu 15 Jan 12:00",
        "the cloud is unreachable for 12 min more",
        "50 readings, each on the disk before it is sent",
        "█" * 20 + "░" * 20 + " 50 waiting, the oldest 20 s old, 14 KiB",
        "down for 10 min: no route to the cloud",
        "37 readings accepted",
        " status --socket /run/demo/status.sock",
    ):
        assert told in text


def test_display_shows_rooms_and_kinds(scene: DemoSnapshot, options: Options) -> None:
    text = drawn(scene, options)
    rows = [row for row in text.splitlines() if "kitchen 1" in row or "hub  " in row]
    assert [row.strip("│ ").split() for row in rows] == [["hub", "20.5", "°C"], ["kitchen", "1", "45.0", "%"]]


def test_sensor_problem_is_shown_beside_its_value(scene: DemoSnapshot, options: Options) -> None:
    first, *others = scene.status.sensors
    status = replace(scene.status, sensors=[replace(first, quality="bad", reason="stuck"), *others])
    assert "temperature: bad: stuck" in drawn(replace(scene, status=status), options)


def crowded(scene: DemoSnapshot, *, rooms: int) -> DemoSnapshot:
    """An outage of a large house in its first minute, with all that can make the picture long."""
    status = down(scene, 12_345).status
    first = status.sensors[0]
    devices = [f"d{number:02}" for number in range(rooms)]
    kinds = [replace(first, device=device, kind=kind) for device in devices for kind in SensorKind]
    reason = "heating: 2.0 K below 21.0 at 100% (schedule, Day, until Thu 22:00); minimum off time, 3 min to go"
    zones = [replace(ZONE, zone=name, action="off", reason=reason) for name in ("living", "kitchen", "bedroom", "bath")]
    status = replace(
        status,
        sensors=[first, *kinds, replace(first, device="d00", quality="bad", reason="a jump that no room can make")],
        relayed_sensors=[RelayedReport(device, f"bathroom {device}", None, "") for device in devices],
        link=replace(status.link, reason="Cannot connect to host 127.0.0.1:40133 ssl:default [Connect call failed]"),
    )
    phase = OutagePhase(CloudCondition.UNREACHABLE, 0.0, 780.0)
    return replace(scene, phase=phase, status=status, climate=ClimateReport(zones, None, [], "UTC"))


@pytest.mark.parametrize("rooms", [0, 3, 8, 40])
@pytest.mark.parametrize("lines_max", [23, 30, PICTURE_LINES])
def test_display_fits_the_terminal(scene: DemoSnapshot, options: Options, rooms: int, lines_max: int) -> None:
    text = drawn(crowded(scene, rooms=rooms), options, 20_000, columns=80, lines_max=lines_max)
    lines = text.splitlines()
    assert len(lines) <= lines_max, text
    assert max(map(len, lines)) <= 80, text
    assert "bath " in text, "every zone is shown"
    shown = sum(line.strip("│ ").startswith("bathroom") for line in lines)
    assert shown == rooms or f"and {rooms + 1 - 1 - shown} more" in text, text


def test_first_minute_names_what_is_awaited(scene: DemoSnapshot, options: Options) -> None:
    house = crowded(scene, rooms=3)
    text = drawn(house, options, columns=80, lines_max=23)
    assert "heating  minimum off time, 3 min to go (a rest between two runs)" in text
    assert "(minimum off time, 3 min to go)" in line(house)
    zones = [replace(ZONE), *house.climate.zones]
    assert "a rest between" not in drawn(replace(house, climate=replace(house.climate, zones=zones)), options)


def test_hint_is_a_command_that_can_be_pasted(
    scene: DemoSnapshot, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.argv", [".venv/bin/climahub", "demo"])
    house = replace(scene, socket=Path("/tmp/climahub-demo-dl7x96nq/run/status.sock"))
    last = drawn(house, options, columns=80, lines_max=23).splitlines()[-1]
    assert last == status_hint(house.socket)
    assert last == ".venv/bin/climahub status --socket /tmp/climahub-demo-dl7x96nq/run/status.sock"
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/climahub")
    assert status_hint(Path("a b")) == "climahub status --socket 'a b'"
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.argv", ["agent/__main__.py"])
    assert status_hint(Path("s")) == f"{sys.executable} -m agent status --socket s"


def test_display_before_the_first_reading(scene: DemoSnapshot, options: Options) -> None:
    outbox = replace(scene.status.outbox, pending=0)
    status = replace(scene.status, sensors=[], outbox=outbox)
    text = drawn(replace(scene, status=status), options, 0)
    assert "no sensor has reported yet" in text
    assert "░" * 40 + " 0 waiting, 14 KiB" in text


def test_large_house_is_cut(scene: DemoSnapshot, options: Options) -> None:
    one = scene.status.sensors[1]
    devices = [f"d{number:02}" for number in range(ROOMS_MAX + 4)]
    status = replace(
        scene.status,
        sensors=[replace(one, device=device) for device in devices],
        relayed_sensors=[RelayedReport(device, f"room {device}", None, "") for device in devices],
    )
    text = drawn(replace(scene, status=status), options)
    assert "room d00" in text
    assert "and 5 more" in text


@pytest.mark.parametrize(
    ("pending_max", "whole"), [(0, 100), (100, 100), (101, 200), (201, 500), (501, 1000), (1001, 2000)]
)
def test_outbox_bar_grows_with_the_outbox(pending_max: int, whole: int) -> None:
    assert bar_readings(pending_max) == whole


def test_saved_display_is_that_of_the_fullest_outbox(scene: DemoSnapshot, options: Options, tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    with LiveDisplay(options, picture) as view:
        for each in (scene, down(scene, 60), down(scene, 70), scene):
            view.show(each)
    text = picture.read_text().replace("&#160;", " ")
    assert text.startswith("<svg")
    assert "70 waiting" in text
    assert "url(http" not in text


def test_nothing_is_saved_without_a_state(options: Options, tmp_path: Path) -> None:
    with LiveDisplay(options, tmp_path / "demo.svg"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_live_display_updates(scene: DemoSnapshot, options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    with LiveDisplay(options, None) as view:
        view.show(scene)
    assert "climahub demo" in capsys.readouterr().out
