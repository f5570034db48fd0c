import json
from pathlib import Path

import msgspec
import pytest

from agent.cli import climate, exit_codes, hub_client, root
from agent.local.climate import ClimateReport, ZoneReport


def zone_report(name: str) -> ZoneReport:
    return ZoneReport(
        name, 19.0, 1, "", "heat", 20.0, 26.0, "default", "", None, "no schedule", False, "off", 0.0, "", "", "",
        [], [], 1.5, 0.3,
    )  # fmt: skip


NOTHING = msgspec.json.encode(ClimateReport([], None, [], "UTC"))


def test_command_without_arguments_shows_the_zones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub_client, "fetch", lambda path, route: NOTHING)
    assert root.run(["climate", "--socket", "here"]) == exit_codes.OK
    alone = capsys.readouterr().out
    assert root.run(["climate", "status", "--socket", "here"]) == exit_codes.OK
    assert capsys.readouterr().out == alone == f"{climate.as_text(ClimateReport([], None, [], 'UTC'))}\n"


def test_misplaced_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["climate", "--socket", "here", "status"]) == exit_codes.USAGE
    assert "put --config and --socket after status" in capsys.readouterr().err


def test_schedule_options_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    week = tmp_path / "week.json"
    week.write_text(json.dumps({}))
    assert root.run(["climate", "schedule", "living", "--put", str(week), "--drop", "week"]) == exit_codes.USAGE
    assert "at a time" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["schedule", "attic"], ["calendar", "--zone", "attic"]])
def test_unknown_zone_is_refused_where_it_is_only_shown(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It printed nothing, and exited with 0."""
    report = ClimateReport([zone_report("living"), zone_report("bath")], None, [], "UTC")
    monkeypatch.setattr(hub_client, "fetch", lambda path, route: msgspec.json.encode(report))
    assert root.run(["climate", *arguments, "--socket", "here"]) == exit_codes.FAILED
    assert "name one of living, bath: there is no zone attic" in capsys.readouterr().err


def test_calendar_without_exceptions_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = ClimateReport([zone_report("living")], None, [], "UTC")
    monkeypatch.setattr(hub_client, "fetch", lambda path, route: msgspec.json.encode(report))
    assert root.run(["climate", "calendar", "--socket", "here"]) == exit_codes.OK
    assert capsys.readouterr().out == "every date follows its own day of the week\n"


def test_a_report_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["climate", "report", "--zone", "living", "--socket", "here"]) == exit_codes.USAGE
    assert "give --window, --present or --absent" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"[" * 5000, b"\xff", b'{"name": "x"'], ids=["deep", "binary", "short"])
def test_a_schedule_that_is_no_json_is_named(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "week.json"
    file.write_bytes(content)
    assert root.run(["climate", "schedule", "living", "--put", str(file)]) == exit_codes.USAGE
    assert f"{file} is not JSON" in capsys.readouterr().err
