"""Commands where no hub answers: what they show from the disk and the journal, and what they advise."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli import exit_codes, journal, root
from agent.config.changes import ConfigChanges, ConfigTrial
from agent.foundation.boot_trail import AgentStart, BootTrail
from agent.foundation.disk import Disk
from agent.port.config_store import FILE_NAME

CONFIG = """\
[cloud]
base_url = "http://127.0.0.1:9"
[log]
level = "info"
[storage]
state_dir = "state"
run_dir = "run"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o750)
    path = tmp_path / "hub.toml"
    path.write_text(CONFIG)
    return path


def run(*words: str) -> int:
    return root.run(list(words))


def changed(config: Path, changes: ConfigChanges) -> None:
    (config.parent / "state" / FILE_NAME).write_bytes(msgspec.json.encode(changes))


def test_a_file_is_shown_with_what_was_changed_at_its_hub(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "show", str(config)) == exit_codes.OK
    plain = capsys.readouterr().out
    assert "changed at the hub" not in plain
    changed(config, ConfigChanges({"log.level": "debug"}))
    assert run("config", "show", str(config)) == exit_codes.OK
    text = capsys.readouterr().out
    assert (
        f'log.level: changed at the hub, which counts; {config}:4 has "info" (`climahub config unset log.level`)'
        in text
    )
    [row] = [line.split() for line in text.splitlines() if line.startswith("log.level ")]
    assert row[1:] == ['"debug"', "changed", "at", "the", "hub"]
    assert run("config", "show", str(config), "--json") == exit_codes.OK
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["log.level"]["value"] == '"debug"'


@pytest.mark.parametrize(
    ("has_started", "level", "said"),
    [(True, '"error"', "undone at the next start"), (False, '"debug"', "in force from the next start on")],
)
def test_a_trial_on_the_disk_is_named(
    config: Path, has_started: bool, level: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = ConfigTrial({"log.level": "error"}, 300, has_started=has_started)
    changed(config, ConfigChanges({"log.level": "debug"}, trial))
    assert run("config", "show", str(config)) == exit_codes.OK
    text = capsys.readouterr().out
    assert f"on trial: log.level; {said}" in text
    [row] = [line.split() for line in text.splitlines() if line.startswith("log.level ")]
    assert row[1] == level


def test_changes_that_cannot_be_used_or_read_leave_the_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(config, ConfigChanges({"log.level": 7, "no.such": 1}))
    assert run("config", "show", str(config)) == exit_codes.OK
    assert "! the change of log.level is not in force" in capsys.readouterr().out
    (config.parent / "state" / FILE_NAME).write_text("{")
    assert run("config", "show", str(config)) == exit_codes.OK
    text = capsys.readouterr().out
    assert "! use sudo: what was changed at the hub is missing here (config-changes.json is damaged)" in text
    assert '"info"' in text


def test_advice_names_the_configuration_that_was_given(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--config", str(config)) == exit_codes.NO_DAEMON
    text = capsys.readouterr().err
    assert f"climahub config check {config}" in text
    assert f"climahub run --config {config}" in text
    assert "/etc/climahub" not in text
    assert run("status", "--socket", str(config.parent / "none")) == exit_codes.NO_DAEMON
    assert "climahub config check /etc/climahub/config.toml" in capsys.readouterr().err


def test_boots_are_read_from_the_disk(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("boots", "--config", str(config)) == exit_codes.NO_DAEMON
    assert "what to do next" in capsys.readouterr().err
    trail = BootTrail(config.parent / "state", Disk())
    for number in range(2):
        trail.begin(AgentStart(f"boot{number}", "power_on", "1.0.0", None, 60, "power_lost" * number))
    assert run("boots", "--config", str(config)) == exit_codes.OK
    shown = capsys.readouterr()
    assert "power came on; lost its power, or hung" in shown.out
    assert shown.err.startswith("! the hub does not run here")
    assert run("boots", "--json", "--config", str(config)) == exit_codes.OK
    assert [boot["boot_id"] for boot in json.loads(capsys.readouterr().out)["boots"]] == ["boot1", "boot0"]
    (config.parent / "state" / "boots.json").write_text("{")
    assert run("boots", "--config", str(config)) == exit_codes.NO_DAEMON
    assert "! the trail of boots cannot be read: boots.json is damaged" in capsys.readouterr().err
    # Another hub's socket says nothing about this disk.
    assert run("boots", "--socket", str(config.parent / "none")) == exit_codes.NO_DAEMON


JOURNAL: list[dict[str, Any]] = [
    {"__REALTIME_TIMESTAMP": "1700000000000000", "MESSAGE": "begins", "SYSLOG_IDENTIFIER": "climahub"},
    {"__REALTIME_TIMESTAMP": "1700000001000000", "PRIORITY": "4", "MESSAGE": [111, 104, 255]},
    {"__REALTIME_TIMESTAMP": "1700000002000000", "PRIORITY": "3", "MESSAGE": "ends \x1b[2J badly"},
    {"__REALTIME_TIMESTAMP": "never"},
]  # fmt: skip


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of journalctl; the real one is used in tests/systemd."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    lines = "\n".join([*(json.dumps(each) for each in JOURNAL), "no JSON"])
    program.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\ncat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


def test_the_log_is_read_from_the_journal(config: Path, journalctl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("logs", "--level", "info", "--lines", "9", "--config", str(config)) == exit_codes.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2023-11-14T22:13:20Z  info     climahub: begins"
    assert [line.split()[1] for line in lines] == ["info", "warning", "error"]
    assert "\x1b" not in "".join(lines)
    asked = (config.parent / "asked").read_text()
    assert "--namespace +climahub --unit climahub" in asked
    assert "--priority 6 --lines 9" in asked
    assert run("logs", "--text", "BADLY", "--json", "--follow", "--config", str(config)) == exit_codes.OK
    shown = capsys.readouterr()
    [entry] = [json.loads(line) for line in shown.out.splitlines()]
    assert entry["level"] == "error"
    assert f"--lines {journal.SEARCHED_LINES}" in (config.parent / "asked").read_text()
    assert "journalctl -fu climahub" in shown.err


def test_a_journal_that_cannot_be_read_is_named(
    config: Path, journalctl: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journalctl.write_text("#!/bin/sh\nexit 1\n")
    assert run("logs", "--config", str(config)) == exit_codes.NO_DAEMON
    assert "use sudo" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(config.parent))
    assert run("logs", "--config", str(config)) == exit_codes.NO_DAEMON
    assert "this machine keeps no journal" in capsys.readouterr().err


def test_the_example_says_how_its_hub_gets_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "example") == exit_codes.OK
    text = capsys.readouterr().out
    assert "climahub cloud --port 8080 &" in text
    assert "climahub cloud provision hub-1 --key-file hub.key" in text
    assert 'base_url = "http://127.0.0.1:8080"' in text
