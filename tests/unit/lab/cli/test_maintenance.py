"""`climahub maintenance analyse`: the whole way from a file to the report, the document and the drawing."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from agent.cli import exit_codes, root
from lab.vibration.bearings import Part
from lab.vibration.motor import Motor, motor


@pytest.fixture(scope="module")
def made() -> Motor:
    return motor(7, Part.OUTER_RACE)


@pytest.fixture
def arguments(made: Motor, tmp_path: Path) -> list[str]:
    file = tmp_path / "fan.npy"
    np.save(file, made.samples)
    rpm = str(made.shaft_hz * 60)
    return [
        "maintenance",
        "analyse",
        str(file),
        "--sampling-rate",
        "12000",
        "--rpm",
        rpm,
        "--bearing",
        made.bearing.name,
    ]


def test_the_report_says_first_what_is_damaged_and_what_to_do(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run([*arguments, "--unit", "g"]) == exit_codes.OK
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0] == "The bearing's outer race is damaged."
    assert "plan its replacement" in shown
    assert "velocity    RMS 2.93 mm/s" in shown
    assert "ISO 20816-3 begins at 15 kW and does not cover a home's fan" in " ".join(shown.split())
    table = next(index for index, line in enumerate(lines) if line.startswith("part "))
    assert lines[table + 1].startswith("outer race ")
    assert len(lines[table + 1 :]) == 3
    assert max(map(len, lines)) <= 120


def test_the_document_has_the_evidence(arguments: list[str], made: Motor, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run([*arguments, "--json"]) == exit_codes.OK
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"]["part"] == "outer race"
    assert document["verdict"]["evidence"][0]["expected_hz"] == pytest.approx(
        made.bearing.order(Part.OUTER_RACE) * made.shaft_hz
    )
    assert document["level"]["velocity_mm_s"] is None
    assert document["bearing"]["source"].startswith("Case Western")


def test_the_drawing_marks_each_harmonic(arguments: list[str], tmp_path: Path) -> None:
    svg = tmp_path / "fan.svg"
    assert root.run([*arguments, "--svg", str(svg)]) == exit_codes.OK
    drawing = ET.fromstring(svg.read_text("utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    marks = [path.get("stroke") for path in drawing.iter(f"{space}path") if path.get("stroke-width") == "2"]
    assert marks == ["#2a6fb0"] * 4
    texts = [text.text or "" for text in drawing.iter(f"{space}text")]
    assert "fan.npy, channel signal: outer race damaged" in texts
    assert any(text.startswith("outer race, BPFO: 126.") for text in texts)
    points = next(drawing.iter(f"{space}polyline")).get("points", "").split()
    assert all(0 <= float(x) <= 960 and 0 <= float(y) <= 400 for x, y in (point.split(",") for point in points))


def test_without_speed_nothing_is_drawn_and_the_remedy_is_named(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    svg = tmp_path / "fan.svg"
    assert root.run([*arguments[:5], "--svg", str(svg)]) == exit_codes.OK
    shown = capsys.readouterr()
    assert shown.out.startswith(
        "Which part is damaged, or whether one is, cannot be told.\nBecause the speed of the shaft"
    )
    assert "nothing is drawn" in shown.err
    assert not svg.exists()


def test_speed_is_given_once(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run([*arguments, "--shaft-hz", "25"]) == exit_codes.USAGE
    assert "leave --rpm or --shaft-hz out" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_numbers_are_positive_and_finite(arguments: list[str], value: str) -> None:
    assert root.run([*arguments[:3], "--sampling-rate", value]) == exit_codes.USAGE


def test_an_unknown_bearing_is_one_line_on_the_error_stream(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run([*arguments[:-1], "6999"]) == exit_codes.FAILED
    assert capsys.readouterr().err.startswith("climahub: the geometry of a bearing 6999 is not known here")


def test_a_drawing_that_cannot_be_written_is_reported(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run([*arguments, "--svg", str(tmp_path / "none" / "fan.svg")]) == exit_codes.CANNOT_CREATE
    assert "No such file" in capsys.readouterr().err


def test_without_numpy_the_package_is_named(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("lab.vibration")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert root.run(arguments) == exit_codes.UNAVAILABLE
    assert "pip install 'climahub-lab[vibration]'" in capsys.readouterr().err
