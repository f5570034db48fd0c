import json
from pathlib import Path

import msgspec
import pytest

from agent.cli import climate, exit_codes, hub_client, root
from agent.local.climate import ClimateReport

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
