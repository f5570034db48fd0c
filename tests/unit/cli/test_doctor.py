"""`climahub doctor`: problems first, exit code by the worst, and useful where the agent is dead."""

import json
from pathlib import Path

import pytest

from agent.cli import exit_codes, root
from agent.cli.doctor import as_lines
from agent.port.checks.report import CheckResult, Outcome, merge, report_of

CONFIG = """
[cloud]
base_url = "http://127.0.0.1:9"
[storage]
state_dir = "state"
run_dir = "run"
"""


def result(name: str, outcome: Outcome, fact: str = "seen") -> CheckResult:
    return CheckResult(name, name.partition("-")[0], "Title", "Meaning.", outcome, fact, "do this")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o750)
    (tmp_path / "run").mkdir()
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def test_a_dead_agent_is_named_and_the_rest_is_checked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["doctor", "--json", "--config", str(config)]) == exit_codes.FAILED
    report = json.loads(capsys.readouterr().out)
    found = {each["name"]: each for each in report["checks"]}
    assert "there is no socket" in found["hub-agent"]["fact"]
    assert found["hub-agent"]["outcome"] == "fail"
    assert found["hub-configuration"]["outcome"] == "pass"
    assert found["hub-state-directory"]["outcome"] == "pass"
    assert found["network-tcp"]["outcome"] == "fail"
    assert found["heating-frost"]["outcome"] == "unknown"
    assert report["took_s"] < 10


def test_a_mistake_in_the_configuration_is_found(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG + "[log]\nlevel = 7\n")
    assert root.run(["doctor", "hub", "--config", str(config)]) == exit_codes.FAILED
    said = capsys.readouterr().out
    assert "FAIL    hub-configuration: " in said
    assert "log.level" in said
    assert "power-" not in said


def test_problems_come_first_and_the_rest_is_counted() -> None:
    report = report_of(
        [
            result("power-mains", Outcome.PASS),
            result("hub-agent", Outcome.WARN),
            result("hub-unit", Outcome.UNKNOWN),
            result("machine-disk", Outcome.FAIL),
        ],
        1.0,
    )
    assert list(as_lines(report, shows_all=False)) == [
        "\x1b[31mFAIL   \x1b[0m machine-disk: seen",
        "        -> do this",
        "",
        "\x1b[33mWARN   \x1b[0m hub-agent: seen",
        "        -> do this",
        "",
        "1 failure, 1 warning; 1 passed, 1 unknown; --all shows them",
    ]
    assert sum("mains" in line for line in as_lines(report, shows_all=True)) == 1


def test_what_the_hub_cannot_know_is_taken_from_this_process() -> None:
    hub = report_of([result("hub-unit", Outcome.UNKNOWN), result("hub-agent", Outcome.PASS, "hub")], 1.0)
    local = report_of([result("hub-unit", Outcome.WARN), result("hub-agent", Outcome.FAIL, "local")], 2.0)
    merged = merge(hub, local)
    assert [each.outcome for each in merged.checks] == [Outcome.WARN, Outcome.PASS]
    assert merged.outcome is Outcome.WARN
    assert merged.took_s == 2.0
